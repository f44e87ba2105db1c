"""An environment with one task, and walks through it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from typing import Any, TypeVar

from agentevo.environments.code import Code, CodeTask
from agentevo.environments.sandbox import Sandbox
from agentevo.types import Message, Task

T = TypeVar("T")


def now(coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(coroutine)


def tiny(
    sandbox: Sandbox, *, gold: str | None = "def add(a, b): return a + b", mode: Any = "answer", timeout_s: float = 10
) -> Code:
    """Return an environment with one task, four hidden tests, and two visible ones."""
    task = CodeTask(
        Task(id="add", prompt="Add two numbers."), "test", "add",
        hidden=tuple(f"assert add({n}, 7041) == {n + 7041}" for n in range(4)),
        visible=("assert add(1, 2) == 3", "assert add(0, 5) == 5"), gold=gold, files={"notes.txt": "Add, I say."},
    )  # fmt: skip
    about = {"name": "tiny", "description": "One task", "licence": "CC0-1.0"}
    return Code([task], **about, mode=mode, sandbox=sandbox, timeout_s=timeout_s)


def call(name: str, **arguments: str) -> Message:
    function: Any = {"name": name, "arguments": json.dumps(arguments)}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": name, "type": "function", "function": function}],
    }


def told(environment: Code, *actions: Message) -> list[str]:
    async def walk() -> list[str]:
        episode = await environment.open(environment.tasks("test")[0], feedback="weak")
        try:
            return [(await episode.step(action)).observation for action in actions]
        finally:
            await episode.close()

    return now(walk())
