"""What counts is answered behind a wall: the environment as it is, but for what would tell the answer."""

from __future__ import annotations

import asyncio

import pytest
from moments import memory
from sums import GoldenSums, somewhere, task

from agentevo.environments.answers import Answers
from agentevo.protocols import Environment, FeedbackLevel, Golden, State
from agentevo.scoring import Sealed, answered, scored, sealed
from agentevo.types import Attempt, Experience, Feedback, Task, Usage


class Counting(GoldenSums):
    """Sums with a method of their own."""

    def count(self) -> int:
        return len(self.verified)


def test_a_sealed_environment_is_the_one_inside_but_for_what_tells_the_answer() -> None:
    inside = Counting()
    seen = Sealed(inside)
    assert (seen.card, seen.splits(), seen.tasks("dev")) == (inside.card, inside.splits(), inside.tasks("dev"))
    assert (seen.task("1+1"), seen.count(), isinstance(seen, Environment)) == (task("1+1"), 0, True)  # type: ignore[operator]
    assert not isinstance(seen, Golden)
    with pytest.raises(AttributeError, match="an answer that counts is given without 'gold'"):
        seen.gold  # noqa: B018
    told = asyncio.run(seen.verify(task("1+1"), Attempt(id="a", task=task("1+1"), answer="3")))
    assert told == Feedback(score=0.0, verdict="wrong")


@pytest.mark.parametrize(("asked", "got"), [("none", "none"), ("weak", "weak"), ("strong", "weak")])
def test_what_is_scored_is_told_at_most_whether_it_is_right(asked: FeedbackLevel, got: FeedbackLevel) -> None:
    inside = Answers([{"text": "Who signs?", "label": "Anna"}], shares={"test": 1.0})

    async def told(environment: Environment, level: FeedbackLevel) -> str:
        episode = await environment.open(inside.tasks("test")[0], feedback=level)
        return (await episode.step({"role": "assistant", "content": "Bob"})).observation

    assert asyncio.run(told(Sealed(inside), asked)) == asyncio.run(told(inside, got))


def test_sealing_twice_is_sealing_once() -> None:
    with memory() as m:
        once = sealed(somewhere(m, GoldenSums()))
        assert sealed(once) is once


def test_the_first_attempt_is_scored_and_costs_what_all_did() -> None:
    async def twice(state: State, task: Task) -> list[Attempt]:
        return [Attempt(id=text, task=task, answer=text, usage=Usage(calls=1)) for text in ("2", "3")]

    with memory() as m:
        (attempt,) = asyncio.run(answered(somewhere(m, GoldenSums(), act=twice), task("1+1"))).attempts
    assert (attempt.id, attempt.score, attempt.usage.calls) == ("2", 1.0, 2)
    assert attempt.feedback[0].evidence == {"checked": "2"}  # the report has all that the environment says


def test_what_was_not_attempted_has_no_score() -> None:
    with memory() as m:
        nothing = Experience(task=task("1+1"))
        assert asyncio.run(scored(somewhere(m, GoldenSums()), nothing)) == nothing
