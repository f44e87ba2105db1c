"""What people and environments say would have been right becomes a lesson without a model."""

from __future__ import annotations

from moments import attempt, experience, learned, memory, moment, ops

from agentevo.memory import Insert
from agentevo.memory.corrections import corrected, has_correction, is_unexplained, told
from agentevo.types import Attempt, Feedback


def corrected_attempt(answer: str = "RMD Anna", id: str = "a") -> Attempt:
    said = Feedback(score=0, source="environment", evidence={"answer": answer})
    return attempt(id, "Remind Anna", "remind anna").told(said)


def test_a_correction_becomes_an_example_that_can_stand_as_turns() -> None:
    with memory() as store:
        policy = Insert(corrected, when=has_correction, kind="lesson")
        (item,) = learned(store, policy, [experience(corrected_attempt())])
        assert (item.kind, item.key_text, item.derived_from) == ("lesson", "Remind Anna", ("a",))
        assert item.metadata == {
            "task": "task-Remind Anna", "prompt": "Remind Anna", "answer": "RMD Anna", "tried": "remind anna",
            "score": 0.0,
        }  # fmt: skip


def test_several_attempts_with_one_correction_give_one_lesson() -> None:
    both = experience(corrected_attempt(id="a"), corrected_attempt(id="b"))
    with memory() as store:
        assert len(ops(Insert(corrected), moment(store), [both])) == 1


def test_what_succeeded_or_was_not_corrected_has_no_correction() -> None:
    right = experience(attempt("a", score=1.0))
    wrong = experience(attempt("a", score=0.0))
    empty = experience(corrected_attempt(" "))
    with memory() as store:
        assert [ops(Insert(corrected), moment(store), [x]) for x in (right, wrong, empty)] == [[], [], []]
    assert [has_correction(x) for x in (right, wrong, empty)] == [False, False, False]
    assert has_correction(experience(corrected_attempt()))


def test_the_last_correction_stands() -> None:
    twice = corrected_attempt("first").told(Feedback(score=0, source="human", evidence={"answer": "second"}))
    with memory() as store:
        (item,) = learned(store, Insert(corrected), [experience(twice)])
        assert item.metadata["answer"] == "second"


def test_what_people_say_in_words_is_kept_with_what_they_asked() -> None:
    said = attempt("a", "Where?").told(Feedback(score=0, text="Name the street too.", source="human"))
    judged = attempt("b", "Where?").told(Feedback(score=0, text="by a judge", source="judge"))
    with memory() as store:
        (item,) = learned(store, Insert(told, kind="lesson"), [experience(said), experience(judged)])
        assert item.text == "Asked: Where?\nSaid about the answer: Name the street too."


def test_only_failures_that_nobody_explained_are_unexplained() -> None:
    human = attempt("a").told(Feedback(score=0, text="Too long.", source="human"))
    kinds = [attempt("a", score=0.0), attempt("a", score=1.0), attempt("a"), human, corrected_attempt()]
    assert [is_unexplained(experience(x)) for x in kinds] == [True, False, False, False, False]
