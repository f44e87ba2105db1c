"""The rows of one turn of the cycle: what an experience has to teach, as rows to train on."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence

from agentevo.types import Attempt, Experience, Json
from agentevo.weights.rows import Found, Left, Row, Said, Strip, Turns, example, preference, said

LOG = logging.getLogger(__name__)

WITHOUT: tuple[Strip, ...] = ("memory", "hints")
"""What a model that is trained is to do without afterwards."""


def sft_rows(experiences: Sequence[Experience], strip: Collection[Strip], turns: Turns = "all") -> list[Row]:
    """Return a row for each attempt that says something."""
    return [
        example(_found(experience), one, "", "prompt")
        for experience in experiences
        for attempt in experience.attempts
        for one in _said(attempt, strip, turns)
    ]


def pair_rows(experiences: Sequence[Experience], strip: Collection[Strip], turns: Turns = "all") -> list[Row]:
    """Return a row for each preference among attempts that both say something."""
    rows = []
    for experience in experiences:
        told = {a.id: one for a in experience.attempts for one in _said(a, strip, turns)}
        pairs = (pair for pair in experience.pairs if told.keys() >= set(pair))
        rows += [preference(_found(experience), told[better], told[worse], "") for better, worse in pairs]
    return rows


def attempts_of(rows: Sequence[Mapping[str, Json]]) -> list[str]:
    """Return the attempts that rows were made of, once each."""
    lineages = [lineage for row in rows if isinstance(lineage := row.get("lineage"), dict)]
    named = (lineage.get(name) for lineage in lineages for name in ("attempt", "chosen", "rejected"))
    return list(dict.fromkeys(name for name in named if isinstance(name, str)))


def _said(attempt: Attempt, strip: Collection[Strip], turns: Turns) -> Iterator[Said]:
    try:
        yield said(attempt, strip, turns)
    except Left as why:
        LOG.info("attempt %s is not trained on: %s", attempt.id, why)


def _found(experience: Experience) -> Found:
    return Found(experience)
