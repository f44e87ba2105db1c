"""Killed at any moment, evo goes on: nothing finished is paid for twice, and it ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from evolving import HARMFUL, HOW, USELESS, left

ROOT = Path(__file__).parent.parent.parent
EACH = 5 if os.environ.get("AGENTEVO_SOAK") else 1
"""So many kills at each kind of boundary."""
KINDS = ("tasks", "act", "judge", "update", "model", "step", "journal", "experience", "commit", "committed", "report")
KILLS = EACH * len(KINDS)

Left = dict[str, list[str]]


class Runner:
    """A process that runs evo in folders, each time in a process of its own, and kills that where it is told to."""

    def __init__(self) -> None:
        path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "evolving.py")],
            env={**os.environ, "PYTHONPATH": path}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, folder: Path, kill_at: int = -1, after_s: float = 0) -> int:
        """Run, or go on, to the end or to the kill; return 0, or the signal."""
        folder.mkdir(exist_ok=True)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(folder, kill_at, after_s, file=self.process.stdin, flush=True)
        return int(self.process.stdout.readline())


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    started = Runner()
    with started.process:
        yield started


@pytest.fixture(scope="module")
def whole(runner: Runner, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Left]:
    """A run that nobody interrupted: which boundaries it has, and what it leaves."""
    folder = tmp_path_factory.mktemp("whole")
    assert runner.run(folder) == 0
    return (folder / "boundaries").read_text().splitlines(), left(folder)


def test_the_run_that_is_killed_reflects_forgets_and_has_a_turn_turned_down(whole: tuple[list[str], Left]) -> None:
    boundaries, there = whole
    lines = [json.loads(line) for line in there["journal"]]
    reports = {line["key"]: line["value"].get("accepted", True) for line in lines if line["key"].endswith("report")}
    assert reports == {"0/report": True, "1/report": False, "2/report": True}
    exported = "\n".join(there["export"])
    assert [HOW in exported, USELESS in exported, HARMFUL in exported] == [True, False, False]
    assert '"status":"forgotten"' in exported
    paid = [line["value"]["cost"]["calls"] for line in lines if line["key"].endswith("report")]
    assert sum(paid) == len(there["asked"])
    assert set(boundaries) == {*KINDS, "turn"}


@pytest.mark.parametrize("place", range(EACH))
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_killed_at_a_boundary_ends_as_if_nothing_had_happened(
    runner: Runner, tmp_path: Path, whole: tuple[list[str], Left], kind: str, place: int
) -> None:
    boundaries, there = whole
    of_this_kind = [n for n, name in enumerate(boundaries) if name == kind]
    at = of_this_kind[(2 * place + 1) * len(of_this_kind) // (2 * EACH)]
    assert runner.run(tmp_path, at) == -signal.SIGKILL
    assert runner.run(tmp_path) == 0
    assert left(tmp_path) == there


def test_a_run_killed_after_its_first_commit_reports_what_was_measured_before_it(
    runner: Runner, tmp_path: Path, whole: tuple[list[str], Left]
) -> None:
    """All that the first turn drafts is in memory by then, so that nothing seems to be changed any more."""
    boundaries, there = whole
    assert runner.run(tmp_path, boundaries.index("committed")) == -signal.SIGKILL
    assert runner.run(tmp_path) == 0
    assert left(tmp_path) == there


def test_a_run_killed_again_and_again_at_random_ends_as_if_nothing_had_happened(
    runner: Runner, tmp_path: Path, whole: tuple[list[str], Left]
) -> None:
    _, there = whole
    dice = random.Random(7)
    killed = sum(runner.run(tmp_path, after_s=dice.uniform(0.02, 0.4)) == -signal.SIGKILL for _ in range(KILLS))
    assert runner.run(tmp_path) == 0
    now = left(tmp_path)
    assert (now["export"], now["journal"]) == (there["export"], there["journal"])
    # A reply that had come and was not written down yet is asked for again: one at most a kill.
    assert set(now["asked"]) == set(there["asked"])
    assert len(now["asked"]) - len(there["asked"]) <= killed
    assert killed > 0
