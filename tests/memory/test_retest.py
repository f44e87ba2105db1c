"""Only what makes its own case succeed gets into memory; the rest is dropped, and the log says why."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, cast

import pytest
from moments import learned, memory
from sums import GoldenSums, Sums, answer, somewhere, task

from agentevo.errors import Misuse
from agentevo.memory import Ask, Credit, Discard, Extract, Insert, Memory, raw
from agentevo.memory.insert import failed
from agentevo.memory.retest import AT_ONCE, Retested
from agentevo.models import FunctionModel, ScriptedModel
from agentevo.phases.judge import Verify
from agentevo.position import at, attempt_id
from agentevo.protocols import Act, Environment, Judge, Model, State, Update
from agentevo.types import Attempt, Experience, Feedback, Item, Json, Op, Task


async def remembering(state: State, task: Task) -> list[Attempt]:
    """Answer right if and only if something recalled says how to: "count"."""
    hits = await state.memory.arecall(task.prompt, 5)
    knows = any("count" in hit.item.text for hit in hits)
    used = tuple(hit.item.id for hit in hits)
    return [Attempt(id=attempt_id(), task=task, answer=answer(task) if knows else "0", used=used)]


async def copying(state: State, task: Task) -> list[Attempt]:
    """Answer right if and only if the very answer stands in something recalled."""
    hits = await state.memory.arecall(task.prompt, 5)
    told = any(answer(task) in hit.item.text.replace(task.id, "").split() for hit in hits)
    return [Attempt(id=attempt_id(), task=task, answer=answer(task) if told else "0")]


def failure(id: str, right: str | None = None) -> Experience:
    evidence = {} if right is None else {"answer": right}
    told = Feedback(score=0.0, verdict="wrong", evidence=dict(evidence))
    return Experience(task=task(id), attempts=(Attempt(id=f"{id}#0", task=task(id), answer="0").told(told),))


def unscored(id: str) -> Experience:
    """Return an experience of which a person said that it failed; nothing else could."""
    told = Feedback(score=0.0, source="human")
    return Experience(task=task(id), attempts=(Attempt(id=f"{id}#0", task=task(id), answer="0").told(told),))


class Silent(Sums):
    """Sums of which nobody knows what is right."""

    async def verify(self, task: Task, attempt: Attempt) -> Feedback:
        return Feedback()


def saying(texts: dict[str, str]) -> Insert:
    """Return a policy that writes such a lesson for such a task."""

    def extract(state: State, experience: Experience) -> list[Extract]:
        about = {"task": experience.task.id}
        return [Extract(texts[experience.task.id], experience.task.prompt, dict(about))]

    return Insert(extract, kind="lesson")


def through(
    m: Memory,
    policy: Update,
    experiences: Sequence[Experience],
    *,
    act: Act = remembering,
    environment: Environment | None = None,
    model: Model | None = None,
) -> list[Op]:
    async def awaited() -> list[Op]:
        return await policy(somewhere(m, environment or Sums(), model, act=act), list(experiences))

    return asyncio.run(awaited())


def texts(ops: Sequence[Op]) -> list[str]:
    return [op.item.text for op in ops if op.item]


# --- what passes


def test_a_lesson_gets_in_only_if_its_own_case_then_succeeds(caplog: pytest.LogCaptureFixture) -> None:
    policy = Retested(saying({"1+1": "count on your fingers", "1+2": "think of something nice"}))
    with memory() as m, caplog.at_level(logging.INFO, "agentevo.memory.retest"):
        ops = through(m, policy, [failure("1+1"), failure("1+2")])
    assert texts(ops) == ["count on your fingers"]
    assert ops[0].reason == "from task 1+1; tried again with it, its case succeeded"
    assert "dropped: task 1+2 was tried with it, and it scored 0" in caplog.text


def test_plain_functions_may_write_and_judge_what_is_tried() -> None:
    def wrote(state: State, experiences: Sequence[Experience]) -> list[Op]:
        case = experiences[0].attempts[0].id
        item = Item(id="a", text="count on your fingers", kind="lesson", created_at=state.now, derived_from=(case,))
        return [Op(verb="insert", id="a", item=item)]

    def judged(state: State, experience: Experience) -> Experience:
        told = (a.told(Feedback(score=float(a.answer == answer(a.task)))) for a in experience.attempts)
        return experience.but(attempts=tuple(told))

    policy, by = cast(Any, wrote), cast(Any, judged)
    with memory() as m:
        assert texts(through(m, Retested(policy, by), [failure("1+1")])) == ["count on your fingers"]


def test_a_lesson_of_one_case_does_not_help_another_through() -> None:
    policy = Retested(saying({"1+1": "count on your fingers", "1+2": "think of something nice"}))
    with memory() as m:
        together = [failure("1+2"), failure("1+1")]
        assert texts(through(m, policy, together)) == ["count on your fingers"]


def test_what_one_case_wrote_is_tried_as_one() -> None:
    def two(state: State, experience: Experience) -> list[Extract]:
        return [Extract("count on your fingers", "sums"), Extract("be quick", "sums")]

    with memory() as m:
        ops = through(m, Retested(Insert(two, kind="lesson")), [failure("1+1")])
    assert texts(ops) == ["count on your fingers", "be quick"]


def test_trying_changes_no_memory() -> None:
    with memory() as m:
        through(m, Retested(saying({"1+1": "count on your fingers"})), [failure("1+1")])
        assert m.list() == []


def test_a_draft_is_tried_over_as_a_memory_is() -> None:
    policy = Retested(saying({"1+1": "count on your fingers"}))
    with memory() as m, m.draft() as draft:
        draft.insert("be quick")

        async def awaited() -> list[Op]:
            return await policy(somewhere(draft, Sums(), act=remembering), [failure("1+1")])

        assert len(asyncio.run(awaited())) == 1
        assert [item.text for item in draft.list()] == ["be quick"]


def test_a_useless_rule_is_never_stored_and_a_useful_one_ends_the_errors() -> None:
    """The published mechanism: a model that is right iff the rule is in the prompt stops making mistakes."""

    def reply(messages: list[dict[str, object]], schema: object) -> str:
        asked = str(messages)
        return '{"texts": ["count up"]}' if "1+3" in asked else '{"texts": ["be nice to people"]}'

    rules = Retested(Insert(Ask("Write a rule.", by="text"), when=failed, kind="lesson"))
    wrong = []
    with memory() as m:
        for turn in range(10):
            case = task(f"1+{turn}")
            state = somewhere(m, Sums(), FunctionModel(reply), act=remembering)
            (attempt,) = asyncio.run(_acted(state, case))
            told = attempt.told(Feedback(score=float(attempt.answer == answer(case))))
            wrong.append(told.score == 0.0)
            with m.draft() as draft:
                experience = Experience(task=case, attempts=(told,))
                draft.apply(through(m, rules, [experience], model=FunctionModel(reply)))
                draft.commit()
        assert [item.text for item in m.list()] == ["count up"]
    assert wrong == [True] * 4 + [False] * 6


async def _acted(state: State, task: Task) -> list[Attempt]:
    return await state.recipe.act(state, task)


# --- who says so


def test_the_first_attempt_counts_as_in_an_evaluation() -> None:
    async def twice(state: State, task: Task) -> list[Attempt]:
        return [Attempt(id=attempt_id(), task=task, answer=text) for text in ("0", answer(task))]

    with memory() as m:
        assert through(m, Retested(saying({"1+1": "x"})), [failure("1+1")], act=twice) == []


def test_a_judge_can_say_where_the_environment_cannot(caplog: pytest.LogCaptureFixture) -> None:
    def judge(score: float) -> Judge:
        async def judging(state: State, experience: Experience) -> Experience:
            assert any("fingers" in hit.item.text for hit in await state.memory.arecall("fingers"))
            told = (a.told(Feedback(score=score, source="judge")) for a in experience.attempts)
            return experience.but(attempts=tuple(told))

        return judging

    async def mute(state: State, experience: Experience) -> Experience:
        return experience

    policy, cases = saying({"1+1": "count on your fingers"}), [unscored("1+1")]
    with memory() as m, caplog.at_level(logging.INFO, "agentevo.memory.retest"):
        assert through(m, Retested(policy, by=mute), cases, environment=Silent()) == []
        assert "nobody gave it a score" in caplog.text
        assert len(through(m, Retested(policy, by=judge(0.5)), cases, environment=Silent())) == 1
        assert through(m, Retested(policy, by=judge(0.4)), cases, environment=Silent()) == []


def test_where_nobody_knows_what_is_right_all_passes_untried_and_says_so() -> None:
    async def never(state: State, task: Task) -> list[Attempt]:
        raise AssertionError("tried, though nobody could say how it went")

    policy = Retested(saying({"1+1": "count on your fingers"}))
    with memory() as m:
        (op,) = through(m, policy, [unscored("1+1")], act=never, environment=Silent())
    assert op.reason == "from task 1+1; not tested: nothing here gives a score"


def test_a_person_who_scored_a_case_does_not_stand_in_for_the_environment_that_knows() -> None:
    policy = Retested(saying({"1+1": "think of something nice"}))
    with memory() as m:
        assert through(m, policy, [unscored("1+1")]) == []


def test_a_case_is_tried_sealed_off_from_its_answer() -> None:
    async def peeking(state: State, task: Task) -> list[Attempt]:
        attempt = Attempt(id=attempt_id(), task=task, answer="0")
        (judged,) = (await Verify("strong")(state, Experience(task=task, attempts=(attempt,)))).attempts
        told = judged.feedback[0].evidence.get("answer", "nothing")
        return [attempt.but(answer=str(told))]

    policy = Retested(saying({"1+1": "be quick"}))
    with memory() as m:
        assert through(m, policy, [failure("1+1")], act=peeking, environment=GoldenSums()) == []


def test_an_act_that_makes_no_attempt_proves_nothing() -> None:
    async def idle(state: State, task: Task) -> list[Attempt]:
        return []

    with memory() as m:
        assert through(m, Retested(saying({"1+1": "count"})), [failure("1+1")], act=idle) == []


# --- which case it is


def test_what_recall_never_shows_passes_without_a_trial() -> None:
    unread = Retested(Insert(Ask("Write a rule."), kind="lesson"))
    with memory() as m:
        (op,) = through(m, unread, [failure("1+1")], model=ScriptedModel(["what?", "what?"]))
        assert op.item is not None
        assert (op.item.status, "failed_insertion" in op.item.metadata) == ("quarantined", True)
        assert op.reason == "insertion failed: nothing was changed"


def test_what_rests_on_no_case_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    with memory() as m, caplog.at_level(logging.INFO, "agentevo.memory.retest"):
        m.insert("be quick")
        assert through(m, Retested(Discard(lambda item: True)), [failure("1+1")]) == []
    assert "it rests on none of the experiences" in caplog.text


def test_credit_belongs_to_the_attempt_that_it_is_keyed_by() -> None:
    with memory() as m:
        item = m.insert("count up")
        case = failure("1+1")
        used = case.but(attempts=(case.attempts[0].model_copy(update={"used": (item.id,)}),))
        assert [op.id for op in through(m, Retested(Credit()), [used])] == [item.id]


def test_what_was_made_of_items_must_stand_in_all_the_cases_these_rest_on() -> None:
    cases = [failure("1+1"), failure("1+2"), failure("1+3")]

    async def insight(state: State, experiences: Sequence[Experience]) -> list[Op]:
        sources = await state.memory.alist(order="oldest")
        text = "count where it says 1+1 or 1+2"
        item = Item(id="insight", text=text, created_at=0.0, derived_from=tuple(item.id for item in sources))
        return [Op(verb="insert", id=item.id, item=item), Op(verb="pin", id=item.id)]

    async def picky(state: State, task: Task) -> list[Attempt]:
        known = any(task.id in hit.item.text for hit in await state.memory.arecall("count where it says"))
        return [Attempt(id=attempt_id(), task=task, answer=answer(task) if known else "0")]

    for count, kept in ((2, ["insert", "pin"]), (3, [])):
        with memory() as m:
            learned(m, saying({"1+1": "one", "1+2": "two", "1+3": "three"}), cases[:count])
            assert [op.verb for op in through(m, Retested(insight), cases, act=picky)] == kept


def test_a_change_of_an_item_is_tried_by_the_case_of_the_item() -> None:
    with memory() as m:
        (item,) = learned(m, saying({"1+1": "be nice"}), [failure("1+1")])

        def editing(text: str) -> Update:
            async def edit(state: State, experiences: Sequence[Experience]) -> list[Op]:
                return [Op(verb="edit", id=item.id, changes={"text": text})]

            return edit

        assert through(m, Retested(editing("be bold")), [failure("1+1")]) == []
        assert len(through(m, Retested(editing("count up")), [failure("1+1")])) == 1


# --- the answer itself


def test_a_pass_may_be_the_answer_copied_unless_that_is_ruled_out() -> None:
    policy = saying({"1+1": "the answer is 2"})
    with memory() as m:
        case = failure("1+1", right="2")
        assert len(through(m, Retested(policy), [case], act=copying)) == 1
        assert through(m, Retested(policy, without_answer=True), [case], act=copying) == []


def test_a_lesson_that_says_how_passes_without_the_answer_and_is_kept_whole() -> None:
    policy = saying({"1+1": "count up; here that gives 2"})
    with memory() as m:
        ops = through(m, Retested(policy, without_answer=True), [failure("1+1", right="2")])
    assert texts(ops) == ["count up; here that gives 2"]


def test_the_answer_is_cut_out_of_metadata_and_of_edits_as_whole_words() -> None:
    shown: list[Item] = []

    async def looking(state: State, task: Task) -> list[Attempt]:
        shown.extend(await state.memory.alist(order="oldest"))
        return []

    right = Experience(
        task=task("1+1"), attempts=(Attempt(id="a", task=task("1+1"), answer="2").told(Feedback(score=1.0)),)
    )
    with memory() as m:
        item = m.insert("old", metadata={"task": "other"})

        async def both(state: State, experiences: Sequence[Experience]) -> list[Op]:
            ops = await Insert(raw)(state, experiences)
            about: Json = {"said": ["say 2", 2, None, "22"]}
            return [*ops, Op(verb="edit", id=item.id, changes={"text": "2 is new", "metadata": about}, key="a")]

        through(m, Retested(both, without_answer=True), [right], act=looking)
    inserted, edited = sorted(shown, key=lambda item: item.kind)
    assert edited.text == "[...] is new"
    assert edited.metadata["said"] == ["say [...]", 2, None, "22"]
    assert inserted.text == "What is 1+1?\n\n[...]"
    assert inserted.key_text == "What is 1+1?"
    assert inserted.metadata["answer"] == "[...]"


def test_what_else_the_case_left_in_memory_is_hidden_with_the_answer() -> None:
    def correction(state: State, experience: Experience) -> list[Extract]:
        return [Extract("1+1 gives 2", metadata={"task": "1+1"})]

    case = failure("1+1", right="2")
    useless = saying({"1+1": "be nice"})
    with memory() as m:
        learned(m, Insert(correction), [case])
        assert len(through(m, Retested(useless), [case], act=copying)) == 1
        assert through(m, Retested(useless, without_answer=True), [case], act=copying) == []
        assert [item.text for item in m.list()] == ["1+1 gives 2"]


# --- many at once


def test_each_retest_has_attempts_of_its_own_name() -> None:
    made: list[str] = []

    async def naming(state: State, task: Task) -> list[Attempt]:
        made.append(attempt_id())
        await asyncio.sleep(0)
        return [Attempt(id=made[-1], task=task, answer=answer(task))]

    policy = Retested(saying({"1+1": "a", "1+2": "b"}))

    async def twice(m: Memory) -> None:
        state = somewhere(m, Sums(), act=naming)
        with at("run/3/update.1"):
            for _ in range(2):
                await policy(state, [failure("1+1"), failure("1+2")])

    with memory() as m:
        asyncio.run(twice(m))
        again, made = made, []
        asyncio.run(twice(m))
        assert sorted(again) == sorted(made)
        assert len(set(made)) == 4
        assert all(name.startswith("run/3/update.1") for name in made)
        through(m, policy, [failure("1+1"), failure("1+2")], act=naming)
        assert len(set(made)) == 6


def test_not_all_cases_are_tried_at_the_same_moment() -> None:
    under_way, most = 0, 0

    async def slow(state: State, task: Task) -> list[Attempt]:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        for _ in range(50):
            await asyncio.sleep(0)
        under_way -= 1
        return []

    many = [failure(f"1+{n}") for n in range(AT_ONCE * 2)]
    with memory() as m:
        through(m, Retested(saying({x.task.id: x.task.id for x in many})), many, act=slow)
    assert 1 < most <= AT_ONCE


def test_where_one_trial_breaks_the_others_are_stopped() -> None:
    stopped, under_way = [], asyncio.Event()

    async def breaking(state: State, task: Task) -> list[Attempt]:
        if task.id == "1+1":
            await under_way.wait()
            raise OSError("the sandbox is gone")
        under_way.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append(task.id)
        raise AssertionError

    with memory() as m, pytest.raises(OSError, match="the sandbox is gone"):
        through(m, Retested(saying({"1+1": "a", "1+2": "b"})), [failure("1+2"), failure("1+1")], act=breaking)
    assert stopped == ["1+2"]


def test_what_is_no_strategy_is_refused() -> None:
    with pytest.raises(Misuse, match=r"Retested\(policy=...\) takes a strategy.*Insert"):
        Retested(Insert)  # type: ignore[arg-type]
    with pytest.raises(Misuse, match=r"Retested\(policy=...\) takes a strategy.*None"):
        Retested(None)  # type: ignore[arg-type]
    with pytest.raises(Misuse, match=r"Retested\(by=...\) takes a strategy.*'judge'"):
        Retested(Insert(), by="judge")  # type: ignore[arg-type]
