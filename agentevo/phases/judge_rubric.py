"""Rubric: a model gives points to each attempt by what is written down, several times over if its word is noisy."""

from __future__ import annotations

import logging
from dataclasses import KW_ONLY, dataclass
from statistics import fmean

from pydantic import BaseModel, ConfigDict

from agentevo.errors import BadReply, Misuse
from agentevo.memory.asking import AS_DATA, MOST
from agentevo.memory.extract import evidence
from agentevo.protocols import State
from agentevo.together import together
from agentevo.types import Attempt, Experience, Feedback, Message

LOG = logging.getLogger(__name__)

ADDITIVE = """
Read the task and the answer, and give the answer points, one for each of these that holds:
1. It is about the task, even where it is incomplete or says more than was asked.
2. It does a good part of what was asked.
3. It does what was asked at its core, in a useful way.
4. It does so wholly, clearly, and in the form that was asked for, with little to improve.
5. It is right, says nothing beside the point, and could not be better.
Say in one or two sentences why, then give the sum.
"""


class Points(BaseModel):
    """What a judge says: first why, then how many points."""

    model_config = ConfigDict(allow_inf_nan=False)

    why: str
    points: float


@dataclass(frozen=True)
class Rubric:
    """Let the model give each attempt points from 0 to `scale`; the score is the mean of so many readings.

    A judge does not see what others said of the attempt. A reading that cannot be used is left out, and with none the
    attempt stays as it was. More than one reading needs a temperature, or all of them say the same.
    """

    prompt: str = ADDITIVE
    scale: int = 5
    readings: int = 1
    _: KW_ONLY
    temperature: float | None = None

    def __post_init__(self) -> None:
        if not self.prompt.strip():
            raise Misuse(
                "Rubric needs a prompt that says what points are for; leave it out for the one that is shipped"
            )
        if self.scale < 1 or self.readings < 1:
            raise Misuse(f"Rubric(scale={self.scale!r}, readings={self.readings!r}): expected both to be 1 or more")
        if self.temperature is not None and not self.temperature >= 0:
            raise Misuse(f"temperature is {self.temperature!r}; expected 0 or more, or None")

    async def __call__(self, state: State, experience: Experience) -> Experience:
        told = (self._told(state, attempt) for attempt in experience.attempts)
        return experience.but(attempts=tuple(await together(told)))

    async def _told(self, state: State, attempt: Attempt) -> Attempt:
        read = [await self._read(state, attempt, n) for n in range(self.readings)]
        given = [one for one in read if one is not None]
        if not given:
            return attempt
        points = [one.points for one in given]
        said = "\n".join(one.why for one in given if one.why.strip())
        score = fmean(points) / self.scale
        return attempt.told(Feedback(score=score, text=said, source="judge", evidence={"points": [*points]}))

    async def _read(self, state: State, attempt: Attempt, n: int) -> Points | None:
        """Return one reading; None, logged, where it cannot be used."""
        alone = Experience(task=attempt.task, attempts=(attempt.model_copy(update={"feedback": ()}),))
        asking = f"{self.prompt.strip()}\nPoints are from 0 to {self.scale}.\n{AS_DATA}"
        messages: list[Message] = [
            {"role": "system", "content": asking},
            {"role": "user", "content": evidence(alone)},
        ]
        warmth = (0.0 if self.readings == 1 else 0.7) if self.temperature is None else self.temperature
        seed = state.dice("rubric", f"{attempt.id}/{n}").getrandbits(31) if warmth else None
        try:
            reply = await state.model.complete(messages, schema=Points, temperature=warmth, max_tokens=MOST, seed=seed)
            read = reply.parsed(Points)
        except (BadReply, ValueError) as error:
            LOG.warning("a reading of attempt %s cannot be used: %s", attempt.id, error)
            return None
        if not 0 <= read.points <= self.scale:
            LOG.warning("a reading of attempt %s gives %g points of %d", attempt.id, read.points, self.scale)
            return None
        return read
