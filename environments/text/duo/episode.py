"""An episode of the game for two: a text is a move of the one whose turn it is."""

from __future__ import annotations

from collections.abc import Sequence

from agentevo.environments.text.duo.game import Actor, Game
from agentevo.environments.text.world.visit import text_of
from agentevo.errors import Misuse
from agentevo.protocols import FeedbackLevel
from agentevo.types import Json, Message, Outcome, Tool


class DuoEpisode:
    """Each action is a move; `actor` says whose turn it is, and `actions` what he can do.

    The episode ends after its last order, or when too many moves were none. Rewards are what the score grew by; with
    feedback "none" there are none, and what both did is told all the same.
    """

    tools: Sequence[Tool] = ()

    def __init__(self, game: Game, feedback: FeedbackLevel, moves: Sequence[str]) -> None:
        self._game, self._feedback, self._moves = game, feedback, moves
        self._over = ""
        self.observation = game.seen

    @property
    def actor(self) -> Actor:
        """Whose turn it is; once the game is over, whose it was last."""
        return self._game.actor

    @property
    def actions(self) -> list[str]:
        """The moves that can be made now."""
        return [] if self._over else self._game.actions()

    async def step(self, action: Message) -> Outcome:
        """Make the move of a message. Raise Misuse for a step after the end, or after close."""
        if self._over:
            raise Misuse(f"this episode {self._over}; open another one")
        game, before = self._game, self._game.score
        said = game.act(text_of(action))
        info: dict[str, Json] = {}
        if game.is_over:
            self._over, said = "is over", "\n".join([said, *self._ending()])
        else:
            info = {"actor": game.actor, "actions": [*game.actions()]}
        return Outcome(
            observation=said, reward=0.0 if self._feedback == "none" else game.score - before,
            terminated=game.is_decided, truncated=game.is_over and not game.is_decided, info=info,
        )  # fmt: skip

    async def close(self) -> None:
        self._over = "is closed"

    def _ending(self) -> list[str]:
        if self._feedback != "strong" or self._game.score == 1:
            return []
        return ["What would have been right:", *self._moves]
