"""Sweeps: policies over a draft, one after the other, committed once or not at all."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from moments import DAY, NOW, memory

from agentevo.errors import Misuse, ModelError
from agentevo.memory import Decay, Evict, Expire, Insert, Memory, Reflect
from agentevo.models import ScriptedModel
from agentevo.protocols import State
from agentevo.types import Experience, Op, Task


def test_each_policy_sees_what_those_before_it_did() -> None:
    with memory() as m:
        m.insert(["past", "a", "b"], created_at=[NOW - 300 * DAY, NOW - 2, NOW - 1])
        swept = m.sweep([Decay(), Evict(2, "fifo")])
        assert [op.reason.split()[0] for op in swept.ops] == ["retention"]
        assert len(m.list()) == 2


def test_a_sweep_is_one_transaction_with_a_reason_and_can_be_undone() -> None:
    with memory() as m:
        m.insert(["past", "a", "b"], created_at=[NOW - 300 * DAY, NOW - 2, NOW - 1])
        swept = m.sweep([Decay(), Evict(1, "fifo")], reason="nightly")
        assert swept.transaction is not None
        assert m.history()[0] == swept.transaction
        assert (swept.transaction.reason, len(swept.transaction.items)) == ("nightly", 2)
        m.undo()
        assert len(m.list()) == 3


def test_a_dry_run_says_what_would_be_done_and_does_nothing() -> None:
    with memory() as m:
        m.insert(["a", "b"], created_at=[NOW - 300 * DAY, NOW])
        before = list(m.export() if not isinstance(m.export(), int) else [])  # type: ignore[arg-type]
        swept = m.sweep([Decay(), Evict(0)], dry_run=True)
        assert (len(swept.ops), swept.transaction) == (2, None)
        assert list(m.export()) == before  # type: ignore[arg-type]
        done = m.sweep([Decay(), Evict(0)])
        assert [(op.verb, op.id, op.reason) for op in done.ops] == [(op.verb, op.id, op.reason) for op in swept.ops]


def test_a_sweep_with_nothing_to_do_leaves_no_trace() -> None:
    with memory() as m:
        m.insert("a")
        before = m.history()
        assert m.sweep([Decay(), Evict(5), Expire()]).transaction is None
        assert m.history() == before


def test_an_item_pinned_meanwhile_is_skipped_and_reported() -> None:
    with memory() as m:
        a = m.insert("a").id

        async def pins(state: State, experiences: list[Experience]) -> list[Op]:
            found = await Evict(0)(state, experiences)
            m.pin(a)
            return found

        swept = m.sweep([pins])
        assert swept.transaction is not None
        assert swept.transaction.skipped == (a,)
        assert [item.id for item in m.list()] == [a]


def test_plain_functions_are_policies_and_the_moment_is_as_asked() -> None:
    seen: list[tuple[float, int]] = []

    async def look(state: State, experiences: list[Experience]) -> list[Op]:
        seen.append((state.now, state.seed))
        return []

    with memory() as m:
        m.sweep([look], now=5.0, seed=7)
        m.sweep([look])
    assert seen == [(5.0, 7), (NOW, 0)]


def test_a_failing_policy_takes_the_whole_sweep_back() -> None:
    async def broken(state: State, experiences: list[Experience]) -> list[Op]:
        raise ModelError("the provider is down")

    with memory() as m:
        m.insert("a")
        with pytest.raises(ModelError, match="the provider is down"):
            m.sweep([Evict(0), broken])
        assert len(m.list()) == 1


def test_a_policy_that_asks_a_model_says_so_where_none_was_given() -> None:
    with memory() as m:
        m.insert(["one thing", "two things", "three things"])
        with pytest.raises(Misuse, match="asks a model and none was given"):
            m.sweep([Reflect("all")])


def test_a_policy_that_acts_or_verifies_says_that_a_sweep_cannot() -> None:
    async def acts(state: State, experiences: list[Experience]) -> list[Op]:
        await state.recipe.act(state, Task(id="1", prompt="?"))
        return []

    async def opens(state: State, experiences: list[Experience]) -> list[Op]:
        await state.environment.open(Task(id="1", prompt="?"))
        return []

    async def verifies(state: State, experiences: list[Experience]) -> list[Op]:
        await state.environment.verify(Task(id="1", prompt="?"), experiences[0].attempts[0] if experiences else None)  # type: ignore[arg-type]
        return []

    async def lists(state: State, experiences: list[Experience]) -> list[Op]:
        state.environment.tasks("train")
        return []

    with memory() as m:
        for policy in (acts, opens, verifies, lists):
            with pytest.raises(Misuse, match=r"a sweep (acts on no tasks|has no environment)"):
                m.sweep([policy])


@pytest.mark.parametrize("policies", [Decay(), [Decay], ["decay"], "decay"])
def test_what_is_no_list_of_policies_is_refused(policies: Any) -> None:
    with memory() as m, pytest.raises(Misuse, match=r"sweep takes a list of policies|a policy is a callable"):
        m.sweep(policies)


def test_sweep_and_reflect_have_asynchronous_twins() -> None:
    async def both(m: Memory) -> tuple[int, int]:
        replies = ['{"insights": [{"text": "things come in numbers", "rests_on": [1, 2]}]}']
        insights = await m.areflect(model=ScriptedModel(replies), by="all")
        return len(insights.ops), len((await m.asweep([Evict(0)], dry_run=True)).ops)

    with memory() as m:
        m.insert(["one thing", "two things", "three things"])
        assert asyncio.run(both(m)) == (1, 4)


def test_insert_has_nothing_to_do_in_a_sweep() -> None:
    with memory() as m:
        assert m.sweep([Insert()]).ops == ()
