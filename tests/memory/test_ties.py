"""Items that answer a question equally well come in the order in which they were inserted, so that equal runs agree."""

from __future__ import annotations

import pytest
from moments import memory

from agentevo.memory.recall import Mode


@pytest.mark.parametrize("mode", ["vector", "bm25", "hybrid"])
@pytest.mark.parametrize("drafted", [0, 4, 8])
def test_of_equals_the_one_that_was_inserted_first_comes_first(mode: Mode, drafted: int) -> None:
    with memory() as store:
        vector = [1.0] + [0.0] * 383
        store.insert([f"{n}. x" for n in range(8 - drafted)], vectors=[vector] * (8 - drafted))
        draft = store.draft()
        draft.insert([f"{n}. x" for n in range(8 - drafted, 8)], vectors=[vector] * drafted)
        hits = draft.recall("x", k=8, mode=mode, vector=None if mode == "bm25" else vector)
    assert [hit.item.text for hit in hits] == [f"{n}. x" for n in range(8)]
