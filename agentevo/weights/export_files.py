"""Where exported data goes: a file of JSON lines, a folder of `datasets`, or a stream; whole, or not at all.

Covered: a full disk, a folder that cannot be written, a process that is killed: nothing stands under the name, or what
stood there before. Not covered: what was killed leaves a hidden folder (.NAME.*) beside it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, TypeAlias

from agentevo.errors import ExportError, MissingExtra, Misuse
from agentevo.types import Json
from agentevo.weights.card import TITLES, DataCard, What
from agentevo.weights.rows import Left


class Stream(Protocol):
    """What takes text."""

    def write(self, text: str, /) -> object: ...


Out: TypeAlias = str | Path | Stream
"""A file ending in .jsonl, else the name of a folder; or an open stream."""

CARD = "card.json"
_DATA = "data.jsonl"
_LONGEST_ROW = 1 << 24
"""So many bytes of a file's first line are read, to see whether it is an export."""
_WRITTEN = re.compile(r"card\.(json|md)|dataset_info\.json|state\.json|(data|cache)-[^/]*\.arrow")
"""What stands in the folder of an export; caches are what `datasets` puts there when it is read."""
_ELSE = "give another name"


class Target:
    """One place that an export goes to."""

    def __init__(self, out: Out, *, force: bool) -> None:
        if not isinstance(out, str | Path) and not callable(getattr(out, "write", None)):
            raise Misuse(
                f"out is {out!r:.80}; expected a file ending in .jsonl, the name of a folder, or an open stream"
            )
        self.stream = None if isinstance(out, str | Path) else out
        self.path = Path(out).expanduser() if isinstance(out, str | Path) else Path("export.jsonl")
        self.is_file = self.path.suffix == ".jsonl"
        if self.stream is None:
            self._must_be_free(force)
        if self.stream is None and not self.is_file:
            _must_have_datasets()

    def _must_be_free(self, force: bool) -> None:
        """Raise Misuse where something else would be lost."""
        if os.path.lexists(self.path):
            self._must_be_replaceable(force)
        foreign = [card for card in self.cards if os.path.lexists(card) and not _is_card(card)] if self.is_file else []
        if foreign:
            raise Misuse(f"{foreign[0]}, where the card goes, is there already and no card of an export; {_ELSE}")

    def _must_be_replaceable(self, force: bool) -> None:
        if not self.path.is_file() and not self.path.is_dir():
            raise Misuse(f"{self.path} is there already, and neither a file nor a folder; {_ELSE}")
        if not force:
            raise Misuse(f"{self.path} is there already; give another name, or --force (force=True) to replace it")
        if self.path.is_dir() and (why := "its name is one of a file" if self.is_file else _not_exported(self.path)):
            raise Misuse(f"{self.path} is a folder that is no export ({why}); {_ELSE}")
        if self.path.is_file() and self.is_file and not (_is_card(self.cards[0]) or _begins_as_export(self.path)):
            said = f"no {self.cards[0].name} beside it, and its first line is no exported row"
            raise Misuse(f"{self.path} is a file that is no export ({said}); {_ELSE}")
        if self.path.is_file() and not self.is_file:
            raise Misuse(f"{self.path} is a file; a folder of `datasets` needs another name, JSON lines one in .jsonl")

    @property
    def cards(self) -> tuple[Path, Path]:
        """Where the cards of a file stand, beside it."""
        return self.path.with_suffix(".card.json"), self.path.with_suffix(".card.md")

    @contextlib.contextmanager
    def working(self) -> Iterator[Path]:
        """Give a folder to work in, on the same disk, and take it away again; raise ExportError where it is full."""
        try:
            beside = None if self.stream is not None else self.path.absolute().parent
            if beside is not None:
                beside.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=f".{self.path.name}.", dir=beside) as folder:
                yield Path(folder)
        except BrokenPipeError:
            raise  # whoever reads the stream has seen enough
        except (OSError, sqlite3.OperationalError) as error:
            said = getattr(error, "strerror", None) or str(error)
            raise ExportError(f"{self.path} cannot be written: {said}; nothing of it is there") from error

    def must_read_back(self, line: str) -> None:
        """Raise Left where `datasets` could not read a row that it is to hold, nor any row of the same data."""
        if self.stream is not None or self.is_file:
            return
        from datasets.utils.json import ujson_loads

        try:
            ujson_loads(line)
        except ValueError:
            raise Left("unreadable by datasets") from None

    def put(self, folder: Path, what: What, card: DataCard) -> None:
        """Put the data that stands in the working folder, and its card, where they belong."""
        if self.stream is not None:
            with (folder / _DATA).open(encoding="utf-8") as lines:
                for line in lines:
                    self.stream.write(line)
            return
        if self.is_file:
            _write_cards(card, folder / CARD, folder / "card.md")
            for made, place in zip((folder / CARD, folder / "card.md"), self.cards, strict=True):
                made.replace(place)
            (folder / _DATA).replace(self.path)
            return
        saved = folder / "saved"
        _save(folder / _DATA, saved, what)
        _write_cards(card, saved / CARD, saved / "card.md")
        if self.path.exists():
            self.path.rename(folder / "before")
        saved.rename(self.path)


def _not_exported(folder: Path) -> str:
    """Say why a folder is none that an export made, or holds more; empty where it is one."""
    if not _is_card(folder / CARD):
        return f"it has no {CARD} of an export"
    others = sorted(path.name for path in folder.iterdir() if not _WRITTEN.fullmatch(path.name))
    return f"it holds {others[0]}, which no export writes" if others else ""


def _is_card(path: Path) -> bool:
    """Say whether a file is a card of exported data: of its JSON what each version writes, of its text the title."""
    if not path.is_file():
        return False  # a pipe, say, would not open
    try:
        with path.open("rb") as file:
            text = file.read(_LONGEST_ROW)
        if path.suffix == ".md":
            return text.decode().partition("\n")[0] in [f"# {title}" for title in TITLES.values()]
        card = json.loads(text)
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(card, dict) and card.get("what") in TITLES and {"rows", "sha256"} <= card.keys()


def _begins_as_export(path: Path) -> bool:
    """Say whether a file's first line is an exported row: those alone say where an answer came from."""
    try:
        with path.open("rb") as file:
            row = json.loads(file.readline(_LONGEST_ROW))
    except (OSError, ValueError, RecursionError):
        return False
    lineage = row.get("lineage") if isinstance(row, dict) else None
    return isinstance(lineage, dict) and "experience" in lineage


def write_lines(folder: Path, lines: Iterator[str]) -> str:
    """Write the rows into the working folder; return the SHA-256 of what was written."""
    from hashlib import sha256

    digest = sha256()
    with (folder / _DATA).open("wb") as file:
        for line in lines:
            data = line.encode() + b"\n"
            digest.update(data)
            file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def _write_cards(card: DataCard, data: Path, text: Path) -> None:
    data.write_text(json.dumps(card.model_dump(mode="json"), ensure_ascii=False, indent=2) + "\n", "utf-8")
    text.write_text(card.as_markdown(), "utf-8")


# --- a folder of `datasets`


def _must_have_datasets() -> None:
    """Raise MissingExtra where `datasets` is not installed."""
    import importlib.util

    if importlib.util.find_spec("datasets") is None:
        raise MissingExtra("a folder of `datasets` (a file ending in .jsonl needs nothing)", "train")


def _save(lines: Path, folder: Path, what: What) -> None:
    """Save JSON lines as a data set. Messages are kept as JSON: as columns each would get the keys of all others."""
    from datasets import Dataset, Features, List, Value
    from datasets import Json as AsJson
    from datasets.arrow_writer import ArrowWriter

    with lines.open(encoding="utf-8") as file:
        names = list(json.loads(file.readline()))
    plain = {name: Value("float64") for name in ("score", "margin")}
    plain |= {"ability": Value("string"), "synthetic": Value("bool")}
    others = {**plain, "lineage": AsJson()}
    features = Features({name: others.get(name, List(AsJson())) for name in names})
    arrow = lines.with_suffix(".arrow")
    with lines.open(encoding="utf-8") as file, ArrowWriter(path=str(arrow), features=features) as writer:
        for line in file:
            writer.write({name: x if name in plain else _written(x) for name, x in json.loads(line).items()})
        writer.finalize()
    with _quiet():
        Dataset.from_file(str(arrow)).save_to_disk(str(folder))


def _written(value: Json) -> str | list[str]:
    """Return what is kept as JSON as text: `datasets` would write numbers to nine digits."""
    return [json.dumps(one) for one in value] if isinstance(value, list) else json.dumps(value)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep `datasets` from drawing bars of its own."""
    from datasets import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    was_quiet = are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if not was_quiet:
            enable_progress_bars()
