from __future__ import annotations

import os
from pathlib import Path

import pytest

from agentevo.models.threads import Jiffies, idle_cores, usable_cores, wait_without_spinning


@pytest.mark.parametrize(
    ("idle", "passed", "expected"), [(0, 100, 1), (100, 100, 8), (50, 100, 4), (1, 100, 1), (0, 0, 8)]
)
def test_threads_are_as_many_as_cores_are_idle_and_at_least_one(idle: int, passed: int, expected: int) -> None:
    samples: list[Jiffies] = [(1000, 5000), (1000 + idle, 5000 + passed)]
    slept: list[float] = []
    assert idle_cores(8, lambda: samples.pop(0), slept.append) == expected
    assert 0.05 <= sum(slept) <= 0.1


@pytest.mark.parametrize(("load", "expected"), [(0.0, 4), (1.4, 3), (9.0, 1)])
def test_without_counters_the_load_average_decides(load: float, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0), raising=False)
    assert idle_cores(4, lambda: None) == expected


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="this system has no /proc/stat")
def test_by_default_the_kernels_counters_are_read_twice() -> None:
    slept: list[float] = []
    assert 1 <= idle_cores(sleep=slept.append) <= usable_cores()
    assert len(slept) == 1  # nothing is slept where the counters cannot be read


def test_threads_sleep_while_they_wait_unless_the_user_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    wait_without_spinning()
    assert os.environ["OMP_WAIT_POLICY"] == "active"
    monkeypatch.delenv("OMP_WAIT_POLICY")
    wait_without_spinning()
    assert os.environ["OMP_WAIT_POLICY"] == "passive"
