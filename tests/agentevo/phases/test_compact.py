"""Compact: the budget holds, one warning a period, calls keep their results, and what leaves is in memory first."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from moments import memory, moment

from agentevo.errors import BudgetExceeded, Misuse, ModelUnavailable
from agentevo.memory import Memory
from agentevo.models import FunctionModel, ScriptedModel
from agentevo.phases.compact import CUT, SUMMARY, WARNED, Compact, size
from agentevo.protocols import Model
from agentevo.types import Message

SYSTEM: Message = {"role": "system", "content": "You help."}
TASK: Message = {"role": "user", "content": "Do the work."}


def words(text: str) -> int:
    return len(text.split())


def said(n: int, length: int = 6, role: str = "assistant") -> Message:
    return {"role": role, "content": " ".join([f"m{n}"] + ["word"] * (length - 1))}


def called(n: int, results: int = 1, length: int = 3) -> list[Message]:
    calls: Any = [{"id": f"c{n}.{i}", "function": {"name": "look", "arguments": "{}"}} for i in range(results)]
    found: list[Message] = [{"role": "assistant", "content": None, "tool_calls": calls}]
    return [*found, *({**said(n, length, "tool"), "tool_call_id": f"c{n}.{i}"} for i in range(results))]


def summarising(text: str = "so far so good") -> FunctionModel:
    return FunctionModel(lambda messages: text)


def after(
    compact: Compact, m: Memory, messages: Sequence[Message], model: Model | None = None, **options: Any
) -> list[Message]:
    async def awaited() -> list[Message]:
        return await compact(moment(m, model or summarising()), messages, **options)

    return asyncio.run(awaited())


def kept(m: Memory) -> str:
    return "\n".join(item.text for item in m.list(kind="experience", order="oldest"))


# --- warning


def test_below_the_warning_nothing_changes() -> None:
    with memory() as m:
        messages = [SYSTEM, TASK, said(1)]
        assert after(Compact(100, count=words), m, messages) == messages
        assert m.stats().live == 0


def test_there_is_exactly_one_warning_a_period() -> None:
    compact, warnings, flushes = Compact(400, count=words), 0, 0
    with memory() as m:
        messages: list[Message] = [SYSTEM, TASK]
        for n in range(160):
            before = len(messages)
            messages = after(compact, m, [*messages, said(n)])
            if len(messages) <= before:
                flushes += 1
                assert warnings == flushes, "a warning comes before each flush, and only one"
                assert WARNED not in str(messages), "a new period begins without it"
            warnings += messages[-1]["content"] == WARNED
            assert str(messages).count(WARNED) <= 1
    assert flushes >= 3
    assert warnings - flushes in (0, 1)


def test_a_warning_does_not_come_between_a_call_and_its_result() -> None:
    with memory() as m:
        call, result = called(1, length=50)
        waiting = [SYSTEM, TASK, said(0, 80), call]
        assert after(Compact(150, count=words), m, waiting) == waiting
        assert after(Compact(190, count=words), m, [*waiting, result])[-1]["content"] == WARNED


# --- flush


def test_at_the_budget_the_oldest_half_leaves_and_a_summary_stands_for_it() -> None:
    with memory() as m:
        messages = [SYSTEM, TASK, *(said(n) for n in range(20))]
        found = after(Compact(200, count=words), m, messages)
        assert found[:2] == [SYSTEM, TASK]
        assert found[2] == {"role": "user", "content": f"{SUMMARY}\nso far so good"}
        left = len(messages) - (len(found) - 1)
        assert found[3:] == messages[2 + left :]
        assert size(found, words) <= 100 + 200 // 8
        assert [f"m{n} " in kept(m) for n in range(20)] == [n < left for n in range(20)]


def test_the_new_summary_is_made_of_the_old_one_and_what_leaves() -> None:
    with memory() as m:
        model = ScriptedModel(["the first summary", "the second summary"])
        compact = Compact(200, count=words)
        messages = after(compact, m, [SYSTEM, TASK, *(said(n) for n in range(20))], model)
        messages = after(compact, m, [*messages, *(said(n) for n in range(20, 40))], model)
        system, user = (str(message["content"]) for message in model.requests[1].messages)
        assert "summary" in system
        assert "the first summary" in user
        assert "m0 " not in user
        assert "m20 " in user
        assert [SUMMARY in str(message) for message in messages].count(True) == 1
        assert "the second summary" in str(messages[2])
        assert "the first summary" in kept(m), "the old summary left the prompt too"


def test_what_leaves_is_in_memory_as_experience_of_the_agent_and_a_tools_words_are_trusted_as_such() -> None:
    with memory() as m:
        messages = [SYSTEM, TASK, said(0), *called(1), *(said(n) for n in range(2, 22))]
        after(Compact(200, count=words), m, messages)
        first, call, result, *_ = m.list(kind="experience", order="oldest")
        assert (first.text, first.source, first.trust) == (f"assistant: {messages[2]['content']}", "agent", 0.7)
        assert '"look"' in call.text
        about = {"left": "context", "role": "tool", "tool_call_id": "c1.0"}
        assert (result.source, result.trust, result.metadata) == ("agent", 0.4, about)
        assert m.history()[0].reason == "left the context"


def test_where_memory_cannot_be_written_nothing_leaves() -> None:
    m = memory()
    messages = [SYSTEM, TASK, *(said(n) for n in range(20))]
    m.close()
    with pytest.raises(Exception, match="closed"):
        after(Compact(200, count=words), m, messages)


def test_fixed_messages_never_leave() -> None:
    with memory() as m:
        messages = [SYSTEM, said(90, role="user"), said(91), TASK, *(said(n) for n in range(20))]
        found = after(Compact(200, count=words), m, messages, fixed=4)
        assert found[:4] == messages[:4]
        assert after(Compact(200, count=words), m, messages)[:2] == messages[:2]


def test_the_last_messages_stay_while_they_fit() -> None:
    with memory() as m:
        messages = [SYSTEM, TASK, *(said(n, 20) for n in range(9))]
        assert after(Compact(200, evict=1.0, keep=4, count=words), m, messages)[-4:] == messages[-4:]


@pytest.mark.parametrize("reply", [ModelUnavailable("down"), "  "])
def test_without_a_summary_there_is_a_plain_cut_with_a_mark(reply: Any, caplog: pytest.LogCaptureFixture) -> None:
    with memory() as m, caplog.at_level(logging.WARNING):
        compact = Compact(200, count=words)
        model = ScriptedModel(["the first summary", reply, reply])
        messages = after(compact, m, [SYSTEM, TASK, *(said(n) for n in range(20))], model)
        for period in (1, 2):
            messages = after(compact, m, [*messages, *(said(20 * period + n) for n in range(20))], model)
            assert messages[2]["content"] == f"{SUMMARY}\n{CUT}\nthe first summary"
        assert all(f"m{n} " in kept(m) for n in range(30))


def test_a_spent_budget_ends_the_run() -> None:
    with memory() as m, pytest.raises(BudgetExceeded):
        after(
            Compact(200, count=words),
            m,
            [SYSTEM, TASK, *(said(n) for n in range(20))],
            ScriptedModel([BudgetExceeded("spent")]),
        )


def test_a_single_message_beyond_the_budget_is_cut_and_whole_in_memory() -> None:
    with memory() as m:
        long = said(1, 500)
        found = after(Compact(100, count=words), m, [SYSTEM, TASK, said(0), long])
        assert size(found, words) < 100
        assert str(found[-1]["content"]).startswith("m1 word word")
        assert str(long["content"]) in kept(m)


def test_fixed_messages_that_exceed_the_budget_are_left_alone_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    with memory() as m, caplog.at_level(logging.WARNING):
        head: Message = {"role": "system", "content": "rule " * 300}
        assert after(Compact(100, count=words), m, [head, TASK, said(0)])[0] == head
        assert "the fixed messages alone leave no room within 100 tokens" in caplog.text


def test_a_message_longer_than_an_item_is_kept_in_parts() -> None:
    with memory() as m:
        huge: Message = {"role": "tool", "content": "x" * 1_500_000}
        after(Compact(100), m, [SYSTEM, TASK, said(0), huge])
        assert sum(item.text.count("x") for item in m.list(kind="experience")) == 1_500_000


def test_half_a_character_in_a_message_that_leaves_is_replaced() -> None:
    calls: Any = [{"id": "c", "function": {"name": "look", "arguments": '{"at": "\ud83d"}'}}]
    bad: list[Message] = [
        {"role": "assistant", "content": "half \ud800 of it" + " word" * 90},
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "c", "content": "and \udc00"},
    ]
    with memory() as m:
        messages = after(Compact(100, count=words), m, [SYSTEM, TASK, *bad, said(0), said(1), said(2)])
        assert not any(message in messages for message in bad)
        assert [part in kept(m) for part in ("half \ufffd of it", "\ufffd", "tool: and \ufffd")] == [True] * 3


def in_parts(*parts: Any, role: str = "user") -> Message:
    return {"role": role, "content": list(parts)}


IMAGE: Any = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{'A' * 40_000}"}}


def test_a_text_in_parts_is_cut_as_any_and_whole_in_memory() -> None:
    with memory() as m:
        short: Any = {"type": "text", "text": "look here"}
        long: Any = {"type": "text", "text": "word " * 500}
        found = after(Compact(100, count=words), m, [SYSTEM, TASK, said(0), in_parts(short, long)])
        assert size(found, words) < 100
        parts: Any = found[-1]["content"]
        assert parts[0] == short
        assert parts[1]["text"].startswith("word word")
        assert "word " * 500 in kept(m)


def test_an_image_counts_as_a_thousand_tokens_and_leaves_with_its_message() -> None:
    pictured = in_parts({"type": "text", "text": "see"}, IMAGE)
    assert size([pictured], words) == 4 + 2 + 1000
    with memory() as m:
        model = ScriptedModel(["a picture"])
        found = after(Compact(1100, count=words), m, [SYSTEM, TASK, pictured, *(said(n, 30) for n in range(4))], model)
        assert pictured not in found
        assert "user: see\n[image_url]" in str(model.requests[0].messages[1]["content"]), "it does not fill the request"
        assert IMAGE["image_url"]["url"] in kept(m)


def test_what_is_never_cut_is_named_where_it_leaves_no_room(caplog: pytest.LogCaptureFixture) -> None:
    with memory() as m, caplog.at_level(logging.WARNING):
        assert after(Compact(100, count=words), m, [SYSTEM, TASK, said(0), in_parts(IMAGE)])[-1] == in_parts(IMAGE)
        assert "what is never cut leaves no room within 100 tokens" in caplog.text


def test_every_field_of_a_message_that_leaves_is_in_memory_secrets_masked() -> None:
    calling: Any = {"name": "old", "arguments": '{"q": "legacy"}'}
    leaving: list[Message] = [
        {"role": "assistant", "content": None, "reasoning_content": "a plan about dogs"},
        {"role": "assistant", "content": None, "function_call": calling},
        {"role": "function", "name": "old", "content": "found"},
        {"role": "assistant", "content": "", "refusal": "I will not say sk-proj-" + "a1B2c3D4" * 6},
        {"role": "tool", "tool_call_id": "c77", "name": "look", "content": "result"},
        in_parts({"type": "tool_result", "tool_use_id": "t1", "content": "a page"}),
    ]
    with memory() as m:
        after(Compact(200, count=words), m, [SYSTEM, TASK, *leaving, *(said(n) for n in range(20))])
        plan, call, answer, refusal, result, page, *_ = m.list(kind="experience", order="oldest")
        assert plan.text == "assistant: reasoning_content: a plan about dogs"
        assert (json.dumps(calling) in call.text, answer.metadata["name"], answer.trust) == (True, "old", 0.4)
        assert refusal.text.startswith("assistant: refusal: I will not say")
        assert "a1B2c3D4" not in refusal.text
        assert (page.trust, '"t1"' in page.text) == (0.4, True)
        assert (result.metadata["tool_call_id"], result.metadata["name"]) == ("c77", "look")


@pytest.mark.parametrize("failure", [RuntimeError("x"), TimeoutError(), ValueError("no")])
def test_whatever_a_model_raises_is_a_summary_that_failed(failure: Exception) -> None:
    with memory() as m:
        messages = [SYSTEM, TASK, *(said(n) for n in range(20))]
        found = after(Compact(200, count=words), m, messages, ScriptedModel([failure]))
        assert found[2]["content"] == f"{SUMMARY}\n{CUT}"


# --- whatever the messages

blocks = st.lists(
    st.one_of(
        st.builds(lambda n, length: [said(n, length)], st.integers(0, 99), st.integers(1, 40)),
        st.builds(lambda n, length: [said(n, length, "user")], st.integers(0, 99), st.integers(1, 40)),
        st.builds(called, st.integers(0, 99), st.integers(1, 3), st.integers(1, 20)),
    ),
    max_size=25,
)


@settings(max_examples=60)
@example([[said(0, 1)], called(0, 3, 15)], 100, 1.0, 1)
@given(blocks, st.integers(100, 400), st.floats(0.2, 1.0), st.integers(1, 5))
def test_the_budget_holds_calls_keep_their_results_and_nothing_is_lost(
    said_: list[list[Message]], budget: int, evict: float, keep: int
) -> None:
    compact = Compact(budget, evict=evict, keep=keep, count=words)
    with memory() as m:
        messages: list[Message] = [SYSTEM, TASK]
        for block in said_:
            messages = after(compact, m, [*messages, *block])
            assert size(messages, words) <= budget
            assert messages[:2] == [SYSTEM, TASK]
            assert _calls_have_results(messages)
        everything = kept(m) + "\n".join(str(message.get("content")) for message in messages)
        for message in (message for block in said_ for message in block if message.get("content")):
            assert str(message["content"]) in everything
        for message in (message for block in said_ for message in block if message.get("tool_calls")):
            assert message in messages or json.dumps(message["tool_calls"]) in kept(m)


def _calls_have_results(messages: Sequence[Message]) -> bool:
    waiting: list[str] = []
    for message in messages:
        if message.get("role") == "tool":
            if not waiting or message["tool_call_id"] != waiting.pop(0):
                return False
        elif waiting:
            return False
        calls: Any = message.get("tool_calls") or []
        waiting = [call["id"] for call in calls] or waiting
    return not waiting


def test_tokens_are_counted_with_the_models_own_tokenizer_where_it_has_one() -> None:
    class Counting(ScriptedModel):
        def count_tokens(self, text: str) -> int:
            return 1000 * words(text)

    with memory() as m:
        messages = [SYSTEM, TASK, said(0), said(1), said(2), said(3), said(4)]
        assert after(Compact(30_000), m, messages, ScriptedModel([])) == messages
        assert after(Compact(30_000), m, messages, Counting(["short"])) != messages


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"budget": 10}, "budget is 10"),
        ({"budget": 64.5}, "budget is 64.5"),
        ({"budget": float("nan")}, "budget is nan"),
        ({"budget": "100"}, "budget is '100'"),
        ({"budget": None}, "budget is None"),
        ({"budget": 100, "warn": "0.5"}, "warn='0.5'"),
        ({"budget": 100, "evict": "0.5"}, "evict is '0.5'"),
        ({"budget": 100, "keep": 1.5}, "keep is 1.5"),
        ({"budget": 100, "warn": 1.0}, "expected shares 0 < warn < flush <= 1"),
        ({"budget": 100, "flush": 1.5}, "expected shares 0 < warn < flush <= 1"),
        ({"budget": 100, "evict": 0}, "evict is 0"),
        ({"budget": 100, "keep": 0}, "keep is 0"),
    ],
)
def test_what_makes_no_sense_is_refused_when_it_is_made(fields: Any, says: str) -> None:
    with pytest.raises(Misuse, match=says):
        Compact(**fields)
