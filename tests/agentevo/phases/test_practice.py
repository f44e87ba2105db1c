"""Acts for practising: hints leave no trace, pairs are marked, gold is walked, and what was grown is given again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from moments import memory
from sums import GoldenSums, Sums, somewhere, task

from agentevo.environments.tool.house import House
from agentevo.environments.tool.shop import Shop
from agentevo.errors import Misuse, ModelUnavailable
from agentevo.models import ScriptedModel
from agentevo.models.fakes import Scripted
from agentevo.phases.act import Sample
from agentevo.phases.judge import Verify
from agentevo.phases.loop import Loop
from agentevo.phases.practice import Gold, Hinted, Paired, Reuse, Same
from agentevo.phases.tasks.pool import Pool
from agentevo.protocols import Act, Environment, State
from agentevo.types import Attempt, Experience, Report, Task

HINTED = Hinted(Sample(), by=Verify("strong"))


def acted(act: Act, replies: Sequence[Scripted], id: str = "1+1") -> tuple[list[Attempt], ScriptedModel]:
    model = ScriptedModel(replies)

    async def awaited() -> list[Attempt]:
        with memory() as m:
            return await act(somewhere(m, GoldenSums(), model), task(id))

    return asyncio.run(awaited()), model


def test_a_hint_is_given_after_a_failure_and_stands_in_nothing_that_is_kept() -> None:
    (attempt,), model = acted(HINTED, ["3", "2"])
    assert attempt.answer == "2"
    assert [message["content"] for message in attempt.messages] == ["What is 1+1?", "2"]
    assert (attempt.task.prompt, attempt.prompt, attempt.usage.calls) == ("What is 1+1?", 1, 2)
    assert "Do not mention" in str(model.requests[1].messages)
    assert "Do not mention" not in attempt.model_dump_json()
    assert [f.verdict for f in attempt.feedback] == ["hinted"]


def test_what_is_right_at_once_gets_no_hint() -> None:
    (attempt,), model = acted(HINTED, ["2"])
    assert (attempt.answer, attempt.feedback, len(model.requests)) == ("2", (), 1)


@pytest.mark.parametrize("second", ["4", "2, as the hint says", ModelUnavailable("gone")])
def test_a_second_try_that_fails_too_or_speaks_of_the_hint_leaves_the_first(second: Scripted) -> None:
    (attempt,), _ = acted(HINTED, ["3", second])
    assert (attempt.answer, attempt.stopped, attempt.feedback) == ("3", "", ())


def test_an_attempt_that_was_stopped_or_that_nobody_can_correct_stays() -> None:
    (stopped,), _ = acted(HINTED, [ModelUnavailable("gone")])
    assert stopped.has_failed
    (untold,), model = acted(Hinted(Sample(), by=Verify("weak")), ["3"])
    assert (untold.answer, len(model.requests)) == ("3", 1)


def test_pairs_are_marked_by_how_they_were_made_and_scored_by_nobody() -> None:
    found, _ = acted(Paired(Sample(context=["Be right."]), Sample(2, context=["Be wrong."])), ["2", ["3", "4"]])
    assert [(a.answer, a.feedback[-1].verdict, a.score) for a in found] == [
        ("2", "good", None), ("3", "bad", None), ("4", "bad", None),
    ]  # fmt: skip


@pytest.mark.parametrize("environment", [House(tasks=20), Shop()])
def test_gold_is_walked_and_scores_in_full(environment: Environment) -> None:
    async def awaited() -> list[tuple[float | None, Attempt]]:
        with memory() as m:
            state = somewhere(m, environment)
            made = [(await Gold()(state, one))[0] for one in environment.tasks("train")[:3]]
            return [((await environment.verify(a.task, a)).score, a) for a in made]

    for score, attempt in asyncio.run(awaited()):
        assert score == 1.0
        assert attempt.messages[0]["role"] in ("system", "user")
        assert attempt.steps


def test_gold_says_which_tools_there_are_as_a_loop_does() -> None:
    async def awaited() -> tuple[Attempt, Attempt]:
        environment = Shop()
        with memory() as m:
            state, one = somewhere(m, environment, ["I give up."]), environment.tasks("train")[0]
            return (await Gold()(state, one))[0], (await Loop(1)(state, one))[0]

    gold, own = asyncio.run(awaited())
    assert gold.tools == own.tools
    assert own.tools


def test_gold_needs_an_environment_that_knows_it() -> None:
    async def awaited() -> None:
        with memory() as m:
            await Gold()(somewhere(m, Sums()), task("1+1"))

    with pytest.raises(Misuse, match="'sums' does not know how its tasks are done"):
        asyncio.run(awaited())


def test_what_was_grown_in_one_turn_is_given_again_in_the_next_two() -> None:
    grown = Report(practised=(Experience(task=task("1+1"), attempts=(Attempt(id="a", task=task("1+1")),)),))

    async def awaited(rounds: int, id: str) -> list[str]:
        with memory() as m:
            state = somewhere(m, Sums(), ["2"], history=[grown, Report(), Report()][:rounds])
            return [attempt.id for attempt in await Reuse(Sample(), 3)(state, task(id))]

    assert [asyncio.run(awaited(n, "1+1")) == ["a"] for n in range(4)] == [False, True, True, False]
    assert asyncio.run(awaited(1, "1+2")) == []


def test_the_same_tasks_come_back_for_so_many_turns() -> None:
    async def chosen(rounds: int) -> list[Task]:
        with memory() as m:
            return await Same(Pool(n=2), 3)(somewhere(m, Sums(), history=[Report()] * rounds))

    first, second, third, fourth = (asyncio.run(chosen(n)) for n in range(4))
    assert first == second == third != fourth


async def nothing(state: State, task: Task) -> list[Attempt]:
    return []


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: Hinted(Sample(), by=Verify(), prompt=" "), "Hinted needs a prompt"),
        (lambda: Hinted(Sample, by=Verify()), "Hinted"),  # type: ignore[arg-type]
        (lambda: Paired(nothing, Sample), "Paired"),  # type: ignore[arg-type]
        (lambda: Reuse(nothing, 0), "cycles is 0"),
        (lambda: Same(Pool(), 0), "cycles is 0"),
    ],
)
def test_what_makes_no_sense_is_refused_where_it_is_made(make: object, what: str) -> None:
    assert callable(make)
    with pytest.raises(Misuse, match=what.replace("(", r"\(")):
        make()
