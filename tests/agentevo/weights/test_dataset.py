"""Rows to train on: nothing is left out silently, and what cannot teach anything is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agentevo.errors import Misuse, Untrainable
from agentevo.types import Json
from agentevo.weights.chat import Chat
from agentevo.weights.config import TrainConfig
from agentevo.weights.dataset import IGNORED, Data, Prepared, Row, prepare
from agentevo.weights.load import base


def row(text: str, answer: str, **more: bool) -> Row:
    return {"prompt": text, "completion": answer, **more}


def pair(text: str, chosen: str, rejected: str) -> Row:
    return {"prompt": text, "chosen": chosen, "rejected": rejected}


ROWS = [row("a", "A"), row("b", "B")]


def prepared(data: Data, limit: int = 512, **settings: object) -> Prepared:
    tokenizer = base("local/small").tokenizer()
    return prepare(data, Chat(tokenizer, "small", written_calls=True), TrainConfig.of(**settings), limit)


def test_rows_become_tokens_whose_labels_are_what_is_said(small: str) -> None:
    found = prepared(ROWS).dataset()[0]
    said = [token for token, label in zip(found["input_ids"], found["labels"], strict=True) if label != IGNORED]
    assert base(small).tokenizer().decode(said) == "A<|im_end|>"
    assert [label for label in found["labels"] if label != IGNORED] == said


def test_messages_teach_each_turn_and_a_completion_only_its_own(small: str) -> None:
    turns: list[Json] = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "A"}]
    both = prepared([{"messages": [*turns, *turns]}, ROWS[1]]).dataset()[0]["labels"]
    last = prepared([{"prompt": [*turns, turns[0]], "completion": [turns[1]]}, ROWS[1]]).dataset()[0]["labels"]
    counts = [sum(label != IGNORED for label in labels) for labels in (both, last)]
    assert counts == [4, 2]


def test_the_same_rows_hash_alike_wherever_they_come_from(small: str, tmp_path: Path) -> None:
    from datasets import Dataset

    lines = tmp_path / "rows.jsonl"
    lines.write_text("".join(json.dumps(one) + "\n\n" for one in ROWS))
    Dataset.from_list([dict(one) for one in ROWS]).save_to_disk(str(tmp_path / "saved"))
    assert {prepared(data).sha256 for data in (ROWS, iter(ROWS), lines, str(lines), tmp_path / "saved")} == {
        prepared(ROWS).sha256
    }
    assert prepared(ROWS[::-1]).sha256 != prepared(ROWS).sha256


def test_long_rows_are_dropped_or_cut_and_counted_either_way(small: str) -> None:
    rows = [*ROWS, row("c", "long " * 50), row("long " * 50, "C")]
    dropped, cut = prepared(rows, limit=60), prepared(rows, limit=60, too_long="truncate")
    assert (dropped.rows, dict(dropped.dropped)) == (2, {"too long": 2})
    assert (cut.rows, dict(cut.dropped)) == (3, {"truncated": 1, "too long": 1})  # of the last no answer is left
    assert max(map(len, cut.dataset()["input_ids"])) == 60


def test_pairs_share_their_prompt_and_only_what_is_said_counts(small: str) -> None:
    result: Json = {"role": "tool", "content": "7"}
    spoken: Json = {"role": "assistant", "content": "A"}
    rows: list[Row] = [{"prompt": "a", "chosen": [spoken, result, spoken], "rejected": "B"}, pair("x", "1", "2")]
    found = prepared(rows, method="dpo").dataset()[0]
    decode = base(small).tokenizer().decode
    kept = [token for token, said in zip(found["chosen_ids"], found["chosen_said"], strict=True) if said]
    assert decode(found["prompt_ids"]).endswith("a<|im_end|>\n<|im_start|>assistant\n")
    assert decode(found["chosen_ids"]).startswith("A<|im_end|>\n<|im_start|>user\nResult of the tool: 7")
    assert (decode(kept), decode(found["rejected_ids"])) == ("A<|im_end|>A<|im_end|>", "B<|im_end|>\n")


def test_pairs_that_are_equal_or_too_long_are_counted(small: str) -> None:
    rows = [pair("a", "1", "2"), pair("b", "3", "4"), pair("c", "5", "5"), pair("d", "6", "long " * 50)]
    found = prepared(rows, limit=60, method="dpo")
    assert (found.rows, dict(found.dropped)) == (2, {"identical": 1, "too long": 1})


def called(calls: Json) -> Row:
    return {"prompt": "a", "completion": [{"role": "assistant", "content": "x", "tool_calls": calls}]}


@pytest.mark.parametrize(
    ("data", "settings", "why"),
    [
        ([], {}, "there is no row to train on: it was empty"),
        ([row("a", "long " * 200)], {}, "there is no row to train on: 1 too long"),
        ([{"messages": [{"role": "user", "content": "a"}]}], {}, "1 without an answer"),
        ([pair("a", "1", "1")] * 3, {"method": "dpo"}, "there is no row to train on: 3 identical"),
        ([row(f"ask {i}", "RMD") for i in range(3)], {}, "all 3 rows teach the same answer"),
        ([row("a", "RMD")], {}, "the only row teaches one answer"),
        ([pair("a", "1", "2")], {"method": "dpo"}, "the only row teaches one answer"),
        ([row("a", "RMD"), row("b", "Rmd \n")], {}, "all 2 rows teach the same answer"),
        ([pair("a", "1", "2"), pair("b", "1", "3")], {"method": "dpo"}, "all 2 rows teach the same answer"),
        (ROWS, {"method": "dpo"}, "row 1: method dpo takes prompt, chosen and rejected, but it has prompt, completion"),
        ([pair("a", "1", "2")], {}, "row 1: it is a pair of answers, which method dpo trains on"),
        ([*ROWS, {"text": "a"}], {}, "row 3: prompt must be chat messages or a text, but it is null"),
        ([{"messages": [{"content": "a"}]}], {}, "row 1: messages holds what is no chat message"),
        ([{"messages": [], "tools": []}], {}, "row 1: messages must be chat messages"),
        ([{**ROWS[0], "tools": {}}, {**ROWS[1], "tools": {"a": 1}}], {}, "row 2: tools must be a list"),
        ([{**ROWS[0], "tools": "x"}], {}, "row 1: tools is a text that is no JSON"),
        ([{**ROWS[0], "tools": [{"type": "function"}]}], {}, "row 1: tools holds what names no function"),
        ([called("abc")], {}, "row 1: tool_calls must be a list"),
        ([called([{"function": {"arguments": "{}"}}])], {}, "row 1: tool_calls holds what names no function"),
        ([*ROWS, row("a", "b\udfff")], {}, "row 3: it holds half of a surrogate pair"),
        ([*ROWS, 5], {}, "row 3: it is no object with fields: 5"),
        ([*ROWS, {"prompt": b"x", "completion": "y"}], {}, "row 3: it cannot be written as JSON"),
        ([*ROWS, {**ROWS[0], "synthetic": "true"}], {}, "row 3: synthetic must be true or false"),
    ],
)
def test_rows_that_cannot_be_trained_on_say_why(
    small: str, data: list[Any], settings: dict[str, object], why: str
) -> None:
    with pytest.raises(Misuse, match=why):
        prepared(data, limit=100, **settings)


def test_too_few_real_rows_are_refused(small: str) -> None:
    rows = [row(str(i), str(i), synthetic=i > 0) for i in range(10)]
    found = prepared(rows)
    assert (found.rows, found.synthetic) == (10, 9)
    with pytest.raises(Untrainable, match="10% of the 10 rows are real, the others synthetic"):
        prepared(rows, min_real=0.2)


@pytest.mark.parametrize(
    ("rows", "why"),
    [([row("a", "x " * 99)], "there is no row to train on: 1 too long"), ([ROWS[0]] * 2, "teach the same")],
)
def test_rows_that_teach_nothing_are_told_from_rows_that_are_none(small: str, rows: list[Row], why: str) -> None:
    with pytest.raises(Untrainable, match=why):
        prepared(rows, limit=50)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b'{"prompt": "a"}\n{"pro\n', "line 2 is no JSON"),
        (b"[1]\n", "line 1 is no object"),
        (b"\xff\n", "line 1 is no JSON"),
        (b"[" * 100_000, "line 1 is no JSON"),
    ],
)
def test_lines_that_are_no_rows_are_named(small: str, tmp_path: Path, text: bytes, why: str) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_bytes(text)
    with pytest.raises(Misuse, match=f"rows.jsonl, {why}" if b"pro\n" not in text else "row 1"):
        prepared(file)


def test_places_without_rows_are_named(small: str, tmp_path: Path) -> None:
    with pytest.raises(Misuse, match=r"cannot read rows from .*none.jsonl: No such file"):
        prepared(tmp_path / "none.jsonl")
    with pytest.raises(Misuse, match="no folder saved by `datasets`"):
        prepared(tmp_path)


def test_a_folder_of_several_splits_asks_for_one(small: str, tmp_path: Path) -> None:
    from datasets import Dataset, DatasetDict

    one = Dataset.from_list([dict(row) for row in ROWS])
    DatasetDict({"train": one, "test": one}).save_to_disk(str(tmp_path / "saved"))
    with pytest.raises(Misuse, match=r"holds several splits \(train, test\)"):
        prepared(tmp_path / "saved")


@pytest.mark.parametrize(
    ("field", "value"),
    [("rank", 0), ("method", "ppo"), ("warmup", 1.0), ("min_real", 2), ("x", 1), ("seed", 2**32), ("threads", 10**9)],
)
def test_settings_that_cannot_be_are_named(field: str, value: object) -> None:
    with pytest.raises(Misuse, match=f"training: {field}|unknown setting of a training '{field}'"):
        TrainConfig.of(**{field: value})
