from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest

from agentevo.errors import BudgetExceeded, Misuse
from agentevo.models import Budget, FunctionModel, Meter, ScriptedModel, spending
from agentevo.models.usage import charge, reserve, tightest
from agentevo.types import Message, Reply, Usage

ASK: list[Message] = [{"role": "user", "content": "one two three"}]


def ask(model: ScriptedModel | FunctionModel, times: int = 1) -> None:
    async def asking() -> None:
        for _ in range(times):
            await model.complete(ASK)

    asyncio.run(asking())


def yes() -> FunctionModel:
    return FunctionModel(lambda messages: "yes indeed")


def test_all_enclosing_meters_are_charged() -> None:
    with spending() as outer:
        ask(yes())
        with spending() as inner:
            ask(yes())
    assert inner.usage == Usage(calls=1, prompt_tokens=3, completion_tokens=2)
    assert outer.usage == Usage(calls=2, prompt_tokens=6, completion_tokens=4)


def test_labels_add_up_to_the_whole() -> None:
    with spending("turn") as turn:
        ask(yes())
        with spending("act"):
            ask(yes(), 2)
            with spending():
                ask(yes())
        with spending("judge"):
            ask(yes())
    assert {label: usage.calls for label, usage in turn.by_label.items()} == {"turn": 1, "act": 3, "judge": 1}
    assert sum(turn.by_label.values(), Usage()) == turn.usage


def test_tasks_started_inside_are_charged_and_others_are_not() -> None:
    async def run() -> tuple[Meter, Meter]:
        async def one(label: str) -> Meter:
            with spending(label) as meter:
                await asyncio.gather(*(yes().complete(ASK) for _ in range(3)))
            return meter

        return await asyncio.gather(one("a"), one("b"))

    assert [meter.usage.calls for meter in asyncio.run(run())] == [3, 3]


def test_nothing_is_charged_after_the_meter_closed() -> None:
    with spending() as meter:
        pass
    ask(yes())
    assert meter.usage == Usage()


@pytest.mark.parametrize(
    ("budget", "calls"),
    [
        (Budget(max_calls=3), 3),
        (Budget(max_tokens=10), 2),
        (Budget(max_tokens=11), 3),
        (Budget(max_cost_usd=0.25), 3),
        (Budget(max_calls=0), 0),
    ],
)
def test_the_call_after_the_limit_is_refused(budget: Budget, calls: int) -> None:
    reply = Reply(texts=("x",), usage=Usage(calls=1, prompt_tokens=3, completion_tokens=2, cost_usd=0.1))
    with spending(budget=budget) as meter, pytest.raises(BudgetExceeded):
        ask(ScriptedModel([reply] * 9), 9)
    assert meter.usage.calls == calls


def test_the_error_says_which_limit_what_was_spent_and_what_was_allowed() -> None:
    with spending("night run", Budget(max_tokens=4)), pytest.raises(BudgetExceeded) as caught:
        ask(yes(), 2)
    assert "'night run'" in str(caught.value)
    assert "max_tokens=4, spent 5" in str(caught.value)


def test_a_budget_further_out_counts_too() -> None:
    with spending(budget=Budget(max_calls=2)) as outer, spending(budget=Budget(max_calls=9)) as inner:
        with pytest.raises(BudgetExceeded):
            ask(yes(), 3)
        assert outer.usage.calls == inner.usage.calls == 2


def test_a_refused_call_is_counted_by_no_meter() -> None:
    with (
        spending(budget=Budget(max_calls=5)) as outer,
        spending(budget=Budget(max_calls=1)),
        pytest.raises(BudgetExceeded),
    ):
        ask(yes(), 2)
    assert outer.usage.calls == 1


def test_the_number_of_calls_is_exact_under_concurrency() -> None:
    async def crowd() -> list[object]:
        return await asyncio.gather(*(yes().complete(ASK) for _ in range(50)), return_exceptions=True)

    with spending(budget=Budget(max_calls=7)) as meter:
        results = asyncio.run(crowd())
    assert sum(isinstance(result, Reply) for result in results) == meter.usage.calls == 7
    assert sum(isinstance(result, BudgetExceeded) for result in results) == 43


def test_calls_under_way_when_a_limit_is_reached_are_finished_and_counted() -> None:
    async def run() -> list[Reply]:
        return await asyncio.gather(*(yes().complete(ASK) for _ in range(4)))

    with spending(budget=Budget(max_tokens=6)) as meter:
        assert len(asyncio.run(run())) == 4
        with pytest.raises(BudgetExceeded):
            ask(yes())
    assert meter.usage.tokens == 20


def test_threads_charge_one_meter_without_losing_anything() -> None:
    with spending() as meter:
        contexts = [contextvars.copy_context() for _ in range(8)]
        threads = [threading.Thread(target=context.run, args=(ask, yes(), 50)) for context in contexts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert meter.usage == Usage(calls=400, prompt_tokens=1200, completion_tokens=800)


def test_seconds_run_from_the_opening_of_the_meter() -> None:
    now = [100.0]
    with spending(budget=Budget(max_seconds=5), clock=lambda: now[0]) as meter:
        ask(yes())
        now[0] += 4.9
        ask(yes())
        left = tightest()
        assert left is not None
        assert (round(left[0], 6), left[1]) == (0.1, meter)
        now[0] += 0.1
        with pytest.raises(BudgetExceeded, match="max_seconds=5"):
            ask(yes())
    assert (meter.usage.calls, meter.elapsed_s) == (2, 5)


def test_the_tightest_meter_decides_on_time() -> None:
    with spending(budget=Budget(max_seconds=50), clock=lambda: 0.0), spending(), spending() as inner:
        with spending(budget=Budget(max_seconds=10), clock=lambda: 0.0) as tight:
            assert tightest() == (10, tight)
        assert tightest() is not None
        assert inner.budget == Budget()
    assert tightest() is None


def test_a_fake_that_makes_several_calls_at_once_is_held_to_the_limit() -> None:
    with spending(budget=Budget(max_calls=3)) as meter:
        reserve(2)
        with pytest.raises(BudgetExceeded):
            reserve(2)
        reserve()
        charge(Usage(calls=3, prompt_tokens=1))
    assert meter.usage == Usage(calls=3, prompt_tokens=1)


@pytest.mark.parametrize("limit", ["max_calls", "max_tokens", "max_cost_usd", "max_seconds"])
def test_a_limit_below_zero_is_refused(limit: str) -> None:
    for value in (-1, float("nan")):
        with pytest.raises(Misuse, match=limit):
            Budget(**{limit: value})  # type: ignore[arg-type]
