"""A full disk in the middle of a run of evo: the run says so, memory verifies, and with room again it ends the same."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from cycles import LEARNING, NOW, moment
from evolving import left

from agentevo.agent import Agent
from agentevo.cycle import evolve
from agentevo.errors import CassetteError, RunError
from agentevo.memory import Memory
from agentevo.models import ScriptedModel
from agentevo.phases.gate import HeldOut
from agentevo.phases.loop import Loop
from agentevo.record import Record
from agentevo.types import Report

ROOT = Path(__file__).parent.parent.parent
PROGRAM = ROOT / "tests" / "evolving.py"
IS_SOAK = bool(os.environ.get("AGENTEVO_SOAK"))
MORE_SIZES = [("run", 180), ("memory", 200), ("memory", 500)] if IS_SOAK else []
MORE_SHARES = [0.2, 0.99] if IS_SOAK else []
AT_ONCE = 6
"""So many tasks a turn are attempted at once."""


def evolved(folder: Path, limit: Callable[[], None] | None = None) -> tuple[int, str]:
    """Run evo in a process of its own; return its status and its last words."""
    folder.mkdir(exist_ok=True)
    env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{PROGRAM.parent}"}
    command = [sys.executable, str(PROGRAM), str(folder)]
    done = subprocess.run(command, env=env, preexec_fn=limit, capture_output=True, text=True, check=False)
    return done.returncode, (done.stderr.strip().splitlines() or [""])[-1]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that had room."""
    folder = tmp_path_factory.mktemp("whole")
    assert evolved(folder)[0] == 0
    return folder


def is_whole(folder: Path, whole: Path) -> bool:
    """Say whether a run left what one that had room did, and each line of each of its files is whole."""
    for path in (folder / "run").glob("*.jsonl"):
        assert all(json.loads(line) for line in path.read_text().splitlines())
    now, then = left(folder), left(whole)
    # Replies that could not be written down are asked for again when there is room: those of the calls under way.
    assert set(now["asked"]) == set(then["asked"])
    assert len(now["asked"]) - len(then["asked"]) <= AT_ONCE
    return (now["export"], now["journal"]) == (then["export"], then["journal"])


# --- a file system that is full


def mounted(folder: Path, size_kb: int, *options: str) -> bool:
    """Mount a file system of so many kilobytes, or give the one that is mounted so many; say if that is allowed."""
    folder.mkdir(parents=True, exist_ok=True)
    said = ",".join([*options, f"size={size_kb}k"])
    command = ["mount", "-t", "tmpfs", "-o", said, "tmpfs", str(folder)]
    return sys.platform == "linux" and subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Callable[[str, int], Path]]:
    """Give a folder of a run in which a part lies on a file system of so many kilobytes, where that can be mounted."""
    mounts: list[Path] = []

    def make(part: str, size_kb: int) -> Path:
        if not mounted(tmp_path / part, size_kb):
            pytest.skip("no file system can be mounted here")
        mounts.append(tmp_path / part)
        return tmp_path

    yield make
    for path in mounts:
        subprocess.run(["umount", str(path)], check=True)


@pytest.mark.parametrize(
    ("part", "size_kb"),
    [("run", 8), ("run", 100), ("memory", 40), ("memory", 350), *MORE_SIZES],
)
def test_a_run_that_met_a_full_file_system_says_so_and_goes_on_to_the_same_end(
    small: Callable[[str, int], Path], whole: Path, part: str, size_kb: int
) -> None:
    folder = small(part, size_kb)
    code, said = evolved(folder)
    assert (code, str(folder / part) in said) == (1, True)
    assert "room" in said or "space" in said
    assert mounted(folder / part, 4_000, "remount")
    with Memory.open(folder / "memory", embedder="hash") as memory:
        assert memory.verify().ok
    assert evolved(folder)[0] == 0
    assert is_whole(folder, whole)


# --- files that may not grow


@pytest.mark.parametrize("share", [0.02, 0.5, 0.9, *MORE_SHARES])
def test_a_run_whose_files_may_not_grow_says_so_and_goes_on_to_the_same_end(
    tmp_path: Path, whole: Path, share: float
) -> None:
    largest = max(path.stat().st_size for path in whole.rglob("*") if path.is_file())
    size = int(largest * share)
    code, said = evolved(
        tmp_path / "full", lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    )
    assert (code, said) == (1, said)
    assert "room" in said or "space" in said, said
    assert evolved(tmp_path / "full")[0] == 0
    assert is_whole(tmp_path / "full", whole)


@contextmanager
def files_of(size: int) -> Iterator[None]:
    """Let files of this process grow to so many bytes and no further."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_run_folder_that_takes_no_more_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    async def run(folder: Path) -> Report:
        with (
            Memory.open(":memory:", embedder="hash", clock=lambda: NOW) as memory,
            Record.open(folder, id="run", clock=lambda: NOW) as record,
        ):
            state = moment(memory, replace(LEARNING, act=Loop(), judge=[], gate=HeldOut()))
            (report,) = [report async for report in evolve(state, record, 1)]
            return report

    async def starved(folder: Path, size: int) -> str:
        try:
            with files_of(size):
                await run(folder)
        except (RunError, CassetteError) as error:
            return str(error)
        return ""

    whole = asyncio.run(run(tmp_path / "whole"))
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "whole").glob("*.jsonl")}
    for size in range(200, max(sizes.values()), 350):
        said = asyncio.run(starved(tmp_path / str(size), size))
        assert "make room" in said
        assert asyncio.run(run(tmp_path / str(size))).scores == whole.scores
        for path in (tmp_path / str(size)).glob("*.jsonl"):
            assert all(json.loads(line) for line in path.read_text().splitlines())
    assert sizes.keys() == {"journal.jsonl", "replies.jsonl", "steps.jsonl"}


def test_a_full_disk_ends_an_answer_with_an_error_and_the_memory_whole(small: Callable[[str, int], Path]) -> None:
    folder = small("steps", 4)
    with Memory.open(":memory:", embedder="hash") as memory:
        agent = Agent(ScriptedModel(["a" * 9_000]), memory=memory, runs=folder / "steps")
        with closing(agent), pytest.raises(RunError, match="bytes were written; make room, then resume the run"):
            agent.run("hi")
        assert memory.verify().ok


def test_a_run_that_cannot_even_begin_says_so_and_begins_when_there_is_room(small: Callable[[str, int], Path]) -> None:
    folder = small("run", 8) / "run"
    filling = folder / "filling"
    filling.write_bytes(b"x" * 8192)
    with pytest.raises(RunError, match=r"cannot write .*run\.json: .*No space left on device; make room"):
        Record.open(folder, about={"seed": 1})
    filling.unlink()
    with Record.open(folder, about={"seed": 1}) as record:
        assert json.loads((folder / "run.json").read_text()) == {"id": record.id, "seed": 1}
