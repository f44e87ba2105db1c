"""What strangers can implement: the services, the eight callables of a recipe, and the one argument they take.

Protocols are asynchronous only, because hundreds of rollouts wait on models at once.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, runtime_checkable

from agentevo.awaitable import awaitable
from agentevo.described import describe
from agentevo.errors import Misuse
from agentevo.types import (
    Attempt,
    Card,
    ChatMessage,
    Decision,
    Experience,
    Feedback,
    Hit,
    Item,
    Kind,
    Message,
    Objective,
    Op,
    Outcome,
    Reply,
    Report,
    Section,
    Status,
    Task,
    Tool,
    Transaction,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pydantic import BaseModel

    Vectors: TypeAlias = NDArray[np.float32]

ToolChoice: TypeAlias = Literal["auto", "none", "required"]
FeedbackLevel: TypeAlias = Literal["none", "weak", "strong"]


# --- services


@runtime_checkable
class Model(Protocol):
    """Something that answers chat messages.

    `complete` returns `n` samples in one Reply. With `schema` each text is JSON that fits it, or SchemaMismatch is
    raised. With `on_text` the pieces of the first sample are handed over as they arrive; the Reply is the same.
    It raises ModelError or BudgetExceeded, never a provider's own exception, and may be cancelled at any await.
    """

    @property
    def name(self) -> str: ...

    async def complete(
        self,
        messages: Sequence[ChatMessage],
        *,
        tools: Sequence[Tool] = (),
        tool_choice: ToolChoice = "auto",
        schema: type[BaseModel] | None = None,
        n: int = 1,
        temperature: float | None = None,
        max_tokens: int | None = None,
        stop: Sequence[str] = (),
        seed: int | None = None,
        logprobs: int | None = None,
        on_text: Callable[[str], None] | None = None,
    ) -> Reply: ...


@runtime_checkable
class Scorer(Protocol):
    """A model that can also say how likely it finds a given text after a prompt."""

    async def logprob(self, prompt: Sequence[ChatMessage], text: str) -> float: ...


@runtime_checkable
class Adaptable(Protocol):
    """A model that can answer with one of the adapters that lie beside it."""

    def adapted(self, adapter: str) -> Model: ...


@runtime_checkable
class Embedder(Protocol):
    """Something that turns texts into unit vectors, one row a text, in order.

    Two embedders with one fingerprint give the same vector for the same text: a memory refuses any other.
    """

    @property
    def name(self) -> str: ...

    @property
    def fingerprint(self) -> str: ...

    @property
    def dimensions(self) -> int: ...

    async def embed(self, texts: Sequence[str]) -> Vectors: ...


@runtime_checkable
class Immediate(Protocol):
    """An embedder that waits for nothing: plain code need not cross into a loop and back for its vectors."""

    def embed_now(self, texts: Sequence[str]) -> Vectors: ...


@runtime_checkable
class Episode(Protocol):
    """One run of one task: look at `observation`, act with `step`, always `close` (twice does no harm)."""

    @property
    def observation(self) -> str: ...

    @property
    def tools(self) -> Sequence[Tool]: ...

    async def step(self, action: Message) -> Outcome: ...

    async def close(self) -> None: ...


@runtime_checkable
class Environment(Protocol):
    """A domain, shared by its episodes. `verify` is the only truth; the rewards of steps guide, they do not score."""

    @property
    def card(self) -> Card: ...

    def splits(self) -> Sequence[str]: ...

    def tasks(self, split: str) -> Sequence[Task]: ...

    def task(self, id: str) -> Task: ...

    async def open(self, task: Task, seed: int = 0, feedback: FeedbackLevel = "weak") -> Episode: ...

    async def verify(self, task: Task, attempt: Attempt) -> Feedback: ...


@runtime_checkable
class Golden(Protocol):
    """An environment that knows how a task is done: the actions that lead there, each as an assistant's message."""

    def gold(self, task: Task) -> Sequence[Message]: ...


class RunsTests(Protocol):
    """An environment that runs tests on an answer: those that are given or, where none are, those that the task shows.

    It gives one feedback a test, in order, each with a score. Tests that score the task are never among them.
    """

    async def run_tests(self, task: Task, answer: str | Attempt, tests: Sequence[str] = ()) -> Sequence[Feedback]: ...


class Memory(Protocol):
    """The part of a memory that strategies use: they read, and they draft; nothing is written until it is kept."""

    @property
    def namespace(self) -> str: ...

    async def arecall(
        self,
        query: str,
        k: int = 5,
        *,
        where: Mapping[str, Any] | None = None,
        kind: Kind | Sequence[Kind] | None = None,
        mode: Literal["vector", "bm25", "hybrid"] = "hybrid",
        now: float | None = None,
    ) -> list[Hit]: ...

    async def aget(self, id: str) -> Item | None: ...

    async def awas_purged(self, attempt: str) -> bool: ...

    async def alist(
        self,
        *,
        where: Mapping[str, Any] | None = None,
        kind: Kind | Sequence[Kind] | None = None,
        status: Status | Sequence[Status] | None = "live",
        order: str = "newest",
        limit: int | None = None,
    ) -> list[Item]: ...

    def draft(self) -> Draft: ...


@runtime_checkable
class Keeper(Protocol):
    """A memory that keeps experiences as they are, beside what is made of them; a draft does not."""

    async def arecord(self, experience: Experience, *, run: str = "", id: str | None = None) -> str: ...


class Draft(Memory, Protocol):
    """Memory as it would be: reads see the changes gathered in it, nobody else does until it is committed."""

    @property
    def ops(self) -> tuple[Op, ...]: ...

    async def aapply(self, ops: Sequence[Op], *, reason: str = "") -> Transaction: ...

    async def acommit(self, *, key: str | None = None, reason: str = "") -> Transaction: ...


# --- the moment and the method


@dataclass(frozen=True)
class State:
    """The survey's moment t: what acts, what it remembers, where, by which method, wanting what."""

    model: Model
    memory: Memory
    environment: Environment
    recipe: Recipe
    objective: Objective = field(default_factory=Objective)
    history: tuple[Report, ...] = ()
    now: float = 0.0
    seed: int = 0

    @property
    def round(self) -> int:
        return len(self.history)

    def dice(self, slot: str, id: str) -> random.Random:
        """Return a generator of its own for each slot and id: resumed and concurrent runs draw alike."""
        return random.Random(f"{self.seed}/{self.round}/{slot}/{id}")

    def on(self, memory: Memory) -> State:
        """Return the same moment over another memory, a draft say."""
        return replace(self, memory=memory)


Aim: TypeAlias = Callable[[State], Objective]
Tasks: TypeAlias = Callable[[State], Awaitable[list[Task]]]
Act: TypeAlias = Callable[[State, Task], Awaitable[list[Attempt]]]
Judge: TypeAlias = Callable[[State, Experience], Awaitable[Experience]]
Refine: TypeAlias = Callable[[State, list[Experience]], Awaitable[list[Experience]]]
Update: TypeAlias = Callable[[State, list[Experience]], Awaitable[list[Op]]]
Gate: TypeAlias = Callable[[Report, Report], Decision]
Part: TypeAlias = str | Callable[[State, Task], Awaitable[Section]]


def unaimed(state: State) -> Objective:
    """Keep the objective that the state already has."""
    return state.objective


@dataclass(frozen=True, kw_only=True, repr=False)
class Recipe:
    """A method, as data. `act` is how a task is answered when it counts; `practice`, when it is only to learn from.

    What a slot expects to await may be a plain function too: it is made awaitable.
    """

    act: Act
    name: str = ""
    objective: Aim = unaimed
    tasks: Tasks | None = None
    practice: Act | None = None
    judge: Sequence[Judge] = ()
    refine: Sequence[Refine] = ()
    update: Sequence[Update] = ()
    gate: Gate | None = None

    def __post_init__(self) -> None:
        for slot in ("act", "objective", "tasks", "practice", "gate"):
            strategy = getattr(self, slot)
            _callable(slot, strategy, optional=slot not in ("act", "objective"))
            if slot in ("act", "tasks", "practice") and strategy is not None:
                object.__setattr__(self, slot, awaitable(strategy))
        for slot in ("judge", "refine", "update"):
            strategies = getattr(self, slot)
            if not isinstance(strategies, Sequence):
                raise Misuse(f"recipe slot {slot!r} takes a list of strategies, not {strategies!r}")
            for strategy in strategies:
                _callable(slot, strategy)
            object.__setattr__(self, slot, tuple(map(awaitable, strategies)))

    def __repr__(self) -> str:
        return describe(self)


def _callable(slot: str, strategy: object, *, optional: bool = False) -> None:
    if not callable(strategy) and not (optional and strategy is None):
        raise Misuse(f"recipe slot {slot!r} takes a callable strategy, not {strategy!r}")
    if isinstance(strategy, type):
        raise Misuse(f"recipe slot {slot!r} got the class {strategy.__name__}; write {strategy.__name__}(...)")
