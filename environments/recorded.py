"""An environment that is recorded as it is used."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from agentevo.environments.recording import (
    Closed,
    Found,
    Head,
    Line,
    Listed,
    Opened,
    Shown,
    Stepped,
    Verified,
    digest,
    mended,
    written,
)
from agentevo.environments.wrappers import Wrapped, WrappedEpisode
from agentevo.errors import Misuse
from agentevo.protocols import Environment, Episode, FeedbackLevel, Golden
from agentevo.types import Attempt, Feedback, Message, Outcome, Task


class Recorded(Wrapped):
    """Writes what an environment does to a file, a line of JSON for each thing, as it happens.

    A recording that is there already is gone on with, if it is of the same environment. Recorded are tasks, episodes
    with each step, gold actions and verdicts. A step that was cancelled is not: nothing came of it.
    """

    def __init__(self, environment: Environment, path: str | os.PathLike[str]) -> None:
        super().__init__(environment)
        self._path, self._lock = Path(path), threading.Lock()
        is_golden = isinstance(environment, Golden)
        head = Head(card=environment.card, splits=tuple(environment.splits()), golden=is_golden)
        lines = mended(self._path) if self._path.exists() else []
        if not lines:
            self._write(head)
        elif lines[0] != head:
            raise Misuse(f"{self._path} holds a recording of another environment; name a new file for this one")
        self._once = {written(line) for line in lines if isinstance(line, Listed | Found | Shown)}
        self._episodes = sum(isinstance(line, Opened) for line in lines)
        if isinstance(environment, Golden):
            self._inner_gold, self.gold = environment.gold, self._recorded_gold

    def _write(self, line: Line) -> None:
        with self._lock, self._path.open("a", encoding="utf-8") as file:
            file.write(written(line))

    def _write_once(self, line: Listed | Found | Shown) -> None:
        with self._lock:
            if (text := written(line)) in self._once:
                return
            self._once.add(text)
        self._write(line)

    def tasks(self, split: str) -> Sequence[Task]:
        tasks = self._environment.tasks(split)
        self._write_once(Listed(split=split, tasks=tuple(tasks)))
        return tasks

    def task(self, id: str) -> Task:
        task = self._environment.task(id)
        self._write_once(Found(task=task))
        return task

    async def open(self, task: Task, seed: int = 0, feedback: FeedbackLevel = "weak") -> Episode:
        episode = await self._environment.open(task, seed, feedback)
        with self._lock:
            number, self._episodes = self._episodes, self._episodes + 1
        seen = {"observation": episode.observation, "tools": tuple(episode.tools)}
        self._write(
            Opened.model_validate({"episode": number, "task": task.id, "seed": seed, "feedback": feedback, **seen})
        )
        return _RecordedEpisode(episode, number, self._write)

    async def verify(self, task: Task, attempt: Attempt) -> Feedback:
        feedback = await self._environment.verify(task, attempt)
        self._write(Verified(task=task.id, attempt=digest(attempt), feedback=feedback))
        return feedback

    def _recorded_gold(self, task: Task) -> Sequence[Message]:
        actions = self._inner_gold(task)
        self._write_once(Shown(task=task.id, actions=tuple(actions)))
        return actions


class _RecordedEpisode(WrappedEpisode):
    """Writes each step with what came of it."""

    def __init__(self, episode: Episode, number: int, write: Callable[[Line], None]) -> None:
        super().__init__(episode)
        self._number, self._write = number, write

    async def step(self, action: Message) -> Outcome:
        try:
            outcome = await self._episode.step(action)
        except Misuse as error:
            self._write(Stepped(episode=self._number, action=action, refused=str(error)))
            raise
        except Exception as error:  # an engine may raise anything; what it was belongs into the recording
            self._write(Stepped(episode=self._number, action=action, error=f"{type(error).__name__}: {error}"))
            raise
        self._write(Stepped(episode=self._number, action=action, outcome=outcome))
        return outcome

    async def close(self) -> None:
        await self._episode.close()
        self._write(Closed(episode=self._number))
