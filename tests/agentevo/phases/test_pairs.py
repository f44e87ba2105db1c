"""Preferences come from scores or from construction, never from ties; what wandered is cut."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from moments import memory
from sums import Sums, somewhere, task

from agentevo.errors import Misuse
from agentevo.phases.pairs import Cut, Pairs, by_construction
from agentevo.protocols import Refine
from agentevo.types import Attempt, Experience, Feedback, Message

HERE = task("1+1")


def tried(*scores: float | None, verdicts: Sequence[str] = (), answers: Sequence[str] = ()) -> Experience:
    attempts = []
    for n, score in enumerate(scores):
        verdict = verdicts[n] if verdicts else ""
        told = Feedback(score=score, verdict=verdict, source="environment" if score is not None else "rule")
        answer = answers[n] if answers else f"answer {n}"
        attempts.append(Attempt(id=f"a{n}", task=HERE, answer=answer, feedback=(told,)))
    return Experience(task=HERE, attempts=tuple(attempts))


def refined(refine: Refine, *experiences: Experience) -> list[Experience]:
    async def awaited() -> list[Experience]:
        with memory() as m:
            return await refine(somewhere(m, Sums()), list(experiences))

    return asyncio.run(awaited())


def pairs(refine: Refine, *experiences: Experience) -> list[tuple[tuple[str, str], ...]]:
    return [experience.pairs for experience in refined(refine, *experiences)]


def test_the_best_is_preferred_to_the_worst_and_ties_are_dropped() -> None:
    assert pairs(Pairs(), tried(0.2, 0.9, None, 0.4), tried(0.5, 0.5)) == [(("a1", "a0"),)]


def test_every_pair_that_leads_by_the_margin_is_taken_if_asked() -> None:
    assert pairs(Pairs(0.3, every=True), tried(1.0, 0.0, 0.6)) == [(("a0", "a2"), ("a0", "a1"), ("a2", "a1"))]
    assert pairs(Pairs(0.6), tried(0.9, 0.5), tried(0.9, 0.1)) == [(("a0", "a1"),)]


def test_equal_answers_are_no_pair_whatever_their_scores() -> None:
    assert pairs(Pairs(), tried(1.0, 0.0, answers=("2", "2"))) == []


def test_what_has_no_pair_stays_where_it_is_of_use() -> None:
    assert pairs(Pairs(keep=True), tried(1.0, 1.0)) == [()]


def test_construction_says_which_is_better_against_any_score() -> None:
    made = tried(0.0, 1.0, 0.5, verdicts=("good", "bad", "other"))
    same = tried(0.0, 1.0, verdicts=("good", "bad"), answers=("2", "2"))
    assert pairs(by_construction, made, same) == [(("a0", "a1"),)]


def walk(id: str, steps: int) -> Attempt:
    said: list[Message] = [{"role": "user", "content": "go"}]
    for n in range(steps):
        said += [{"role": "assistant", "content": f"step {n}"}, {"role": "user", "content": f"seen {n}"}]
    return Attempt(id=id, task=HERE, messages=tuple(said), prompt=1)


def test_the_worse_is_cut_to_the_steps_of_the_better_and_some_more() -> None:
    pair = Experience(task=HERE, attempts=(walk("good", 2), walk("bad", 9)), pairs=(("good", "bad"),))
    (cut,) = refined(Cut(3), pair)
    assert [len(attempt.steps) for attempt in cut.attempts] == [2, 5]
    assert cut.attempts[1].messages[-1]["content"] == "seen 4"
    assert refined(Cut(7), pair) == [pair]


@pytest.mark.parametrize("make", [lambda: Pairs(1.0), lambda: Cut(-1)])
def test_numbers_that_make_no_sense_are_refused(make: object) -> None:
    assert callable(make)
    with pytest.raises(Misuse):
        make()
