"""kill -9 at random moments of a mixed load: what was acknowledged is there, and nothing is half there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from crash_load import EXACT_LIMIT, shown
from word_vectors import open_memory

from agentevo.memory import Memory
from agentevo.types import Transaction

KILLS = 200 if os.environ.get("AGENTEVO_SOAK") else 20


@pytest.fixture
def kennel(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The process that runs loads and kills them."""
    script = Path(__file__).with_name("crash_load.py")
    with subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "m")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def told(kennel: subprocess.Popen[str], seed: int) -> list[dict[str, Any]]:
    assert kennel.stdin is not None
    assert kennel.stdout is not None
    kennel.stdin.write(f"{seed}\n")
    kennel.stdin.flush()
    lines: list[dict[str, Any]] = json.loads(kennel.stdout.readline())
    return lines


@pytest.mark.timeout(60 + 6 * KILLS)
def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path, kennel: subprocess.Popen[str]) -> None:
    expected: dict[str, dict[str, Any] | None] = {}
    experiences: set[str] = set()
    drafts: dict[str, str] = {}
    for seed in range(KILLS):
        lines = told(kennel, seed)
        assert lines[-1] == {"status": -9}, "the load ended by itself"
        in_flight = None
        for line in lines:
            if "touches" in line:
                in_flight = line["touches"]
            elif "id" in line:
                expected[line["id"]] = line["is"]
                in_flight = None if line["id"] == in_flight else in_flight
            elif "experience" in line:
                experiences.add(line["experience"])
            elif "draft" in line:
                drafts[line["draft"]] = line["holds"]
        expected.pop(in_flight or "", None)  # it may or may not have been changed
        with open_memory(tmp_path / "m", exact_limit=EXACT_LIMIT) as memory:
            assert memory.verify().problems == ()
            found = {name: memory.get(name) for name in expected}
            assert {name: item and shown(item) for name, item in found.items()} == expected
            assert experiences <= {name for name, _ in memory.experiences()}
            for item in memory.list():
                expected.setdefault(item.id, shown(item))  # committed, but not acknowledged before the kill
            assert {len(t.items) for t in _transactions(memory) if t.key} <= {5}, "a draft was committed in part"
            _kept_drafts_hold(memory, drafts)
    assert len(expected) > KILLS


def _transactions(memory: Memory) -> list[Transaction]:
    return [entry for entry in memory.history() if isinstance(entry, Transaction)]


def _kept_drafts_hold(memory: Memory, drafts: dict[str, str]) -> None:
    for name, text in list(drafts.items())[-3:]:
        assert text in {item.text for item in memory.draft(name).list()}
