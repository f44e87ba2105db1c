"""Generate: new tasks after a pattern; what is like one that is there, too short or unreadable is left out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moments import memory
from sums import Sums, somewhere

from agentevo.errors import Misuse
from agentevo.models import ScriptedModel
from agentevo.models.fakes import Scripted
from agentevo.phases.tasks.generate import Generate, Written, rouge_l
from agentevo.types import Task


def generated(tasks: Generate, replies: Sequence[Scripted]) -> tuple[list[Task], ScriptedModel]:
    model = ScriptedModel(replies)

    async def awaited() -> list[Task]:
        with memory() as m:
            return await tasks(somewhere(m, Sums(), model))

    return asyncio.run(awaited()), model


def test_what_is_new_becomes_a_task_and_what_is_alike_does_not() -> None:
    said = Written(tasks=["what is 1+1?", "How many legs have two spiders?", "Why?", "how many legs have two ants?"])
    found, model = generated(Generate(1), [said])
    assert [(task.id, task.prompt, task.provenance) for task in found] == [
        ("generated-0-0-0", "How many legs have two spiders?", "generated")
    ]
    assert str(model.requests[0].messages).count("What is 1+") == 5


def test_it_asks_again_and_is_content_in_the_end() -> None:
    replies: list[Scripted] = [
        Written(tasks=["Name three rivers in Asia."]),
        "no",
        Written(tasks=["Count the moons of Mars, please."]),
    ]
    found, _ = generated(Generate(3), replies)
    assert [task.prompt for task in found] == ["Name three rivers in Asia.", "Count the moons of Mars, please."]


def test_a_prompt_of_ones_own_may_hold_braces() -> None:
    said = Written(tasks=["Name three rivers in Asia."])
    _, model = generated(Generate(1, prompt='Write {n} as {"tasks": [...]}.', each=2), [said])
    assert str(model.requests[0].messages[0]["content"]).startswith('Write 2 as {"tasks": [...]}.')


@pytest.mark.parametrize(
    ("one", "other", "share"),
    [("a b c d", "a b c d", 1), ("a b c d", "a x c d", 0.75), ("a b", "c d", 0), ("", "a", 0)],
)
def test_rouge_l_counts_words_in_order(one: str, other: str, share: float) -> None:
    assert rouge_l(one, other) == pytest.approx(share)


@given(st.lists(st.sampled_from("ab"), max_size=6), st.lists(st.sampled_from("ab"), max_size=6))
def test_rouge_l_is_a_share_and_the_same_both_ways(one: list[str], other: list[str]) -> None:
    found = rouge_l(" ".join(one), " ".join(other))
    assert 0 <= found <= 1
    assert found == rouge_l(" ".join(other), " ".join(one))


@pytest.mark.parametrize("make", [lambda: Generate(0), lambda: Generate(alike=2), lambda: Generate(prompt=" ")])
def test_what_makes_no_sense_is_refused(make: object) -> None:
    assert callable(make)
    with pytest.raises(Misuse):
        make()
