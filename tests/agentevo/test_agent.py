"""Agent: it answers from memory, learns from feedback and practice, and what one user tells it no other sees."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import pytest
from cycles import LEARNING, Sums, answers

from agentevo.agent import Agent
from agentevo.errors import BudgetExceeded, LedgerError, Misuse, RunError, UnknownName
from agentevo.events import Added, Ended, Piece, Started
from agentevo.memory import Memory
from agentevo.models import FunctionModel, ScriptedModel
from agentevo.models.usage import Budget, spending
from agentevo.phases.act import Sample
from agentevo.protocols import Recipe, State
from agentevo.said import as_task
from agentevo.steps import unfinished
from agentevo.types import Attempt, Experience, Feedback, Item, Message, Op, Report, Task, Transaction


def memory(namespace: str = "default", path: str | Path = ":memory:") -> Memory:
    return Memory.open(path, embedder="hash", namespace=namespace)


def echo(messages: Sequence[Message]) -> str:
    """Answer with the last answer in the prompt that was given to the same question, else with 'no idea'."""
    question = messages[-1]["content"]
    turns = [b["content"] for a, b in itertools.pairwise(messages) if a["content"] == question]
    return str(turns[-1]) if turns else "no idea"


def test_an_agent_answers_and_says_how() -> None:
    with memory() as store:
        attempt = Agent(ScriptedModel(["Paris"]), memory=store).run("What is the capital of France?")
        assert (attempt.answer, attempt.used, attempt.stopped, attempt.usage.calls) == ("Paris", (), "", 1)
        assert [m["role"] for m in attempt.messages] == ["user", "assistant"]
        assert (store.list(), store.history()) == ([], [])


def test_a_correction_is_used_the_next_time() -> None:
    with memory() as store:
        agent = Agent(FunctionModel(echo), memory=store)
        first = agent.run("Who signs refunds?")
        agent.feedback(first, correction="Anna")
        second = agent.run("Who signs refunds?")
        (lesson,) = store.list()
        assert (first.answer, second.answer, second.used) == ("no idea", "Anna", (lesson.id,))
        assert (lesson.kind, lesson.derived_from) == ("lesson", (first.id,))


def test_a_lesson_that_was_forgotten_is_missed_and_after_undo_used_again() -> None:
    with memory() as store:
        agent = Agent(FunctionModel(echo), memory=store)
        agent.feedback(agent.run("Who signs refunds?"), correction="Anna")
        (lesson,) = store.list()
        store.forget(lesson.id)
        assert agent.run("Who signs refunds?").answer == "no idea"
        store.undo()
        assert agent.run("Who signs refunds?").answer == "Anna"


def test_praise_keeps_the_answer_and_credits_what_it_rested_on() -> None:
    with memory() as store:
        agent = Agent(FunctionModel(echo), memory=store)
        agent.feedback(agent.run("Who signs refunds?"), correction="Anna")
        (lesson,) = store.list()
        agent.feedback(agent.run("Who signs refunds?"), score=1.0)
        assert store.get(lesson.id).wins == 1  # type: ignore[union-attr]


def test_feedback_given_twice_replaces_what_was_learned_from_the_first() -> None:
    with memory() as store:
        agent = Agent(ScriptedModel(["Anna"]), memory=store)
        attempt = agent.run("Who signs refunds?")
        agent.feedback(attempt, score=1.0)
        assert [item.metadata["answer"] for item in store.list()] == ["Anna"]
        agent.feedback(attempt, correction="Bob")
        assert [item.metadata["answer"] for item in store.list()] == ["Bob"]


@pytest.mark.parametrize("said", [{"score": 1.0}, {"correction": "Bob"}])
def test_the_same_feedback_twice_changes_nothing(said: dict[str, Any]) -> None:
    with memory() as store:
        agent = Agent(ScriptedModel(["Anna"]), memory=store)
        attempt = agent.run("Who signs refunds?")
        agent.feedback(attempt, **said)
        before = [item.id for item in store.list()]
        agent.feedback(attempt, **said)
        assert [item.id for item in store.list()] == before
        assert len(before) == 1


def test_feedback_forgets_nothing_that_only_rests_on_what_the_attempt_taught() -> None:
    with memory() as store:
        agent = Agent(FunctionModel(echo), memory=store)
        first = agent.run("Who signs refunds?")
        agent.feedback(first, correction="Anna")
        agent.feedback(agent.run("Who signs refunds?"), correction="Anna Smith")
        agent.feedback(first, correction="Anna Jones")
        assert {str(item.metadata["answer"]) for item in store.list()} == {"Anna Smith", "Anna Jones"}


def test_who_corrects_what_was_half_right_teaches_the_correction_and_not_the_answer() -> None:
    with memory() as store:
        agent = Agent(FunctionModel(echo), memory=store)
        agent.feedback(agent.run("Who signs refunds?"), score=0.5, correction="Anna")
        assert [(item.kind, item.metadata["answer"]) for item in store.list()] == [("lesson", "Anna")]


def test_of_feedback_given_at_once_one_word_stands() -> None:
    with memory() as store:
        agent = Agent(FunctionModel(echo), memory=store)
        attempt = agent.run("Who signs refunds?")

        async def at_once() -> None:
            await asyncio.gather(*(agent.afeedback(attempt, correction=name) for name in ("Anna", "Bob", "Cleo")))

        asyncio.run(at_once())
        assert [item.metadata["answer"] for item in store.list()] == ["Cleo"]


class Meeting(Memory):
    """A memory whose handles wait for each other before they keep what was learned: all have looked, none has kept."""

    all_here = threading.Barrier(3, timeout=60)

    def record(self, experience: Experience, *, run: str = "", id: str | None = None) -> str:
        self.all_here.wait()
        return super().record(experience, run=run, id=id)


def test_of_feedback_given_at_once_by_several_processes_the_last_word_stands(tmp_path: Path) -> None:
    """Handles that share nothing but the folder stand for processes: each agent has a lock of its own."""

    async def at_once(attempt: Attempt) -> list[Transaction]:
        stores = [Meeting.open(tmp_path, embedder="hash") for _ in range(3)]
        agents = [Agent(FunctionModel(echo), memory=store) for store in stores]
        said = zip(agents, ("Anna", "Bob", "Cleo"), strict=True)
        done = await asyncio.gather(*(agent.afeedback(attempt, correction=name) for agent, name in said))
        for store in stores:
            store.close()
        return done

    with memory(path=tmp_path) as store:
        attempt = Agent(FunctionModel(echo), memory=store).run("Who signs refunds?")
        done = {one.id: one.items[0] for one in asyncio.run(at_once(attempt))}
        last = next(t.id for t in store.history() if isinstance(t, Transaction) and t.id in done)
        assert [item.id for item in store.list()] == [done[last]]
        assert store.verify().ok


class Busy(Memory):
    """A memory in which others teach one more thing before what is learned is kept, one after, and much else."""

    looks = 0

    def record(self, experience: Experience, *, run: str = "", id: str | None = None) -> str:
        self.taught("earlier", experience.attempts[0].id)
        return super().record(experience, run=run, id=id)

    def derived(self, id: str) -> list[Item]:
        self.looks += 1
        if self.looks == 2:
            self.taught("later", id)
            for n in range(40):
                self.insert(f"something else {n}")
        return super().derived(id)

    def taught(self, text: str, attempt: str) -> None:
        item = Item(id=text, kind="lesson", text=text, created_at=0.0, derived_from=(attempt,))
        self.apply([Op(verb="insert", id=text, item=item)])


def test_what_others_taught_of_an_attempt_is_forgotten_where_it_came_before_and_stays_where_it_came_after() -> None:
    with Busy.open(":memory:", embedder="hash") as store:
        agent = Agent(FunctionModel(echo), memory=store)
        agent.feedback(agent.run("Who signs refunds?"), correction="Anna")
        left = {item.text for item in store.list(kind="lesson")}
        assert left == {"later", "Who signs refunds?\n\nAnna"}
        *_, last = store.history("earlier")
        assert last.reason == "judged anew"


def test_words_alone_are_kept_too() -> None:
    with memory() as store:
        agent = Agent(ScriptedModel(["A very long answer"]), memory=store)
        agent.feedback(agent.run("Who signs?"), text="Answer in one word.")
        assert "Answer in one word." in store.list()[0].text


def test_a_memory_given_as_a_folder_is_closed_with_the_agent(tmp_path: Path) -> None:
    Memory.open(tmp_path, embedder="hash").close()
    agent = Agent(ScriptedModel(["a"]), memory=tmp_path)
    agent.close()
    with pytest.raises(LedgerError, match="closed"):
        agent.memory.list()


def test_what_a_person_says_in_words_is_kept() -> None:
    with memory() as store:
        agent = Agent(ScriptedModel(["A very long answer"]), memory=store)
        agent.feedback(agent.run("Who signs?"), score=0.0, text="Answer in one word.")
        assert "Answer in one word." in store.list()[0].text


@pytest.mark.parametrize(
    "given",
    [
        {}, {"score": 2.0}, {"score": -0.1}, {"score": float("nan")}, {"score": "1"}, {"text": " "}, {"text": None},
        {"correction": 12}, {"score": 1.0, "correction": "Anna"}, {"correction": ""}, {"correction": " ", "text": "\n"},
        {"text": "\udcff"}, {"correction": "\udcff"},
    ],
)  # fmt: skip
def test_feedback_that_says_nothing_or_too_much_is_refused(given: dict[str, object]) -> None:
    with memory() as store:
        model = ScriptedModel(["a"])
        agent = Agent(model, memory=store)
        attempt = agent.run("q")
        with pytest.raises(
            Misuse, match=r"feedback says something|score is|expected a text|a score of 1 says|surrogate"
        ):
            agent.feedback(attempt, **given)  # type: ignore[arg-type]
        assert len(model.requests) == 1


@pytest.mark.parametrize("blank", ["", " \n"])
def test_a_field_that_was_left_blank_says_nothing(blank: str) -> None:
    with memory() as store:
        agent = Agent(ScriptedModel(["Anna"]), memory=store)
        agent.feedback(agent.run("Who signs?"), score=1, text=blank, correction=blank)
        ((_, kept),) = store.experiences()
        assert kept.attempts[0].feedback == (Feedback(score=1.0, source="human"),)


def test_feedback_is_given_on_an_attempt() -> None:
    with memory() as store:
        agent: Any = Agent(ScriptedModel(["a"]), memory=store)
        with pytest.raises(Misuse, match="feedback is given on the Attempt that run returned, not on '7f'"):
            agent.feedback("7f", score=1.0)


def test_earlier_messages_of_a_conversation_are_in_the_prompt() -> None:
    model = FunctionModel(lambda messages: " / ".join(str(m["content"]) for m in messages))
    talk: list[Message] = [
        {"role": "user", "content": "I am Anna"}, {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "Who am I?"},
    ]  # fmt: skip
    with memory() as store:
        attempt = Agent(model, memory=store).run(talk)
        assert (attempt.answer, attempt.task.prompt) == ("I am Anna / Hello / Who am I?", "Who am I?")


@pytest.mark.parametrize(
    "asked",
    [
        "", " ", [], [{"role": "assistant", "content": "hi"}], [{"role": "user"}], None, 3, b"hi", ["hi"],
        {"role": "user", "content": "hi"}, ["x", {"role": "user", "content": "hi"}],
    ],
)  # fmt: skip
def test_what_asks_nothing_is_refused(asked: object) -> None:
    with pytest.raises(Misuse, match="an agent is asked a text"):
        as_task(asked)  # type: ignore[arg-type]


def test_earlier_messages_that_no_file_can_hold_are_refused() -> None:
    talk: list[Any] = [{"role": "user", "content": object()}, {"role": "user", "content": "hi"}]
    with pytest.raises(Misuse, match=r"the earlier messages are no JSON: data\.messages"):
        as_task(talk)


@pytest.mark.parametrize(
    "asked",
    [
        "a\udcffb", Task(id="7", prompt="a\udcffb"), Task(id="7", prompt="do", data={"note": "\ud83d"}),
        [{"role": "user", "content": "\ud83d"}, {"role": "user", "content": "hi"}],
    ],
)  # fmt: skip
def test_half_a_surrogate_pair_is_refused_before_anything_is_paid(asked: Any) -> None:
    with memory() as store, pytest.raises(Misuse, match="holds half of a surrogate pair"):
        Agent(ScriptedModel([]), memory=store).run(asked)


def test_a_task_is_taken_as_it_is() -> None:
    task = Task(id="7", prompt="do")
    assert as_task(task) is task


@pytest.mark.parametrize("said", ["\ud83d half a pair", "\x00", "e\u0301\U0001f600"])
def test_whatever_a_model_says_can_be_kept(said: str, tmp_path: Path) -> None:
    with memory() as store:
        agent = Agent(FunctionModel(lambda messages: said), memory=store, runs=tmp_path)
        attempt = agent.run("say it")
        agent.feedback(attempt, score=1.0)
        assert [x.attempts[0].answer for _, x in store.experiences()] == [attempt.answer]
        assert attempt.answer == said.replace("\ud83d", "?")
        agent.close()


# --- streaming


def test_a_stream_tells_what_happens_and_ends_with_the_attempt() -> None:
    with memory() as store:
        events = list(Agent(ScriptedModel(["two words"]), memory=store).stream("Say two words"))
    assert [type(event) for event in events] == [Started, Added, Piece, Piece, Added, Ended]
    assert "".join(event.text for event in events if isinstance(event, Piece)) == "two words"
    assert isinstance(events[-1], Ended)
    assert events[-1].attempt.answer == "two words"


def test_a_stream_that_is_left_early_stops_the_run() -> None:
    stopped: list[bool] = []

    async def slow(messages: object) -> str:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append(True)
        return ""

    async def main(store: Memory) -> None:
        stream = Agent(FunctionModel(slow), memory=store).astream("hi")
        async for event in stream:
            if isinstance(event, Added):
                await asyncio.sleep(0.01)
                break
        await stream.aclose()

    with memory() as store:
        asyncio.run(main(store))
        assert (stopped, store.verify().ok) == ([True], True)


def test_an_error_in_a_stream_is_raised_to_who_reads_it() -> None:
    with memory() as store, pytest.raises(Misuse, match="set up wrongly"):
        list(Agent(ScriptedModel([Misuse("set up wrongly")]), memory=store).stream("hi"))


# --- limits


def test_a_budget_ends_a_run_with_what_there_is_of_it() -> None:
    with memory() as store:
        agent = Agent(ScriptedModel(["a"]), memory=store, budget=Budget(max_calls=0))
        attempt = agent.run("hi")
        assert attempt.stopped.startswith("limit: the budget of 'run' is used up: max_calls=0")
        assert [m["content"] for m in attempt.messages] == ["hi"]


def test_an_answer_costs_what_all_attempts_at_it_cost() -> None:
    three = Recipe(act=Sample(3), name="three")
    with memory() as store:
        attempt = Agent(ScriptedModel([["a", "b", "c"]]), memory=store, recipe=three).run("hi")
    assert (attempt.answer, attempt.usage.calls) == ("a", 1)
    assert attempt.usage.completion_tokens == 3


def test_a_budget_of_the_callers_own_is_raised_to_the_caller() -> None:
    with memory() as store, spending("mine", Budget(max_calls=0)), pytest.raises(BudgetExceeded, match="'mine'"):
        asyncio.run(Agent(ScriptedModel(["a"]), memory=store).arun("hi"))


def test_an_answer_is_refined_as_often_as_asked() -> None:
    replies = ["4", '{"text": "It is 5.", "verdict": "wrong"}', "5", '{"text": "Good.", "verdict": "right"}']
    with memory() as store:
        attempt = Agent(ScriptedModel(replies), memory=store, refine_rounds=2).run("2+3?")
        assert (attempt.answer, attempt.usage.calls) == ("5", 4)


# --- practice


def test_practice_makes_it_better_and_is_gone_on_with_under_its_name(tmp_path: Path) -> None:
    with memory(path=tmp_path / "m") as store:
        agent = Agent(FunctionModel(answers), memory=store, recipe=LEARNING, environment=Sums(), runs=tmp_path)
        (first,) = agent.evolve(run="practice")
        assert (first.score, len(store.list())) == (1.0, 4)
        silent = Agent(ScriptedModel([], "function"), memory=store, recipe=LEARNING, environment=Sums(), runs=tmp_path)
        assert list(silent.evolve(run="practice")) == [first]


def test_a_run_that_was_left_early_goes_on_where_nobody_holds_it_and_else_says_how_to_close_it(tmp_path: Path) -> None:
    async def first(reports: AsyncGenerator[Report, None]) -> Report:
        async for report in reports:
            return report
        raise AssertionError("there was no report")

    async def main() -> None:
        with memory() as store:
            agent = Agent(FunctionModel(answers), memory=store, recipe=LEARNING, environment=Sums(), runs=tmp_path)
            dropped = await first(agent.aevolve(run="mine"))
            assert await first(agent.aevolve(run="mine")) == dropped
            held = agent.aevolve(run="mine")
            await first(held)
            with pytest.raises(RunError, match="left early holds its run until that is closed, by contextlib"):
                await first(agent.aevolve(run="mine"))
            await held.aclose()
            assert await first(agent.aevolve(run="mine")) == dropped

    asyncio.run(main())


def test_a_model_of_no_provider_is_refused_before_a_run_is_made(tmp_path: Path) -> None:
    with memory() as store:
        agent = Agent("nonsense/xyz", memory=store, environment=Sums(), runs=tmp_path)
        with pytest.raises(UnknownName, match="unknown model provider 'nonsense'"):
            list(agent.evolve(run="mine"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("answers", "left"), [(0, []), (4, ["mine"])])
def test_a_run_that_misuse_ends_is_kept_where_a_model_has_answered_in_it(
    answers: int, left: list[str], tmp_path: Path
) -> None:
    async def by_model(state: State, task: Task) -> list[Attempt]:
        if not answers:
            raise Misuse("a mistake before anything was asked")
        return await Sample()(state, task)

    async def mistaken(state: State, experience: Experience) -> Experience:
        raise Misuse("a mistake when all was asked")

    recipe = Recipe(act=by_model, judge=[mistaken])
    with memory() as store:
        agent = Agent(ScriptedModel(["?"] * answers), memory=store, recipe=recipe, environment=Sums(), runs=tmp_path)
        with pytest.raises(Misuse, match="a mistake"):
            list(agent.evolve(run="mine"))
    assert [path.name for path in tmp_path.iterdir()] == left


def test_another_recipe_cannot_go_on_with_a_run(tmp_path: Path) -> None:
    with memory() as store:
        list(Agent(FunctionModel(answers), memory=store, recipe=LEARNING, runs=tmp_path).evolve(Sums(), run="r"))
        other = Agent(FunctionModel(answers), memory=store, recipe="evo", runs=tmp_path)
        with pytest.raises(Misuse, match="begun with another recipe"):
            list(other.evolve(Sums(), run="r"))


@pytest.mark.parametrize("path", [":memory:", "other"])
def test_another_memory_cannot_go_on_with_a_run(path: str, tmp_path: Path) -> None:
    def agent(store: Memory) -> Agent:
        return Agent(FunctionModel(answers), memory=store, recipe=LEARNING, environment=Sums(), runs=tmp_path)

    with memory() as store:
        list(agent(store).evolve(run="r"))
        list(agent(store).evolve(run="r"))
    with (
        Memory.open(path if path.startswith(":") else tmp_path / path, embedder="hash") as other,
        pytest.raises(Misuse, match="begun with another memory"),
    ):
        list(agent(other).evolve(run="r"))


@pytest.mark.parametrize("name", ["", "..", "a/b", "/tmp", "a\0b", "\ud800", "x" * 256, 3])
def test_a_run_has_the_name_of_a_folder(name: str, tmp_path: Path) -> None:
    with memory() as store:
        agent = Agent(FunctionModel(answers), memory=store, recipe=LEARNING, runs=tmp_path)
        with pytest.raises(Misuse, match="named like a folder"):
            list(agent.evolve(Sums(), run=name))


def test_what_an_agent_cannot_practise_on_is_said() -> None:
    with memory() as store, pytest.raises(Misuse, match="practises on split 'train', and 'anything' has none; give"):
        list(Agent(ScriptedModel([]), memory=store).evolve())


def test_an_empty_name_is_no_memory_that_forgets_all_at_the_end() -> None:
    with pytest.raises(Misuse, match="got ''; expected a path"):
        Agent(ScriptedModel([]), memory="")


def test_an_agent_that_was_closed_says_so(tmp_path: Path) -> None:
    with memory() as store:
        agent = Agent(ScriptedModel(["a", "b"]), memory=store, runs=tmp_path)
        agent.run("q")
        agent.close()
        with pytest.raises(Misuse, match="this agent was closed"):
            agent.run("q")


@pytest.mark.parametrize("made", [None, Attempt(id="1", task=Task(id="7", prompt="do")), ["yes"]])
def test_an_act_that_gives_no_list_of_attempts_is_named(made: Any) -> None:
    async def act(state: State, task: Task) -> Any:
        return made

    with memory() as store, pytest.raises(Misuse, match="the strategy in the recipe's slot 'act' gave"):
        Agent(ScriptedModel([]), memory=store, recipe=Recipe(act=act)).run("q")


@pytest.mark.parametrize(
    "given",
    [
        {"environment": "house"}, {"environment": Sums}, {"budget": 5}, {"refine_rounds": -1},
        {"refine_rounds": 1.5}, {"seed": "a"}, {"seed": 0.5}, {"seed": None},
    ],
)  # fmt: skip
def test_an_agent_that_cannot_work_is_not_made(given: dict[str, Any]) -> None:
    (name,) = given
    with memory() as store, pytest.raises(Misuse, match=f"^{name} is .*; expected "):
        Agent(ScriptedModel([]), memory=store, **given)


def test_what_a_run_cannot_use_is_refused() -> None:
    with memory() as store:
        agent: Any = Agent(ScriptedModel([]), memory=store, environment=Sums())
        with pytest.raises(Misuse, match="budget is 5"):
            agent.run("q", budget=5)
        with pytest.raises(Misuse, match="environment is 'house'"):
            agent.run("q", environment="house")
        for cycles in (0, "2"):
            with pytest.raises(Misuse, match=f"cycles is {cycles!r}; expected a whole number, 1 or more"):
                list(agent.evolve(cycles=cycles))


def test_unknown_names_list_the_known_ones() -> None:
    with memory() as store, pytest.raises(UnknownName, match="unknown recipe 'evoo'; known: evo"):
        Agent(ScriptedModel([]), memory=store, recipe="evoo")


# --- many at once


def test_users_at_once_never_see_what_belongs_to_another(tmp_path: Path) -> None:
    async def main() -> None:
        with memory("anna", tmp_path) as annas, memory("bob", tmp_path) as bobs:
            agents = {name: Agent(FunctionModel(echo), memory=store) for name, store in (("a", annas), ("b", bobs))}
            for name, agent in agents.items():
                await agent.afeedback(await agent.arun("My secret?"), correction=f"secret of {name}")
            runs = [(name, agent.arun("My secret?")) for name, agent in agents.items() for _ in range(10)]
            found = await asyncio.gather(*(run for _, run in runs))
            assert [a.answer for a in found] == [f"secret of {name}" for name, _ in runs]
            assert annas.verify().ok
            assert bobs.verify().ok

    asyncio.run(main())


def test_a_run_that_is_cancelled_leaves_the_others_and_the_memory_alone(tmp_path: Path) -> None:
    async def main() -> None:
        begun, go = asyncio.Event(), asyncio.Event()

        async def waiting(messages: object) -> str:
            begun.set()
            await go.wait()
            return "done"

        with memory(path=tmp_path) as store:
            agent = Agent(FunctionModel(waiting), memory=store)
            runs = [asyncio.create_task(agent.arun(f"task {n}")) for n in range(20)]
            await begun.wait()
            runs[7].cancel()
            await asyncio.sleep(0)
            go.set()
            found = await asyncio.gather(*runs, return_exceptions=True)
            assert [n for n, one in enumerate(found) if isinstance(one, asyncio.CancelledError)] == [7]
            assert store.verify().ok

    asyncio.run(main())


# --- what is written while it runs


def test_the_steps_of_a_run_are_on_disk_before_it_ends(tmp_path: Path) -> None:
    left: list[list[Message]] = []

    def looking(messages: object) -> str:
        (path,) = tmp_path.glob("steps-*.jsonl")
        left.append([dict(m) for a in unfinished(path) for m in a.messages])
        return "done"

    with memory() as store:
        agent = Agent(FunctionModel(looking), memory=store, runs=tmp_path)
        agent.run("look")
        assert left == [[{"role": "user", "content": "look"}]]
        (path,) = tmp_path.glob("steps-*.jsonl")
        assert unfinished(path) == []
        agent.close()
