"""Sample: answer a task in one reply, or in several at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

from agentevo.errors import Misuse, ModelError
from agentevo.models.usage import Meter, spending
from agentevo.phases.context import assembled, parts_of
from agentevo.phases.trajectory import Trajectory, why_stopped
from agentevo.protocols import Part, State
from agentevo.types import MODEL_FAILED, Attempt, Task, Usage


@dataclass(frozen=True)
class Sample:
    """Make n attempts by one call for n replies; the text of each, stripped, is its answer.

    What the call cost is shared out among the attempts, so that it adds up. A model that fails leaves n attempts that
    say so.
    """

    n: int = 1
    _: KW_ONLY
    context: Sequence[Part] = ()
    temperature: float | None = None
    max_tokens: int | None = None
    stop: Sequence[str] = ()

    def __post_init__(self) -> None:
        if type(self.n) is not int or self.n < 1:
            raise Misuse(f"n is {self.n!r}; expected how many attempts are made, 1 or more")
        check_sampling(self.temperature, self.max_tokens)
        object.__setattr__(self, "context", parts_of(self.context))
        object.__setattr__(self, "stop", (self.stop,) if isinstance(self.stop, str) else tuple(self.stop))

    async def __call__(self, state: State, task: Task) -> list[Attempt]:
        with spending() as meter:
            made = [Trajectory(task) for _ in range(self.n)]
            try:
                texts, stopped = await self._tried(state, task, made, meter)
            except BaseException as error:
                for trajectory, cost in zip(made, shared(meter.usage, self.n), strict=True):
                    trajectory.broken_off(error, cost)
                raise
        missing = stopped or f"{MODEL_FAILED}{len(texts)} of {self.n} replies came"
        for trajectory, text in zip(made, texts, strict=False):
            trajectory.add({"role": "assistant", "content": text})
        ended = [(text.strip(), "") for text in texts] + [("", missing)] * (self.n - len(texts))
        costs = shared(meter.usage, self.n)
        return [t.ended(answer, cost, why) for t, cost, (answer, why) in zip(made, costs, ended, strict=True)]

    async def _tried(self, state: State, task: Task, made: Sequence[Trajectory], meter: Meter) -> tuple[list[str], str]:
        """Return the replies, and why there are none."""
        try:
            return await self._texts(state, task, made), ""
        except ModelError as error:
            return [], why_stopped(error, meter)

    async def _texts(self, state: State, task: Task, made: Sequence[Trajectory]) -> list[str]:
        prompt = await assembled(state, task, self.context)
        for trajectory in made:
            trajectory.show(prompt)
        try:
            reply = await state.model.complete(
                prompt.messages, n=self.n, temperature=self.temperature, max_tokens=self.max_tokens, stop=self.stop,
                seed=seed_of(state, task, self.temperature), on_text=made[0].on_text,
            )  # fmt: skip
        except ModelError as error:
            made[0].keep_partial(error)
            raise
        return list(reply.texts[: self.n])


def check_sampling(temperature: float | None, max_tokens: int | None) -> None:
    """Raise Misuse for a temperature or a length that no model takes."""
    if temperature is not None and not 0 <= temperature < float("inf"):
        raise Misuse(f"temperature is {temperature!r}; expected 0 (the likeliest words) or more, or None")
    if max_tokens is not None and max_tokens < 1:
        raise Misuse(f"max_tokens is {max_tokens!r}; expected how long a reply may be, 1 or more, or None")


def seed_of(state: State, task: Task, temperature: float | None) -> int | None:
    """Return the seed that makes a sampled reply repeatable; None where nothing is left to chance."""
    return None if temperature == 0 else state.dice("act", task.id).getrandbits(31)


def shared(usage: Usage, n: int) -> list[Usage]:
    """Share out what n attempts cost together: whole numbers as evenly as they go, the first getting more."""

    def part(whole: int, place: int) -> int:
        return whole // n + (place < whole % n)

    return [
        Usage(
            calls=part(usage.calls, place),
            prompt_tokens=part(usage.prompt_tokens, place),
            completion_tokens=part(usage.completion_tokens, place),
            cost_usd=usage.cost_usd / n,
            seconds=usage.seconds / n,
        )
        for place in range(n)
    ]
