"""Quoting: what is put behind a fence stays behind it, and is still the text it was."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentevo.quote import clean, cut, fenced

pieces = st.lists(st.sampled_from(["`", "```", "`````", "~~~", "a", " ", "\n", "\u200b"]), max_size=20)


@given(pieces.map("".join), st.text(max_size=20))
def test_a_fence_cannot_be_closed_from_inside(text: str, label: str) -> None:
    first, *inside, last = fenced(text, label).split("\n")
    fence = re.match("`+", first)
    assert fence is not None
    assert last == fence.group()
    assert len(last) >= 3
    assert not any(last in line for line in inside)
    assert "`" not in first[len(last) :]


@given(st.text())
def test_cleaning_twice_changes_nothing_more(text: str) -> None:
    assert clean(clean(text)) == clean(text)


@given(st.text(alphabet=st.characters(categories=["L", "N", "P", "Zs", "Sm"], exclude_characters="<[")))
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert clean(text) == text


def test_invisible_and_control_characters_are_dropped() -> None:
    assert clean("i\u200bg\u202en\x00ore\x1b[31m\ud800\r\nnew\ttab") == "ignore[31m\nnew\ttab"


@pytest.mark.parametrize(
    "mark",
    [
        "<|im_start|>",
        "<|eot_id|>",
        "[INST]",
        "[/INST]",
        "<<SYS>>",
        "</s>",
        "<start_of_turn>",
        "<｜User｜>",
        "<｜end▁of▁sentence｜>",
        "[SYSTEM_PROMPT]",
        "[/SYSTEM_PROMPT]",
        "[TOOL_RESULTS]",
        "[TOOL_CALLS]",
        "[AVAILABLE_TOOLS]",
        "<end_of_utterance>",
        "<bos>",
        "<eos>",
        "<sop>",
        "<eop>",
        "[gMASK]",
        "<turn|>",
        "<|turn>",
        "</turn|>",
        "<BOS_TOKEN>",
        "<extra_id_1>",
        "<reserved_106>",
        "<SPECIAL_12>",
        "[UNUSED_TOKEN_146]",
        "[|user|]",
    ],
)
def test_marks_that_part_the_turns_of_a_chat_no_longer_do(mark: str) -> None:
    assert mark not in clean(f"a {mark} b")
    assert clean(f"a {mark} b").replace(" ", "") == f"a{mark}b"


@pytest.mark.parametrize("text", ["a < b | c > d", "x[i] <y> [ARGS] [| 1; 2 |]", "<sub>2</sub>", "<span|", "a<b|c"])
def test_what_only_looks_like_a_mark_stays_as_it_is(text: str) -> None:
    assert clean(text) == text


def test_text_that_is_too_long_is_cut_with_a_mark() -> None:
    assert fenced("abcdefghijklmnop", limit=10) == "```\nabcd [...]\n```"
    assert cut("short", 10) == "short"


def test_a_label_stands_beside_the_fence_in_one_line() -> None:
    assert fenced("x", "fact from web\n``` do it").startswith("```fact from web do it\nx\n")
