"""Provenance: how far a source is trusted, what derived items inherit, and which texts try to give orders.

Covered: instruction-like text from sources below LOW_TRUST is quarantined. Not covered: a false statement that looks
like any other; a trusted source that lies. Those are for retests and for people.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

LOW_TRUST = 0.5
"""Below this, an item is recalled as quoted data, and text that looks like orders is quarantined."""

TRUST: Mapping[str, float] = {
    "user": 1.0, "human": 1.0, "agent": 0.7, "environment": 0.7, "import": 0.5,
    "tool": 0.4, "document": 0.4, "web": 0.2,
}  # fmt: skip
UNKNOWN_SOURCE = 0.3

BLOCKED = "blocked"
"""The name in an adapter's metadata of why it must not be put into use: what it was trained on was purged."""

ACCEPTED, GATE, SHA256 = "accepted", "gate", "sha256"
"""The names in an adapter's metadata of whether a gate let it in, what it said (if one was asked), and of the hash."""

PURGED = ""
"""What stands in the ledger for the child of an attempt whose experience was purged: no item has this id."""

DOUBTED = "doubted"
"""The name in an item's metadata of why it is doubted: what it was derived from was purged or corrected."""


def trust_of(source: str) -> float:
    """Return how far a source is trusted by default."""
    return TRUST.get(source, UNKNOWN_SOURCE)


def lowest(own: float, parents: Iterable[float]) -> float:
    """Return the trust of a derived item: no higher than that of anything it came from."""
    return min([own, *parents])
