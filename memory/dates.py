"""Which moments an item may have: those of a calendar."""

from __future__ import annotations

EARLIEST, LATEST = -62_135_596_800.0, 253_402_300_799.0
"""The first second of the year 1 and the last of the year 9999, in seconds since 1970."""


def undated(**moments: object) -> str:
    """Return why a moment, given by the name of its field, is in no calendar; nothing where all are, or are none."""
    for name, value in moments.items():
        if isinstance(value, (int, float)) and not EARLIEST <= value <= LATEST:
            guess = "; are these milliseconds?" if EARLIEST <= value / 1000 <= LATEST else ""
            return f"{name} is {value!r:.40}, and expected are seconds since 1970, of the years 1 to 9999{guess}"
    return ""
