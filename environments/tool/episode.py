"""An episode of tools: each call is looked up, allowed, run in its time, and answered; what fails is said."""

from __future__ import annotations

import asyncio
import copy
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypeVar

from agentevo.environments.code.files import Call, calls_in
from agentevo.environments.tool.aside import aside
from agentevo.environments.tool.served import BadCall, Refused, Served
from agentevo.errors import AgentEvoError, BudgetExceeded, Misuse
from agentevo.quote import clean, cut, fenced
from agentevo.types import Json, Message, Outcome, Tool

LOG = logging.getLogger(__name__)
T = TypeVar("T")

Ask: TypeAlias = Callable[[Tool, Mapping[str, Json]], bool | Awaitable[bool]]
Policy: TypeAlias = Literal["allow", "deny"] | Ask
ERROR = "Error: "


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for every call: who allows what cannot be taken back, and how long and how much a call may."""

    destructive: Policy = "deny"
    timeout_s: float = 30.0
    output_chars: int = 10_000


class ToolEpisode:
    """Tools to call; an action without a call ends the episode. What other processes say is quoted as data."""

    def __init__(self, observation: str, served: Sequence[Served], rules: Rules, held: AsyncExitStack) -> None:
        self.observation = observation
        self._served = {one.tool.name: one for one in served}
        self._rules, self._held, self._over = rules, held, ""

    @property
    def tools(self) -> Sequence[Tool]:
        return tuple(one.tool for one in self._served.values())

    async def step(self, action: Message) -> Outcome:
        """Run the calls of a message, or end. Raise Misuse for a step after the end, or after close."""
        if self._over:
            raise Misuse(f"this episode {self._over}; open another one")
        calls = calls_in(action)
        if not calls:
            self._over = "is over"
            return Outcome(observation="", terminated=True)
        said = [await self._answered(call) for call in calls]
        sources = {one.source for call in calls if (one := self._served.get(call.name)) and one.source}
        return Outcome(observation="\n\n".join(said), info={"untrusted": [*sorted(sources)]} if sources else {})

    async def close(self) -> None:
        self._over = "is closed"
        await self._held.aclose()

    async def _answered(self, call: Call) -> str:
        served = self._served.get(call.name)
        source, limit = served.source if served else "", self._rules.output_chars
        try:
            found = await self._found(served, call)
        except Refused as error:
            return clean(cut(f"{ERROR}{error}", limit))
        except BadCall as error:
            found = f"{ERROR}{error}"
        return fenced(cut(found, limit), f"data from {source}") if source and found else cut(found, limit)

    async def _found(self, served: Served | None, call: Call) -> str:
        if call.problem:
            raise Refused(call.problem)
        if served is None:
            raise Refused(f"there is no tool {call.name!r:.80}; there are: {', '.join(self._served) or 'none'}")
        if served.tool.destructive:
            await self._allowed(served, call.arguments)
        return await self._in_time(served, lambda: served.run(call.arguments))

    async def _allowed(self, served: Served, arguments: Mapping[str, Json]) -> None:
        tool, policy, said = served.tool, self._rules.destructive, "such calls are not allowed here"
        if policy == "allow":
            return
        if not isinstance(policy, str):
            said = "nobody allowed this call"
            await self._in_time(served, lambda: _checked(served, arguments))
            try:
                shown = copy.deepcopy(dict(arguments))  # what is asked about is what is called
                found = await aside(lambda: policy(tool, shown))  # it may well wait for a person
                if (await found if inspect.isawaitable(found) else found) is True:
                    return
            except AgentEvoError:
                raise
            except (Exception, SystemExit):
                LOG.exception("who was asked whether %s may be called failed", tool.name)
                said = "who was asked failed"
        raise Refused(f"{tool.name!r} was not called: what it does cannot be taken back, and {said}")

    async def _in_time(self, served: Served, run: Callable[[], Awaitable[T]]) -> T:
        name, limit_s = served.tool.name, self._rules.timeout_s
        try:
            async with asyncio.timeout(limit_s) as timer:
                return await run()
        except (BadCall, BudgetExceeded):
            raise
        except Exception as error:  # whatever a tool raises is what came of the call
            if timer.expired():
                raise BadCall(_late(name, limit_s, error)) from error
            LOG.info("the tool %s failed", name, exc_info=error)
            raise BadCall(f"{name!r} failed: {type(error).__name__}: {cut(_words(error), 500)}") from error


async def _checked(served: Served, arguments: Mapping[str, Json]) -> None:
    if served.check is not None:
        served.check(arguments)


def _words(error: Exception) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - an error may fail to say what it is
        return "it does not say why"


def _late(name: str, limit_s: float, error: Exception) -> str:
    notes = "; ".join(getattr(error.__cause__, "__notes__", ()))
    said = f"{name!r} took longer than {limit_s:g} s and was given up; it may have been done"
    return f"{said}; {notes}" if notes else said
