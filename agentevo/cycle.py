"""The evolution cycle: objective, tasks, practice, feedback, refinement, update, evaluation, next objective."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import TypeAlias

from agentevo.alarms import alarms, skipped, untested, untold
from agentevo.decided import decided
from agentevo.described import describe
from agentevo.errors import BudgetExceeded, Misuse, ModelTimeout, ModelUnavailable
from agentevo.evaluate import evaluate, held_out
from agentevo.events import Learned, Turned, tell
from agentevo.given import listed, single
from agentevo.models.usage import Budget, Meter, spending, uncut
from agentevo.protocols import Draft, Judge, Keeper, State, Update
from agentevo.record import Record
from agentevo.together import to_the_end
from agentevo.types import Attempt, Experience, Objective, Op, Report, Task, Transaction
from agentevo.weights.adapters import adapted, base_of, in_use, keep_beside, name_of, trained, try_on, weigh

Learnt: TypeAlias = tuple[Draft, list[Experience]]
"""Memory as it would be, and the experiences, judged and refined, that it would be so because of."""


async def evolve(
    state: State, record: Record, cycles: int, budget: Budget | None = None
) -> AsyncGenerator[Report, None]:
    """Turn the cycle, yielding a report a turn; a turn that was finished before a crash is read, not run.

    A budget covers the whole run, what was spent before a crash too; its seconds are those since this call, and cut
    off whatever is under way. Where it ends, or a judge or policy finds the model gone, the last report says so, and
    the turn is gone on with when the run is. A budget around the run is its owner's: BudgetExceeded is raised.
    """
    meter = Meter("evolve", budget)
    async with aclosing(record.following(_turns(state, record, cycles), meter)) as reports:
        try:
            async for report in reports:
                yield report
        except BudgetExceeded as error:
            if error.meter is not meter:
                raise
            yield Report(accepted=False, reason=str(error), alarms=("budget",), cost=meter.usage)
        except (ModelUnavailable, ModelTimeout) as error:
            said = f"the model failed outside of an attempt: {error}"
            yield Report(accepted=False, reason=said, alarms=("model",), cost=meter.usage)


async def _turns(state: State, record: Record, cycles: int) -> AsyncGenerator[Report, None]:
    state = replace(state, model=record.model(state.model))
    for _ in range(cycles):
        done = await cycle(state, record.turn(state.round))
        tell(Turned(round=state.round, report=done))
        state = replace(state, history=(*state.history, done))
        yield done


async def cycle(state: State, record: Record) -> Report:
    """Turn the survey's figure once. Memory is written in one short commit at the end, or not at all."""
    finished = record.read("report", Report)
    if finished is not None:
        return finished
    with spending() as meter:
        state = replace(state, now=await record.now())
        state = replace(state, objective=single("objective", state.recipe.objective(state), Objective))  # E^t
        acting = await adapted(state)
        tasks = await record.once("tasks", list[Task], partial(propose, acting))  # T^t = f^T(E, M)
        held_out(state)  # a gate that will have nothing to compare is told before practice is paid for
        experiences = await practise(acting, tasks, record)  # Y^t = f^Y(T, E, M)
        draft, learnt, missed = await _drafted(acting, experiences, record)  # F^t, R^t, M^(t+1), not yet kept
        done = await gated(state, draft, record)  # S^(t+1) = f^E(M^(t+1), E, ENV)
    if done.accepted:
        missed += (await commit(state, draft, learnt, record, done.reason)).skipped
    else:
        await keep_beside(state.memory, draft.ops, done, record.key)
    heard = (*done.alarms, *alarms(experiences), *untested(draft.ops), *skipped(missed))
    done = done.but(cost=meter.usage, practised=tuple(learnt), alarms=heard)
    record.keep("report", Report, done, meter.usage)
    record.sync()
    return done


async def propose(state: State) -> list[Task]:
    """Return the tasks to practise on."""
    if state.recipe.tasks is None:
        environment = state.environment
        if "train" not in environment.splits():
            known = ", ".join(environment.splits()) or "none"
            raise Misuse(
                f"evolve practises on split 'train', and {environment.card.name!r} has {known};"
                " give an environment= that has it, or a recipe with tasks="
            )
        return list(environment.tasks("train"))
    return listed("tasks", await state.recipe.tasks(state), Task)


async def practise(state: State, tasks: Sequence[Task], record: Record) -> list[Experience]:
    """Attempt each task, many at once; each is kept when it ends and never paid for twice."""
    slot, act = ("practice", state.recipe.practice) if state.recipe.practice else ("act", state.recipe.act)

    async def one(task: Task) -> Experience:
        return Experience(task=task, attempts=tuple(listed(slot, await act(state, task), Attempt)))

    return await record.each("act", tasks, one)


async def learn(state: State, experiences: Sequence[Experience], record: Record) -> Learnt:
    """Judge, refine, and draft what memory would become. Feedback from people goes this way too."""
    draft, judged, _ = await _drafted(state, experiences, record)
    return draft, judged


async def _drafted(
    state: State, experiences: Sequence[Experience], record: Record
) -> tuple[Draft, list[Experience], tuple[str, ...]]:
    """Learn, and return too which items changes were meant for that are there no more."""
    judged = await judge(state, experiences, record)
    for refine in state.recipe.refine:
        judged = listed("refine", await refine(state, judged), Experience)
    draft, missed = state.memory.draft(), list[str]()
    for n, update in enumerate(state.recipe.update):
        ops = await record.once(f"update.{n}", list[Op], partial(_updated, update, state.on(draft), judged))
        await draft.aapply(await _possible(draft, ops, missed))
        tell(Learned(policy=describe(update), ops=tuple(ops)))
    return draft, judged, tuple(missed)


async def _possible(draft: Draft, ops: Sequence[Op], missed: list[str]) -> list[Op]:
    """Return the ops that can be drafted; what was journaled may meet another memory, which must stop no run.

    The item of a change may have been purged since. A new item is there already where this turn was committed before
    the run was stopped; its commit will be known by its key.
    """
    known, possible = dict[str, bool](), list[Op]()
    for op in ops:
        for name in {op.id, op.item.id if op.item else op.id} - known.keys():
            known[name] = await draft.aget(name) is not None
        if op.item is not None and known[op.item.id]:
            continue
        if op.verb != "insert" and not known[op.id]:
            missed.append(op.id)
            continue
        possible.append(op)
        known |= {op.item.id: True} if op.item is not None else {}
    return possible


async def _updated(update: Update, state: State, experiences: list[Experience]) -> list[Op]:
    return listed("update", await update(state, experiences), Op)


async def judge(state: State, experiences: Sequence[Experience], record: Record) -> list[Experience]:
    """Let each judge look at the experiences that came without a judgement."""
    judged = dict(enumerate(experiences))
    new = [n for n, x in judged.items() if not x.attempts or any(a.score is None for a in x.attempts)]
    for place, judging in enumerate(state.recipe.judge):
        seen = await record.each(f"judge.{place}", [judged[n] for n in new], partial(_judged, judging, state))
        judged |= dict(zip(new, seen, strict=True))
    return list(judged.values())


async def _judged(judging: Judge, state: State, experience: Experience) -> Experience:
    return single("judge", await judging(state, experience), Experience)


async def gated(state: State, draft: Draft, record: Record) -> Report:
    """Report the drafted memory on held-out tasks, and whether the gate lets it replace what we have."""
    if state.recipe.gate is None:
        return await evaluate(state.on(draft), record, "after")
    await try_on(draft)
    after = await evaluate(state.on(draft), record, "after")
    why = untold(after) or await record.once("untried", str, partial(_untried, state, draft))
    if why:
        return after.but(accepted=False, reason=f"not tested: {why}")

    async def changes() -> bool:
        return bool(draft.ops)

    # Kept, because the draft is empty where this turn was committed before the run was stopped.
    is_changed = await record.once("changed", bool, changes)
    before = await evaluate(state, record, "before") if is_changed else after
    decision = decided(state.recipe.gate, before, after)
    done = after.but(accepted=decision.accepted, reason=decision.reason)
    if done.accepted:
        await weigh(draft, done)
    return done


async def _untried(state: State, draft: Draft) -> str:
    """Say so where the draft has a new adapter in use, and the model answers without it; empty where it does not."""
    live = await in_use(draft, base_of(state.model.name))
    is_new = live is not None and live.id in {item.id for item in trained(draft.ops)}
    if live is None or not is_new or (await adapted(state.on(draft))).model is not state.model:
        return ""
    return (
        f"the model {state.model.name!r} was named with an adapter, or takes none, and answered without the new one"
        f" {name_of(live)!r}; name the model {base_of(state.model.name)!r}, if it takes adapters"
    )


async def commit(state: State, draft: Draft, learnt: Sequence[Experience], record: Record, reason: str) -> Transaction:
    """Keep a draft and the experiences it came from, both also when cancelled; done twice, it is done once."""
    with uncut():
        return await to_the_end(_commit(state, draft, learnt, record, reason))


async def _commit(state: State, draft: Draft, learnt: Sequence[Experience], record: Record, reason: str) -> Transaction:
    memory = state.memory
    if isinstance(memory, Keeper):
        for n, experience in enumerate(learnt):
            if not any([await memory.awas_purged(attempt.id) for attempt in experience.attempts]):
                await memory.arecord(experience, run=record.id, id=f"{record.key}/{n}")
    return await draft.acommit(key=record.key, reason=reason or f"turn {state.round}")
