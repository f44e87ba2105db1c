"""What is installed under AGENTEVO_HOME: each folder's card.json says what is in it and what it hashes to."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from agentevo.errors import Misuse, UnknownName, WeightsError
from agentevo.models.catalogue import CATALOGUE, Weights, WeightsKind
from agentevo.settings import home

log = logging.getLogger(__name__)

CARD = "card.json"
LOCAL = "local/"
"""What the names of models begin with that run here."""
_FOLDERS: dict[WeightsKind, str] = {"model": "models", "embedder": "embedders"}
_DECISIVE: dict[WeightsKind, str] = {"model": "model.gguf", "embedder": "model.safetensors"}


@dataclass(frozen=True, slots=True)
class Installed:
    """Weights on this machine; `path` is the GGUF file of a model, the folder of an embedder."""

    name: str
    kind: WeightsKind
    path: Path
    size_bytes: int
    sha256: str
    origin: str

    @property
    def adapters(self) -> dict[str, Path]:
        """The adapters that lie beside a model, by name."""
        if self.kind != "model":
            return {}
        return {file.stem: file for file in sorted((self.path.parent / "adapters").glob("*.gguf"))}


class Card(BaseModel):
    """The record in card.json."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    kind: WeightsKind
    size_bytes: int
    sha256: str
    origin: str


def installed(kind: WeightsKind | None = None) -> list[Installed]:
    """Return what is installed, by kind and name; a folder without a readable card is left out, and logged."""
    kinds = [kind] if kind else list(_FOLDERS)
    found = (_read(one, folder) for one in kinds for folder in _folders_in(home() / _FOLDERS[one]))
    return [weights for weights in found if weights is not None]


def find(name: str, kind: WeightsKind | None = None) -> Installed:
    """Return what is installed under the name; raise UnknownName, which lists what is installed or can be pulled."""
    kinds = [kind] if kind else list(_FOLDERS)
    if not _refused(name):
        for one in kinds:
            folder = folder_of(name, one)
            if folder.is_dir() and (weights := _read(one, folder)) is not None:
                return weights
    raise UnknownName(kind or "model or embedder", name, known_names(kind))


def known_names(kind: WeightsKind | None = None) -> list[str]:
    """Return the names that are installed or can be pulled."""
    pullable = [weights.name for weights in CATALOGUE.values() if kind in (None, weights.kind)]
    here = (folder for one in ([kind] if kind else _FOLDERS) for folder in _folders_in(home() / _FOLDERS[one]))
    return sorted({*pullable, *(folder.name for folder in here if not isinstance(_card(folder), Exception))})


def located(name: str) -> list[Path]:
    """Return the folders of that name, also one with a broken card; raise UnknownName, listing what is here."""
    checked_name(name)
    folders = [folder for kind in _FOLDERS if (folder := folder_of(name, kind)).is_dir()]
    if not folders:
        here = (folder.name for kind in _FOLDERS.values() for folder in _folders_in(home() / kind))
        raise UnknownName("installed model or embedder", name, here)
    return folders


def remove(name: str) -> None:
    """Remove what is installed under the name, adapters included; a folder whose card is broken is removed too."""
    for folder in located(name):
        with storing(f"remove {name}"):
            doomed = folder.with_name(f".removed-{uuid.uuid4().hex}")  # at once: half of a folder is never seen
            folder.rename(doomed)
            shutil.rmtree(doomed)


def verify(weights: Installed) -> None:
    """Hash the weights again; raise WeightsError if they are not what was installed."""
    file = decisive_file(weights)
    try:
        found = sha256_of(file)
    except OSError as error:
        raise WeightsError(f"cannot read {file}: {error.strerror}; {again(weights.name)}") from error
    if found != weights.sha256:
        raise WeightsError(f"{file} is not what was installed (SHA-256 {found[:12]}...); {again(weights.name)}")


def check_untouched(weights: Installed) -> None:
    """Raise WeightsError if the weights changed after they were installed; they are hashed only if they look so."""
    file, card = decisive_file(weights), folder_of(weights.name, weights.kind) / CARD
    with contextlib.suppress(OSError):  # what cannot be seen here is explained by verify
        if file.stat().st_mtime_ns <= card.stat().st_mtime_ns:
            return
    verify(weights)
    with contextlib.suppress(OSError):
        os.utime(card)  # a copied folder is hashed once, not at every start


def decisive_file(weights: Installed) -> Path:
    """Return the file whose hash stands in the card."""
    return weights.path if weights.kind == "model" else weights.path / _DECISIVE["embedder"]


def again(name: str) -> str:
    """Return what a user does about broken weights."""
    what = name if name in CATALOGUE else "..."
    return f"remove them with `agentevo models rm {name}`, then `agentevo models pull {what}`"


def folder_of(name: str, kind: WeightsKind) -> Path:
    """Return the folder that weights of this name and kind have, or would have."""
    return home() / _FOLDERS[kind] / name


def checked_name(name: str) -> str:
    """Return the name if a folder and `local/NAME+ADAPTER` can carry it, else raise Misuse."""
    if _refused(name):
        raise Misuse(f"{name!r} cannot be a name: use letters, digits, '.', '_' and '-', and begin with no dot")
    return name


def _refused(name: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}", name) is None


def write_card(folder: Path, weights: Weights | Card) -> None:
    """Write the record of what lies in the folder."""
    if isinstance(weights, Weights):
        weights = Card(
            name=weights.name,
            kind=weights.kind,
            size_bytes=size_of(folder),
            sha256=weights.sha256,
            origin=f"{weights.package}=={weights.version}",
        )
    (folder / CARD).write_text(weights.model_dump_json(indent=2) + "\n", "utf-8")


def size_of(folder: Path) -> int:
    """Return the bytes in a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def sha256_of(file: Path, seen: Callable[[int], None] | None = None) -> str:
    """Return a file's SHA-256; `seen` hears how many bytes are done."""
    digest, done = hashlib.sha256(), 0
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
            done += len(block)
            if seen:
                seen(done)
    return digest.hexdigest()


@contextlib.contextmanager
def storing(what: str) -> Iterator[None]:
    """Turn what the disk says into a WeightsError of one line that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            advice = "the disk is full; make room, or point AGENTEVO_HOME at another disk, and try again"
        else:
            advice = f"{error.strerror or error}; AGENTEVO_HOME must be a folder that can be written to"
        raise WeightsError(f"cannot {what} in {home()}: {advice}") from error


def _folders_in(parent: Path) -> Iterator[Path]:
    if parent.is_dir():
        yield from sorted(f for f in parent.iterdir() if f.is_dir() and not f.name.startswith("."))


def _read(kind: WeightsKind, folder: Path) -> Installed | None:
    card = _card(folder)
    if isinstance(card, Exception):
        log.warning("%s is ignored: no readable %s (%s)", folder, CARD, type(card).__name__)
        return None
    path = folder / _DECISIVE["model"] if kind == "model" else folder
    return Installed(folder.name, kind, path, card.size_bytes, card.sha256, card.origin)


def _card(folder: Path) -> Card | OSError | ValidationError:
    try:
        return Card.model_validate_json((folder / CARD).read_bytes())
    except (OSError, ValidationError) as error:
        return error
