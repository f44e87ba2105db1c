"""The steps of attempts, written as they are taken: what is left to read when a process dies in the middle of one."""

from __future__ import annotations

from pathlib import Path

from agentevo.errors import Misuse
from agentevo.events import Added, Ended, Event, Started
from agentevo.journal import Journal, records
from agentevo.position import attempt_id
from agentevo.types import Attempt, Message, Record, Task, Usage


class Step(Record):
    """One line: an attempt began, went on by a message, or ended."""

    attempt: str
    task: Task | None = None
    message: Message | None = None
    ended: str = ""


class Steps:
    """Listens to attempts and writes each step down at once; without a path it lets them pass."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._journal: Journal | None = None
        self._is_closed = False

    def note(self, event: Event) -> None:
        """Write down what happened, where it is a step of an attempt."""
        if self._path is None:
            return
        match event:
            case Started(attempt=name, task=task):
                step = Step(attempt=name, task=task)
            case Added(attempt=name, message=message):
                step = Step(attempt=name, message=message)
            case Ended(attempt=attempt):
                step = Step(attempt=attempt.id, ended=attempt.stopped or "by itself")
            case _:
                return
        if self._is_closed:
            raise Misuse("this agent was closed, and takes no more steps; make another one")
        if self._journal is None:
            self._journal = Journal(self._path)
        self._journal.append(step.model_dump_json(exclude_defaults=True))

    def close(self) -> None:
        self._is_closed = True
        if self._journal is not None:
            self._journal.close()


class Seen:
    """Listens to attempts and keeps the one that began last: what there is of it when a limit ends it."""

    def __init__(self) -> None:
        self._made: Attempt | None = None

    def note(self, event: Event) -> None:
        """Keep what happened, where it is a step of the latest attempt."""
        match event:
            case Started(attempt=name, task=task):
                self._made = Attempt(id=name, task=task)
            case Ended(attempt=attempt) if self._made is not None and attempt.id == self._made.id:
                self._made = attempt

    def attempt(self, task: Task, stopped: str, usage: Usage) -> Attempt:
        """Return what there is of the attempt; its answer is what the model said last."""
        made = self._made or Attempt(id=attempt_id(), task=task)
        return made.model_copy(update={"task": task, "stopped": stopped, "usage": usage})


def unfinished(path: str | Path) -> list[Attempt]:
    """Return the attempts that began in a file of steps and did not end, with the messages that there are of them."""
    begun: dict[str, Attempt] = {}
    for step in records(Path(path), Step):
        if step.task is not None:
            begun[step.attempt] = Attempt(id=step.attempt, task=step.task, stopped="did not end")
        elif step.ended:
            begun.pop(step.attempt, None)
        elif step.message is not None and (attempt := begun.get(step.attempt)):
            begun[step.attempt] = attempt.model_copy(update={"messages": (*attempt.messages, step.message)})
    return list(begun.values())
