"""The rules that need no model: what they answer, from which examples, and what they leave alone."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from moments import memory, moment

from agentevo.benchmarks.baselines import CopyNearest, Example, Null, SubstituteNearest, substituted
from agentevo.environments.tool.house import House
from agentevo.errors import Misuse
from agentevo.events import Event, listening
from agentevo.memory import Insert, Memory
from agentevo.protocols import Act
from agentevo.types import Attempt, Experience, Feedback, Json, Task, Usage

REQUEST, COMMAND = "Remind Anna about the budget on Friday 3pm.", "RMD Anna | budget | Friday 3pm"


def answered(act: Act, memory: Memory, request: str) -> Attempt:
    async def only() -> Attempt:
        (attempt,) = await act(moment(memory), Task(id="t", prompt=request))
        return attempt

    return asyncio.run(only())


def remembering(*examples: tuple[str, str], **more: Json) -> Memory:
    """Return a memory in which each request and its answer stand as an experience does."""
    opened = memory()
    for prompt, answer in examples:
        about = {"prompt": prompt, "answer": answer, **more}
        opened.insert(f"{prompt}\n\n{answer}", kind="experience", metadata=about)
    return opened


def put(request: str, *, answer: str = COMMAND, prompt: str = REQUEST, by_looks: bool = False) -> str:
    return substituted(Example(prompt, answer), request, by_looks).text


@pytest.mark.parametrize("act", [Null(), CopyNearest(), SubstituteNearest()])
def test_without_memory_nothing_is_answered(act: Act) -> None:
    assert answered(act, memory(), REQUEST).answer == ""


def test_null_answers_nothing_whatever_is_remembered() -> None:
    assert answered(Null(), remembering((REQUEST, COMMAND)), REQUEST).answer == ""


def test_the_nearest_answer_is_copied_as_it_is() -> None:
    full = remembering((REQUEST, COMMAND), ("Play jazz in the hall.", "PLY jazz | hall"))
    assert answered(CopyNearest(), full, "Play funk in the cellar.").answer == "PLY jazz | hall"


def test_changed_words_are_substituted_in_the_nearest_answer() -> None:
    full = remembering((REQUEST, COMMAND), ("Play jazz in the hall.", "PLY jazz | hall"))
    attempt = answered(SubstituteNearest(), full, "Remind Tom about the rent on Monday 9am.")
    assert attempt.answer == "RMD Tom | rent | Monday 9am"


def test_an_example_whose_words_all_have_a_place_goes_before_a_nearer_one() -> None:
    near = "Tell Tom about the rent on Monday 9am, please, and do not forget."
    full = remembering((near, "TEL Tom | rent"), (REQUEST, COMMAND))
    request = "Remind Tom about the rent on Monday 9am."
    assert answered(SubstituteNearest(k=1), full, request).answer.startswith("TEL")
    assert answered(SubstituteNearest(k=2), full, request).answer == "RMD Tom | rent | Monday 9am"


def test_an_answer_that_several_requests_share_is_a_label() -> None:
    label, request = "lost_card", "My purse is lost, and the card too."
    once = remembering(("My bag is lost, and the card too.", label), ("Where is it?", "where"))
    assert answered(SubstituteNearest(), once, "My bag is lost, and the ring too.").answer == "lost_ring"
    twice = remembering(("My bag is lost, and the card too.", label), ("My card is lost.", label))
    assert answered(SubstituteNearest(), twice, request).answer == label
    same = remembering((REQUEST, COMMAND), (REQUEST.upper(), COMMAND))
    assert answered(SubstituteNearest(), same, "Remind Tom about the rent on Monday 9am.").answer != COMMAND


def test_an_attempt_is_told_costs_nothing_and_credits_no_item() -> None:
    heard: list[Event] = []
    with listening(heard.append):
        attempt = answered(CopyNearest(), remembering((REQUEST, COMMAND)), REQUEST)
    assert (attempt.used, attempt.usage, attempt.stopped) == ((), Usage(), "")
    assert [message["content"] for message in attempt.messages] == [REQUEST, COMMAND]
    assert [event.type for event in heard] == ["started", "added", "added", "ended"]


def test_failures_are_no_examples_and_corrections_are() -> None:
    assert answered(CopyNearest(), remembering((REQUEST, "WRONG"), score=0.0), REQUEST).answer == ""
    assert answered(CopyNearest(), remembering((REQUEST, COMMAND), score=0.0, tried="WRONG"), REQUEST).answer == COMMAND
    assert answered(CopyNearest(), remembering((REQUEST, COMMAND), score=1.0), REQUEST).answer == COMMAND


def test_items_that_are_no_examples_are_passed_over() -> None:
    opened = memory()
    opened.insert([f"{REQUEST} {n}" for n in range(9)], kind="lesson")
    opened.insert(REQUEST + "!", metadata={"prompt": REQUEST, "answer": 7})
    opened.insert("Far away", kind="lesson", metadata={"prompt": "Far away", "answer": "FAR"})
    assert answered(CopyNearest(), opened, REQUEST).answer == "FAR"


def test_words_are_put_all_at_once() -> None:
    assert put("Remind Budget about the Anna on Friday 3pm.") == "RMD Budget | Anna | Friday 3pm"


def test_a_word_inside_a_longer_one_is_not_replaced() -> None:
    prompt, answer = "Send the art to Art.", "SND artist | art_x | Art"
    assert put("Send the map to Bob.", prompt=prompt, answer=answer) in (
        "SND artist | map_x | map",
        "SND artist | Bob_x | Bob",
    )


def test_words_are_found_where_letters_meet_digits() -> None:
    assert put("Pay 60 by 4pm", prompt="Pay 25 by 2pm", answer="BUN_25dollars?Tu2pm.125") == "BUN_60dollars?Tu4pm.125"


def test_marks_of_a_pattern_in_a_request_are_only_text() -> None:
    assert put("Add (c+) to x.", prompt="Add b.b to x.", answer="ADD b.b") == "ADD c"
    assert put("Add \\1 to x.", prompt="Add b.b to x.", answer="ADD b.b") == "ADD 1"


def test_the_same_request_has_the_same_answer() -> None:
    assert substituted(Example(REQUEST, COMMAND), REQUEST) == (COMMAND, True)
    assert substituted(Example("", ""), "") == ("", True)
    assert substituted(Example("", COMMAND), REQUEST).is_complete is False


BILL = Example("Please pay 15 dollars to Ben by 3pm.", "BIL Ben | 15 | 3pm")


def test_words_that_moved_are_found_by_their_looks_where_that_is_wanted() -> None:
    moved = "By 9am at the very latest, Cleo should have got 40 dollars."
    assert substituted(BILL, moved, by_looks=True) == ("BIL Cleo | 40 | 9am", False)
    assert substituted(BILL, moved, by_looks=False).text != "BIL Cleo | 40 | 9am"


def test_no_word_is_put_in_two_places() -> None:
    example = Example("Please invite Ben and Ida.", "INV Ben | Ida")
    assert substituted(example, "Might you send for Cleo, for Max too?").text == "INV Cleo | Max"


def test_the_first_word_of_a_sentence_is_no_name() -> None:
    moved = "Would you kindly see to it that Ida gets 9 dollars before 10am comes?"
    assert substituted(BILL, moved).text == "BIL Ida | 9 | 10am"


def test_a_word_that_nothing_looks_like_stays() -> None:
    assert substituted(BILL, "Please pay a lot, soon.") == ("BIL Ben | 15 | 3pm", False)


@pytest.mark.parametrize("k", [0, -1, True, 1.5])
def test_how_many_examples_is_a_number_above_zero(k: int) -> None:
    with pytest.raises(Misuse, match="expected how many examples are looked at"):
        SubstituteNearest(k=k)


def test_on_house_commands_copying_fails_and_substitution_knows_seen_phrasings() -> None:
    house = House(tasks=60)
    opened = memory()
    state = replace(moment(opened), environment=house)

    async def share(act: Act, group: str) -> float:
        asked = [task for task in house.tasks("test") if task.data["group"] == group]
        attempts = [(task, (await act(state, task))[0]) for task in asked]
        return sum([(await house.verify(task, attempt)).score or 0.0 for task, attempt in attempts]) / len(asked)

    async def shares() -> dict[str, float]:
        with opened.draft() as draft:
            await draft.aapply(await Insert()(state, [right(house, task) for task in house.tasks("train")]))
            await draft.acommit()
        return {
            "copy": await share(CopyNearest(), "seen phrasing"),
            "seen": await share(SubstituteNearest(by_looks=False), "seen phrasing"),
            "new": await share(SubstituteNearest(by_looks=False), "new phrasing"),
            "new, by looks": await share(SubstituteNearest(), "new phrasing"),
        }

    found = asyncio.run(shares())
    assert found["copy"] == 0.0
    assert found["seen"] > 0.8
    assert found["new"] < found["new, by looks"] < found["seen"]


def right(house: House, task: Task) -> Experience:
    answer = str(house.gold(task)[0]["content"])
    return Experience(
        task=task, attempts=(Attempt(id=task.id, task=task, answer=answer, feedback=(Feedback(score=1.0),)),)
    )
