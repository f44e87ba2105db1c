"""Loop: a model acts in an episode, step by step, until it answers, the episode ends, or a limit is reached."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Literal, TypeAlias, get_args

from agentevo.errors import AgentEvoError, BadReply, BudgetExceeded, Misuse, ModelError, RequestRejected, UnknownName
from agentevo.models.usage import Meter, spending
from agentevo.phases import calls
from agentevo.phases.act import check_sampling, seed_of
from agentevo.phases.calls import Asked, Spoken
from agentevo.phases.compact import Compact
from agentevo.phases.context import assembled, parts_of
from agentevo.phases.episode import opened
from agentevo.phases.trajectory import NO_LIMITS, NOT_DATA, Limits, Stopped, Trajectory, why_stopped
from agentevo.protocols import Episode, FeedbackLevel, Part, State
from agentevo.quote import clean, cut
from agentevo.types import Attempt, Message, Outcome, Reply, Task, Tool

LOG = logging.getLogger(__name__)

ToolUse: TypeAlias = Literal["auto", "native", "text"]

MOST_CALLS = 32
"""So many calls of one reply are run; the others are answered with that they were not."""

NOT_RUN = "Error: not run, because the attempt ended before it."
TOO_MANY = f"Error: not run, because at most {MOST_CALLS} calls in one reply are."
NOTHING = "(no output)"


@dataclass(frozen=True)
class Loop:
    """Act in the environment's episode: the model is asked at most `steps` times.

    tools: "native" hands them to the model's API, "text" describes them in the system message and reads calls from
    what the model writes; "auto" is native, but takes a call that was written too, and turns to text where the request
    is refused. An episode without tools gets what the model says as its action, until it ends. Tools are looked up
    again after each step: an episode may come to offer others.

    A reply without a call is the answer. Several calls in a reply are run in their order. What they bring is cleaned
    and cut at `observation_chars`. A step of the episode that fails, or takes longer than `step_timeout_s`, ends the
    attempt, as data. With `compact` what is sent is bounded; the attempt keeps every message, not the summaries.
    """

    steps: int = 20
    _: KW_ONLY
    context: Sequence[Part] = ()
    tools: ToolUse = "auto"
    temperature: float | None = None
    max_tokens: int | None = None
    stop: Sequence[str] = ()
    feedback: FeedbackLevel = "none"
    limits: Limits = NO_LIMITS
    compact: Compact | None = None
    step_timeout_s: float = 60.0
    observation_chars: int = 20_000

    def __post_init__(self) -> None:
        if type(self.steps) is not int or self.steps < 1:
            raise Misuse(f"steps is {self.steps!r}; expected how often the model may be asked, 1 or more")
        if self.tools not in get_args(ToolUse):
            raise UnknownName("way to call tools", str(self.tools), get_args(ToolUse))
        if self.feedback not in get_args(FeedbackLevel):
            raise UnknownName("level of feedback", str(self.feedback), get_args(FeedbackLevel))
        if not self.step_timeout_s > 0 or self.observation_chars < 1:
            raise Misuse(
                f"step_timeout_s={self.step_timeout_s!r}, observation_chars={self.observation_chars!r}: expected the"
                " seconds a step may take, above 0, and the characters of an observation that are shown, 1 or more"
            )
        check_sampling(self.temperature, self.max_tokens)
        object.__setattr__(self, "context", parts_of(self.context))
        object.__setattr__(self, "stop", (self.stop,) if isinstance(self.stop, str) else tuple(self.stop))

    async def __call__(self, state: State, task: Task) -> list[Attempt]:
        run = _Run(self, state, task, is_text=self.tools == "text")
        attempt = await run.attempt()
        if self.tools == "auto" and run.is_refused:
            LOG.info("%s takes no tools; they are described to it in words", state.model.name)
            attempt = await _Run(self, state, task, is_text=True).attempt()
        return [attempt]


class _Run:
    """One attempt of a loop."""

    def __init__(self, loop: Loop, state: State, task: Task, *, is_text: bool) -> None:
        self._loop, self._state, self._task, self._is_text = loop, state, task, is_text
        self._made = Trajectory(task)
        self._tools: Sequence[Tool] = ()
        self._fixed = 0  # so many messages are the prompt
        self._sent: list[Message] = []
        self._known = 0  # so many messages of the trajectory have found their way into what is sent
        self._answer = self._stopped = ""
        self._is_over = self.is_refused = False

    async def attempt(self) -> Attempt:
        """Make the attempt; what ends it early, and concerns nobody else, is told by it."""
        with spending(budget=self._loop.limits.budget()) as meter:
            try:
                await self._within(meter)
            except BaseException as error:
                self._made.broken_off(error, meter.usage)
                raise
        return self._made.ended(self._answer, meter.usage, self._stopped)

    async def _within(self, meter: Meter) -> None:
        limits = self._loop.limits
        try:
            async with asyncio.timeout(limits.seconds), opened(self._state, self._task, self._loop.feedback) as episode:
                await self._act(episode)
        except (Stopped, BudgetExceeded, ModelError, TimeoutError) as error:
            self._stopped = why_stopped(error, meter, limits)

    async def _act(self, episode: Episode) -> None:
        await self._begin(episode)
        for _ in range(self._loop.steps):
            spoken = await self._ask()
            self._made.add(spoken.message)
            if spoken.problem:
                self._made.add({"role": "user", "content": f"Error: {spoken.problem}"})
            elif spoken.calls:
                await self._run_calls(episode, spoken.calls)
            elif self._tools:
                self._answer = spoken.text
                return
            else:
                await self._say(episode, spoken)
            if self._is_over:
                self._answer = "" if self._stopped and self._tools else spoken.text
                return
        raise Stopped(f"limit: steps ({self._loop.steps})")

    async def _begin(self, episode: Episode) -> None:
        self._tools = tuple(episode.tools)
        rules = calls.described(self._tools) if self._is_text else ""
        is_known = episode.observation.strip() == self._task.prompt.strip()
        seen = "" if is_known else self._shown(episode.observation, nothing="")
        prompt = await assembled(self._state, self._task, self._loop.context, rules=rules, observation=seen)
        self._made.show(prompt, () if self._is_text else self._tools)
        self._fixed = len(prompt.messages)

    # --- the model's turn

    async def _ask(self) -> Spoken:
        sent, loop = await self._to_send(), self._loop
        try:
            reply = await self._state.model.complete(
                sent, tools=() if self._is_text else self._tools, temperature=loop.temperature,
                max_tokens=loop.max_tokens, stop=loop.stop, seed=seed_of(self._state, self._task, loop.temperature),
                on_text=self._made.on_text,
            )  # fmt: skip
        except ModelError as error:
            self.is_refused = isinstance(error, RequestRejected) and self._is_first and bool(self._tools)
            if isinstance(error, BadReply) and (spoken := calls.unreadable(error, self._tools)) is not None:
                return spoken
            self._made.keep_partial(error)
            raise
        if not self._tools:
            return Spoken({"role": "assistant", "content": reply.text})
        return self._read(reply)

    def _read(self, reply: Reply) -> Spoken:
        if self._loop.tools == "native":
            return calls.native(reply, self._tools)
        read = calls.written if self._is_text else calls.either
        return read(reply, self._tools, len(self._made.messages))

    @property
    def _is_first(self) -> bool:
        """Say whether the model has said nothing yet."""
        return len(self._made.messages) == self._fixed

    async def _to_send(self) -> Sequence[Message]:
        """Return what the model is sent: the trajectory, or what is left of it within the budget."""
        messages, compact = self._made.messages, self._loop.compact
        if compact is None and self._loop.tools == "native":
            return messages
        new, self._known = messages[self._known :], len(messages)
        if compact is None:
            self._sent += calls.as_sent(new)
            return self._sent
        self._sent += new  # not as they are sent: what came from a tool is to be known as such
        fitted = await compact(self._state, self._sent, fixed=self._fixed)
        if len(fitted) > len(self._sent):  # the warning: the model answers it, so it belongs to what happened
            self._made.add(fitted[-1])
            self._known += 1
        self._sent = fitted
        return calls.as_sent(fitted)

    # --- the episode's turn

    async def _run_calls(self, episode: Episode, asked: Sequence[Asked]) -> None:
        """Run the calls of a reply and answer each, also those that came too late: no call stays without a result."""
        done = 0
        try:
            for call in asked:
                self._made.add(calls.as_result(call, await self._result(episode, call, done)))
                done += 1
        finally:
            for call in asked[done:]:
                self._made.add(calls.as_result(call, NOT_RUN))

    async def _result(self, episode: Episode, asked: Asked, before: int) -> str:
        if self._is_over:
            return NOT_RUN
        if before >= MOST_CALLS:
            return TOO_MANY
        if asked.problem:
            return f"Error: {asked.problem}"
        return await self._step(episode, calls.as_action(asked.call))

    async def _say(self, episode: Episode, spoken: Spoken) -> None:
        """Hand what was said to an episode that takes words; where that ends it without a word, so does it here."""
        self._answer = spoken.text
        observed = await self._step(episode, spoken.message)
        if observed != NOTHING or not self._is_over:
            self._made.add({"role": "user", "content": observed})

    async def _step(self, episode: Episode, action: Message) -> str:
        """Take one step and return what is to be seen then; an episode that fails has ended, and so has the attempt."""
        try:
            async with asyncio.timeout(self._loop.step_timeout_s) as timer:
                outcome = await episode.step(action)
            if not isinstance(outcome, Outcome):
                raise TypeError(f"a step gave {outcome!r:.80}; expected an Outcome")
        except Exception as error:
            if isinstance(error, AgentEvoError) and (not isinstance(error, ModelError) or isinstance(error, NOT_DATA)):
                raise
            return self._failed(error, timer.expired())
        self._is_over = outcome.terminated or outcome.truncated
        if outcome.truncated and not outcome.terminated:
            self._stopped = "environment: truncated"
        told = "" if self._is_over else self._told_of_tools(episode)
        return self._shown(outcome.observation) + told

    def _told_of_tools(self, episode: Episode) -> str:
        """Offer the tools that there are after a step; say how new ones are called where they are described."""
        known, self._tools = self._tools, tuple(episode.tools)
        if self._tools == known:
            return ""
        self._made.offer(() if self._is_text else self._tools)
        new = [tool for tool in self._tools if tool not in known]
        return f"\n\n{calls.described(new)}" if self._is_text and new else ""

    def _failed(self, error: Exception, is_late: bool) -> str:
        """End the attempt; the model's side of it hears only what kind of failure it was: errors may hold secrets."""
        self._is_over, name = True, self._state.environment.card.name
        if is_late:
            LOG.warning("a step of %s in task %r took too long", name, self._task.id)
            self._stopped = f"environment: timed out after {self._loop.step_timeout_s:g} s"
            return f"Error: timed out after {self._loop.step_timeout_s:g} s"
        LOG.error("a step of %s in task %r failed", name, self._task.id, exc_info=error)
        self._stopped = f"environment: {type(error).__name__}: {cut(str(error), 200)}"
        return f"Error: the environment failed ({type(error).__name__})"

    def _shown(self, observation: str, nothing: str = NOTHING) -> str:
        # Cut first: cleaning looks at each character.
        text = clean(cut(observation, self._loop.observation_chars))
        return text if text.strip() else nothing
