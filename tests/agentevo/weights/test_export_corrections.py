"""Export of corrections: what people said would have been right is what is learned, in place of what was answered."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from exported import rows
from moments import attempt, experience, memory

from agentevo import Agent, Attempt, Memory
from agentevo.errors import ExportError
from agentevo.models import FunctionModel
from agentevo.phases.act import Sample
from agentevo.protocols import Recipe
from agentevo.types import Experience, Feedback, Message
from agentevo.weights import DataCard, export_pairs, export_sft
from agentevo.weights.export_stage import Stage, Staged


@pytest.fixture
def m() -> Iterator[Memory]:
    with memory() as opened:
        yield opened


def said(answer: str | None, score: float | None = 0.0) -> Feedback:
    """What a person says of an answer."""
    return Feedback(score=score, source="human", evidence={} if answer is None else {"answer": answer})


def corrected(*answers: str | None, answer: str = "Bergen", **fields: Any) -> Attempt:
    asked = attempt("a1", "What is the capital of Norway?", answer)
    return asked.but(**fields).told(*map(said, answers))


def contents(row: dict[str, Any], *names: str) -> list[str]:
    return [message["content"] for name in names for message in row[name]]


def test_what_a_person_corrected_is_a_row_and_what_was_answered_none(m: Memory) -> None:
    agent = Agent(FunctionModel(lambda messages: "Bergen"), memory=m, recipe="evo")
    answered = agent.run("What is the capital of Norway?")
    agent.feedback(answered, correction="Oslo")
    (row,), card = rows(m, strip=["memory"])
    assert contents(row, "prompt")[-1] == "What is the capital of Norway?"
    assert (contents(row, "completion"), row["score"], row["synthetic"]) == (["Oslo"], 1.0, False)
    assert (row["lineage"]["attempt"], row["lineage"]["correction"]) == (answered.id, True)
    assert (card.rows, card.corrections, card.dropped) == (1, 1, {"low score": 1})
    assert "| corrections by people | 1 |" in card.as_markdown()


def test_a_correction_is_preferred_to_what_was_answered(m: Memory) -> None:
    m.record(experience(corrected("Oslo")))
    (row,), card = rows(m, export_pairs)
    assert contents(row, "prompt", "chosen", "rejected") == ["What is the capital of Norway?", "Oslo", "Bergen"]
    assert (row["margin"], row["synthetic"], card.corrections, card.dropped) == (1.0, False, 1, {})
    assert row["lineage"] | {"chosen": "a1", "rejected": "a1", "correction": True} == row["lineage"]


def test_a_correction_stands_beside_other_preferences(m: Memory) -> None:
    asked = "What is the capital of Norway?"
    right = attempt("a2", asked, "It is Oslo.", 1.0, source="human")
    m.record(experience(corrected("Oslo"), right))
    found, _ = rows(m, export_pairs)
    assert [contents(row, "chosen", "rejected") for row in found] == [["Oslo", "Bergen"], ["It is Oslo.", "Bergen"]]
    given = Experience(task=right.task, attempts=(corrected("Oslo"), right), pairs=(("a2", "a1"),))
    found, _ = rows([given], export_pairs)
    assert [contents(row, "chosen", "rejected") for row in found] == [["Oslo", "Bergen"], ["It is Oslo.", "Bergen"]]


@pytest.mark.parametrize("near", [0.8, None])
def test_of_several_corrections_of_an_answer_the_last_one_stands(m: Memory, near: float | None) -> None:
    for n in range(1, 4):
        m.record(experience(corrected(*("Oslo in the sout", "Oslo in the south", "Oslo in the sout")[:n])))
    (row,), card = rows(m, near=near)
    assert contents(row, "completion") == ["Oslo in the sout"]
    assert (card.corrections, card.dropped) == (1, {"low score": 3, "superseded": 2})


def test_nothing_is_corrected_where_it_was_right_after_all(m: Memory) -> None:
    m.record(experience(corrected("Oslo").told(said(None, 1.0))))
    m.record(experience(attempt("a2", "And of Italy?", "Rome", 0.0).told(Feedback(evidence={"answer": "Milan"}))))
    (row,), card = rows(m)
    assert (contents(row, "completion"), card.corrections) == (["Bergen"], 0)


CALL: Message = {
    "role": "assistant",
    "content": "",
    "tool_calls": [{"id": "c", "type": "function", "function": {"name": "look", "arguments": '{"at": "Norway"}'}}],
}
SEEN: Message = {"role": "tool", "tool_call_id": "c", "content": "Oslo, Bergen"}
ASKED: Message = {"role": "user", "content": "What is the capital of Norway?"}
WRONG: Message = {"role": "assistant", "content": "Bergen"}


def test_what_led_to_a_corrected_answer_is_given_and_not_learned() -> None:
    one = corrected("Oslo", messages=(ASKED, CALL, SEEN, WRONG), prompt=1)
    for messages in ((ASKED, CALL, SEEN, WRONG), (ASKED, CALL, SEEN)):
        (row,), _ = rows([experience(one.but(messages=messages, stopped="" if WRONG in messages else "steps"))])
        assert [message["role"] for message in row["prompt"]] == ["user", "assistant", "tool"]
        assert contents(row, "completion") == ["Oslo"]
    (row,), _ = rows([experience(one)], export_pairs)
    assert contents(row, "chosen", "rejected") == ["Oslo", "Bergen"]
    (row,), _ = rows([experience(one)], turns="answer")
    assert contents(row, "prompt", "completion") == [str(ASKED["content"]), "Oslo"]


def dropped(source: Any, export: Callable[..., DataCard] = export_sft, **options: Any) -> dict[str, int]:
    with pytest.raises(ExportError) as raised:
        rows(source, export, **options)
    return raised.value.dropped


def test_a_correction_whose_earlier_turns_would_be_learned_too_is_left_out() -> None:
    one = corrected("Oslo", messages=(ASKED, CALL, SEEN, WRONG), prompt=1)
    assert dropped([experience(one)], shape="messages") == {"low score": 1, "turns before a correction": 1}


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (corrected("Oslo", answer=""), {"no answer": 1, "no contrast": 1}),
        (corrected("Bergen"), {"equal answers": 1}),
        (corrected("Oslo", messages=(ASKED, CALL, SEEN), prompt=1), {"different prompts": 1}),
    ],
)
def test_a_correction_of_nothing_is_no_preference(one: Attempt, why: dict[str, int]) -> None:
    assert dropped([experience(one)], export_pairs) == why


@pytest.mark.parametrize("fate", ["forgotten", "quarantined"])
def test_a_lesson_that_is_no_more_is_no_row(m: Memory, fate: str) -> None:
    agent = Agent(FunctionModel(lambda messages: "Bergen"), memory=m, recipe="evo")
    agent.feedback(agent.run("What is the capital of Norway?"), correction="Oslo")
    (lesson,) = m.list(kind="lesson")
    m.forget(lesson.id) if fate == "forgotten" else m.quarantine(lesson.id)
    assert dropped(m) == {"low score": 1, fate: 1}


def test_an_answer_that_was_praised_before_it_was_corrected_is_corrected(m: Memory) -> None:
    agent = Agent(FunctionModel(lambda messages: "Bergen"), memory=m, recipe="evo")
    answered = agent.run("What is the capital of Norway?")
    agent.feedback(answered, score=1.0)
    agent.feedback(answered, correction="Oslo")
    (row,), card = rows(m)
    assert contents(row, "completion") == ["Oslo"]
    assert card.dropped == {"forgotten": 2}


def test_corrections_are_decontaminated_and_masked_as_all_rows_are() -> None:
    secret = "AKIA" + "IOSFODNN7EXAMPLE"
    told = [experience(corrected(f"The key is {secret}"))]
    (row,), card = rows(told)
    assert secret not in row["completion"][0]["content"]
    assert card.masked == 1
    assert dropped(told, against={"exam": ["what is the capital of norway?"]}) == {"in exam": 1, "low score": 1}


def test_a_recipe_without_lessons_exports_corrections_too(m: Memory) -> None:
    def answers(messages: Sequence[Message]) -> str:
        return "Bergen"

    agent = Agent(FunctionModel(answers), memory=m, recipe=Recipe(act=Sample()))
    agent.feedback(agent.run("What is the capital of Norway?"), correction="Oslo")
    assert contents(rows(m)[0][0], "completion") == ["Oslo"]


RIGHT, WRONG_SCORE, OSLO = {"score": 1.0}, {"score": 0.0}, {"correction": "Oslo"}


@pytest.mark.parametrize(
    ("words", "learned", "left_out"),
    [
        ([OSLO, RIGHT], ["Bergen"], {"low score": 1, "superseded": 1}),
        ([RIGHT, OSLO], ["Oslo"], {"low score": 1, "superseded": 1}),
        ([RIGHT, WRONG_SCORE, RIGHT], ["Bergen"], {"low score": 1, "superseded": 1}),
        ([RIGHT, RIGHT], ["Bergen"], {"duplicate": 1}),
        ([{"score": 0.6}, RIGHT], ["Bergen"], {"superseded": 1}),
    ],
)
def test_the_last_word_on_an_answer_stands_also_where_nothing_was_learned_from_it(
    m: Memory, words: list[dict[str, Any]], learned: list[str], left_out: dict[str, int]
) -> None:
    agent = Agent(FunctionModel(lambda messages: "Bergen"), memory=m, recipe=Recipe(act=Sample()))
    answered = agent.run("What is the capital of Norway?")
    for word in words:
        agent.feedback(answered, **word)
    found, card = rows(m)
    assert [(contents(row, "completion"), row["score"]) for row in found] == [(learned, 1.0)]
    assert card.dropped == left_out


@pytest.mark.parametrize(("export", "first", "last"), [(export_pairs, OSLO, RIGHT), (export_sft, RIGHT, WRONG_SCORE)])
def test_what_the_last_word_took_back_is_no_row(
    m: Memory, export: Any, first: dict[str, Any], last: dict[str, Any]
) -> None:
    agent = Agent(FunctionModel(lambda messages: "Bergen"), memory=m, recipe=Recipe(act=Sample()))
    answered = agent.run("What is the capital of Norway?")
    agent.feedback(answered, **first)
    agent.feedback(answered, **last)
    assert dropped(m, export)["superseded"] == 1


EARLY, LATE = 1.0, 2.0
FILTERS: tuple[dict[str, Any], ...] = (
    {"where": {"score": {"$gte": 0.9}}}, {"where": {"$created_at": {"$lt": LATE}}}, {"where": {"run": "night"}},
    {"run": "night"},
)  # fmt: skip


@pytest.mark.parametrize("chosen", FILTERS)
@pytest.mark.parametrize(("again", "left"), [(0.0, []), (1.0, ["Bergen"])])
def test_what_a_filter_hides_still_takes_back_what_it_shows(
    chosen: dict[str, Any], again: float, left: list[str]
) -> None:
    now = [EARLY]
    with Memory.open(":memory:", embedder="hash", clock=lambda: now[0]) as store:
        store.record(experience(attempt("b", "And of Italy?", "Rome", 1.0)), run="night")
        first = attempt("a", "What is the capital of Norway?", "Bergen", 1.0, source="human")
        store.record(experience(first), run="night")
        now[0] = LATE
        store.record(experience(first.but(feedback=[Feedback(score=again, source="human")])))
        found, card = rows(store, **{"where": None, **chosen}, min_score=0.9)
    assert [row["completion"][0]["content"] for row in found if row["lineage"]["attempt"] == "a"] == left
    assert card.dropped.get("superseded", 0) == (not left)


@pytest.mark.parametrize("again", [1.0, 0.6])
@pytest.mark.parametrize(("chosen", "score"), [({"run": "night"}, 0.8), ({}, None)])
def test_praise_that_a_filter_hides_leaves_the_row(again: float, chosen: dict[str, Any], score: float | None) -> None:
    with Memory.open(":memory:", embedder="hash") as store:
        first = attempt("a", "What is the capital of Norway?", "Oslo", 0.8, source="human")
        store.record(experience(first), run="night")
        store.record(experience(first.but(feedback=[Feedback(score=again, source="human")])))
        found, card = rows(store, **chosen)
    assert [row["score"] for row in found] == [score or again]
    assert card.dropped.get("superseded", 0) == (score is None)


@pytest.mark.parametrize(("again", "left"), [("Oslo", ["Oslo"]), ("The town of Oslo", [])])
def test_a_preference_stays_where_a_filter_hides_only_that_the_rest_was_scored_anew(
    again: str, left: list[str]
) -> None:
    with Memory.open(":memory:", embedder="hash") as store:
        right = attempt("b", "And of Italy?", "Rome", 1.0)
        store.record(experience(right, attempt("c", "And of Italy?", "Milan", 0.0)), run="night")
        store.record(experience(corrected("Oslo")), run="night")
        store.record(experience(corrected("Oslo").told(said(again, 0.3))))
        found, _ = rows(store, export_pairs, run="night")
    assert [contents(row, "chosen")[0] for row in found if row["lineage"]["chosen"] == "a1"] == left


def answered(name: str, answer: str, *words: str) -> Experience:
    """What was answered to one question, and how people corrected that; without a correction it was right."""
    asked = attempt(name, "What is the capital of Norway?", answer, 0.0 if words else 1.0)
    return experience(asked.told(*map(said, words)))


LONG = " ".join(f"word{n}" for n in range(60))


@pytest.mark.parametrize(("same", "why"), [("Oslo", "duplicate"), (f"{LONG} Oslo", "near duplicate")])
def test_what_repeated_a_correction_stands_where_that_is_corrected_anew(same: str, why: str) -> None:
    first = "OSLO" if why == "duplicate" else f"{LONG} oslo, in Norway"
    told = [answered("a", "Bergen", first), answered("b", same), answered("c", same)]
    found, card = rows(told)
    assert [row["lineage"]["attempt"] for row in found] == ["a"]
    assert card.dropped[why] + card.dropped["duplicate"] * (why != "duplicate") == 2
    found, card = rows([*told, answered("a", "Bergen", first, "The town of Oslo")])
    assert [(row["lineage"]["attempt"], contents(row, "completion")) for row in found] == [
        ("b", [same]),
        ("a", ["The town of Oslo"]),
    ]
    assert card.dropped == {"duplicate": 1, "low score": 2, "superseded": 1}


def test_a_correction_that_repeated_another_row_is_superseded_like_any_other() -> None:
    told = [answered("a", "Bergen", "Oslo"), answered("b", "Trondheim", "Oslo"), answered("b", "Trondheim", "Hamar")]
    last = answered("a", "Bergen", "Oslo", "Narvik")
    found, card = rows([*told, last])
    assert [contents(row, "completion") for row in found] == [["Hamar"], ["Narvik"]]
    assert card.dropped == {"low score": 4, "superseded": 2}


def test_what_stands_again_has_its_old_place_and_is_counted_and_balanced_as_all_rows_are() -> None:
    other = experience(attempt("z", "And of Italy?", "Rome", 1.0))
    last = answered("a", "Bergen", "Oslo", "It is Oslo")
    told = [answered("a", "Bergen", "Oslo"), answered("b", "Oslo"), other, last]
    found, card = rows(told)
    assert [row["lineage"]["attempt"] for row in found] == ["b", "z", "a"]
    assert (card.rows, card.corrections, sum(card.abilities.values())) == (3, 1, 3)
    found, card = rows(told, per_ability=2)
    assert (card.rows, card.dropped["above the number of an ability"]) == (2, 1)


@pytest.mark.parametrize("same", ["Oslo", LONG])
def test_correcting_anew_what_many_rows_repeat_costs_each_of_them_little(same: str, tmp_path: Path) -> None:
    """Where each went through all that are left, this took half a minute."""
    stage, since = Stage(tmp_path / "stage.db", 0.8, 0), time.process_time()
    texts = [f"{same} {n}" if same == LONG else same for n in range(1500)]
    for n, text in enumerate(texts):
        stage.add(Staged("{}", text, "", f"{n}", 0.0, True, False, False, False))
    for n in range(len(texts) - 2):
        stage.withdraw([f"{n}"], [])
    why = "near duplicate" if same == LONG else "duplicate"
    assert {why: 1, "superseded": 1498}.items() <= stage.settle().items()
    assert (stage.totals().rows, time.process_time() - since < 5) == (1, True)
    stage.close()
