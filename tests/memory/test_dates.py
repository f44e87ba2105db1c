"""Moments that no calendar holds are refused where they come in, and do no harm where they are already."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from moments import NOW, attempt, experience, learned, memory

from agentevo.errors import Misuse
from agentevo.memory import Insert, Memory
from agentevo.memory.dates import LATEST
from agentevo.models import ScriptedModel
from agentevo.types import Item, Op

MS = 1.7e12
BAD = Item(id="a", text="x", created_at=MS)


@pytest.mark.parametrize(
    "call",
    [
        lambda m: m.insert("x", created_at=MS),
        lambda m: m.insert(["x", "y"], created_at=[1.0, MS]),
        lambda m: m.insert("x", expires_at=MS),
        lambda m: m.edit(m.insert("x").id, expires_at=MS),
        lambda m: m.apply([Op(verb="insert", id="a", item=BAD)]),
        lambda m: m.draft().insert("x", created_at=MS),
        lambda m: m.import_([json.dumps({"type": "item", "id": "a", "text": "x", "created_at": MS})]),
    ],
)
def test_milliseconds_are_refused_and_recognised(call: Callable[[Memory], Any]) -> None:
    says = r"(created|expires)_at is 1\.?7.*seconds since 1970, of the years 1 to 9999; are these milliseconds\?"
    with memory() as m, pytest.raises(Misuse, match=says):
        call(m)


@pytest.mark.parametrize("moment", [1e18, -1e12, 1e300])
def test_so_is_what_no_calendar_holds_at_all(moment: float) -> None:
    with memory() as m, pytest.raises(Misuse, match="of the years 1 to 9999"):
        m.insert("x", created_at=moment)


def test_an_import_names_the_line() -> None:
    lines = [
        json.dumps({"type": "item", "id": name, "text": name, "created_at": at}) for name, at in (("a", 1.0), ("b", MS))
    ]
    with memory() as m, pytest.raises(Misuse, match=r"line 2 is no part of an export \(created_at is 1700000000000"):
        m.import_(lines)


def test_what_lives_longer_than_the_calendar_expires_with_it() -> None:
    with memory() as m:
        (item,) = learned(m, Insert(lives_s=1e15), [experience(attempt("1"))])
        assert item.expires_at == LATEST


def test_reflection_by_day_passes_over_an_item_of_no_day(tmp_path: Path) -> None:
    with Memory.open(tmp_path / "m", embedder="hash") as m:
        odd = m.insert("one of no day")
        m.insert(["tea", "milk", "ale"], created_at=NOW)
        with contextlib.closing(sqlite3.connect(tmp_path / "m" / "ledger.db", isolation_level=None)) as db:
            db.execute("UPDATE items SET created_at = ? WHERE id = ?", (MS, odd.id))
    with Memory.open(tmp_path / "m", embedder="hash") as m:
        model = ScriptedModel(['{"insights": [{"text": "drinks"}]}'])
        assert len(m.reflect(model=model, by="day").ops) == 1
        assert "no day" not in str(model.requests[0].messages)
        m.edit(odd.id, "one of no day still")
