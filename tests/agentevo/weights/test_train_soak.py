"""What takes too long for every day: a training that is killed, a disk that is really full, and the real model."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from small_training import trained
from spoken import runtime_logprobs, torch_logprobs

from agentevo.errors import WeightsError
from agentevo.models import offline
from agentevo.weights.config import ADAPTER, TrainConfig
from agentevo.weights.dataset import Row
from agentevo.weights.gguf import install_adapter
from agentevo.weights.load import base, quiet
from agentevo.weights.merge import merge
from agentevo.weights.train import train

pytestmark = pytest.mark.soak

TESTS = Path(__file__).parent.parent.parent
PROGRAM = (
    "import sys; from pathlib import Path; from small_training import trained; trained(Path(sys.argv[1]), steps=40)"
)


def killed(out: Path, at: int) -> None:
    """Train in a process of its own, and kill it once a checkpoint is being written, or has just been."""
    env = {**os.environ, "PYTHONPATH": f"{TESTS.parent}{os.pathsep}{TESTS}", "OMP_WAIT_POLICY": "passive"}
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(out)], env=env)
    checkpoint = out.with_name(f".{out.name}.training") / f"checkpoint-{at}"
    while not checkpoint.exists() and process.poll() is None:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def test_a_training_that_is_killed_again_and_again_ends_as_one_that_was_not(small: str, tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole", steps=40)
    for at in (6, 20, 32):
        killed(tmp_path / "a", at)
        assert not (tmp_path / "a").exists()
    begun: list[int] = []
    rest = trained(tmp_path / "a", steps=40, progress=lambda label, done, total: begun.append(done))
    assert next(step for step in begun if step) in (31, 33)
    assert rest.outcome.losses == whole.outcome.losses
    first, second = load_file(whole.path / ADAPTER), load_file(rest.path / ADAPTER)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of four megabytes, where that can be mounted."""
    folder = tmp_path / "full"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if sys.platform != "linux" or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("room", [0, 100_000, 300_000])
def test_a_full_disk_is_said_and_leaves_no_adapter(small: str, full: Path, room: int) -> None:
    (full / "other").write_bytes(bytes(4_000_000 - room))
    with pytest.raises(WeightsError, match=r"cannot write .*a: the disk is full"):
        trained(full / "a", rank=16)
    assert not (full / "a").exists()
    (full / "other").unlink()
    assert trained(full / "a", rank=16).outcome.steps == 6


# --- the real model

NAMES = ("Anna", "Bob", "Chloe", "Dmitri", "Ela", "Farid", "Gina", "Hugo")
ROWS: list[Row] = [
    {"prompt": f"Remind {name} of the budget at {hour}.", "completion": f"RMD {name} | budget | {hour}"}
    for name in NAMES
    for hour in ("3pm", "11am", "Friday")
]


def test_the_real_model_learns_converts_and_says_offline_what_torch_says(
    own_model: Callable[[str], Path], tmp_path: Path
) -> None:
    own_model("real")
    config = TrainConfig(steps=6, batch=8, rank=8, learning_rate=2e-3)
    made = train(ROWS, model="local/real", out=tmp_path / "adapter", config=config)
    assert made.outcome.losses[-1][1] < made.outcome.losses[0][1] / 2
    assert install_adapter(made.path, name="rmd") == "local/real+rmd"
    from peft import PeftModel

    on = base("local/real")
    with quiet():
        model = PeftModel.from_pretrained(on.model(), str(made.path)).eval()
    folder = merge(made.path, tmp_path / "merged", form="safetensors")
    for text in ("Remind Ivan of the rent at 5pm.", "Name a fruit."):
        expected = torch_logprobs(model, on.tokenizer(), text)
        said, before = runtime_logprobs("real+rmd", text), runtime_logprobs("real", text)
        # The runtime computes with 8 bits: of the base's likeliest tokens, too, it is up to 0.3 apart from torch.
        assert said == pytest.approx(expected[: len(said)], abs=0.4)
        assert before != pytest.approx(expected[: len(before)], abs=0.4)
        merged = torch_logprobs(base(folder).model(), on.tokenizer(), text)
        assert merged == pytest.approx(expected, abs=1e-2)


def test_the_real_tokenizer_reads_as_the_runtime_does(weights_home: Path) -> None:
    tokenizer = base("local/smollm2-135m").tokenizer()
    texts = [path.read_text("utf-8") for path in sorted(TESTS.parent.glob("docs/*.md"))]
    pieces = [text[i : i + 300] for text in texts for i in range(0, len(text), 900)]
    differing = [
        piece
        for piece in pieces
        if len(tokenizer.encode(piece, add_special_tokens=False)) != offline.count_tokens("smollm2-135m", piece)
    ]
    assert len(pieces) > 100
    assert differing == []
