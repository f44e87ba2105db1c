"""The environment of an app that has none: it can be asked anything, and scores nothing."""

from __future__ import annotations

import asyncio

import pytest
from worlds import looped

from agentevo.environments.anything import Anything
from agentevo.errors import UnknownName
from agentevo.protocols import Environment, Episode
from agentevo.types import Attempt, Card, Feedback, Outcome, Task

TASK = Task(id="1", prompt="Hello?")


def test_it_is_an_environment_without_tasks_or_truth() -> None:
    anything: Environment = Anything()
    assert isinstance(anything, Environment)
    assert anything.splits() == ()
    assert isinstance(anything.card, Card)
    assert asyncio.run(anything.verify(TASK, Attempt(id="a", task=TASK, answer="Hi"))) == Feedback()
    with pytest.raises(UnknownName, match="unknown split of anything 'test'"):
        anything.tasks("test")
    with pytest.raises(UnknownName, match="unknown task of anything '1'"):
        anything.task("1")


def test_whatever_is_said_ends_its_episode() -> None:
    async def visited() -> tuple[str, Outcome]:
        episode: Episode = await Anything().open(TASK)
        outcome = await episode.step({"role": "assistant", "content": "Hi"})
        await episode.close()
        await episode.close()
        return episode.observation, outcome

    assert asyncio.run(visited()) == ("Hello?", Outcome(observation="", terminated=True))


def test_a_loop_in_it_is_a_question_and_an_answer() -> None:
    attempt = looped(Anything(), [" Hi "], task=TASK)
    assert (attempt.answer, attempt.stopped) == ("Hi", "")
    assert [message["content"] for message in attempt.messages] == ["Hello?", " Hi "]
