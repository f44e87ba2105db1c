"""The clauses of the environment contract, each a function of a case that raises AssertionError where it is broken.

A clause returns whether it applied. Its name and its docstring are what a broken environment is told.
"""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import get_args

from agentevo.environments.leftovers import left_since, settled
from agentevo.environments.walk import BAD_ACTIONS, PROBE, Walk, attempt_of, ended_by_refusal, walked
from agentevo.errors import Misuse
from agentevo.protocols import Environment, Episode, FeedbackLevel, Golden
from agentevo.types import Attempt, Card, Feedback, Message, Task

LONG = "x" * 1_000_000
DEEDS = 3
"""So many times something may be left behind before it is called so."""


@dataclass(frozen=True)
class Case:
    """What is checked, and how much of it is tried."""

    environment: Environment
    again: Callable[[], Environment] | None
    tasks: int
    episodes: int
    patience_s: float
    played: Callable[[], None] = lambda: None
    """Called after each episode, for who shows how far it is."""

    @functools.cached_property
    def tried(self) -> list[Task]:
        """The first tasks of each split."""
        splits = self.environment.splits()
        return [task for split in splits for task in self.environment.tasks(split)[: self.tasks]]

    def actions(self, task: Task) -> Sequence[Message]:
        """Return what is done in an episode: the right thing where it is known, else something harmless."""
        return self.gold(task) or [PROBE, PROBE]

    def gold(self, task: Task) -> Sequence[Message]:
        return self.environment.gold(task) if isinstance(self.environment, Golden) else []

    async def walk(self, task: Task, environment: Environment | None = None, level: FeedbackLevel = "weak") -> Walk:
        walk = await walked(environment or self.environment, task, self.actions(task), level)
        self.played()
        return walk


Clause = Callable[[Case], Awaitable[bool]]


def _must(holds: bool, why: str) -> None:
    if not holds:
        raise AssertionError(why)


def _refused(what: str, act: Callable[[], object]) -> None:
    try:
        found = act()
    except Misuse:
        return
    raise AssertionError(f"{what} was not refused with Misuse: it gave {found!r:.80}")


# --- what it says of itself


async def card(case: Case) -> bool:
    """The card names the environment, its version, what it is, its licence, its splits, and what known gold scores"""
    told = case.environment.card
    _must(isinstance(told, Card), f"the card is {told!r:.80}, not a Card")
    empty = [name for name in ("name", "version", "description", "licence", "splits") if not getattr(told, name)]
    if told.gold_score is None and any(map(case.gold, case.tried)):
        empty.append("gold_score")
    _must(not empty, f"it says nothing of {', '.join(empty)}")
    return True


async def splits(case: Case) -> bool:
    """The splits are those of the card, with as many tasks as it says; any other is refused"""
    counts = {split: len(case.environment.tasks(split)) for split in case.environment.splits()}
    _must(counts == case.environment.card.splits, f"there are {counts}, the card says {case.environment.card.splits}")
    _must(all(counts.values()), f"a split without tasks is none: {counts}")
    _refused("the split 'no such split'", lambda: case.environment.tasks("no such split"))
    return True


async def disjoint(case: Case) -> bool:
    """No task is in two splits, or twice in one: neither by its id, nor by what it asks"""
    ids: dict[str, str] = {}
    asked: dict[str, str] = {}
    for split in case.environment.splits():
        for task in case.environment.tasks(split):
            _must(task.id not in ids, f"the id {task.id!r} is in {ids.get(task.id)!r} and in {split!r}")
            ids[task.id] = split
            content = json.dumps([task.prompt, task.data], sort_keys=True)
            other = asked.setdefault(content, split)
            _must(
                other == split, f"task {task.id!r} of {split!r} asks the same as one of {other!r}: {task.prompt!r:.80}"
            )
    return True


async def lookup(case: Case) -> bool:
    """Each task is found by its id, the same each time; an id that is not there is refused"""
    for split in case.environment.splits():
        for task in case.environment.tasks(split):
            found = case.environment.task(task.id)
            _must(found == task, f"task({task.id!r}) is {found!r:.200}, and in {split!r} it is {task!r:.200}")
    _refused("the id 'no such task'", lambda: case.environment.task("no such task"))
    return True


async def travels(case: Case) -> bool:
    """A task that went through JSON is the same task, to verify and to open as well"""
    for task in case.tried:
        travelled = Task.model_validate_json(task.model_dump_json())
        _must(travelled == task, f"task {task.id!r} came back as another: {travelled!r:.200}")
        attempts = [attempt_of(t, (await case.walk(t)).messages) for t in (task, travelled)]
        told = [await case.environment.verify(t, a) for t, a in zip((task, travelled), attempts, strict=True)]
        scores = [getattr(one, "score", one) for one in told]  # what is no feedback is for another clause
        _must(scores[0] == scores[1], f"task {task.id!r} is scored {scores[0]}, and {scores[1]} after its travel")
    return True


# --- how its episodes go


async def deterministic(case: Case) -> bool:
    """Under one seed an episode goes the same way again, in a second instance too, and the tasks are the same there"""
    others = [case.environment] if case.again is None else [case.environment, case.again()]
    for other in others:
        for split in case.environment.splits():
            same = list(other.tasks(split)) == list(case.environment.tasks(split))
            _must(same, f"the tasks of {split!r} are others when they are asked for again")
        for task in case.tried:
            for level in get_args(FeedbackLevel):
                once, again = await case.walk(task, level=level), await case.walk(task, other, level)
                _must(once == again, f"task {task.id!r} went {once!s:.300}, then {again!s:.300}")
    return True


async def order(case: Case) -> bool:
    """A step after the end of an episode, or after its closing, is refused with Misuse; nothing else is needed first"""
    for task in case.tried:
        walk = await case.walk(task)
        if walk.is_over:
            _must(walk.refused_after, f"task {task.id!r}: a step after the end was not refused with Misuse")
        episode = await case.environment.open(task)
        await episode.close()
        _must(await ended_by_refusal(episode), f"task {task.id!r}: a step after close was not refused with Misuse")
    return True


async def closes(case: Case) -> bool:
    """An episode can be closed at once and twice, and leaves nothing behind: no task, thread, process or open file"""
    await case.walk(case.tried[0])  # what all episodes share is there from the first one on

    async def used() -> None:
        for task in case.tried:
            episode = await case.environment.open(task)
            await episode.close()
            await episode.close()
            await case.walk(task)

    left = await _left_again(used, case.patience_s)
    _must(not left, f"closed episodes left behind: {', '.join(left):.300}")
    return True


async def cancelled(case: Case) -> bool:
    """A step that is cancelled in the middle ends, leaves nothing behind, and other episodes go as before"""
    task = case.tried[0]
    walk = await case.walk(task)

    async def broken_off() -> None:
        for turns in range(8):
            episode = await case.environment.open(task)
            await _cancelled_after(turns, episode, [*case.actions(task), PROBE][0], case.patience_s)
            await episode.close()

    left = await _left_again(broken_off, case.patience_s)
    _must(not left, f"cancelled steps left behind: {', '.join(left):.300}")
    try:
        async with asyncio.timeout(case.patience_s):
            after = await case.walk(task)
    except TimeoutError:
        raise AssertionError(f"an episode after it did not end within {case.patience_s:g} s") from None
    _must(after == walk, f"an episode after it went {after!s:.300}, and before it {walk!s:.300}")
    return True


async def _left_again(deed: Callable[[], Awaitable[None]], patience_s: float) -> list[str]:
    """Return what a deed leaves behind again and again.

    What episodes share, as workers kept ready, may come meanwhile on a busy machine, and soon comes to an end: so a
    deed that left something has to leave nothing twice in a row.
    """
    times = clean = 0
    while times < DEEDS:
        before = await settled()
        await deed()
        left = await left_since(before, patience_s)
        times, clean = (times + 1, 0) if left else (times, clean + 1)
        if clean == (2 if times else 1):
            return []
    return left


async def _cancelled_after(turns: int, episode: Episode, action: Message, patience_s: float) -> None:
    step = asyncio.ensure_future(episode.step(action))
    for _ in range(turns):
        await asyncio.sleep(0)
    step.cancel()
    _, pending = await asyncio.wait({step}, timeout=patience_s)
    _must(not pending, f"a cancelled step did not end within {patience_s:g} s")
    if not step.cancelled() and not isinstance(error := step.exception(), Misuse | None):
        raise AssertionError(f"a cancelled step raised {type(error).__name__}: {error}")


async def together(case: Case) -> bool:
    """Episodes that run at once go as each does alone"""
    tasks = [case.tried[n % len(case.tried)] for n in range(case.episodes)]
    alone = {task.id: await case.walk(task) for task in tasks}
    walks = await asyncio.gather(*(case.walk(task) for task in tasks))
    for task, walk in zip(tasks, walks, strict=True):
        _must(walk == alone[task.id], f"task {task.id!r} went {walk!s:.300}, and alone {alone[task.id]!s:.300}")
    return True


async def actions(case: Case) -> bool:
    """A bad action (empty, huge, of the wrong type, with an unknown tool) is an outcome, never an exception"""
    task = case.tried[0]
    if (await walked(case.environment, task, [PROBE])).takes_no_steps:
        return False
    for what, action in BAD_ACTIONS.items():
        episode = await case.environment.open(task)
        try:
            await episode.step(action)
        except Exception as error:
            raise AssertionError(f"{what} raised {type(error).__name__}: {error}") from error
        finally:
            await episode.close()
    return True


# --- what it says of attempts


async def verify(case: Case) -> bool:
    """verify tells the same of the same attempt, as environment, with a score from 0 to 1 or none; it never raises"""
    for task in case.tried:
        played = attempt_of(task, (await case.walk(task)).messages)
        for attempt in (played, played.but(answer=LONG), Attempt(id="null", task=task)):
            told = [await case.environment.verify(task, attempt) for _ in range(2)]
            _must(isinstance(told[0], Feedback), f"task {task.id!r}: it gave {told[0]!r:.80}, no Feedback")
            _must(0 <= (told[0].score or 0) <= 1, f"task {task.id!r}: its score is {told[0].score!r}, not 0 to 1")
            _must(told[0] == told[1], f"task {task.id!r}: it gave {told[0]!r:.200}, then {told[1]!r:.200}")
            _must(told[0].source == "environment", f"task {task.id!r}: its feedback is from {told[0].source!r}")
            other = await case.environment.verify(task, attempt.but(id="another", usage=attempt.usage + attempt.usage))
            _must(other == told[0], f"task {task.id!r}: the same attempt under another id got {other!r:.200}")
    return True


async def null(case: Case) -> bool:
    """An attempt that does nothing scores the null score of the card, in the mean"""
    if case.environment.card.null_score is None:
        return False
    attempts = [Attempt(id="null", task=task) for task in case.tried]
    await _scores(case, attempts, case.environment.card.null_score)
    return True


async def gold(case: Case) -> bool:
    """What gold says, done in an episode, scores the gold score of the card, in the mean"""
    if case.environment.card.gold_score is None:
        return False
    _must(isinstance(case.environment, Golden), "the card has a gold score, but there is no method gold")
    attempts = [attempt_of(task, (await case.walk(task)).messages) for task in case.tried]
    await _scores(case, attempts, case.environment.card.gold_score)
    return True


async def _scores(case: Case, attempts: Sequence[Attempt], expected: float) -> None:
    """Compare the mean score with what the card says; a hundredth more or less, as not all tasks are tried."""
    scores = [(await case.environment.verify(attempt.task, attempt)).score for attempt in attempts]
    mean = sum(score or 0.0 for score in scores) / len(scores)
    _must(
        abs(mean - expected) <= 0.01, f"{len(scores)} attempts score {mean:.3f} in the mean, the card says {expected}"
    )


CLAUSES: Sequence[Clause] = (
    card, splits, disjoint, lookup, travels, deterministic, order, closes, cancelled, together, actions, verify, null,
    gold,
)  # fmt: skip
