"""Wrappers of environments: what they limit, and that they leave all else as it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from counting import Counting, CountingEpisode, call

from agentevo.environments.check import check_environment
from agentevo.environments.tool.house import House
from agentevo.environments.wrappers import OutputLimit, TimeLimit, Wrapped
from agentevo.errors import Misuse
from agentevo.protocols import Environment, Episode, FeedbackLevel, Golden
from agentevo.types import Attempt, Feedback, Message, Outcome, Task

ADD = call()
DONE: Message = {"role": "assistant", "content": "done"}


class Clock:
    """Seconds that pass when a test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def steps(environment: Environment, *actions: Message) -> list[Outcome]:
    async def all_of_them() -> list[Outcome]:
        episode = await environment.open(environment.task("count-5"))
        return [await episode.step(action) for action in actions]

    return asyncio.run(all_of_them())


@pytest.mark.parametrize(
    "wrap",
    [
        lambda env: TimeLimit(env, steps=10, seconds=60),
        lambda env: OutputLimit(env, 20),
        lambda env: OutputLimit(TimeLimit(env, steps=10), 1000),
    ],
)
@pytest.mark.parametrize("make", [Counting, House])
def test_a_wrapper_keeps_the_contract_and_knows_gold(
    wrap: Callable[[Environment], Environment], make: Callable[[], Environment]
) -> None:
    assert check_environment(wrap(make()), again=lambda: wrap(make()))[-1] == "gold"


class Ungolden:
    """An environment that knows no gold."""

    card = Counting.card

    def __init__(self) -> None:
        own = Counting()
        self.splits, self.tasks, self.task, self.open, self.verify = (
            own.splits,
            own.tasks,
            own.task,
            own.open,
            own.verify,
        )


def test_a_wrapper_of_what_knows_no_gold_knows_none() -> None:
    assert not isinstance(TimeLimit(Ungolden(), steps=1), Golden)
    assert isinstance(TimeLimit(Counting(), steps=1), Golden)


def test_a_wrapper_verifies_as_what_it_holds() -> None:
    task = Counting().task("count-1")
    attempt = Attempt(id="a", task=task, answer="done", messages=(ADD,))
    wrapped = Wrapped(Counting())
    assert asyncio.run(wrapped.verify(task, attempt)) == Feedback(score=1.0)
    assert wrapped.card == Counting.card
    assert asyncio.run(wrapped.open(task)).observation == "Count to 1."


def test_the_last_step_that_is_allowed_truncates() -> None:
    limited = TimeLimit(Counting(), steps=2)
    assert steps(limited, ADD, ADD) == [
        Outcome(observation="the sum is 1"),
        Outcome(observation="the sum is 2", truncated=True),
    ]
    with pytest.raises(Misuse, match="has reached its limit"):
        steps(limited, ADD, ADD, ADD)


def test_an_end_in_the_last_step_is_no_truncation() -> None:
    assert steps(TimeLimit(Counting(), steps=2), ADD, DONE)[-1] == Outcome(observation="so be it", terminated=True)


def test_each_episode_has_steps_of_its_own() -> None:
    limited = TimeLimit(Counting(), steps=1)
    assert [steps(limited, ADD) for _ in range(2)] == [[Outcome(observation="the sum is 1", truncated=True)]] * 2


class Slow(CountingEpisode):
    """Waits for ever in each step, or raises a TimeoutError of its own."""

    was_cancelled = False

    async def step(self, action: Message) -> Outcome:
        if action == DONE:
            raise TimeoutError("the engine gave up")
        try:
            return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise


class Hanging(Counting):
    def __init__(self) -> None:
        self.opened: list[Slow] = []

    async def open(self, task: Task, seed: int = 0, feedback: FeedbackLevel = "weak") -> Episode:
        self.opened.append(Slow(task))
        return self.opened[-1]


def test_a_step_that_hangs_is_cancelled_when_the_seconds_are_over() -> None:
    hanging = Hanging()
    assert steps(TimeLimit(hanging, seconds=0.05), ADD)[0].truncated
    assert hanging.opened[0].was_cancelled


def test_a_timeout_of_the_environment_itself_is_its_own() -> None:
    with pytest.raises(TimeoutError, match="the engine gave up"):
        steps(TimeLimit(Hanging(), seconds=60), DONE)


class Talkative(CountingEpisode):
    async def step(self, action: Message) -> Outcome:
        return Outcome(observation="x" * 1000, reward=0.5)


class Chatting(Counting):
    async def open(self, task: Task, seed: int = 0, feedback: FeedbackLevel = "weak") -> Episode:
        episode = Talkative(task)
        episode.observation = "y" * 1000
        return episode


def test_no_step_is_made_when_the_seconds_are_over() -> None:
    clock = Clock()

    async def late() -> Outcome:
        limited = TimeLimit(Chatting(), seconds=60, clock=clock)
        episode = await limited.open(limited.task("count-5"))
        clock.now = 59.9
        assert not (await episode.step(ADD)).truncated
        clock.now = 60.0
        return await episode.step(ADD)

    assert asyncio.run(late()) == Outcome(observation="the time limit of 60 s was reached", truncated=True)


def test_output_is_cut_with_a_mark() -> None:
    async def said() -> tuple[str, Outcome]:
        limited = OutputLimit(Chatting(), 20)
        episode = await limited.open(limited.task("count-5"))
        return episode.observation, await episode.step(ADD)

    observation, outcome = asyncio.run(said())
    assert observation == "y" * 14 + " [...]"
    assert outcome == Outcome(observation="x" * 14 + " [...]", reward=0.5)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: TimeLimit(Counting()), "a time limit needs steps=, seconds=, or both"),
        (lambda: TimeLimit(Counting(), steps=0), "steps is 0; expected a number above 0"),
        (lambda: TimeLimit(Counting(), seconds=float("nan")), "seconds is nan"),
        (lambda: OutputLimit(Counting(), 15), "characters is 15; expected 16 or more"),
        (lambda: OutputLimit(Counting, 100), "is no environment; expected one such as House()"),  # type: ignore[arg-type]
    ],
)
def test_wrappers_that_cannot_work_are_refused(make: Callable[[], Environment], said: str) -> None:
    with pytest.raises(Misuse) as refusal:
        make()
    assert said in str(refusal.value)
