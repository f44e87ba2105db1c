"""Moments that no calendar holds are refused where they come in, and do no harm where they are already."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from moments import NOW, memory

from agentevo.errors import Misuse
from agentevo.memory import Memory
from agentevo.models import ScriptedModel
from agentevo.types import Item, Op

MS = 1.7e12
BAD = Item(id="a", text="x", created_at=MS)


@pytest.mark.parametrize(
    "call",
    [
        lambda m: m.insert("x", created_at=MS),
        lambda m: m.insert(["x", "y"], created_at=[1.0, MS]),
        lambda m: m.apply([Op(verb="insert", id="a", item=BAD)]),
        lambda m: m.draft().insert("x", created_at=MS),
    ],
)
def test_milliseconds_are_refused_and_recognised(call: Callable[[Memory], Any]) -> None:
    says = r"created_at is 1\.?7.*seconds since 1970, of the years 1 to 9999; are these milliseconds\?"
    with memory() as m, pytest.raises(Misuse, match=says):
        call(m)


@pytest.mark.parametrize("moment", [1e18, -1e12, 1e300])
def test_so_is_what_no_calendar_holds_at_all(moment: float) -> None:
    with memory() as m, pytest.raises(Misuse, match="of the years 1 to 9999"):
        m.insert("x", created_at=moment)


def test_reflection_by_day_passes_over_an_item_of_no_day_that_an_import_brought() -> None:
    with memory() as m:
        m.import_([json.dumps({"type": "item", "id": "a", "text": "one of no day", "created_at": MS})])
        m.insert(["tea", "milk", "ale"], created_at=NOW)
        model = ScriptedModel(['{"insights": [{"text": "drinks"}]}'])
        assert len(m.reflect(model=model, by="day").ops) == 1
        assert "no day" not in str(model.requests[0].messages)
        m.edit("a", "one of no day still")
