"""An episode in a world: texts in, what is to be seen out."""

from __future__ import annotations

from collections.abc import Sequence

from agentevo.environments.text.world.requests import Request
from agentevo.environments.text.world.visit import Visit, text_of
from agentevo.errors import Misuse
from agentevo.protocols import FeedbackLevel
from agentevo.types import Json, Message, Outcome, Tool

FULFILLED, LOST, LATE = "All is as wished.", "This can never be put right.", "There is no time left."


class WorldEpisode:
    """Each action is a text of commands; `actions` are those that do something now.

    The episode ends when all is as wished, when something is spoiled that was needed, or when so many commands were
    tried. Rewards are what the score grew by; with feedback "none" there are none.
    """

    tools: Sequence[Tool] = ()

    def __init__(self, asked: Request, feedback: FeedbackLevel, commands: int) -> None:
        self._asked, self._feedback, self._visit = asked, feedback, Visit(asked, commands)
        self._over = ""
        self.observation = asked.task.prompt

    @property
    def actions(self) -> list[str]:
        """The commands that do something now; which of them are wise they do not say."""
        return self._visit.place.actions()

    async def step(self, action: Message) -> Outcome:
        """Follow the commands of a message. Raise Misuse for a step after the end, or after close."""
        if self._over:
            raise Misuse(f"this episode {self._over}; open another one")
        visit = self._visit
        before = visit.score
        said = visit.act(text_of(action))
        if visit.is_over:
            self._over, said = "is over", "\n".join([said, *self._ending()])
        actions: list[Json] = [] if visit.is_over else [*self.actions]
        return Outcome(
            observation=said, reward=0.0 if self._feedback == "none" else visit.score - before,
            terminated=visit.is_decided, truncated=visit.is_over and not visit.is_decided,
            info={"actions": actions, "commands_left": visit.left},
        )  # fmt: skip

    async def close(self) -> None:
        self._over = "is closed"

    def _ending(self) -> list[str]:
        """Say how it ended, as far as the level of feedback has it."""
        if self._feedback == "none":
            return []
        if self._visit.score == 1:
            return [FULFILLED]
        why = LOST if self._visit.is_lost else LATE
        right = ["What would have been right:", *self._asked.commands] if self._feedback == "strong" else []
        return [why, *right]
