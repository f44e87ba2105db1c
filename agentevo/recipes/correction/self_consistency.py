"""Self-consistency: of several answers, the one that most of them agree on. (Wang et al., 2022, arXiv 2203.11171)"""

from __future__ import annotations

import re
from collections.abc import Sequence

from agentevo.phases.act import Sample
from agentevo.phases.combine import Best
from agentevo.phases.judge import Vote, plain
from agentevo.protocols import Recipe

THINK = 'Think step by step. End with a line of the form "The answer is ..." that says nothing else.'

_SAID = re.compile(r"(?:the (?:final )?answer is|(?:final )?answer:|####)[ \t]*:?[ \t]*([^\n]+)", re.IGNORECASE)


def self_consistency(
    *,
    n: int = 10,
    think: bool = False,
    temperature: float | None = 0.7,
    max_tokens: int | None = None,
    stop: Sequence[str] = (),
) -> Recipe:
    """Give n answers, and of them the one that most agree with, of equals the first; nothing is learned.

    think: ask for steps before the answer. Answers that end with "the answer is ..." are compared by what follows it,
    others as a whole; case and spacing make no difference. The paper has n = 40.
    """
    sample = Sample(n, context=[THINK] if think else [], temperature=temperature, max_tokens=max_tokens, stop=stop)
    return Recipe(act=Best(sample, by=Vote(final)))


def final(answer: str) -> str:
    """Return what an answer comes to: what its last line says that the answer is, or else the whole of it."""
    _, _, last = answer.rstrip().rpartition("\n")
    said = _SAID.search(last)
    return plain(said[1].strip("*$`\"' .") if said else answer)
