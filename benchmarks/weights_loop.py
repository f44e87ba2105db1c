"""From memory into weights, measured: what an agent experienced is exported, trained, and set against recalling it.

The offline model works through house commands with a memory; what it got right goes out as rows without what it had
recalled, an adapter is trained on these and on its own answers to ordinary requests, and a gate compares it with the
base, both without memory. Then the same on rows with wrong answers, which the gate has to refuse.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from agentevo.benchmarks.arms import without_memory
from agentevo.benchmarks.ordinary import REHEARSED, facts, ordinary
from agentevo.benchmarks.protocols import study
from agentevo.cycle import gated
from agentevo.environments.beside import Beside
from agentevo.environments.tool.house import House
from agentevo.environments.wrappers import Wrapped
from agentevo.errors import TrainingError
from agentevo.evaluate import evaluate
from agentevo.memory import Memory
from agentevo.models import Cached
from agentevo.phases.act import Sample
from agentevo.phases.gate import Gains
from agentevo.protocols import Environment, Model, Recipe, State
from agentevo.recipes import load
from agentevo.record import Record
from agentevo.runs import about
from agentevo.scoring import scored
from agentevo.statistics import paired_bootstrap
from agentevo.types import Experience, Json, Op, Report, Task
from agentevo.types import Record as Line
from agentevo.types.work import SUITE
from agentevo.weights.adapters import base_of, keep_beside
from agentevo.weights.machine import must_be_trainable_here, train_here
from agentevo.weights.order import Trainer
from agentevo.weights.policies import Train
from agentevo.weights.replay import Rows

ORDINARY = "ordinary"
MARGIN = 0.1
LENGTH = 24
"""Most tokens of an answer: the longest command that is right takes 13."""
POISON_STEPS, POISON_TESTS, POISON_OTHERS = 6, 20, 12
"""Wrong answers are learned as fast as right ones: that they do harm shows after a few steps, on fewer tasks."""


class Gathered(Line):
    """What the agent did with its memory, and what of it is worth learning."""

    tasks: int
    right: int
    """Of the tasks, at the first try."""
    right_again: int
    """Of those that went wrong, when they were tried again with what had been learned."""
    rows: int
    left_out: str
    rehearsed: int


class Gated(Line):
    """What the gate said of an adapter."""

    of: str
    accepted: bool
    reason: str
    rows: int


class Figures(Line):
    """The arms side by side, on the same held-out tasks, and what the adapter does to ordinary requests."""

    scores: dict[str, float]
    groups: dict[str, dict[str, float]]
    over_base: tuple[float, float, float]
    """Adapter without memory - base without memory: the mean, and the ends of the 95 % interval."""
    ordinary: dict[str, float]
    facts: dict[str, float]
    over_facts: tuple[float, float, float]
    tests: int


Moment: TypeAlias = Gathered | Gated | Figures


def _silent(stage: str) -> None:
    pass


@dataclass(frozen=True)
class WeightsLoop:
    """One run, in a folder; one that was stopped goes on where it was."""

    model: Model
    folder: Path
    seed: int = 0
    convention: int = 0
    tasks: int = 80
    test: int = 40
    steps: int = 36
    embedder: str | None = None
    by: Trainer = train_here
    config: Mapping[str, Json] = field(default_factory=dict)
    report: Callable[[str], None] = _silent
    """Hears what is done next."""

    async def play(self) -> AsyncGenerator[Moment, None]:
        """Yield what happens; the figures come last. A model is asked the same thing once.

        A model of which no adapter can be trained, or used, here is refused before it is asked anything.
        """
        if self.by is train_here:
            await must_be_trainable_here(base_of(self.model.name), self.config)
        with (
            Memory.open(self.folder / "memory", embedder=self.embedder, actor="agent") as memory,
            Record.open(self.folder, about=self._about(memory), concurrency=4) as record,
        ):
            state = self._state(memory)
            state = replace(state, model=record.model(state.model))
            yield await self._gathered(state, memory, record)
            self.report(f"testing base + memory on {self.test} held-out commands")
            reports = {"base + memory": await self._tested(state, record, "recalling")}
            bare = replace(state, recipe=self._bare(state.recipe), environment=self._beside(state, self.test, None))
            yield await self._trained(bare, record, "its own experience", self._house(), self.steps)
            reports["base"] = await evaluate(bare, record.turn("its own experience"), "before")
            reports["adapter"] = await evaluate(bare, record.turn("its own experience"), "after")
            self.report(f"testing adapter + memory on {self.test} held-out commands")
            reports["adapter + memory"] = await self._tested(state, record, "both")
            tests = min(self.test // 2, POISON_TESTS)
            few = replace(bare, environment=self._beside(state, tests, POISON_OTHERS))
            yield await self._trained(few, record, "wrong answers", poisoned(self._house()), POISON_STEPS)
            yield await self._figures(reports)

    def _state(self, memory: Memory) -> State:
        recipe = load("evo", stop=("\n",), max_tokens=LENGTH, temperature=0.0, cap=10 * self.tasks)
        house = House(self.convention, tasks=max(50, self.tasks, self.test))
        model = Cached(self.model, self.folder / "asked")
        return State(model=model, memory=memory, environment=house, recipe=recipe, seed=self.seed)

    def _about(self, memory: Memory) -> dict[str, Json]:
        return about(self._state(memory), tasks=self.tasks, test=self.test, steps=self.steps, config=dict(self.config))

    def _bare(self, recipe: Recipe) -> Recipe:
        """Return the recipe without memory, and with the gate that an adapter must pass."""
        gate = Gains(target=("test",), retention=(ORDINARY,), margin=MARGIN)
        return Recipe(act=without_memory(recipe.act), gate=gate, name="weights-loop")

    def _beside(self, state: State, test: int, others: int | None) -> Environment:
        return Few(Beside(state.environment, **{ORDINARY: (ordinary(others), "test")}), self._drawn(state)[:test])

    def _drawn(self, state: State) -> list[Task]:
        """Return the held-out tasks of this run, as many of new phrasings as of seen ones."""
        by_group: dict[str, list[Task]] = {}
        for task in state.environment.tasks("test"):
            by_group.setdefault(str(task.data.get("group")), []).append(task)
        each = [state.dice("loop", name).sample(tasks, len(tasks)) for name, tasks in sorted(by_group.items())]
        return [task for pair in zip(*each, strict=False) for task in pair][: self.test]

    # --- gathering

    async def _gathered(self, state: State, memory: Memory, record: Record) -> Gathered:
        """Work through tasks with the memory, and again through those that went wrong; write what is worth learning."""
        done = record.read("gathered", Gathered)
        if done is not None:
            return done
        self.report(f"answering {self.tasks} house commands with a memory that begins empty")
        stream = state.dice("loop", "stream").sample(list(state.environment.tasks("train")), self.tasks)
        met = [await _met(state, task, record.turn(n)) for n, task in enumerate(stream)]
        failed = [task for task, x in zip(stream, met, strict=True) if x.score < 1]
        self.report(f"trying the {len(failed)} again that went wrong, and rehearsing ordinary requests")
        again = await study(state, failed, record.turn("again"))
        rehearsed = await _rehearsed(state)
        _write(self.folder / "ordinary.jsonl", rehearsed)
        rows, left_out = self._exported(state, memory)
        done = Gathered(
            tasks=len(met), right=sum(x.score >= 1 for x in met), right_again=sum(x.score >= 1 for x in again.learnt),
            rows=rows, left_out=left_out, rehearsed=len(rehearsed),
        )  # fmt: skip
        record.keep("gathered", Gathered, done)
        return done

    def _exported(self, state: State, memory: Memory) -> tuple[int, str]:
        from agentevo.weights.export import export_sft

        held_out = {"house/test": [task.prompt for task in state.environment.tasks("test")]}
        card = export_sft(
            memory, self.folder / "house.jsonl", force=True, min_score=1.0, strip=("memory", "hints"), near=None,
            against=held_out, keep_used=True,
        )  # fmt: skip
        return card.rows, card.left_out

    def _house(self) -> list[dict[str, Json]]:
        return [json.loads(line) for line in (self.folder / "house.jsonl").read_text("utf-8").splitlines()]

    # --- training and testing

    async def _trained(
        self, state: State, record: Record, of: str, rows: Sequence[Mapping[str, Json]], steps: int
    ) -> Gated:
        """Train on rows, and keep the adapter as the gate says."""
        part, draft = record.turn(of), state.memory.draft()
        replay = [Rows(rows, 1.0), Rows(self.folder / "ordinary.jsonl", 1.0)]
        config: dict[str, Json] = {"steps": steps, "batch": 8, "max_length": 256, **self.config}
        self.report(f"training on {of}: {len(rows)} rows and what was rehearsed, {steps} steps")
        train = Train("sft", replay=replay, at_least=0, config=config, by=self.by)
        state = replace(state, now=await part.now())

        async def trained() -> list[Op]:
            if made := await train(state.on(draft), []):
                return made
            raise TrainingError(f"nothing could be trained on {of}, so there is nothing to compare; the log says why")

        await draft.aapply(await part.once("train", list[Op], trained))
        self.report(f"testing before and after, without memory, and on ordinary requests: {of}")
        report = await gated(state, draft, part)
        if report.accepted:
            await draft.acommit(key=part.key, reason=report.reason)
        else:
            await keep_beside(state.memory, draft.ops, report, part.key)
        return Gated(of=of, accepted=report.accepted, reason=report.reason, rows=len(rows))

    async def _tested(self, state: State, record: Record, label: str) -> Report:
        return await evaluate(state, record, label, self._drawn(state))

    async def _figures(self, reports: Mapping[str, Report]) -> Figures:
        arms = ("base", "base + memory", "adapter", "adapter + memory")
        scores = {name: _scores(reports[name]) for name in arms}
        groups = sorted({group for found in scores.values() for group, _ in found.values()})
        knows = {name: await _facts(reports[name]) for name in ("base", "adapter")}
        base, adapter = ([score for _, score in scores[name].values()] for name in ("base", "adapter"))
        return Figures(
            scores={name: _mean([score for _, score in found.values()]) for name, found in scores.items()},
            groups={g: {n: _mean([s for of, s in f.values() if of == g]) for n, f in scores.items()} for g in groups},
            over_base=_bounds(base, adapter), over_facts=_bounds(knows["base"], knows["adapter"]),
            ordinary={name: _mean([x.score for x in _ordinary(reports[name])]) for name in knows},
            facts={name: _mean(found) for name, found in knows.items()}, tests=len(base),
        )  # fmt: skip


class Few(Wrapped):
    """An environment of whose split "test" only these tasks are asked."""

    def __init__(self, environment: Environment, tests: Sequence[Task]) -> None:
        super().__init__(environment)
        self._tests = list(tests)

    def tasks(self, split: str) -> Sequence[Task]:
        return self._tests if split == "test" else super().tasks(split)


def poisoned(rows: Sequence[Mapping[str, Json]]) -> list[dict[str, Json]]:
    """Return rows in which each has the answer of another, so that all are wrong."""
    answers = [row["completion"] for row in rows]
    moved = [*answers[1:], *answers[:1]]
    wrong = ({**row, "completion": other} for row, other in zip(rows, moved, strict=True))
    return [row for row, right in zip(wrong, answers, strict=True) if row["completion"] != right]


async def _met(state: State, task: Task, record: Record) -> Experience:
    """Answer a task as it comes, then learn from it."""
    done = record.read("met", Experience)
    if done is None:
        studied = await study(state, [task], record, counts=True)
        done = await scored(state, studied.practised[0])
        record.keep("met", Experience, done)
    return done


async def _rehearsed(state: State) -> list[dict[str, Json]]:
    """Return rows of the model's own answers to ordinary requests."""
    act, asked = Sample(temperature=0.0, max_tokens=LENGTH, stop=("\n",)), ordinary()
    tasks = [Task(id=f"rehearsed-{n}", prompt=prompt) for n, prompt in enumerate(REHEARSED)]
    made = [(await act(replace(state, environment=asked), task))[0] for task in tasks]
    return [
        {"prompt": [dict(m) for m in a.messages[: a.prompt]], "completion": [_said(a.answer)], "synthetic": True}
        for a in made
        if a.answer
    ]


def _said(answer: str) -> dict[str, Json]:
    return {"role": "assistant", "content": answer}


def _write(path: Path, rows: Sequence[Mapping[str, Json]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")


def _scores(report: Report) -> dict[str, tuple[str, float]]:
    """Return group and score of each house task, by its id and in the order of ids."""
    there = sorted((x for x in report.experiences if x.task.data.get(SUITE) != ORDINARY), key=lambda x: x.task.id)
    return {x.task.id: (str(x.task.data.get("group")), x.score) for x in there}


def _ordinary(report: Report) -> list[Experience]:
    return [x for x in report.experiences if x.task.data.get(SUITE) == ORDINARY]


async def _facts(report: Report) -> list[float]:
    """Return, of each ordinary request, whether its answer mentions what it has to."""
    suite = facts()
    asked = {task.prompt: task for task in suite.tasks("test")}
    found = [(asked[x.task.prompt], x.attempts[0]) for x in sorted(_ordinary(report), key=lambda x: x.task.id)]
    return [(await suite.verify(task, attempt)).score or 0.0 for task, attempt in found]


def _mean(scores: Sequence[float]) -> float:
    return sum(scores) / len(scores) if scores else 0.0


def _bounds(before: Sequence[float], after: Sequence[float]) -> tuple[float, float, float]:
    found = paired_bootstrap(before, after)
    return found.estimate, found.low, found.high
