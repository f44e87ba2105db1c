"""A visit to a place for a task: what is said there becomes commands, until all is fulfilled, lost, or time is up."""

from __future__ import annotations

from collections.abc import Iterator

from agentevo.environments.text.world import facts
from agentevo.environments.text.world.place import Place
from agentevo.environments.text.world.requests import Request
from agentevo.types import Attempt, Message


class Visit:
    """What is left of so many commands, and what they have led to. Each line of a text is a command."""

    def __init__(self, asked: Request, commands: int) -> None:
        self.place, self.left = Place(asked.scene, asked.rules), commands
        self._facts = asked.facts

    def act(self, text: str) -> str:
        """Follow the commands of a text as far as the visit goes; one without any costs a command too."""
        said = []
        for line in text.splitlines() or [""]:
            if self.is_over:
                break
            if line.strip() or not text.strip():
                self.left -= 1
                said.append(self.place.do(line))
        return "\n".join(said)

    @property
    def score(self) -> float:
        return facts.score(self.place, self._facts)

    @property
    def is_lost(self) -> bool:
        return facts.is_lost(self.place, self._facts)

    @property
    def is_decided(self) -> bool:
        """Say whether nothing more can change how it ends."""
        return self.score == 1 or self.is_lost

    @property
    def is_over(self) -> bool:
        return self.is_decided or self.left <= 0


def texts(attempt: Attempt) -> Iterator[str]:
    """Yield what was said in an attempt, one text an action; without messages it is the answer alone."""
    own = [message for message in attempt.messages[attempt.prompt :] if message.get("role") == "assistant"]
    yield from (text_of(message) for message in own)
    if not own and attempt.answer:
        yield attempt.answer


def text_of(action: Message) -> str:
    """Return the text of an action; nothing where it has none."""
    content = action.get("content")
    return content if isinstance(content, str) else ""
