"""One programming task, answered in one step: the program."""

from __future__ import annotations

from collections.abc import Sequence

from agentevo.environments.code.judging import Judge
from agentevo.environments.code.reply import program_in
from agentevo.environments.code.task import CodeTask
from agentevo.errors import Misuse
from agentevo.protocols import FeedbackLevel
from agentevo.types import Message, Outcome, Tool


class OneShot:
    """A program is asked for: the first action is the program, and the end.

    none: nothing is run or told. weak: right or wrong. strong: after a failure also what the visible tests said, and
    what would have been right.
    """

    tools: Sequence[Tool] = ()

    def __init__(self, asked: CodeTask, judge: Judge, feedback: FeedbackLevel) -> None:
        self._asked, self._judge, self._feedback = asked, judge, feedback
        self._over = ""
        self.observation = asked.task.prompt

    async def step(self, action: Message) -> Outcome:
        """Take the text of a message as the program. Raise Misuse for a step after the only one, or after close."""
        if self._over:
            raise Misuse(f"this episode {self._over}; open another one")
        self._over = "has had its only step"
        if self._feedback == "none":
            return Outcome(observation="", terminated=True)
        content = action.get("content")
        program = program_in(content, self._asked) if isinstance(content, str) else None
        return await self._judge.outcome(self._asked, program, self._asked.files, self._feedback)

    async def close(self) -> None:
        self._over = "is closed"
