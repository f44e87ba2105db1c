"""Which memory a command is about: its path and namespace, the options all commands share, and its items' ids."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from agentevo.cli.memory.given import text_given
from agentevo.cli.output import Report, progress
from agentevo.errors import Misuse

if TYPE_CHECKING:
    from agentevo.memory import Memory
    from agentevo.memory.ledger import Ledger
    from agentevo.protocols import Embedder, Vectors
    from agentevo.types import Item

PATH_HELP = "The memory's folder; by default $AGENTEVO_MEMORY, else AGENTEVO_HOME/memory."
NAMESPACE_HELP = "Which of the memory's namespaces; by default `default`."

PathOption: TypeAlias = Annotated[Path | None, typer.Option("--path", help=PATH_HELP)]
NamespaceOption: TypeAlias = Annotated[str | None, typer.Option("--namespace", help=NAMESPACE_HELP)]
JsonOption: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON.")]
EmbedderOption: TypeAlias = Annotated[
    str | None, typer.Option("--embedder", help="What makes the vectors; by default what the memory was made with.")
]
ReasonOption: TypeAlias = Annotated[str, typer.Option("--reason", help="Why; the history keeps it.")]
IdArgument: TypeAlias = Annotated[str, typer.Argument(metavar="ID", help="An id, or the beginning of one.")]
IdsArgument: TypeAlias = Annotated[
    list[str], typer.Argument(metavar="ID...", help="Ids, or beginnings of ids; - reads them from stdin.")
]

SEARCHED_EXACTLY = 200_000
"""Only in a larger namespace is the index asked by a command."""


@contextlib.contextmanager
def opened(
    context: typer.Context,
    path: Path | None,
    namespace: str | None,
    *,
    embedder: str | None = None,
    like: str | None = None,
    create: bool = False,
    actor: str = "user",
    indexed: bool = False,
    stays: Callable[[], bool] = bool,
) -> Iterator[Memory]:
    """Open the memory a command is about; raise Misuse where there is none, unless the command makes one.

    A memory that is made gets the embedder that is `like` that of what comes in, else the one of the settings. Where
    the command then fails and nothing was written, it is taken away again, unless by then it `stays`.
    A command lives for one question, so it searches exactly, unless it is about the index: opening the index, or
    bringing it up to date, takes longer than comparing a hundred thousand vectors. Whoever stays catches up.
    """
    from agentevo.memory import Memory
    from agentevo.memory.memory import EXACT_LIMIT

    folder, name = _place(context, path, namespace)
    stored = _stored_embedder(folder, None if create else name)
    with progress() as report, _nothing_left_of(folder, stays):
        late = LateEmbedder(embedder or stored or like or _chosen_embedder(), report)
        exact = EXACT_LIMIT if indexed else SEARCHED_EXACTLY
        with Memory.open(folder, namespace=name, embedder=late, actor=actor, exact_limit=exact) as memory:
            yield memory


@contextlib.contextmanager
def readable(context: typer.Context, path: Path | None, namespace: str | None) -> Iterator[tuple[Path, str, Ledger]]:
    """Open only the ledger of the memory a command is about: also of one that is too damaged to be opened whole."""
    folder, name = _place(context, path, namespace)
    with _ledger(folder, name) as ledger:
        yield folder, name, ledger


def _place(context: typer.Context, path: Path | None, namespace: str | None) -> tuple[Path, str]:
    """Return the folder and the namespace a command is about."""
    before = context.parent.params if context.parent else {}
    name = next((one for one in (namespace, before.get("namespace")) if one is not None), "default")
    return _folder(path or before.get("path")), name


@contextlib.contextmanager
def _nothing_left_of(folder: Path, stays: Callable[[], bool]) -> Iterator[None]:
    """Take a memory that is made here away again where what it was made for fails."""
    is_new = not (folder / "ledger.db").exists()
    new_folders = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        yield
    except BaseException:
        if stays():
            raise
        if is_new and (folder / "ledger.db").exists():
            from agentevo.memory.newborn import remove_unused

            remove_unused(folder)
        for one in new_folders:
            with contextlib.suppress(OSError):
                one.rmdir()  # not where others have put something into it
        raise


def _folder(given: Path | None) -> Path:
    from agentevo.settings import home

    chosen = given or Path(os.environ.get("AGENTEVO_MEMORY") or home() / "memory")
    return chosen.expanduser()


def _stored_embedder(folder: Path, namespace: str | None) -> str | None:
    """Return what a memory's vectors were made with; raise Misuse where the memory or the namespace is not there."""
    if namespace is None and not (folder / "ledger.db").is_file():
        return None
    with _ledger(folder, namespace) as ledger:
        stored = ledger.meta("embedder")
    return None if stored is None else str(stored)


@contextlib.contextmanager
def _ledger(folder: Path, namespace: str | None) -> Iterator[Ledger]:
    """Open a ledger alone; raise Misuse where there is none, or no namespace of this name."""
    from agentevo.memory.ledger import Ledger

    if not (folder / "ledger.db").is_file():
        raise Misuse(f"there is no memory in {folder}; `agentevo memory --path {folder} add TEXT` makes one")
    with contextlib.closing(Ledger(folder / "ledger.db")) as ledger:
        names = _names(ledger)
        if namespace is not None and namespace not in names:
            here = ", ".join(map(repr, names)) or "none yet"
            raise Misuse(f"there is no namespace {namespace!r} in {folder}; there are: {here}")
        yield ledger


def _names(ledger: Ledger) -> list[str]:
    from agentevo.memory.salvage import namespaces

    with ledger.reading() as db:
        return sorted(namespaces(db))


def some_namespace(path: Path | None) -> str:
    """Return a namespace of the memory that a command is about, for one that is about all; `default` where none is."""
    from agentevo.memory.ledger import Ledger

    file = _folder(path) / "ledger.db"
    if not file.is_file():
        return "default"
    ledger = Ledger(file)
    try:
        return next(iter(_names(ledger)), "default")
    finally:
        ledger.close()


def _chosen_embedder() -> str:
    from agentevo.settings import settings

    return settings().embedder


class LateEmbedder:
    """An embedder by its name: loaded when a text is to be embedded and not before, with progress from then on.

    A memory that was made with an embedder nobody can name here can so still be listed, shown and forgotten from.
    """

    BATCH = 64

    def __init__(self, name: str, report: Report) -> None:
        self.name = name
        self._report = report
        self._loaded: Embedder | None = None

    @property
    def fingerprint(self) -> str:
        return self._loaded.fingerprint if self._loaded else ""

    @property
    def dimensions(self) -> int:
        """How long its vectors are, 0 where that would take what is not here: weights, or an answer from afar."""
        if self._loaded is None and self._is_here():
            self.load()
        return self._loaded.dimensions if self._loaded else 0

    def _is_here(self) -> bool:
        from agentevo.models import HashEmbedder
        from agentevo.models.installed import installed

        return self.name == HashEmbedder.name or any(self.name == one.name for one in installed("embedder"))

    def load(self) -> Embedder:
        """Return the embedder itself."""
        from agentevo.models import as_embedder

        self._loaded = self._loaded or as_embedder(self.name)
        return self._loaded

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Embed texts batch by batch, and say how far it is."""
        import numpy as np

        from agentevo.cli.models import pull_progress

        embedder = self.load()
        sizes = [len(text.encode("utf-8", "replace")) for text in texts]
        with pull_progress():  # weights that are missing are pulled by the first batch
            made = [await embedder.embed(texts[: self.BATCH])]
        for start in range(self.BATCH, len(texts), self.BATCH):
            self._report("embedding", sum(sizes[:start]), sum(sizes))
            made.append(await embedder.embed(texts[start : start + self.BATCH]))
        return np.concatenate(made)


# --- ids

_LISTED = 8


def resolved(memory: Memory, given: str) -> Item:
    """Return the item of an id or of the beginning of one; raise Misuse where none or several begin so."""
    prefix = given.strip()
    found = memory.get(prefix)
    if found is not None:
        return found
    between = {"$gte": prefix, "$lt": prefix + chr(0x10FFFF)}
    begin = memory.list(where={"$id": between}, status=None, limit=_LISTED + 1) if prefix else []
    if len(begin) == 1:
        return begin[0]
    if not begin:
        raise Misuse(
            f"no item {prefix!r} in namespace {memory.namespace!r}; `agentevo memory list --status all` shows all"
        )
    listed = ", ".join(item.id for item in begin[:_LISTED]) + (", ..." if len(begin) > _LISTED else "")
    raise Misuse(f"{prefix!r} begins several ids: {listed}; give more of it")


def all_resolved(memory: Memory, given: Sequence[str]) -> list[Item]:
    """Return the items of ids, each once; `-` stands for ids on stdin."""
    names = [name for one in given for name in (from_stdin() if one == "-" else [one])]
    if not names:
        raise Misuse("no ids were given on stdin; expected some, separated by spaces or lines")
    return list({item.id: item for item in (resolved(memory, name) for name in names)}.values())


def from_stdin() -> list[str]:
    """Return the ids that stand on stdin."""
    return text_given("-").split()
