"""What the demo plays: the offline model works through requests in a made-up convention, without memory and with.

Every figure is measured while it runs: the model, the memory, the gate and the tasks are the real ones. The
substitution rule sees the same memory as the agent, before each answer.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from agentevo.benchmarks.arms import arm
from agentevo.benchmarks.protocols import study
from agentevo.cycle import commit, gated, learn
from agentevo.environments.tool.house import House
from agentevo.errors import ModelTimeout, ModelUnavailable
from agentevo.memory import Memory, Reflect
from agentevo.memory.history import Change
from agentevo.phases.gate import HeldOut
from agentevo.protocols import Environment, Golden, Model, Recipe, State
from agentevo.recipes import load
from agentevo.record import Record
from agentevo.runs import about, beginning
from agentevo.scoring import answered, scored
from agentevo.statistics import Interval, paired_bootstrap
from agentevo.types import Experience, Item, Json, Report, Task
from agentevo.types import Record as Line

ARMS = ("none", "rule", "memory")
MUST_GAIN = -0.02
"""What the model writes when it reflects must make it better by so much, surely, or it does not stay."""


class Forgotten(Line):
    """An item that went, and why: the reason that stands in the memory's history."""

    item: Item
    reason: str


class Answered(Line):
    """A request, what each arm made of it, what was stored because of it, and what was forgotten."""

    place: int
    of: int
    is_new_phrasing: bool
    prompt: str
    right: str
    answers: dict[str, str]
    scores: dict[str, float]
    learned: tuple[Item, ...] = ()
    forgotten: tuple[Forgotten, ...] = ()


class Reflected(Line):
    """What the model wrote when it reflected, and what the gate said to it."""

    insights: tuple[str, ...]
    report: Report


class Ended(Line):
    """The differences, and one lesson's life."""

    over_none: tuple[float, float, float]
    over_rule_on_new: tuple[float, float, float]
    lesson: Item | None
    asked: dict[str, str]
    """What was asked in the attempts that the lesson came from or was used in, by the attempt's id."""
    live: int
    forgotten: int


Moment: TypeAlias = Answered | Reflected | Ended


@dataclass(frozen=True)
class Demo:
    """A stream of requests in one convention, then requests in phrasings that were never seen."""

    model: Model
    folder: Path
    seed: int = 0
    convention: int = 0
    tasks: int = 48
    new: int = 24
    embedder: str | None = None

    @property
    def path(self) -> Path:
        """Where the memory is that the demo makes."""
        return self.folder / "memory"

    def recipe(self) -> Recipe:
        """evo, with a memory too small to keep everything."""
        return load("evo", stop=("\n",), max_tokens=48, temperature=0.0, cap=self.tasks * 3 // 4)

    def _state(self, memory: Memory) -> State:
        environment = House(self.convention, tasks=max(50, self.tasks, 2 * self.new))
        return State(model=self.model, memory=memory, environment=environment, recipe=self.recipe(), seed=self.seed)

    def _about(self, memory: Memory) -> dict[str, Json]:
        return about(self._state(memory), tasks=self.tasks, new=self.new)

    async def play(self) -> AsyncGenerator[Moment, None]:
        """Yield what happens; a demo that was stopped goes on where it was."""
        async with beginning(self.folder, self.model), aclosing(self._played()) as moments:
            async for moment in moments:
                yield moment

    async def _played(self) -> AsyncGenerator[Moment, None]:
        with (
            Memory.open(self.path, embedder=self.embedder, actor="agent") as memory,
            Record.open(self.folder, about=self._about(memory), concurrency=1) as record,
        ):
            state = self._state(memory)
            state, environment = replace(state, model=record.model(state.model)), state.environment
            stream = state.dice("demo", "stream").sample(list(environment.tasks("train")), self.tasks)
            seen: list[Answered] = []
            for place, task in enumerate(stream):
                seen.append(await _met(memory, state, task, record.turn(place), place, self.tasks))
                yield seen[-1]
            yield await _reflected(state, seen, stream, record.turn("reflect"))
            new = [task for task in environment.tasks("test") if task.data["group"] == "new phrasing"]
            tested = []
            for place, task in enumerate(state.dice("demo", "new").sample(new, self.new)):
                tested.append(await _tested(state, task, record.turn(f"new-{place}"), place, self.new))
                yield tested[-1]
            yield _ended(memory, record.id, seen, tested)


async def _met(memory: Memory, state: State, task: Task, record: Record, place: int, of: int) -> Answered:
    """Let every arm answer a new request, then let the agent learn from it."""
    done = record.read("met", Answered)
    if done is not None:
        return done
    answers = await _cheap(state, task, record)
    before = {item.id: item for item in await memory.alist(limit=None)}
    studied = await study(state, [task], record, counts=True)
    answers["memory"] = await scored(state, studied.practised[0])
    after = {item.id: item for item in await memory.alist(limit=None)}
    met = _answered(state, task, answers, place, of).but(
        learned=tuple(item for name, item in after.items() if name not in before),
        forgotten=tuple([await _gone(memory, item) for name, item in before.items() if name not in after]),
    )
    record.keep("met", Answered, met)
    return met


async def _gone(memory: Memory, item: Item) -> Forgotten:
    """Return an item that is live no more, with the reason of the change that took it away."""
    changes = (change for change in await memory.ahistory(item.id) if isinstance(change, Change))
    *_, last = (change for change in changes if change.verb not in ("reinforce", "link"))
    return Forgotten(item=item, reason=last.reason)


async def _tested(state: State, task: Task, record: Record, place: int, of: int) -> Answered:
    """Let every arm answer a request, and learn nothing from it."""
    arms = {**await _cheap(state, task, record), "memory": await _once(state, task, record, "memory")}
    return _answered(state, task, arms, place, of)


async def _cheap(state: State, task: Task, record: Record) -> dict[str, Experience]:
    return {name: await _once(state, task, record, name) for name in ARMS if name != "memory"}


async def _once(state: State, task: Task, record: Record, name: str) -> Experience:
    acting = replace(state, recipe=arm(name, state.recipe))
    return await record.once(name, Experience, lambda: answered(acting, task))


def _answered(state: State, task: Task, arms: dict[str, Experience], place: int, of: int) -> Answered:
    return Answered(
        place=place, of=of, is_new_phrasing=task.data.get("group") == "new phrasing", prompt=task.prompt,
        right=_gold(state.environment, task), answers={name: x.attempts[0].answer for name, x in arms.items()},
        scores={name: x.score for name, x in arms.items()},
    )  # fmt: skip


def _gold(environment: Environment, task: Task) -> str:
    assert isinstance(environment, Golden)
    return str(environment.gold(task)[-1]["content"])


async def _reflected(state: State, seen: Sequence[Answered], stream: Sequence[Task], record: Record) -> Reflected:
    """Have the model reflect on what went wrong last, and let the gate say whether that stays."""
    done = record.read("reflected", Reflected)
    if done is not None:
        return done
    failed = [task.id for answered, task in zip(seen, stream, strict=True) if not answered.scores["memory"]][-6:]
    if len(failed) < 2:
        return Reflected(insights=(), report=Report(reason="too little went wrong to reflect on"))
    policy = Reflect("all", where={"task": list(failed)}, kinds=("lesson",), at_least=2, at_most=6)
    reflecting = replace(
        state, recipe=replace(state.recipe, update=[policy], gate=HeldOut(margin=MUST_GAIN)), now=await record.now()
    )
    try:
        draft, _ = await learn(reflecting, [], record)
        report = await gated(reflecting, draft, record)
    except (ModelUnavailable, ModelTimeout) as error:  # nothing is kept of it: a demo that goes on tries again
        said = f"the model failed while it reflected: {error}"
        return Reflected(insights=(), report=Report(accepted=False, reason=said))
    if report.accepted and draft.ops:
        await commit(reflecting, draft, [], record, "reflected")
    insights = tuple(op.item.text for op in draft.ops if op.item is not None and op.item.status == "live")
    reflected = Reflected(insights=insights, report=report)
    record.keep("reflected", Reflected, reflected)
    return reflected


def _ended(memory: Memory, run: str, seen: Sequence[Answered], tested: Sequence[Answered]) -> Ended:
    lessons = [item for item in memory.list(kind="lesson", limit=None) if item.wins > 0]
    lesson = max(lessons, key=lambda item: (item.wins, item.utility), default=None)
    asked = {
        attempt.id: experience.task.prompt
        for _, experience in memory.experiences(run=run)
        for attempt in experience.attempts
        if lesson and (lesson.id in attempt.used or attempt.id in lesson.derived_from)
    }
    return Ended(
        over_none=_bounds(_over(seen, "none")), over_rule_on_new=_bounds(_over(tested, "rule")), lesson=lesson,
        asked=asked, live=memory.stats().live, forgotten=len(memory.list(status="forgotten", limit=None)),
    )  # fmt: skip


def _over(answered: Sequence[Answered], other: str) -> Interval:
    return paired_bootstrap([a.scores[other] for a in answered], [a.scores["memory"] for a in answered])


def _bounds(found: Interval) -> tuple[float, float, float]:
    return found.estimate, found.low, found.high
