"""The numbers in a text, exactly, as people and models write them."""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction
from typing import NamedTuple

MOST_DIGITS = 400
"""Longer runs of digits are no number that anybody was asked for, and exact arithmetic on them would take its time."""


class Found(NamedTuple):
    """A number as it is written, and what it may mean: with a percent sign, also its hundredth."""

    text: str
    values: tuple[Fraction, ...]


_GROUPED = r"\d{1,3}(?:[,'’\u00a0\u2009\u202f]\d{3})++(?!\d)|\d++"
_NUMBER = re.compile(
    rf"""
    (?P<sign>(?<![\w)\].])[-+])? \$? (?<![\w]) (?<!\d\.)
    (?:
        (?:(?P<whole>\d{{1,9}})\s{{1,3}})? (?P<above>\d++) \s?/\s? (?P<below>\d++) (?![\d/])
      | (?P<integer>{_GROUPED}) (?:\.(?P<part>\d++))? (?:e(?P<power>[-+]?\d{{1,3}})(?!\w))?
      | (?<![\w.])\.(?P<bare>\d++)
    )
    \s?(?P<percent>%)?
    """,
    re.VERBOSE | re.IGNORECASE,
)
_LATEX_FRACTION = re.compile(r"\\[dt]?frac\{\s*(-?)(\d{1,99})\s*\}\{\s*(\d{1,99})\s*\}")
_SLASHES = str.maketrans({"−": "-", "⁄": "/", "∕": "/", "％": "%"})


def numbers_in(text: str) -> list[Found]:
    """Return the numbers that stand in a text, in order; digits inside words (x2, H2O) are none."""
    return [number for match in _written(text) if (number := _found(match)) is not None]


def last_number(text: str) -> Found | None:
    """Return the last of them; those before it are not worked out."""
    return next((number for match in reversed(_written(text)) if (number := _found(match)) is not None), None)


def _written(text: str) -> list[re.Match[str]]:
    plain = _LATEX_FRACTION.sub(r"\1\2/\3", text.replace(r"\%", "%").replace(r"\$", "$"))
    plain = "".join(map(_unfolded, plain)).translate(_SLASHES)
    return list(_NUMBER.finditer(plain))


def _unfolded(character: str) -> str:
    """Return ½ as a blank and 1/2, which 1½ then needs to be read, and any other character as it is."""
    if character > "\x7f" and unicodedata.decomposition(character).startswith("<fraction>"):
        return " " + unicodedata.normalize("NFKC", character)
    return character


def _found(match: re.Match[str]) -> Found | None:
    value = _magnitude(match)
    if value is None:
        return None
    signed = -value if match["sign"] == "-" else value
    return Found(match[0].strip(), (signed, signed / 100) if match["percent"] else (signed,))


def _magnitude(match: re.Match[str]) -> Fraction | None:
    """Return a number without its sign, or None for one with too many digits, or a division by nothing."""
    if len(match[0]) > MOST_DIGITS:
        return None
    if match["above"]:
        below = int(match["below"])
        return int(match["whole"] or 0) + Fraction(int(match["above"]), below) if below else None
    if match["bare"]:
        return Fraction(int(match["bare"]), 10 ** len(match["bare"]))
    digits, part = re.sub(r"\D", "", match["integer"]), match["part"] or ""
    return Fraction(int(digits + part), 10 ** len(part)) * Fraction(10) ** int(match["power"] or 0)
