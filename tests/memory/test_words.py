"""Words of many scripts: found however their characters are put, in whatever script."""

from __future__ import annotations

import unicodedata

import pytest

from agentevo.memory import Memory
from agentevo.memory.words import words


def found(texts: list[str], asked: str) -> list[str]:
    with Memory.open(":memory:", embedder="hash") as memory:
        memory.insert(texts)
        assert memory.verify().ok
        hits = [hit.item.text for hit in memory.recall(asked, 5, mode="bm25")]
        with memory.draft() as draft:
            draft.insert("new in the draft")
            assert [hit.item.text for hit in draft.recall(asked, 5, mode="bm25")] == hits
        return hits


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        (unicodedata.normalize("NFD", "Müller's résumé"), "müller résumé"),
        ("Müller", unicodedata.normalize("NFD", "müller")),
        ("İstanbul", "istanbul"),
        ("the \uff21\uff30\uff29 key", "api"),
        ("Hauptstraße 5", "HAUPTSTRASSE"),
        ("Άνθρωπος", "ΑΝΘΡΩΠΟΣ"),
        ("ещё", "еще"),
        ("سَلَامٌ", "سلام"),
        ("שָׁלוֹם", "שלום"),
        ("می\u200cخواهم", "میخواهم"),
        ("co\u00adoperate", "cooperate"),
    ],
)
def test_a_word_is_found_in_another_way_of_writing_it(text: str, asked: str) -> None:
    assert found([text, "something else"], asked) == [text]


@pytest.mark.parametrize(
    ("text", "other", "asked"),
    [
        ("किताब मेज़ पर है", "कमल का फूल", "किताब"),
        ("ภาษาไทยง่ายมาก", "แมวกินปลา", "ภาษา"),
        ("မြန်မာစာ", "ရေ", "မြန်မာ"),
        ("தமிழ் மொழி", "வீடு", "தமிழ்"),
        ("가방을 메다", "나무", "메다"),
        ("かがみ", "かかし", "がみ"),
    ],
)
def test_a_word_with_signs_on_its_letters_is_one_word(text: str, other: str, asked: str) -> None:
    assert found([text, other], asked) == [text]


def test_letters_that_are_letters_of_their_own_stay_apart() -> None:
    assert words("мой") != words("мои")
    assert words("が") != words("か")
