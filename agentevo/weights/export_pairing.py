"""Preferences among the attempts at one task: those that are given, or the widest margins between scores.

Both answers of a pair were given to one prompt, with the same tools, as these stand in the row: to another, or with
others, another answer may be right.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from agentevo.types import Message
from agentevo.weights.rows import Left, Said, last_said

Pair: TypeAlias = tuple[Said, Said]


def given(pairs: Sequence[tuple[str, str]], told: dict[str, Said | Left]) -> Iterator[Pair | Left]:
    """Yield the pairs that an experience names, or why one of them is left out."""
    for better, worse in pairs:
        sides = told[better], told[worse]
        out = next((side for side in sides if isinstance(side, Left)), None)
        if out is not None:
            yield out
        else:
            yield _paired(*[side for side in sides if isinstance(side, Said)])


def corrected(better: Sequence[Said | Left | None], told: Sequence[Said | Left]) -> Iterator[Pair | Left]:
    """Yield what people said would have been right, each before what was said instead, or why that is left out."""
    for right, wrong in zip(better, told, strict=True):
        if right is None or isinstance(wrong, Left):
            continue  # the latter is counted by itself
        yield right if isinstance(right, Left) else _paired(right, last_said(wrong))


def widest(
    told: Sequence[Said], min_score: float | None, min_margin: float, most: int, *, or_none: bool = False
) -> Iterator[Pair | Left]:
    """Yield the pairs with the widest margins, at most so many; or, once, why there is none, unless that may be."""
    scored = [(one, one.attempt.score) for one in told]
    ranked = sorted(((one, score) for one, score in scored if score is not None), key=lambda x: -x[1])
    ahead = [
        (better - worse, one, other)
        for n, (one, better) in enumerate(ranked)
        for other, worse in ranked[n + 1 :]
        if better - worse >= min_margin and better >= (min_score or 0.0) and not one.attempt.stopped
    ]
    left = Left("no contrast")
    count = 0
    for _, one, other in sorted(ahead, key=lambda x: -x[0]):
        pair = _paired(one, other)
        if isinstance(pair, Left):
            left = pair
        elif count < most:
            count += 1
            yield pair
    if not count and not or_none:
        yield left


def _paired(chosen: Said, rejected: Said) -> Pair | Left:
    if chosen.prompt != rejected.prompt:
        return Left("different prompts")
    if chosen.attempt.tools != rejected.attempt.tools:
        return Left("different tools")
    if _did(chosen.completion) == _did(rejected.completion):
        return Left("equal answers")
    return chosen, rejected


def _did(messages: Sequence[Message]) -> list[Message]:
    """Return messages without what differs where nothing does: the ids of calls, and white space around texts."""
    plain = []
    for message in messages:
        calls, content = message.get("tool_calls"), message.get("content")
        text = content.strip() if isinstance(content, str) else content
        functions = [c.get("function") for c in calls if isinstance(c, dict)] if isinstance(calls, list) else []
        plain.append({"role": message.get("role"), "content": text, "calls": functions})
    return plain
