"""A sample of an inspect task as an environment: its tools to act with, and its scorers to say how right it was."""

from __future__ import annotations

import copy
import functools
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, TypeAlias

from agentevo.bridges.inspect.messages import as_theirs
from agentevo.environments.anything import Anything
from agentevo.environments.tool.episode import Rules, ToolEpisode
from agentevo.environments.tool.served import BadCall, Served
from agentevo.errors import Misuse, UnknownName
from agentevo.protocols import Environment, Episode, FeedbackLevel
from agentevo.types import Attempt, Card, Feedback, Json, Task, Tool

if TYPE_CHECKING:
    from inspect_ai.scorer import Score
    from inspect_ai.solver import TaskState

Solve: TypeAlias = "Callable[[TaskState], Awaitable[TaskState]]"
AsScore: TypeAlias = "Callable[[Score], float | None]"
"""How what a scorer says is a score from 0 to 1; None where it says nothing."""

TOOL_TIMEOUT_S = 50.0
"""Below what a loop gives a step by default, so that a late call is answered and does not end the attempt."""
TOOL_CHARS = 16_000
_CARD = Card(name="inspect", version="1", description="A sample of an inspect task, scored by the task's own scorers.")


class Sample:
    """One sample as it came: acted in with the task's tools, and scored as the task does, whatever attempt it is.

    `answered` says that its own attempt is made. Those made after it, in order to learn, get no tools: what they did to
    the sample's sandbox would be scored as the answer's.
    """

    def __init__(self, state: TaskState, as_score: AsScore | None, otherwise: Environment | None) -> None:
        self._tools, self._as_score, self._otherwise = [*state.tools], as_score, otherwise or Anything()
        self._asked = copy.deepcopy(state) if as_score is not None else None
        self.answered = False

    @property
    def card(self) -> Card:
        return _CARD

    def splits(self) -> Sequence[str]:
        return ()

    def tasks(self, split: str) -> Sequence[Task]:
        raise UnknownName("split of a sample", split, ())

    def task(self, id: str) -> Task:
        raise UnknownName("task of a sample", id, ())

    async def open(self, task: Task, seed: int = 0, feedback: FeedbackLevel = "weak") -> Episode:
        """Open the sample with the task's tools; one without tools is what the agent's own environment makes of it."""
        if not self._tools:
            return await self._otherwise.open(task, seed, feedback)
        if self.answered:
            return await Anything().open(task, seed, feedback)
        rules = Rules("allow", TOOL_TIMEOUT_S, TOOL_CHARS)  # inspect's approval decides what may be called
        return ToolEpisode(task.prompt, [_served(tool, self._tools) for tool in self._tools], rules, AsyncExitStack())

    async def verify(self, task: Task, attempt: Attempt) -> Feedback:
        """Score an attempt by the first of the task's scorers; the score alone is told, not what it rests on."""
        from inspect_ai.scorer import score

        if self._asked is None or self._as_score is None:
            return Feedback()

        async def given(state: TaskState) -> TaskState:
            return show(state, attempt)

        scores = await score(await shaped(copy.deepcopy(self._asked), given))
        found = self._as_score(scores[0]) if scores else None
        if found is not None and not 0 <= found <= 1:
            raise Misuse(f"a scorer gave {found!r}; expected 0 to 1: give as_score=, which makes that of what it says")
        return Feedback(score=found)


async def shaped(state: TaskState, solve: Solve) -> TaskState:
    """Have a sample solved in its task's shape: choices are put into words, and read from the answer."""
    if not state.choices:
        return await solve(state)
    from inspect_ai.solver import multiple_choice

    async def generate(state: TaskState, *_: object, **__: object) -> TaskState:
        return await solve(state)

    solved: TaskState = await multiple_choice()(state, generate)
    return solved


def show(state: TaskState, attempt: Attempt) -> TaskState:
    """Put an attempt into the state: its messages, its answer, and what it cost."""
    from inspect_ai.model import ModelOutput, ModelUsage

    spent = attempt.usage
    state.messages = as_theirs(attempt.messages)
    state.output = ModelOutput.from_content(str(state.model), attempt.answer)
    state.output.usage = ModelUsage(
        input_tokens=spent.prompt_tokens, output_tokens=spent.completion_tokens, total_tokens=spent.tokens,
        total_cost=spent.cost_usd,
    )  # fmt: skip
    return state


def _served(tool: object, tools: Sequence[object]) -> Served:
    from inspect_ai.tool import ToolDef

    known = ToolDef(tool)
    ours = Tool(
        name=known.name, description=known.description, parameters=known.parameters.model_dump(exclude_none=True)
    )
    return Served(ours, functools.partial(_run, known.name, tools), f"inspect.{known.name}")


async def _run(name: str, tools: Sequence[object], arguments: Mapping[str, Json]) -> str:
    from inspect_ai.model import ChatMessageAssistant, execute_tools
    from inspect_ai.tool import ToolCall

    call = ToolCall(id=secrets.token_hex(8), function=name, arguments=dict(arguments))
    said = ChatMessageAssistant(content="", tool_calls=[call])
    results = (await execute_tools([said], [*tools])).messages
    for result in results:
        if result.role == "tool" and result.error is not None:
            raise BadCall(f"{result.error.type}: {result.error.message}")
    return "\n".join(result.text for result in results)
