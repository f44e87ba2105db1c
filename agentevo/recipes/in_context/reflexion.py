"""Reflexion: what failed is tried again, with notes on why it failed. (Shinn et al., 2023, arXiv 2303.11366)"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from agentevo.memory import Ask, Extract, Insert, failed
from agentevo.phases.context import Latest
from agentevo.phases.judge import Verify
from agentevo.phases.loop import Loop
from agentevo.phases.tasks.retry import Retry
from agentevo.protocols import FeedbackLevel, Recipe, State
from agentevo.quote import cut
from agentevo.types import Experience, Section, Task

REFLECTION = """
Read the task, what was tried, and how it was judged. Write one reflection of one to three sentences: what went wrong,
and what to do differently in the next attempt at this task. Name what is to be done, not only what is to be avoided.
"""


def reflexion(
    *,
    notes: int = 3,
    trials: int = 3,
    tasks: int | None = None,
    feedback: FeedbackLevel = "weak",
    steps: int = 20,
    temperature: float | None = None,
    max_tokens: int | None = None,
    stop: Sequence[str] = (),
) -> Recipe:
    """Try again what failed, so many times, with the last few reflections on that very task in the prompt."""
    return Recipe(
        tasks=Retry(tasks, trials),
        act=Loop(steps, context=[OwnNotes(notes)], temperature=temperature, max_tokens=max_tokens, stop=stop),
        judge=[Verify(feedback)],
        update=[Insert(reflected, when=failed, kind="note")],
    )


async def reflected(state: State, experience: Experience) -> list[Extract]:
    """Ask the model what went wrong; the note names its task, or equal notes on two tasks would be one."""
    task = experience.task
    written = await Ask(REFLECTION, most=1)(state, experience)
    return [replace(one, text=f"On task {task.id} ({cut(task.prompt, 80)}): {one.text}") for one in written]


@dataclass(frozen=True)
class OwnNotes:
    """The last few notes that were made on this very task."""

    k: int

    async def __call__(self, state: State, task: Task) -> Section:
        return await Latest(self.k, "note", where={"task": task.id})(state, task)
