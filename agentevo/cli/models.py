"""`agentevo models`: the weights that run on this machine."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentevo.cli.output import progress, show, show_json, show_table, size, tell
from agentevo.errors import Misuse

if TYPE_CHECKING:
    from agentevo.models.catalogue import Weights
    from agentevo.models.installed import Installed

app = typer.Typer(help="List, pull and remove the weights that run on this machine.")


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One line of `agentevo models list`."""

    name: str
    kind: str
    size_bytes: int
    licence: str
    state: str
    path: str | None
    description: str


@app.command("list")
def list_(as_json: Annotated[bool, typer.Option("--json", help="Print an array of objects.")] = False) -> None:
    """List the weights that are installed, and those that can be pulled by name."""
    rows = _rows()
    if as_json:
        show_json([dataclasses.asdict(row) for row in rows])
        return
    cells = [(row.name, row.kind, size(row.size_bytes), row.licence, row.state) for row in rows]
    show_table(("NAME", "KIND", "SIZE", "LICENCE", "STATE"), cells)


@app.command()
def pull(
    what: Annotated[
        list[str], typer.Argument(help="Names from `models list`, GGUF files, or hf:OWNER/REPO/FILE.gguf.")
    ],
    name: Annotated[str | None, typer.Option(help="What to call it here; by default the file's name.")] = None,
    sha256: Annotated[str | None, typer.Option(help="Refuse a file that has another SHA-256.")] = None,
) -> None:
    """Fetch weights, check them, and install them."""
    from agentevo.models.pull import pull as fetch

    if len(what) > 1 and (name or sha256):
        raise Misuse(f"--name and --sha256 are for one file, but {len(what)} were given; pull them one by one")
    for spec in what:
        with progress() as report:
            installed = fetch(spec, name=name, sha256=sha256, progress=report)
        show(f"{installed.name}: {size(installed.size_bytes)} in {installed.path}")


@app.command()
def rm(
    names: Annotated[list[str], typer.Argument(help="What to remove.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove installed weights, with their adapters."""
    from agentevo.models.installed import located, remove, size_of

    doomed = [(folder, size_of(folder)) for name in dict.fromkeys(names) for folder in located(name)]
    if not yes:
        _confirm(doomed)
    for name in dict.fromkeys(names):
        remove(name)
        show(f"removed {name}: {size(sum(taken for folder, taken in doomed if folder.name == name))} free")


def _confirm(doomed: Sequence[tuple[Path, int]]) -> None:
    if not sys.stdin.isatty():
        raise Misuse("rm asks before it removes, and there is no terminal to ask; add --yes")
    tell("\n".join(f"{folder.name}  {size(taken)}  {folder}" for folder, taken in doomed))
    if not typer.confirm("Remove?", err=True):
        raise typer.Exit(1)


def _rows() -> list[Row]:
    from agentevo.models.catalogue import CATALOGUE
    from agentevo.models.installed import installed

    here = {found.name: found for found in installed()}
    return [_row(name, here.get(name), CATALOGUE.get(name)) for name in sorted({*here, *CATALOGUE}, key=str.casefold)]


def _row(name: str, found: Installed | None, known: Weights | None) -> Row:
    return Row(
        name=name,
        kind=found.kind if found else known.kind if known else "",
        size_bytes=found.size_bytes if found else known.size_bytes if known else 0,
        licence=known.licence if known else "",
        state="installed" if found else "pullable",
        path=str(found.path) if found else None,
        description=known.description if known else found.origin if found else "",
    )


@contextlib.contextmanager
def pull_progress() -> Iterator[None]:
    """Show the progress of weights that are pulled because a command needs them."""
    import agentevo.models.offline as offline

    with progress() as report:
        offline.on_pull = report
        try:
            yield
        finally:
            offline.on_pull = None
