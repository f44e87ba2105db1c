"""Context distillation: what was recalled or hinted is gone from the prompts of rows, token for token."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
from moments import attempt, experience, learned, memory, moment
from worlds import LOOK, World, call

from agentevo.errors import ExportError
from agentevo.memory import Insert, Memory
from agentevo.overlap import words
from agentevo.phases.act import Sample
from agentevo.phases.combine import Refined
from agentevo.phases.context import Latest, Recalled
from agentevo.phases.loop import Loop
from agentevo.protocols import Act, Part, State
from agentevo.types import Attempt, Experience, Feedback, Message, Section, Task
from agentevo.weights import export_sft
from agentevo.weights.rows import Strip

TASK = Task(id="t", prompt="where does Anna live")
HINTED = TASK.but(data={"hint": "The answer is zirconium."})
TALK = TASK.but(data={"messages": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]})
REMEMBERED = ("quokka", "xylophone", "marzipan", "obelisk")
"""A word of each item in memory that stands nowhere else."""


class Rendering(NamedTuple):
    """Parts of a prompt, and the word of memory that each must bring into it."""

    parts: Sequence[Part]
    brings: set[str]


RENDERED = {
    "turns": Rendering([Recalled(1, "experience")], {"quokka"}),
    "quoted": Rendering([Recalled(1, "experience", as_="quoted")], {"quokka"}),
    "facts": Rendering([Recalled(2, "fact")], {"xylophone", "marzipan"}),
    "notes": Rendering([Latest(3)], {"obelisk"}),
    "all at once": Rendering(["Be brief.", Recalled(9), Latest(3), Recalled(9, as_="quoted")], {*REMEMBERED}),
}


def filled() -> Memory:
    """Return a memory with an example, a fact, a fact from the web, and a note."""
    m = memory()
    learned(m, Insert(), [experience(attempt("old", "where does the quokka live", "in Perth", 1.0))])
    m.insert("Anna has a xylophone", kind="fact")
    m.insert("Anna eats marzipan", kind="fact", source="web")
    m.insert("Ask about the obelisk", kind="note")
    return m


def made(m: Memory, act: Act, world: World, task: Task = TASK, replies: Sequence[Any] = ("In Oslo.",)) -> Attempt:
    async def awaited() -> Attempt:
        (one,) = await act(replace(moment(m, list(replies)), environment=world), task)
        return one.but(task=TASK).told(Feedback(score=1.0))

    return asyncio.run(awaited())


def row(m: Memory, one: Attempt, strip: Sequence[Strip] = ("memory",), **options: Any) -> dict[str, Any]:
    """Record an attempt, and export it from memory as the only row."""
    m.record(Experience(task=one.task, attempts=(one,)))
    out = io.StringIO()
    assert export_sft(m, out, strip=strip, min_trust=0.0, **options).rows == 1
    exported: dict[str, Any] = json.loads(out.getvalue())
    return exported


def tokens(value: object) -> set[str]:
    return set(words(json.dumps(value)))


@pytest.mark.parametrize("rendering", RENDERED)
@pytest.mark.parametrize("task", [TASK, TALK], ids=["task", "conversation"])
@pytest.mark.parametrize(
    ("kind", "tools"), [("sample", "native"), ("loop", "native"), ("loop", "text")], ids=["sample", "loop", "text"]
)
def test_a_stripped_prompt_is_the_one_that_an_empty_memory_gives(
    rendering: str, task: Task, kind: str, tools: Any
) -> None:
    parts, brings = RENDERED[rendering]
    world = World(instruction="Answer questions.", observation="You stand in a room.")
    act: Act = Sample(context=parts) if kind == "sample" else Loop(context=parts, tools=tools)
    with filled() as m, memory() as empty:
        one = made(m, act, world, task)
        assert brings <= tokens(one.messages)
        bare = made(empty, act, world, task)
        exported = row(m, one)
    assert exported["prompt"] == list(bare.messages[: bare.prompt])
    assert exported["completion"] == list(bare.messages[bare.prompt :])
    assert not tokens(exported) & {*REMEMBERED, "remember", "notes", "recalled"}


def test_without_strip_the_prompt_is_what_was_sent() -> None:
    with filled() as m:
        one = made(m, Sample(context=[Recalled(9), Latest(3)]), World())
        exported = row(m, one, strip=())
    assert exported["prompt"] == list(one.messages[: one.prompt])
    assert set(REMEMBERED) <= tokens(exported)


@pytest.mark.parametrize(
    ("strip", "left"),
    [
        ((), {"zirconium", "quokka"}),
        (("memory",), {"zirconium"}),
        (("hints",), {"quokka"}),
        (("hints", "memory"), set()),
        (("memory", "hints"), set()),
    ],
)
def test_memory_and_hints_are_stripped_apart_or_together(strip: Sequence[Strip], left: set[str]) -> None:
    with filled() as m:
        one = made(m, Sample(context=[Recalled(1, "experience")]), World(), HINTED)
        exported = row(m, one, strip=strip)
    assert tokens(exported) & {"zirconium", "quokka"} == left


def test_a_hint_is_stripped_where_nothing_was_recalled() -> None:
    with memory() as m:
        one = made(m, Sample(), World(), HINTED)
        assert "zirconium" in tokens(one.messages)
        assert row(m, one, ("memory", "hints"))["prompt"] == [{"role": "user", "content": TASK.prompt}]


def test_secrets_are_masked_in_what_is_kept_of_the_bare_prompt() -> None:
    with filled() as m:
        part: Part = "The key is sk-proj-abcdefghijklmnopqrstuvwx1234567890ABCD"
        exported = row(m, made(m, Sample(context=[part, Recalled(1, "experience")]), World()))
    assert "abcdefghijkl" not in json.dumps(exported)
    assert "[secret:" in exported["prompt"][0]["content"]


def test_an_attempt_that_does_not_say_what_was_recalled_is_left_out() -> None:
    said: list[Message] = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "In Oslo."}]
    with memory() as m:
        used = m.insert("something").id
        one = attempt("a", score=1.0, used=[used], messages=said).but(prompt=1)
        m.record(Experience(task=one.task, attempts=(one,)))
        with pytest.raises(ExportError) as raised:
            export_sft(m, io.StringIO(), strip=["memory"])
    assert raised.value.dropped == {"memory cannot be stripped": 1}


def test_what_is_constant_in_a_prompt_is_no_memory() -> None:
    async def persona(state: object, task: Task) -> Section:
        return Section(messages=({"role": "system", "content": "You are a quokka."},))

    with memory() as m:
        one = made(m, Sample(context=[persona]), World())
        assert one.bare == {}
        assert "quokka" in tokens(row(m, one))


def test_a_run_with_tools_is_a_row_of_many_turns() -> None:
    replies = [call(at="hall"), "It is in the hall."]
    with filled() as m:
        one = made(m, Loop(context=[Recalled(1, "experience")]), World(), replies=replies)
        exported = row(m, one)
    assert exported["tools"][0] == LOOK.as_openai()
    assert [message["role"] for message in exported["completion"]] == ["assistant", "tool", "assistant"]
    asked, result, _ = exported["completion"]
    assert asked["tool_calls"][0]["function"] == {"name": "look", "arguments": {"at": "hall"}}
    assert (result["name"], result["tool_call_id"]) == ("look", asked["tool_calls"][0]["id"])


async def critic(state: State, judged: Experience) -> Experience:
    (one,) = judged.attempts
    is_right, text = one.answer == "In the attic.", "Wrong, think of zirconium."
    told = (
        Feedback(source="judge", verdict="right") if is_right else Feedback(text=text, source="judge", verdict="wrong")
    )
    return judged.but(attempts=(one.told(told),))


@pytest.mark.parametrize("rounds", [1, 2])
@pytest.mark.parametrize(
    ("strip", "left"), [(("memory", "hints"), set()), (("hints",), {"quokka"}), (("memory",), {"zirconium"})]
)
def test_the_review_of_a_draft_that_was_acted_again_is_a_hint(
    strip: Sequence[Strip], left: set[str], rounds: int
) -> None:
    answers = ["In the cellar.", "In the attic."] if rounds == 1 else ["In the hut.", "In the cellar.", "In the attic."]
    replies = [reply for answer in answers for reply in (call(at="hall"), answer)]
    act = Refined(Loop(context=[Recalled(1, "experience")]), by=critic, rounds=rounds)
    with filled() as m:
        one = made(m, act, World(), replies=replies)
        assert one.answer == "In the attic."
        assert {"zirconium", "quokka"} <= tokens(one.messages)
        exported = row(m, one, strip=strip)
    assert tokens(exported) & {"zirconium", "quokka"} == left
    assert exported["prompt"][-1]["content"].startswith(TASK.prompt)


def test_calls_that_a_model_writes_stand_as_it_wrote_them() -> None:
    written = '{"name": "look", "arguments": {"at": "hall"}}'
    with filled() as m:
        one = made(m, Loop(context=[Recalled(1, "experience")], tools="text"), World(), replies=[written, "There."])
        exported = row(m, one)
    assert exported["tools"] == []
    assert [(m["role"], m["content"]) for m in exported["completion"]][:2] == [
        ("assistant", written), ("user", "```result of look\nlook {'at': 'hall'}\n```"),
    ]  # fmt: skip
    assert exported["prompt"][0]["role"] == "system"
    assert "look" in exported["prompt"][0]["content"]


def test_one_shape_is_messages_and_one_choice_the_answer_alone() -> None:
    with filled() as m:
        one = made(m, Loop(), World(), replies=[call(at="hall"), "There."])
        exported = row(m, one, shape="messages", turns="answer")
    assert exported["messages"] == [
        {"role": "user", "content": TASK.prompt}, {"role": "assistant", "content": "There."},
    ]  # fmt: skip


def test_a_hint_that_cannot_be_taken_out_is_left_out_with_its_attempt() -> None:
    said: list[Message] = [
        {"role": "system", "content": "Hint: it is foo"}, {"role": "user", "content": "q"},
        {"role": "assistant", "content": "foo"},
    ]  # fmt: skip
    asked = Task(id="t", prompt="q", data={"hint": "it is foo"})
    whole = attempt("a", score=1.0, messages=said).but(prompt=2, task=asked)
    halves = whole.but(bare={"memory": said[1:2], "hints": said[1:2]})
    for one, why in ((whole, "hints cannot be stripped"), (halves, "hints and memory cannot be stripped together")):
        with pytest.raises(ExportError) as raised:
            export_sft([Experience(task=asked, attempts=(one,))], io.StringIO(), strip=["memory", "hints"])
        assert raised.value.dropped == {why: 1}
        assert export_sft([Experience(task=asked, attempts=(one,))], io.StringIO()).rows == 1
