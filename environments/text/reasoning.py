"""reasoning-gym: a hundred sets of generated puzzles, each of which scores answers by itself."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from agentevo.environments.engine import EngineError
from agentevo.environments.made_up import MadeUp
from agentevo.environments.text.chosen import chosen, per_kind
from agentevo.environments.text.crew import Crew
from agentevo.environments.text.sets import SETS
from agentevo.environments.walls import Walls
from agentevo.errors import MissingExtra, Misuse
from agentevo.protocols import FeedbackLevel
from agentevo.types import Attempt, Card, Feedback, Message, Outcome, Task, Tool

MOST_TASKS = 50
MOST_CHARS = 20_000
"""Of an answer that are looked at."""
TIMEOUT_S = 60.0
"""For a question to be drawn or an answer to be scored."""
SPLITS = ("train", "dev", "test")
_TAGGED = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Puzzle:
    """A task, where it was drawn, and its right answer."""

    task: Task
    set: str
    split: str
    index: int
    answer: str


class ReasoningGym(MadeUp[Puzzle]):
    """Puzzles of the sets of reasoning-gym that find their own answers right, or of those named: `sets="gcd,maze"`.

    `tasks` puzzles of each set are in a split; the sets take turns. No question is in two splits. They are drawn when
    the first is asked for, in a worker; for all sets that takes about a minute, as some search long for a question.

    The answer is what stands between the last <answer> and </answer>, or all of it, and scored by its set; nothing is
    scored 0, as is an answer that its set cannot read or takes more than a minute for. Needs the extra `text`.
    """

    def __init__(self, sets: str = "all", tasks: int = 2, *, workers: int = 1, walls: bool = True) -> None:
        self._sets, self._count = chosen("set of reasoning-gym", sets, SETS), per_kind(tasks, MOST_TASKS)
        if importlib.util.find_spec("reasoning_gym") is None:
            raise MissingExtra("reasoning-gym", "text")
        card = Card(
            name="reasoning_gym",
            version=importlib.metadata.version("reasoning-gym"),
            description=f"Generated puzzles with one answer each: {len(self._sets)} sets",
            instruction="Solve the puzzle. Write the answer alone between <answer> and </answer>.",
            licence="Apache-2.0",
            ability="reasoning",
            splits=dict.fromkeys(SPLITS, self._count * len(self._sets)),
            null_score=0.0,
            gold_score=1.0,
        )
        super().__init__(card, f"ReasoningGym(sets={sets!r}, tasks={tasks})", self._drawn)
        engine = "agentevo.environments.text.engines.reasoning:make"
        self._crew = Crew(engine, {}, Walls(walls=walls), workers, TIMEOUT_S)

    @property
    def walls(self) -> Walls:
        """What the engine may touch."""
        return self._crew.walls

    async def open(self, task: Task, seed: int = 0, feedback: FeedbackLevel = "weak") -> PuzzleEpisode:
        return PuzzleEpisode(self, self._opened(task, feedback), feedback)

    async def verify(self, task: Task, attempt: Attempt) -> Feedback:
        return await self.judged(self._asked(task), attempt.answer)

    def gold(self, task: Task) -> Sequence[Message]:
        return [{"role": "assistant", "content": self._asked(task).answer}]

    async def aclose(self) -> None:
        """End the workers. They end by themselves with this object, and with this process."""
        await self._crew.aclose()

    async def judged(self, puzzle: Puzzle, said: str) -> Feedback:
        """Return what a puzzle's set says of an answer."""
        answer, score, problem = answer_in(said), 0.0, ""
        if answer:
            try:
                found = await self._crew.ask_once(
                    "score", name=puzzle.set, split=puzzle.split, index=puzzle.index, answer=answer
                )
                score = cast("float", found)
            except EngineError as error:
                problem = str(error)[:200]
        return Feedback(
            score=score, verdict="right" if score >= 1 else "wrong", source="environment",
            evidence={"problem": problem} if problem else {},
        )  # fmt: skip

    def _drawn(self) -> dict[str, list[Puzzle]]:
        drawn = {name: self._crew.ask_now("drawn", name=name, count=self._count) for name in self._sets}
        puzzles: dict[str, list[Puzzle]] = {split: [] for split in SPLITS}
        for place in range(self._count):
            for name, entries in drawn.items():
                for split in SPLITS:
                    entry = cast("dict[str, list[dict[str, str | int]]]", entries)[split][place]
                    puzzles[split].append(_puzzle(name, split, entry))
        return puzzles


def _puzzle(name: str, split: str, entry: dict[str, str | int]) -> Puzzle:
    task = Task(
        id=f"rg-{name}-{split}-{entry['index']}", prompt=str(entry["question"]), data={"group": name},
        provenance="reasoning-gym",
    )  # fmt: skip
    return Puzzle(task, name, split, int(entry["index"]), str(entry["answer"]))


class PuzzleEpisode:
    """One puzzle: the first action is the answer, and the end."""

    tools: Sequence[Tool] = ()

    def __init__(self, gym: ReasoningGym, puzzle: Puzzle, feedback: FeedbackLevel) -> None:
        self._gym, self._puzzle, self._feedback, self._over = gym, puzzle, feedback, ""
        self.observation = puzzle.task.prompt

    async def step(self, action: Message) -> Outcome:
        """Take the text of a message as the answer. Raise Misuse for a step after the only one, or after close."""
        if self._over:
            raise Misuse(f"this episode {self._over}; open another one")
        self._over = "has had its only step"
        content = action.get("content")
        if self._feedback == "none":
            return Outcome(observation="", terminated=True)
        found = await self._gym.judged(self._puzzle, content if isinstance(content, str) else "")
        said = found.verdict
        if self._feedback == "strong" and found.verdict == "wrong":
            said = f"wrong; the answer is: {self._puzzle.answer}"
        return Outcome(observation=said, reward=found.score or 0.0, terminated=True)

    async def close(self) -> None:
        self._over = "is closed"


def answer_in(text: str) -> str:
    """Return what an answer says: what stands in its last tags, or all of it."""
    tagged = _TAGGED.findall(text[-MOST_CHARS:])
    return (tagged[-1] if tagged else text[:MOST_CHARS]).strip()
