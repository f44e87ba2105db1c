"""Functions that a caller hands to a policy: they are plain, and what they answer is what was asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from moments import NOW, attempt, experience, learned, memory, moment, ops

from agentevo.errors import Misuse
from agentevo.memory import Discard, Insert, Reconcile


async def never(*given: Any) -> bool:
    return False


class Never:
    async def __call__(self, *given: Any) -> bool:
        return False


@pytest.mark.parametrize("function", [never, Never()], ids=["function", "object"])
@pytest.mark.parametrize(
    "policy", [Discard, lambda f: Insert(when=f), lambda f: Reconcile(rule=f)], ids=["Discard", "when", "rule"]
)
def test_an_asynchronous_function_is_refused_where_nobody_awaits_it(
    policy: Callable[[Any], Any], function: Any
) -> None:
    with pytest.raises(Misuse, match=r"is asynchronous: .*; expected a plain function"):
        policy(function)


@pytest.mark.parametrize(
    "answer", [None, {"decision": "add"}, "yes", 1, never], ids=["None", "dict", "str", "int", "co"]
)
@pytest.mark.parametrize(
    "policy", [Discard, lambda f: Insert(when=f), lambda f: Reconcile(similar=0.3, rule=f)], ids=["D", "when", "rule"]
)
def test_an_answer_of_another_kind_is_refused_and_nothing_changes(policy: Callable[[Any], Any], answer: Any) -> None:
    def function(*given: Any) -> Any:
        return answer(*given) if callable(answer) else answer

    with memory() as m:
        m.insert(["Anna lives in Oslo city", "Anna lives in Rome city"], created_at=[NOW - 1, NOW])
        told = [experience(attempt("1"))] if isinstance(policy(function), Insert) else []
        with pytest.raises(Misuse, match=r"gave .*; expected (True or False|a Verdict)"):
            ops(policy(function), moment(m), told)


def test_truth_values_of_arrays_are_answers() -> None:
    is_one: Any = lambda item: np.bool_(item.text == "one")  # noqa: E731
    with memory() as m:
        first, _ = m.insert(["one", "two"])
        assert [item.id for item in learned(m, Discard(is_one))] == [first.id]
