"""One episode, walked with given actions: what was seen on the way, comparable and as an attempt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentevo.errors import Misuse
from agentevo.protocols import Environment, Episode, FeedbackLevel
from agentevo.types import Attempt, Json, Message, Outcome, Task, Tool

PROBE: Message = {"role": "assistant", "content": "look"}


def calling(name: str, arguments: str) -> Message:
    """Return the call of a tool, with its arguments as JSON, as the message of an assistant."""
    call: dict[str, Json] = {"id": "1", "type": "function", "function": {"name": name, "arguments": arguments}}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


BAD_ACTIONS: Mapping[str, Message] = {
    "an empty action": {"role": "assistant", "content": ""},
    "an action without content": {"role": "assistant"},
    "an action of a million characters": {"role": "assistant", "content": "x" * 1_000_000},
    "an action that is a number": {"role": "assistant", "content": 7},
    "an action that is a list": {"role": "assistant", "content": [{"type": "image"}, 1]},
    "a call of a tool that is not there": calling("no such tool", "{}"),
    "a call with arguments that are not JSON": calling("no such tool", "{"),
    "a call that is no call": {"role": "assistant", "content": None, "tool_calls": [None, 1, {}]},
    "control characters": {"role": "assistant", "content": "\x00\x1b[2J\ud7ff\u202e"},
}


@dataclass(frozen=True)
class Walk:
    """What an episode showed: its beginning, its outcomes, and what was said in all."""

    observation: str
    tools: tuple[Tool, ...]
    outcomes: tuple[Outcome, ...]
    messages: tuple[Message, ...]
    refused_after: bool = False
    """Whether one more step was refused, where the episode was over."""
    takes_no_steps: bool = False
    """Whether already the first step was refused: an episode that asks, and listens to the answer alone."""

    @property
    def is_over(self) -> bool:
        return self.takes_no_steps or bool(self.outcomes and _ends(self.outcomes[-1]))


async def walked(
    environment: Environment, task: Task, actions: Sequence[Message], feedback: FeedbackLevel = "weak", seed: int = 1
) -> Walk:
    """Open an episode, act until it is over or the actions are, try one more step where it is over, and close it."""
    episode = await environment.open(task, seed, feedback)
    try:
        return await _walked(episode, actions)
    finally:
        await episode.close()


async def _walked(episode: Episode, actions: Sequence[Message]) -> Walk:
    observation, tools = episode.observation, tuple(episode.tools)
    outcomes: list[Outcome] = []
    messages: list[Message] = [{"role": "user", "content": observation}]
    for action in actions:
        messages.append(dict(action))
        try:
            outcome = await episode.step(action)
        except Misuse:
            if outcomes:
                raise
            return Walk(observation, tools, (), (*messages, *actions[1:]), refused_after=True, takes_no_steps=True)
        outcomes.append(outcome)
        messages += observed(action, outcome)
        if _ends(outcome):
            break
    refused = bool(outcomes) and _ends(outcomes[-1]) and await ended_by_refusal(episode)
    return Walk(observation, tools, tuple(outcomes), tuple(messages), refused_after=refused)


async def ended_by_refusal(episode: Episode) -> bool:
    """Try a step where none is allowed, and say whether it was refused with Misuse."""
    try:
        await episode.step(PROBE)
    except Misuse:
        return True
    except Exception:  # noqa: BLE001 - refused, and not as everybody would know it
        return False
    return False


def attempt_of(task: Task, messages: Sequence[Message]) -> Attempt:
    """Return what was said in an episode as an attempt; the answer is the text of the last action."""
    said = [message.get("content") for message in messages if message.get("role") == "assistant"]
    answer = said[-1] if said and isinstance(said[-1], str) else ""
    return Attempt(id="walk", task=task, messages=tuple(messages), answer=answer)


def _ends(outcome: Outcome) -> bool:
    return outcome.terminated or outcome.truncated


def observed(action: Message, outcome: Outcome) -> list[Message]:
    """Return what came back as messages: of the tool for each call, else of the user."""
    calls = action.get("tool_calls")
    ids = [call.get("id") for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    if not ids:
        return [{"role": "user", "content": outcome.observation}]
    return [{"role": "tool", "tool_call_id": name, "content": outcome.observation} for name in ids]
