"""CodeT: of several programs, the one that agrees with most others and most tests. (Chen et al., 2022, 2207.10397)"""

from __future__ import annotations

from collections.abc import Sequence

from agentevo.phases.act import Sample
from agentevo.phases.combine import Best
from agentevo.phases.judge_tests import DualAgree, Written
from agentevo.protocols import Recipe


def codet(
    *,
    n: int = 10,
    tests: int = 10,
    each: int = 5,
    alpha: float = 0.5,
    temperature: float | None = 0.8,
    max_tokens: int | None = None,
    stop: Sequence[str] = (),
) -> Recipe:
    """Write n programs, and tests that no program was seen for; give one that many agree with, and many tests.

    tests, each: so many replies with tests are asked for, and so many tests of each are taken. alpha: the weight of
    how many programs pass the same tests; 0.5 as in the published code, 1 as in the paper. The paper has n = 100,
    tests = 100. Nothing is learned. The environment must run tests, as library and humaneval do.
    """
    written = Written(tests, each=each, temperature=temperature)
    sample = Sample(n, temperature=temperature, max_tokens=max_tokens, stop=stop)
    return Recipe(act=Best(sample, by=DualAgree(written, alpha=alpha)))
