"""Looking after a memory without a cycle: policies run over a draft, one after the other, and are committed once."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

from agentevo.awaitable import awaitable
from agentevo.blocking import blocking
from agentevo.described import describe
from agentevo.errors import Misuse
from agentevo.memory.admit import screened
from agentevo.memory.arguments import checked
from agentevo.memory.reflect import Reflect
from agentevo.memory.verbs import Verbs
from agentevo.memory.where import Where
from agentevo.protocols import Model, Recipe, State, Update
from agentevo.types import Attempt, Card, Kind, Op, Task, Transaction

if TYPE_CHECKING:
    from agentevo.memory.draft import Draft


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a sweep did, or would do: its ops, and the transaction they were committed in, None where there is none."""

    ops: tuple[Op, ...] = ()
    transaction: Transaction | None = None

    def __repr__(self) -> str:
        # A sweep may hold 50,000 ops, and asyncio.run writes out what it returns (it looks it up among the signals).
        verbs = ", ".join(f"{count:,} {verb}" for verb, count in Counter(op.verb for op in self.ops).items())
        return f"Sweep({verbs or 'no ops'}; transaction {self.transaction.id if self.transaction else None})"


class Swept(Verbs):
    """The verbs of a memory that policies can be run over without a cycle."""

    @abstractmethod
    def draft(self) -> Draft: ...

    @checked
    async def asweep(
        self,
        policies: Sequence[Update],
        *,
        model: str | Model | None = None,
        now: float | None = None,
        seed: int = 0,
        dry_run: bool = False,
        reason: str = "sweep",
    ) -> Sweep:
        """Run policies over a draft, each seeing what those before it did, and commit it once unless `dry_run`."""
        _must_be_policies(policies)
        with self.draft() as draft:
            moment = State(
                model=_model(model), memory=draft, environment=Nowhere(), recipe=Recipe(act=_act, name="sweep"),
                now=self._now() if now is None else now, seed=seed,
            )  # fmt: skip
            for policy in policies[:-1]:
                await draft.aapply(await _made(policy, moment))
            last: Sequence[Op] = [op for policy in policies[-1:] for op in await _made(policy, moment)]
            if dry_run:
                last = await draft.aforeseen(last)
            elif any(op.item or op.changes for op in last):
                last = await asyncio.to_thread(screened, last, draft.get)
            ops = (*draft.ops, *last)  # nobody reads the draft any more: the last ops need not be laid over it
            return Sweep(ops, await draft.acommit_with(last, reason=reason) if ops and not dry_run else None)

    @checked
    async def areflect(
        self,
        where: Where | None = None,
        *,
        model: str | Model,
        by: str = "similar",
        kinds: Sequence[Kind] = ("experience", "fact"),
        to: Kind = "lesson",
        at_least: int = 3,
        at_most: int = 20,
        recursive: bool = False,
        now: float | None = None,
        dry_run: bool = False,
    ) -> Sweep:
        """Ask a model for insights about groups of items, and insert them; `Reflect` says what the options mean."""
        policy = Reflect(by, where=where, kinds=kinds, to=to, at_least=at_least, at_most=at_most, recursive=recursive)
        return await self.asweep([policy], model=model, now=now, dry_run=dry_run, reason="reflect")

    sweep, reflect = blocking(asweep), blocking(areflect)


def _must_be_policies(policies: object) -> None:
    if callable(policies) or not isinstance(policies, Sequence):
        raise Misuse(f"sweep takes a list of policies, such as [Decay(), Evict(1000)], not {policies!r:.80}")
    for policy in policies:
        if not callable(policy) or isinstance(policy, type):
            raise Misuse(f"a policy is a callable such as Decay(), not {policy!r:.80}")


async def _made(policy: Update, moment: State) -> list[Op]:
    """Return what a policy would do; raise Misuse where that is no list of ops."""
    made: object = await awaitable(policy)(moment, [])
    if not isinstance(made, (list, tuple)) or not all(isinstance(op, Op) for op in made):
        raise Misuse(f"the policy {describe(policy)} gave {made!r:.80}; expected a list of Op, which may be empty")
    return [*made]


def _model(model: str | Model | None) -> Model:
    from agentevo.models import as_model

    return NoModel() if model is None else as_model(model)


async def _act(state: State, task: Task) -> list[Attempt]:
    raise Misuse("a sweep acts on no tasks; run such a policy in a cycle")


@dataclass(frozen=True)
class NoModel:
    """Stands where a policy may look for a model and none was given."""

    name: str = "none"

    async def complete(self, *_: object, **__: object) -> NoReturn:
        raise Misuse("this policy asks a model and none was given: sweep([...], model='local/smollm2-135m')")


@dataclass(frozen=True)
class Nowhere:
    """Stands where a policy may look for an environment: a sweep has none."""

    card: Card = field(default=Card(name="nowhere", version="1"))

    def splits(self) -> NoReturn:
        self._refuse()

    def tasks(self, split: str) -> NoReturn:
        self._refuse()

    def task(self, id: str) -> NoReturn:
        self._refuse()

    async def open(self, *_: object, **__: object) -> NoReturn:
        self._refuse()

    async def verify(self, *_: object) -> NoReturn:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise Misuse("a sweep has no environment: a policy that acts or verifies runs in a cycle")
