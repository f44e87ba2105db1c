"""One game of an engine as an episode: commands in, what is to be seen out, rewards by how the score changes."""

from __future__ import annotations

import itertools
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from agentevo.environments.code.files import Call, calls_in
from agentevo.environments.engine import EngineError
from agentevo.environments.text.commands import ACT, TOOLS, VALID, Way, command_in
from agentevo.environments.text.crew import Crew
from agentevo.environments.text.direct import Direct
from agentevo.environments.text.engines.games import Moves, listed
from agentevo.errors import Misuse
from agentevo.protocols import FeedbackLevel
from agentevo.types import Json, Message, Outcome, Tool

MOST_ACTIONS = 50
"""So many possible actions are listed at once."""
UNKNOWN = -1
NOTHING = "Nothing happens."
_NUMBERS = itertools.count()


class Seen(NamedTuple):
    """What an engine shows after a command; the score is that of the whole game so far, from 0 to 1."""

    text: str
    score: float
    done: bool
    actions: Sequence[str] | None = None
    """All that are possible, where the engine tells them unasked."""
    commands: int = 0
    own: float | None = None
    """The engine's score, where that is another."""
    at: Mapping[str, Json] | None = None
    """Where a game that was begun is found past its worker."""

    @classmethod
    def of(cls, found: Json) -> Seen:
        """Read what our own side of a worker sent; a step is too short to look at each action in it."""
        return cls(**cast("dict[str, Any]", found))


class WorldEpisode:
    """A game that goes on until the engine ends it, `steps` commands are given, or, by way of tools, no call is made.

    `told` returns what is said at the end under strong feedback, where a game was not won.
    """

    def __init__(
        self, crew: Crew, settings: Mapping[str, Json], steps: int, way: Way, feedback: FeedbackLevel,
        told: Callable[[], Awaitable[str]], moves: Moves | None = None,
    ) -> None:  # fmt: skip
        self._crew, self._settings, self._steps, self._way = crew, dict(settings), steps, way
        self._feedback, self._told, self._moves = feedback, told, moves
        self._name, self._place = f"{os.getpid()}-{next(_NUMBERS)}", crew.take()
        self._commands: list[Json] = []
        self._known = UNKNOWN
        self._direct: Direct | None = None
        self._over = ""
        self.observation = ""
        self._seen = Seen(text="", score=0, done=False)

    @property
    def tools(self) -> Sequence[Tool]:
        return TOOLS if self._way == "tools" else ()

    async def begin(self) -> None:
        try:
            self._seen = await self._begun()
        except BaseException:
            await self.close()
            raise
        self.observation = self._seen.text

    async def step(self, action: Message) -> Outcome:
        """Run the calls of a message, or the command that it is. Raise Misuse for a step after the end or close."""
        if self._over:
            raise Misuse(f"this episode {self._over}; open another one")
        before = self._seen.score
        if self._way == "words":
            content = action.get("content")
            said = [await self._act(command_in(content) if isinstance(content, str) else "")]
        elif calls := calls_in(action):
            said = [await self._answered(call) for call in calls]
        else:
            said, self._over = [], "is over"
        return await self._outcome(said, before)

    async def close(self) -> None:
        if self._over == "is closed":
            return
        self._over = "is closed"
        try:
            await self._crew.ask(self._place, "end", name=self._name)
        except EngineError:
            pass  # what is gone has no games
        finally:
            self._crew.give(self._place)

    # --- what came of it

    async def _outcome(self, said: list[str], before: float) -> Outcome:
        seen, is_full = self._seen, len(self._commands) >= self._steps
        terminated = seen.done or (self._over == "is over")
        truncated = is_full and not terminated
        if terminated or truncated:
            self._over = "is over"
            said = [*said, *await self._verdict()]
        info: dict[str, Json] = {"actions": [*seen.actions[:MOST_ACTIONS]]} if seen.actions and not self._over else {}
        reward = 0.0
        if self._feedback != "none":
            reward, info["score"] = seen.score - before, seen.score
        return Outcome.model_construct(
            observation="\n\n".join(said), reward=reward, terminated=terminated, truncated=truncated, info=info
        )

    async def _verdict(self) -> list[str]:
        if self._feedback == "none":
            return []
        told = await self._told() if self._feedback == "strong" and self._seen.score < 1 else ""
        return [f"The score is {self._seen.score:.2f} of 1.", *([told] if told else [])]

    # --- calls

    async def _answered(self, call: Call) -> str:
        if call.problem:
            return f"Error: {call.problem}"
        if call.name not in (ACT, VALID):
            return f"Error: there is no tool {call.name!r:.80}; there are: {ACT}, {VALID}"
        wanted = "command" if call.name == ACT else "containing"
        given = call.arguments.get(wanted, None if call.name == ACT else "")
        if not isinstance(given, str):
            return f"Error: {call.name} needs {wanted!r} as a text; got {given!r:.60}"
        if call.name == VALID:
            return await self._listed(given)
        if self._seen.done or len(self._commands) >= self._steps:
            return "Error: not run, because the game is over."
        return await self._act(command_in(given))

    async def _act(self, command: str) -> str:
        found = await self._done(command)
        self._commands.append(command)
        self._seen = Seen.of(found) if found is not None else await self._begun()
        return self._seen.text or NOTHING

    async def _done(self, command: str) -> Json:
        """Give a command; None where the game is gone, or where a step was cancelled, which may have been done or not.

        What goes past the worker it does not know of: to it the game is where it was begun.
        """
        known, self._known = self._known, UNKNOWN
        if known == UNKNOWN:
            return None
        if self._direct is not None:
            told = await self._direct.act(command)
            self._known = known
            return told
        found = await self._crew.ask(self._place, "act", name=self._name, done=known, command=command)
        self._known = known + 1
        return found

    async def _begun(self) -> Seen:
        """Begin the game, and do what was done: at first, and where the worker that had it is gone."""
        found = await self._crew.ask(
            self._place, "begin", steps=len(self._commands), name=self._name, settings=self._settings,
            commands=self._commands,
        )  # fmt: skip
        seen = Seen.of(found)
        self._known, self._direct = len(self._commands), Direct.of(self._crew, self._place, self._moves, seen.at)
        return seen

    async def _listed(self, containing: str) -> str:
        if self._seen.actions is not None:
            found: Json = listed(self._seen.actions, containing, MOST_ACTIONS)
        elif (found := await self._possible(containing)) is None:
            await self._begun()
            found = await self._possible(containing)
        told = cast("dict[str, Json]", found)
        actions, count = cast("list[str]", told["actions"]), cast("int", told["count"])
        left = f"\n... and {count - len(actions)} more: say what they contain" if count > len(actions) else ""
        return "\n".join(actions) + left if actions else "No such action is possible now."

    async def _possible(self, containing: str) -> Json:
        return await self._crew.ask(
            self._place, "actions", name=self._name, done=self._known, containing=containing, most=MOST_ACTIONS
        )  # fmt: skip
