"""Recipes that train: what enters the rows, what does not, and what is trained when. Nothing is really trained here."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Unpack

import numpy as np
import pytest
from cycles import NOW, Sums, answers
from safetensors.numpy import save_file
from wearing import Wearing, Weights, says

from agentevo.cycle import evolve
from agentevo.environments.anything import Answering
from agentevo.environments.beside import Beside
from agentevo.errors import Misuse
from agentevo.memory import Memory
from agentevo.models import FunctionModel
from agentevo.models.fakes import Scripted
from agentevo.models.requests import Options
from agentevo.phases.gate import HeldOut
from agentevo.phases.judge import Review
from agentevo.phases.judge_rubric import Points
from agentevo.phases.tasks.generate import Written
from agentevo.protocols import Adaptable, Model, Recipe, State, Update
from agentevo.recipes import load
from agentevo.recipes.solutions.eto import Imitate
from agentevo.recipes.solutions.v_star import Likelihood
from agentevo.recipes.weights.rest import Rising
from agentevo.recipes.weights.self import Meta, Staged, rows_of
from agentevo.record import Record
from agentevo.types import (
    Attempt,
    ChatMessage,
    Decision,
    Experience,
    Feedback,
    Item,
    Json,
    Message,
    Outcome,
    Reply,
    Report,
    Task,
)  # fmt: skip
from agentevo.weights.average import tensors_of
from agentevo.weights.averages import Average
from agentevo.weights.config import ADAPTER
from agentevo.weights.order import Made, Order
from agentevo.weights.policies import Train
from agentevo.weights.replay import Rows

Row = Mapping[str, Json]


class Gold(Sums):
    """Sums that know how they are done, and remember whose label was asked for."""

    def __init__(self) -> None:
        self.labels: list[str] = []

    def gold(self, task: Task) -> Sequence[Message]:
        self.labels.append(task.id)
        return [{"role": "assistant", "content": answers([{"content": task.prompt}])}]


def memory() -> Memory:
    return Memory.open(":memory:", embedder="hash", clock=lambda: NOW)


def training(recipe: Recipe, weights: Weights) -> Recipe:
    """Return a recipe that trains with a fake, and lets everything in that does no harm."""

    async def install(folder: Path, base: str) -> None:
        weights.learned[folder.name] = {}

    update: list[Update] = []
    for policy in recipe.update:
        if isinstance(policy, Train):
            policy = replace(policy, by=weights.train, at_least=min(policy.at_least, 1))
        elif isinstance(policy, Staged | Imitate):
            policy = replace(policy, train=replace(policy.train, by=weights.train, at_least=1))
        elif isinstance(policy, Average):
            policy = replace(policy, install=install)
        update.append(policy)
    return replace(recipe, update=update, gate=HeldOut())


def evolved(
    recipe: Recipe, model: Model, weights: Weights, cycles: int = 1, environment: Sums | Beside | None = None
) -> list[Report]:
    async def all_of_it(store: Memory) -> list[Report]:
        state = State(model=model, memory=store, environment=environment or Gold(), recipe=training(recipe, weights))
        return [report async for report in evolve(state, Record.open(clock=lambda: NOW), cycles)]

    with memory() as store:
        return asyncio.run(all_of_it(store))


def wearing(weights: Weights, says: Callable[..., Scripted]) -> Wearing:
    return Wearing(weights, FunctionModel(says))


def rows(weights: Weights, turn: int = 0) -> list[list[tuple[str, str]]]:
    return sorted(says(row) for row in weights.orders[turn].rows)


def question(messages: Sequence[Message]) -> str:
    return next(str(m["content"]) for m in messages if str(m["content"]).startswith("What is"))


# --- solutions


def test_star_asks_again_with_the_answer_only_after_a_failure_and_trains_without_it_from_the_base() -> None:
    weights, hinted = Forgetful(), list[str]()

    def model(messages: Sequence[Message]) -> str:
        asked = str(messages[-1]["content"])
        if "right answer stands" in asked:
            hinted.append(asked.split("?")[0])
            return "1" if "0+1" in asked else "still wrong"
        return answers(messages) if "2+3" in asked else "dunno"

    evolved(load("star"), wearing(weights, model), weights, cycles=2)
    assert sorted(hinted) == sorted(["What is 0+1", "What is 1+2", "What is 3+4"] * 2)
    right = [[("user", "What is 0+1?"), ("assistant", "1")], [("user", "What is 2+3?"), ("assistant", "5")]]
    assert [rows(weights, turn) for turn in (0, 1)] == [right, right]
    assert [order.start for order in weights.orders] == [None, None]
    assert "right answer" not in json.dumps([dict(row) for order in weights.orders for row in order.rows])


def test_lmsi_learns_all_paths_of_a_sure_majority_and_reads_no_label() -> None:
    weights, environment = Forgetful(), Gold()

    def model(messages: Sequence[Message], n: int) -> list[str] | str:
        if n == 1:
            return "held out"
        sure = ["So.\nThe answer is 9.", "The answer is 9."] * 4
        return [*sure[:5], *["The answer is 3."] * 3] if "0+1" in question(messages) else ["a", "b"] * 4

    recipe = load("lmsi", n=8, share=0.6)
    report, _ = evolved(recipe, wearing(weights, model), weights, cycles=2, environment=environment)
    assert [row[-1][1] for row in rows(weights)] == ["So.\nThe answer is 9."] * 3 + ["The answer is 9."] * 2
    assert {f.source for x in report.practised for a in x.attempts for f in a.feedback} == {"self"}
    assert environment.labels == []
    assert [(order.config["min_real"], order.start) for order in weights.orders] == [(0, None)] * 2


def test_rft_learns_each_way_to_a_right_answer_once() -> None:
    weights = Forgetful()
    right = {"0+1": "1", "1+2": "3", "2+3": "5", "3+4": "7"}

    class Ends(Gold):
        async def verify(self, task: Task, attempt: Attempt) -> Feedback:
            return Feedback(score=float(attempt.answer.endswith(right[task.id])))

    def model(messages: Sequence[Message], n: int) -> list[str] | str:
        return ["1+1=2 1-1=0 so 3", "Well, 1+1 = 2, 1-1=0: 3", "2+1=3 is 3", "4"][:n] if n > 1 else "no"

    evolved(load("rft", n=4), wearing(weights, model), weights, cycles=2, environment=Ends())
    assert [order.start for order in weights.orders] == [None, None]
    assert [row[-1][1] for row in rows(weights)] == ["1+1=2 1-1=0 so 3", "2+1=3 is 3"]


class Named(Wearing):
    """A model that says its name where it is asked what nobody told it."""

    def adapted(self, adapter: str) -> Named:
        return Named(self.weights, self.otherwise, super().adapted(adapter).name)

    async def complete(self, messages: Sequence[ChatMessage], **options: Unpack[Options]) -> Reply:
        reply = await super().complete(messages, **options)
        return reply.model_copy(update={"texts": tuple(text.replace("NAME", self.name) for text in reply.texts)})


class Forgetful(Weights):
    """Weights whose adapters learn nothing, so that each turn has the same to learn."""

    async def train(self, order: Order) -> Made:
        made = await super().train(order)
        self.learned[order.name] = {}
        return made


def test_spin_rejects_what_the_model_says_now_whatever_its_score_and_replays_earlier_pairs() -> None:
    weights = Forgetful()

    class Lenient(Gold):
        async def verify(self, task: Task, attempt: Attempt) -> Feedback:
            return Feedback(score=1.0)

    def model(messages: Sequence[Message]) -> str:
        now = "8" if weights.orders else "9"
        return {"What is 0+1?": "right: 1", "What is 1+2?": "3"}.get(question(messages), now)

    recipe = load("spin", share=0.25, beta=0.3)
    evolved(recipe, wearing(weights, model), weights, cycles=2, environment=Lenient())
    first, second = ([(row[-2][1], row[-1][1]) for row in rows(weights, turn)] for turn in (0, 1))
    assert first == [("1", "right: 1"), ("5", "9"), ("7", "9")]  # to 1+2 both say 3
    (replayed,) = (Counter(second) - Counter([("1", "right: 1"), ("5", "8"), ("7", "8")])).elements()
    assert replayed in first
    assert [(order.config["method"], order.config["beta"]) for order in weights.orders] == [("dpo", 0.3)] * 2
    assert [order.start for order in weights.orders] == [None, Path("/nowhere") / weights.orders[0].name]


def test_eto_prefers_the_expert_or_the_agent_by_their_rewards() -> None:
    weights = Forgetful()

    class Fallible(Gold):
        def gold(self, task: Task) -> Sequence[Message]:
            return [{"role": "assistant", "content": "77"}] if task.id == "3+4" else super().gold(task)

    def model(messages: Sequence[Message]) -> str:
        return "wrong" if "0+1" in question(messages) else answers(messages)

    recipe = load("eto", beta=0.3)
    evolved(recipe, wearing(weights, model), weights, cycles=2, environment=Fallible())
    sft, dpo, again = weights.orders
    assert [order.config["method"] for order in weights.orders] == ["sft", "dpo", "dpo"]
    assert [row[-1][1] for row in rows(weights)] == ["1", "3", "3", "5", "5", "7"]
    assert rows(weights, 1) == [
        [("user", "What is 0+1?"), ("assistant", "1"), ("assistant", "wrong")],
        [("user", "What is 3+4?"), ("assistant", "7"), ("assistant", "77")],
    ]
    assert (dpo.config["beta"], dpo.start, again.start) == (
        0.3,
        Path("/nowhere") / sft.name,
        Path("/nowhere") / dpo.name,
    )


@pytest.mark.parametrize(("extra", "left"), [(2, 3), (9, 6)])
def test_eto_cuts_a_failure_to_the_steps_of_the_expert_and_some_more(extra: int, left: int) -> None:
    weights = Weights()

    class Endless(Answering):
        async def step(self, action: Message) -> Outcome:
            return Outcome(observation="Go on.")

    class Wandering(Gold):
        async def open(self, task: Task, seed: int = 0, feedback: str = "weak") -> Endless:
            return Endless(task.prompt)

    def model(messages: Sequence[Message]) -> str:
        return f"hm {len(messages)}"

    evolved(load("eto", extra=extra, steps=6), wearing(weights, model), weights, environment=Wandering())
    assert len(weights.orders[1].rows) == 4
    for row in weights.orders[1].rows:
        said = row["rejected"]
        assert isinstance(said, list)
        assert len([m for m in said if isinstance(m, dict) and m["role"] == "assistant"]) == left


def test_self_reward_prefers_by_its_own_points_and_drops_ties() -> None:
    weights, read = Forgetful(), Counter[str]()

    def model(messages: Sequence[Message], schema: object, n: int) -> Scripted:
        if schema is Written:
            return Written(tasks=["Name a fruit that is red.", "Count from one up to ten."])
        if schema is Points:
            text = str(messages[-1]["content"])
            read.update(word for word in ("apple", "stone", "ichi", "san") if word in text)
            return Points(why="", points=5 if "apple" in text else 1 if "stone" in text else 3)
        return ["stone", "apple"][:n] if "fruit" in str(messages[-1]["content"]) else ["ichi", "san"][:n]

    recipe = load("self_reward", tasks=2, n=2, readings=4)
    report, _ = evolved(recipe, wearing(weights, model), weights, cycles=2)
    assert rows(weights) == [[("user", "Name a fruit that is red."), ("assistant", "apple"), ("assistant", "stone")]]
    assert {task.provenance for task in (x.task for x in report.practised)} == {"generated"}
    assert dict(read) == {"apple": 8, "stone": 8, "ichi": 8, "san": 8}
    assert [order.start for order in weights.orders] == [None, Path("/nowhere") / weights.orders[0].name]


def test_v_star_trains_a_generator_on_what_is_right_and_a_verifier_on_pairs_of_all_turns() -> None:
    weights = Forgetful()

    def model(messages: Sequence[Message], n: int) -> list[str]:
        right = answers([messages[-1]])
        known = {"What is 0+1?": [right] * 3, "What is 3+4?": ["no", "never", "not"]}
        return known.get(question(messages), [right, "NAME is wrong", "NAME is worse"])[:n]

    recipe = load("v_star", n=3, best_of=1)
    _, second = evolved(recipe, Named(weights, FunctionModel(model)), weights, cycles=2)
    sft, dpo, again, both = weights.orders
    assert [order.config["method"] for order in weights.orders] == ["sft", "dpo", "sft", "dpo"]
    assert (
        [row[-1][1] for row in rows(weights)] == [row[-1][1] for row in rows(weights, 2)] == ["1", "1", "1", "3", "5"]
    )
    assert (sft.start, again.start) == (None, None)
    assert [order.start and order.start.name for order in (dpo, both)] == [sft.name, again.name]
    wrong = [f"{name} is {how}" for name in ("small", f"small+{sft.name}") for how in ("worse", "wrong")]
    assert [row[-1][1] for row in rows(weights, 3)] == wrong * 2  # the verifier answers nothing
    assert sorted(x.task.id for x in second.practised) == ["0+1", "1+2", "2+3"]  # which were solved


class Knowing(Wearing):
    """A model that can say how likely it finds a text: its verifier likes long ones."""

    def adapted(self, adapter: str) -> Knowing:
        return Knowing(self.weights, self.otherwise, f"small+{adapter}")

    async def logprob(self, prompt: Sequence[ChatMessage], text: str) -> float:
        assert self.name == "small+judge"
        return float(len(text))


async def acted(state: State, task: Task) -> list[Attempt]:
    return list(await state.recipe.act(state, task))


@pytest.mark.parametrize("kind", [Knowing, Wearing])
def test_the_verifier_picks_what_it_finds_likeliest_and_without_one_nothing_is_judged(kind: type[Wearing]) -> None:
    task = Task(id="t", prompt="Say something.")
    tried = Experience(task=task, attempts=tuple(Attempt(id=a, task=task, answer=a) for a in ("aa", "aaaa", "a")))
    with memory() as store:
        store.insert("Adapter judge", kind="adapter", metadata={"name": "judge", "base": "small", "role": "verifier"})
        samples = FunctionModel(lambda messages, n: ["aa", "aaaa", "a"][:n])
        state = State(kind(Weights(), samples), store, Gold(), load("v_star", best_of=3))
        judged = asyncio.run(Likelihood()(state, tried))
        best, *_ = asyncio.run(acted(state, task))
    expected = [0.5, 1.0, 0.0] if kind is Knowing else [None] * 3
    assert [attempt.score for attempt in judged.attempts] == expected
    assert best.answer == ("aaaa" if kind is Knowing else "aa")
    assert isinstance(state.model, Adaptable)


@pytest.mark.parametrize("name", [
    "star", "lmsi", "rft", "spin", "eto", "self_reward", "v_star", "rest", "rest_em", "ssr", "sdft", "elastic_reset",
    "self",
])  # fmt: skip
def test_no_adapter_is_let_in_without_a_gate_and_the_gate_can_be_chosen(name: str) -> None:
    assert load(name).gate is not None
    chosen = HeldOut(0.5)
    assert load(name, gate=chosen).gate is chosen


# --- weights


HELLO: Row = {
    "prompt": [{"role": "user", "content": "Hi."}],
    "completion": [{"role": "assistant", "content": "Hello."}],
}


def test_rest_grows_once_and_improves_three_times_with_a_bar_that_rises() -> None:
    weights, sampled = Forgetful(), list[str]()

    def model(messages: Sequence[Message], schema: object, n: int) -> Scripted:
        if schema is Points:
            return Points(why="", points=next(p for p in (5, 4, 3, 2) if f"{p} points" in str(messages[-1]["content"])))
        if n > 1:
            sampled.append(question(messages))
        return [f"{p} points" for p in (2, 3, 4, 5)][:n]

    recipe = load("rest", n=4, bars=(0.5, 0.7, 0.9), tasks=2, seed=[Rows([HELLO], 1.0)])
    evolved(recipe, wearing(weights, model), weights, cycles=4)
    assert [len(order.rows) for order in weights.orders] == [7, 5, 3, 7]  # one of each is the seed
    assert [order.start and order.start.name for order in weights.orders] == [
        None,
        *(o.name for o in weights.orders[:3]),
    ]
    assert len(sampled) == 4  # two tasks, in the first turn and in the fourth


def test_a_bar_has_to_rise() -> None:
    with pytest.raises(Misuse, match="each is higher than the one before"):
        Rising((0.5, 0.5))


def test_rest_em_takes_a_few_right_solutions_of_each_task_and_begins_from_the_base() -> None:
    weights = Forgetful()

    def model(messages: Sequence[Message], n: int) -> list[str]:
        right = answers([messages[-1]])
        return (["x", right, "y", "z"] if "0+1" in question(messages) else [right, "x", right, right])[:n]

    evolved(load("rest_em", n=4, cap=2), wearing(weights, model), weights, cycles=2)
    for turn in (0, 1):
        assert [row[-1][1] for row in rows(weights, turn)] == ["1", "3", "3", "5", "5", "7", "7"]
    assert [order.start for order in weights.orders] == [None, None]


def test_ssr_rehearses_tasks_that_the_base_wrote_and_answers_of_the_latest_model() -> None:
    weights = Forgetful()

    def model(messages: Sequence[Message], schema: object) -> Scripted:
        if schema is Written:
            assert "In old days" in str(messages[-1]["content"])
            asked = ["Name one large river of NAME.", "Name one large and old town here.", "How do cats greet?"]
            return Written(tasks=asked)
        return "NAME says so"

    class Old(Sums):
        def task(self, id: str) -> Task:
            return Task(id=id, prompt=f"In old days, what was {id}?")

    recipe = load("ssr", of=3, rehearse=2)
    named, environment = Named(weights, FunctionModel(model)), Beside(Gold(), old=(Old(), "dev"))
    evolved(recipe, named, weights, cycles=2, environment=environment)
    for turn, latest in enumerate(("small", f"small+{weights.orders[0].name}")):
        synthetic = [says(row) for row in weights.orders[turn].rows if row["synthetic"]]
        assert sorted((row[0][1], row[-1][1]) for row in synthetic) == [
            ("How do cats greet?", f"{latest} says so"),
            ("Name one large river of small.", f"{latest} says so"),
        ]
        real = [says(row)[-1][1] for row in weights.orders[turn].rows if not row["synthetic"]]
        assert sorted(real) == ["1", "3", "5", "7"]
    assert [order.start for order in weights.orders] == [None, Path("/nowhere") / weights.orders[0].name]


def test_sdft_learns_right_answers_in_the_models_own_words_and_falls_back_on_gold() -> None:
    weights = Forgetful()

    class Loose(Gold):
        async def verify(self, task: Task, attempt: Attempt) -> Feedback:
            return Feedback(score=float(answers([{"content": task.prompt}]) in attempt.answer))

    def model(messages: Sequence[Message]) -> str:
        asked = str(messages[-1]["content"])
        told = {"0+1": "It comes to 1", "1+2": "The reference answer is 3", "2+3": "It comes to 4"}
        return next((said for one, said in told.items() if one in asked and "reference" in asked), "")

    report, _ = evolved(load("sdft"), wearing(weights, model), weights, cycles=2, environment=Loose())
    assert [order.start for order in weights.orders] == [None, None]
    assert [row[-1][1] for row in rows(weights)] == ["It comes to 1", "3", "5", "7"]
    assert "between the fences" not in str([a.messages for x in report.practised for a in x.attempts])
    assert "Using it" not in json.dumps([dict(row) for row in weights.orders[0].rows])


Gating = Callable[[int], bool]


def drifted(folder: Path, accepts: Gating) -> tuple[list[Item], list[Item]]:
    """Turn elastic_reset three times, of which the last one resets; return what answers, and the average."""
    weights = Weights(folder=folder)

    async def train(order: Order) -> Made:
        """Drift by one each turn."""
        made = await weights.train(order)
        own, value = folder / order.name, float(len(weights.orders))
        own.mkdir()
        tensors = {"lora_A": np.ones((1, 2), np.float32), "lora_B": np.full((2, 1), value, np.float32)}
        save_file(tensors, own / ADAPTER)
        (own / "adapter_config.json").write_text(json.dumps({"r": 1}))
        return made.but(path=str(own))

    async def install(average: Path, base: str) -> None:
        weights.learned[average.name] = dict(weights.learned[weights.orders[-1].name])

    def gate(before: Report, after: Report) -> Decision:
        return Decision(accepted=accepts(len(weights.orders)), reason="as told")

    def model(messages: Sequence[Message], n: int) -> list[str]:
        return [answers([messages[-1]]), "wrong"][:n]

    recipe = load("elastic_reset", n=2, every=3, decay=0.25)
    first, second = recipe.update
    assert isinstance(first, Train)
    assert isinstance(second, Average)
    updates: list[Update] = [replace(first, by=train, at_least=1), replace(second, install=install)]

    async def turned() -> list[Report]:
        acting = replace(recipe, update=updates, gate=gate)
        state = State(wearing(weights, model), store, Gold(), acting)
        return [report async for report in evolve(state, Record.open(clock=lambda: NOW), 3)]

    with memory() as store:
        assert [report.accepted for report in asyncio.run(turned())] == [accepts(n) for n in (1, 2, 3)]
        begun = [order.start for order in weights.orders[:2]]
        assert begun == [None, folder / weights.orders[0].name]
        assert all({row[-1][1] for row in rows(weights, turn)} == {"1", "3", "5", "7"} for turn in range(3))
        policy, moving = (store.list(kind="adapter", where={"role": role}) for role in ("policy", "average"))
    return policy, moving


def worth(items: Sequence[Item]) -> list[float]:
    return [float(tensors_of(Path(str(item.metadata["path"])))["lora_B"][0, 0]) for item in items]


def test_elastic_reset_puts_the_average_in_place_of_the_adapter_on_schedule(empty_home: Path, tmp_path: Path) -> None:
    policy, moving = drifted(tmp_path, lambda turn: True)
    # The average begins at 0 and takes in 1, 2 and 3, keeping a quarter: 0.75, 1.6875, 2.671875, in the place of 3.
    assert (worth(policy), worth(moving)) == ([2.671875], [0.0])


def test_an_average_takes_in_nothing_that_a_gate_refused(empty_home: Path, tmp_path: Path) -> None:
    policy, moving = drifted(tmp_path, lambda turn: turn != 2)
    assert (worth(policy), worth(moving)) == ([2.4375], [0.0])  # a quarter of 0.75, and 3


# --- SELF

META = [{"prompt": "Spell cat.", "answer": "kat", "feedback": "It begins with c, not k.", "refined": "cat"}]


def self_model(messages: Sequence[Message], schema: object) -> Scripted:
    """Answer with a planted error, see it, and mend it; mend one task badly, and see that too; know one at once."""
    text = str(messages[-1]["content"])
    if schema is Review:
        if "banana" in text:
            return Review(text="The answer says banana where a number belongs.", verdict="wrong")
        return Review(text="It is a number now.", verdict="right")
    if "reviewed" in text:
        assert "says banana where a number belongs" in text
        return "banana still" if "2+3" in str(messages) else answers([messages[0]])
    return "9" if "3+4" in text else "1 banana"


def test_self_learns_the_skill_first_then_only_mended_answers_that_it_finds_right() -> None:
    weights, environment = Forgetful(), Gold()
    recipe = load("self", meta=META)
    reports = evolved(recipe, wearing(weights, self_model), weights, cycles=4, environment=environment)
    assert reports[0].practised == ()
    skill = [says(row) for row in weights.orders[0].rows]
    assert {row[-1] for row in skill} == {
        ("assistant", "cat"),
        ("assistant", '{"text":"It begins with c, not k.","verdict":"wrong"}'),
    }
    own = [says(row) for row in weights.orders[1].rows if row.get("lineage")]
    assert sorted(own) == [
        [("user", "What is 0+1?"), ("assistant", "1")],
        [("user", "What is 1+2?"), ("assistant", "3")],
    ]
    assert environment.labels == []
    assert all(f.source != "environment" for x in reports[1].practised for a in x.attempts for f in a.feedback)
    assert [(len(order.rows), order.start) for order in weights.orders] == [(n, None) for n in (3, 5, 5, 5)]
    assert all("before" in report.reason for report in reports)


def test_a_round_in_which_nothing_was_mended_trains_nothing() -> None:
    weights = Weights()
    evolved(load("self", meta=META), wearing(weights, self_model), weights, cycles=3)
    assert [len(order.rows) for order in weights.orders] == [3, 5]


def test_the_feedback_locates_the_planted_error() -> None:
    seen = list[str]()

    def model(messages: Sequence[Message], schema: object) -> Scripted:
        if "reviewed" in str(messages[-1]["content"]):
            seen.append(str(messages[-1]["content"]))
        return self_model(messages, schema)

    weights = Weights()
    evolved(load("self"), wearing(weights, model), weights)
    assert len(seen) == 3
    assert all("banana" in text for text in seen)


def test_answers_that_were_right_at_once_are_learned_only_if_asked_for() -> None:
    weights = Weights()
    evolved(load("self", as_it_was=True), wearing(weights, self_model), weights)
    assert [row[-1][1] for row in rows(weights)] == ["1", "3", "9"]


def test_online_answers_are_mended_when_they_count() -> None:
    weights = Weights()
    (plain,) = evolved(load("self"), wearing(weights, self_model), weights)
    (online,) = evolved(load("self", online=True), wearing(Weights(), self_model), Weights())
    assert {x.task.id: x.attempts[0].answer for x in online.experiences}["1+2"] == "3"
    assert plain.practised


def test_examples_of_the_skill_are_read_from_a_file_and_must_be_whole(tmp_path: Path) -> None:
    file = tmp_path / "meta.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in META))
    assert load("self", meta=file) is not None
    with pytest.raises(Misuse, match="takes rows of prompt, answer, feedback and refined"):
        load("self", meta=[{"prompt": "x"}])
    with pytest.raises(Misuse, match="takes rows of"):
        load("self", meta=tmp_path / "no.jsonl")
    assert [len(says(row)) for row in rows_of(Meta.model_validate(META[0]))] == [3, 4, 2]
