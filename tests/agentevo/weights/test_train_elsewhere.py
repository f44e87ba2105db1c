"""Training on another device than the CPU: the same losses, and nothing of one device meets what is on the other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from small_training import PAIRS, ROWS, trained

from agentevo.errors import Misuse
from agentevo.weights.train import Trained

ROOT = Path(__file__).parents[3]


def on_second_device(*cases: dict[str, Any]) -> list[Any]:
    """Return what is said where devices meet, and the losses of each case; see `train_elsewhere`."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "train_elsewhere.py"), json.dumps(cases)],
        env={**os.environ, "PYTHONPATH": path, "ACCELERATE_TORCH_DEVICE": "second:0"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout)
    return found


def test_another_device_learns_as_the_cpu_does(whole: Trained, small: str, tmp_path: Path) -> None:
    cases: list[tuple[dict[str, Any], Path | None]] = [
        ({"steps": 3}, None),
        ({"steps": 3, "kl": 0.1, "accumulate": 2, "packing": True, "gradient_checkpointing": True}, None),
        ({"steps": 3, "method": "dpo"}, whole.path),
    ]
    told = [
        {"changes": changes, "start": str(start) if start else None, "precision": precision}
        for precision in ("float32", "bfloat16")
        for changes, start in cases
    ]
    refusal, *found = on_second_device(*told)
    assert refusal == "aten::add: expected all tensors to be on the same device"
    for n, (changes, start) in enumerate(cases):
        rows = PAIRS if "method" in changes else ROWS
        here = [loss for _, loss in trained(tmp_path / str(n), rows, start, **changes).outcome.losses]
        single, half = found[n], found[n + len(cases)]
        assert single == pytest.approx(here, rel=1e-3)
        assert half == pytest.approx(here, abs=0.1)
        assert half != single


@pytest.mark.parametrize(
    ("has_bfloat16", "count", "precision", "said"),
    [
        (True, 2, "auto", "several GPUs are visible, and one is trained on; choose it with CUDA_VISIBLE_DEVICES=0"),
        (False, 1, "bfloat16", "the one has no bfloat16; leave precision at auto"),
    ],
)
def test_a_gpu_that_will_not_do_is_refused(
    has_bfloat16: bool,
    count: int,
    precision: str,
    said: str,
    small: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "the one")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: has_bfloat16)
    with pytest.raises(Misuse, match=said):
        trained(tmp_path / "a", precision=precision)
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
