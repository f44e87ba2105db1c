"""`agentevo export sft|pairs`: experience becomes data to train on."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from agentevo.cli.memory.given import where_given
from agentevo.cli.memory.opening import JsonOption, PathOption, opened, some_namespace
from agentevo.cli.memory.shown import show_fields, visible
from agentevo.cli.output import counting, json_visible, show_json, tell
from agentevo.errors import ExportError, Misuse

if TYPE_CHECKING:
    from agentevo.types import Json
    from agentevo.weights import DataCard
    from agentevo.weights.card import What

app = typer.Typer(help="Export experience as data to train on: answers to learn, or preferences.")

OutOption: TypeAlias = Annotated[
    str, typer.Option("--out", metavar="FILE.jsonl|FOLDER|-", help="JSON lines, a folder of `datasets`, or stdout.")
]
NamespacesOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--namespace", help="Which namespaces, by default `default`; '*' is all; repeatable."),
]
FilterOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="K=V|JSON",
        help="Only tasks with this data: team=billing, or by run, task, provenance, ability, score, '$created_at'; or "
        'a JSON filter such as \'{"score": {"$gte": 0.9}}\'; several must all hold.',
    ),
]
RunOption: TypeAlias = Annotated[str | None, typer.Option("--run", help="Only experiences of this run.")]
ScoreOption: TypeAlias = Annotated[
    str, typer.Option("--min-score", metavar="0..1|any", help="What an answer to learn must score; any: scored or not.")
]
TrustOption: TypeAlias = Annotated[float, typer.Option("--min-trust", help="How far an attempt must be trusted.")]
UsedOption: TypeAlias = Annotated[
    bool, typer.Option("--keep-used", help="Also attempts that used what was forgotten or superseded since.")
]
StripOption: TypeAlias = Annotated[
    str, typer.Option("--strip", metavar="memory,hints", help="Take these out of prompts, so that they are learned.")
]
AgainstOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--against", metavar="SUITE", help="Leave out what overlaps with this suite: house/test; repeatable."),
]
NearOption: TypeAlias = Annotated[
    str, typer.Option("--near", metavar="0..1|off", help="From which likeness on rows are duplicates.")
]
AbilityOption: TypeAlias = Annotated[
    int | None, typer.Option("--per-ability", min=1, help="At most so many rows of each ability, drawn by lot.")
]
CharsOption: TypeAlias = Annotated[int, typer.Option("--max-chars", min=1, help="Longer rows are left out.")]
SeedOption: TypeAlias = Annotated[int, typer.Option("--seed", help="Of the lot.")]
ForceOption: TypeAlias = Annotated[bool, typer.Option("--force", help="Replace an export that is there.")]


MarginOption: TypeAlias = Annotated[
    float | None, typer.Option("--min-margin", help="pairs: by how much the better answer must lead; 0.1 by default.")
]
TaskOption: TypeAlias = Annotated[
    int | None, typer.Option("--per-task", min=1, help="pairs: at most so many of a task; 1 by default.")
]


def _command(what: What) -> Callable[..., None]:
    """Return a command; both take the same options."""

    def command(
        context: typer.Context,
        out: OutOption,
        path: PathOption = None,
        namespace: NamespacesOption = None,
        run: RunOption = None,
        where: FilterOption = None,
        min_score: ScoreOption = "0.5",
        min_trust: TrustOption = 0.5,
        keep_used: UsedOption = False,
        strip: StripOption = "",
        against: AgainstOption = None,
        near: NearOption = "0.8",
        per_ability: AbilityOption = None,
        max_chars: CharsOption = 200_000,
        shape: Annotated[str, typer.Option(help="sft: prompt (and completion), or messages.")] = "prompt",
        turns: Annotated[str, typer.Option(help="all that was done, or the answer alone.")] = "all",
        min_margin: MarginOption = None,
        per_task: TaskOption = None,
        seed: SeedOption = 0,
        force: ForceOption = False,
        as_json: JsonOption = False,
    ) -> None:
        options: dict[str, object] = {
            "run": run, "where": where_given(where), "min_score": _share("--min-score", min_score, "any"),
            "min_trust": min_trust, "keep_used": keep_used, "strip": _parts(strip), "per_ability": per_ability,
            "against": {suite: _prompts(suite) for suite in against or ()}, "near": _share("--near", near, "off"),
            "max_chars": max_chars, "shape": shape, "turns": turns, "seed": seed, "namespaces": namespace or [],
            **_of_pairs(what, min_margin=min_margin, per_task=per_task),
        }  # fmt: skip
        _exported(what, context, path, out, options, force=force, as_json=as_json)

    return command


app.command("sft", help="Write the answers worth learning, one a row: prompt, completion, tools, score, and lineage.")(
    _command("sft")
)
app.command("pairs", help="Write preferences between answers to one prompt, one a row: chosen, rejected, and margin.")(
    _command("pairs")
)


def _of_pairs(what: What, **given: float | None) -> dict[str, float]:
    """Return what was given of the options that pairs alone have."""
    told = {name: value for name, value in given.items() if value is not None}
    if told and what != "pairs":
        options = " and ".join(f"--{name.replace('_', '-')}" for name in told)
        raise Misuse(f"{options} can be given to `agentevo export pairs` alone")
    return told


def _parts(named: str) -> list[str]:
    return [part.strip() for part in named.split(",") if part.strip()]


def _share(option: str, given: str, nothing: str) -> float | None:
    if given == nothing:
        return None
    try:
        return float(given)
    except ValueError as error:
        raise Misuse(f"{option} takes a number from 0 to 1, or {nothing}, not {given!r}") from error


def _prompts(suite: str) -> list[str]:
    """Return the prompts of a suite's tasks."""
    from agentevo.environments.load import load

    environment, split = load(suite)
    return [task.prompt for task in environment.tasks(split)]


def _exported(
    what: What,
    context: typer.Context,
    path: Path | None,
    out: str,
    options: dict[str, object],
    *,
    force: bool,
    as_json: bool,
) -> None:
    from agentevo.weights import export_pairs, export_sft

    export: Callable[..., DataCard] = export_sft if what == "sft" else export_pairs
    if out == "-" and as_json:
        raise Misuse("--json prints the card, and --out - the rows; give the rows a file, or leave --json out")
    target = _Stdout() if out == "-" else out
    with opened(context, path, _namespace(path, options)) as memory, counting("exporting") as told:
        try:
            card = export(memory, target, force=force, progress=told, **options)
        except ExportError as error:
            if as_json and error.dropped:
                show_json({"rows": 0, "dropped": {**error.dropped}})
            raise
    _say(card, out, as_json)


def _namespace(path: Path | None, options: dict[str, object]) -> str | None:
    """Return one of the namespaces that are asked for, with which the memory is opened."""
    names = options["namespaces"]
    assert isinstance(names, list)
    return next((name for name in names if name != "*"), None) or (some_namespace(path) if names else None)


class _Stdout:
    def write(self, text: str) -> None:
        sys.stdout.write(json_visible(text))


def _say(card: DataCard, out: str, as_json: bool) -> None:
    if as_json:
        said: dict[str, Json] = {"out": out, **card.model_dump(mode="json")}
        show_json(said)
    elif out == "-":
        tell(f"{card.rows} rows of {card.experiences} experiences; left out: {card.left_out}")
    else:
        abilities = ", ".join(f"{visible(name)} {count}" for name, count in card.abilities.items())
        corrections = f" ({card.corrections} of them corrections by people)" if card.corrections else ""
        show_fields([
            ("rows", f"{card.rows}{corrections}"), ("of", f"{card.experiences} experiences, {card.attempts} attempts"),
            ("left out", visible(card.left_out)), ("abilities", abilities), ("in", visible(out)),
        ])  # fmt: skip
