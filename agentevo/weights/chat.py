"""Chats as tokens, by the model's own template; what the assistant says, to its end of turn, carries loss."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentevo.errors import Misuse
from agentevo.models.written_calls import Calling, plain
from agentevo.types import Json, Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class Tokens:
    """A chat as the model reads it; `said` marks the tokens that carry loss."""

    ids: list[int]
    said: list[bool]

    @property
    def begins(self) -> int:
        """How many tokens come before the first that carries loss."""
        return self.said.index(True) if True in self.said else len(self.said)


class Chat:
    """A tokenizer and its chat template."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, name: str, *, written_calls: bool) -> None:
        """Check that there is a template; raise Misuse if not, or if the tokenizer cannot say where its tokens stand.

        `written_calls` renders tools and calls as text, which is what the offline runtime does; else the template does.
        """
        if not getattr(tokenizer, "chat_template", None):
            raise Misuse(
                f"the tokenizer of {name} has no chat template, so what is said by whom cannot be written; take the "
                "instruction-tuned model, or set `chat_template` in its tokenizer_config.json"
            )
        if not tokenizer.is_fast:
            raise Misuse(f"the tokenizer of {name} cannot say which text a token stands for; it needs a tokenizer.json")
        self._tokenizer, self._name = tokenizer, name
        self._written_calls = written_calls or "tool" not in str(tokenizer.chat_template)
        self._special = sorted({*map(str, tokenizer.all_special_tokens), *_control_tokens(tokenizer)}, key=len)

    def encode(
        self, messages: Sequence[Message], *, given: int = 0, tools: Sequence[Mapping[str, Json]] = ()
    ) -> Tokens:
        """Return a chat's tokens; what the assistant says carries loss, but for the first `given` messages.

        Raises Misuse where the template does not write the chat in order, or ends no turn with a token of its own.
        """
        text = self._render(messages, tools)
        spans = list(self._spans(messages, given, tools, text))
        encoded = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        said = [any(begin <= at < end for begin, end in spans) for at, _ in encoded["offset_mapping"]]
        return Tokens(encoded["input_ids"], said)

    def text(self, ids: Sequence[int]) -> str:
        """Return what tokens stand for, control tokens too."""
        return str(self._tokenizer.decode(list(ids)))

    def _spans(
        self, messages: Sequence[Message], given: int, tools: Sequence[Mapping[str, Json]], text: str
    ) -> Iterator[tuple[int, int]]:
        """Yield where in the text the assistant speaks: from after the mark that has it speak, to its end of turn."""
        for i, message in enumerate(messages):
            if i < given or message.get("role") != "assistant":
                continue
            if not i:
                raise Misuse("a row begins with what the assistant says; begin with a system or user message")
            before = self._render(messages[:i], tools, ask=True)
            after = self._render(messages[: i + 1], tools)
            if not after.startswith(before) or not text.startswith(after):
                raise Misuse(
                    f"the chat template of {self._name} writes message {i} differently once more follow, so the tokens "
                    "that were said cannot be told; give rows of `prompt` and `completion`, which end with one turn"
                )
            yield len(before), len(before) + self._end_of_turn(text[len(before) : len(after)])

    def _end_of_turn(self, said: str) -> int:
        """Return where a turn ends: behind its last control token, the line break after which nobody generates."""
        ends = [at + len(token) for token in self._special if (at := said.rfind(token)) >= 0]
        if not ends or said[max(ends) :].strip():
            raise Misuse(
                f"the chat template of {self._name} ends no turn of the assistant with a control token, so a model "
                "trained with it would never stop; correct the template in its tokenizer_config.json"
            )
        return max(ends)

    def _render(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Json]], *, ask: bool = False) -> str:
        if self._written_calls:
            calling = Calling.of(tools, "auto")
            read = plain([_with_arguments(message, _as_text) for message in messages])
            shown, offered = (calling.instructed(read) if calling else read), None
        else:
            shown, offered = [_with_arguments(message, _as_object) for message in messages], list(tools) or None
        import jinja2

        try:
            return str(
                self._tokenizer.apply_chat_template(shown, tools=offered, tokenize=False, add_generation_prompt=ask)
            )
        except (jinja2.TemplateError, TypeError, ValueError) as error:
            said = " ".join(str(error).split())
            raise Misuse(f"the chat template of {self._name} cannot write this chat: {said}") from error


def _control_tokens(tokenizer: PreTrainedTokenizerBase) -> Iterator[str]:
    return (str(token.content) for token in tokenizer.added_tokens_decoder.values() if token.special)


def _with_arguments(message: Message, as_read: Callable[[Json], Json]) -> Message:
    """Return a message with the arguments of its calls as its reader takes them."""
    calls = message.get("tool_calls")
    if not isinstance(calls, list):
        return dict(message)
    return {**message, "tool_calls": [_call(call, as_read) for call in calls]}


def _call(call: Json, as_read: Callable[[Json], Json]) -> Json:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(call, dict) or not isinstance(function, dict):
        raise Misuse(f"a tool call in the messages has no function: {call!r:.200}")
    return {**call, "function": {**function, "arguments": as_read(function.get("arguments") or {})}}


def _as_text(arguments: Json) -> Json:
    """Return arguments as the chat API has them, which is how the runtime's model wrote them."""
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)


def _as_object(arguments: Json) -> Json:
    """Return arguments as templates take them."""
    if not isinstance(arguments, str):
        return arguments
    try:
        return json.loads(arguments)  # type: ignore[no-any-return]  # JSON, as its readers know
    except ValueError as error:
        raise Misuse(f"a tool call in the messages has arguments that are no JSON: {arguments!r:.200}") from error
