"""The shop: gold does every task and nothing none, the database is what scores, and its convention can be tried out."""

from __future__ import annotations

import asyncio
import json

import pytest

from agentevo import Agent, Memory, ScriptedModel
from agentevo.environments import check_environment
from agentevo.environments.code.files import calls_in
from agentevo.environments.load import load
from agentevo.environments.tool.shop import Shop
from agentevo.environments.walk import attempt_of, walked
from agentevo.errors import Misuse, UnknownName
from agentevo.types import Attempt, Json, Message, Task, ToolCall

DONE: Message = {"role": "assistant", "content": "Done."}


def acting(name: str, **arguments: Json) -> Message:
    function: dict[str, Json] = {"name": name, "arguments": json.dumps(arguments)}
    return {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function", "function": function}]}


def score(shop: Shop, task: Task, *actions: Message) -> float | None:
    async def scored() -> float | None:
        walk = await walked(shop, task, [*actions, DONE])
        return (await shop.verify(task, attempt_of(task, walk.messages))).score

    return asyncio.run(scored())


def of_kind(shop: Shop, kind: str) -> Task:
    return next(task for task in shop.tasks("train") if task.data["group"] == kind)


def calls(shop: Shop, task: Task) -> list[tuple[str, dict[str, Json]]]:
    found = [call for message in shop.gold(task) for call in calls_in(message)]
    return [(call.name, dict(call.arguments)) for call in found]


@pytest.mark.parametrize("level", [1, 2, 3])
def test_gold_does_every_task_and_nothing_does_none(level: int) -> None:
    shop = Shop(level=level)
    tasks = [task for split in shop.splits() for task in shop.tasks(split)]

    async def scores() -> list[tuple[float | None, float | None]]:
        found = []
        for task in tasks:
            walk = attempt_of(task, shop.gold(task))
            told = [await shop.verify(task, attempt) for attempt in (walk, Attempt(id="null", task=task))]
            found.append((told[0].score, told[1].score))
        return found

    assert [len(shop.tasks(split)) for split in ("train", "dev", "test")] == [200, 60, 200]
    assert asyncio.run(scores()) == [(1.0, 0.0)] * len(tasks)


@pytest.mark.parametrize("level", [1, 3])
def test_it_keeps_the_contract_of_environments(level: int) -> None:
    held = check_environment(
        Shop(level=level), again=lambda: Shop(level=level), tasks=2, episodes=8, limit_s=200, patience_s=20
    )
    assert {"gold", "null", "deterministic", "together", "cancelled"} <= set(held)


def test_the_database_is_compared_and_not_what_is_said() -> None:
    shop = Shop(level=1)
    task = of_kind(shop, "ship")
    ((_, given),) = calls(shop, task)
    assert score(shop, task, {**DONE, "content": "I shipped it with the right carrier."}) == 0.0
    assert score(shop, task, acting("list_carriers"), acting("ship_order", **given)) == 1.0
    assert score(shop, task, acting("ship_order", **given), acting("restock", sku="?", count=1, shelf="?")) == 1.0


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999"])
def test_a_number_that_json_has_not_is_a_bad_call_and_the_rest_counts(number: str) -> None:
    shop = Shop(level=1)
    task = of_kind(shop, "restock")
    gold = [acting(name, **given) for name, given in calls(shop, task)]
    function: Json = {"name": "restock", "arguments": f'{{"sku": "P1", "count": {number}, "shelf": "A"}}'}
    bad: Message = {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "function": function}]}
    (outcome, _) = asyncio.run(walked(shop, task, [bad, DONE])).outcomes
    assert outcome.observation.startswith("Error: the arguments of 'restock' do not fit: ")
    assert (score(shop, task, bad), score(shop, task, bad, *gold)) == (0.0, 1.0)


def test_one_row_too_many_is_wrong() -> None:
    shop = Shop(level=2)
    task = of_kind(shop, "ship and thank")
    gold = [acting(name, **given) for name, given in calls(shop, task)]
    customer = calls(shop, task)[1][1]["customer"]
    assert score(shop, task, *gold) == 1.0
    assert score(shop, task, *gold[:1]) == 0.0
    assert score(shop, task, *gold, acting("add_note", customer=customer, text="hello")) == 0.0
    assert score(shop, task, *gold[::-1]) == 1.0


def test_the_convention_can_be_tried_out() -> None:
    shop = Shop(level=1)
    task = of_kind(shop, "close")
    ((_, given),) = calls(shop, task)

    async def tried() -> tuple[list[str], str]:
        episode = await shop.open(task, feedback="strong")
        codes = json.loads((await episode.step(acting("list_codes"))).observation)
        said = [
            (await episode.step(acting("close_ticket", **{**given, "code": code}))).observation
            for code in sorted(codes, key=lambda code: code == given["code"])
        ]
        end = (await episode.step(DONE)).observation
        await episode.close()
        return said, end

    said, end = asyncio.run(tried())
    reason = given["reason"]
    assert all(f"is not the code for '{reason}'" in one for one in said[:-1])
    assert (len(said), said[-1], end) == (6, "done", "right")


def test_strong_feedback_says_what_is_right_and_none_says_nothing() -> None:
    shop = Shop(level=1)
    task = of_kind(shop, "ship")
    ((name, given),) = calls(shop, task)
    told = {level: asyncio.run(walked(shop, task, [DONE], level)).outcomes[0] for level in ("none", "weak", "strong")}
    assert [told[level].observation for level in ("none", "weak")] == ["", "wrong"]
    assert told["strong"].observation == f"wrong; right is: {json.dumps({'name': name, 'arguments': given})}"


def test_an_approval_is_needed_above_the_limit_alone() -> None:
    shop = Shop(level=2)
    refunds = [calls(shop, task) for task in shop.tasks("train") if task.data["group"] == "refund"]
    with_, without = (
        [int(str(found[-1][1]["amount"])) for found in refunds if len(found) == length] for length in (2, 1)
    )
    assert with_
    assert without
    assert max(without) < min(with_)


def test_conventions_differ_and_splits_share_one() -> None:
    def codes(shop: Shop, split: str) -> set[tuple[Json, Json]]:
        closing = [task for task in shop.tasks(split) if task.data["group"] == "close"]
        return {(given["reason"], given["code"]) for task in closing for _, given in calls(shop, task)}

    assert codes(Shop(), "train") == codes(Shop(), "test")
    assert len(codes(Shop(), "train")) == 6
    assert not codes(Shop(), "train") & codes(Shop(1), "train")


def test_calls_that_were_never_run_do_not_count() -> None:
    shop = Shop()
    task = of_kind(shop, "ship")
    gold = shop.gold(task)[0]
    late: Message = {"role": "tool", "tool_call_id": "gold_0", "content": "Error: not run, because it ended before."}
    for messages, expected in (((gold,), 1.0), ((gold, late), 0.0)):
        attempt = Attempt(id="a", task=task, messages=messages)
        assert asyncio.run(shop.verify(task, attempt)).score == expected


def test_an_agent_works_in_the_shop() -> None:
    shop = Shop(level=3)
    task = of_kind(shop, "make good")
    replies = [ToolCall(id=str(n), name=name, arguments=given) for n, (name, given) in enumerate(calls(shop, task))]
    with Memory.open(":memory:", embedder="hash") as memory:
        attempt = Agent(ScriptedModel([*replies, "Done."]), memory=memory, environment=shop).run(task)
    assert attempt.answer == "Done."
    assert asyncio.run(shop.verify(task, attempt)).score == 1.0


def test_it_has_tools_enough_and_is_found_by_name() -> None:
    environment, split = load("shop:level=2,tasks=20@1/dev")

    async def looked() -> list[str]:
        episode = await environment.open(environment.tasks(split)[0])
        await episode.close()
        return [tool.name for tool in episode.tools]

    assert len(asyncio.run(looked())) == 18
    assert (repr(environment), split) == ("Shop(convention=0, level=2, tasks=20)", "dev")


def test_what_cannot_be_is_refused() -> None:
    for options in ({"level": 4}, {"convention": -1}, {"tasks": 5}):
        with pytest.raises(Misuse, match=f"{next(iter(options))} is "):
            Shop(**options)
    shop = Shop(tasks=10)
    with pytest.raises(Misuse, match="has no task 'x'; its first is 'shop-0-1-train-000'"):
        shop.task("x")
    with pytest.raises(Misuse, match="is not the one of Shop"):
        asyncio.run(shop.open(shop.tasks("train")[0].but(prompt="Hello")))
    with pytest.raises(UnknownName, match="feedback level"):
        asyncio.run(shop.open(shop.tasks("train")[0], feedback="loud"))  # type: ignore[arg-type]
