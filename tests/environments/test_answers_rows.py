"""Where questions come from: files and rows, and what is said of those that make none."""

from __future__ import annotations

import gzip
import itertools
import json
import lzma
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentevo.environments.answers import Answers
from agentevo.errors import Misuse

BANK_JSON = '{"text": "Where is my card?", "label": "card_arrival"}\n\n{"text": "Is it lost?", "label": "lost_card"}'
BANK = "text,category\nWhere is my card?,card_arrival\nIs it lost?,lost_card\n"


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def asked(environment: Answers) -> list[str]:
    return [task.prompt for split in environment.splits() for task in environment.tasks(split)]


def right(environment: Answers) -> list[object]:
    tasks = (task for split in environment.splits() for task in environment.tasks(split))
    return [message["content"] for task in tasks for message in environment.gold(task)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("bank.csv", BANK),
        ("bank.CSV", "\ufeff" + BANK.replace("\n", "\r\n")),
        ("bank.csv", "\n" + BANK.replace("\n", "\n\n")),
        ("bank.tsv", BANK.replace(",", "\t")),
        ("bank.csv.xz", lzma.compress(BANK.encode())),
        ("bank.csv.gz", gzip.compress(BANK.encode(), mtime=0)),
        ("bank.jsonl", BANK_JSON),
        ("bank.ndjson", "\ufeff" + BANK_JSON.replace("\n\n", "\r\n")),
    ],
)  # fmt: skip
def test_a_file_is_read_by_its_ending(tmp_path: Path, name: str, content: str | bytes) -> None:
    environment = Answers(written(tmp_path, name, content), shares={"test": 1.0})
    assert asked(environment) == ["Where is my card?", "Is it lost?"]
    assert right(environment) == ["card_arrival", "lost_card"]
    assert environment.card.name == "bank"


def test_a_path_may_be_a_text_and_a_cell_may_have_lines(tmp_path: Path) -> None:
    path = written(tmp_path, "q.v1.csv", 'question,answer\n"Two\nlines, ""quoted""",yes\nOne,no\n')
    environment = Answers(str(path), shares={"test": 1.0})
    assert asked(environment) == ['Two\nlines, "quoted"', "One"]
    assert environment.card.name == "q.v1"


def test_columns_are_named_by_options() -> None:
    rows = [{"q": "1+1?", "a": 2, "text": "no", "kind": "sum"}]
    environment = Answers(rows, prompt="q", answer="a", group="kind", check="number", shares={"test": 1.0})
    task = environment.tasks("test")[0]
    assert (task.prompt, task.data["group"], right(environment)) == ("1+1?", "sum", ["2"])


def test_values_of_json_become_text() -> None:
    rows = [{"text": "a", "label": True}, {"text": "b", "label": 2.5}, {"text": 3, "label": ["x", 4]}]
    environment = Answers(rows, shares={"test": 1.0})
    assert asked(environment) == ["a", "b", "3"]
    assert right(environment) == ["true", "2.5", "x"]


@pytest.mark.parametrize("cell", ['["Graz", "Linz"]', "Graz|Linz", " Graz | Linz "])
def test_options_in_one_cell_are_a_list(tmp_path: Path, cell: str) -> None:
    quoted = cell.replace('"', '""')
    path = written(tmp_path, "c.csv", f'question,answer,among\nWhere?,B,"{quoted}"\n')
    environment = Answers(path, check="choice", options="among", shares={"test": 1.0})
    assert asked(environment) == ["Where?\nA) Graz\nB) Linz"]
    assert right(environment) == ["B"]


@pytest.mark.parametrize("options", [("one", "two"), "one,two"])
def test_options_may_stand_in_columns_of_their_own(options: str) -> None:
    rows = [{"question": "Where?", "answer": "Linz", "one": "Graz", "two": "Linz"}]
    environment = Answers(rows, check="choice", options=options, shares={"test": 1.0})
    assert asked(environment) == ["Where?\nA) Graz\nB) Linz"]


def test_only_the_beginning_is_read_where_there_is_a_limit(tmp_path: Path) -> None:
    path = written(tmp_path, "long.csv", BANK.encode() + b"\xff\xff not read\n" * 100)
    assert len(asked(Answers(path, limit=2, shares={"test": 1.0}))) == 2

    def endless() -> Iterator[dict[str, str]]:
        yield from ({"text": f"q{n}", "label": "a"} for n in itertools.count())

    assert len(asked(Answers(endless(), limit=7))) == 7


BAD_FILES = [
    ("empty.csv", "", "empty.csv has no rows"),
    ("head.csv", "text,category\n", "head.csv has no rows"),
    ("latin.csv", BANK.encode() + "café,x\n".encode("latin-1"), r"line 4 is not UTF-8 \(byte 0xe9 at 3\)"),
    ("wide.csv", BANK.encode("utf-16"), "line 1 holds a NUL byte"),
    ("nul.csv", BANK + "a\0b,c\n", "line 4 holds a NUL byte"),
    ("ragged.csv", BANK + "one, two, three\n", r"line 4 has 3 columns; expected 2 .*text, category.*quotes"),
    ("short.csv", BANK + "alone\n", "line 4 has 1 columns; expected 2"),
    ("ragged.csv", 'text,category\n"a\nb",c\nd\n', "line 4 has 1 columns"),
    ("open.csv", BANK + '"never closed,a\n' * 3, "line 4 cannot be read as CSV"),
    ("field.csv", BANK + '"' + "x" * 200_000 + '",a\n', "line 4 cannot be read as CSV: field larger"),
    ("huge.csv", BANK + "x" * 1_000_001 + ",a\n", "line 4 has more than 1000000 bytes"),
    ("twice.csv", "text,text\na,b\n", "line 1 names the column 'text' twice"),
    ("other.csv", "frage,antwort\na,b\n", "line 2 has no column category .* but frage, antwort; name one with answer="),
    ("half.csv", "frage,label\na,b\n", "no column text or question .* but frage, label; name one with prompt="),
    ("blank.csv", "text,label\na, \n", "line 2: column 'label' holds ' '; expected a text"),
    ("bad.jsonl", '{"text": "a", "label": "b"}\n{"text": \n', "line 2 is not JSON"),
    ("list.jsonl", "[1, 2]\n", r"line 1 holds '\[1, 2\]'; expected an object"),
    ("deep.jsonl", "[" * 100_000, "line 1 is not JSON"),
    ("int.jsonl", '{"text": ' + "1" * 5000 + "}", "line 1 is not JSON"),
    ("none.jsonl", '{"text": "a", "label": null}', "column 'label' holds None"),
    ("list.jsonl", '{"text": "a", "label": []}', r"column 'label' holds \[\]"),
    ("half.jsonl", '{"text": "a\\ud800", "label": "b"}', "no valid Unicode"),
    ("cut.csv.xz", lzma.compress(BANK.encode())[:-8], "cannot be unpacked"),
    ("no.csv.xz", BANK, "cannot be unpacked"),
    ("no.csv.gz", BANK, "cannot be unpacked"),
    ("bank.txt", BANK, "bank.txt is of no known kind; expected a name ending in .csv"),
    ("bank", BANK, "is of no known kind"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "says"), BAD_FILES)
def test_a_file_that_cannot_be_used_is_refused_with_the_line(
    tmp_path: Path, name: str, content: str | bytes, says: str
) -> None:
    path = written(tmp_path, name, content)
    with pytest.raises(Misuse, match=says) as caught:
        Answers(path)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    for name, says in {"none.csv": "No such file", "folder.csv": "Is a directory"}.items():
        with pytest.raises(Misuse, match=f"cannot read .*{name}: {says}"):
            Answers(tmp_path / name)


def test_rows_of_another_shape_are_refused() -> None:
    with pytest.raises(Misuse, match=r"row 1 is \('a', 'b'\); expected a mapping"):
        Answers([("a", "b")])  # type: ignore[list-item]
    with pytest.raises(Misuse, match="no rows were given"):
        Answers([])


def test_an_id_that_stands_twice_is_refused_with_both_places(tmp_path: Path) -> None:
    rows = [{"id": "7", "text": "a", "label": "x"}, {"id": 7, "text": "b", "label": "x"}]
    path = written(tmp_path, "ids.jsonl", "\n".join(map(json.dumps, rows)))
    with pytest.raises(Misuse, match=r"line 2: the id '7' stands at .*line 1 already"):
        Answers(path, id="id")


def test_a_question_with_two_answers_is_refused_with_both_places(tmp_path: Path) -> None:
    path = written(tmp_path, "two.csv", BANK + "Is it new?,lost_card\nWhere is my card?,card_stolen\n")
    says = r"line 5 asks 'Where is my card\?' as .*line 2 does, and answers 'card_stolen' rather than 'card_arrival'"
    with pytest.raises(Misuse, match=says):
        Answers(path)


@pytest.mark.parametrize(
    ("options", "first", "second"),
    [
        ({}, {"label": "a"}, {"label": "A."}),
        ({}, {"label": ["a", "b"]}, {"label": ["b", "c"]}),
        ({"check": "number"}, {"label": "1,000"}, {"label": 1000}),
        ({"check": "choice", "options": "o"}, {"label": "B", "o": ["x", "y"]}, {"label": "y", "o": ["x", "y"]}),
        ({"check": "choice", "options": "o"}, {"label": "B", "o": ["x", "y"]}, {"label": "x", "o": ["y", "x"]}),
        ({"check": "pattern"}, {"label": "a.*"}, {"label": ".*b"}),
        ({"split": "in"}, {"label": "a", "in": "train"}, {"label": "b", "in": "test"}),
    ],
)
def test_a_question_that_one_reply_can_answer_may_stand_twice(
    options: dict[str, str], first: dict[str, object], second: dict[str, object]
) -> None:
    given = [{"text": "q", **first}, {"text": "q", **second}]
    shares = {} if "split" in options else {"shares": {"test": 1.0}}
    assert asked(Answers(given, **options, **shares)) == asked(Answers(given, **options, **shares))  # type: ignore[arg-type]
