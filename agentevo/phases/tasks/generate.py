"""New tasks, written by the model after the pattern of some that are there."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

from pydantic import BaseModel, Field

from agentevo.errors import BadReply, Misuse
from agentevo.memory.asking import AS_DATA, MOST
from agentevo.phases.tasks.pool import tasks_of
from agentevo.protocols import State
from agentevo.quote import fenced
from agentevo.types import Message, Task

LOG = logging.getLogger(__name__)

GENERATED = "generated"
NEW = """
Below are tasks, each between fences. Write new tasks of the same kind that could stand among them: about other things,
in other words, complete without anything else, and not answered. Give {n} of them.
"""
SHOWN = 800


class Written(BaseModel):
    """Tasks that a model wrote."""

    tasks: list[str] = Field(json_schema_extra={"maxItems": 8})


@dataclass(frozen=True)
class Generate:
    """Let the model write n tasks, shown `demos` tasks of a split at a time, drawn anew for each request.

    A task that is like one that is there (a ROUGE-L of more than `alike`) or is too short or too long is left out;
    after `n` requests it is content with what there is. Nobody knows what is right for such a task: a judge must say.
    """

    n: int = 8
    demos: int = 8
    _: KW_ONLY
    split: str = "train"
    prompt: str = NEW
    each: int = 4
    temperature: float = 0.7
    alike: float = 0.7
    words: tuple[int, int] = (3, 150)

    def __post_init__(self) -> None:
        if self.n < 1 or self.demos < 1 or self.each < 1:
            raise Misuse(
                f"Generate(n={self.n!r}, demos={self.demos!r}, each={self.each!r}): expected all to be 1 or more"
            )
        if not 0 <= self.alike <= 1 or not self.temperature >= 0:
            raise Misuse(
                f"Generate(alike={self.alike!r}, temperature={self.temperature!r}): expected a share and 0 or more"
            )
        if not self.prompt.strip():
            raise Misuse("Generate needs a prompt that asks for tasks; leave it out for the one that is shipped")

    async def __call__(self, state: State) -> list[Task]:
        there = tasks_of(state, self.split)
        if not there:
            raise Misuse(f"split {self.split!r} of {state.environment.card.name!r} has no task to begin with")
        known, found = [task.prompt for task in there], list[str]()
        for turn in range(self.n):
            for text in await self._written(state, there, turn):
                if len(found) < self.n and self._is_fit(text, [*known, *found]):
                    found.append(text)
            if len(found) == self.n:
                break
        named = (f"generated-{state.seed}-{state.round}-{place}" for place in range(len(found)))
        return [Task(id=name, prompt=text, provenance=GENERATED) for name, text in zip(named, found, strict=True)]

    async def _written(self, state: State, there: Sequence[Task], turn: int) -> list[str]:
        dice = state.dice("generate", str(turn))
        shown = dice.sample(list(there), min(self.demos, len(there)))
        messages: list[Message] = [
            {"role": "system", "content": f"{self.prompt.strip().replace('{n}', str(self.each))}\n{AS_DATA}"},
            {"role": "user", "content": "\n".join(fenced(task.prompt, "task", SHOWN) for task in shown)},
        ]
        try:
            reply = await state.model.complete(
                messages, schema=Written, temperature=self.temperature, max_tokens=MOST, seed=dice.getrandbits(31)
            )
            return [text.strip() for text in reply.parsed(Written).tasks]
        except (BadReply, ValueError) as error:
            LOG.warning("tasks that were to be written cannot be read: %s", error)
            return []

    def _is_fit(self, text: str, known: Sequence[str]) -> bool:
        least, most = self.words
        return least <= len(text.split()) <= most and all(rouge_l(text, other) <= self.alike for other in known)


def rouge_l(one: str, other: str) -> float:
    """Return how much two texts share: the F-measure of the longest run of words that both have in order."""
    a, b = one.casefold().split(), other.casefold().split()
    if not a or not b:
        return 0.0
    row = [0] * (len(b) + 1)
    for word in a:
        before = 0
        for n, there in enumerate(b, 1):
            before, row[n] = row[n], before + 1 if word == there else max(row[n], row[n - 1])
    return 2 * row[-1] / (len(a) + len(b))
