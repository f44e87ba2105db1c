"""A long text becomes chunks that lose nothing, end where the text does, and say where they stood."""

from __future__ import annotations

import itertools
import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agentevo.errors import Misuse
from agentevo.memory.split import Chunk, split

SIZE, OVERLAP = 80, 12
ROOM = SIZE - OVERLAP

PROSE = st.sampled_from(
    [
        "word ",
        "Zwei Wörter. ",
        "Is it so? ",
        "\n",
        "\n\n",
        "\r\n",
        "漢字",
        "文。",
        "  ",
        "# Title\n",
        "## Under\n",
        "x" * 90,
    ]
)
MARKDOWN = st.lists(
    PROSE
    | st.sampled_from(
        ["\n```\ncode line\n\nmore code\n```\n", "\n~~~\n# no heading. " + "Long code. " * 9 + "\n\n~~~\n"]
    )
).map("".join)
TEXTS = MARKDOWN | st.lists(PROSE).map("".join) | st.text(max_size=400)


def joined(chunks: list[Chunk]) -> str:
    return "".join(chunk.text[chunk.overlap :] for chunk in chunks)


def cuts(text: str) -> list[int]:
    """Return the places at which a text is split."""
    places, at = [], 0
    for chunk in split(text, size=SIZE, overlap=OVERLAP)[:-1]:
        at += len(chunk.text) - chunk.overlap
        places.append(at)
    return places


@given(TEXTS)
def test_chunks_without_their_overlaps_are_the_text(text: str) -> None:
    assert joined(split(text, size=SIZE, overlap=OVERLAP)) == text
    assert joined(split(text)) == text


@given(TEXTS)
def test_a_chunk_begins_with_the_end_of_the_one_before(text: str) -> None:
    chunks = split(text, size=SIZE, overlap=OVERLAP)
    for before, after in itertools.pairwise(chunks):
        assert before.text.endswith(after.text[: after.overlap])
        assert after.overlap <= OVERLAP


@given(st.lists(PROSE).map("".join) | st.text(max_size=400))
def test_no_chunk_is_longer_than_asked(text: str) -> None:
    texts = [chunk.text for chunk in split(text, size=SIZE, overlap=OVERLAP)]
    assert [one for one in texts if len(one) > SIZE and "```" not in one and "~~~" not in one] == []


@given(TEXTS)
def test_no_word_that_fits_is_split(text: str) -> None:
    words = [(w.start(), w.end()) for w in re.finditer(r"\S+", text) if w.end() - w.start() <= ROOM]
    inside = [(at, text[start:end]) for at in cuts(text) for start, end in words if start < at < end]
    assert [(at, word) for at, word in inside if text[at - 1] not in "。！？｡'\")]」』”"] == []


@given(MARKDOWN)
def test_no_code_block_is_split(text: str) -> None:
    blocks = [match.span() for match in re.finditer(r"^(```|~~~)\n(?s:.*?)^\1\n", text, re.MULTILINE)]
    assert [at for at in cuts(text) for start, end in blocks if start < at < end] == []


@example("a" + "🇳🇴" * 100)
@example("ab" + "👍🏽" * 100 + "e\u0301" * 100)
@example("👨\u200d👩\u200d👧" * 40 + "\u1112\u1161\u11ab" * 60)
@given(
    st.lists(st.sampled_from(["e\u0301", "👨\u200d👩\u200d👧", "🇳🇴", "👍🏽", "\u1112\u1161\u11ab", "a"])).map("".join)
)
def test_a_long_run_is_cut_between_characters_as_a_reader_sees_them(text: str) -> None:
    whole = unicodedata.normalize("NFD", text)
    for at in cuts(whole):
        assert not unicodedata.combining(whole[at])
        assert "\u200d" not in whole[at - 1 : at + 1]
        assert whole[at] not in "🏽\u1161\u11ab"
        assert not (whole[at - 1] == "🇳" and whole[at] == "🇴")


def test_a_run_that_is_one_character_to_a_reader_is_cut_all_the_same() -> None:
    text = "e" + "\u0301" * 500
    assert joined(split(text, size=SIZE, overlap=OVERLAP)) == text
    assert len(split(text, size=SIZE, overlap=OVERLAP)) > 5


def test_a_short_text_stays_whole() -> None:
    assert split("One line.\nAnother.") == [Chunk("One line.\nAnother.", 0, "", 1, 2)]
    assert split("") == []


GUIDE = f"""# Guide

Welcome.

## Install

{"Take a box. " * 4}

## Use

{"Press the button. " * 6}
### Safely
{"Wear gloves. " * 4}
# Index
{"See above. " * 4}
"""


def test_chunks_cite_their_headings_and_lines() -> None:
    cited = [(c.heading, c.first_line, c.last_line) for c in split(GUIDE, size=SIZE, overlap=OVERLAP)]
    assert cited == [
        ("Guide", 1, 3),
        ("Guide > Install", 5, 7),
        ("Guide > Use", 9, 11),
        ("Guide > Use", 11, 11),
        ("Guide > Use > Safely", 12, 13),
        ("Index", 14, 15),
    ]


def test_a_heading_goes_with_what_follows_it() -> None:
    text = f"{'Some words here. ' * 4}\n\nTitle\n=====\n\nFirst words after it.\n"
    chunks = split(text, size=SIZE, overlap=OVERLAP)
    assert chunks[-1].text == "Title\n=====\n\nFirst words after it.\n"
    assert chunks[-1].heading == "Title"


def test_a_heading_takes_along_what_fits_of_a_paragraph() -> None:
    text = f"## Install\n\n{'Take the box. ' * 4}\n\nMore words follow here.\n"
    assert split(text, size=SIZE, overlap=OVERLAP)[0].text == f"## Install\n\n{'Take the box. ' * 3}"


def test_short_sections_share_a_chunk_and_the_end_of_a_long_one_stands_alone() -> None:
    short = "# A\nOne.\n# B\nTwo.\n"
    assert split(f"{short}# C\n{'Three. ' * 12}", size=SIZE, overlap=OVERLAP)[0].text == short
    long = f"# A\n{'Take the box. ' * 5}\n# B\nTwo.\n"
    assert split(long, size=SIZE, overlap=OVERLAP)[-1].text == "# B\nTwo.\n"


def test_a_chunk_ends_after_a_sentence_where_it_can() -> None:
    text = "The first sentence is this one. The second one is a little longer than it. The third ends it all."
    assert [c.text[c.overlap :] for c in split(text, size=60, overlap=0)] == [
        "The first sentence is this one. ",
        "The second one is a little longer than it. ",
        "The third ends it all.",
    ]


def test_an_overlap_begins_with_a_whole_word_or_sentence() -> None:
    chunks = split("alpha beta gamma delta epsilon zeta. " * 6, size=SIZE, overlap=20)
    assert {chunk.text[: chunk.overlap] for chunk in chunks[1:]} == {"delta epsilon zeta. "}


def test_no_overlap_reaches_over_a_heading_or_into_code() -> None:
    text = f"{'Words come first. ' * 3}\n# New\n```\n{'code ' * 10}\n```\n{'Then others. ' * 6}"
    first, code, then, *_ = split(text, size=SIZE, overlap=20)
    assert (first.overlap, code.overlap, then.overlap) == (0, 0, 0)
    assert (code.text[:5], then.text[:4]) == ("# New", "Then")


def test_code_that_begins_with_a_hash_is_no_heading_in_source_files() -> None:
    text = "# a comment\nx = 1\n"
    assert split(text)[0].heading == "a comment"
    assert split(text, headings=False)[0].heading == ""


def test_a_fence_that_is_never_closed_is_text() -> None:
    text = "```\n" + "words and words\n" * 20
    assert max(len(chunk.text) for chunk in split(text, size=SIZE, overlap=OVERLAP)) <= SIZE


@pytest.mark.parametrize(("size", "overlap"), [(10, 10), (0, 0), (10, -1)])
def test_sizes_that_make_no_sense_are_misuse(size: int, overlap: int) -> None:
    with pytest.raises(Misuse, match="expected 0 <= overlap < size"):
        split("text", size=size, overlap=overlap)
