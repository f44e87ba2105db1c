"""Credit and use: counted once an attempt, as it was last told."""

from __future__ import annotations

import pytest
from moments import DAY, NOW, attempt, experience, learned, memory, moment, ops

from agentevo.errors import Misuse
from agentevo.memory import Credit, Memory, Reinforce
from agentevo.types import Experience, Item, Json, Op


def one(memory: Memory, id: str) -> Item:
    item = memory.get(id)
    assert item is not None
    return item


def tally(memory: Memory, id: str) -> tuple[float, float]:
    item = one(memory, id)
    return item.wins, item.losses


def test_credit_adds_the_score_to_wins_and_the_rest_to_losses() -> None:
    with memory() as m:
        a, b = (item.id for item in m.insert(["a", "b"]))
        learned(m, Credit(), [experience(attempt("1", score=0.75, used=[a, b]), attempt("2", score=0, used=[b]))])
        assert (tally(m, a), tally(m, b)) == ((0.75, 0.25), (0.75, 1.25))
        assert one(m, a).utility == pytest.approx(1.75 / 3)


def test_credit_given_twice_counts_once() -> None:
    with memory() as m:
        a = m.insert("a").id
        told = [experience(attempt("1", score=1, used=[a]))]
        learned(m, Credit(), told)
        learned(m, Credit(), told)
        assert tally(m, a) == (1, 0)


def test_the_latest_word_on_an_attempt_replaces_the_earlier_one() -> None:
    with memory() as m:
        a = m.insert("a").id
        learned(m, Credit(), [experience(attempt("1", score=1, used=[a]))])
        learned(m, Credit(), [experience(attempt("1", score=0, used=[a]))])
        assert tally(m, a) == (0, 1)
        twice = [experience(attempt("2", score=s, used=[a, a])) for s in (0, 1)]
        (op,) = ops(Credit(), moment(m), twice)
        assert (op.key, op.changes) == ("2", {"wins": 1, "losses": 0})
        learned(m, Credit(), twice)
        assert tally(m, a) == (1, 1)


def test_attempts_that_nobody_judged_earn_no_credit() -> None:
    with memory() as m:
        a = m.insert("a").id
        assert ops(Credit(), moment(m), [experience(attempt("1", used=[a]))]) == []


def test_what_a_model_that_failed_was_shown_is_not_blamed_for_it() -> None:
    with memory() as m:
        a = m.insert("a").id
        down = attempt("1", score=0, used=[a]).but(stopped="model: provider: connection refused", answer="")
        slow = attempt("2", score=0, used=[a]).but(stopped="limit: steps (20)", answer="")
        unrefined = attempt("3", score=1, used=[a]).but(stopped="model: timed out", answer="Anna")
        learned(m, Credit(), [experience(down, slow, unrefined)])
        assert tally(m, a) == (1, 1)


def test_use_strengthens_judged_or_not_and_is_counted_once() -> None:
    with memory() as m:
        a = m.insert("a", created_at=NOW - DAY).id
        told = [experience(attempt("1", used=[a, a]))]
        learned(m, Reinforce(), told)
        learned(m, Reinforce(), told)
        assert (one(m, a).strength, one(m, a).uses, one(m, a).last_used_at) == (2.0, 1, NOW)


def test_use_told_again_leaves_a_strength_that_was_set_meanwhile() -> None:
    with memory() as m:
        a = m.insert("a").id
        told = [experience(attempt("1", used=[a]))]
        learned(m, Reinforce(), told)
        m.edit(a, strength=0.5)
        learned(m, Reinforce(), told)
        assert (one(m, a).strength, one(m, a).uses) == (0.5, 1)


def test_use_and_credit_of_one_attempt_add_up() -> None:
    with memory() as m:
        a = m.insert("a").id
        told = [experience(attempt("1", score=1, used=[a]))]
        learned(m, Credit(), told)
        learned(m, Reinforce(strength=0.5), told)
        assert (one(m, a).strength, one(m, a).uses, one(m, a).wins) == (1.5, 1, 1)


@pytest.mark.parametrize("policy", [Credit(), Reinforce()])
def test_items_that_are_gone_or_strange_are_left_out(policy: Credit | Reinforce) -> None:
    with memory() as m:
        a = m.insert("a").id
        told: list[Experience] = [experience(attempt("1", score=1, used=["stranger", a]))]
        assert [op.id for op in ops(policy, moment(m), told)] == [a]


def test_a_strength_below_zero_is_refused() -> None:
    with pytest.raises(Misuse, match="strength is -1"):
        Reinforce(-1)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"strength": 1e308}, "adds 1e\\+100 at most, and strength is 1e\\+308"),
        ({"uses": 10**30}, "adds 1e\\+09 at most, and uses is 1000"),
    ],
)
def test_what_would_not_be_counted_any_more_is_refused(told: dict[str, Json], said: str) -> None:
    with memory() as m:
        item = m.insert("text")
        with pytest.raises(Misuse, match=said):
            m.apply([Op(verb="reinforce", id=item.id, changes=told)])
        assert m.get(item.id) == item
