"""Self-debugging: run the program, have it explained, and mend it. (Chen et al., 2023, arXiv 2304.05128)"""

from __future__ import annotations

from dataclasses import dataclass

from agentevo.memory.asking import AS_DATA
from agentevo.memory.extract import evidence
from agentevo.phases.combine import Refined
from agentevo.phases.judge import Critique
from agentevo.phases.judge_tests import Exec, runner
from agentevo.phases.loop import Loop
from agentevo.protocols import Recipe, State
from agentevo.types import Attempt, Experience, Feedback, Message

EXPLAIN = """
A program was written for a task, and failed tests. Go through it line by line, and say what each line does. Then
follow the first test that failed through it: what comes out, what was to come out, and which line is to blame. Do not
write the program anew.
"""
REVIEW = """
A program was written for a task; there are no tests. Go through it line by line, and say what each line does. Then
compare what it does with what the task asks for. Your verdict is "right" if it does just that, else "wrong".
"""
MEND = """
Your program was tried. What came of that stands between the fences. Mend the program, and give the whole of it again,
in the form that the task asks for, without talking about what was wrong.
"""


def self_debug(
    *,
    rounds: int = 3,
    explain: bool = True,
    steps: int = 20,
    temperature: float | None = None,
    max_tokens: int | None = None,
) -> Recipe:
    """Write a program, run the tests that the task shows, and mend what failed, at most so many rounds.

    What the failing tests said is fed back and, with explain, what the model says on going through its program line by
    line. Where a task shows no tests, that explanation and its verdict are all there is. Nothing is learned.
    """
    act = Loop(steps, temperature=temperature, max_tokens=max_tokens)
    by = Debugged(explain, max_tokens=max_tokens)
    return Recipe(act=Refined(act, by=by, rounds=rounds, prompt=MEND, temperature=temperature, max_tokens=max_tokens))


@dataclass(frozen=True)
class Debugged:
    """What the visible tests say of each attempt, and what the model says that its program does."""

    explain: bool = True
    max_tokens: int | None = None

    async def __call__(self, state: State, experience: Experience) -> Experience:
        judged = await Exec()(state, experience) if runner(state.environment) else experience
        if judged == experience:
            return await Critique(REVIEW)(state, experience) if self.explain else experience
        if not self.explain:
            return judged
        return judged.but(attempts=tuple([await self._explained(state, attempt) for attempt in judged.attempts]))

    async def _explained(self, state: State, attempt: Attempt) -> Attempt:
        """Add the model's explanation of a program that failed tests."""
        found = attempt.feedback[-1]
        if found.score is None or found.score >= 1:
            return attempt
        shown = attempt.model_copy(update={"feedback": (found,)})
        messages: list[Message] = [
            {"role": "system", "content": f"{EXPLAIN.strip()}\n{AS_DATA}"},
            {"role": "user", "content": evidence(Experience(task=attempt.task, attempts=(shown,)))},
        ]
        reply = await state.model.complete(messages, temperature=0.0, max_tokens=self.max_tokens)
        return attempt.told(Feedback(text=reply.text.strip(), source="self")) if reply.text.strip() else attempt
