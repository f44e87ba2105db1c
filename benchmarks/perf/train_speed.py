"""Tokens a second of our training beside a bare script of trl, on the same rows and settings, in turns.

    python benchmarks/perf/train_speed.py [--model local/smollm2-135m] [--steps 5] [--rounds 2] [--json]

Each side runs in a process of its own, which also tells its peak memory. What is compared is CPU time from the end of
the first step to the end of the last, since other work on the machine moves the clock; the clock is shown too. Exits
with 1 if ours has less than 95 % of the tokens a CPU second that the bare script has.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

BAR = 0.95
SIDES = ("bare", "ours")
BATCH, RATE, RANK, ALPHA, LENGTH, SEED = 8, 1e-3, 16, 32, 1024, 0
TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
NAMES = ("Anna", "Bob", "Chloe", "Dmitri", "Ela", "Farid", "Gina")
ROOMS = ("kitchen", "garden", "hall", "attic", "cellar")


def rows(count: int) -> list[dict[str, str]]:
    """Return requests to book a room, and the commands that do it."""
    asked = [(NAMES[i % len(NAMES)], ROOMS[i % len(ROOMS)], i % 12 + 1) for i in range(count)]
    return [
        {
            "prompt": f"Please book the {room} for {name} at {hour} pm, and tell everybody who was asked to come.",
            "completion": f"BOOK {room} | {name} | {hour}pm | notify",
        }
        for name, room, hour in asked
    ]


class Stopwatch:
    """CPU and clock seconds from the end of the first step on."""

    def __init__(self) -> None:
        self.cpu: list[float] = []
        self.clock: list[float] = []

    def step(self) -> None:
        self.cpu.append(time.process_time())
        self.clock.append(time.perf_counter())

    def figures(self, tokens: int) -> dict[str, float]:
        cpu, clock = self.cpu[-1] - self.cpu[0], self.clock[-1] - self.clock[0]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        share = tokens * (len(self.cpu) - 1) / len(self.cpu)
        return {"tokens_per_cpu_s": share / cpu, "tokens_per_s": share / clock, "peak_bytes": peak, "tokens": tokens}


def ours(model: str, steps: int, threads: int, out: Path) -> dict[str, float]:
    from agentevo.weights.config import TrainConfig
    from agentevo.weights.train import train

    watch = Stopwatch()

    def heard(label: str, done: int, total: int) -> None:
        if done:
            watch.step()

    config = TrainConfig(
        steps=steps, batch=BATCH, learning_rate=RATE, rank=RANK, alpha=ALPHA, targets=TARGETS, max_length=LENGTH,
        seed=SEED, threads=threads, save_every=steps,
    )  # fmt: skip
    made = train(rows(BATCH * steps), model=model, out=out / "adapter", config=config, progress=heard)
    return watch.figures(made.outcome.tokens)


def bare(model: str, steps: int, threads: int, out: Path) -> dict[str, float]:
    """Do the same with trl alone, as its own pages show it, on the same weights."""
    from agentevo.weights.load import base

    folder = base(model).folder
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    torch.set_num_threads(threads)
    watch = Stopwatch()

    class Watch(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *_: object, **__: object) -> None:
            watch.step()

    chats = [
        {
            side: [{"role": role, "content": row[side]}]
            for side, role in (("prompt", "user"), ("completion", "assistant"))
        }
        for row in rows(BATCH * steps)
    ]
    arguments = SFTConfig(
        output_dir=str(out), max_steps=steps, per_device_train_batch_size=BATCH, learning_rate=RATE, max_length=LENGTH,
        completion_only_loss=True, packing=False, bf16=False, use_cpu=True, gradient_checkpointing=False, seed=SEED,
        data_seed=SEED, save_steps=steps, logging_steps=steps, report_to=[], disable_tqdm=True,
    )  # fmt: skip
    trainer = SFTTrainer(
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32),
        args=arguments,
        train_dataset=Dataset.from_list(chats),
        processing_class=AutoTokenizer.from_pretrained(folder),
        peft_config=LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=list(TARGETS), task_type="CAUSAL_LM"),
        callbacks=[Watch()],
    )
    trainer.train()
    return watch.figures(int(trainer.state.log_history[0]["num_tokens"]))


RUNS: dict[str, Callable[[str, int, int, Path], dict[str, float]]] = {"bare": bare, "ours": ours}


def one(side: str, options: argparse.Namespace) -> dict[str, float]:
    """Run a side in a process of its own; return its figures."""
    asked = [f"--side={side}", f"--model={options.model}", f"--steps={options.steps}", f"--threads={options.threads}"]
    command = [sys.executable, __file__, *asked]
    env = {**os.environ, "OMP_WAIT_POLICY": "passive"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def shown(runs: Sequence[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Return the median of each figure of each side."""
    return {
        side: {name: statistics.median(run[side][name] for run in runs) for name in runs[0][side]} for side in SIDES
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="local/smollm2-135m")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(RUNS[options.side](options.model, options.steps, options.threads, Path(folder))))
        return 0
    runs = []
    for i in range(options.rounds):
        order = SIDES if i % 2 else SIDES[::-1]
        runs.append({side: one(side, options) for side in order})
    medians = shown(runs)
    share = medians["ours"]["tokens_per_cpu_s"] / medians["bare"]["tokens_per_cpu_s"]
    if options.json:
        print(json.dumps({**medians, "share": share, "bar": BAR}))
    else:
        print(f"{'':6} {'tokens/CPU s':>13} {'tokens/s':>9} {'peak memory':>12} {'tokens':>7}")
        for side in SIDES:
            f = medians[side]
            peak = f"{f['peak_bytes'] / 1e9:.2f} GB"
            print(f"{side:6} {f['tokens_per_cpu_s']:13.1f} {f['tokens_per_s']:9.1f} {peak:>12} {f['tokens']:7.0f}")
        print(f"ours has {share:.1%} of the bare script's tokens a CPU second; the bar is {BAR:.0%}")
    return 0 if share >= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
