"""`agentevo memory add`: texts and files become items, long ones in parts that cite where they stood."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from agentevo.cli.memory.given import date_given, decoded, kind_given, metadata_given, text_given
from agentevo.cli.memory.lines import Line, read_lines
from agentevo.cli.memory.opening import EmbedderOption, JsonOption, NamespaceOption, PathOption, ReasonOption, opened
from agentevo.cli.memory.shown import visible
from agentevo.cli.output import show, show_json, tell
from agentevo.errors import Misuse

if TYPE_CHECKING:
    from agentevo.memory import Memory
    from agentevo.types import Item, Json

CODE = {".c", ".cfg", ".cpp", ".go", ".h", ".ini", ".java", ".js", ".py", ".r", ".rb", ".rs", ".sh", ".toml", ".ts",
        ".yaml", ".yml"}  # fmt: skip
"""Endings of files in which a line that begins with # is a comment."""

_EMPTY = "the text is empty; expected something to remember"


class Given(NamedTuple):
    """A text to add; `file` is where it stood, None for words on the command line or on stdin."""

    text: str
    file: Path | None = None
    created_at: float | None = None


def add(
    context: typer.Context,
    what: Annotated[
        list[str], typer.Argument(metavar="TEXT|FILE...|-", help="A text, or files, or - for a text on stdin.")
    ],
    text: Annotated[bool, typer.Option("--text", help="It is a text, even if there is a file of that name.")] = False,
    jsonl: Annotated[
        bool, typer.Option("--jsonl", help="One object a line: text, and kind, metadata, created_at if need be.")
    ] = False,
    kind: Annotated[str, typer.Option(help="fact, experience, lesson, note, code, prompt or adapter.")] = "fact",
    source: Annotated[
        str | None, typer.Option(help="Where it is from; by default user for a text, document for files and stdin.")
    ] = None,
    metadata: Annotated[
        list[str] | None, typer.Option("--metadata", metavar="K=V", help="Kept with each item; V may be JSON.")
    ] = None,
    date: Annotated[str | None, typer.Option(help="When it was written; by default a file's own date.")] = None,
    reason: ReasonOption = "",
    embedder: EmbedderOption = None,
    path: PathOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remember a text or files, and print the ids; long texts are split, each part dated and cited."""
    chosen, told = kind_given(kind), metadata_given(metadata)
    written = None if date is None else date_given(date)
    given = [_given(one, text) for one in _checked(what)]
    origin = source or ("user" if what != ["-"] and given[0].file is None else "document")
    if jsonl:
        lines = [line for one in given for line in read_lines(one.text, visible(str(one.file or "stdin")), chosen)]
    else:
        lines = [line for one in given for line in _parts(one, chosen)]
    lines = [_told(line, told, written) for line in lines]
    said = reason or ", ".join(f"add {_name(one.file)}" for one in given if one.file)
    with opened(context, path, namespace, embedder=embedder, create=True) as memory:
        items = _inserted(memory, lines, origin, said)
    _show_added(items, as_json)


def _told(line: Line, told: dict[str, Json], written: float | None) -> Line:
    return line._replace(metadata={**line.metadata, **told}, created_at=line.created_at if written is None else written)


def _checked(what: Sequence[str]) -> Sequence[str]:
    if len(what) > 1 and not all(_is_there(one) for one in what):
        stranger = next(one for one in what if not _is_there(one))
        raise Misuse(f"several things are added only where all are files, and {stranger!r} is none; quote a text")
    return what


def _is_there(name: str) -> bool:
    try:
        return Path(name).exists()
    except OSError:  # a text too long for a file's name
        return False


def _given(what: str, as_text: bool) -> Given:
    if what == "-" and not as_text:
        return Given(text_given("-"))
    if not what.strip():
        raise Misuse(_EMPTY)
    if not as_text and _is_there(what):
        return _read(Path(what))
    if not as_text and _looks_like_a_path(what):
        raise Misuse(f"there is no file {what!r}; if that is a text to remember, add --text")
    return Given(text_given(what) if what != "-" else what)


def _looks_like_a_path(what: str) -> bool:
    ending = Path(what).suffix[1:]
    return what.split() == [what] and (os.sep in what or (ending.isalnum() and len(ending) <= 5))


def _read(file: Path) -> Given:
    if file.is_dir():
        raise Misuse(f"{file} is a folder; add the files in it: agentevo memory add {file}/*.md")
    content = decoded(file.read_bytes(), str(file))
    if not content.strip():
        raise Misuse(f"{file} is empty; expected a text to remember")
    return Given(content, file, file.stat().st_mtime if file.is_file() else None)


def _parts(given: Given, kind: str) -> list[Line]:
    """Split a text, and cite each part: the file, which part of how many, its headings and its lines.

    Its secrets are masked while it is whole: half of a key looks like none.
    """
    from agentevo.memory.masking import masked
    from agentevo.memory.split import split

    is_code = given.file is not None and given.file.suffix.lower() in CODE
    chunks = [chunk for chunk in split(masked(given.text), headings=not is_code) if chunk.text.strip()]
    if not chunks:
        raise Misuse(_EMPTY)
    if given.file is None and len(chunks) == 1:
        return [Line(given.text.strip(), kind, {}, given.created_at)]
    lines = []
    for n, chunk in enumerate(chunks, 1):
        cited: dict[str, Json] = {"file": _name(given.file)} if given.file else {}
        cited |= {"part": n, "parts": len(chunks), "first_line": chunk.first_line, "last_line": chunk.last_line}
        cited |= {"heading": chunk.heading} if chunk.heading else {}
        lines.append(Line(chunk.text.rstrip().strip("\n"), kind, cited, given.created_at))
    return lines


def _name(file: Path) -> str:
    """Return a file's name as a text; names need not be UTF-8."""
    return os.fsencode(file).decode(errors="replace")


def _inserted(memory: Memory, lines: Sequence[Line], source: str, reason: str) -> list[Item]:
    """Insert lines in one transaction; return their items in order."""
    import time

    now = time.time()
    return memory.insert(
        [line.text for line in lines],
        kind=[kind_given(line.kind) for line in lines],
        source=source,
        metadata=[line.metadata for line in lines],
        created_at=[now if line.created_at is None else line.created_at for line in lines],
        reason=reason,
    )


def _show_added(items: Sequence[Item], as_json: bool) -> None:
    if as_json:
        show_json([item.model_dump(mode="json") for item in items])
    else:
        for item in items:
            show(visible(item.id))
    held = sum(item.status == "quarantined" for item in items)
    if held:
        tell(
            f"{held} of {len(items)} are quarantined: they read like orders and {items[0].source} is little trusted; "
            "`agentevo memory list --status quarantined` shows them, `release` lets them be recalled"
        )
