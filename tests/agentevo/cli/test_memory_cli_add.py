"""`agentevo memory add`: what is remembered says where it stood and when it was written, or is refused whole."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from memory_console import Console

pytest_plugins = ("memory_console",)

LONG = "# Guide\n\n" + "Take the box. " * 30 + "\n\n## Use\n\n" + "Press the button. " * 80 + "\n"


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    def feed(content: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), encoding="ascii"))

    return feed


def test_a_text_is_one_item_and_its_id_is_printed(console: Console) -> None:
    name = console.done(
        "add", "Refunds above 500", "--kind", "lesson", "--metadata", "n=1", "--metadata", "v=NaN"
    ).strip()
    item = console.data("show", name)["item"]
    assert (item["kind"], item["source"], item["trust"]) == ("lesson", "user", 1.0)
    assert item["metadata"] == {"n": 1, "v": "NaN"}


def test_a_text_that_is_there_already_gives_the_same_id(console: Console) -> None:
    assert console.done("add", "the same") == console.done("add", "the same")


def test_a_long_file_is_split_dated_and_cited(console: Console, tmp_path: Path) -> None:
    file = tmp_path / "guide.md"
    file.write_bytes(b"\xef\xbb\xbf" + LONG.replace("\n", "\r\n").encode())
    os.utime(file, (1_000_000, 1_000_000))
    items = console.data("add", str(file), "--metadata", "team=billing")
    assert [item["metadata"] for item in items] == [
        {"file": str(file), "part": n, "parts": 3, "first_line": first, "last_line": last, "heading": heading,
         "team": "billing"}
        for n, first, last, heading in [(1, 1, 3, "Guide"), (2, 5, 7, "Guide > Use"), (3, 7, 7, "Guide > Use")]
    ]  # fmt: skip
    assert {(item["created_at"], item["source"], item["trust"]) for item in items} == {(1_000_000.0, "document", 0.4)}
    assert items[0]["text"].startswith("# Guide\n\nTake the box.")
    assert items[2]["text"].endswith("Press the button.")
    assert console.data("history")[0]["reason"] == f"add {file}"
    assert len(console.data("history")) == 1


def test_several_files_are_added_at_once(console: Console, tmp_path: Path) -> None:
    files = [tmp_path / "a.txt", tmp_path / "b.txt"]
    for file in files:
        file.write_text(f"words of {file.name}", encoding="utf-8")
    assert [i["metadata"]["file"] for i in console.data("add", *map(str, files))] == [str(file) for file in files]
    assert f"{'b.txt'!r} is none; quote a text" in console.refused("add", str(files[0]), "b.txt")


def test_a_comment_in_source_code_is_no_heading(console: Console, tmp_path: Path) -> None:
    file = tmp_path / "code.py"
    file.write_text("# a comment\nx = 1\n", encoding="utf-8")
    assert "heading" not in console.data("add", str(file))[0]["metadata"]


def test_stdin_is_read_as_utf8(console: Console, stdin: Callable[[bytes], None]) -> None:
    stdin("Grüße\n漢".encode())
    (item,) = console.data("add", "-")
    assert (item["text"], item["source"], item["metadata"]) == ("Grüße\n漢", "document", {})
    stdin(LONG.encode())
    assert [item["metadata"]["part"] for item in console.data("add", "-", "--source", "user")] == [1, 2, 3]


def test_text_is_taken_for_text_when_asked(console: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("notes.md").write_text("from the file", encoding="utf-8")
    assert console.data("add", "notes.md")[0]["text"] == "from the file"
    assert console.data("add", "notes.md", "--text")[0]["text"] == "notes.md"
    assert console.data("add", "-", "--text")[0]["text"] == "-"
    assert "there is no file 'other.md'; if that is a text to remember, add --text" in console.refused(
        "add", "other.md"
    )
    assert "there is no file 'a/b'" in console.refused("add", "a/b")
    assert console.data("add", "See notes.md.")[0]["text"] == "See notes.md."
    assert console.data("add", "so long " * 1000)


def test_a_date_says_when_it_was_written(console: Console, tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("words", encoding="utf-8")
    assert console.data("add", str(file), "--date", "1970-01-01T00:00+00:00")[0]["created_at"] == 0.0
    assert "'yesterday' is no date" in console.refused("add", "x", "--date", "yesterday")


def test_what_is_no_text_is_refused_and_nothing_is_made(
    console: Console, tmp_path: Path, stdin: Callable[[bytes], None]
) -> None:
    file = tmp_path / "file.bin"
    for content, complaint in {
        b"PK\x00\x01": "is not text: byte 2 is NUL; expected UTF-8",
        b"caf\xe9": "is not UTF-8: byte 3 is 0xe9; convert it first",
        "x".encode("utf-16"): "is UTF-16; expected UTF-8",
        b" \n": "is empty",
    }.items():
        file.write_bytes(content)
        assert complaint in console.refused("add", str(file))
        stdin(content)
        assert complaint in console.refused("add", "-")
    assert f"{tmp_path} is a folder; add the files in it: agentevo memory add {tmp_path}/*.md" in console.refused(
        "add", str(tmp_path)
    )
    for empty in ("", " ", "\n"):
        assert "the text is empty; expected something to remember" in console.refused("add", empty)
    assert "the text is empty" in console.refused("add", "", str(file))
    assert "a text that shows nothing ('\\u200b') cannot be remembered" in console.refused("add", "\u200b")
    assert "source is ' '; expected where the text is from" in console.refused("add", "x", "--source", " ")
    assert "is not UTF-8" in console.refused("add", "caf\udce9")
    assert "unknown kind 'thing'" in console.refused("add", "x", "--kind", "thing")
    assert not console.folder.exists()


def test_a_file_that_may_not_be_read_is_one_line(console: Console, tmp_path: Path) -> None:
    file = tmp_path / "loop"
    file.symlink_to("/proc/self/mem")
    console("add", str(file))
    assert (console.status, console.err.count("\n")) == (1, 1)
    assert str(file) in console.err or "Input/output error" in console.err


def test_a_file_whose_name_is_not_utf8_is_cited_as_far_as_it_is(console: Console, tmp_path: Path) -> None:
    file = tmp_path / os.fsdecode(b"bad\xffname.txt")
    file.write_text("words", encoding="utf-8")
    (item,) = console.data("add", str(file))
    assert item["metadata"]["file"] == f"{tmp_path}/bad\ufffdname.txt"
    assert console.data("history")[0]["reason"] == f"add {tmp_path}/bad\ufffdname.txt"


@pytest.mark.parametrize(
    "command", [["add", "-"], ["add", "--jsonl", "-"], ["import", "-"], ["forget", "-"], ["search", "-"]]
)
def test_a_closed_stdin_is_told_of(command: list[str], console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    console.done("add", "words")
    monkeypatch.setattr(sys, "stdin", None)
    assert "there is no stdin to read from: it is closed" in console.refused(*command)
    assert "there is no terminal to ask; add --yes" in console.refused("purge", console.data("list")[0]["id"])


# --- lines of JSON


def lines(*values: Any) -> str:
    return "\n".join(value if isinstance(value, str) else json.dumps(value) for value in values)


def test_each_line_of_json_is_an_item(console: Console, tmp_path: Path) -> None:
    file = tmp_path / "items.jsonl"
    first = {"text": "one", "kind": "lesson", "metadata": {"n": 1}, "created_at": 5}
    file.write_text(lines(first, "", {"text": "two"}, {"text": "three", "created_at": "1970-01-01T00:00:09Z"},
                          {"text": "four", "kind": "lesson"}), encoding="utf-8")  # fmt: skip
    items = console.data("add", "--jsonl", str(file), "--metadata", "from=there", "--source", "web")
    assert [(item["text"], item["kind"]) for item in items] == [
        ("one", "lesson"),
        ("two", "fact"),
        ("three", "fact"),
        ("four", "lesson"),
    ]
    assert items[0]["metadata"] == {"n": 1, "from": "there"}
    assert (items[0]["created_at"], items[2]["created_at"], items[0]["source"]) == (5.0, 9.0, "web")
    (change,) = console.data("history")
    assert change["items"] == [item["id"] for item in items]


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        ("{", "line 2: Expecting property name"),
        ([1], "line 2: expected an object, not [1]"),
        ({"text": "x", "colour": 1}, "line 2: unknown key 'colour'; known: text, kind, metadata, created_at"),
        ({"kind": "fact"}, "line 2: text is None; expected some text"),
        ({"text": "x", "kind": "thing"}, "line 2: unknown kind 'thing'"),
        ({"text": "x", "metadata": [1]}, "line 2: metadata is [1]; expected an object"),
        ({"text": "x", "created_at": True}, "line 2: created_at is True; expected a date or seconds"),
        ({"text": "x", "created_at": "soon"}, "line 2: 'soon' is no date"),
        ('{"text": "x", "metadata": {"a": NaN}}', "line 2: NaN is not JSON"),
        ({"text": "x", "created_at": 10**400}, "line 2: created_at is 1000"),
        ({"text": "x", "created_at": 1.7e12}, "line 2: created_at is 1700000000000.0, and expected are seconds since"),
        ('{"text": "x", "created_at": -1e400}', "line 2: -1e400 is beyond any number"),
        ('{"text": "x", "kind": "note", "metadata": {"a": [1e999]}}', "line 2: 1e999 is beyond any number"),
        ({"text": "half \ud800"}, "line 2: it holds half of a surrogate pair"),
        ({"text": "x", "metadata": {"a": ["\udc00"]}}, "line 2: it holds half of a surrogate pair"),
        ({"text": "\u200b"}, "line 2: text is a text that shows nothing"),
        ({"text": "x" * 1_000_001}, "line 2: text is a text of 1,000,001 characters"),
        ("[" * 100_000, "line 2: "),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_line_that_is_no_item_is_named_and_nothing_is_added(
    bad: Any, complaint: str, console: Console, stdin: Callable[[bytes], None]
) -> None:
    stdin(lines({"text": "good"}, bad).encode())
    said = console.refused("add", "--jsonl", "-")
    assert f"stdin, {complaint}" in said
    assert "nothing was added" in said
    assert not console.folder.exists()


def test_no_lines_at_all_are_refused(console: Console, stdin: Callable[[bytes], None]) -> None:
    stdin(b"\n")
    assert "stdin is empty; expected one JSON object a line" in console.refused("add", "--jsonl", "-")


def test_a_key_longer_than_a_part_is_masked_whole(console: Console, tmp_path: Path) -> None:
    rows = [f"{n:02}" + "Ab3+" * 15 + "xY" for n in range(50)]
    key = "\n".join(["-----BEGIN PRIVATE KEY-----", *rows, "-----END PRIVATE KEY-----"])
    file = tmp_path / "notes.md"
    file.write_text(f"{LONG}\n{key}\n{LONG}")
    texts = [item["text"] for item in console.data("add", str(file))]
    assert [text for text in texts if any(row in text for row in rows)] == []
    assert any("[secret: private key]" in text for text in texts)
