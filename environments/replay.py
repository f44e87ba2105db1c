"""A recording that is used as an environment: no engine, and the very same answers."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from agentevo.environments.recording import (
    Found,
    Head,
    Listed,
    Opened,
    Shown,
    Stepped,
    Verified,
    canonical,
    digest,
    read,
)
from agentevo.errors import AgentEvoError, Misuse, UnknownName
from agentevo.protocols import Episode, FeedbackLevel
from agentevo.types import Attempt, Card, Feedback, Message, Outcome, Task, Tool

Key: TypeAlias = tuple[str, int, FeedbackLevel]


@dataclass
class _Course:
    """How one recorded episode went."""

    opened: Opened
    steps: list[Stepped] = field(default_factory=list)


class Replayed:
    """Answers from a recording alone, and raises Misuse for what is not in it.

    An episode is chosen by task, seed and feedback level, and step by step by the actions: where several that were
    recorded fit, the first opening follows the first of them, the second the second, and so on, then from the first
    again. A verdict is chosen by what the attempt said, so attempts of other names and costs find theirs too.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._listed: dict[str, tuple[Task, ...]] = {}
        self._found: dict[str, Task] = {}
        self._gold: dict[str, tuple[Message, ...]] = {}
        self._courses: defaultdict[Key, list[_Course]] = defaultdict(list)
        self._verdicts: defaultdict[tuple[str, str], list[Feedback]] = defaultdict(list)
        self._asked: Counter[object] = Counter()
        head = self._read()
        self._digest = hashlib.sha256(self._path.read_bytes()).hexdigest()[:8]
        self.card: Card = head.card
        self._splits = head.splits
        if head.golden:
            self.gold = self._recorded_gold

    def __repr__(self) -> str:
        return f"Replayed({self._path.name!r}, {self._digest})"

    def _read(self) -> Head:
        lines = read(self._path)
        head = next(lines, None)
        if not isinstance(head, Head):
            raise Misuse(f"{self._path} holds no recording; make one with Recorded(environment, path)")
        courses: dict[int, _Course] = {}
        for line in lines:
            match line:
                case Listed():
                    self._listed[line.split] = line.tasks
                    self._found.update((task.id, task) for task in line.tasks)
                case Found():
                    self._found[line.task.id] = line.task
                case Shown():
                    self._gold[line.task] = line.actions
                case Verified():
                    self._verdicts[line.task, line.attempt].append(line.feedback)
                case Opened():
                    courses[line.episode] = _Course(line)
                    self._courses[line.task, line.seed, line.feedback].append(courses[line.episode])
                case Stepped():
                    courses[line.episode].steps.append(line)
        return head

    def splits(self) -> Sequence[str]:
        return self._splits

    def tasks(self, split: str) -> Sequence[Task]:
        if split not in self._splits:
            raise UnknownName(f"split of {self.card.name}", split, self._splits)
        if split not in self._listed:
            raise Misuse(f"{self._path} does not hold the tasks of {split!r}: they were never listed while it recorded")
        return self._listed[split]

    def task(self, id: str) -> Task:
        if id not in self._found:
            raise Misuse(f"{self._path} does not hold the task {id!r}")
        return self._found[id]

    async def open(self, task: Task, seed: int = 0, feedback: FeedbackLevel = "weak") -> Episode:
        key = (task.id, seed, feedback)
        courses = self._courses.get(key, [])
        if not courses:
            raise Misuse(
                f"{self._path} holds no episode of task {task.id!r} with seed {seed} and feedback {feedback!r}"
            )
        turn = self._turn(key, len(courses))
        return _ReplayedEpisode([*courses[turn:], *courses[:turn]], self._path)

    async def verify(self, task: Task, attempt: Attempt) -> Feedback:
        key = (task.id, digest(attempt))
        verdicts = self._verdicts.get(key, [])
        if not verdicts:
            raise Misuse(f"{self._path} holds no verdict on task {task.id!r} for the answer {attempt.answer!r:.80}")
        return verdicts[self._turn(key, len(verdicts))]

    def _recorded_gold(self, task: Task) -> Sequence[Message]:
        if task.id not in self._gold:
            raise Misuse(f"{self._path} does not hold the gold actions of task {task.id!r}")
        return self._gold[task.id]

    def _turn(self, key: object, count: int) -> int:
        """Count how often something was asked for, and start again where all that is recorded was given."""
        self._asked[key] += 1
        return (self._asked[key] - 1) % count


class _ReplayedEpisode:
    """Follows the recorded courses that fit so far."""

    def __init__(self, courses: list[_Course], path: Path) -> None:
        first = courses[0].opened
        self.observation: str = first.observation
        self.tools: Sequence[Tool] = first.tools
        self._courses = [c for c in courses if (c.opened.observation, c.opened.tools) == (self.observation, self.tools)]
        self._path, self._n, self._is_closed = path, 0, False

    async def step(self, action: Message) -> Outcome:
        said = canonical(action)
        fitting = [c for c in self._courses if c.steps[self._n :] and canonical(c.steps[self._n].action) == said]
        if not fitting:
            raise self._unknown(action)
        self._courses, self._n = fitting, self._n + 1
        step = fitting[0].steps[self._n - 1]
        if step.refused:
            raise Misuse(step.refused)
        if step.outcome is None:
            raise AgentEvoError(f"as it was recorded in {self._path}: {step.error}")
        return step.outcome

    def _unknown(self, action: Message) -> Misuse:
        if self._is_closed:
            return Misuse("this episode is closed; open another one")
        known = {f"{c.steps[self._n].action.get('content')!r:.60}" for c in self._courses if c.steps[self._n :]}
        return Misuse(
            f"{self._path} does not know what follows {action!r:.120} as step {self._n + 1}; "
            f"recorded there: {', '.join(sorted(known)) or 'nothing, the episode ended'}"
        )

    async def close(self) -> None:
        self._is_closed = True
