from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import pytest
from gguf_files import write_head

from agentevo.errors import Misuse, UnknownName, WeightsError
from agentevo.models.installed import check_untouched, find, installed, remove, sha256_of, verify
from agentevo.models.pull import pull


@pytest.fixture
def tiny(empty_home: Path, tmp_path: Path) -> Path:
    """A model called tiny, installed from a file."""
    return pull(str(write_head(tmp_path / "tiny.gguf"))).path


def test_nothing_is_installed_in_an_empty_home(empty_home: Path) -> None:
    assert installed() == []


def test_lists_what_is_installed_by_kind(tiny: Path) -> None:
    assert [weights.name for weights in installed("model")] == ["tiny"]
    assert installed("embedder") == []


def test_unknown_name_lists_what_is_installed_and_what_can_be_pulled(tiny: Path) -> None:
    with pytest.raises(UnknownName) as caught:
        find("tinny")
    assert caught.value.known == ("tiny", "all-MiniLM-L6-v2", "smollm2-135m")


@pytest.mark.parametrize("name", ["../tiny", "", ".partial-tiny", "a/b", "a+b", "x" * 101])
def test_names_that_no_folder_can_carry_are_unknown_and_never_removed(tiny: Path, name: str) -> None:
    with pytest.raises(UnknownName):
        find(name)
    with pytest.raises(Misuse, match="cannot be a name"):
        remove(name)
    assert tiny.is_file()


@pytest.mark.parametrize("card", [b"", b"{", b"[]", b'{"name": "tiny"}', b"\xff\xfe"])
def test_a_folder_without_a_readable_card_is_ignored_and_logged(
    tiny: Path, card: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tiny.parent / "card.json").write_bytes(card)
    with caplog.at_level(logging.WARNING):
        assert installed() == []
    assert "no readable card.json" in caplog.text


def test_a_folder_with_a_broken_card_can_be_removed(tiny: Path) -> None:
    (tiny.parent / "card.json").unlink()
    remove("tiny")
    assert not tiny.parent.exists()


def test_removed_weights_are_gone_with_their_adapters(tiny: Path) -> None:
    (tiny.parent / "adapters").mkdir()
    (tiny.parent / "adapters" / "a.gguf").write_bytes(b"x")
    remove("tiny")
    assert list(tiny.parent.parent.iterdir()) == []


def test_removing_what_is_not_there_names_what_is(tiny: Path) -> None:
    with pytest.raises(UnknownName, match="known: tiny"):
        remove("smollm2-135m")


def test_adapters_are_the_gguf_files_beside_a_model(tiny: Path) -> None:
    folder = tiny.parent / "adapters"
    folder.mkdir()
    for name in ("b.gguf", "a.gguf", "notes.txt"):
        (folder / name).touch()
    assert find("tiny").adapters == {"a": folder / "a.gguf", "b": folder / "b.gguf"}


def test_verify_passes_what_was_installed(tiny: Path) -> None:
    installed = find("tiny")
    verify(installed)
    assert find("tiny") == installed


@pytest.mark.parametrize("damage", [lambda f: f.write_bytes(b"GGUF"), lambda f: f.unlink()])
def test_verify_names_the_way_out_of_damaged_weights(tiny: Path, damage: object) -> None:
    assert callable(damage)
    damage(tiny)
    with pytest.raises(WeightsError, match=r"agentevo models rm tiny.*agentevo models pull"):
        verify(find("tiny"))


def test_the_card_says_what_was_installed_from_where(tiny: Path, tmp_path: Path) -> None:
    assert json.loads((tiny.parent / "card.json").read_text()) == {
        "name": "tiny",
        "kind": "model",
        "size_bytes": tiny.stat().st_size,
        "sha256": sha256_of(tiny),
        "origin": str(tmp_path / "tiny.gguf"),
    }


def test_weights_that_changed_after_they_were_installed_are_refused_with_the_remedy(tiny: Path) -> None:
    weights = find("tiny")
    check_untouched(weights)
    tiny.write_bytes(b"\0" + tiny.read_bytes()[1:])
    _make_newer(tiny)
    with pytest.raises(WeightsError, match=r"is not what was installed.*models rm tiny.*models pull"):
        check_untouched(weights)
    tiny.unlink()
    with pytest.raises(WeightsError, match=r"cannot read.*models rm tiny"):
        check_untouched(weights)


def test_weights_that_were_only_copied_are_hashed_once(tiny: Path) -> None:
    weights, card = find("tiny"), tiny.with_name("card.json")
    _make_newer(tiny)
    check_untouched(weights)
    before = card.stat().st_mtime_ns
    os.utime(tiny, ns=(before, before))
    check_untouched(weights)
    assert card.stat().st_mtime_ns == before


def _make_newer(file: Path) -> None:
    """Give a file a time after that of its card, however coarse the clock of the file system is."""
    later = file.with_name("card.json").stat().st_mtime_ns + 10**9
    os.utime(file, ns=(later, later))
