"""An agent in a workspace, from its first look to the verdict on what it wrote; only the model is scripted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
from moments import memory, moment

from agentevo.environments.code import HouseLibrary
from agentevo.environments.sandbox import Sandbox
from agentevo.models.fakes import Scripted
from agentevo.phases.loop import Loop
from agentevo.types import Attempt, Json, ToolCall


def steps(gold: str) -> list[tuple[str, dict[str, Json]]]:
    head, _, body = gold.partition("return ")
    return [
        ("read", {"path": "README.md"}),
        ("write", {"path": "solution.py", "content": f"{head}return None\n"}),
        ("test", {}),
        ("edit", {"path": "solution.py", "old": "None", "new": body}),
        ("run", {"code": "from solution import *\nprint('it can be imported')"}),
        ("test", {}),
    ]


def native(gold: str) -> list[Scripted]:
    calls = (ToolCall(id=f"call-{n}", name=name, arguments=given) for n, (name, given) in enumerate(steps(gold)))
    return [*([call] for call in calls), "It is done."]


def written(gold: str) -> list[Scripted]:
    return [*(json.dumps({"name": name, "arguments": given}) for name, given in steps(gold)), "It is done."]


@pytest.mark.parametrize("tools", ["native", "text"])
def test_an_agent_works_in_a_workspace_until_it_is_right(tools: str) -> None:
    with Sandbox() as sandbox, memory() as remembered:
        library = HouseLibrary(level=2, tasks=10, mode="workspace", sandbox=sandbox)
        task = library.tasks("train")[0]
        gold = str(HouseLibrary(level=2, tasks=10).gold(task)[0]["content"])
        script: Sequence[Scripted] = native(gold) if tools == "native" else written(gold)
        state = replace(moment(remembered, script), environment=library)
        (attempt,) = asyncio.run(Loop(tools=tools)(state, task))  # type: ignore[arg-type]
        seen = [str(message["content"]) for message in attempt.messages if message["role"] in ("tool", "user")][1:]
        assert [part in said for part, said in zip(EXPECTED, seen, strict=True)] == [True] * 6, seen
        travelled = Attempt.model_validate_json(attempt.model_dump_json())
        assert asyncio.run(library.verify(travelled.task, travelled)).score == 1.0
        assert (attempt.answer, attempt.stopped) == ("It is done.", "")


EXPECTED = (
    "# vol",
    "wrote solution.py",
    "0 of 2 visible",
    "edited solution.py",
    "it can be imported",
    "2 of 2 visible",
)
