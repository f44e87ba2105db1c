"""How the library of a house is called: names, order, marks and units, made up so that nobody can know them."""

from __future__ import annotations

import keyword
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from agentevo.environments.code.library.words import OPERATIONS, Operation
from agentevo.environments.tool.house.convention import CONSONANTS, ENDINGS, SIGILS, Dice

VOWELS = "aeiou"
REFUSALS = ("nil", "--", "E7", "none", "?", "0x0", "void", "nix")
MOST = 1_000_000
"""The library refuses what is not above 0, and what is above this, in its own units."""


@dataclass(frozen=True, slots=True)
class Convention:
    """The library of one house: a name and an order of arguments for each operation, marks, units, and a refusal."""

    level: int
    library: str
    functions: Mapping[str, str]
    orders: Mapping[str, tuple[str, ...]]
    sigils: Mapping[str, str]
    factors: Mapping[str, int]
    refusal: str

    @classmethod
    def of(cls, number: int, level: int) -> Convention:
        """Make up the library of a number; the levels of one number share names and orders."""
        dice = Dice(f"library/{number}")
        letters = dice.shuffled(CONSONANTS.lower())
        slots = dict.fromkeys(slot for operation in OPERATIONS for slot in operation.slots)
        return cls(
            level=level,
            library=_name(letters[-1], dice),
            functions={o.name: _name(first, dice) for o, first in zip(OPERATIONS, letters, strict=False)},
            orders={o.name: tuple(dice.shuffled((*o.slots, o.measure))) for o in OPERATIONS},
            sigils=dict(zip(slots, dice.shuffled(SIGILS), strict=False)),
            factors={o.name: dice.one(o.factors) for o in OPERATIONS},
            refusal=dice.one(REFUSALS),
        )

    def call(self, operation: Operation, slots: Mapping[str, str]) -> str:
        """Write the right call of the library for what is asked, with the measure under the name of its unit."""
        said = {slot: f'"{self._marked(slot, value)}"' for slot, value in slots.items()}
        said[operation.measure] = operation.unit + (f" * {self._factor(operation)}" if self.level > 1 else "")
        arguments = ", ".join(said[name] for name in self.orders[operation.name])
        return f"{self.library}.{self.functions[operation.name]}({arguments})"

    def ticket(self, operation: Operation, slots: Mapping[str, str], measure: int) -> str:
        """Return what the library gives for the right call."""
        amount = measure * self._factor(operation)
        if not 0 < amount <= MOST:
            return self.refusal
        words = [self._marked(slot, slots[slot]) for slot in self.orders[operation.name] if slot in slots]
        return f"{zlib.crc32('/'.join([self.functions[operation.name], f'{amount:g}', *words]).encode()):08x}"

    def source(self) -> str:
        """Return the library itself, as Python."""
        return _MODULE.format(
            refusal=self.refusal, most=MOST, functions="\n\n".join(self._function(o) for o in OPERATIONS)
        )

    def documentation(self) -> str:
        """Return what the library says of itself: names and arguments; nothing of marks, units and refusals."""
        lines = [f"- `{self.library}.{self._signature(o)}`: {o.does}." for o in OPERATIONS]
        told = (
            "Each function returns a ticket, a short text. It refuses a measure that is not above 0, or is too large."
        )
        return "\n".join([f"# {self.library}", "", *lines, "", told, ""])

    def _function(self, operation: Operation) -> str:
        slots = [slot for slot in self.orders[operation.name] if slot != operation.measure]
        words = ", ".join(f"({slot}, {self._mark(slot)!r})" for slot in slots)
        function = self.functions[operation.name]
        return (
            f'def {self._signature(operation)}:\n    """{operation.does}."""\n'
            f"    return _ticket({function!r}, {operation.measure}, {words})\n"
        )

    def _signature(self, operation: Operation) -> str:
        return f"{self.functions[operation.name]}({', '.join(self.orders[operation.name])})"

    def _factor(self, operation: Operation) -> int:
        return self.factors[operation.name] if self.level > 1 else 1

    def _mark(self, slot: str) -> str:
        return self.sigils[slot] if self.level > 1 else ""

    def _marked(self, slot: str, value: str) -> str:
        return self._mark(slot) + value


_MODULE = '''"""The library of the house."""

import zlib as _zlib


def _ticket(name, measure, *words):
    if type(measure) not in (int, float) or not 0 < measure <= {most}:
        return "{refusal}"
    if any(type(word) is not str or not word.startswith(mark) for word, mark in words):
        return "{refusal}"
    said = "/".join([name, format(measure, "g"), *(word for word, _ in words)])
    return format(_zlib.crc32(said.encode()), "08x")


{functions}'''


def _name(first: str, dice: Dice) -> str:
    """Make up a name that Python takes: there are `del` and `for`."""
    while keyword.iskeyword(name := first + dice.one(VOWELS) + dice.one(ENDINGS.lower())):
        pass
    return name
