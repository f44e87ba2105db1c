"""A game in a virtual machine, acted in past the worker: one process less on the way of each command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentevo.environments.text.crew import Crew
from agentevo.environments.text.engines import gateway
from agentevo.environments.text.engines.games import Moves, Seen
from agentevo.types import Json


@dataclass(frozen=True, slots=True)
class Direct:
    """Where a game is: the line, its object behind that, and what showing it needs, as its worker told."""

    crew: Crew
    place: int
    moves: Moves
    line: str
    object: str
    start: Json

    @classmethod
    def of(cls, crew: Crew, place: int, moves: Moves | None, at: Mapping[str, Json] | None) -> Direct | None:
        if moves is None or at is None:
            return None
        return cls(crew, place, moves, str(at["line"]), str(at["object"]), at["start"])

    async def act(self, command: str) -> Seen | None:
        """Return what a command brings; None where that is not known, because the game is not there any more, say."""
        calls = [gateway.call(self.object, *one) for one in self.moves.calls(command)]
        answers = await self._asked(calls)
        await self._asked([gateway.release(name) for name in map(gateway.raised, answers) if name])
        try:
            return self.moves.shown([gateway.value(answer) for answer in answers], self.start)
        except (ValueError, TypeError, LookupError):  # its worker will tell what is wrong with it
            return None

    async def _asked(self, lines: Sequence[str]) -> list[bytes]:
        if not lines:
            return []
        return await self.crew.ask_direct(self.place, self.line, [one.encode(errors="replace") for one in lines]) or []
