"""check_environment: it passes what keeps the contract, and names the clause that a broken environment breaks."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, ClassVar

import pytest
from counting import Counting, CountingEpisode

from agentevo.environments.check import BrokenContract, acheck_environment, check_environment
from agentevo.environments.tool.house import House
from agentevo.errors import Misuse
from agentevo.protocols import Environment, Episode, FeedbackLevel
from agentevo.types import Attempt, Feedback, Message, Outcome, Task

ALL = (
    "card", "splits", "disjoint", "lookup", "travels", "deterministic", "order", "closes", "cancelled", "together",
    "actions", "verify", "null", "gold",
)  # fmt: skip


@pytest.mark.parametrize("level", [1, 2, 3])
def test_house_commands_keep_the_contract(level: int) -> None:
    assert check_environment(House(1, level), again=lambda: House(1, level)) == ALL


def test_an_episode_of_several_steps_keeps_the_contract() -> None:
    assert check_environment(Counting(), again=Counting) == ALL


def test_it_can_be_awaited() -> None:
    assert asyncio.run(acheck_environment(Counting())) == ALL


def test_it_reports_each_clause_and_how_many_episodes_were_played_for_it() -> None:
    told: list[tuple[str, int]] = []
    held = check_environment(
        Counting(), tasks=1, episodes=3, report=lambda clause, episodes: told.append((clause, episodes))
    )
    assert list(dict(told)) == list(held)
    assert (dict(told)["card"], dict(told)["together"]) == (0, 2 * 3)
    assert [episodes for clause, episodes in told if clause == "together"] == [*range(7)]


class Asking:
    """Asks and takes no steps, and knows no gold."""

    card = Counting.card.but(gold_score=None)

    def __init__(self) -> None:
        own = Counting()
        self.splits, self.tasks, self.task = own.splits, own.tasks, own.task

    async def open(self, task: Task, seed: int = 0, feedback: FeedbackLevel = "weak") -> Episode:
        episode = CountingEpisode(task)
        await episode.close()
        return episode

    async def verify(self, task: Task, attempt: Attempt) -> Feedback:
        return Feedback(score=float(attempt.answer == str(task.data["to"])))


def test_what_cannot_be_checked_is_not_in_the_result() -> None:
    assert check_environment(Asking()) == tuple(clause for clause in ALL if clause not in ("actions", "gold"))


@pytest.mark.parametrize("wrong", [object(), Counting, None])
def test_what_is_no_environment_is_refused(wrong: Environment) -> None:
    with pytest.raises(Misuse, match="is no environment"):
        check_environment(wrong)


@pytest.mark.parametrize("counts", [{"tasks": 0}, {"episodes": 1}])
def test_too_little_to_try_is_refused(counts: dict[str, int]) -> None:
    with pytest.raises(Misuse, match="expected 1 or more tasks, 2 or more episodes"):
        check_environment(Counting(), **counts)  # type: ignore[arg-type]


# --- environments that are broken in one point


class WithoutLicence(Counting):
    card = Counting.card.but(licence="")


class WithoutScores(Counting):
    card = Counting.card.but(gold_score=None)


class Miscounted(Counting):
    card = Counting.card.but(splits={"train": 3, "test": 4})


class Hollow(Counting):
    card = Counting.card.but(splits={"train": 3, "test": 3, "dev": 0})

    def splits(self) -> Sequence[str]:
        return (*super().splits(), "dev")

    def tasks(self, split: str) -> Sequence[Task]:
        return [] if split == "dev" else super().tasks(split)


class AnySplit(Counting):
    def tasks(self, split: str) -> Sequence[Task]:
        return super().tasks(split) if split in self.splits() else []


class Leaky(Counting):
    """Asks in test what it asks in train."""

    def tasks(self, split: str) -> Sequence[Task]:
        return [task.but(id=f"{split}-{task.id}") for task in super().tasks("train" if split == "test" else split)]


class OneIdTwice(Counting):
    def tasks(self, split: str) -> Sequence[Task]:
        return [task.but(id="count") for task in super().tasks(split)]


class Forgetful(Counting):
    def task(self, id: str) -> Task:
        return super().task(id).but(provenance="elsewhere")


class AnyId(Counting):
    def task(self, id: str) -> Task:
        return super().tasks("train")[0] if id == "no such task" else super().task(id)


class ByIdentity(Counting):
    """Knows a task only as the very object that it gave."""

    def __init__(self) -> None:
        self._given = {split: list(super(ByIdentity, self).tasks(split)) for split in self.splits()}

    def tasks(self, split: str) -> Sequence[Task]:
        return self._given[split] if split in self._given else super().tasks(split)

    async def verify(self, task: Task, attempt: Attempt) -> Feedback:
        told = await super().verify(task, attempt)
        is_given = any(task is given for tasks in self._given.values() for given in tasks)
        return told if is_given else told.but(score=0.5)


class Drifting(Counting):
    """Begins each episode otherwise."""

    numbers = itertools.count()

    async def open(self, task: Task, seed: int = 0, feedback: FeedbackLevel = "weak") -> Episode:
        episode = CountingEpisode(task)
        episode.observation += f" ({next(self.numbers)})"
        return episode


class Endless(CountingEpisode):
    """Goes on after its end."""

    async def step(self, action: Message) -> Outcome:
        self.over = False
        return await super().step(action)


class Reopened(CountingEpisode):
    """Goes on after it was closed."""

    async def close(self) -> None:
        self.over = False


class Blunt(CountingEpisode):
    """Refuses a step after the end, by an error of its own."""

    async def step(self, action: Message) -> Outcome:
        if self.over:
            raise ValueError("it is over")
        return await super().step(action)


class CloseOnce(CountingEpisode):
    closed = False

    async def close(self) -> None:
        if self.closed:
            raise RuntimeError("closed already")
        self.closed = True
        await super().close()


OPENED: list[IO[str]] = []
STARTED: list[subprocess.Popen[bytes]] = []
STOP = threading.Event()
TASKS: set[asyncio.Task[None]] = set()


class LeavesFiles(CountingEpisode):
    def __init__(self, task: Task) -> None:
        super().__init__(task)
        OPENED.append(Path(__file__).open())  # noqa: SIM115 - it is left open on purpose


class Sharing(CountingEpisode):
    """What its episodes share is made bit by bit, meanwhile."""

    shared: ClassVar[list[IO[str]]] = []
    opened = 0

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        Sharing.opened += 1
        if Sharing.opened % 5 == 0 and len(Sharing.shared) < 14:
            Sharing.shared.append(Path(__file__).open())  # noqa: SIM115 - it is closed in the end


class LeavesThreads(CountingEpisode):
    def __init__(self, task: Task) -> None:
        super().__init__(task)
        threading.Thread(target=STOP.wait, name="left behind", daemon=True).start()


class LeavesProcesses(CountingEpisode):
    def __init__(self, task: Task) -> None:
        super().__init__(task)
        STARTED.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]))


async def for_ever() -> None:
    await asyncio.Event().wait()


class LeavesTasks(CountingEpisode):
    """Starts something in each step and waits for it only where the step ends."""

    async def step(self, action: Message) -> Outcome:
        if self.over:
            return await super().step(action)
        background = asyncio.ensure_future(for_ever())
        TASKS.add(background)
        outcome = await super().step(action)
        background.cancel()
        return outcome


class Locked(Counting):
    """Has one lock for all, which a cancelled step does not give back."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()

    async def open(self, task: Task, seed: int = 0, feedback: FeedbackLevel = "weak") -> Episode:
        return LockedEpisode(task, self.lock)


class LockedEpisode(CountingEpisode):
    def __init__(self, task: Task, lock: asyncio.Lock) -> None:
        super().__init__(task)
        self._lock = lock

    async def step(self, action: Message) -> Outcome:
        if self.over:
            return await super().step(action)
        await self._lock.acquire()
        outcome = await super().step(action)
        self._lock.release()
        return outcome


class Stained(Counting):
    """Remembers a step that did not come to its end."""

    steps_under_way = 0

    async def open(self, task: Task, seed: int = 0, feedback: FeedbackLevel = "weak") -> Episode:
        return StainedEpisode(task, self)


class StainedEpisode(CountingEpisode):
    def __init__(self, task: Task, home: Stained) -> None:
        super().__init__(task)
        self._home = home
        self.observation += "!" * home.steps_under_way

    async def step(self, action: Message) -> Outcome:
        if self.over:
            return await super().step(action)
        self._home.steps_under_way += 1
        outcome = await super().step(action)
        self._home.steps_under_way -= 1
        return outcome


class Shared(Counting):
    """All episodes count in one sum."""

    def __init__(self) -> None:
        self.latest: CountingEpisode | None = None

    async def open(self, task: Task, seed: int = 0, feedback: FeedbackLevel = "weak") -> Episode:
        self.latest = SharedEpisode(task, self)
        return self.latest


class SharedEpisode(CountingEpisode):
    def __init__(self, task: Task, home: Shared) -> None:
        super().__init__(task)
        self._home = home

    async def step(self, action: Message) -> Outcome:
        outcome = await super().step(action)
        latest = self._home.latest or self
        return outcome if latest is self else outcome.but(observation=f"the sum is {latest.sum}")


class Strict(CountingEpisode):
    """Raises at an action that it cannot read."""

    async def step(self, action: Message) -> Outcome:
        if not isinstance(action["content"], str):
            raise TypeError("content is no text")
        return await super().step(action)


class Moody(Counting):
    moods = itertools.count()

    async def verify(self, task: Task, attempt: Attempt) -> Feedback:
        return (await super().verify(task, attempt)).but(text=f"mood {next(self.moods)}")


class Silent(Counting):
    async def verify(self, task: Task, attempt: Attempt) -> Feedback:
        return None  # type: ignore[return-value]


class Lavish(Counting):
    async def verify(self, task: Task, attempt: Attempt) -> Feedback:
        return Feedback.model_construct(score=7.0, source="environment")


class Judging(Counting):
    async def verify(self, task: Task, attempt: Attempt) -> Feedback:
        return (await super().verify(task, attempt)).but(source="judge")


class ByName(Counting):
    """Scores by the name of the attempt."""

    async def verify(self, task: Task, attempt: Attempt) -> Feedback:
        return Feedback(score=float(attempt.id == "another"))


class Fragile(Counting):
    async def verify(self, task: Task, attempt: Attempt) -> Feedback:
        if not attempt.messages:
            raise IndexError("list index out of range")
        return await super().verify(task, attempt)


class Generous(Counting):
    async def verify(self, task: Task, attempt: Attempt) -> Feedback:
        return Feedback(score=1.0)


class Boasting(Asking):
    card = Counting.card


class Unreachable(Counting):
    async def verify(self, task: Task, attempt: Attempt) -> Feedback:
        return Feedback(score=0.0)


class Hanging(Counting):
    async def verify(self, task: Task, attempt: Attempt) -> Feedback:
        await for_ever()
        raise AssertionError("never")


def episodes(kind: Callable[[Task], Episode]) -> Environment:
    class Broken(Counting):
        async def open(self, task: Task, seed: int = 0, feedback: FeedbackLevel = "weak") -> Episode:
            return kind(task)

    return Broken()


def leaving_now_and_then() -> Environment:
    """Have one episode in twenty-four not closed: in `closes`, which opens twelve at a time, every other time."""
    opened = itertools.count(6)  # the first time that is looked at comes after 61 of them

    class LeavesNowAndThen(CountingEpisode):
        def __init__(self, task: Task) -> None:
            super().__init__(task)
            if next(opened) % 24 == 0:
                OPENED.append(Path(__file__).open())  # noqa: SIM115 - it is left open on purpose

    return episodes(LeavesNowAndThen)


BROKEN: Sequence[tuple[str, Callable[[], Environment], str]] = (
    ("card", WithoutLicence, "it says nothing of licence"),
    ("card", WithoutScores, "it says nothing of gold_score"),
    ("splits", Miscounted, "{'train': 3, 'test': 3}, the card says {'train': 3, 'test': 4}"),
    ("splits", Hollow, "a split without tasks is none"),
    ("splits", AnySplit, "the split 'no such split' was not refused"),
    ("disjoint", Leaky, "task 'test-count-1' of 'test' asks the same as one of 'train'"),
    ("disjoint", OneIdTwice, "the id 'count' is in 'train' and in 'train'"),
    ("lookup", Forgetful, "task('count-1') is Task("),
    ("lookup", AnyId, "the id 'no such task' was not refused"),
    ("travels", ByIdentity, "after its travel"),
    ("deterministic", Drifting, "task 'count-1' went Walk("),
    ("order", lambda: episodes(Endless), "a step after the end was not refused"),
    ("order", lambda: episodes(Reopened), "a step after close was not refused"),
    ("order", lambda: episodes(Blunt), "a step after the end was not refused"),
    ("closes", lambda: episodes(CloseOnce), "it raised RuntimeError: closed already"),
    ("closes", lambda: episodes(LeavesFiles), f"left behind: file {Path(__file__)}"),
    ("closes", leaving_now_and_then, f"left behind: file {Path(__file__)}"),
    ("closes", lambda: episodes(LeavesThreads), "left behind: thread left behind"),
    ("closes", lambda: episodes(LeavesProcesses), "left behind: process "),
    ("cancelled", lambda: episodes(LeavesTasks), "for_ever"),
    ("cancelled", Locked, "an episode after it did not end"),
    ("cancelled", Stained, "and before it"),
    ("together", Shared, "and alone"),
    ("actions", lambda: episodes(Strict), "an action without content raised KeyError"),
    ("verify", Moody, "it gave"),
    ("verify", Silent, "it gave None, no Feedback"),
    ("verify", Lavish, "its score is 7.0"),
    ("verify", Judging, "its feedback is from 'judge'"),
    ("verify", ByName, "the same attempt under another id got"),
    ("verify", Fragile, "it raised IndexError"),
    ("null", Generous, "6 attempts score 1.000 in the mean, the card says 0.0"),
    ("gold", Boasting, "the card has a gold score, but there is no method gold"),
    ("gold", Unreachable, "6 attempts score 0.000 in the mean, the card says 1.0"),
)


@pytest.fixture(scope="module", autouse=True)
def tidy() -> Iterator[None]:
    """Take away what the broken environments left behind on purpose."""
    yield
    STOP.set()
    for task in TASKS:
        task.get_loop().call_soon_threadsafe(task.cancel)
    for file in OPENED:
        file.close()
    for process in STARTED:
        process.kill()
        process.wait()


@pytest.mark.parametrize(("clause", "make", "why"), BROKEN, ids=lambda value: getattr(value, "__name__", ""))
def test_what_is_broken_is_named(clause: str, make: Callable[[], Environment], why: str) -> None:
    with pytest.raises(BrokenContract) as broken:
        check_environment(make(), patience_s=0.2)
    assert broken.value.clause == clause
    assert why in str(broken.value)
    assert str(broken.value).startswith(f"counting breaks {clause!r} (")


def test_what_episodes_share_may_be_made_meanwhile() -> None:
    try:
        assert check_environment(episodes(Sharing), patience_s=0.2) == ALL
    finally:
        for file in Sharing.shared:
            file.close()


def test_a_second_instance_that_differs_is_named() -> None:
    with pytest.raises(BrokenContract, match="the tasks of 'train' are others") as broken:
        check_environment(House(1), again=lambda: House(2))
    assert broken.value.clause == "deterministic"


def test_a_clause_that_takes_too_long_is_named() -> None:
    with pytest.raises(BrokenContract, match=r"breaks 'travels' .* it took longer than 0\.2 s"):
        check_environment(Hanging(), limit_s=0.2)


def test_each_clause_has_an_environment_that_breaks_it() -> None:
    assert {clause for clause, _, _ in BROKEN} == set(ALL)
