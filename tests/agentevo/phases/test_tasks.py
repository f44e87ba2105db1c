"""Which tasks come next: by lot, in order, by how they went before; and what failed is tried again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from moments import memory
from sums import Sums, outcome, somewhere

from agentevo.errors import Misuse, UnknownName
from agentevo.phases.tasks.pool import Pool, Select
from agentevo.phases.tasks.retry import Retry
from agentevo.types import Experience, Report

TRAIN = ["1+1", "1+2", "1+3", "1+4", "1+5"]


def chosen(source: Pool | Retry, *turns: Sequence[Experience], seed: int = 0) -> list[str]:
    """Return the tasks a source proposes after turns that were reported so."""
    with memory() as m:
        history = [Report(practised=tuple(turn)) for turn in turns]
        state = somewhere(m, Sums(), history=history, seed=seed)
        return [task.id for task in asyncio.run(source(state))]


# --- Pool


def test_a_random_draw_has_no_task_twice_and_is_repeatable() -> None:
    draws = [chosen(Pool(n=3), seed=s) for s in range(20)]
    assert draws == [chosen(Pool(n=3), seed=s) for s in range(20)]
    assert all(len(set(draw)) == 3 for draw in draws)
    assert {name for draw in draws for name in draw} == set(TRAIN)
    assert len({tuple(draw) for draw in draws}) > 5


def test_each_turn_draws_anew() -> None:
    turns: list[Sequence[Experience]] = [[]] * 10
    assert len({tuple(chosen(Pool(n=3), *turns[:n])) for n in range(10)}) > 3


def test_without_a_number_all_tasks_come() -> None:
    assert sorted(chosen(Pool())) == TRAIN
    assert chosen(Pool(select="in order")) == TRAIN
    assert sorted(chosen(Pool(n=99))) == TRAIN
    assert chosen(Pool("test")) == ["3+3"]


def test_in_order_each_turn_goes_on_where_the_last_one_ended() -> None:
    pool = Pool(n=2, select="in order")
    assert [chosen(pool, *[[]] * n) for n in range(3)] == [["1+1", "1+2"], ["1+3", "1+4"], ["1+5", "1+1"]]


def test_failed_and_solved_go_by_the_last_time_a_task_was_tried() -> None:
    turns = [
        [outcome("1+1", 0.0), outcome("1+2", 1.0), outcome("1+4", 0.5)],
        [outcome("1+1", 1.0), outcome("1+3", 0.0)],
    ]
    assert chosen(Pool(select="failed"), *turns) == ["1+3", "1+4"]
    assert chosen(Pool(select="solved"), *turns) == ["1+1", "1+2"]
    assert chosen(Pool(select="solved", n=1), *turns) == ["1+1"]
    assert chosen(Pool(select="solved", solved=0.5), *turns) == ["1+1", "1+2", "1+4"]


@pytest.mark.parametrize("select", ["failed", "solved"])
def test_before_anything_was_tried_all_tasks_come(select: Select) -> None:
    assert chosen(Pool(select=select)) == TRAIN
    assert chosen(Pool(select=select), [outcome("3+3", 0.0), outcome("1+1", None)]) == TRAIN


def test_held_out_tasks_never_come_back_as_practice() -> None:
    turn = [outcome("3+3", 0.0), outcome("1+1", 0.0)]
    assert chosen(Pool(select="failed"), turn) == ["1+1"]
    assert "3+3" not in chosen(Retry(), turn)


def test_an_empty_split_has_no_tasks() -> None:
    with memory() as m:
        state = somewhere(m, Sums(train=()))
        for source in (Pool(), Pool(n=3, select="in order"), Pool(select="failed"), Retry(n=2)):
            assert asyncio.run(source(state)) == []


def test_a_turn_counts_what_it_evaluated_last_unless_that_was_thrown_away() -> None:
    practised, evaluated = (outcome("1+1", 0.0),), (outcome("1+1", 1.0),)
    for accepted, expected in ((True, []), (False, ["1+1"])):
        turn = Report(practised=practised, experiences=evaluated, accepted=accepted)
        with memory() as m:
            state = somewhere(m, Sums(), history=[turn])
            assert [task.id for task in asyncio.run(Pool(select="failed")(state))] == expected


# --- Retry


def test_first_everything_is_new_then_what_failed_comes_again() -> None:
    assert chosen(Retry()) == TRAIN
    first = [outcome(name, float(name in ("1+2", "1+4"))) for name in TRAIN]
    assert chosen(Retry(), first) == ["1+1", "1+3", "1+5"]


def test_new_tasks_fill_up_what_the_failed_leave() -> None:
    first = [outcome("1+1", 1.0), outcome("1+2", 0.0)]
    assert chosen(Retry(n=2), first) == ["1+2", "1+3"]
    assert chosen(Retry(n=1), first) == ["1+2"]


def test_a_task_is_given_up_after_so_many_trials() -> None:
    failed = [outcome("1+1", 0.0)]
    assert chosen(Retry(n=1, trials=3), failed, failed) == ["1+1"]
    assert chosen(Retry(n=1, trials=3), failed, failed, failed) == ["1+2"]


def test_a_turn_is_one_trial_however_often_it_has_the_task() -> None:
    often = [outcome("1+1", 0.0)] * 3
    assert chosen(Retry(n=1, trials=2), often) == ["1+1"]


def test_solved_at_last_is_solved_and_forgotten_again_is_not() -> None:
    failed, solved = [outcome("1+1", 0.0)], [outcome("1+1", 1.0)]
    assert chosen(Retry(n=1), failed, solved) == ["1+2"]
    assert chosen(Retry(n=1), solved, failed) == ["1+1"]


def test_partly_right_is_tried_again_unless_that_is_enough() -> None:
    turn = [outcome("1+1", 0.5)]
    assert chosen(Retry(n=1), turn) == ["1+1"]
    assert chosen(Retry(n=1, solved=0.5), turn) == ["1+2"]


def test_what_nobody_judged_has_not_failed_and_is_still_new() -> None:
    assert chosen(Retry(n=2), [outcome("1+1", None), outcome("1+2", 0.0)]) == ["1+2", "1+1"]


def test_nothing_is_left_once_all_is_solved_or_given_up() -> None:
    assert chosen(Retry(trials=1), [outcome(name, 0.0) for name in TRAIN]) == []


# --- misuse


def test_options_that_cannot_be_are_refused() -> None:
    with pytest.raises(Misuse, match="n is 0"):
        Pool(n=0)
    with pytest.raises(Misuse, match="n is -1"):
        Retry(n=-1)
    with pytest.raises(UnknownName, match="unknown selection 'fail'; known: failed"):
        Pool(select="fail")  # type: ignore[arg-type]
    with pytest.raises(Misuse, match="trials is 0"):
        Retry(trials=0)
    with pytest.raises(Misuse, match="solved is 0"):
        Retry(solved=0)


def test_a_split_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(UnknownName, match="unknown split of 'sums' 'trian'; known: train"):
        chosen(Pool("trian"))
    with pytest.raises(UnknownName, match="unknown split of 'sums' 'rain'"):
        chosen(Retry(split="rain"))
