"""The entries of BFCL's files: what the user says in each turn, the functions there are, and the right calls."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from agentevo.environments.tool.bfcl.calls import parsed
from agentevo.types import Json, Task, Tool, ToolCall

CATEGORIES = ("base", "miss_func", "miss_param", "long_context")
MORE_FUNCTIONS = "I have updated some more functions you can choose from. What about now?"
"""What the user says in the turn in which a function that was missing is there; the words are the wheel's own."""
_TYPES = {"dict": "object", "float": "number", "tuple": "array", "any": "string"}
_DOCS = {
    "GorillaFileSystem": "gorilla_file_system", "MathAPI": "math_api", "MessageAPI": "message_api",
    "TwitterAPI": "posting_api", "TicketAPI": "ticket_api", "TradingBot": "trading_bot", "TravelAPI": "travel_booking",
    "VehicleControlAPI": "vehicle_control",
}  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """One conversation. `held` are functions that are not there before the turn they are mapped to."""

    task: Task
    turns: tuple[str, ...]
    classes: tuple[str, ...]
    config: Mapping[str, Json]
    functions: tuple[Tool, ...]
    held: Mapping[str, int]
    right: tuple[tuple[ToolCall, ...], ...]
    is_long: bool

    @cached_property
    def by_name(self) -> dict[str, Tool]:
        return {tool.name: tool for tool in self.functions}

    def tools(self, turn: int) -> tuple[Tool, ...]:
        """Return the functions that can be called in a turn."""
        return tuple(tool for tool in self.functions if self.held.get(tool.name, 0) <= turn)


@cache
def entries(folder: Path, category: str) -> tuple[Entry, ...]:
    """Return the entries of a category, in the order of its file."""
    file = f"BFCL_v4_multi_turn_{category}.json"
    right = {row["id"]: row["ground_truth"] for row in _rows(folder / "bfcl_eval/data/possible_answer" / file)}
    rows = _rows(folder / "bfcl_eval/data" / file)
    return tuple(_entry(folder, category, row, right[row["id"]]) for row in rows)


def _entry(folder: Path, category: str, row: Mapping[str, Any], right: Sequence[Sequence[str]]) -> Entry:
    functions = tuple(tool for name in row["involved_classes"] for tool in _functions(folder, name))
    turns = tuple(turn[0]["content"] if turn else MORE_FUNCTIONS for turn in row["question"])
    number = row["id"].rpartition("_")[2]
    task = Task(id=f"{category}-{number}", prompt=turns[0], data={"entry": row["id"]}, provenance="bfcl")
    return Entry(
        task=task, turns=turns, classes=tuple(row["involved_classes"]), config=row["initial_config"],
        functions=functions,
        held={name: int(turn) for turn, names in row.get("missed_function", {}).items() for name in names},
        right=tuple(tuple(_calls(number, calls, functions)) for number, calls in enumerate(right)),
        is_long=category == "long_context",
    )  # fmt: skip


def _calls(turn: int, texts: Sequence[str], functions: Sequence[Tool]) -> Iterator[ToolCall]:
    names = {tool.name: [*_properties(tool)] for tool in functions}
    for number, text in enumerate(texts):
        name, arguments = parsed(text, names.get(text.partition("(")[0].strip(), []))
        yield ToolCall(id=f"right_{turn}_{number}", name=name, arguments=arguments)


def _properties(tool: Tool) -> Mapping[str, Json]:
    properties = tool.parameters.get("properties")
    return properties if isinstance(properties, dict) else {}


@cache
def _functions(folder: Path, name: str) -> tuple[Tool, ...]:
    rows = _rows(folder / "bfcl_eval/data/multi_turn_func_doc" / f"{_DOCS[name]}.json")
    return tuple(
        Tool(name=row["name"], description=row["description"], parameters=_schema(row["parameters"])) for row in rows
    )


def _schema(given: Mapping[str, Any]) -> dict[str, Json]:
    """Return a description of parameters as a JSON schema: the files name types as Python does."""
    schema = {key: value for key, value in given.items() if key not in ("properties", "items")}
    if "type" in given:
        schema["type"] = _TYPES.get(given["type"], given["type"])
    if "properties" in given:
        schema["properties"] = {name: _schema(one) for name, one in given["properties"].items()}
    if isinstance(given.get("items"), dict):
        schema["items"] = _schema(given["items"])
    return schema


def _rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines() if line.strip()]
