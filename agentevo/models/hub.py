"""One GGUF file from a model hub: resumed where it broke off, and checked against what the hub says of it."""

from __future__ import annotations

import http.client
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import Message
from pathlib import Path
from typing import IO, TYPE_CHECKING

from agentevo.errors import Misuse, WeightsError
from agentevo.models.installed import sha256_of
from agentevo.models.resuming import Answer, Broken, Headers, Part, WrongStart, fetch_rest

if TYPE_CHECKING:
    from agentevo.models.placing import Progress

PUBLIC_HUB = "https://huggingface.co"
_STALLED_AFTER_S = 30.0


def fetch(
    path: str, folder: Path, sha256: str | None, progress: Progress, pause: Callable[[float], None] = time.sleep
) -> Path:
    """Return the file OWNER/REPO/FILE.gguf, fetched into the folder, or what was missing of it."""
    hub = _Hub(address(path), path)
    part = Part(folder / "file.part", path, f"downloading {path.rpartition('/')[2]}", is_pinned=False)
    try:
        headers = fetch_rest(part, hub.opened, progress, pause)
    except Broken as error:
        raise WeightsError(f"cannot download {path} from {_host(hub.url)}: {error}; pull again") from error
    return _checked(part.file, path, _promised(hub.linked or headers), sha256)


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


class _Hub:
    """One file of a hub; `linked` is what it said of the file when it sent the client elsewhere."""

    def __init__(self, url: str, path: str) -> None:
        self.url, self._path = url, path
        self.linked: Message | None = None

    @contextmanager
    def opened(self, headers: dict[str, str]) -> Iterator[Answer]:
        """Ask for the file."""
        redirects = _Redirects(os.environ.get("HF_TOKEN"), self.url)
        request = urllib.request.Request(self.url, headers=headers)
        redirects.authorize(request)
        try:
            with urllib.request.build_opener(redirects).open(request, timeout=_STALLED_AFTER_S) as response:
                self.linked = redirects.linked
                yield Answer(response.status, response.headers, response.read1)
        except urllib.error.HTTPError as error:
            error.close()
            raise self._refusal(error) from error
        except (OSError, http.client.HTTPException) as error:  # what the disk says is a WeightsError by then
            raise Broken(_why(error)) from error

    def _refusal(self, error: urllib.error.HTTPError) -> Exception:
        host = _host(self.url)
        if error.code == 416:
            return WrongStart("the server has less of the file than is here")
        if error.code in (408, 429) or error.code >= 500:
            return Broken(f"the server answered {error.code} {error.reason}")
        if error.code in (401, 403):
            return WeightsError(f"{host} refuses {self._path} ({error.code}); set HF_TOKEN to a token that may read it")
        if error.code == 404:
            return Misuse(f"{host} has no {self._path}; write hf:OWNER/REPO/FILE.gguf as the hub spells it")
        return WeightsError(f"{host} answered {error.code} {error.reason} for {self._path}")


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
        # Its stub asks for the subclass of Message that http makes of headers; a Message will do.
        request = super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]
        if request is not None:
            self.authorize(request)
        return request


def _promised(headers: Headers) -> str | None:
    """Return the SHA-256 that the hub gives to the file."""
    digest = (headers.get("X-Linked-Etag") or headers.get("ETag") or "").removeprefix("W/").strip('"')
    return digest if re.fullmatch(r"[0-9a-f]{64}", digest) else None


def _checked(part: Path, path: str, promised: str | None, sha256: str | None) -> Path:
    with part.open("rb") as stream:
        magic = stream.read(4)
    digest = sha256_of(part) if magic == b"GGUF" else ""
    if magic != b"GGUF":
        part.unlink()
        raise WeightsError(f"what the hub sent for {path} is no GGUF file: it begins with {magic!r}")
    for expected, who in ((sha256, "you asked for"), (promised, "the hub says")):
        if expected and digest != expected.lower():
            part.unlink()  # so that the next pull does not go on with it
            raise WeightsError(f"{path} arrived with the SHA-256 {digest}, but {who} {expected}; pull it again")
    return part


def _origin(url: str) -> tuple[str, str]:
    split = urllib.parse.urlsplit(url)
    return split.scheme, split.netloc


def _host(url: str) -> str:
    return urllib.parse.urlsplit(url).hostname or url


def _why(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    return str(reason or error) or type(error).__name__
