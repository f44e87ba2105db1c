"""One programming task in a workspace: files, a place to run programs, and the visible tests."""

from __future__ import annotations

import json
from collections.abc import Sequence

from agentevo.environments.code.files import EDIT, ERROR, READ, WRITE, Call, Files, calls_in
from agentevo.environments.code.judging import Judge
from agentevo.environments.code.programs import Programs
from agentevo.environments.code.reply import whole
from agentevo.environments.code.task import CodeTask
from agentevo.errors import Misuse
from agentevo.protocols import FeedbackLevel
from agentevo.quote import cut
from agentevo.types import Json, Message, Outcome, Tool

RUN, TEST = "run", "test"
SHOWN = 8_000
"""Characters of what a tool says."""


def _tool(name: str, description: str, **parameters: str) -> Tool:
    properties: dict[str, Json] = {key: {"type": "string", "description": told} for key, told in parameters.items()}
    schema: dict[str, Json] = {"type": "object", "properties": properties, "required": [*parameters]}
    return Tool(name=name, description=description, parameters=schema)


TOOLS = (
    _tool(READ, "Read a file.", path="Its name."),
    _tool(WRITE, "Write a file, new or anew.", path="Its name.", content="The whole text of it."),
    _tool(EDIT, "Replace a text that is in a file once.", path="Its name.", old="What is there.", new="What is to be."),
    _tool(
        RUN,
        "Run Python beside the files, which it can import; see what it prints. Names, and files it makes, stay for the "
        "next run; a solution is what `write` and `edit` wrote.",
        code="The program.",
    ),
    _tool(TEST, "Run the visible tests on the solution."),
)


class Workspace:
    """Files and tools; an action without a call ends the episode.

    Programs are steps of one session: what they make, later ones find, and `read` shows. What counts is the files as
    they were written, so that an attempt can be judged from its messages. What the level of feedback says is told at
    the end, as to a single answer; the output of the tools is the same.
    """

    tools: Sequence[Tool] = TOOLS

    def __init__(self, asked: CodeTask, judge: Judge, feedback: FeedbackLevel, files: Files) -> None:
        self._asked, self._judge, self._feedback, self._files = asked, judge, feedback, files
        self._programs = Programs(judge)
        self._over = ""
        self.observation = f"{asked.task.prompt}\n\nFiles: {', '.join(files.names()) or 'none yet'}. {_told(asked)}"

    @staticmethod
    def writing(path: str, content: str) -> list[Message]:
        """Return the actions that write a file, and are done."""
        function: Json = {"name": WRITE, "arguments": json.dumps({"path": path, "content": content})}
        call: Json = {"id": "write", "type": "function", "function": function}
        return [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "assistant", "content": "Done."},
        ]

    async def step(self, action: Message) -> Outcome:
        """Run the calls of a message, or end. Raise Misuse for a step after the end, or after close."""
        if self._over:
            raise Misuse(f"this episode {self._over}; open another one")
        calls = calls_in(action)
        if calls:
            said = [cut(await self._result(call), SHOWN) for call in calls]
            return Outcome(observation="\n\n".join(said))
        self._over = "is over"
        await self._programs.close()
        if self._feedback == "none":
            return Outcome(observation="", terminated=True)
        beside = self._files.beside(self._asked.file)
        return await self._judge.outcome(self._asked, self._program(), beside, self._feedback)

    async def close(self) -> None:
        self._over = "is closed"
        await self._programs.close()

    async def _result(self, call: Call) -> str:
        if call.problem:
            return ERROR + call.problem
        if call.name == READ and (made := await self._made(call)) is not None:
            return made
        if call.name in (READ, WRITE, EDIT):
            return self._files.change(call)
        if call.name == RUN:
            code = call.arguments.get("code")
            if not isinstance(code, str):
                return f"{ERROR}run needs 'code' as a text; got {code!r:.60}."
            return await self._programs.printed(code, self._files.all())
        if call.name == TEST:
            return await self._tested()
        return f"{ERROR}there is no tool {call.name!r:.60}; there are: {', '.join(tool.name for tool in TOOLS)}"

    async def _made(self, call: Call) -> str | None:
        """Return what is in a file that only a program has made."""
        path = call.arguments.get("path")
        return await self._programs.made(path) if isinstance(path, str) and path not in self._files.names() else None

    async def _tested(self) -> str:
        if not self._asked.visible:
            return "There are no visible tests for this task."
        beside = self._files.beside(self._asked.file)
        found = await self._judge.shown(self._asked, self._program(), beside, self._asked.visible)
        passed = sum(feedback.score == 1 for feedback in found)
        return "\n".join([f"{passed} of {len(found)} visible tests pass.", *(f.text for f in found if f.score != 1)])

    def _program(self) -> str | None:
        text = self._files.all().get(self._asked.file)
        return None if text is None else whole(self._asked, text)


def _told(asked: CodeTask) -> str:
    what = (
        f"it defines {asked.asked_for}" if asked.asked_for else "it reads standard input and prints what is asked for"
    )
    return f"Write {asked.file} so that {what}."
