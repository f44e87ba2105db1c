"""BFCL's conversations: the real wheel, its right answers, and that nothing of one episode is seen in another."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from moments import memory, moment

from agentevo.environments import check_environment, load
from agentevo.environments.engine import Engine
from agentevo.environments.load import fetcher
from agentevo.environments.tool.bfcl import BFCL, fetch
from agentevo.environments.tool.bfcl import __file__ as bfcl_module
from agentevo.environments.tool.bfcl.calls import NoCall, parsed
from agentevo.environments.tool.bfcl.entries import MORE_FUNCTIONS
from agentevo.environments.walls import Walls
from agentevo.errors import Misuse, UnknownName, WeightsError
from agentevo.models import ScriptedModel
from agentevo.phases.loop import Loop
from agentevo.protocols import FeedbackLevel
from agentevo.types import Attempt, Feedback, Json, Message, Outcome, Task, ToolCall

SAMPLED = 67
"""Every so many conversations of the 800: twelve."""


@pytest.fixture(scope="module")
def wheel_home() -> Path:
    """The folder with the wheel's parts, in the user's own home, fetched now if they are not there."""
    try:
        return fetch(lambda label, done, total: None)
    except WeightsError as error:
        pytest.skip(f"the wheel of BFCL is not here, and cannot be fetched: {error}")


@pytest.fixture
def bfcl(wheel_home: Path) -> Any:
    environment = BFCL()
    yield environment
    asyncio.run(environment.aclose())


def call(name: str, **arguments: Json) -> Message:
    function: Json = {"name": name, "arguments": json.dumps(arguments)}
    return {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function", "function": function}]}


def said(text: str = "Done.") -> Message:
    return {"role": "assistant", "content": text}


async def acted(
    environment: BFCL, task: Task, actions: Sequence[Message], feedback: FeedbackLevel = "none"
) -> list[Outcome]:
    episode = await environment.open(task, feedback=feedback)
    try:
        return [await episode.step(action) for action in actions]
    finally:
        await episode.close()


def scored(environment: BFCL, task: Task, actions: Sequence[Message]) -> Feedback:
    return asyncio.run(environment.verify(task, Attempt(id="a", task=task, messages=tuple(actions))))


async def gold_and_null(environment: BFCL, tasks: Sequence[Task]) -> dict[str, tuple[float | None, float | None]]:
    """Return what the right calls and what nothing at all scores: the calls are made in an episode before."""
    found = {}
    for task in tasks:
        actions = environment.gold(task)
        outcomes = await acted(environment, task, actions)
        assert [outcome.terminated for outcome in outcomes] == [*([False] * (len(actions) - 1)), True]
        attempts = [Attempt(id="a", task=task, messages=tuple(done)) for done in (actions, ())]
        scores = [(await environment.verify(task, attempt)).score for attempt in attempts]
        found[task.id] = scores[0], scores[1]
    return found


# --- the contract, and the wheel's own right answers


def test_the_contract_is_kept(bfcl: BFCL) -> None:
    held = check_environment(bfcl, again=BFCL, tasks=1, episodes=32)
    assert {"deterministic", "closes", "cancelled", "together", "gold", "null", "travels"} <= set(held)


def test_right_answers_score_one_and_nothing_scores_zero(bfcl: BFCL) -> None:
    tasks = [task for split in bfcl.splits() for task in bfcl.tasks(split)][::SAMPLED]
    assert len(tasks) == 12
    found = asyncio.run(gold_and_null(bfcl, tasks))
    assert {name: scores for name, scores in found.items() if scores != (1.0, 0.0)} == {}


@pytest.mark.soak
def test_all_right_answers_score_one_and_nothing_always_scores_zero(bfcl: BFCL) -> None:
    tasks = [task for split in bfcl.splits() for task in bfcl.tasks(split)]
    found = asyncio.run(gold_and_null(bfcl, tasks))
    assert len(found) == 800
    assert {name: scores for name, scores in found.items() if scores != (1.0, 0.0)} == {}


def test_conversations_are_in_one_split_in_all_their_variants(bfcl: BFCL) -> None:
    numbers = [{task.id.rpartition("-")[2] for task in bfcl.tasks(split)} for split in bfcl.splits()]
    assert (len(numbers[0]), len(numbers[1]), numbers[0] & numbers[1]) == (100, 100, set())
    one = load("bfcl:category=miss_func/test")
    assert one[0].card.splits == {"train": 100, "test": 100}
    assert {task.id.partition("-")[0] for task in one[0].tasks("test")} == {"miss_func"}


# --- what is compared


def folder_task(bfcl: BFCL) -> Task:
    """Return the first task: four requests about files in a folder."""
    return bfcl.task("base-0")


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (lambda gold: gold[:1] + gold[2:], "turn 1: the state is another: root"),
        (lambda gold: [done for done in gold if "'grep'" not in str(done)], "a result that is needed was not asked"),
        (lambda gold: gold[:4], "it ended in turn 2 of 4"),
        (lambda gold: [said(), *gold[4:]], "turn 1: nothing was called"),
        (lambda gold: [gold[0], call("rm", file_name="final_report.pdf"), *gold[1:]], "turn 1: the state is another"),
    ],
    ids=["state", "result", "turns", "nothing", "harm"],
)
def test_what_is_left_out_or_broken_is_wrong(bfcl: BFCL, change: Any, wrong: str) -> None:
    task = folder_task(bfcl)
    gold = list(bfcl.gold(task))
    found = scored(bfcl, task, change(gold))
    assert found.score == 0.0
    assert wrong in str(found.evidence["wrong"])
    assert scored(bfcl, task, gold).score == 1.0


def test_more_than_is_needed_is_right_as_long_as_it_changes_nothing(bfcl: BFCL) -> None:
    task = folder_task(bfcl)
    actions = [call("ls"), call("pwd"), call("ls", a="yes", b=1), call("no_such"), *bfcl.gold(task)]
    assert scored(bfcl, task, actions).score == 1.0


def test_what_was_never_run_does_not_count(bfcl: BFCL) -> None:
    task = folder_task(bfcl)
    harm = call("mkdir", dir_name="more")
    late: Message = {"role": "tool", "tool_call_id": "1", "content": "Error: not run, because it was over."}
    assert scored(bfcl, task, [harm, *bfcl.gold(task)]).score == 0.0
    assert scored(bfcl, task, [harm, late, *bfcl.gold(task)]).score == 1.0


# --- how a conversation goes


def test_the_user_goes_on_when_told_and_the_end_says_what_was_right(bfcl: BFCL) -> None:
    task = folder_task(bfcl)
    actions = [call("tell_user", text="I cannot."), said(), call("tell_user", text="No."), said()]
    heard = asyncio.run(acted(bfcl, task, actions, "strong"))
    assert heard[0].observation.startswith("Perform a detailed search using grep")
    assert heard[1].observation.startswith("Upon identifying the requisite")
    assert (heard[3].observation, heard[3].terminated) == ("wrong: turn 1: nothing was called", True)
    right = asyncio.run(acted(bfcl, task, bfcl.gold(task), "weak"))
    assert (right[-1].observation, right[-1].reward) == ("right", 1.0)


def test_a_function_that_comes_later_is_offered_then(bfcl: BFCL) -> None:
    async def through() -> list[Any]:
        episode = await bfcl.open(bfcl.task("miss_func-0"))
        offered, heard = [], []
        for _ in range(5):
            offered.append("sort" in [tool.name for tool in episode.tools])
            heard.append((await episode.step(said("I cannot."))).observation)
        await episode.close()
        return [offered, heard]

    offered, heard = asyncio.run(through())
    assert offered == [False, False, False, True, True]
    assert heard[2] == MORE_FUNCTIONS


def test_bad_calls_are_answered_with_what_was_expected(bfcl: BFCL) -> None:
    actions = [call("sudo"), call("cd"), call("cd", folder="document", force=True), call("cd", folder=[1])]
    heard = [outcome.observation for outcome in asyncio.run(acted(bfcl, folder_task(bfcl), actions))]
    assert heard[0].startswith("Error: there is no function 'sudo'; there are: ")
    assert heard[1].startswith("Error: the call of 'cd' lacks 'folder'; expected: {")
    assert heard[2].startswith("Error: the call of 'cd' has 'force', which is no parameter; expected: {")
    assert heard[3].startswith("Error during execution: ")


@pytest.mark.parametrize("number", ["NaN", "1e999", "[" * 900 + "]" * 900])
def test_what_json_has_not_is_a_bad_call(bfcl: BFCL, number: str) -> None:
    task = folder_task(bfcl)
    name, given = next(iter(named(bfcl, task)))[1]
    values = ", ".join(f'"{key}": {number}' for key in given)
    bad: Message = {"role": "assistant", "content": None,
                    "tool_calls": [{"id": "1", "function": {"name": name, "arguments": f"{{{values}}}"}}]}  # fmt: skip
    (outcome,) = asyncio.run(acted(bfcl, task, [bad]))
    assert outcome.observation.startswith("Error")
    assert scored(bfcl, task, [bad]).score == 0.0


def test_a_call_that_never_ends_ends_its_own_conversation_alone(bfcl: BFCL) -> None:
    async def through() -> list[str]:
        other = await bfcl.open(folder_task(bfcl))
        episode = await bfcl.open(bfcl.task("base-28"))
        heard = [await episode.step(call("power", base=7, exponent=10**12)), await episode.step(call("add", a=1, b=2))]
        heard.append(await other.step(call("pwd")))
        await episode.close()
        await other.close()
        return [outcome.observation for outcome in heard]

    first, second, third = asyncio.run(through())
    assert first.startswith("Error during execution: ")
    assert third == '{"current_working_directory": "/workspace"}'
    assert second in ('{"result": 3}', first)


# --- one episode and the next


def test_nothing_of_one_conversation_is_seen_in_another(bfcl: BFCL) -> None:
    """The cards that long conversations have in addition lie in a table of their module, which booking writes into."""
    who = dict.fromkeys(("client_id", "client_secret", "refresh_token", "user_first_name", "user_last_name"), "a")
    card: dict[str, Json] = {"card_id": "1234567812345678"}
    flight: dict[str, Json] = {"travel_date": "2024-11-15", "travel_from": "SFO", "travel_to": "LAX"}

    async def through() -> list[float]:
        balances = []
        before = await bfcl.open(bfcl.task("long_context-150"))
        for _ in range(2):
            episode = await bfcl.open(bfcl.task("long_context-150"))
            signed_in = await episode.step(call("authenticate_travel", grant_type="read_write", **who))
            card["access_token"] = json.loads(signed_in.observation)["access_token"]
            balance = call("get_credit_card_balance", **card)
            balances.append(await episode.step(balance))
            await episode.step(call("set_budget_limit", access_token=card["access_token"], budget_limit=1))
            await episode.step(call("book_flight", travel_class="economy", **card, **flight))
            balances.append(await episode.step(balance))
            await episode.close()
        await before.step(call("authenticate_travel", grant_type="read_write", **who))
        balances.append(await before.step(balance))
        await before.close()
        return [json.loads(outcome.observation)["card_balance"] for outcome in balances]

    first, after, second, after_it, other = asyncio.run(through())
    assert after < first, "the flight was booked, so that there is something to leak"
    assert [second, after_it, other] == [first, after, first]


def test_an_agent_talks_through_a_conversation(bfcl: BFCL) -> None:
    task = folder_task(bfcl)
    model = ScriptedModel([ToolCall(id=f"c{n}", name=name, arguments=given) for n, (name, given) in named(bfcl, task)])
    state = replace(moment(memory(), model), environment=bfcl)
    attempt = asyncio.run(Loop(steps=40)(state, task))[0]
    assert attempt.stopped == ""
    assert asyncio.run(bfcl.verify(task, attempt)).score == 1.0


def test_an_agent_that_stops_talking_early_is_wrong(bfcl: BFCL) -> None:
    task = folder_task(bfcl)
    state = replace(moment(memory(), ScriptedModel(["All is done."])), environment=bfcl)
    attempt = asyncio.run(Loop()(state, task))[0]
    assert asyncio.run(bfcl.verify(task, attempt)).evidence == {"wrong": "it ended in turn 2 of 4"}


def named(bfcl: BFCL, task: Task) -> Iterator[tuple[int, tuple[str, dict[str, Json]]]]:
    found: list[Any] = [message["tool_calls"] for message in bfcl.gold(task)]
    for number, one in enumerate(found):
        yield number, (one[0]["function"]["name"], json.loads(one[0]["function"]["arguments"]))


# --- without the wheel, and without running text


def test_without_the_wheel_it_says_how_to_get_it(empty_home: Path) -> None:
    assert BFCL().card.splits == {"train": 400, "test": 400}
    with pytest.raises(Misuse, match=r"BFCL is not here, .* agentevo env fetch bfcl"):
        BFCL().tasks("test")
    assert fetcher("house") is None
    with pytest.raises(UnknownName, match="unknown environment 'bfc'; known: bfcl"):
        fetcher("bfc")


def test_a_category_or_split_that_is_not_there_is_refused() -> None:
    with pytest.raises(UnknownName, match="unknown category of bfcl 'composite'; known: all, base"):
        BFCL("composite")
    with pytest.raises(UnknownName, match="unknown split of bfcl 'dev'"):
        BFCL().tasks("dev")


def test_calls_are_read_and_never_run() -> None:
    assert parsed("mv('a', destination=['b', {'c': -1.5}])", ["source", "destination"]) == (
        "mv",
        {"source": "a", "destination": ["b", {"c": -1.5}]},
    )
    for text in (
        "__import__('os').system('true')", "mv(open('x'))", "mv(*[1])", "mv(**{'a': 1})", "mv", "a=1", "f(1", "f(1, 2)",
        "f(a=1, a=2)", "f(1, a=2)", "(" * 10_000, "mv(a=b)",
    ):  # fmt: skip
        with pytest.raises(NoCall):
            parsed(text, ["a"])


def test_the_wheels_way_through_eval_is_shut(wheel_home: Path) -> None:
    async def through() -> Json:
        given = {"folder": str(wheel_home), "simulators": str(Path(bfcl_module).with_name("simulators.py"))}
        engine = Engine("eval_canary:Tried", arguments=given, walls=Walls(walls=False))
        try:
            return await engine.ask("run")
        finally:
            await engine.aclose()

    assert asyncio.run(through()) == ["Error during execution: no text is run as code here"]
