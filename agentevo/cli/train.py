"""`agentevo train`: an adapter from exported rows, and beside the offline model if it is asked for."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentevo.cli.memory.opening import NamespaceOption, opened
from agentevo.cli.memory.shown import show_fields
from agentevo.cli.output import number, progress, show_json, size, tell
from agentevo.errors import Misuse, WeightsError

if TYPE_CHECKING:
    from agentevo.types import Json
    from agentevo.weights.config import TrainConfig
    from agentevo.weights.train import Trained


def train(
    context: typer.Context,
    data: Annotated[str, typer.Argument(help="What `agentevo export` wrote: JSON lines, a folder, or - for stdin.")],
    out: Annotated[Path, typer.Option(help="The folder to put the adapter into; it must not exist.")],
    model: Annotated[str | None, typer.Option(help="local/NAME, or a folder in the format of Hugging Face.")] = None,
    method: Annotated[str, typer.Option(help="sft for answers to learn, dpo for pairs of them.")] = "sft",
    start: Annotated[Path | None, typer.Option(help="An adapter to go on from.")] = None,
    steps: Annotated[int | None, typer.Option(help="So many steps, whatever --epochs says.")] = None,
    epochs: Annotated[float | None, typer.Option(help="How often each row is seen; 1 by default.")] = None,
    batch: Annotated[int | None, typer.Option(help="Rows at once; 8 by default.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="By default 1e-3 for sft, 1e-4 for dpo.")] = None,
    rank: Annotated[int | None, typer.Option(help="Rank of the adapter's matrices; 16 by default.")] = None,
    max_length: Annotated[int | None, typer.Option(help="Longer rows are left out, and counted; 1024 tokens.")] = None,
    min_real: Annotated[float | None, typer.Option(help="Least share of rows that are not synthetic; 0.1.")] = None,
    seed: Annotated[int | None, typer.Option(help="What chance is drawn from; 0 by default.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any other setting, such as --set packing=true or --set kl=0.1; may be repeated."),
    ] = None,
    install: Annotated[
        str | None, typer.Option(help="Put it beside its offline model too, for local/MODEL+NAME.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Install it in the place of one that has the name.")
    ] = False,
    path: Annotated[
        Path | None, typer.Option(help="A memory to keep what --install installs in, for `models adapters promote`.")
    ] = None,
    namespace: NamespaceOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Train a LoRA adapter; a training that was killed goes on when the same command is given again."""
    from agentevo.settings import settings as set_once
    from agentevo.weights.config import TrainConfig
    from agentevo.weights.dataset import parsed
    from agentevo.weights.policies import enrol
    from agentevo.weights.train import train as make

    given = {
        "method": method, "steps": steps, "epochs": epochs, "batch": batch, "learning_rate": learning_rate,
        "rank": rank, "max_length": max_length, "min_real": min_real, "seed": seed, **_others(settings or ()),
    }  # fmt: skip
    config = TrainConfig.of(**{name: value for name, value in given.items() if value is not None})
    base = model or set_once().model
    _must_be_installable(base, install, config, out, replace=replace)  # before an hour of work
    if path is not None:
        _must_be_kept(context, path, namespace, base, install)
    rows = list(parsed(sys.stdin.buffer, "stdin")) if data == "-" else data
    try:
        with progress(amount=number) as report:
            made = make(rows, model=base, out=out, config=config, start=start, progress=report)
    except KeyboardInterrupt:
        tell("stopped; the same command goes on from the last checkpoint")
        raise
    used_as = _installed(out, install, replace) if install is not None else None
    if path is not None and used_as is not None:
        with opened(context, path, namespace) as memory:
            enrol(memory, used_as, made, time.time())
    _show(made, used_as, as_json=as_json)


def _must_be_kept(context: typer.Context, path: Path, namespace: str | None, base: str, install: str | None) -> None:
    """Raise Misuse where an adapter could not be kept in a memory, or nothing could answer with it, or another does."""
    from agentevo.weights.adapters import must_be_unheld

    if install is None:
        raise Misuse("--path is for what --install puts beside its model; give --install NAME too, or leave it out")
    with opened(context, path, namespace) as memory:
        must_be_unheld(memory, base, install)


def _must_be_installable(base: str, name: str | None, config: TrainConfig, out: Path, *, replace: bool) -> None:
    from agentevo.models.installed import LOCAL
    from agentevo.weights.gguf import is_servable, must_be_installable

    if name is not None:
        must_be_installable(base, name, targets=config.targets, replace=replace, adapter=out)
    elif replace:
        raise Misuse("--replace is for what --install puts beside its model; give --install NAME too, or leave it out")
    elif base.startswith(LOCAL) and not is_servable(base):
        tell(f"note: {base} is of another architecture than llama: its adapter can be merged, but not put beside it")


def _installed(out: Path, name: str, replace: bool) -> str:
    from agentevo.weights.gguf import install_adapter

    try:
        return install_adapter(out, name=name, replace=replace)
    except (Misuse, WeightsError):
        again = f"agentevo models adapters install {shlex.quote(str(out))} --name {name}"
        tell(f"the adapter is trained, and lies in {out}; `{again}` puts it into place")
        raise


def _others(settings: Sequence[str]) -> dict[str, str | list[str]]:
    found: dict[str, str | list[str]] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise Misuse(f"--set takes NAME=VALUE, such as packing=true, but got {setting!r}")
        found[name] = value.split(",") if name == "targets" else value
    return found


def _show(made: Trained, used_as: str | None, *, as_json: bool) -> None:
    training, outcome = made.training, made.outcome
    figures: dict[str, Json] = {
        "path": str(made.path),
        "model": used_as,
        "base": training.base,
        "method": training.config.method,
        "rows": training.rows,
        "dropped": {**training.dropped},
        "synthetic": training.synthetic,
        "steps": outcome.steps,
        "first_loss": outcome.losses[0][1],
        "last_loss": outcome.losses[-1][1],
        "tokens_per_second": round(made.tokens_per_second, 1),
        "peak_bytes": outcome.peak_bytes,
        "device": training.device,
        "precision": training.precision,
    }
    if as_json:
        show_json(figures)
        return
    dropped = ", ".join(f"{count} {reason}" for reason, count in training.dropped.items())
    shown = {
        "adapter": str(made.path),
        "use it as": used_as or "",
        "base": training.base,
        "rows": f"{training.rows}" + (f" (left out or cut: {dropped})" if dropped else ""),
        "steps": f"{outcome.steps} of {training.config.method}",
        "loss": f"{outcome.losses[0][1]:.3f} to {outcome.losses[-1][1]:.3f}",
        "speed": f"{made.tokens_per_second:,.0f} tokens a second on {training.device} in {training.precision}",
        "memory": f"{size(outcome.peak_bytes)} at most",
    }
    show_fields([(name, value) for name, value in shown.items() if value])
