"""One GGUF file from a model hub: resumed where it broke off, and checked against what the hub says of it."""

from __future__ import annotations

import http.client
import json
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from io import FileIO
from pathlib import Path
from typing import IO, TYPE_CHECKING

from agentevo.errors import Misuse, WeightsError
from agentevo.models.installed import sha256_of, storing

if TYPE_CHECKING:
    from agentevo.models.pull import Progress

PUBLIC_HUB = "https://huggingface.co"
_STALLED_AFTER_S = 30.0
_PAUSES_S = (0.1, 0.5, 2.0)
"""Before trying again what brought no single byte; a connection that broke after some is taken up at once."""


@dataclass(frozen=True, slots=True)
class _Remote:
    """What the hub says of a file."""

    etag: str | None
    size: int | None
    sha256: str | None


class _Broken(Exception):
    """The connection ended before the file did."""


def fetch(
    path: str, folder: Path, sha256: str | None, progress: Progress, pause: Callable[[float], None] = time.sleep
) -> Path:
    """Return the file OWNER/REPO/FILE.gguf, fetched into the folder, or what was missing of it."""
    url, part = address(path), folder / "file.part"
    fruitless = 0
    while True:
        before = _length(part)
        try:
            remote = _fetch_rest(url, path, part, progress)
            return _checked(part, path, remote, sha256)
        except (_Broken, urllib.error.URLError, TimeoutError, ConnectionError, http.client.HTTPException) as error:
            fruitless = 0 if _length(part) > before else fruitless + 1
            if fruitless > len(_PAUSES_S):
                raise WeightsError(f"cannot download {path} from {_host(url)}: {_why(error)}; pull again") from error
            if fruitless:
                pause(_PAUSES_S[fruitless - 1])


def address(path: str) -> str:
    """Return where the hub has OWNER/REPO/FILE.gguf; HF_ENDPOINT names another hub."""
    hub = os.environ.get("HF_ENDPOINT") or PUBLIC_HUB
    if not hub.startswith(("https://", "http://")):
        raise Misuse(f"HF_ENDPOINT is {hub!r}; expected an address such as {PUBLIC_HUB}")
    match path.split("/"):
        case [owner, repo, *file] if owner and repo and all(file) and file and ".." not in file:
            quoted = [urllib.parse.quote(piece, safe="") for piece in (owner, repo, "resolve", "main", *file)]
            return "/".join([hub.rstrip("/"), *quoted])
    raise Misuse(f"{path!r} names no file of the hub; write hf:OWNER/REPO/FILE.gguf")


def _fetch_rest(url: str, path: str, part: Path, progress: Progress) -> _Remote:
    note, start = part.with_suffix(".json"), _length(part)
    validator = _validator(note) if start else None
    headers = {"User-Agent": "agentevo", "Accept-Encoding": "identity"}
    if validator:
        headers |= {"Range": f"bytes={start}-", "If-Range": validator}
    with _opened(url, headers, path, part) as (response, linked):
        if response.status != 206 or _starts_at(response.headers) != start:
            start = 0  # the server knows no ranges, or has another file now
        remote = _remote(response.headers, linked, start)
        with storing(f"download {path}"):
            note.write_text(json.dumps(response.headers.get("ETag")), "utf-8")
            file = part.open("ab" if start else "wb", buffering=0)  # so that a full disk is noticed at the write
        with file:
            _receive(response, file, start, remote, path, progress)
    return remote


def _receive(
    response: http.client.HTTPResponse, file: FileIO, start: int, remote: _Remote, path: str, progress: Progress
) -> None:
    done = start
    while True:
        try:
            block = response.read1(1 << 20)
        except http.client.IncompleteRead as error:
            raise _Broken(str(error)) from error
        if not block:
            break
        with storing(f"download {path}"):
            left = memoryview(block)
            while left:
                left = left[file.write(left) :]
        done += len(block)
        progress(f"downloading {path.rpartition('/')[2]}", done, remote.size or 0)
    if remote.size is not None and done < remote.size:
        raise _Broken(f"the connection ended after {done} of {remote.size} bytes")


@contextmanager
def _opened(
    url: str, headers: dict[str, str], path: str, part: Path
) -> Iterator[tuple[http.client.HTTPResponse, Message | None]]:
    redirects = _Redirects(os.environ.get("HF_TOKEN"), url)
    request = urllib.request.Request(url, headers=headers)
    redirects.authorize(request)
    try:
        with urllib.request.build_opener(redirects).open(request, timeout=_STALLED_AFTER_S) as response:
            yield response, redirects.linked
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # what is here already is no beginning of the file
            part.unlink(missing_ok=True)
        if error.code in (408, 416, 429) or error.code >= 500:
            raise _Broken(f"the server answered {error.code} {error.reason}") from error
        raise _refusal(error, url, path) from error


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects; the token goes to the hub only, and what the hub says of the file is kept."""

    def __init__(self, token: str | None, url: str) -> None:
        self._token, self._hub, self.linked = token, _origin(url), None

    linked: Message | None

    def authorize(self, request: urllib.request.Request) -> None:
        if self._token and _origin(request.full_url) == self._hub:
            request.add_unredirected_header("Authorization", f"Bearer {self._token}")

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        if "X-Linked-Etag" in headers:
            self.linked = headers
        request = super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]
        if request is not None:
            self.authorize(request)
        return request


def _remote(headers: Message, linked: Message | None, start: int) -> _Remote:
    etag = headers.get("ETag")
    digest = ((linked or headers).get("X-Linked-Etag") or etag or "").removeprefix("W/").strip('"')
    length = headers.get("Content-Length")
    size = start + int(length) if length and length.isdigit() else None
    return _Remote(etag, size, digest if re.fullmatch(r"[0-9a-f]{64}", digest) else None)


def _checked(part: Path, path: str, remote: _Remote, sha256: str | None) -> Path:
    with part.open("rb") as stream:
        magic = stream.read(4)
    digest = sha256_of(part) if magic == b"GGUF" else ""
    if magic != b"GGUF":
        part.unlink()
        raise WeightsError(f"what the hub sent for {path} is no GGUF file: it begins with {magic!r}")
    for expected, who in ((sha256, "you asked for"), (remote.sha256, "the hub says")):
        if expected and digest != expected.lower():
            part.unlink()  # so that the next pull does not go on with it
            raise WeightsError(f"{path} arrived with the SHA-256 {digest}, but {who} {expected}; pull it again")
    return part


def _refusal(error: urllib.error.HTTPError, url: str, path: str) -> Exception:
    if error.code in (401, 403):
        return WeightsError(f"{_host(url)} refuses {path} ({error.code}); set HF_TOKEN to a token that may read it")
    if error.code == 404:
        return Misuse(f"{_host(url)} has no {path}; write hf:OWNER/REPO/FILE.gguf as the hub spells it")
    return WeightsError(f"{_host(url)} answered {error.code} {error.reason} for {path}")


def _validator(note: Path) -> str | None:
    """Return the strong ETag of what has been fetched so far; without one it cannot safely be gone on with."""
    try:
        etag = json.loads(note.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return etag if isinstance(etag, str) and not etag.startswith("W/") else None


def _starts_at(headers: Message) -> int | None:
    found = re.match(r"bytes (\d+)-", headers.get("Content-Range", ""))
    return int(found[1]) if found else None


def _length(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _origin(url: str) -> tuple[str, str]:
    split = urllib.parse.urlsplit(url)
    return split.scheme, split.netloc


def _host(url: str) -> str:
    return urllib.parse.urlsplit(url).hostname or url


def _why(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    return str(reason or error) or type(error).__name__
