"""Sample: n attempts from one call, which cost together what the call cost."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moments import memory, moment

from agentevo.environments.anything import Anything
from agentevo.errors import BadReply, BudgetExceeded, MissingKey, Misuse, ModelUnavailable, RequestsForbidden
from agentevo.events import Added, Ended, Event, Piece, Started, listening
from agentevo.models import FunctionModel, ScriptedModel
from agentevo.models.usage import Budget, spending
from agentevo.phases.act import Sample, shared
from agentevo.phases.context import Recalled
from agentevo.position import at
from agentevo.protocols import Model, State
from agentevo.types import Attempt, Message, Reply, Task, Usage

TASK = Task(id="t", prompt="Hello?")
USER: Message = {"role": "user", "content": "Hello?"}


def sampled(model: Model, sample: Sample | None = None, *, seed: int = 0) -> list[Attempt]:
    async def awaited(state: State) -> list[Attempt]:
        return await (sample or Sample())(state, TASK)

    with memory() as m:
        return asyncio.run(awaited(replace(moment(m, model, seed=seed), environment=Anything())))


def test_an_answer_is_the_reply_without_the_space_around_it_and_the_message_is_the_reply_as_it_came() -> None:
    (attempt,) = sampled(ScriptedModel([" Hi.\n"]))
    assert (attempt.answer, attempt.stopped, attempt.task) == ("Hi.", "", TASK)
    assert attempt.messages == (USER, {"role": "assistant", "content": " Hi.\n"})
    assert (attempt.usage.calls, attempt.usage.tokens) == (1, 2)


def test_n_attempts_come_from_one_call_and_their_costs_add_up() -> None:
    model = ScriptedModel([Reply(texts=("a", "b", "c"), usage=Usage(calls=1, prompt_tokens=5, cost_usd=0.3))])
    attempts = sampled(model, Sample(3, temperature=0.7, max_tokens=9, stop="\n"))
    assert [attempt.answer for attempt in attempts] == ["a", "b", "c"]
    assert len({attempt.id for attempt in attempts}) == 3
    (request,) = model.requests
    assert (request.n, request.temperature, request.max_tokens, request.stop) == (3, 0.7, 9, ("\n",))
    assert [(a.usage.calls, a.usage.prompt_tokens) for a in attempts] == [(1, 2), (0, 2), (0, 1)]
    assert sum(attempt.usage.cost_usd for attempt in attempts) == pytest.approx(0.3)


@given(
    st.builds(Usage, **{n: st.integers(0, 10**9) for n in ("calls", "prompt_tokens", "completion_tokens")}),
    st.integers(1, 50),
)
def test_shares_of_a_cost_add_up_to_it(usage: Usage, n: int) -> None:
    shares = shared(usage, n)
    assert len(shares) == n
    assert sum(shares[1:], shares[0]) == usage


def test_parts_stand_in_the_prompt_and_what_they_used_on_each_attempt() -> None:
    with memory() as m:
        item = m.insert("Anna lives in Oslo", kind="fact")
        model = ScriptedModel([["a", "b"]])
        state = replace(moment(m, model), environment=Anything())
        attempts = asyncio.run(_acted(Sample(2, context=["Be brief.", Recalled(1)]), state))
        assert [attempt.used for attempt in attempts] == [(item.id,)] * 2
        assert str(model.requests[0].messages[0]["content"]).startswith("Be brief.\n\n")


async def _acted(sample: Sample, state: State) -> list[Attempt]:
    return await sample(state, TASK)


def test_replies_repeat_under_a_seed_and_nothing_is_left_to_chance_at_temperature_0() -> None:
    def seeds(sample: Sample, seed: int) -> Any:
        model = ScriptedModel(["a"])
        sampled(model, sample, seed=seed)
        return model.requests[0].seed

    assert seeds(Sample(), 1) == seeds(Sample(), 1) != seeds(Sample(), 2)
    assert seeds(Sample(temperature=0), 1) is None


def test_a_model_that_fails_leaves_attempts_that_say_so() -> None:
    attempts = sampled(ScriptedModel([ModelUnavailable("down for an hour")]), Sample(2))
    assert [(a.answer, a.stopped, a.messages) for a in attempts] == [("", "model: down for an hour", (USER,))] * 2
    assert attempts[0].usage.calls == 1


def test_what_a_model_said_before_it_broke_off_is_kept() -> None:
    (attempt,) = sampled(ScriptedModel([BadReply("broke off", Reply(texts=("Half an ans",)))]))
    assert (attempt.answer, attempt.stopped) == ("", "model: broke off")
    assert attempt.messages[-1] == {"role": "assistant", "content": "Half an ans"}


def test_a_model_that_gives_too_few_replies_leaves_the_other_attempts_without_an_answer() -> None:
    class Stingy(ScriptedModel):
        async def complete(self, messages: Any, **options: Any) -> Reply:
            return Reply(texts=("a",))

    attempts = sampled(Stingy([]), Sample(2))
    assert [(a.answer, a.stopped) for a in attempts] == [("a", ""), ("", "model: 1 of 2 replies came")]


@pytest.mark.parametrize("error", [RequestsForbidden("off"), MissingKey("m", ["KEY"]), Misuse("no")])
def test_what_is_set_up_wrongly_is_no_attempt(error: Exception) -> None:
    with pytest.raises(type(error)):
        sampled(ScriptedModel([error]))


def test_a_budget_around_it_ends_more_than_the_attempt() -> None:
    with spending(budget=Budget(max_calls=0)), pytest.raises(BudgetExceeded):
        sampled(ScriptedModel(["a"]))


def test_whoever_listens_hears_each_step_as_it_is_taken() -> None:
    heard: list[Event] = []
    with listening(heard.append), at("1/act/t"):
        attempts = sampled(ScriptedModel([["one two", "three"]]), Sample(2))
    assert [attempt.id for attempt in attempts] == ["1/act/t#0", "1/act/t#1"]
    first, second = "1/act/t#0", "1/act/t#1"
    assert [event.type for event in heard[:6]] == ["started", "started", "added", "added", "piece", "piece"]
    assert [event for event in heard if isinstance(event, Piece)] == [
        Piece(attempt=first, text="one "), Piece(attempt=first, text="two"),
    ]  # fmt: skip
    assert [event.message for event in heard if isinstance(event, Added) and event.attempt == second] == list(
        attempts[1].messages
    )
    assert [event.attempt for event in heard if isinstance(event, Ended)] == attempts
    assert heard[0] == Started(attempt=first, task=TASK)


def test_replies_are_asked_for_whole_where_nobody_listens_for_pieces() -> None:
    model = ScriptedModel(["a", "b"])
    sampled(model)
    with listening(lambda event: None, pieces=False):
        sampled(model)
    assert [request.on_text for request in model.requests] == [None, None]


def test_many_at_once_do_not_mix() -> None:
    async def answer(messages: list[Message]) -> str:
        await asyncio.sleep(0)
        return str(messages[-1]["content"]).upper()

    async def all_of_them(state: State) -> list[list[Attempt]]:
        return await asyncio.gather(*(Sample()(state, Task(id=str(n), prompt=f"t{n}")) for n in range(64)))

    with memory() as m:
        found = asyncio.run(all_of_them(replace(moment(m, FunctionModel(answer)), environment=Anything())))
    assert [(a.answer, a.usage.calls) for (a,) in found] == [(f"T{n}", 1) for n in range(64)]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"n": 0}, "n is 0"),
        ({"n": True}, "n is True"),
        ({"temperature": -1}, "temperature is -1"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"max_tokens": 0}, "max_tokens is 0"),
        ({"context": "Be brief."}, r"context takes a list of parts"),
        ({"context": [3]}, "a part of a prompt is a text or a callable such as Recalled"),
        ({"context": [Sample]}, r"context got the class Sample; write Sample\(...\)"),
    ],
)
def test_a_sample_that_makes_no_sense_is_refused_when_it_is_made(options: dict[str, Any], says: str) -> None:
    with pytest.raises(Misuse, match=says):
        Sample(**options)
