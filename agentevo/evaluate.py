"""Evaluation: held-out tasks, answered as when it counts. The environment alone says what is right."""

from __future__ import annotations

from collections.abc import Sequence

from agentevo.alarms import alarms
from agentevo.errors import Misuse, UnknownName
from agentevo.models.usage import spending
from agentevo.protocols import Environment, State
from agentevo.record import Record
from agentevo.scoring import answered
from agentevo.types import Experience, Report, Task, Usage
from agentevo.weights.adapters import adapted


async def evaluate(
    state: State, record: Record, label: str = "evaluate", tasks: Sequence[Task] | None = None
) -> Report:
    """Answer tasks, by default the held-out ones, and report their scores; memory is left as it is.

    The model answers with the adapter that is live in that memory, if one is.
    Nothing tells the right answer meanwhile: an act that asks for "strong" feedback gets "weak" (`scoring.Sealed`).
    """
    tested = await adapted(state.on(state.memory.draft()))  # what an agent's tools write meanwhile goes nowhere

    async def one(task: Task) -> Experience:
        return await answered(tested, task)

    with spending() as meter:
        done = await record.each(label, held_out(state) if tasks is None else tasks, one)
    return report(state, done, meter.usage)


def held_out(state: State) -> list[Task]:
    """Return the tasks of the splits that the gate names, or else of the environment's own for evaluation.

    Raise Misuse where there are none, or the gate compares them split by split and cannot tell them apart.
    """
    environment = state.environment
    splits: Sequence[str] = getattr(state.recipe.gate, "splits", ()) or _own(environment)
    for split in splits:
        if split not in environment.splits():
            raise UnknownName(f"split of {environment.card.name}", split, environment.splits())
    by_split = {split: environment.tasks(split) for split in splits}
    tasks = [task for split in splits for task in by_split[split]]
    if not tasks and hasattr(state.recipe.gate, "splits"):
        raise Misuse(
            f"{environment.card.name!r} has no held-out tasks for the gate to compare; it has"
            f" {', '.join(environment.splits()) or 'no split'}: give an environment with a split 'dev' or 'test', name"
            " others in the gate (splits=), or take a recipe without a gate"
        )
    if (must_tell_apart := getattr(state.recipe.gate, "must_tell_apart", None)) is not None:
        must_tell_apart(by_split)
    return tasks


def _own(environment: Environment) -> Sequence[str]:
    """Return the split for trying things out; where there is none, the one for testing."""
    return next(([split] for split in ("dev", "test") if split in environment.splits()), [])


def report(state: State, experiences: Sequence[Experience], cost: Usage) -> Report:
    """Return what experiences that the environment scored say, ability by ability."""
    ability = state.environment.card.ability or state.objective.ability or "all"
    scores = {ability: sum(x.score for x in experiences) / len(experiences)} if experiences else {}
    return Report(scores=scores, experiences=tuple(experiences), cost=cost, alarms=alarms(experiences))
