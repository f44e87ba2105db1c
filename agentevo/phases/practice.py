"""Acts for practising: a second try with the answer as a hint, what is right beside what is not, what was made before.

They know more than an answer that counts may be given with, so they stand in a recipe's `practice`. What they were
told is not in the messages that are kept: what is trained on them must come without it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from agentevo.errors import Misuse, ModelError
from agentevo.models.usage import spending
from agentevo.phases.combine import attempted, estimated, judged_by, made_awaitable, must_act
from agentevo.phases.context import HINT, assembled, parts_of
from agentevo.phases.episode import opened
from agentevo.phases.judge import RIGHT
from agentevo.phases.trajectory import Trajectory, why_stopped
from agentevo.protocols import Act, Episode, Golden, Judge, Part, State, Tasks
from agentevo.quote import clean, fenced
from agentevo.types import Attempt, Experience, Feedback, Message, Task, Usage
from agentevo.weights.learnable import learnable

LOG = logging.getLogger(__name__)

HINTED, GOOD, BAD = "hinted", "good", "bad"
TOLD = """
The right answer stands between the fences. Work it out by yourself so that you arrive there, and give it in the form
that the task asks for. Do not mention that you were told.
"""
TALE = ("hint", "right answer was given", "i was told", "answer between the fences")
"""What an answer says that speaks of the hint; such an answer makes no sense without it."""


@dataclass(frozen=True)
class Hinted:
    """Attempt; where `by` says it is not right, and what would be, try again with that as a hint.

    The second attempt is returned where it is right and does not speak of the hint, else the first one. Its messages
    are what the first was asked and what the second did: the hint is in neither, and feedback says "hinted". `by` must
    know the answer, as Verify("strong") does; where it gives none the first attempt stays. It costs what both cost.
    """

    act: Act
    by: Judge
    prompt: str = TOLD

    def __post_init__(self) -> None:
        must_act("Hinted", self.act, self.by)
        made_awaitable(self, "act", "by")
        if not self.prompt.strip():
            raise Misuse("Hinted needs a prompt to put before the answer; leave it out for the one that is shipped")

    async def __call__(self, state: State, task: Task) -> list[Attempt]:
        return [await self._hinted(state, attempt) for attempt in await attempted("Hinted", self.act, state, task)]

    async def _hinted(self, state: State, first: Attempt) -> Attempt:
        if first.stopped:
            return first
        with spending() as meter:
            try:
                again = await self._again(state, first)
            except ModelError as error:
                LOG.warning("attempt %s got no second try: %s", first.id, why_stopped(error, meter))
                again = None
        return (again or first).but(usage=first.usage + meter.usage)

    async def _again(self, state: State, first: Attempt) -> Attempt | None:
        """Return a second attempt that is right, without the hint that led there."""
        judged = await self._judged(state, first)
        answer = next((a for f in judged.feedback if isinstance(a := f.evidence.get("answer"), str)), "")
        if _is_right(judged) or not answer.strip():
            return None
        hint = f"{self.prompt.strip()}\n{fenced(answer, 'answer')}"
        made = await attempted("Hinted", self.act, state, first.task.but(data={**first.task.data, HINT: hint}))
        if not made or made[0].stopped or any(tale in made[0].answer.casefold() for tale in TALE):
            return None
        own = first.messages[: first.prompt] + made[0].messages[made[0].prompt :]
        second = made[0].but(task=first.task, messages=own, prompt=first.prompt, bare=first.bare)
        if not _is_right(await self._judged(state, second)):
            return None
        return second.told(Feedback(verdict=HINTED, source="rule"))

    async def _judged(self, state: State, attempt: Attempt) -> Attempt:
        alone = Experience(task=attempt.task, attempts=(attempt,))
        (judged,) = (await judged_by("Hinted", self.by, state, alone)).attempts
        return judged


def _is_right(attempt: Attempt) -> bool:
    said = attempt.feedback[-1:] if attempt.score is None else ()
    return (attempt.score or 0.0) >= 1 or any(f.verdict == RIGHT for f in said)


@dataclass(frozen=True)
class Paired:
    """Make attempts one way and attempts another way, and mark which are which: "good" first, then "bad".

    The marks are verdicts without a score: a judge may still look at both. `by_construction` prefers by them alone.
    """

    good: Act
    bad: Act

    def __post_init__(self) -> None:
        must_be_strategy("Paired(good=...)", self.good)
        must_be_strategy("Paired(bad=...)", self.bad)
        made_awaitable(self, "good", "bad")

    async def __call__(self, state: State, task: Task) -> list[Attempt]:
        good, bad = await self.good(state, task), await self.bad(state, task)
        return [*_marked(good, GOOD), *_marked(bad, BAD)]


def _marked(attempts: Sequence[Attempt], side: str) -> list[Attempt]:
    return [estimated(a, a.usage, a.stopped).told(Feedback(verdict=side, source="rule")) for a in attempts]


@dataclass(frozen=True)
class Gold:
    """The attempt that the environment knows to be right: its prompt, its tools, its actions, and what came of each.

    For practice alone: an answer that counts is given where nobody knows gold.
    """

    context: Sequence[Part] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "context", parts_of(self.context))

    async def __call__(self, state: State, task: Task) -> list[Attempt]:
        environment = state.environment
        if not isinstance(environment, Golden):
            raise Misuse(f"{environment.card.name!r} does not know how its tasks are done; Gold needs one that does")
        actions, made = [dict(action) for action in environment.gold(task)], Trajectory(task)
        async with opened(state, task) as episode:
            prompt = await assembled(state, task, self.context, observation=clean(episode.observation))
            made.show(prompt, tuple(episode.tools))
            answer = await _walked(episode, actions, made)
        return [made.ended(answer, Usage())]


async def _walked(episode: Episode, actions: Sequence[Message], made: Trajectory) -> str:
    """Take the actions, but for the word that closes them, and return what was said last."""
    answer = ""
    for place, action in enumerate(actions):
        made.add(action)
        said, calls = action.get("content"), action.get("tool_calls")
        answer = said.strip() if isinstance(said, str) else answer
        for call in calls if isinstance(calls, list) else ():
            seen = await _stepped(episode, {**action, "tool_calls": [call]}, made)
            named = call.get("id") if isinstance(call, dict) else ""
            made.add({"role": "tool", "tool_call_id": named or "", "content": seen})
        if not calls and place + 1 < len(actions):
            made.add({"role": "user", "content": await _stepped(episode, action, made)})
    return answer


async def _stepped(episode: Episode, action: Message, made: Trajectory) -> str:
    """Take one step and return what is to be seen then; the tools may have become others."""
    outcome = await episode.step(action)
    if not outcome.terminated and not outcome.truncated:
        made.offer(tuple(episode.tools))
    return clean(outcome.observation)


@dataclass(frozen=True)
class Reuse:
    """Make attempts in one turn of so many, and give those again in the turns between.

    What is given again is what that turn had left after its filters, judged, so it is not judged anew: of filters that
    rise, the first lets through the most. A task that was not practised then has no attempts, nor is there one of what
    was purged, forgotten or quarantined since.
    """

    act: Act
    cycles: int = 3

    def __post_init__(self) -> None:
        must_be_strategy("Reuse(act=...)", self.act)
        made_awaitable(self, "act")
        _must_turn(self.cycles)

    async def __call__(self, state: State, task: Task) -> list[Attempt]:
        if state.round % self.cycles == 0:
            return await self.act(state, task)
        grown = state.history[state.round - state.round % self.cycles].practised
        left, _ = await learnable(state.memory, [x for x in grown if x.task.id == task.id])
        return [attempt for experience in left for attempt in experience.attempts]


@dataclass(frozen=True)
class Same:
    """The tasks that another strategy chose at the first of so many turns; see `Reuse`."""

    tasks: Tasks
    cycles: int = 3

    def __post_init__(self) -> None:
        must_be_strategy("Same(tasks=...)", self.tasks)
        made_awaitable(self, "tasks")
        _must_turn(self.cycles)

    async def __call__(self, state: State) -> list[Task]:
        return await self.tasks(replace(state, history=state.history[: state.round - state.round % self.cycles]))


def must_be_strategy(slot: str, value: object) -> None:
    if not callable(value) or isinstance(value, type):
        raise Misuse(f"{slot} takes a strategy, such as Sample() or Pool(), not {value!r:.80}")


def _must_turn(cycles: int) -> None:
    if cycles < 1:
        raise Misuse(f"cycles is {cycles!r}; expected how many turns share what was attempted, 1 or more")
