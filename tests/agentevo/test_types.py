"""Records: equal to themselves after JSON, strict about what they take, and right about what they compute."""

from __future__ import annotations

import json
import types
import typing
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from agentevo.types import (
    TRUSTED_FIRST,
    Attempt,
    Experience,
    Feedback,
    FeedbackSource,
    Item,
    Json,
    Message,
    Objective,
    Op,
    Record,
    Reply,
    Report,
    Score,
    Step,
    Task,
    Tool,
    Usage,
    Verb,
    as_messages,
    why_invalid,
)

# Other modules have records of their own, which other tests may have imported before.
OURS = [record for record in Record.__subclasses__() if record.__module__.startswith("agentevo.types.")]
RECORDS = sorted(OURS, key=lambda record: record.__name__)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | st.integers() | FLOATS | st.text(max_size=8)
JSON: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
TASK = Task(id="t", prompt="p")
PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    Json: JSON,
    Score: st.floats(0, 1),
    str: st.text(max_size=20),
    int: st.integers(),
    float: FLOATS,
    bool: st.booleans(),
    type(None): st.none(),
}


def values(annotation: Any) -> st.SearchStrategy[Any]:
    """Return a strategy for everything an annotation of our records admits."""
    if annotation in PLAIN:
        return PLAIN[annotation]
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in (typing.Union, types.UnionType):
        return st.one_of([values(argument) for argument in sorted(arguments, key=lambda a: a is not type(None))])
    if origin is dict:
        return st.dictionaries(st.text(max_size=8), values(arguments[1]), max_size=3)
    if origin is tuple and arguments[-1] is Ellipsis:
        return st.lists(values(arguments[0]), max_size=2).map(tuple)
    if origin is tuple:
        return st.tuples(*map(values, arguments))
    assert issubclass(annotation, Record), f"no strategy for {annotation!r}; add one"
    return records(annotation)


def records(record: type[Record]) -> st.SearchStrategy[Record]:
    """Return a strategy for instances of a record, valid across their fields."""
    if record is Op:
        return st.sampled_from(typing.get_args(Verb)).flatmap(ops)
    if record is Experience:
        return st.lists(records(Attempt), max_size=2, unique_by=lambda a: a.id).flatmap(experiences)  # type: ignore[attr-defined]
    return st.deferred(lambda: st.builds(record, **fields(record)))


def fields(record: type[Record]) -> dict[str, st.SearchStrategy[Any]]:
    hints = typing.get_type_hints(record, include_extras=True)
    return {name: values(hints[name]) for name in record.model_fields}


def ops(verb: str) -> st.SearchStrategy[Record]:
    def build(op: dict[str, Any]) -> Op:
        if verb == "insert":
            op["item"] = op["item"].but(id=op["id"])
        return Op(**op)

    special = {
        "verb": st.just(verb),
        "item": records(Item) if verb in ("insert", "supersede") else st.none(),
        "to": st.lists(st.text(max_size=5), min_size=1, max_size=2).map(tuple) if verb == "link" else st.just(()),
    }
    return st.fixed_dictionaries({**fields(Op), **special}).map(build)


def experiences(attempts: list[Record]) -> st.SearchStrategy[Record]:
    ids = [attempt.id for attempt in attempts]  # type: ignore[attr-defined]
    pairs = st.lists(st.permutations(ids).map(tuple), max_size=2) if len(ids) == 2 else st.just([])
    return st.builds(Experience, task=records(Task), attempts=st.just(tuple(attempts)), pairs=pairs.map(tuple))


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_records_equal_themselves_after_json(record: type[Record], data: st.DataObject) -> None:
    original = data.draw(records(record))
    text = original.model_dump_json()
    back = record.model_validate_json(text)
    assert back == original
    assert back.model_dump_json() == text
    assert record.model_validate(json.loads(text)) == original


@given(JSON)
def test_nested_json_survives_with_its_types(value: Any) -> None:
    back = Task.model_validate_json(Task(id="t", prompt="", data={"value": value}).model_dump_json()).data["value"]
    assert repr(back) == repr(value)


def test_big_integers_survive() -> None:
    task = Task(id="t", prompt="", data={"big": 2**4000, "small": -(2**70)})
    assert Task.model_validate_json(task.model_dump_json()) == task


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")], ids=str)
def test_what_json_cannot_carry_is_refused_at_any_depth(value: float) -> None:
    with pytest.raises(ValidationError, match=r"NaN and infinity|finite number"):
        Task(id="t", prompt="", data={"a": [{"b": value}]})
    with pytest.raises(ValidationError, match="finite"):
        Usage(cost_usd=value)
    with pytest.raises(ValidationError):
        Item(id="i", text="", created_at=value)


def test_a_value_that_is_no_json_is_refused() -> None:
    with pytest.raises(ValidationError):
        Task.model_validate({"id": "t", "prompt": "", "data": {"f": print}})


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
def test_unknown_fields_are_refused(record: type[Record]) -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        record.model_validate({"surprise": 1})


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
def test_records_are_frozen(record: type[Record]) -> None:
    value = record.model_construct()
    with pytest.raises(ValidationError, match="frozen"):
        setattr(value, next(iter(record.model_fields)), None)


def test_but_validates_what_it_changes() -> None:
    item = Item(id="i", text="a", created_at=1.0)
    assert item.but(text="b") == Item(id="i", text="b", created_at=1.0)
    with pytest.raises(ValidationError, match="trust"):
        item.but(trust=2)


def test_an_objective_leads_to_its_parent() -> None:
    leaf = Objective(ability="coding", parent=Objective(ability="reasoning"))
    assert Objective.model_validate_json(leaf.model_dump_json()) == leaf


@given(st.lists(st.builds(Usage, **fields(Usage)), max_size=4))
def test_usages_add_up(usages: list[Usage]) -> None:
    total = sum(usages, Usage())
    assert total.calls == sum(usage.calls for usage in usages)
    assert total.tokens == sum(usage.prompt_tokens + usage.completion_tokens for usage in usages)


def attempt(*feedback: Feedback) -> Attempt:
    return Attempt(id="a", task=TASK, feedback=feedback)


@given(st.lists(st.tuples(st.sampled_from(TRUSTED_FIRST), st.none() | st.floats(0, 1))))
def test_the_most_trusted_source_scores_an_attempt(given: list[tuple[FeedbackSource, float | None]]) -> None:
    expected: float | None = None
    for source in reversed(TRUSTED_FIRST):
        for speaker, score in given:
            if speaker == source and score is not None:
                expected = score
    assert attempt(*(Feedback(source=source, score=score) for source, score in given)).score == expected


def test_trust_falls_from_environment_to_self() -> None:
    assert TRUSTED_FIRST == ("environment", "human", "rule", "judge", "peer", "self")
    assert set(TRUSTED_FIRST) == set(typing.get_args(FeedbackSource))


def test_told_adds_feedback_and_keeps_what_there_was() -> None:
    first, second = Feedback(score=0.2, source="self"), Feedback(score=0.9, source="rule")
    assert attempt(first).told(second) == attempt(first, second)


def message(role: str, content: str) -> Message:
    return {"role": role, "content": content}


def test_steps_pair_what_was_said_with_what_came_back() -> None:
    system, user = message("system", "s"), message("user", "u")
    said, result, more, done = (
        message("assistant", "1"),
        message("tool", "r"),
        message("user", "m"),
        message("assistant", "2"),
    )
    trajectory = Attempt(id="a", task=TASK, messages=(system, user, said, result, more, done))
    assert trajectory.steps == (Step(action=said, observations=(result, more)), Step(action=done))
    assert Attempt(id="a", task=TASK, messages=(system, user)).steps == ()


def test_pairs_name_attempts_of_the_same_experience() -> None:
    attempts = (Attempt(id="good", task=TASK), Attempt(id="bad", task=TASK))
    assert Experience(task=TASK, attempts=attempts, pairs=(("good", "bad"),)).pairs == (("good", "bad"),)
    with pytest.raises(ValidationError, match="pairs name attempts that are not here: worse"):
        Experience(task=TASK, attempts=attempts, pairs=(("good", "worse"),))


def test_an_experience_scores_as_its_best_attempt() -> None:
    scores = [None, 0.25, 0.75]
    attempts = tuple(Attempt(id=str(s), task=TASK, feedback=(Feedback(score=s),)) for s in scores)
    assert Experience(task=TASK, attempts=attempts).score == 0.75
    assert Experience(task=TASK, attempts=attempts[:1]).score == 0.0
    assert Experience(task=TASK).score == 0.0


def test_a_report_scores_the_mean_of_its_experiences_else_of_its_abilities() -> None:
    won = Experience(task=TASK, attempts=(attempt(Feedback(score=1.0)),))
    lost = Experience(task=TASK, attempts=(attempt(Feedback(score=0.0)),))
    assert Report(scores={"math": 0.1}, experiences=(won, lost)).score == 0.5
    assert Report(scores={"math": 0.1, "coding": 0.3}).score == pytest.approx(0.2)
    assert Report().score == 0.0


@pytest.mark.parametrize(("wins", "losses", "utility"), [(0, 0, 0.5), (1, 0, 2 / 3), (0, 3, 0.2), (9, 9, 0.5)])
def test_utility_is_the_expected_share_of_uses_that_helped(wins: float, losses: float, utility: float) -> None:
    assert Item(id="i", text="", created_at=0, wins=wins, losses=losses).utility == pytest.approx(utility)


ITEM = Item(id="i", text="t", created_at=0.0)


@pytest.mark.parametrize("verb", typing.get_args(Verb))
def test_an_op_carries_what_its_verb_needs_and_nothing_else(verb: Verb) -> None:
    item: dict[str, Any] = {"item": ITEM}
    to: dict[str, Any] = {"to": ("j",)}
    carried = item if verb in ("insert", "supersede") else {}
    leads = to if verb == "link" else {}
    assert Op(verb=verb, id="i", **carried, **leads).verb == verb
    with pytest.raises(ValidationError, match="insert and supersede carry an item"):
        Op(verb=verb, id="i", **({} if carried else item), **leads)
    if verb == "forget":  # it may say what holds instead
        assert Op(verb=verb, id="i", **to).to == ("j",)
        return
    with pytest.raises(ValidationError, match="a link says what it leads to"):
        Op(verb=verb, id="i", **carried, **({} if leads else to))


def test_an_insert_carries_the_item_it_names() -> None:
    with pytest.raises(ValidationError, match="insert of 'j' carries the item 'i'"):
        Op(verb="insert", id="j", item=ITEM)


def test_a_reply_is_parsed_as_its_schema() -> None:
    assert Reply(texts=('{"calls": 3}', "ignored")).parsed(Usage) == Usage(calls=3)
    assert Reply(texts=()).text == ""


def test_a_tool_is_shown_as_chat_services_take_it() -> None:
    shown = Tool(name="add", description="Add.").as_openai()
    function = {"name": "add", "description": "Add.", "parameters": {"type": "object", "properties": {}}}
    assert shown == {"type": "function", "function": function}


def test_a_text_is_one_user_message() -> None:
    hello = message("user", "hello")
    assert as_messages("hello") == as_messages(hello) == as_messages([hello]) == as_messages((hello,)) == [hello]


def test_a_validation_error_becomes_one_line() -> None:
    with pytest.raises(ValidationError) as caught:
        Task.model_validate({"id": 1, "prompt": "p", "data": {"x": float("nan")}})
    line = why_invalid(caught.value)
    assert line.startswith("id: Input should be a valid string (got 1); data.x")
    assert "\n" not in line


def test_what_an_attempt_was_given_is_no_step_of_it() -> None:
    given: tuple[Message, ...] = ({"role": "user", "content": "1"}, {"role": "assistant", "content": "one"})
    own: tuple[Message, ...] = ({"role": "user", "content": "2"}, {"role": "assistant", "content": "two"})
    attempt = Attempt(id="a", task=Task(id="t", prompt="2"), messages=(*given, *own), prompt=3)
    assert [step.action["content"] for step in attempt.steps] == ["two"]
