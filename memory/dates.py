"""Which moments an item may come from: those of a calendar."""

from __future__ import annotations

EARLIEST, LATEST = -62_135_596_800.0, 253_402_300_799.0
"""The first second of the year 1 and the last of the year 9999, in seconds since 1970."""


def undated(created_at: object) -> str:
    """Return why a moment is in no calendar; nothing where it is, or is none."""
    if not isinstance(created_at, (int, float)) or EARLIEST <= created_at <= LATEST:
        return ""
    guess = "; are these milliseconds?" if EARLIEST <= created_at / 1000 <= LATEST else ""
    return f"created_at is {created_at!r:.40}, and expected are seconds since 1970, of the years 1 to 9999{guess}"
