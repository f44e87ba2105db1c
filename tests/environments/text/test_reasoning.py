"""Puzzles: drawn by seed, answered once, scored by their sets; a small package stands for reasoning-gym."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agentevo.environments import check_environment
from agentevo.environments.text import ReasoningGym
from agentevo.environments.text.engines.reasoning import is_harmless
from agentevo.environments.text.reasoning import answer_in
from agentevo.errors import MissingExtra, Misuse, UnknownName
from agentevo.protocols import FeedbackLevel
from agentevo.types import Attempt, Outcome

PACKAGE = """
class Doubling:
    def __init__(self, name, seed, size):
        self.name, self.seed = name, seed

    def __getitem__(self, index):
        number = (self.seed + index) % 1_000 if self.name == "lcm" else self.seed + index
        if index == 0:
            raise RuntimeError("no question here")
        return {"question": f"{self.name}: what is twice {number}?", "answer": str(2 * number)}

    def score_answer(self, answer, entry):
        return 1.0 if int(answer) == int(entry["answer"]) else 0.01


def create_dataset(name, seed, size):
    return Doubling(name, seed, size)
"""


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package of that name, whose sets ask what is twice a number."""
    (tmp_path / "reasoning_gym").mkdir()
    (tmp_path / "reasoning_gym" / "__init__.py").touch()
    (tmp_path / "reasoning_gym" / "factory.py").write_text(PACKAGE)
    (tmp_path / "reasoning_gym-9.9.dist-info").mkdir()
    (tmp_path / "reasoning_gym-9.9.dist-info" / "METADATA").write_text("Name: reasoning-gym\nVersion: 9.9\n")
    monkeypatch.syspath_prepend(tmp_path)


def gym(sets: str = "gcd,lcm", tasks: int = 2) -> ReasoningGym:
    return ReasoningGym(sets, tasks)


def test_puzzles_keep_the_contract() -> None:
    assert "gold" in check_environment(gym(), again=gym)


def test_no_question_is_in_two_splits_and_sets_take_turns() -> None:
    made = gym(tasks=3)
    drawn = {split: [task.prompt for task in made.tasks(split)] for split in made.splits()}
    assert [prompt[:3] for prompt in drawn["dev"]] == ["gcd", "lcm"] * 3
    assert len({prompt for prompts in drawn.values() for prompt in prompts}) == 18
    assert (made.card.version, made.card.splits) == ("9.9", {"train": 6, "dev": 6, "test": 6})


@pytest.mark.parametrize(
    ("answer", "score", "problem"),
    [
        ("2", 1.0, ""), ("I think of 7.\n<answer>3</answer> no: <answer> 2 </answer>", 1.0, ""), ("3", 0.01, ""),
        ("", 0.0, ""), ("a word", 0.0, "ValueError: invalid literal"),
    ],
)  # fmt: skip
def test_an_answer_is_scored_by_its_set_and_what_it_cannot_read_is_wrong(
    answer: str, score: float, problem: str
) -> None:
    made = gym(tasks=1)
    task = made.task("rg-gcd-train-1")
    feedback = asyncio.run(made.verify(task, Attempt(id="a", task=task, answer=answer)))
    assert (feedback.score, feedback.verdict) == (score, "right" if score == 1 else "wrong")
    assert str(feedback.evidence.get("problem", "")).startswith(problem)


def test_an_episode_tells_as_much_as_it_is_asked_for() -> None:
    made = gym(tasks=1)
    task = made.task("rg-gcd-train-1")

    async def ends(level: FeedbackLevel) -> Outcome:
        episode = await made.open(task, feedback=level)
        return await episode.step({"role": "assistant", "content": "5"})

    said = [asyncio.run(ends(level)).observation for level in ("none", "weak", "strong")]
    assert said == ["", "wrong", "wrong; the answer is: 2"]


@pytest.mark.parametrize(
    ("name", "answer", "harmless"),
    [
        ("simple_integration", "3*x**2/2 - 5*sin(x) + C", True), ("countdown", "(3 + 4) * 2", True),
        ("simple_integration", "exec('1')", False), ("puzzle24", "(exit)()", False), ("puzzle24", "x.y", False),
        ("puzzle24", "lambda: 1", False), ("countdown", "quit(1)", False), ("puzzle24", "[1][0]", False),
        ("n_queens", "[['Q', '_']]", True), ("n_queens", "print(1)", False), ("gcd", "print(1)", True),
    ],
)  # fmt: skip
def test_where_answers_are_evaluated_none_can_call_anything(name: str, answer: str, harmless: bool) -> None:
    assert is_harmless(name, answer) is harmless


def test_a_long_answer_is_cut_and_its_last_tags_count() -> None:
    assert answer_in("x" * 30_000 + "<answer>7</answer>") == "7"
    assert len(answer_in("x" * 30_000)) == 20_000


def test_what_cannot_be_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownName, match="unknown set of reasoning-gym"):
        gym(sets="chess")
    with pytest.raises(Misuse, match="from 1 to 50"):
        gym(tasks=51)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"agentevo\[text\]"):
        gym()
