from __future__ import annotations

import json
from typing import Any

import pytest

from agentevo.errors import Misuse
from agentevo.models.written_calls import Calling, plain
from agentevo.types import Json, Tool

REFUND = Tool(
    name="refund",
    description="Refund an order",
    parameters={"type": "object", "properties": {"order": {"type": "integer"}}, "required": ["order"]},
).as_openai()
LOOK = Tool(name="look").as_openai()


def calling(choice: object = "auto", *tools: dict[str, Any]) -> Calling:
    made = Calling.of(tools or (REFUND, LOOK), choice)
    assert made is not None
    return made


def test_without_tools_or_with_choice_none_there_is_nothing_to_call() -> None:
    assert Calling.of((), "required") is None
    assert Calling.of((REFUND,), "none") is None


def test_a_named_choice_requires_that_tool() -> None:
    named = calling({"type": "function", "function": {"name": "look"}})
    assert named.required
    assert named.read('{"name": "refund", "arguments": {}}') is None


def test_a_named_choice_that_is_not_there_is_a_misuse() -> None:
    with pytest.raises(Misuse, match="'pay', which is not among the tools"):
        calling({"type": "function", "function": {"name": "pay"}})


def test_a_written_call_becomes_a_call_of_the_chat_api() -> None:
    call = calling().read(' {"name": "refund", "arguments": {"order": 7}}\n')
    assert isinstance(call, dict)
    assert call["function"] == {"name": "refund", "arguments": '{"order": 7}'}


@pytest.mark.parametrize(
    "text",
    ["", "hello", "{", "7", '["refund"]', '{"name": "pay", "arguments": {}}', '{"name": "look", "arguments": "x"}'],
)
def test_any_other_text_is_no_call(text: str) -> None:
    assert calling().read(text) is None


@pytest.mark.parametrize("system", [[], [{"role": "system", "content": "Be brief."}]])
def test_the_tools_are_listed_in_the_system_message(system: list[Any]) -> None:
    told = calling().instructed([*system, {"role": "user", "content": "hi"}])
    assert [message["role"] for message in told] == ["system", "user"]
    assert '"refund"' in str(told[0]["content"])
    assert all(str(message["content"]) in str(told[0]["content"]) for message in system)


def test_calls_and_results_in_the_messages_become_text() -> None:
    call: Json = {"id": "a", "type": "function", "function": {"name": "refund", "arguments": '{"order": 7}'}}
    told = plain([
        {"role": "user", "content": "Refund 7"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "a", "content": "done"},
        {"role": "assistant", "content": None},
    ])  # fmt: skip
    assert [message["role"] for message in told] == ["user", "assistant", "user", "assistant"]
    assert json.loads(str(told[1]["content"])) == {"name": "refund", "arguments": {"order": 7}}
    assert told[2]["content"] == "Result of the tool: done"
    assert told[3]["content"] == ""


def test_arguments_that_come_as_an_object_are_written_as_json() -> None:
    function: Json = {"name": "refund", "arguments": {"order": None, "why": "späť"}}
    (told,) = plain([{"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": function}]}])
    assert told["content"] == '{"name": "refund", "arguments": {"order": null, "why": "späť"}}'


def test_a_call_in_the_messages_without_a_function_is_a_misuse() -> None:
    with pytest.raises(Misuse, match="has no function"):
        plain([{"role": "assistant", "tool_calls": ["x"]}])
