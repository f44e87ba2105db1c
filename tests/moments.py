"""Moments for tests of strategies: a State built by hand, over a memory in this process, with experiences to learn."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from agentevo.memory import Draft, Memory
from agentevo.memory.sweep import NoModel, Nowhere
from agentevo.models import ScriptedModel
from agentevo.models.fakes import Scripted
from agentevo.protocols import Model, Recipe, State, Update
from agentevo.types import Attempt, Experience, Feedback, FeedbackSource, Item, Message, Op, Task

DAY = 86_400.0
NOW = 20_000 * DAY


def memory() -> Memory:
    return Memory.open(":memory:", embedder="hash", clock=lambda: NOW)


async def act(state: State, task: Task) -> list[Attempt]:
    return []


def moment(
    memory: Memory | Draft,
    model: Model | Sequence[Scripted] | None = None,
    *,
    now: float = NOW,
    seed: int = 0,
) -> State:
    """Return a state; a list of replies stands for a model that gives them."""
    chosen = NoModel() if model is None else ScriptedModel(model) if isinstance(model, Sequence) else model
    return State(model=chosen, memory=memory, environment=Nowhere(), recipe=Recipe(act=act), now=now, seed=seed)


def attempt(
    id: str,
    prompt: str = "Where does Anna live?",
    answer: str = "In Oslo.",
    score: float | None = None,
    *,
    used: Sequence[str] = (),
    source: FeedbackSource = "environment",
    said: str = "",
    messages: Sequence[Message] = (),
) -> Attempt:
    feedback = () if score is None and not said else (Feedback(score=score, text=said, source=source),)
    task = Task(id=f"task-{prompt}", prompt=prompt)
    return Attempt(id=id, task=task, answer=answer, used=tuple(used), feedback=feedback, messages=tuple(messages))


def experience(*attempts: Attempt) -> Experience:
    return Experience(task=attempts[0].task, attempts=attempts)


def ops(policy: Update, state: State, experiences: Sequence[Experience] = ()) -> list[Op]:
    """Run a policy by itself and return what it would do."""
    return asyncio.run(_awaited(policy, state, experiences))


async def _awaited(policy: Update, state: State, experiences: Sequence[Experience]) -> list[Op]:
    return await policy(state, list(experiences))


def learned(
    memory: Memory,
    policy: Update,
    experiences: Sequence[Experience] = (),
    model: Model | Sequence[Scripted] | None = None,
) -> list[Item]:
    """Learn from experiences in a draft, commit it, and return the items it touched, in order."""
    with memory.draft() as draft:
        draft.apply(ops(policy, moment(draft, model), experiences))
        touched = [op.item.id if op.item else op.id for op in draft.ops]
        draft.commit()
    return [item for name in dict.fromkeys(touched) if (item := memory.get(name)) is not None]
