"""One attempt being made: its messages, told as they come, what ends it early as data, and the Attempt it becomes."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

from agentevo.errors import BudgetExceeded, CassetteError, Misuse, ModelError, RequestsForbidden
from agentevo.events import Added, Ended, Piece, Started, is_heard, tell
from agentevo.models.usage import Budget, Meter
from agentevo.position import attempt_id
from agentevo.types import MODEL_FAILED, Attempt, Message, Section, Task, Tool, Usage

NOT_DATA = (RequestsForbidden, CassetteError)
"""Model errors that say that something is set up wrongly: they end the run, not the attempt."""


class Stopped(Exception):
    """An attempt ends before its own end; the message says why."""


@dataclass(frozen=True)
class Limits:
    """What one attempt may take, all model calls made for it included; None sets no limit.

    A limit that is reached ends the attempt as data. Calls under way are finished and counted, so tokens and cost may
    end above their limit; seconds cut off what is under way.
    """

    tokens: int | None = None
    cost_usd: float | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            limit = getattr(self, field.name)
            if limit is not None and not limit > 0:
                raise Misuse(f"limit {field.name} is {limit!r}; expected a number above 0, or None for no limit")

    def budget(self) -> Budget:
        return Budget(max_tokens=self.tokens, max_cost_usd=self.cost_usd, max_seconds=self.seconds)

    def reached(self, meter: Meter) -> str:
        """Say which limit what was spent so far has reached; empty where none."""
        spent = {"tokens": meter.usage.tokens, "cost_usd": meter.usage.cost_usd, "seconds": meter.elapsed_s}
        for name, value in spent.items():
            allowed = getattr(self, name)
            if allowed is not None and value >= allowed:
                return f"limit: {name} ({value:.6g} of {allowed:g})"
        return ""


NO_LIMITS = Limits()


def why_stopped(error: Exception, meter: Meter, limits: Limits = NO_LIMITS) -> str:
    """Say why an error ends an attempt; raise it where it is no matter of this attempt alone."""
    if isinstance(error, Stopped):
        return str(error)
    if isinstance(error, ModelError) and not isinstance(error, NOT_DATA):
        return f"{MODEL_FAILED}{error}"
    if isinstance(error, BudgetExceeded | TimeoutError) and (why := limits.reached(meter)):
        return why
    raise error


class Trajectory:
    """An attempt being made: each message joins it at once, and whoever listens hears it at once."""

    def __init__(self, task: Task) -> None:
        self.id, self.task = attempt_id(), task
        self.messages: list[Message] = []
        self._prompt, self._shown = 0, Section()
        self._tools: tuple[Tool, ...] = ()
        if is_heard():
            tell(Started(attempt=self.id, task=task))

    def show(self, prompt: Section, tools: Sequence[Tool] = ()) -> None:
        """Begin with a prompt and the tools offered beside it, and remember what of the prompt is from memory."""
        self._shown, self._prompt, self._tools = prompt, len(prompt.messages), tuple(tools)
        for message in prompt.messages:
            self.add(message)

    def offer(self, tools: Sequence[Tool]) -> None:
        """Remember that other tools are offered from now on."""
        self._tools = tuple(tools)

    def add(self, message: Message) -> None:
        message = _readable(message)
        self.messages.append(message)
        if is_heard():
            tell(Added(attempt=self.id, message=message))

    def keep_partial(self, error: ModelError) -> None:
        """Keep what the model had said when it failed."""
        if error.reply is not None and error.reply.text.strip():
            self.add({"role": "assistant", "content": error.reply.text})

    @property
    def on_text(self) -> Callable[[str], None] | None:
        """Return what pieces of a reply are handed to; None where nobody listens for them."""
        return self._piece if is_heard(pieces=True) else None

    def _piece(self, text: str) -> None:
        tell(Piece(attempt=self.id, text=text))

    def broken_off(self, error: BaseException, usage: Usage) -> None:
        """Tell the end of an attempt that cannot go on, with what there is of it; its answer is what was said last."""
        if is_heard():
            said = [m.get("content") for m in self.messages[self._prompt :] if m.get("role") == "assistant"]
            self.ended(next((text for text in reversed(said) if isinstance(text, str)), ""), usage, _why(error))

    def ended(self, answer: str, usage: Usage, stopped: str = "") -> Attempt:
        """Return the attempt that this has become."""
        bare = {name: tuple(map(_readable, messages)) for name, messages in self._shown.bare.items()}
        attempt = Attempt(
            id=self.id, task=self.task, messages=tuple(self.messages), prompt=self._prompt, answer=_whole(answer),
            used=self._shown.used, usage=usage, stopped=stopped, bare=bare, tools=self._tools,
        )  # fmt: skip
        if is_heard():
            tell(Ended(attempt=attempt))
        return attempt


def _why(error: BaseException) -> str:
    """Say why an attempt was broken off, by what concerns more than it alone."""
    if isinstance(error, BudgetExceeded):
        return f"limit: {error}"
    return "cancelled" if isinstance(error, CancelledError) else f"error: {type(error).__name__}: {error}"


def _readable(message: Message) -> Message:
    content = message.get("content")
    is_ascii = not isinstance(content, str) or content.isascii()
    return message if is_ascii else {**message, "content": _whole(str(content))}


def _whole(text: str) -> str:
    """Return a text without halves of surrogate pairs: a model can say them, and no file takes them."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
