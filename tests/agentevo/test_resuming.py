"""Killed at any moment, a run goes on: nothing finished is done twice, and it ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from agentevo.memory import Memory

PROGRAM = Path(__file__).parent.parent / "evolving.py"
ROOT = PROGRAM.parent.parent
KILLS = 50 if os.environ.get("AGENTEVO_SOAK") else 10


def start(folder: Path, *arguments: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{PROGRAM.parent}"}
    command = [sys.executable, str(PROGRAM), str(folder), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def finished(folder: Path, *arguments: object) -> int:
    """Run to the end, or to the kill; return how many boundaries there were, or the signal."""
    with start(folder, *arguments) as process:
        said, complaint = process.communicate()
        assert process.returncode in (0, -signal.SIGKILL), complaint
        return int(said) if process.returncode == 0 else process.returncode


def left(folder: Path) -> tuple[list[object], list[str], list[object]]:
    """Return what a run leaves: its items and experiences, what was asked, and what was journaled, times apart."""
    with Memory.open(folder / "memory") as memory:
        assert memory.verify().ok
        items = [item.model_dump(exclude={"last_used_at"}) for item in memory.list(status=None, order="oldest")]
        known = [(name, experience.model_dump()) for name, experience in memory.experiences()]
    asked = sorted((folder / "asked").read_text().splitlines())
    journal = [json.loads(line) for line in (folder / "run" / "journal.jsonl").read_text().splitlines()]
    return [*items, *known], asked, journal


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, tuple[list[object], list[str], list[object]]]:
    """A run that nobody interrupted: how many boundaries it has, and what it leaves."""
    folder = tmp_path_factory.mktemp("whole")
    return finished(folder), left(folder)


def unordered(journal: list[object]) -> list[str]:
    """Attempts under way at once may end in any order."""
    return sorted(json.dumps(line, sort_keys=True) for line in journal)


@pytest.mark.parametrize("part", range(KILLS))
def test_a_run_killed_at_a_boundary_ends_as_if_nothing_had_happened(
    tmp_path: Path, whole: tuple[int, tuple[list[object], list[str], list[object]]], part: int
) -> None:
    boundaries, (kept, asked, journal) = whole
    at = (boundaries - 1) * part // (KILLS - 1)
    assert finished(tmp_path, at) == -signal.SIGKILL
    assert finished(tmp_path) > 0
    now, asked_now, journal_now = left(tmp_path)
    assert (now, asked_now, unordered(journal_now)) == (kept, asked, unordered(journal))


def test_a_run_killed_again_and_again_at_random_ends_as_if_nothing_had_happened(
    tmp_path: Path, whole: tuple[int, tuple[list[object], list[str], list[object]]]
) -> None:
    _, (kept, asked, journal) = whole
    dice, kills = random.Random(7), 0
    while kills < KILLS:
        with start(tmp_path) as process:
            time.sleep(dice.uniform(0.3, 1.5))
            process.kill()
            process.communicate()
            kills += 1
            if process.returncode == 0:
                break
    finished(tmp_path)
    now, asked_now, journal_now = left(tmp_path)
    assert (now, unordered(journal_now)) == (kept, unordered(journal))
    assert max(Counter(line["key"] for line in journal_now).values()) == 1  # type: ignore[index]
    assert set(asked_now) == set(asked)
