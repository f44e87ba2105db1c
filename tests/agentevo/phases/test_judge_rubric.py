"""Rubric: points become scores, several readings their mean, and what cannot be read counts for nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from moments import attempt, experience, memory, moment

from agentevo.errors import Misuse
from agentevo.models import ScriptedModel
from agentevo.models.fakes import Scripted
from agentevo.phases.judge_rubric import Points, Rubric
from agentevo.types import Attempt


def judged(judge: Rubric, replies: Sequence[Scripted]) -> tuple[Attempt, ScriptedModel]:
    model = ScriptedModel(replies)

    async def awaited() -> Attempt:
        with memory() as m:
            (told,) = (await judge(moment(m, model), experience(attempt("a", said="well done")))).attempts
            return told

    return asyncio.run(awaited()), model


def test_points_are_a_score_from_a_judge() -> None:
    told, model = judged(Rubric(), [Points(why="It is short.", points=4)])
    assert (told.score, told.feedback[-1].source, told.feedback[-1].text) == (0.8, "judge", "It is short.")
    assert model.requests[0].temperature == 0
    assert "well done" not in str(model.requests[0].messages)


def test_the_mean_of_readings_beats_a_noisy_one() -> None:
    told, model = judged(Rubric(readings=3), [Points(why="", points=n) for n in (5, 1, 3)])
    assert told.score == pytest.approx(0.6)
    assert told.feedback[-1].evidence["points"] == [5, 1, 3]
    assert len({request.seed for request in model.requests}) == 3


def test_a_reading_that_cannot_be_used_is_left_out() -> None:
    told, _ = judged(Rubric(readings=2), [Points(why="", points=9), Points(why="", points=2)])
    assert told.score == pytest.approx(0.4)
    untold, _ = judged(Rubric(), ["five of five", "five of five"])
    assert len(untold.feedback) == 1


@pytest.mark.parametrize("make", [lambda: Rubric(" "), lambda: Rubric(scale=0), lambda: Rubric(temperature=-1)])
def test_what_makes_no_sense_is_refused(make: object) -> None:
    assert callable(make)
    with pytest.raises(Misuse):
        make()
