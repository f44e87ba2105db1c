"""Programming tasks as an environment: a program is asked for, runs in the sandbox, and its hidden tests score it."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from agentevo.environments.code.episode import OneShot
from agentevo.environments.code.files import RUNNERS, Files, replayed
from agentevo.environments.code.judging import TIMEOUT_S, Judge
from agentevo.environments.code.reply import program_in, whole
from agentevo.environments.code.task import CodeTask, Test
from agentevo.environments.code.workspace import Workspace
from agentevo.errors import Misuse, UnknownName
from agentevo.protocols import Episode, FeedbackLevel
from agentevo.types import Attempt, Card, Feedback, Message, Task

if TYPE_CHECKING:
    from agentevo.environments.sandbox import Sandbox

Mode: TypeAlias = Literal["answer", "workspace"]
INSTRUCTIONS = {
    "answer": "Write the Python program that is asked for.",
    "workspace": "Write the Python program that is asked for, with the tools: `test` runs the visible tests. "
    "When it is done, say so in a sentence.",
}
"""By mode."""


class Code:
    """Tasks whose answer is a program. Its score is the share of hidden tests that it passes; right is all of them.

    mode "answer": an answer is the program, bare or in a fence. mode "workspace": an episode has files and the tools
    read, write, edit, run and test; what counts is the files as they were written, not what a program left behind.

    Programs run in the sandbox alone: `sandbox`, or one that all environments share, made when it is first needed.
    Hidden tests are never in a program's files, in feedback, or in what a program raised: a failing one counts, and
    says no more.
    """

    def __init__(
        self,
        tasks: Sequence[CodeTask],
        *,
        name: str,
        description: str,
        licence: str,
        version: str = "",
        instruction: str = "",
        mode: Mode = "answer",
        sandbox: Sandbox | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        if mode not in get_args(Mode):
            raise UnknownName("mode", str(mode), get_args(Mode))
        if sandbox is not None and not hasattr(sandbox, "ajudge"):
            raise Misuse(f"sandbox is {sandbox!r:.60}; expected a Sandbox, or None for the one that all share")
        if not tasks:
            raise Misuse(f"{name} has no tasks; expected one or more")
        self._tasks, self._mode = tuple(tasks), mode
        self._by_id = {one.task.id: one for one in self._tasks}
        if len(self._by_id) < len(self._tasks):
            twice, _ = Counter(one.task.id for one in self._tasks).most_common(1)[0]
            raise Misuse(f"{name} has the task {twice!r} twice; expected a name of its own for each")
        if not 0 < timeout_s < math.inf:
            raise Misuse(f"timeout_s is {timeout_s!r}; expected the seconds that the tests of a task may take, above 0")
        self.judge = Judge(sandbox, timeout_s)
        self.card = Card(
            name=name, version=version or _digest(self._tasks), description=description, licence=licence,
            instruction=INSTRUCTIONS[mode] if mode == "workspace" else instruction or INSTRUCTIONS[mode],
            ability="coding", splits=dict(Counter(one.split for one in self._tasks)), null_score=0.0,
            gold_score=1.0 if all(one.gold is not None for one in self._tasks) else None,
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.card.name!r}, mode={self._mode!r}, {len(self._tasks)} tasks)"

    def splits(self) -> Sequence[str]:
        return tuple(self.card.splits)

    def tasks(self, split: str) -> Sequence[Task]:
        """Return the tasks of a split, in order. Raise UnknownName for a split that is not here."""
        if split not in self.card.splits:
            raise UnknownName(f"split of {self.card.name}", split, self.card.splits)
        return [one.task for one in self._tasks if one.split == split]

    def task(self, id: str) -> Task:
        return self._known(id).task

    async def open(self, task: Task, seed: int = 0, feedback: FeedbackLevel = "weak") -> Episode:
        if feedback not in get_args(FeedbackLevel):
            raise UnknownName("feedback level", feedback, get_args(FeedbackLevel))
        asked = self._asked(task)
        if self._mode == "workspace":
            return Workspace(asked, self.judge, feedback, self._files(asked))
        return OneShot(asked, self.judge, feedback)

    async def verify(self, task: Task, attempt: Attempt) -> Feedback:
        asked = self._asked(task)
        program, files = self._made(asked, attempt)
        return await self.judge.verdict(asked, program, files)

    async def run_tests(self, task: Task, answer: str | Attempt, tests: Sequence[Test] = ()) -> list[Feedback]:
        """Run tests, or where none are given the visible ones, on an answer; return what came of each, in order.

        A test is a piece of Python, such as `assert add(1, 2) == 3`, or an input and its output. Its feedback is a
        rule's: a score, and in words what it said, bounded. Hidden tests are not among them, and score nothing here.
        What was made in a workspace is its whole attempt.
        """
        asked = self._asked(task)
        attempt = answer if isinstance(answer, Attempt) else Attempt(id="answer", task=task, answer=answer)
        program, files = self._made(asked, attempt)
        return await self.judge.shown(asked, program, files, tests or asked.visible)

    def gold(self, task: Task) -> Sequence[Message]:
        asked = self._asked(task)
        if asked.gold is None:
            return []
        if self._mode == "workspace":
            return Workspace.writing(asked.file, whole(asked, asked.gold))
        return [{"role": "assistant", "content": asked.gold}]

    def _files(self, asked: CodeTask) -> Files:
        begun = {asked.file: f"{asked.prologue}{asked.starter}"} if asked.starter else {}
        return Files(asked.files, begun, {*RUNNERS} - {asked.file})

    def _made(self, asked: CodeTask, attempt: Attempt) -> tuple[str | None, dict[str, str]]:
        """Return the program of an attempt, and the files beside it."""
        if self._mode == "workspace":
            files = replayed(self._files(asked), attempt.messages[attempt.prompt :])
            if files.is_changed:
                program, beside = files.all().get(asked.file), files.beside(asked.file)
                return None if program is None else whole(asked, program), beside
        return program_in(attempt.answer, asked), dict(asked.files)

    def _known(self, id: str) -> CodeTask:
        if id not in self._by_id:
            raise Misuse(f"{self!r} has no task {id!r:.80}; its first is {next(iter(self._by_id))!r}")
        return self._by_id[id]

    def _asked(self, task: Task) -> CodeTask:
        """Return what is known of a task, also of one that travelled, or says more at its end: a review, say."""
        known = self._known(task.id)
        if not task.prompt.startswith(known.task.prompt):
            raise Misuse(f"task {task.id!r} is not the one of {self!r}: it says {task.prompt!r:.120}")
        return known


def _digest(tasks: Sequence[CodeTask]) -> str:
    """Return eight characters that another one has only with other tasks, tests or splits."""
    digest = hashlib.sha256()
    for one in tasks:
        digest.update(repr((one.task.id, one.task.prompt, one.split, one.visible, one.hidden, one.files)).encode())
    return digest.hexdigest()[:8]
