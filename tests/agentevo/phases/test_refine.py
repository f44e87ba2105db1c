"""Filters keep the attempts they say, and what they keep is still whole; a fixed objective stays."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence

import pytest
from moments import memory
from sums import Sums, outcome, somewhere, task

from agentevo.errors import Misuse
from agentevo.phases.judge import Vote
from agentevo.phases.objective import Fixed
from agentevo.phases.refine import Confident, Distinct, Threshold, TopK, equations, majority
from agentevo.protocols import Refine
from agentevo.types import Attempt, Experience, Objective, Report


def left(filter: Refine, *experiences: Experience, rounds: int = 0) -> list[list[str]]:
    with memory() as m:
        state = somewhere(m, Sums(), history=[Report()] * rounds)
        return names(asyncio.run(_awaited(filter(state, [*experiences]))))


async def _awaited(found: Awaitable[list[Experience]]) -> list[Experience]:
    return await found


def names(experiences: Sequence[Experience]) -> list[list[str]]:
    return [[attempt.id for attempt in experience.attempts] for experience in experiences]


def test_a_threshold_keeps_what_reaches_it_and_drops_what_is_left_empty() -> None:
    found = left(Threshold(0.5), outcome("1+1", 0.5, 0.4, 1.0), outcome("1+2", 0.0), outcome("1+3"))
    assert found == [["1+1#0", "1+1#2"]]


def test_what_nobody_scored_reaches_no_threshold_not_even_0() -> None:
    assert left(Threshold(0), outcome("1+1", None, 0.0)) == [["1+1#1"]]


def test_a_threshold_can_rise_with_the_round() -> None:
    rising = Threshold(lambda turn: (0.3, 0.6)[turn])
    kept = outcome("1+1", 0.5, 0.7)
    assert left(rising, kept) == [["1+1#0", "1+1#1"]]
    assert left(rising, kept, rounds=1) == [["1+1#1"]]


def test_topk_keeps_the_best_of_each_experience_the_first_of_equals() -> None:
    found = left(TopK(2), outcome("1+1", 0.1, 0.9, None, 0.9, 0.95), outcome("1+2", 0.0))
    assert found == [["1+1#4", "1+1#1"], ["1+2#0"]]


def test_topk_takes_another_measure() -> None:
    def late(attempt: Attempt) -> float:
        return float(attempt.id[-1])

    assert left(TopK(by=late), outcome("1+1", 1.0, 0.0)) == [["1+1#1"]]


def test_pairs_stay_where_both_of_them_stay() -> None:
    judged = outcome("1+1", 1.0, 0.8, 0.0)
    paired = judged.but(pairs=(("1+1#0", "1+1#1"), ("1+1#0", "1+1#2")))
    with memory() as m:
        (kept,) = asyncio.run(TopK(2)(somewhere(m, Sums()), [paired]))
    assert kept.pairs == (("1+1#0", "1+1#1"),)


def test_options_that_cannot_be_are_refused() -> None:
    with pytest.raises(Misuse, match="the threshold is 5"):
        Threshold(5)
    with pytest.raises(Misuse, match="the threshold is 2"):
        left(Threshold(lambda turn: 2), outcome("1+1", 1.0))
    with pytest.raises(Misuse, match="k is 0"):
        TopK(0)
    with pytest.raises(Misuse, match="by is 'score'"):
        TopK(by="score")  # type: ignore[arg-type]


def test_a_fixed_objective_is_the_same_whatever_the_state_wants() -> None:
    wanted = Objective(ability="math", target=0.9)
    with memory() as m:
        assert Fixed(wanted)(somewhere(m, Sums())) == wanted
    with pytest.raises(Misuse, match="objective is 'math'; expected an Objective"):
        Fixed("math")  # type: ignore[arg-type]


def voted(*answers: str) -> Experience:
    attempts = tuple(Attempt(id=f"v{n}", task=task("1+1"), answer=answer) for n, answer in enumerate(answers))
    with memory() as m:
        return asyncio.run(Vote()(somewhere(m, Sums()), Experience(task=task("1+1"), attempts=attempts)))


def test_a_sure_majority_is_kept_with_all_that_agree_and_an_even_split_goes() -> None:
    sure, even = voted("2", "3", "2", "2"), voted("2", "3", "3", "2")
    assert left(Confident(0.5), sure, even) == [["v0", "v1", "v2", "v3"]]
    assert left(Confident(0.8), sure) == []
    assert left(majority, sure, outcome("1+2", 1.0)) == [["v0", "v2", "v3"]]


def test_two_texts_with_the_same_equations_count_once() -> None:
    said = ["First 1+1 = 2. So 2.", "We see that 1 + 1 =2, of course", "1+1=2, 2*3 = 6", "two", "two ", "deux"]
    attempts = tuple(Attempt(id=f"e{n}", task=task("1+1"), answer=answer) for n, answer in enumerate(said))
    assert left(Distinct(), Experience(task=task("1+1"), attempts=attempts)) == [["e0", "e2", "e3", "e5"]]
    assert equations("(3+4)*2 = 14. Then 14/7=2") == ("(3+4)*2=14", "14/7=2")
