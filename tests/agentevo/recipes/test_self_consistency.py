"""Self-consistency: the answer that most samples agree on comes back, at the cost of all of them."""

from __future__ import annotations

import asyncio

import pytest
from moments import memory
from sums import Sums, somewhere, task

from agentevo.models import ScriptedModel
from agentevo.recipes import load
from agentevo.recipes.correction.self_consistency import final
from agentevo.types import Attempt


def answered(*samples: str, **options: object) -> tuple[Attempt, ScriptedModel]:
    model = ScriptedModel([samples])

    async def awaited() -> list[Attempt]:
        with memory() as m:
            recipe = load("self_consistency", n=len(samples), **options)
            return await recipe.act(somewhere(m, Sums(), model), task("1+1"))

    (attempt,) = asyncio.run(awaited())
    return attempt, model


def test_what_most_samples_say_is_the_answer_in_one_request() -> None:
    attempt, model = answered("3", "2", "4", " 2. ")
    assert (attempt.answer, attempt.score, attempt.usage.calls) == ("2", None, 1)
    assert [(request.n, request.temperature) for request in model.requests] == [(4, 0.7)]


def test_of_equals_the_first_is_given() -> None:
    assert answered("3", "2", "2", "3")[0].answer == "3"


def test_other_steps_to_one_end_agree() -> None:
    attempt, model = answered(
        "Three.\nThe answer is 3.", "1+1\n= 2\nThe answer is **2**.", "Twice one.\nthe answer is: 2\n", think=True
    )
    assert attempt.answer == "1+1\n= 2\nThe answer is **2**."
    assert "step by step" in str(model.requests[0].messages[0]["content"])


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        ("so\nThe final answer is $4$.", "4"),
        ("Answer: Paris", "paris"),
        ("#### 1,200", "1,200"),
        ("# the answer is 3\ndef f():\n    return 4", "# the answer is 3 def f(): return 4"),
        ("Klow.", "klow"),
        ("", ""),
    ],
)
def test_what_an_answer_comes_to_is_said_in_its_last_line_or_is_the_whole(answer: str, what: str) -> None:
    assert final(answer) == what
