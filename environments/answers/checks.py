"""What makes an answer right: a check compares a reply with the right answers, and is data: a name with arguments."""

from __future__ import annotations

import dataclasses
import math
import re
import string
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Literal, TypeAlias

from agentevo.environments.answers.numbers import last_number, numbers_in
from agentevo.errors import Misuse, UnknownName
from agentevo.types import Json

LONGEST_REPLY = 100_000
"""A reply with more characters than this is wrong unread, so that reading one costs little."""


@dataclass(frozen=True, slots=True)
class Right:
    """What only the environment knows of a task: the texts that count as right, and the options of a choice."""

    texts: tuple[str, ...]
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Exact:
    """The whole reply is one of the right texts.

    Not counted: case; how characters are encoded (NFKC, so that full-width letters are letters, but also ² is 2); how
    much white space there is; quotes, backticks, asterisks and brackets around the whole; points, commas, colons,
    semicolons, question and exclamation marks at its end.
    """

    name: ClassVar[str] = "exact"
    instruction: ClassVar[str] = "Give the answer alone."

    def problem(self, right: Right) -> str:
        return ""

    def accepts(self, reply: str, right: Right) -> bool:
        return folded(reply) in map(folded, right.texts)

    def gold(self, right: Right) -> str:
        return right.texts[0]


@dataclass(frozen=True)
class Number:
    """A number in the reply equals the last number of a right text, up to `tolerance` (absolute).

    which: the "last" number of the reply counts, or the "only" one: then a reply that names two values is wrong.
    Read are thousands separators (1,234 and the thin spaces; a decimal comma is not read), 3/4, 1 1/2, ½, \\frac{3}{4},
    1e3. Where one side has a percent sign and the other has not, 12% is both 12 and 0.12.
    """

    tolerance: float = 0.0
    which: Literal["last", "only"] = "last"
    name: ClassVar[str] = "number"
    instruction: ClassVar[str] = "Answer with a number."

    def __post_init__(self) -> None:
        if isinstance(self.tolerance, bool) or not isinstance(self.tolerance, (int, float)):
            raise Misuse(f"tolerance is {self.tolerance!r}; expected a number, 0 or more")
        if not 0 <= self.tolerance < math.inf:
            raise Misuse(f"tolerance is {self.tolerance!r}; expected a number, 0 or more")
        if self.which not in ("last", "only"):
            raise UnknownName("number to look at", str(self.which), ("last", "only"))

    def problem(self, right: Right) -> str:
        without = [text for text in right.texts if last_number(text) is None]
        return f"the answer {without[0]!r:.80} holds no number" if without else ""

    def accepts(self, reply: str, right: Right) -> bool:
        said = last_number(reply)
        if said is None or (self.which == "only" and len({number.values for number in numbers_in(reply)}) > 1):
            return False
        rights = (last_number(text) for text in right.texts)
        return any(number is not None and self._near(said.values, number.values) for number in rights)

    def _near(self, said: tuple[Fraction, ...], right: tuple[Fraction, ...]) -> bool:
        pairs = [(said[0], right[0])] if len(said) == len(right) else [(a, b) for a in said for b in right]
        return any(abs(a - b) <= Fraction(str(self.tolerance)) for a, b in pairs)

    def gold(self, right: Right) -> str:
        number = last_number(right.texts[0])
        return right.texts[0] if number is None else number.text


@dataclass(frozen=True)
class Choice:
    """The reply names the right one of the options, by its letter or by its text.

    Read as a letter: `B`, `(b)`, `B) text`, `the answer is B`, \\boxed{B}, or the only capital letter that stands
    alone; as a text: an option as the whole reply, or the only option whose words are in it. Else the reply is wrong.
    """

    name: ClassVar[str] = "choice"
    instruction: ClassVar[str] = "Answer with the letter of the right option."

    def problem(self, right: Right) -> str:
        if not 2 <= len(right.options) <= len(string.ascii_uppercase):
            return f"a choice has 2 to {len(string.ascii_uppercase)} options, this one {len(right.options)}"
        if len(set(map(folded, right.options))) < len(right.options):
            return "two of its options are the same"
        unknown = [text for text in right.texts if _option(text, right.options) is None]
        return f"the answer {unknown[0]!r:.80} is neither an option nor the letter of one" if unknown else ""

    def accepts(self, reply: str, right: Right) -> bool:
        chosen = chosen_in(reply, right.options)
        return chosen is not None and chosen in {_option(text, right.options) for text in right.texts}

    def gold(self, right: Right) -> str:
        return string.ascii_uppercase[_option(right.texts[0], right.options) or 0]


@dataclass(frozen=True)
class Pattern:
    """The reply without white space around it matches a right text, which is a regular expression.

    The whole reply has to match, or any part of it if `search`. A match that takes longer than `seconds` is given up,
    and the reply is wrong. An expression says what is right but is no right answer: `example` columns give these.
    """

    search: bool = False
    ignore_case: bool = False
    seconds: float = 1.0
    name: ClassVar[str] = "pattern"
    instruction: ClassVar[str] = "Give the answer alone."

    def __post_init__(self) -> None:
        if not 0 < self.seconds <= 60:
            raise Misuse(f"seconds is {self.seconds!r}; expected how long a match may take, above 0 and up to 60")

    def problem(self, right: Right) -> str:
        import regex  # type: ignore[import-untyped]  # unlike re, it can be told to give up

        for text in right.texts:
            try:
                regex.compile(text)
            except (regex.error, OverflowError, RecursionError) as error:
                return f"the answer {text!r:.80} is no regular expression: {error}"
        return ""

    def accepts(self, reply: str, right: Right) -> bool:
        import regex

        flags = regex.IGNORECASE if self.ignore_case else 0
        match = regex.search if self.search else regex.fullmatch
        try:
            return any(
                match(text, reply.strip(), flags, timeout=self.seconds, concurrent=True) is not None
                for text in right.texts
            )
        except (TimeoutError, MemoryError):
            return False


Check: TypeAlias = Exact | Number | Choice | Pattern
CHECKS: Mapping[str, type[Exact] | type[Number] | type[Choice] | type[Pattern]] = {
    kind.name: kind for kind in (Exact, Number, Choice, Pattern)
}


def as_check(check: str | Check) -> Check:
    """Return a check by its name, with its defaults, or the check itself. Raise UnknownName for another name."""
    if isinstance(check, str):
        if check not in CHECKS:
            raise UnknownName("check", check, CHECKS)
        return CHECKS[check]()
    if not isinstance(check, tuple(CHECKS.values())):
        raise Misuse(f"check is {check!r}; expected one of {', '.join(CHECKS)}, or such as Number(tolerance=0.01)")
    return check


def as_data(check: Check) -> dict[str, Json]:
    """Return a check as data: its name and its arguments."""
    given = {field.name: getattr(check, field.name) for field in dataclasses.fields(check)}
    return {"name": check.name, **given}


_PAIRS = {"(": ")", "[": "]", "{": "}", "«": "»", "“": "”", "‘": "’", "„": "“", **{q: q for q in "\"'`*"}}
_AT_THE_END = ".,:;!?。、 "


def folded(text: str) -> str:
    """Return a text as Exact compares it; one that is all punctuation keeps it."""
    plain = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    inner = plain
    while inner:
        stripped = inner.rstrip(_AT_THE_END)
        if len(stripped) > 1 and _PAIRS.get(stripped[0]) == stripped[-1]:
            stripped = stripped[1:-1].strip()
        if stripped == inner:
            break
        inner = stripped
    return inner or plain


_MARKED = re.compile(r"[\s(\[*\"'`]*([A-Za-z])(?:[\s*\"'`]*[)\].:]|[\s*\"'`]*\Z)")
_SAID = re.compile(r"(?:answer|option|choice)(?: is|:| is:)?[\s(\[*\"'`]*([A-Z])(?![\w'’])|\\boxed\{\s*([A-Za-z])\s*\}")
_ALONE = re.compile(r"(?<![\w'’])(?!I\b|A\s+(?!(?:is|and|or)\b)[a-z])([A-Z])(?![\w'’])")
"""A capital letter by itself, but not the pronoun, and not the article."""


def chosen_in(reply: str, options: Sequence[str]) -> int | None:
    """Return which option a reply names, or None if it names none or leaves it open."""
    whole = folded(reply)
    texts = [folded(option) for option in options]
    if whole in texts:
        return texts.index(whole)
    marked, said, alone = _MARKED.match(reply), _SAID.findall(reply), set(_ALONE.findall(reply))
    if marked and (chosen := _index(marked[1], options)) is not None:
        return chosen
    if said and (chosen := _index("".join(said[-1]), options)) is not None:
        return chosen
    if (chosen := _mentioned(whole, texts)) is not None:
        return chosen
    return _index(alone.pop(), options) if len(alone) == 1 else None


def _index(letter: str, options: Sequence[str]) -> int | None:
    """Return which option has this letter."""
    index = string.ascii_uppercase.find(letter.upper())
    return index if len(letter) == 1 and 0 <= index < len(options) else None


def _mentioned(whole: str, texts: Sequence[str]) -> int | None:
    """Return the only option whose words stand in a reply; an option inside a longer one that is there is not meant."""
    there = [n for n, text in enumerate(texts) if re.search(rf"(?<!\w){re.escape(text)}(?!\w)", whole)]
    outermost = [n for n in there if not any(m != n and texts[n] in texts[m] for m in there)]
    return outermost[0] if len(outermost) == 1 else None


def _option(text: str, options: Sequence[str]) -> int | None:
    """Return which option a right answer means: the one with this text, or else with this letter."""
    texts = [folded(option) for option in options]
    if folded(text) in texts:
        return texts.index(folded(text))
    return _index(folded(text).strip("().:"), options)
