"""The tasks of a house's library: programs asked for in each split, with their tests and what would be right."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from agentevo.environments.code.library.convention import Convention
from agentevo.environments.code.library.words import OPERATIONS, VALUES, Operation
from agentevo.environments.code.task import CodeTask
from agentevo.environments.tool.house.convention import Dice
from agentevo.types import Task

SEEN, NEW = "seen phrasing", "new phrasing"
SHARES: Mapping[str, tuple[int, ...]] = {"train": (0, 1), "dev": (2,), "test": (3, 4)}
"""The digest of what is asked for, modulo 5, says which split may ask it: nothing is asked in two of them."""
VISIBLE, HIDDEN = 2, 5
KEPT = (3, 6)
"""So many places after the first step's operation, in the list, stand the second ones that are kept for what is new."""
LARGEST = 90
"""Programs are tried with measures from 1 to this."""


@dataclass(frozen=True, slots=True)
class Step:
    """One call of the library that a program is to make."""

    operation: Operation
    slots: Mapping[str, str]


def requests(number: int, level: int, split: str, count: int) -> Iterator[CodeTask]:
    """Draw the tasks of a split, none twice; a smaller count gives the first of them.

    Levels 1 and 2 ask the same, in the same words; level 3 asks for a second step too. In the test split every other
    task of a round is phrased in a way that no other split knows; such a task of level 3 also has two steps that no
    task of another split has one after the other.
    """
    convention, dice = Convention.of(number, level), Dice(f"library/{number}/{split}")
    more = Dice(f"library/{number}/{split}/more")  # a stream of its own, so that levels share what is drawn first
    taken: set[str] = set()
    for n, operation in enumerate(_operations(dice, count)):
        is_new = split == "test" and (n + n // len(OPERATIONS)) % 2 == 1
        steps = [Step(operation, _slots(dice, operation, split, taken))]
        said = [_said(dice, steps[0], is_new)]
        if level == 3:
            steps.append(_second(more, operation, is_new))
            said.append(f"Then: {_said(more, steps[1], is_new)}")
            said.append("Return both tickets as a list, or None where one of them is refused.")
        yield _task(convention, steps, " ".join(said), f"{number}-{level}-{split}-{n:03}", split, is_new)


def _task(convention: Convention, steps: list[Step], sentence: str, name: str, split: str, is_new: bool) -> CodeTask:
    entry_point = "_then_".join(step.operation.name for step in steps)
    head = f"{entry_point}({', '.join(step.operation.unit for step in steps)})"
    tests = _tests(convention, entry_point, steps, Dice(f"library/{name}"))
    visible = tuple(tests[:VISIBLE])
    return CodeTask(
        task=Task(
            id=f"library-{name}", prompt=f"{head}: {sentence}",
            data={"group": NEW if is_new else SEEN, "entry_point": entry_point, "tests": list(visible)},
            provenance="house library",
        ),
        split=split, entry_point=entry_point, visible=visible, hidden=tuple(tests[VISIBLE:]),
        gold=f"def {head}:{_body(convention, steps)}", prologue=f"import {convention.library}",
        files={f"{convention.library}.py": convention.source(), "README.md": convention.documentation()},
    )  # fmt: skip


def _body(convention: Convention, steps: list[Step]) -> str:
    calls = [convention.call(step.operation, step.slots) for step in steps]
    if len(calls) == 1:
        return f" return {calls[0]}"
    return f'\n    tickets = [{", ".join(calls)}]\n    return None if "{convention.refusal}" in tickets else tickets'


def _tests(convention: Convention, entry_point: str, steps: list[Step], dice: Dice) -> list[str]:
    """Return tests with different measures; where refusals matter, every other one also has a measure refused.

    No test is about a refusal alone: a program that always says None is to pass none.
    """
    columns = [dice.shuffled(range(1, LARGEST + 1)) for _ in steps]
    tests = []
    for n in range(VISIBLE + HIDDEN):
        measures = [column[n] for column in columns]
        test = _assert(convention, entry_point, steps, measures)
        if len(steps) > 1 and n % 2 == 1:
            measures[n // 2 % 2] = 0
            test += f"\nassert {entry_point}({', '.join(map(str, measures))}) is None"
        tests.append(test)
    return tests


def _assert(convention: Convention, entry_point: str, steps: list[Step], measures: list[int]) -> str:
    tickets = [convention.ticket(s.operation, s.slots, m) for s, m in zip(steps, measures, strict=True)]
    right = repr(tickets[0] if len(tickets) == 1 else tickets)
    return f"assert {entry_point}({', '.join(map(str, measures))}) == {right}"


def _operations(dice: Dice, count: int) -> Iterator[Operation]:
    """Yield shuffled rounds of all operations, so that each comes up early and equally often."""
    left: list[Operation] = []
    for _ in range(count):
        left = left or dice.shuffled(OPERATIONS)
        yield left.pop()


def _said(dice: Dice, step: Step, is_new: bool) -> str:
    return dice.one(step.operation.new if is_new else step.operation.seen).format_map(step.slots)


def _slots(dice: Dice, operation: Operation, split: str, taken: set[str]) -> dict[str, str]:
    """Draw values for the slots of an operation that this split may use, and has not used yet."""
    while True:
        slots = _drawn(dice, operation)
        asked = " ".join((operation.name, *slots.values()))
        if hashlib.sha256(asked.encode()).digest()[0] % 5 in SHARES[split] and asked not in taken:
            taken.add(asked)
            return slots


def _second(dice: Dice, first: Operation, is_new: bool) -> Step:
    """Draw what comes second."""
    place = OPERATIONS.index(first)
    others = [o for n, o in enumerate(OPERATIONS) if o != first and ((n - place) % len(OPERATIONS) in KEPT) == is_new]
    operation = dice.one(others)
    return Step(operation, _drawn(dice, operation))


def _drawn(dice: Dice, operation: Operation) -> dict[str, str]:
    return {slot: dice.one(VALUES[slot]) for slot in operation.slots}
