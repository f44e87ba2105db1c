"""The cycle: what is practised is learned, what does not help is not kept, and a run that was killed goes on."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from cycles import LEARNING, NOW, Sums, answers, by_heart, memory, moment, remember, verify

from agentevo.cycle import cycle, evolve, learn
from agentevo.environments.anything import Answering
from agentevo.errors import Misuse, ModelUnavailable, UnknownName
from agentevo.evaluate import evaluate, held_out
from agentevo.events import Event, Learned, Turned, listening
from agentevo.memory import Credit, Extract, Insert, Memory
from agentevo.memory.retest import Retested
from agentevo.models import FunctionModel, ScriptedModel
from agentevo.models.usage import Budget
from agentevo.phases.act import Sample
from agentevo.phases.combine import Refined
from agentevo.phases.gate import Gains, HeldOut
from agentevo.phases.judge import Verify
from agentevo.phases.loop import Loop
from agentevo.protocols import Act, Episode, FeedbackLevel, Recipe, State
from agentevo.record import Record
from agentevo.types import (
    Attempt,
    Decision,
    Experience,
    Feedback,
    Item,
    Json,
    Message,
    Objective,
    Op,
    Outcome,
    Report,
    Task,
    Transaction,
)


def evolved(state: State, record: Record | None = None, cycles: int = 1, budget: Budget | None = None) -> list[Report]:
    async def all_of_it() -> list[Report]:
        return [report async for report in evolve(state, record or Record.open(), cycles, budget)]

    return asyncio.run(all_of_it())


def test_what_was_right_in_practice_is_known_when_it_counts() -> None:
    with memory() as store:
        asked = list[str]()

        def sums(messages: Sequence[Message]) -> str:
            asked.append(str(messages[-1]["content"]))
            return "wrong" if "1+2" in asked[-1] else answers(messages)

        (report,) = evolved(moment(store, model=FunctionModel(sums)))
        assert (len(asked), asked[-1]) == (5, "What is 1+2?")  # four practised; what is known is not asked again
        assert (report.score, report.scores, report.accepted) == (0.75, {"math": 0.75}, True)
        assert [x.score for x in report.practised] == [1, 0, 1, 1]
        assert sorted(item.text for item in store.list()) == ["What is 0+1? 1", "What is 2+3? 5", "What is 3+4? 7"]


def test_experiences_are_kept_with_what_was_made_of_them() -> None:
    with memory() as store:
        evolved(moment(store), Record.open(id="run"))
        (item, *_) = store.list(order="oldest")
        (transaction,) = [t for t in store.history() if isinstance(t, Transaction)]
        assert (item.derived_from, transaction.key) == (("run/0/act/0+1#0",), "run/0")
        assert [name for name, _ in store.experiences(run="run")] == [f"run/0/{n}" for n in range(4)]


def test_a_turn_that_an_outage_left_untested_is_not_kept() -> None:
    def down(messages: Sequence[Message]) -> str:
        raise ModelUnavailable("down")

    recipe = replace(LEARNING, act=Sample(), update=[notes_all], gate=HeldOut())
    with memory() as store:
        (report,) = evolved(moment(store, recipe, FunctionModel(down)))
        said = "not tested: the model failed in all 4 held-out attempts, the first time by: model: down"
        assert (report.accepted, report.reason, store.list()) == (False, said, [])


def test_a_turn_on_which_an_outage_would_decide_is_not_decided() -> None:
    """The calls come in order: what is practised, the draft on held-out tasks, and last what there was before."""
    calls = itertools.count()

    def down_in_the_middle(messages: Sequence[Message]) -> str:
        if next(calls) == 5:
            raise ModelUnavailable("down")
        return answers(messages)

    recipe = replace(LEARNING, act=Sample(), update=[notes_all], gate=HeldOut())
    with memory() as store:
        (report,) = evolved(moment(store, recipe, FunctionModel(down_in_the_middle)), Record.open(concurrency=1))
        assert report.reason.startswith("not decided: the model failed on 1 of 4 held-out tasks, and these decide")
        assert (report.accepted, store.list()) == (False, [])


async def notes_all(state: State, experiences: Sequence[Experience]) -> list[Op]:
    return await Insert(lambda state, x: [Extract(x.task.prompt)])(state, experiences)


def refused(before: Report, after: Report) -> Decision:
    return Decision(accepted=False, reason=f"no: {before.score} to {after.score}")


def test_a_rejected_turn_leaves_the_memory_byte_for_byte_as_it_was() -> None:
    with memory() as store:
        store.insert("What is 9+9? 18", metadata={"prompt": "p", "answer": "a"}, kind="experience")
        exported = list(store.export())  # type: ignore[arg-type]
        (report,) = evolved(moment(store, replace(LEARNING, gate=refused)))
        assert (report.accepted, report.reason) == (False, "no: 1.0 to 1.0")
        assert list(store.export()) == exported  # type: ignore[arg-type]


def test_evaluation_writes_nothing() -> None:
    async def scribbling(state: State, task: Task) -> list[Attempt]:
        op = Op(verb="insert", id="x", item=Item(id="x", text="scribble", created_at=0))
        await state.memory.aapply([op])  # type: ignore[attr-defined]
        return await by_heart(state, task)

    with memory() as store:
        report = asyncio.run(evaluate(moment(store, Recipe(act=scribbling)), Record.open()))
        assert (report.score, store.list()) == (1.0, [])


def test_of_several_attempts_the_first_one_counts() -> None:
    async def two(state: State, task: Task) -> list[Attempt]:
        return [Attempt(id="a", task=task, answer="wrong"), *await by_heart(state, task)]

    with memory() as store:
        assert asyncio.run(evaluate(moment(store, Recipe(act=two)), Record.open())).score == 0.0


def test_no_attempt_is_a_wrong_one() -> None:
    async def none(state: State, task: Task) -> list[Attempt]:
        return []

    with memory() as store:
        report = asyncio.run(evaluate(moment(store, Recipe(act=none)), Record.open()))
        assert (report.score, len(report.experiences)) == (0.0, 4)


def test_a_gate_of_one_s_own_is_asked_whether_it_can_tell_its_splits_apart() -> None:
    class Choosy:
        splits = ("dev",)

        def __call__(self, before: Report, after: Report) -> Decision:
            return Decision(accepted=True, reason="always")

        def must_tell_apart(self, tasks: Mapping[str, Sequence[Task]]) -> None:
            raise Misuse(f"cannot tell apart {', '.join(tasks)}")

    with memory() as store, pytest.raises(Misuse, match="cannot tell apart dev"):
        held_out(moment(store, replace(LEARNING, gate=Choosy()), ScriptedModel([])))


def test_the_gate_names_what_is_held_out() -> None:
    class Gate:
        splits = ("tset",)

        def __call__(self, before: Report, after: Report) -> Decision:
            return Decision(accepted=True, reason="")

    with memory() as store, pytest.raises(UnknownName, match="unknown split of sums 'tset'; known: dev, train"):
        evolved(moment(store, replace(LEARNING, gate=Gate()), ScriptedModel([])))


def test_a_gate_that_will_have_nothing_to_compare_is_told_before_practice_is_paid_for() -> None:
    class OnlyTrain(Sums):
        def splits(self) -> Sequence[str]:
            return ("train",)

    model = ScriptedModel([])
    with memory() as store, pytest.raises(Misuse, match="has no held-out tasks for the gate to compare; it has train"):
        evolved(replace(moment(store, replace(LEARNING, gate=HeldOut()), model), environment=OnlyTrain()))
    assert model.requests == []


@pytest.mark.parametrize(
    ("retention", "says"),
    [
        ("own", r"of the retention split 'own' must say data\['suite'\] = 'own', and '0\+1' says None; .*Beside\("),
        ("none", r"retention split 'none' must say .*, and it has none"),
        ("beside", ""),
    ],
)
def test_a_gate_that_could_not_tell_its_splits_apart_says_so_before_practice(retention: str, says: str) -> None:
    class Several(Sums):
        def splits(self) -> Sequence[str]:
            return ("train", "dev", "own", "none", "beside")

        def tasks(self, split: str) -> Sequence[Task]:
            data: dict[str, Json] = {"suite": split} if split == "beside" else {}
            return [] if split == "none" else [task.but(data=data) for task in super().tasks(split)]

    model = ScriptedModel([])
    gate = Gains(target=["dev"], retention=[retention])
    with memory() as store:
        state = replace(moment(store, replace(LEARNING, gate=gate), model), environment=Several())
        if not says:
            assert len(held_out(state)) == 8
            return
        with pytest.raises(Misuse, match=says):
            evolved(state)
        with pytest.raises(Misuse, match="target split 'none' has no tasks"):
            held_out(replace(state, recipe=replace(LEARNING, gate=Gains(target=["none"], retention=["beside"]))))
    assert model.requests == []


def test_what_arrives_judged_is_not_judged_again() -> None:
    task = Sums().task("0+1")
    told = Attempt(id="a", task=task, answer="1", feedback=(Feedback(score=0, source="human"),))
    fresh = Attempt(id="b", task=task, answer="1")
    with memory() as store:
        given = [Experience(task=task, attempts=(a,)) for a in (told, fresh)]
        _, judged = asyncio.run(learn(moment(store), given, Record.open()))
        assert [x.score for x in judged] == [0.0, 1.0]
        assert [len(x.attempts[0].feedback) for x in judged] == [1, 1]


def test_policies_see_what_those_before_them_did() -> None:
    async def counting(state: State, experiences: Sequence[Experience]) -> list[Op]:
        n = len(await state.memory.alist())
        item = Item(id="count", text=f"{n} items", created_at=state.now, metadata={"prompt": "", "answer": ""})
        return [Op(verb="insert", id="count", item=item)]

    with memory() as store:
        evolved(moment(store, replace(LEARNING, update=[remember, counting])))
        assert store.get("count").text == "4 items"  # type: ignore[union-attr]


def test_a_turn_sees_the_reports_of_those_before_it() -> None:
    seen: list[tuple[int, float]] = []

    def aim(state: State) -> Objective:
        seen.append((state.round, state.history[-1].score if state.history else -1))
        return Objective(ability=f"turn {state.round}")

    with memory() as store:
        evolved(moment(store, replace(LEARNING, objective=aim)), cycles=2)
        assert seen == [(0, -1), (1, 1.0)]


def test_a_budget_ends_the_turn_with_a_report_and_more_of_it_goes_on(tmp_path: Path) -> None:
    with Memory.open(tmp_path / "m", embedder="hash") as store:
        with Record.open(tmp_path / "run", concurrency=1) as record:
            (report,) = evolved(moment(store), record, budget=Budget(max_calls=3))
        assert (report.accepted, report.alarms, report.cost.calls) == (False, ("budget",), 3)
        assert "max_calls=3" in report.reason
        assert store.list() == []
        model = ScriptedModel(["7"])  # the fourth task alone is left
        with Record.open(tmp_path / "run", concurrency=1) as record:
            (report,) = evolved(moment(store, model=model), record, budget=Budget(max_calls=4))
        assert (report.score, report.cost.calls, len(store.list())) == (1.0, 4, 4)


def test_a_finished_turn_is_read_and_not_run(tmp_path: Path) -> None:
    with Memory.open(tmp_path / "m", embedder="hash") as store:
        with Record.open(tmp_path / "run") as record:
            first = evolved(moment(store), record, cycles=2)
        with Record.open(tmp_path / "run") as record:
            again = evolved(moment(store, model=ScriptedModel([])), record, cycles=2)
        assert again == first


def test_a_crash_between_the_commit_and_its_report_does_no_harm(tmp_path: Path) -> None:
    journal = tmp_path / "run" / "journal.jsonl"
    with Memory.open(tmp_path / "m", embedder="hash") as store:
        exported = []
        for _ in range(2):
            with Record.open(tmp_path / "run") as record:
                asyncio.run(cycle(moment(store), record.turn(0)))
            exported.append(list(store.export()))  # type: ignore[arg-type]
            *kept, last = journal.read_text().splitlines(keepends=True)
            assert '"0/report"' in last
            journal.write_text("".join(kept))
        assert exported[0] == exported[1]


def test_a_set_up_error_raises_and_nothing_is_kept() -> None:
    async def broken(state: State, task: Task) -> list[Attempt]:
        raise RuntimeError("the sandbox is gone")

    with memory() as store:
        with pytest.raises(RuntimeError, match="the sandbox is gone"):
            evolved(moment(store, Recipe(act=broken, judge=[verify], update=[remember])))
        assert (store.list(), store.history()) == ([], [])


def test_cancelling_leaves_the_memory_whole() -> None:
    async def main(store: Memory) -> None:
        async def forever(messages: list[object]) -> str:
            await asyncio.Event().wait()
            return ""

        async def all_of_it() -> None:
            async for _ in evolve(moment(store, model=FunctionModel(forever)), Record.open(), 1):
                pass

        running = asyncio.create_task(all_of_it())
        await asyncio.sleep(0.05)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    with memory() as store:
        asyncio.run(main(store))
        assert (store.list(), store.verify().ok) == ([], True)


def test_what_happens_is_told() -> None:
    heard: list[Event] = []
    with memory() as store, listening(heard.append):
        evolved(moment(store))
    learned, turned = heard
    assert isinstance(learned, Learned)
    assert (learned.policy, len(learned.ops)) == ("cycles.remember", 4)
    assert isinstance(turned, Turned)
    assert turned.report.score == 1.0


def test_a_model_that_is_gone_is_an_alarm_and_not_just_a_bad_score() -> None:
    async def stopped(state: State, task: Task) -> list[Attempt]:
        return [Attempt(id=task.id, task=task, stopped="model: no such key")]

    with memory() as store:
        (report,) = evolved(moment(store, replace(LEARNING, act=stopped)))
        assert set(report.alarms) == {"all 4 attempts were stopped, the first by: model: no such key"}


def test_attempts_in_which_the_model_failed_are_told_from_wrong_answers() -> None:
    async def now_and_then(state: State, task: Task) -> list[Attempt]:
        why = "model: it timed out" if task.id.endswith("1") else ""
        return [Attempt(id=task.id, task=task, answer="1", stopped=why)]

    with memory() as store:
        (report,) = evolved(moment(store, replace(LEARNING, act=now_and_then)))
        told = [alarm for alarm in report.alarms if alarm.startswith("the model failed in ")]
        failed = sum(a.has_failed for x in report.experiences for a in x.attempts)
        total = len(report.experiences)
        assert 0 < failed < total
        assert (
            f"the model failed in {failed} of {total} attempts, which score as they are; first: model: it timed out"
            in told
        )


# --- what is gone when a run goes on


def stopping(before: Report, after: Report) -> Decision:
    raise KeyboardInterrupt


@pytest.mark.parametrize("slot", ["gate", "update"])
def test_a_purge_between_stop_and_going_on_is_reported_and_stops_no_run(tmp_path: Path, slot: str) -> None:
    async def using(state: State, task: Task) -> list[Attempt]:
        used = tuple(item.id for item in await state.memory.alist(kind="fact"))
        return [a.but(used=used) for a in await by_heart(state, task)]

    async def stop(state: State, experiences: Sequence[Experience]) -> list[Op]:
        raise KeyboardInterrupt

    learning = replace(LEARNING, act=using, update=[remember, Credit()])
    stopped = replace(learning, gate=stopping) if slot == "gate" else replace(learning, update=[*learning.update, stop])
    with Memory.open(tmp_path / "m", embedder="hash", clock=lambda: NOW) as store:
        store.insert("Sums are sums."), store.insert("Numbers are numbers.")
        with pytest.raises(KeyboardInterrupt), Record.open(tmp_path / "run", clock=lambda: NOW) as record:
            evolved(moment(store, stopped), record)
        gone, stays = store.list(kind="fact")
        store.purge(gone.id)
        with Record.open(tmp_path / "run", clock=lambda: NOW) as record:
            (report,) = evolved(moment(store, learning), record)
        said = f"changes to 1 items were skipped, as these were changed or purged meanwhile: {gone.id}"
        assert (report.accepted, report.score, report.alarms) == (True, 1.0, (said,))
        assert store.get(stays.id).wins == 4.0  # type: ignore[union-attr]
        assert store.verify().ok


def test_a_change_to_what_changed_while_a_turn_learned_is_reported() -> None:
    async def forget(state: State, experiences: Sequence[Experience]) -> list[Op]:
        (item,) = await state.memory.alist(kind="fact")
        return [Op(verb="forget", id=item.id, reason="old")]

    with memory() as store:
        item = store.insert("Sums are sums.")

        def meanwhile(before: Report, after: Report) -> Decision:
            store.edit(item.id, "Sums are sums of numbers.")
            return Decision(accepted=True, reason="")

        (report,) = evolved(moment(store, replace(LEARNING, update=[remember, forget], gate=meanwhile)))
        assert report.alarms == (
            f"changes to 1 items were skipped, as these were changed or purged meanwhile: {item.id}",
        )
        assert [i.text for i in store.list(kind="fact")] == ["Sums are sums of numbers."]


def test_what_could_not_be_tested_is_kept_and_the_report_says_so() -> None:
    class Silent(Sums):
        async def verify(self, task: Task, attempt: Attempt) -> Feedback:
            return Feedback()

    lesson = Insert(lambda state, x: [Extract("Be quick about it.", "sums")], kind="lesson")
    recipe = replace(LEARNING, judge=[], update=[Retested(lesson)])
    with memory() as store:
        (report,) = evolved(replace(moment(store, recipe), environment=Silent()))
        assert [item.text for item in store.list()] == ["Be quick about it."]
    assert report.alarms == ("4 of 4 changes to memory were not tested: nothing here gives a score",)


# --- nothing tells the answer to what is scored


class Golden(Sums):
    """Sums that tell all they are asked for: in an episode, when verifying, and as gold."""

    def __init__(self) -> None:
        self.opened: list[FeedbackLevel] = []

    def gold(self, task: Task) -> Sequence[Message]:
        a, b = task.id.split("+")
        return [{"role": "assistant", "content": str(int(a) + int(b))}]

    async def open(self, task: Task, seed: int = 0, feedback: FeedbackLevel = "weak") -> Episode:
        self.opened.append(feedback)
        right = str(self.gold(task)[0]["content"])

        class Telling(Answering):
            async def step(self, action: Message) -> Outcome:
                is_right = action["content"] == right
                return Outcome(observation=right if feedback == "strong" else feedback, terminated=is_right)

        return Telling(task.prompt)


def copying(messages: list[Message]) -> str:
    """Answer with what it was told last, where that is a number and no question."""
    told = re.findall(r"(?<![+\d])\d+(?![+\d])", str(messages[-1]["content"]))
    return str(told[-1]) if told else "100"


LEAKS: dict[str, Act] = {
    "an episode": Loop(3, feedback="strong"),
    "an episode, refined": Refined(Loop(3, feedback="strong"), by=Verify("strong")),
    "a verdict": Refined(Sample(), by=Verify("strong")),
}


@pytest.mark.parametrize("act", LEAKS.values(), ids=LEAKS)
def test_practice_is_told_the_answer_and_evaluation_is_not(act: Act) -> None:
    with memory() as store:
        recipe = replace(LEARNING, act=act, update=[])
        (report,) = evolved(replace(moment(store, recipe, FunctionModel(copying)), environment=Golden()))
    assert [x.score for x in report.practised] == [1.0] * 4
    assert [x.score for x in report.experiences] == [0.0] * 4


@pytest.mark.parametrize(("asked", "told"), [("none", "none"), ("weak", "weak"), ("strong", "weak")])
def test_an_evaluation_opens_episodes_as_the_act_says_but_never_strong(asked: FeedbackLevel, told: str) -> None:
    golden = Golden()
    with memory() as store:
        state = replace(moment(store, replace(LEARNING, act=Loop(1, feedback=asked))), environment=golden)
        asyncio.run(evaluate(state, Record.open()))
    assert golden.opened == [told] * 4
