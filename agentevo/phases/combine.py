"""Acts made of acts: the best of several attempts, and an attempt corrected by what a critic says of it.

A judge inside an act estimates. What it said stands on the attempt under its own name, with the score as
evidence["estimate"]: an attempt that comes out of an act is not judged yet, and only the environment scores a report.
By `Verify()` an act is told the truth while it acts, which is for practice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Literal, TypeAlias, get_args

from agentevo.awaitable import awaitable
from agentevo.errors import Misuse, ModelError, UnknownName
from agentevo.events import Added, Ended, Piece, is_heard, tell
from agentevo.given import listed, single
from agentevo.models.usage import spending
from agentevo.phases.act import check_sampling
from agentevo.phases.calls import as_sent
from agentevo.phases.context import HINTS, MEMORY
from agentevo.phases.judge import RIGHT
from agentevo.phases.trajectory import why_stopped
from agentevo.protocols import Act, Judge, State
from agentevo.quote import fenced
from agentevo.together import together
from agentevo.types import Attempt, Experience, Feedback, Message, Task, Usage

LOG = logging.getLogger(__name__)

Keep: TypeAlias = Literal["last", "best"]
Again: TypeAlias = Literal["auto", "words"]


@dataclass(frozen=True)
class Best:
    """Make attempts, have all of them judged, and return the best, of equals the first; it costs what all cost.

    Where the model fails that judges them, the first one is returned, and says so.
    """

    act: Act
    by: Judge

    def __post_init__(self) -> None:
        must_act("Best", self.act, self.by)
        made_awaitable(self, "act", "by")

    async def __call__(self, state: State, task: Task) -> list[Attempt]:
        attempts = tuple(await attempted("Best", self.act, state, task))
        if not attempts:
            return []
        judged, stopped = Experience(task=task, attempts=attempts), ""
        with spending() as meter:
            try:
                judged = await judged_by("Best", self.by, state, judged)
            except ModelError as error:
                stopped = why_stopped(error, meter)
                LOG.warning("%d attempts at task %s were not judged: %s", len(attempts), task.id, error)
        best = max(judged.attempts, key=_score)
        total = sum((attempt.usage for attempt in attempts), meter.usage)
        return [estimated(best, total, stopped or best.stopped)]


REFINE = """
Your answer was reviewed. The review stands between the fences. Correct the answer where the review is right, and give
the whole answer again, in the form that the task asks for, without talking about the review.
"""


@dataclass(frozen=True)
class Refined:
    """Attempt, have it judged, and ask again with all drafts and reviews so far, at most `rounds` times.

    It ends where the judge gives the full score or says right, has nothing to say, or the model fails or says nothing.
    keep="last" returns the last draft; "best", the one the judge scored highest, of equals the last one, which costs
    one judgement more. The messages are the trajectory up to the answer that is returned; usage is that of everything.
    Attempts that a limit or a failing model stopped are returned as they are.

    again="auto": a draft that called tools is acted again from the beginning, in a fresh episode, with its answer and
    the review behind the task's prompt: tools can be called again, and what the returned attempt did is what its own
    messages say. Other drafts are corrected in words, in the same conversation, reviews included. "words" corrects all
    of them so and calls no tool again.
    """

    act: Act
    by: Judge
    rounds: int = 3
    _: KW_ONLY
    keep: Keep = "last"
    again: Again = "auto"
    prompt: str = REFINE
    temperature: float | None = None
    max_tokens: int | None = None

    def __post_init__(self) -> None:
        must_act("Refined", self.act, self.by)
        made_awaitable(self, "act", "by")
        if self.rounds < 1:
            raise Misuse(f"rounds is {self.rounds!r}; expected how often an answer is corrected at most, 1 or more")
        if self.keep not in get_args(Keep):
            raise UnknownName("draft to keep", str(self.keep), get_args(Keep))
        if self.again not in get_args(Again):
            raise UnknownName("way to try again", str(self.again), get_args(Again))
        check_sampling(self.temperature, self.max_tokens)
        if not self.prompt.strip():
            raise Misuse(
                "Refined needs a prompt that asks for a better answer; leave it out for the one that is shipped"
            )

    async def __call__(self, state: State, task: Task) -> list[Attempt]:
        attempts = await attempted("Refined", self.act, state, task)
        return await together(self._refined(state, attempt) for attempt in attempts)

    async def _refined(self, state: State, attempt: Attempt) -> Attempt:
        if attempt.stopped:
            return attempt
        drafts, stopped = [attempt], ""
        with spending() as meter:
            try:
                await self._drafted(state, drafts)
            except ModelError as error:
                stopped = why_stopped(error, meter)
                LOG.warning("attempt %s is refined no further: %s", attempt.id, error)
        chosen = drafts[-1] if self.keep == "last" else max(reversed(drafts), key=_score)
        done = estimated(chosen, attempt.usage + meter.usage, stopped)
        if is_heard():
            tell(Ended(attempt=done))
        return done

    async def _drafted(self, state: State, drafts: list[Attempt]) -> None:
        """Append draft after draft, each judged, until nothing is left to correct."""
        for n in range(self.rounds):
            review = await self._judged(state, drafts)
            if not review or any(_is_done(feedback) for feedback in review):
                return
            calls = self.again == "auto" and _called_tools(drafts[-1])
            trying = self._acted(state, drafts[-1], review) if calls else self._said(state, drafts[-1], review, n)
            again = await trying
            if again is None:
                return
            drafts.append(again)
        if self.keep == "best":
            await self._judged(state, drafts)

    async def _judged(self, state: State, drafts: list[Attempt]) -> Sequence[Feedback]:
        """Have the last draft judged, and return what was said of it."""
        draft = drafts[-1]
        alone = Experience(task=draft.task, attempts=(draft,))
        (drafts[-1],) = (await judged_by("Refined", self.by, state, alone)).attempts
        return drafts[-1].feedback[len(draft.feedback) :]

    async def _acted(self, state: State, draft: Attempt, review: Sequence[Feedback]) -> Attempt | None:
        """Act anew, knowing the last answer and its review; return None where that does not come to an answer."""
        asked = f"{draft.task.prompt}\n\n{fenced(draft.answer, 'your last answer')}\n{self._asking(review)}"
        attempts = await attempted("Refined", self.act, state, draft.task.but(prompt=asked))
        if not attempts or attempts[0].stopped or not attempts[0].answer:
            return None
        return attempts[0].but(task=draft.task, bare=_without_review(draft, attempts[0]))

    async def _said(self, state: State, draft: Attempt, review: Sequence[Feedback], n: int) -> Attempt | None:
        """Ask for a better draft; return None where the model says nothing."""
        asked: list[Message] = [*_ending(draft), {"role": "user", "content": self._asking(review)}]
        messages = [*draft.messages, *asked]
        seed = None if self.temperature == 0 else state.dice("refine", f"{draft.task.id}/{n}").getrandbits(31)
        reply = await state.model.complete(
            as_sent(messages),
            temperature=self.temperature,
            max_tokens=self.max_tokens,
            seed=seed,
            on_text=_pieces(draft.id),
        )
        answer = reply.text.strip()
        if not answer:
            return None
        said: Message = {"role": "assistant", "content": reply.text}
        for message in (*asked, said) if is_heard() else ():
            tell(Added(attempt=draft.id, message=message))
        before = draft.feedback[: len(draft.feedback) - len(review)]
        return draft.but(messages=(*messages, said), answer=answer, feedback=before)

    def _asking(self, review: Sequence[Feedback]) -> str:
        said = "\n".join(part for f in review for part in (f.verdict, f.text) if part) or "It is not right yet."
        return f"{self.prompt.strip()}\n{fenced(said, 'review')}"


def _without_review(draft: Attempt, again: Attempt) -> dict[str, tuple[Message, ...]]:
    """Return what a prompt with a review in it is without it: the prompt of the draft, as far as that had none."""
    both = f"{HINTS}+{MEMORY}"
    own = draft.bare.get(HINTS, draft.messages[: draft.prompt])
    stripped = {both: draft.bare.get(both, draft.bare.get(MEMORY, own))} if MEMORY in again.bare else {}
    return {**again.bare, HINTS: own, **stripped}


def _called_tools(attempt: Attempt) -> bool:
    return any(message.get("tool_calls") for message in attempt.messages[attempt.prompt :])


def _ending(attempt: Attempt) -> list[Message]:
    """Return what the messages lack to be a conversation that ends with the answer."""
    asked: list[Message] = [] if attempt.messages else [{"role": "user", "content": attempt.task.prompt}]
    last = attempt.messages[-1] if attempt.messages else {}
    if last.get("role") == "assistant" and not last.get("tool_calls"):
        return asked
    return [*asked, {"role": "assistant", "content": attempt.answer}]


def _pieces(id: str) -> Callable[[str], None] | None:
    return (lambda text: tell(Piece(attempt=id, text=text))) if is_heard(pieces=True) else None


def _is_done(feedback: Feedback) -> bool:
    return feedback.verdict == RIGHT if feedback.score is None else feedback.score >= 1


def _score(attempt: Attempt) -> float:
    """Return what the judge thinks of an attempt; one it said nothing of comes after all others."""
    return -1.0 if attempt.score is None else attempt.score


def estimated(attempt: Attempt, usage: Usage, stopped: str) -> Attempt:
    """Return an attempt that nobody has judged yet: scores become estimates."""
    feedback = (
        f if f.score is None else f.but(score=None, evidence={**f.evidence, "estimate": f.score})
        for f in attempt.feedback
    )
    return attempt.but(feedback=tuple(feedback), usage=usage, stopped=stopped)


def made_awaitable(made: object, *slots: str) -> None:
    """Let plain functions stand in the slots of a strategy that is frozen."""
    for slot in slots:
        object.__setattr__(made, slot, awaitable(getattr(made, slot)))


def must_act(name: str, act: object, by: object) -> None:
    for slot, value in (("act", act), ("by", by)):
        if not callable(value) or isinstance(value, type):
            raise Misuse(f"{name}({slot}=...) takes a strategy, such as Sample() or Vote(), not {value!r:.80}")


async def attempted(name: str, act: Act, state: State, task: Task) -> list[Attempt]:
    """Return the attempts of an act inside another; raise Misuse, naming both, where it gives something else."""
    return listed(f"{name}(act=...)", await act(state, task), Attempt)


async def judged_by(name: str, by: Judge, state: State, experience: Experience) -> Experience:
    """Return what the judge inside an act makes of attempts; raise Misuse where it gives anything else but these."""
    judged = single(f"{name}(by=...)", await by(state, experience), Experience)
    if len(judged.attempts) != len(experience.attempts):
        returned = f"{len(judged.attempts)} of {len(experience.attempts)} attempts"
        raise Misuse(
            f"the judge in {name}(by=...) returned {returned}; a judge returns all that it is given: correct it"
        )
    return judged
