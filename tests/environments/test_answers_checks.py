"""What counts as right: exact texts, numbers, choices and patterns, through the environment that asks."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentevo.environments.answers import Answers, Check, Choice, Exact, Number, Pattern
from agentevo.environments.answers.checks import Right
from agentevo.errors import Misuse, UnknownName
from agentevo.types import Attempt, Json


def score(check: str | Check, right: Json, reply: str, options: Sequence[Json] = ()) -> float:
    """Ask one question with this right answer, and return what the environment says of a reply."""
    row: Mapping[str, object] = {"text": "Well?", "label": right, "options": list(options)}
    environment = Answers([row], check=check, options="options" if options else "", shares={"test": 1.0})
    task = environment.tasks("test")[0]
    found = asyncio.run(environment.verify(task, Attempt(id="a", task=task, answer=reply)))
    assert found.source == "environment"
    assert found.score is not None
    return found.score


@pytest.mark.parametrize(
    "reply",
    ["Card Arrival", "card arrival.", ' "CARD  ARRIVAL"!', "**card arrival**", "(card\narrival).", "`card arrival`",
     "ｃａｒｄ arrival", "card\u00a0arrival"],
)  # fmt: skip
def test_exact_folds_case_space_and_what_stands_around(reply: str) -> None:
    assert score("exact", "card arrival", reply) == 1.0


@pytest.mark.parametrize(
    ("right", "reply"),
    [("card arrival", "card arrivals"), ("card arrival", "it is card arrival"), ("card arrival", ""), ("-5", "5"),
     ("C++", "C"), ("C#", "C"), ("10%", "10"), (".5", "5"), ("@ann", "ann"), ("naïve", "naive"), ("a.b", "ab"),
     ("yes", "yes\nno"), ("?", ""), ("?", "!")],
)  # fmt: skip
def test_exact_keeps_what_makes_a_difference(right: str, reply: str) -> None:
    assert score("exact", right, reply) == 0.0


def test_any_of_several_right_answers_will_do() -> None:
    assert [score("exact", ["Vienna", "Wien"], reply) for reply in ("vienna", "Wien", "Graz")] == [1.0, 1.0, 0.0]


@given(st.text(min_size=1).filter(lambda text: bool(text.strip()) and "\x00" not in text))
def test_exact_accepts_every_right_text_itself(text: str) -> None:
    assert Exact().accepts(text, _right(text))
    assert not Exact().accepts("", _right(text))


@pytest.mark.parametrize(
    ("right", "reply"),
    [("1234.5", "It costs $1,234.50."), ("1234567", "1’234’567"), ("5000", "5\u202f000"), ("0.75", "so 3/4"),
     ("1.5", "1 1/2 cups"), ("1.5", "1½"), ("-5", "x = −5"), ("5", "10-5"), ("12%", "0.12"), ("0.12", "12 %"),
     ("12", "12%"), ("12%", "12"), ("0.75", r"\frac{3}{4}"), ("42", r"\boxed{42}"), ("1000", "1e3"),
     ("42", "1, 2, 42."),
     ("she has 3, so #### 42", "The answer is 42"), ("0.5", ".5"), ("5", "is...5"), ("7", "7kg of H2O"), ("42", "٤٢"),
     (42, "42.0"), ("1/3", "2/6"), ("12345678901234567890", "12345678901234567890")],
)  # fmt: skip
def test_a_number_is_found_in_the_reply(right: Json, reply: str) -> None:
    assert score("number", right, reply) == 1.0


@pytest.mark.parametrize(
    ("right", "reply"),
    [("42", ""), ("42", "forty-two"), ("42", "42 or 43"), ("12%", "1.2%"), ("12%", "1200%"), ("2", "H2"), ("-5", "5"),
     ("1/3", "0.333"), ("12345678901234567890", "12345678901234567891"), ("1234", "1,23"), ("1", "1/0"),
     ("1", "9" * 5000), ("1", "1e999")],
)  # fmt: skip
def test_another_number_is_wrong(right: str, reply: str) -> None:
    assert score("number", right, reply) == 0.0


def test_a_number_may_be_off_by_the_tolerance_and_no_more() -> None:
    check = Number(tolerance=0.3)
    assert [score(check, "1", reply) for reply in ("1.3", "0.7", "1.31")] == [1.0, 1.0, 0.0]


def test_only_the_only_number_counts_where_that_is_asked() -> None:
    check = Number(which="only")
    assert [score(check, "42", reply) for reply in ("it is 42", "42, yes 42.0", "41 or 42")] == [1.0, 1.0, 0.0]


@given(st.integers(-(10**9), 10**9), st.integers(0, 999))
def test_a_number_is_read_as_python_writes_it(whole: int, part: int) -> None:
    text = f"{whole:,}.{part:03}"
    assert Number().accepts(f"That makes {text} in all.", _right(text.replace(",", "")))
    assert not Number().accepts(f"That makes {text} in all.", _right(f"{whole + 2}"))


CITIES = ("Graz", "Linz", "New Graz", "Wels")


@pytest.mark.parametrize(
    "reply",
    ["B", "b", "(B)", "B.", " B) Linz", "**B**", "b: it lies on the Danube", "The answer is B", "answer: (B)", "linz",
     "Linz.", r"so \boxed{B}", "It must be Linz, I think.", "I would say B", "A is wrong. The answer is B"],
)  # fmt: skip
def test_a_choice_is_read_from_letter_or_text(reply: str) -> None:
    assert score("choice", "Linz", reply, CITIES) == 1.0


@pytest.mark.parametrize("reply", ["", "A", "E", "Z)", "Graz or Linz", "A and B", "none of them", "A city", "boom"])
def test_a_choice_that_is_wrong_or_left_open_scores_nothing(reply: str) -> None:
    assert score("choice", "Linz", reply, CITIES) == 0.0


def test_an_option_inside_a_longer_one_is_not_meant_by_it() -> None:
    assert score("choice", "New Graz", "I pick New Graz here", CITIES) == 1.0
    assert score("choice", "Graz", "I pick New Graz here", CITIES) == 0.0


@pytest.mark.parametrize("right", ["B", "b)", "linz", 1, ["B", "Wels"]])
def test_the_right_option_is_given_by_letter_text_or_index(right: Json) -> None:
    assert score("choice", right, "Linz", CITIES) == 1.0
    assert score("choice", right, "Graz", CITIES) == 0.0


def test_an_option_that_looks_like_an_index_is_meant_by_its_text() -> None:
    assert score("choice", 1, "1", ["4", "3", "2", "1"]) == 1.0
    assert score("choice", 1, "B", ["4", "3", "2", "1"]) == 0.0


def test_a_pattern_matches_the_whole_reply_or_a_part_of_it() -> None:
    assert [score("pattern", r"a\d+", reply) for reply in (" a12\n", "A12", "see a12")] == [1.0, 0.0, 0.0]
    assert score(Pattern(search=True), r"a\d+", "see a12") == 1.0
    assert score(Pattern(ignore_case=True), r"a\d+", "A12") == 1.0


def test_a_pattern_that_explodes_is_given_up_while_others_go_on() -> None:
    rows = [{"text": "slow", "label": "(a|aa)+b"}, {"text": "quick", "label": "ok"}]
    environment = Answers(rows, check=Pattern(seconds=0.3), shares={"test": 1.0})
    slow, quick = environment.tasks("test")
    ended: list[str] = []

    async def asked(name: str, task_reply: Attempt) -> float | None:
        found = await environment.verify(task_reply.task, task_reply)
        ended.append(name)
        return found.score

    async def both() -> Sequence[float | None]:
        long = asked("slow", Attempt(id="a", task=slow, answer="a" * 100))
        return await asyncio.gather(long, asked("quick", Attempt(id="b", task=quick, answer="ok")))

    assert list(asyncio.run(both())) == [0.0, 1.0]
    assert ended == ["quick", "slow"]


def test_a_huge_reply_is_wrong_unread() -> None:
    assert score("number", "1", "1 " * 10_000) == 1.0
    assert score("number", "1", "1 " * 100_000) == 0.0


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Number(tolerance=-1), "tolerance is -1"),
        (lambda: Number(tolerance=float("nan")), "tolerance is nan"),
        (lambda: Number(tolerance=True), "tolerance is True"),
        (lambda: Number(which="first"), "unknown number to look at 'first'"),  # type: ignore[arg-type]
        (lambda: Pattern(seconds=0), "seconds is 0"),
        (lambda: score("fuzzy", "a", "a"), "unknown check 'fuzzy'; known: .*exact"),
        (lambda: score(Choice, "a", "a"), "expected one of exact, number"),  # type: ignore[arg-type]
        (lambda: score("number", "many", "1"), "row 1: the answer 'many' holds no number"),
        (lambda: score("pattern", "(a", "a"), r"row 1: the answer '\(a' is no regular expression"),
        (lambda: score("choice", "E", "a", CITIES), "row 1: the answer 'E' is neither an option nor the letter"),
        (lambda: score("choice", 9, "a", CITIES), "row 1: the answer '9' is neither"),
        (lambda: score("choice", "A", "a", ["x"]), "row 1: a choice has 2 to 26 options, this one 1"),
        (lambda: score("choice", "A", "a", ["x", " X. "]), "row 1: two of its options are the same"),
        (lambda: score("choice", "A", "a", ["x", ""]), r"row 1: its options are \['x', ''\]"),
        (lambda: score("choice", "A", "a"), "needs options="),
        (lambda: score("exact", "A", "a", ["x", "y"]), "check is 'exact' and options is 'options'"),
    ],
)  # fmt: skip
def test_what_cannot_be_checked_is_refused(make: object, says: str) -> None:
    assert callable(make)
    with pytest.raises(Misuse, match=says):
        make()


def test_an_unknown_check_is_an_unknown_name() -> None:
    with pytest.raises(UnknownName):
        score("exakt", "a", "a")


def _right(text: str) -> Right:
    return Right((text,))
