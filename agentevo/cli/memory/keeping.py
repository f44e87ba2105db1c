"""`agentevo memory export|import|backup|verify|reindex`: keeping a memory, moving it, and checking that it is whole."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from agentevo.cli.memory.given import stdin
from agentevo.cli.memory.opening import EmbedderOption, JsonOption, NamespaceOption, PathOption, opened, readable
from agentevo.cli.memory.shown import show_fields, visible
from agentevo.cli.output import counting, json_visible, show, show_json, tell
from agentevo.errors import Misuse

_STDOUT = ("-", "/dev/stdout", "/dev/fd/1")
"""Where the lines go, nothing else may stand."""


def export(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="Where to; - writes to stdout.")],
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is no export.")] = False,
    path: PathOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write everything in a namespace as JSON lines: items, vectors, experiences and the whole history."""
    from agentevo.memory import export_file
    from agentevo.memory.outgoing import exported

    with readable(context, path, namespace) as (folder, name, ledger), counting("exporting") as told:
        lines = exported(ledger, name, told)
        if file in _STDOUT:
            for line in lines:
                sys.stdout.write(json_visible(line) + "\n")
            return
        count = export_file.written(Path(file), lines, force=force, own=folder)
    _done({"file": file, "lines": count}, f"{count} lines in {visible(file)}", as_json)


def import_(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="What `export` wrote; - reads stdin.")],
    embedder: EmbedderOption = None,
    path: PathOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read an export, all of it or nothing; a memory that is not there yet is made."""
    if file != "-" and Path(file).is_dir():
        raise Misuse(f"{Path(file)} is a folder; expected a file that `agentevo memory export` wrote")
    with contextlib.ExitStack() as stack:
        content = stdin() if file == "-" else stack.enter_context(_found(file))
        first = content.readline()
        if not first:
            name = "stdin" if file == "-" else file
            raise Misuse(f"{name} is empty; expected the lines that `agentevo memory export` wrote")
        memory = stack.enter_context(
            opened(context, path, namespace, embedder=embedder, like=_embedder_of(first), create=True)
        )
        told = stack.enter_context(counting("importing"))
        count = memory.import_(_read(itertools.chain([first], content), file), progress=told)
    _done({"items": count}, f"{count} items came in", as_json)


def _found(file: str) -> BinaryIO:
    try:
        return Path(file).open("rb")
    except FileNotFoundError as error:
        raise Misuse(f"there is no file {file!r}; expected one that `agentevo memory export` wrote") from error


def _embedder_of(header: bytes) -> str | None:
    """Return what made the vectors of an export, where its first line says so."""
    try:
        name = json.loads(header).get("embedder")
    except (ValueError, AttributeError):
        return None
    return name if isinstance(name, str) else None


def _read(content: Iterable[bytes], name: str) -> Iterator[str]:
    """Yield lines; raise Misuse where one is no text."""
    for number, line in enumerate(content, 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise Misuse(f"{name}, line {number} is not UTF-8, so it is no export; nothing was imported") from error


def backup(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="A folder that is new or empty.")],
    path: PathOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Copy the whole memory, all namespaces, while it is in use."""
    with opened(context, path, namespace) as memory, counting("backup") as told:
        made = memory.backup(folder, progress=told)
    _done({"folder": str(made)}, visible(str(made)), as_json)


def verify(
    context: typer.Context,
    path: PathOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check the ledger against itself and the index against it; exit 1 where anything is wrong."""
    with opened(context, path, namespace, indexed=True) as memory, counting("verifying") as told:
        found = memory.verify(progress=told)
    if as_json:
        show_json(dataclasses.asdict(found))
    else:
        for problem in found.problems:
            show(visible(problem))
        counted = [(name, str(getattr(found, name))) for name in ("items", "vectors", "waiting")]
        show_fields([("whole", "yes" if found.ok else "no"), *counted])
    if not found.ok:
        tell("`agentevo memory export` saves what is readable; `import` it into a new memory")
        raise typer.Exit(1)


def reindex(
    context: typer.Context,
    embedder: Annotated[
        str | None, typer.Option("--embedder", help="Make all vectors anew with this one first.")
    ] = None,
    path: PathOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build the index anew from the ledger, for all namespaces."""
    from agentevo.cli.models import pull_progress

    with opened(context, path, namespace, indexed=True) as memory, counting("reindexing") as told, pull_progress():
        count = memory.reindex(embedder, progress=told)
    _done({"vectors": count}, f"{count} vectors", as_json)


def _done(values: dict[str, str | int], said: str, as_json: bool) -> None:
    if as_json:
        show_json(dict(values))
    else:
        show(said)
