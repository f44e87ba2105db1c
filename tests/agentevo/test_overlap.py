"""Overlap: when two texts say the same, nearly the same, or hold each other."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentevo.overlap import Held, alike, digest, grams, words

LONG = "Please tell Anna that the budget meeting was moved to Friday at three in the afternoon"
MORE = " ".join(f"other{n}" for n in range(200))


@given(st.text())
def test_case_and_spacing_do_not_change_a_digest(text: str) -> None:
    assert digest(text) == digest(f"  {text}\n") == digest(text.replace(" ", " \t "))


def test_what_is_said_changes_a_digest() -> None:
    assert digest("Ｒｕｎ   it") == digest("run IT")
    assert len({digest(text) for text in ("a + b", "a - b", "a b", "")}) == 4


def test_words_leave_signs_out_unless_asked() -> None:
    assert words("Is 3-4 < x_1?") == ["is", "3", "4", "x_1"]
    assert words("3-4 < x", signs=True) == ["3", "-", "4", "<", "x"]
    assert words("東京 is big") == ["東", "京", "is", "big"]


def test_halves_of_characters_have_overlap_too() -> None:
    assert digest("a\ud800") != digest("b")
    assert grams(words("a \ud800 b", signs=True), 2)


def test_likeness_counts_shared_runs() -> None:
    said = [words(text) for text in ("a b c d", "a b c e", "x y z")]
    one, near, far = (grams(some, 2) for some in said)
    assert (alike(one, one), alike(one, near), alike(one, far), alike(set(), set())) == (1.0, 0.5, 0.0, 1.0)


@given(st.lists(st.sampled_from("abcdef"), max_size=12), st.lists(st.sampled_from("abcdef"), max_size=12))
def test_likeness_is_symmetric_and_bounded(one: list[str], other: list[str]) -> None:
    first, second = grams(one, 3), grams(other, 3)
    assert 0 <= alike(first, second) == alike(second, first) <= 1


def test_grams_are_the_same_in_each_process() -> None:
    code = "from agentevo.overlap import grams; print(sorted(grams(['a', 'b', 'c'], 2)))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == str(sorted(grams(["a", "b", "c"], 2)))


@pytest.mark.parametrize(
    "text",
    [LONG.upper(), f"{MORE}\n> {LONG}!\n{MORE}", " ".join(LONG.split()[:12]), LONG.replace("Anna", "Ben")],
    ids=["same", "quoted in a longer one", "a part", "one word changed"],
)
def test_a_held_text_is_found_however_it_comes(text: str) -> None:
    assert Held([LONG, "Something else"]).has(text)


@pytest.mark.parametrize("text", ["", "Tell Anna", "Please tell Ben that the kitchen is closed on Monday all day long"])
def test_other_texts_are_not_held(text: str) -> None:
    assert not Held([LONG]).has(text)


def test_short_texts_are_held_only_as_a_whole() -> None:
    held = Held(["Name a fruit.", "name  a FRUIT."])
    assert (len(held), held.has("Name a fruit."), held.has("Name a fruit. Then name a tree, and say why.")) == (
        1,
        True,
        False,
    )
    assert held.has("Name a fruit?!")
    assert not Held(["...", "2 + 3 = ?"]).has("2 + 4 = ?")
    assert Held(["..."]).has("...")
    assert not Held(["..."]).has("!")


@pytest.mark.parametrize("text", [LONG, f"{MORE} {LONG} {MORE}", " ".join(LONG.split()[:12])])
def test_most_of_a_held_text_stands_in_another(text: str) -> None:
    assert Held(["Name a fruit.", LONG]).stands_in(text)


@pytest.mark.parametrize("text", ["", "Name a fruit.", " ".join(LONG.split()[:10]), "Name a fruit. Then name a tree."])
def test_a_part_of_a_held_text_or_a_short_one_does_not(text: str) -> None:
    assert not Held(["Name a fruit.", LONG]).stands_in(text)
