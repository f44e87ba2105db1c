"""Pulls from a model hub, played by a server on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from file_server import Behaviour, FileServer, cut, etag, instead, redirect, reset, status
from gguf_files import write_head

from agentevo.errors import AgentEvoError, Misuse, WeightsError
from agentevo.models.hub import address, fetch
from agentevo.models.installed import find, installed, sha256_of
from agentevo.models.pull import pull

SPEC = "hf:owner/repo/tiny.gguf"
PATH = "/owner/repo/resolve/main/tiny.gguf"


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    return write_head(tmp_path / "tiny.gguf", size=512_000)


@pytest.fixture
def hub(empty_home: Path, gguf: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    with FileServer({PATH: gguf.read_bytes()}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url + "/")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield server


def ranges(server: FileServer) -> list[str | None]:
    return [asked.headers.get("Range") for asked in server.seen]


def test_a_file_of_the_hub_is_installed(hub: FileServer, gguf: Path, empty_home: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    tiny = pull(SPEC, progress=lambda *step: seen.append(step))
    assert (tiny.name, tiny.origin, tiny.sha256) == ("tiny", SPEC, sha256_of(gguf))
    assert tiny.path.read_bytes() == gguf.read_bytes()
    assert ("downloading tiny.gguf", gguf.stat().st_size, gguf.stat().st_size) in seen
    assert list((empty_home / "downloads").iterdir()) == []


def test_what_is_installed_is_not_asked_for_again(hub: FileServer) -> None:
    assert pull(SPEC) == pull(SPEC)
    assert len(hub.seen) == 1


def test_a_connection_that_breaks_is_taken_up_where_it_broke(hub: FileServer, gguf: Path) -> None:
    hub.then(cut(after=1000), cut(after=5000))
    assert pull(SPEC).sha256 == sha256_of(gguf)
    assert ranges(hub) == [None, "bytes=1000-", "bytes=6000-"]
    assert hub.seen[1].headers["If-Range"] == etag(gguf.read_bytes())


def test_a_pull_that_gave_up_is_gone_on_with_by_the_next(hub: FileServer, gguf: Path) -> None:
    hub.then(cut(after=1000), status(404))
    with pytest.raises(Misuse):
        pull(SPEC)
    assert pull(SPEC).sha256 == sha256_of(gguf)
    assert ranges(hub)[-1] == "bytes=1000-"


def test_a_file_that_changed_meanwhile_is_fetched_from_its_beginning(hub: FileServer, tmp_path: Path) -> None:
    hub.then(cut(after=1000), status(404))
    with pytest.raises(Misuse):
        pull(SPEC)
    hub.files[PATH] = write_head(tmp_path / "new.gguf", size=700_000).read_bytes()
    assert pull(SPEC).path.read_bytes() == hub.files[PATH]


def test_a_file_that_the_hub_itself_has_only_half_of_is_refused_and_not_kept(
    hub: FileServer, gguf: Path, empty_home: Path
) -> None:
    hub.files[PATH] = gguf.read_bytes()[:-1000]
    with pytest.raises(WeightsError, match="is cut off"):
        pull(SPEC)
    assert installed() == []
    assert not list(empty_home.rglob("*.part"))


@pytest.mark.parametrize("kind", ["no ranges", "no etags"])
def test_a_server_that_cannot_resume_is_asked_for_all_of_it(hub: FileServer, gguf: Path, kind: str) -> None:
    hub.ranges, hub.etags = kind != "no ranges", kind != "no etags"
    hub.then(cut(after=1000))
    assert pull(SPEC).path.read_bytes() == gguf.read_bytes()


def test_more_than_the_file_in_downloads_is_thrown_away(hub: FileServer, gguf: Path, empty_home: Path) -> None:
    downloads = empty_home / "downloads" / "tiny"
    downloads.mkdir(parents=True)
    (downloads / "file.part").write_bytes(gguf.read_bytes() + b"x")
    (downloads / "file.json").write_text(json.dumps(etag(gguf.read_bytes())))
    assert pull(SPEC).path.read_bytes() == gguf.read_bytes()


def test_server_errors_are_tried_again(hub: FileServer, gguf: Path, tmp_path: Path) -> None:
    pauses: list[float] = []
    hub.then(status(503), reset, status(429))
    file = fetch("owner/repo/tiny.gguf", tmp_path, None, lambda *_: None, pauses.append)
    assert file.read_bytes() == gguf.read_bytes()
    assert len(pauses) == 3


def test_a_server_that_only_fails_is_given_up(hub: FileServer, tmp_path: Path) -> None:
    hub.then(*[status(503)] * 10)
    with pytest.raises(WeightsError, match=r"cannot download .* answered 503"):
        fetch("owner/repo/tiny.gguf", tmp_path, None, lambda *_: None, lambda _: None)
    assert len(hub.seen) == 4


def test_a_hub_that_cannot_be_reached_is_told_in_one_line(
    empty_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FileServer({}) as closed:
        url = closed.url
    monkeypatch.setenv("HF_ENDPOINT", url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(WeightsError, match=r"cannot download .* from 127\.0\.0\.1: .*refused"):
        fetch("owner/repo/tiny.gguf", tmp_path, None, lambda *_: None, lambda _: None)


@pytest.mark.parametrize(
    ("behaviour", "error", "why"),
    [
        (status(404), Misuse, "has no owner/repo/tiny.gguf"),
        (status(401), WeightsError, "HF_TOKEN"),
        (status(403), WeightsError, "HF_TOKEN"),
        (status(418), WeightsError, "418"),
        (instead(b"<html>Please log in</html>"), WeightsError, "no GGUF file"),
        (instead(b""), WeightsError, "no GGUF file"),
    ],
)
def test_what_the_hub_refuses_or_gets_wrong_is_one_line_and_installs_nothing(
    hub: FileServer, empty_home: Path, behaviour: Behaviour, error: type[AgentEvoError], why: str
) -> None:
    hub.then(behaviour)
    with pytest.raises(error, match=why) as caught:
        pull(SPEC)
    assert "\n" not in str(caught.value)
    assert installed() == []
    assert not (empty_home / "models" / ".partial-tiny").exists()


def test_content_that_is_not_what_the_hub_says_is_refused_and_fetched_anew(hub: FileServer, gguf: Path) -> None:
    damaged = bytearray(gguf.read_bytes())
    damaged[-1] ^= 1
    hub.then(instead(bytes(damaged), {"X-Linked-Etag": etag(gguf.read_bytes())}))
    with pytest.raises(WeightsError, match="the hub says"):
        pull(SPEC)
    assert pull(SPEC).sha256 == sha256_of(gguf)
    assert ranges(hub) == [None, None]


def test_content_that_is_not_what_the_user_asked_for_is_refused(hub: FileServer) -> None:
    with pytest.raises(WeightsError, match="you asked for"):
        pull(SPEC, sha256="0" * 64)
    assert installed() == []


def test_the_token_goes_to_the_hub_and_to_nobody_it_redirects_to(
    hub: FileServer, gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    with FileServer({"/cdn": gguf.read_bytes()}, etags=False) as cdn:
        hub.then(redirect("/moved"), redirect(cdn.url + "/cdn", {"X-Linked-Etag": etag(gguf.read_bytes())}))
        pull(SPEC)
        assert [asked.headers.get("Authorization") for asked in hub.seen] == ["Bearer secret"] * 2
        assert [asked.headers.get("Authorization") for asked in cdn.seen] == [None]


def test_the_hash_that_the_hub_gives_with_a_redirect_holds(hub: FileServer, gguf: Path) -> None:
    with FileServer({"/cdn": gguf.read_bytes() + b"x"}, etags=False) as cdn:
        hub.then(redirect(cdn.url + "/cdn", {"X-Linked-Etag": etag(gguf.read_bytes())}))
        with pytest.raises(WeightsError, match="the hub says"):
            pull(SPEC)


@pytest.mark.parametrize("spec", ["hf:", "hf:owner", "hf:owner/repo", "hf:owner//x.gguf", "hf:owner/repo/../../x.gguf"])
def test_specs_that_name_no_file_are_a_misuse(empty_home: Path, spec: str) -> None:
    with pytest.raises(Misuse):
        pull(spec, name="x")


def test_addresses_are_quoted_and_default_to_the_public_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    assert address("o/r/sub dir/a#b.gguf") == "https://huggingface.co/o/r/resolve/main/sub%20dir/a%23b.gguf"


def test_an_endpoint_that_is_no_address_is_a_misuse(empty_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "nonsense")
    with pytest.raises(Misuse, match="HF_ENDPOINT"):
        pull(SPEC)


def test_a_pulled_file_is_found_by_its_name(hub: FileServer) -> None:
    assert pull(SPEC, name="mine") == find("mine")
