"""Moments: as people write them, and which of them an item may come from."""

from __future__ import annotations

from datetime import datetime

from agentevo.errors import Misuse

EARLIEST, LATEST = -62_135_596_800.0, 253_402_300_799.0
"""The first second of the year 1 and the last of the year 9999, in seconds since 1970."""


def seconds_of(date: str) -> float:
    """Return a date as seconds since 1970; one without a time zone is meant here. Raise Misuse where it is none."""
    try:
        return datetime.fromisoformat(date.strip()).astimezone().timestamp()
    except (ValueError, OverflowError, OSError) as error:
        raise Misuse(
            f"{date!r:.80} is no date; expected one such as 2026-01-31, 2026-01-31T18:30 or 2026-01-31T18:30+01:00"
        ) from error


def undated(created_at: object) -> str:
    """Return why a moment is in no calendar; nothing where it is, or is none."""
    if not isinstance(created_at, (int, float)) or EARLIEST <= created_at <= LATEST:
        return ""
    guess = "; are these milliseconds?" if EARLIEST <= created_at / 1000 <= LATEST else ""
    return f"created_at is {created_at!r:.40}, and expected are seconds since 1970, of the years 1 to 9999{guess}"
