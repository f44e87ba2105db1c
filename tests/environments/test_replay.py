"""Recordings: written as things happen, replayed to the byte and without the engine."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from counting import Counting, CountingEpisode, call

from agentevo.environments.check import check_environment
from agentevo.environments.recorded import Recorded
from agentevo.environments.replay import Replayed
from agentevo.environments.tool.house import House
from agentevo.errors import AgentEvoError, Misuse, UnknownName
from agentevo.protocols import Environment, Episode, FeedbackLevel, Golden
from agentevo.types import Attempt, Feedback, Message, Outcome, Task

ADD = call()
DONE: Message = {"role": "assistant", "content": "done"}


async def work(environment: Environment) -> list[object]:
    """Use an environment in each of its ways, two episodes at once, and return all that it said."""
    said: list[object] = [environment.card, tuple(environment.splits()), tuple(environment.tasks("train"))]
    task = environment.task("count-2")
    first, second = await environment.open(task), await environment.open(environment.task("count-5"), 7, "strong")
    said += [first.observation, tuple(first.tools), await first.step(ADD), await second.step(DONE)]
    with pytest.raises(Misuse) as refusal:
        await second.step(ADD)
    said += [str(refusal.value), await first.step(ADD), await first.step(DONE)]
    await first.close()
    await second.close()
    attempt = Attempt(id=f"{id(said)}", task=task, answer="done", messages=(ADD, ADD, DONE))
    assert isinstance(environment, Golden)
    return [*said, await environment.verify(task, attempt), tuple(environment.gold(task))]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "recording.jsonl"


def record(
    path: Path, use: Callable[[Environment], object] = lambda environment: asyncio.run(work(environment))
) -> Path:
    use(Recorded(Counting(), path))
    return path


def test_a_replay_says_the_same_and_is_recorded_as_the_same_bytes(path: Path, tmp_path: Path) -> None:
    said = asyncio.run(work(Recorded(Counting(), path)))
    again = tmp_path / "again.jsonl"
    assert asyncio.run(work(Recorded(Replayed(path), again))) == said
    assert again.read_bytes() == path.read_bytes()


def written(path: Path) -> int:
    return path.read_text().count("\n")


def test_each_thing_is_written_when_it_happens(path: Path) -> None:
    async def watched() -> list[int]:
        environment = Recorded(Counting(), path)
        lines = [written(path)]
        episode = await environment.open(Counting().task("count-1"))
        for action in (ADD, DONE):
            lines.append(written(path))
            await episode.step(action)
        await episode.close()
        return [*lines, written(path)]

    assert asyncio.run(watched()) == [1, 2, 3, 5]


@pytest.mark.parametrize("make", [Counting, House])
def test_recordings_and_replays_keep_the_contract(path: Path, make: Callable[[], Environment]) -> None:
    assert check_environment(Recorded(make(), path))[-1] == "gold"
    assert check_environment(Replayed(path), again=lambda: Replayed(path))[-1] == "gold"


class Tossing(Counting):
    """Begins each episode with another number, and ends each step with another."""

    def __init__(self) -> None:
        self.numbers = itertools.count()

    async def open(self, task: Task, seed: int = 0, feedback: FeedbackLevel = "weak") -> Episode:
        return TossingEpisode(task, self.numbers)


class TossingEpisode(CountingEpisode):
    def __init__(self, task: Task, numbers: Iterator[int]) -> None:
        super().__init__(task)
        self._numbers = numbers

    async def step(self, action: Message) -> Outcome:
        return Outcome(observation=f"tossed {next(self._numbers)}")


async def tossed(environment: Environment, times: int) -> list[str]:
    said = []
    for _ in range(times):
        episode = await environment.open(Counting().task("count-1"))
        said.append((await episode.step(ADD)).observation)
    return said


def test_what_went_differently_each_time_is_replayed_in_order_and_from_the_start_again(path: Path) -> None:
    assert asyncio.run(tossed(Recorded(Tossing(), path), 3)) == ["tossed 0", "tossed 1", "tossed 2"]
    assert asyncio.run(tossed(Replayed(path), 4)) == ["tossed 0", "tossed 1", "tossed 2", "tossed 0"]


async def acted(environment: Environment, *actions: Message) -> Outcome:
    episode = await environment.open(Counting().task("count-3"))
    for action in actions:
        outcome = await episode.step(action)
    return outcome


def test_an_episode_is_found_by_its_actions_whatever_the_order(path: Path) -> None:
    async def courses(environment: Environment, *each: tuple[Message, ...]) -> list[str]:
        return [(await acted(environment, *actions)).observation for actions in each]

    add, stop, two = (ADD,), (DONE,), (ADD, ADD)
    asyncio.run(courses(Recorded(Counting(), path), add, stop, two))
    assert asyncio.run(courses(Replayed(path), two, add, stop)) == ["the sum is 2", "the sum is 1", "so be it"]


def test_a_recording_is_gone_on_with_after_a_crash(path: Path) -> None:
    record(path)
    whole = path.read_text()
    path.write_text(whole + '{"type": "open", "episode": 2, "ta')
    asyncio.run(tossed(Recorded(Counting(), path), 1))
    lines = path.read_text().removeprefix(whole).splitlines()
    assert ['"episode":2' in line for line in lines] == [True, True]
    assert asyncio.run(work(Replayed(path)))


def test_tasks_are_written_once(path: Path) -> None:
    def list_them(environment: Environment) -> None:
        for _ in range(3):
            environment.tasks("train")
            environment.task("count-1")

    record(path, list_them)
    record(path, list_them)
    assert [line[9:14] for line in path.read_text().splitlines()] == ["recor", "tasks", 'task"']


def test_a_head_that_was_torn_is_written_anew(path: Path) -> None:
    path.write_text('{"type":"reco')
    record(path)
    assert Replayed(path).card == Counting.card


def test_the_recording_of_another_environment_is_refused(path: Path) -> None:
    record(path)
    with pytest.raises(Misuse, match="holds a recording of another environment; name a new file"):
        Recorded(House(), path)


class Breaking(Counting):
    async def open(self, task: Task, seed: int = 0, feedback: FeedbackLevel = "weak") -> Episode:
        return BreakingEpisode(task)


class BreakingEpisode(CountingEpisode):
    async def step(self, action: Message) -> Outcome:
        raise OSError("the engine is gone")


def test_an_engine_that_broke_breaks_again(path: Path) -> None:
    with pytest.raises(OSError, match="the engine is gone"):
        asyncio.run(acted(Recorded(Breaking(), path), ADD))
    with pytest.raises(AgentEvoError, match="OSError: the engine is gone"):
        asyncio.run(acted(Replayed(path), ADD))


def test_an_environment_without_gold_has_none_when_replayed(path: Path) -> None:
    class Ungolden:
        card = Counting.card
        splits, tasks, task = Counting.splits, Counting.tasks, Counting.task
        open, verify = Counting.open, Counting.verify

    assert isinstance(Ungolden(), Environment)
    Recorded(Ungolden(), path)
    assert not isinstance(Replayed(path), Golden)


TASK = Counting().task("count-3")


@pytest.mark.parametrize(
    ("ask", "error", "said"),
    [
        (lambda env: env.tasks("test"), Misuse, "does not hold the tasks of 'test': they were never listed"),
        (lambda env: env.tasks("tset"), UnknownName, "unknown split of counting 'tset'; known: test"),
        (lambda env: env.task("count-6"), Misuse, "does not hold the task 'count-6'"),
        (lambda env: env.gold(TASK), Misuse, "does not hold the gold actions of task 'count-3'"),
        (lambda env: asyncio.run(env.open(TASK, 9)), Misuse, "no episode of task 'count-3' with seed 9"),
        (
            lambda env: asyncio.run(env.verify(TASK, Attempt(id="a", task=TASK, answer="never said"))),
            Misuse, "holds no verdict on task 'count-3' for the answer 'never said'",
        ),
        (lambda env: asyncio.run(acted(env, DONE)), Misuse, "as step 1; recorded there: ''"),
        (lambda env: asyncio.run(acted(env, ADD, ADD)), Misuse, "as step 2; recorded there: nothing, the episode"),
    ],
)  # fmt: skip
def test_what_was_not_recorded_is_refused(
    path: Path, ask: Callable[[Environment], object], error: type[Misuse], said: str
) -> None:
    def use(environment: Environment) -> None:
        environment.tasks("train")
        asyncio.run(acted(environment, ADD))

    with pytest.raises(error) as refusal:
        ask(Replayed(record(path, use)))
    assert said in str(refusal.value)


def test_an_episode_that_is_closed_takes_no_step(path: Path) -> None:
    async def after_close(environment: Environment) -> None:
        episode = await environment.open(TASK)
        await episode.close()
        with pytest.raises(Misuse, match="this episode is closed"):
            await episode.step(ADD)

    async def opened_only(environment: Environment) -> None:
        await environment.open(TASK)

    record(path, lambda environment: asyncio.run(opened_only(environment)))
    asyncio.run(after_close(Replayed(path)))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "holds no recording; make one with Recorded(environment, path)"),
        ("hello\n", "line 1 is no line of a recording"),
        ('{"type":"close","episode":0}\n', "line 1: a recording begins with its head, and has one; got 'close'"),
        ("{head}{head}", "line 2: a recording begins with its head, and has one; got 'recording'"),
        ("{head}" + '{"type":"close","episode":"x"}\n', "line 2 is no line of a recording"),
        (
            "{head}" + '{"type":"step","episode":4,"action":{}}\n',
            "line 2: it goes on with the episode 4, which never began",
        ),
        ("{future}", "has format 2"),
    ],
)
def test_a_file_that_is_no_recording_says_why(path: Path, content: str, said: str) -> None:
    head = record(path, lambda environment: None).read_text()
    path.write_text(content.replace("{head}", head).replace("{future}", head.replace('"format":1', '"format":2')))
    with pytest.raises(Misuse) as refusal:
        Replayed(path)
    assert said in str(refusal.value)


def test_a_missing_file_says_so(path: Path) -> None:
    with pytest.raises(Misuse, match="cannot be read: No such file"):
        Replayed(path)


def test_a_verdict_is_found_by_what_was_said_under_any_name(path: Path) -> None:
    async def judged(environment: Environment, name: str) -> Feedback:
        return await environment.verify(TASK, Attempt(id=name, task=TASK, answer="done", messages=(DONE,)))

    record(path, lambda environment: asyncio.run(judged(environment, "a")))
    assert asyncio.run(judged(Replayed(path), "b")) == Feedback(score=0.0)
