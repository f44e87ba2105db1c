"""What the verbs of a memory take: the fields told with a text, and the shapes that other arguments may have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias, TypedDict, get_args

from agentevo.errors import Misuse
from agentevo.memory.admit import Metadata
from agentevo.types import Hit, Item, Kind, Status

Kinds: TypeAlias = Kind | Sequence[Kind] | None
Statuses: TypeAlias = Status | Literal["all"] | Sequence[Status] | None
Ids: TypeAlias = str | Sequence[str]
VectorLike: TypeAlias = Any
"""A vector in any shape numpy takes; numpy is not imported just to say so."""
Items: TypeAlias = list[Item]
Hits: TypeAlias = list[Hit]


class Fields(TypedDict, total=False):
    """What can be told with a text that is inserted."""

    kind: Kind | Sequence[Kind]
    source: str
    metadata: Metadata | Sequence[Metadata]
    trust: float
    key_text: str
    importance: float
    expires_at: float
    pinned: bool
    created_at: float | Sequence[float]
    derived_from: Sequence[str]
    links: Sequence[str]
    vectors: VectorLike
    reason: str


def must_be_fields(told: Mapping[str, object]) -> None:
    """Raise Misuse where something is told with a text that only the memory itself says of an item."""
    if unknown := sorted(told.keys() - Fields.__optional_keys__):
        raise Misuse(
            f"{unknown[0]!r:.80} cannot be told with a text that is inserted; "
            f"what can: {', '.join(sorted(Fields.__optional_keys__))}"
        )


ALL_KINDS: tuple[Kind, ...] = get_args(Kind)
ALL_STATUSES: tuple[Status, ...] = get_args(Status)
