"""Rows to train on: read, checked, turned into tokens, and counted where they are left out."""

from __future__ import annotations

import hashlib
import json
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from agentevo.errors import Misuse, Untrainable
from agentevo.types import Json, Message
from agentevo.weights.chat import Chat, Tokens
from agentevo.weights.config import TrainConfig
from agentevo.weights.turn import attempts_of

if TYPE_CHECKING:
    from datasets import Dataset

Row: TypeAlias = Mapping[str, Json]
Data: TypeAlias = str | Path | Iterable[Row]
"""A file of JSON lines, a folder that `datasets` has saved, or the rows themselves."""

IGNORED = -100
"""The label of a token that carries no loss."""
_SHOWN = 100


@dataclass(slots=True)
class Prepared:
    """Rows as tokens, in columns that take four bytes a token."""

    limit: int
    """Most tokens a row may have."""
    rows: int = 0
    synthetic: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    sha256: str = ""
    columns: dict[str, _Column] = field(default_factory=dict)
    answers: set[str] = field(default_factory=set)
    """What is learnt from each row, but for case and space; two at most: enough to know if all learn the same."""
    attempts: dict[str, None] = field(default_factory=dict)
    """The attempts that the rows were made of, in order."""

    def dataset(self) -> Dataset:
        """Return the rows as the trainers take them."""
        import pyarrow as pa  # type: ignore[import-untyped]  # it ships no types
        from datasets import Dataset
        from datasets.table import InMemoryTable

        return Dataset(InMemoryTable(pa.table({name: column.arrow() for name, column in self.columns.items()})))

    def add(self, columns: Mapping[str, Sequence[int]], learnt: Callable[[], str], *, synthetic: bool) -> None:
        for name, values in columns.items():
            self.columns.setdefault(name, _Column()).add(values)
        self.rows += 1
        self.synthetic += synthetic
        if len(self.answers) < 2:
            self.answers.add("".join(learnt().casefold().split()))


class _Column:
    def __init__(self) -> None:
        self._values, self._ends = array("i"), array("i", [0])

    def add(self, values: Sequence[int]) -> None:
        self._values.extend(values)
        self._ends.append(len(self._values))

    def arrow(self) -> object:
        import pyarrow as pa

        plain = (pa.Array.from_buffers(pa.int32(), len(v), [None, pa.py_buffer(v)]) for v in (self._ends, self._values))
        return pa.ListArray.from_arrays(*plain)


def prepare(data: Data, chat: Chat, config: TrainConfig, limit: int) -> Prepared:
    """Turn rows into tokens, at most `limit` each; raise Misuse for rows that cannot be, Untrainable for too few."""
    prepared, digest = Prepared(limit), hashlib.sha256()
    add = _add_answer if config.method == "sft" else _add_pair
    for i, row in enumerate(read(data), 1):
        try:
            digest.update(_written(row) + b"\n")
            add(prepared, row, chat, config)
            prepared.attempts.update(dict.fromkeys(attempts_of([row])))
        except Misuse as error:
            raise Misuse(f"row {i}: {error}") from error
    prepared.sha256 = digest.hexdigest()
    _check(prepared, config)
    return prepared


def read(data: Data) -> Iterator[Row]:
    """Yield the rows; raise Misuse for a file or folder that holds none."""
    if not isinstance(data, str | Path):
        yield from data
    elif Path(data).is_dir():
        yield from _saved(Path(data))
    else:
        try:
            with Path(data).open("rb") as lines:
                yield from parsed(lines, str(data))
        except OSError as error:
            raise Misuse(f"cannot read rows from {data}: {error.strerror}; give a file of JSON lines") from error


def parsed(lines: Iterable[bytes], name: str) -> Iterator[Row]:
    """Yield the object on each line that is not blank; raise Misuse, naming the line, where there is none."""
    for i, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise Misuse(f"{name}, line {i} is no JSON ({error}): {line[:_SHOWN]!r}") from error
        if not isinstance(row, dict):
            raise Misuse(f"{name}, line {i} is no object with fields: {line[:_SHOWN]!r}")
        yield row


def _saved(folder: Path) -> Iterator[Row]:
    from datasets import load_from_disk

    try:
        saved = load_from_disk(str(folder))
        columns = saved.column_names
    except (OSError, ValueError, KeyError) as error:
        raise Misuse(f"{folder} is no folder saved by `datasets`, nor a file of JSON lines") from error
    if not isinstance(columns, list):
        raise Misuse(f"{folder} holds several splits ({', '.join(columns)}); give the folder of one of them")
    yield from saved


def card_beside(data: Data) -> dict[str, Json]:
    """Return the card that an export has written with its rows, or nothing where there is none."""
    if not isinstance(data, str | Path):
        return {}
    path = Path(data)
    file = path / "card.json" if path.is_dir() else path.with_suffix(".card.json")
    try:
        card = json.loads(file.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise Misuse(f"{file} cannot be read ({error}); export the rows again, or move it away") from error
    return card if isinstance(card, dict) else {}


# --- one row


def _written(row: object) -> bytes:
    """Return a row as JSON that hashes alike wherever it comes from; raise Misuse where it is no row of whole texts."""
    if not isinstance(row, dict):
        raise Misuse(f"it is no object with fields: {row!r:.{_SHOWN}}")
    try:
        written = json.dumps(row, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        if "\\ud" in written:
            json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise Misuse(
            f"it holds half of a surrogate pair, which is no character: {error.object[error.start]!r}"
        ) from error
    except (TypeError, ValueError, RecursionError) as error:
        raise Misuse(f"it cannot be written as JSON ({error}): {row!r:.{_SHOWN}}") from error
    return written.encode()


def _add_answer(prepared: Prepared, row: Row, chat: Chat, config: TrainConfig) -> None:
    if "chosen" in row:
        raise Misuse("it is a pair of answers, which method dpo trains on; export sft rows, or train with dpo")
    given: list[Message] = []
    if "messages" in row:
        messages = _messages(row, "messages", "user")
    else:
        given = _messages(row, "prompt", "user")
        messages = [*given, *_messages(row, "completion", "assistant")]
    fitted = _fitted([chat.encode(messages, given=len(given), tools=_tools(row))], config, prepared)
    if fitted is None:
        return
    (tokens,) = fitted
    labels = [token if said else IGNORED for token, said in zip(tokens.ids, tokens.said, strict=True)]
    columns = {"input_ids": tokens.ids, "labels": labels}
    prepared.add(columns, lambda: chat.text([n for n in labels if n != IGNORED]), synthetic=_is_synthetic(row))


def _add_pair(prepared: Prepared, row: Row, chat: Chat, config: TrainConfig) -> None:
    if "chosen" not in row or "rejected" not in row:
        raise Misuse(f"method dpo takes prompt, chosen and rejected, but it has {', '.join(row) or 'no fields'}")
    given = _messages(row, "prompt", "user")
    sides = [
        chat.encode([*given, *_messages(row, side, "assistant")], given=len(given), tools=_tools(row))
        for side in ("chosen", "rejected")
    ]
    fitted = _fitted(sides, config, prepared)
    if fitted is None:
        return
    chosen, rejected = fitted
    if chosen.ids == rejected.ids:
        prepared.dropped["identical"] += 1
        return
    begins = chosen.begins
    if begins != rejected.begins or chosen.ids[:begins] != rejected.ids[:begins]:
        raise Misuse("chosen and rejected do not both begin with what the assistant says after the same prompt")
    columns = {"prompt_ids": chosen.ids[:begins]}
    for side, tokens in (("chosen", chosen), ("rejected", rejected)):
        columns |= {f"{side}_ids": tokens.ids[begins:], f"{side}_said": [*map(int, tokens.said[begins:])]}
    prepared.add(columns, lambda: chat.text(columns["chosen_ids"]), synthetic=_is_synthetic(row))


def _fitted(sides: list[Tokens], config: TrainConfig, prepared: Prepared) -> list[Tokens] | None:
    """Return a row's chats as far as they may be trained on, and count what that costs; None if nothing is left."""
    dropped, limit = prepared.dropped, prepared.limit
    if any(True not in side.said for side in sides):
        dropped["without an answer"] += 1
        return None
    if all(len(side.ids) <= limit for side in sides):
        return sides
    cut = [Tokens(side.ids[:limit], side.said[:limit]) for side in sides]
    if config.too_long == "drop" or any(True not in side.said for side in cut):
        dropped["too long"] += 1
        return None
    dropped["truncated"] += 1
    return cut


def _messages(row: Row, name: str, role: str) -> list[Message]:
    """Return a field as chat messages; a text is one. `datasets` adds fields that are None: they are left out."""
    value = row.get(name)
    if isinstance(value, str):
        return [{"role": role, "content": value}]
    if not isinstance(value, list) or not value:
        raise Misuse(f"{name} must be chat messages or a text, but it is {json.dumps(value)[:_SHOWN]}")
    messages: list[Message] = []
    for message in value:
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise Misuse(f"{name} holds what is no chat message: {json.dumps(message)[:_SHOWN]}")
        kept = {key: part for key, part in message.items() if part is not None}
        for call in _listed(kept.get("tool_calls"), "tool_calls"):
            _must_name_a_function(call, "tool_calls")
        messages.append({"content": "", **kept})
    return messages


def _tools(row: Row) -> list[Mapping[str, Json]]:
    tools = row.get("tools") or []
    if isinstance(tools, str):
        try:
            tools = json.loads(tools)
        except (ValueError, RecursionError) as error:
            raise Misuse(f"tools is a text that is no JSON ({error}): {tools[:_SHOWN]!r}") from error
    return [_must_name_a_function(tool, "tools") for tool in _listed(tools, "tools")]


def _listed(value: Json, name: str) -> list[Json]:
    if value is not None and not isinstance(value, list):
        raise Misuse(f"{name} must be a list, but it is {json.dumps(value)[:_SHOWN]}")
    return value or []


def _must_name_a_function(one: Json, name: str) -> Mapping[str, Json]:
    function = one.get("function") if isinstance(one, dict) else None
    if not isinstance(one, dict) or not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise Misuse(f"{name} holds what names no function: {json.dumps(one)[:_SHOWN]}")
    return one


def _is_synthetic(row: Row) -> bool:
    value = row.get("synthetic")
    if value is not None and not isinstance(value, bool):
        raise Misuse(f"synthetic must be true or false, but it is {json.dumps(value)[:_SHOWN]}")
    return bool(value)


# --- all rows


def _check(prepared: Prepared, config: TrainConfig) -> None:
    if not prepared.rows:
        lost = ", ".join(f"{count} {_told(reason, prepared)}" for reason, count in sorted(prepared.dropped.items()))
        raise Untrainable(
            f"there is no row to train on: {lost or 'it was empty'}; export more, or change what is left out"
        )
    if len(prepared.answers) == 1:
        rows = f"all {prepared.rows} rows teach the same" if prepared.rows > 1 else "the only row teaches one"
        raise Untrainable(
            f"{rows} answer, and a model trained on that would give it to everything; export more than one kind"
        )
    real = (prepared.rows - prepared.synthetic) / prepared.rows
    if real < config.min_real:
        raise Untrainable(
            f"{real:.0%} of the {prepared.rows} rows are real, the others synthetic, but min_real asks for at least "
            f"{config.min_real:.0%}: models trained on what models wrote get worse; mix real rows in"
        )


def _told(reason: str, prepared: Prepared) -> str:
    return f"{reason} (over {prepared.limit} tokens, by max_length or the model)" if reason == "too long" else reason
