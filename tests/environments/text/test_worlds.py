"""Text worlds of real engines: what an agent does in them, sees of them, and is scored for."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from locked_host import on_a_host_that_refuses
from moments import memory, moment

from agentevo.environments.engine import EngineGone
from agentevo.environments.text import MissingJava, ScienceWorld, TextWorldExpress
from agentevo.environments.text.commands import commands_of
from agentevo.environments.text.episode import MOST_ACTIONS
from agentevo.environments.text.express import FAULTY, GOALS, SEEDS
from agentevo.environments.text.science import KINDS, variations
from agentevo.environments.text.worlds import Worlds
from agentevo.environments.walk import attempt_of, walked
from agentevo.errors import MissingExtra, Misuse, UnknownName
from agentevo.models.fakes import ScriptedModel
from agentevo.phases.loop import Loop
from agentevo.types import Attempt, Json, Message, Outcome, Reply, Task, ToolCall

needs_engines = pytest.mark.skipif(
    shutil.which("java") is None
    or any(importlib.util.find_spec(name) is None for name in ("textworld_express", "scienceworld")),
    reason="the engines need Java and the extra text",
)


def act(command: object, name: str = "act", key: str = "command") -> Message:
    function: Json = {"name": name, "arguments": json.dumps({key: command})}
    return {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function", "function": function}]}


def say(text: str) -> Message:
    return {"role": "assistant", "content": text}


def attempt(task: Task, *actions: Message) -> Attempt:
    return Attempt(id="a", task=task, messages=actions)


@pytest.fixture(scope="module")
def express() -> Iterator[TextWorldExpress]:
    environment = TextWorldExpress()
    yield environment
    asyncio.run(environment.aclose())


@pytest.fixture(scope="module")
def science() -> Iterator[ScienceWorld]:
    environment = ScienceWorld()
    yield environment
    asyncio.run(environment.aclose())


async def scored(environment: Worlds, task: Task, right: Sequence[Message]) -> tuple[float | None, float | None, float]:
    """Return what gold scores, what nothing scores, and the rewards of gold."""
    walk = await walked(environment, task, right)
    gold = await environment.verify(task, attempt_of(task, walk.messages))
    null = await environment.verify(task, Attempt(id="null", task=task))
    return gold.score, null.score, round(sum(outcome.reward for outcome in walk.outcomes), 6)


# --- the engines


@needs_engines
@pytest.mark.parametrize("place", range(len(GOALS)))
def test_gold_wins_each_game_of_textworld_express_and_nothing_wins_none(express: TextWorldExpress, place: int) -> None:
    task = express.tasks("train")[place]
    assert asyncio.run(scored(express, task, express.gold(task))) == (1.0, 0.0, 1.0)


@needs_engines
def test_gold_wins_an_experiment_of_scienceworld_and_nothing_wins_none(science: ScienceWorld) -> None:
    task = science.tasks("test")[0]
    assert asyncio.run(scored(science, task, science.gold(task))) == (1.0, 0.0, 1.0)


async def done(environment: Worlds, task: Task, *actions: Message, feedback: str = "weak") -> tuple[str, list[Outcome]]:
    episode = await environment.open(task, feedback=feedback)  # type: ignore[arg-type]
    try:
        return episode.observation, [await episode.step(action) for action in actions]
    finally:
        await episode.close()


@needs_engines
def test_an_episode_tells_its_task_and_room_first_and_what_is_possible(express: TextWorldExpress) -> None:
    seen, (outcome,) = asyncio.run(done(express, express.task("twx-coin-3"), act("look around")))
    assert seen.startswith("Your task is to search the environment and find the coin.")
    assert outcome.info["score"] == 0.0
    actions = outcome.info["actions"]
    assert isinstance(actions, list)
    assert "look around" in actions


@needs_engines
def test_what_is_possible_can_be_asked_for_without_a_move(express: TextWorldExpress) -> None:
    task = express.task("twx-coin-3")
    asked = [act("door", "valid_actions", "containing"), act("zzz", "valid_actions", "containing")]
    _, outcomes = asyncio.run(done(express, task, *asked))
    assert {line.split()[0] for line in outcomes[0].observation.splitlines()} <= {"open", "close"}
    assert outcomes[1].observation == "No such action is possible now."
    assert commands_of(attempt(task, *asked), "tools") == []


@needs_engines
def test_thousands_of_possible_actions_are_cut_and_can_be_narrowed(science: ScienceWorld) -> None:
    task = science.tasks("train")[4]
    asked = act("", "valid_actions", "containing"), act("focus on", "valid_actions", "containing")
    seen, (everything, some) = asyncio.run(done(science, task, *asked))
    assert seen.startswith("Your task is to")
    *lines, more = everything.observation.splitlines()
    assert len(lines) == MOST_ACTIONS
    assert more.startswith("... and ")
    assert all("focus on" in line for line in some.observation.splitlines()[:MOST_ACTIONS])
    assert "actions" not in everything.info


@needs_engines
def test_a_wrong_focus_ends_an_experiment_and_scores_nothing_not_less(science: ScienceWorld) -> None:
    task = science.task("sw-find-living-thing-0")
    actions = [act("focus on air")]
    _, (outcome,) = asyncio.run(done(science, task, *actions))
    assert (outcome.terminated, outcome.reward, outcome.info) == (True, 0.0, {"score": 0.0})
    feedback = asyncio.run(science.verify(task, attempt(task, *actions, *science.gold(task))))
    assert (feedback.score, feedback.evidence["commands"]) == (0.0, 1)


# --- what counts


@needs_engines
def test_bad_calls_are_told_and_change_nothing(express: TextWorldExpress) -> None:
    task = express.task("twx-coin-3")
    wrong = [act(7), act("x", "fly"), act("x", "act", "commands")]
    _, outcomes = asyncio.run(done(express, task, *wrong))
    assert [outcome.observation for outcome in outcomes] == [
        "Error: act needs 'command' as a text; got 7",
        "Error: there is no tool 'fly'; there are: act, valid_actions",
        "Error: act needs 'command' as a text; got None",
    ]
    assert commands_of(attempt(task, *wrong), "tools") == []


@needs_engines
def test_by_way_of_words_what_is_said_is_the_command_and_counts_until_the_steps_are_used_up() -> None:
    spoken = TextWorldExpress(games="simonsays", tasks=1, way="words", steps=2)
    task = spoken.tasks("train")[0]
    longer = TextWorldExpress(games="simonsays", tasks=1, way="words")
    first, *gold = longer.gold(task)
    asyncio.run(longer.aclose())
    said = [say(f"{first['content']}\nand more words"), *gold]

    async def run() -> tuple[int, tuple[Outcome, ...], float | None]:
        try:
            walk = await walked(spoken, task, said)
            seen: Message = {"role": "user", "content": "..."}
            answered: list[Message] = [message for one in said for message in (one, seen)]
            return len(walk.tools), walk.outcomes, (await spoken.verify(task, attempt(task, *answered))).score
        finally:
            await spoken.aclose()

    tools, outcomes, score = asyncio.run(run())
    assert [(o.terminated, o.truncated) for o in outcomes] == [(False, False), (False, True)]
    assert outcomes[-1].observation.endswith("The score is 0.40 of 1.")
    assert tools == 0
    assert score == pytest.approx(0.4)


@needs_engines
def test_what_takes_more_commands_than_there_are_is_no_gold(express: TextWorldExpress) -> None:
    task = express.task("twx-cookingworld-0")
    hasty = TextWorldExpress(games="cookingworld", tasks=1, steps=len(express.gold(task)) - 1)
    assert hasty.gold(task) == []
    asyncio.run(hasty.aclose())


def test_what_nobody_answered_or_was_not_run_is_no_command() -> None:
    task = Task(id="t", prompt="p")
    spoken: list[Message] = [say("north"), {"role": "user", "content": "a room"}, say("south")]
    assert commands_of(attempt(task, *spoken), "words") == ["north"]
    late: Message = {"role": "tool", "tool_call_id": "1", "content": "Error: not run, because the attempt ended."}
    assert commands_of(attempt(task, act("north"), late), "tools") == []
    recalled = Attempt(id="a", task=task, messages=(act("north"), act("south")), prompt=1)
    assert commands_of(recalled, "tools") == ["south"]


@needs_engines
def test_feedback_says_as_much_as_it_is_asked_for(express: TextWorldExpress) -> None:
    task = express.task("twx-simonsays-2")

    async def ends(level: str) -> Outcome:
        _, outcomes = await done(express, task, say("I give up."), feedback=level)
        return outcomes[0]

    none, weak, strong = (asyncio.run(ends(level)) for level in ("none", "weak", "strong"))
    assert (none.observation, none.info, none.terminated) == ("", {}, True)
    assert (weak.observation, weak.info) == ("The score is 0.00 of 1.", {"score": 0.0})
    assert strong.observation.startswith("The score is 0.00 of 1.\n\nWhat wins it: ")


@needs_engines
def test_games_of_one_seed_at_once_do_not_disturb_each_other(express: TextWorldExpress) -> None:
    tasks = [express.task(name) for name in ("twx-sorting-1", "twx-sorting-1", "twx-coin-1", "twx-coin-1")]

    gold = {task.id: express.gold(task) for task in tasks}

    async def run() -> list[bool]:
        alone = [await walked(express, task, gold[task.id]) for task in tasks]
        at_once = await asyncio.gather(*(walked(express, task, gold[task.id]) for task in tasks))
        return [one == other for one, other in zip(alone, at_once, strict=True)]

    assert asyncio.run(run()) == [True] * 4


# --- an agent


@needs_engines
def test_a_scripted_agent_plays_an_episode_and_is_scored_by_what_it_did(express: TextWorldExpress) -> None:
    task = express.task("twx-arithmetic-0")
    commands = commands_of(attempt(task, *express.gold(task)), "tools")
    replies = [Reply(tool_calls=(ToolCall(id="1", name="act", arguments={"command": one}),)) for one in commands]
    model = ScriptedModel([*replies, "I put it into the box."])

    async def run() -> tuple[Attempt, float | None]:
        (made,) = await Loop()(replace(moment(memory(), model), environment=express), task)
        return made, (await express.verify(task, made)).score

    made, score = asyncio.run(run())
    assert (made.stopped, score) == ("", 1.0)
    assert "math problem" in str(made.messages[-2]) or "box" in str(made.messages[-2])


# --- what is asked for


@needs_engines
def test_splits_are_the_seeds_and_variations_that_the_engines_have_for_them() -> None:
    lost = sum(map(len, FAULTY.values()))
    every = SEEDS * len(GOALS)
    assert TextWorldExpress().card.splits == {"train": every, "dev": every - lost, "test": every}
    assert ScienceWorld().card.splits == {"train": 3592, "dev": 1796, "test": 1819}
    for kind in KINDS:
        own = [n for split in ("train", "dev", "test") for n in variations(kind, split)]
        assert own == [*range(KINDS[kind].variations)]


@needs_engines
def test_kinds_and_sizes_can_be_chosen_and_take_turns() -> None:
    chosen = TextWorldExpress(games="twc+coin", tasks=2)
    assert [task.id for task in chosen.tasks("dev")] == [
        "twx-twc-10000", "twx-coin-10000", "twx-twc-10001", "twx-coin-10001",
    ]  # fmt: skip
    few = ScienceWorld(kinds="boil,find-plant", tasks=1)
    assert [task.id for task in few.tasks("test")] == ["sw-boil-21", "sw-find-plant-225"]


@needs_engines
@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"games": "chess"}, UnknownName, "known: all, arithmetic, coin"),
        ({"tasks": 0}, Misuse, "from 1 to 1000"),
        ({"tasks": True}, Misuse, "from 1 to 1000"),
        ({"steps": 0}, Misuse, "how many commands an episode may have"),
        ({"way": "songs"}, UnknownName, "words, tools"),
        ({"workers": 0}, Misuse, "how many processes play"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, object], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        TextWorldExpress(**options)  # type: ignore[arg-type]


def test_without_java_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("textworld_express")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(MissingJava, match=r"textworld_express needs Java.*apt install"):
        TextWorldExpress()


def test_without_its_package_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for make in (TextWorldExpress, ScienceWorld):
        with pytest.raises(MissingExtra, match=r"pip install 'agentevo\[text\]'"):
            make()


@needs_engines
def test_an_engine_that_cannot_start_is_told_when_it_is_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\nexit 1\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    broken = TextWorldExpress(games="coin", tasks=1)
    with pytest.raises(EngineGone, match="could not be made"):
        asyncio.run(broken.open(broken.tasks("train")[0]))


ALONE = """
import asyncio
from agentevo.environments.engine import EngineGone
from agentevo.environments.text import TextWorldExpress
async def opened():
    environment = TextWorldExpress(games="coin", tasks=1)
    try:
        await environment.open(environment.tasks("train")[0])
    except EngineGone as error:
        print(error)
    await environment.aclose()
asyncio.run(opened())
"""


@needs_engines
@pytest.mark.skipif(sys.platform != "linux", reason="there are walls on Linux alone")
def test_where_the_kernel_gives_no_namespaces_it_is_said_at_once_what_to_do() -> None:
    said = on_a_host_that_refuses("unshare", ALONE).stdout
    assert "could not be made: NoLoopback: a virtual machine is spoken to over TCP on the loopback" in said
    assert "walls=False; caused by PermissionError" in said
