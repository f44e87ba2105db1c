"""Answers as an environment: splits, ids, episodes, feedback, and that no task shows what is right."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from agentevo.environments.answers import Answers, Number, Pattern
from agentevo.environments.answers.environment import Source
from agentevo.environments.check import check_environment
from agentevo.errors import Misuse, UnknownName
from agentevo.protocols import Environment, Episode, FeedbackLevel, Golden
from agentevo.types import Attempt, Outcome, Task

BANKING77 = Path(__file__).parents[3] / "shared" / "data" / "banking77_train.csv"


def rows(count: int) -> list[dict[str, object]]:
    return [{"text": f"How do I do thing {n}?", "label": f"secret{n % 4}"} for n in range(count)]


def prompts(environment: Answers, split: str) -> list[str]:
    return [task.prompt for task in environment.tasks(split)]


def stepped(environment: Answers, reply: object, feedback: FeedbackLevel = "weak") -> Outcome:
    async def run() -> Outcome:
        episode = await environment.open(environment.tasks("test")[0], feedback=feedback)
        try:
            return await episode.step({"role": "assistant", "content": reply})  # type: ignore[dict-item]
        finally:
            await episode.close()
            await episode.close()

    return asyncio.run(run())


def test_it_is_an_environment_that_knows_what_is_right() -> None:
    environment = Answers(rows(20))
    assert isinstance(environment, Environment)
    assert isinstance(environment, Golden)
    task = environment.tasks("test")[0]
    assert isinstance(asyncio.run(environment.open(task)), Episode)


def test_shares_split_the_questions_by_the_seed_and_keep_their_order() -> None:
    environment = Answers(rows(50), shares={"train": 0.7, "dev": 0.1, "test": 0.2})
    given = [str(row["text"]) for row in rows(50)]
    assert environment.card.splits == {"train": 35, "dev": 5, "test": 10}
    split_up = {split: prompts(environment, split) for split in environment.splits()}
    assert sorted(text for found in split_up.values() for text in found) == sorted(given)
    assert all(found == [text for text in given if text in found] for found in split_up.values())
    assert prompts(Answers(rows(50), seed=1), "test") != prompts(Answers(rows(50), seed=0), "test")


def test_what_is_asked_twice_stands_in_one_split() -> None:
    twice = [{"text": text, "label": "x"} for n in range(40) for text in (f"Question {n}", f"question  {n}.")]
    environment = Answers(twice, shares={"train": 0.5, "test": 0.5})
    assert environment.card.splits == {"train": 40, "test": 40}
    numbers = [{p.strip(".").split()[-1] for p in prompts(environment, split)} for split in ("train", "test")]
    assert numbers[0] & numbers[1] == set()
    assert "more than one split" not in environment.card.description


def test_a_column_says_which_split_a_row_is_in() -> None:
    given = [{"text": f"q{n}", "label": "x", "fold": fold} for n, fold in enumerate(["dev", "train", "dev"])]
    environment = Answers(given, split="fold")
    assert {split: prompts(environment, split) for split in environment.splits()} == {
        "dev": ["q0", "q2"],
        "train": ["q1"],
    }


def test_each_split_may_have_a_source_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    path.write_text("text,category\nq0,a\nq1,b\n", encoding="utf-8")
    sources: dict[str, Source] = {"train": path, "test": [{"question": "Q0", "answer": "b"}]}
    environment = Answers(sources)
    assert (prompts(environment, "train"), prompts(environment, "test")) == (["q0", "q1"], ["Q0"])
    assert environment.card.description.endswith("; 1 of them stand in more than one split")


def test_ids_are_the_same_in_another_process_and_say_nothing_about_the_answer() -> None:
    program = (
        "from agentevo.environments.answers import Answers\n"
        "rows = [{'text': f'How do I do thing {n % 9}?', 'label': f'other{n % 9}'} for n in range(20)]\n"
        "print([task.id for task in Answers(rows, shares={'test': 1.0}).tasks('test')])"
    )
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    given = [{"text": f"How do I do thing {n % 9}?", "label": "x"} for n in range(20)]
    ids = [task.id for task in Answers(given, shares={"test": 1.0}).tasks("test")]
    assert other.strip() == str(ids)
    assert len(set(ids)) == 20
    assert [ids[9], ids[18]] == [f"{ids[0]}-2", f"{ids[0]}-3"]


def test_no_task_shows_what_is_right() -> None:
    environment = Answers(rows(20), check="exact")
    shown = "".join(task.model_dump_json() for split in environment.splits() for task in environment.tasks(split))
    assert "secret" not in shown + repr(environment)
    assert json.loads(environment.tasks("test")[0].model_dump_json())["data"] == {"check": {"name": "exact"}}


def test_the_check_of_a_task_is_data() -> None:
    number = Answers([{"text": "1+1?", "label": 2}], check=Number(tolerance=0.01), shares={"test": 1.0})
    assert number.tasks("test")[0].data == {"check": {"name": "number", "tolerance": 0.01, "which": "last"}}
    choice = Answers([{"text": "?", "label": "a", "o": ["a", "b"]}], check="choice", options="o", shares={"test": 1.0})
    assert choice.tasks("test")[0].data == {"check": {"name": "choice"}, "options": ["a", "b"]}


def test_few_labels_are_told_and_answers_are_not() -> None:
    assert Answers(rows(20)).card.instruction == "Answer with one of: secret0, secret1, secret2, secret3."
    assert Answers(rows(7)).card.instruction == "Give the answer alone."  # secret3 stands once, so it may be an answer
    many = [{"text": f"q{n}", "label": f"label{n % 41}"} for n in range(200)]
    assert Answers(many).card.instruction == "Give the answer alone."
    assert Answers(rows(20), instruction="Say it.").card.instruction == "Say it."


def test_a_task_that_travelled_is_verified_by_an_environment_made_anew() -> None:
    task = Answers(rows(20)).tasks("test")[0]
    travelled, anew = Task.model_validate_json(task.model_dump_json()), Answers(rows(20))
    gold = anew.gold(travelled)[0]["content"]
    scores = [
        asyncio.run(anew.verify(travelled, Attempt(id="a", task=travelled, answer=str(reply)))).score
        for reply in (gold, "", "secret9")
    ]
    assert scores == [1.0, 0.0, 0.0]
    assert anew.task(task.id) == task


@pytest.mark.parametrize(
    ("feedback", "wrong", "right"),
    [("none", ("", 0.0), ("", 0.0)), ("weak", ("wrong", 0.0), ("right", 1.0)),
     ("strong", ("wrong; the answer is: secret", 0.0), ("right", 1.0))],
)  # fmt: skip
def test_a_step_tells_what_the_feedback_level_allows(
    feedback: FeedbackLevel, wrong: tuple[str, float], right: tuple[str, float]
) -> None:
    environment = Answers([{"text": "q", "label": "secret"}], shares={"test": 1.0})
    outcomes = [stepped(environment, reply, feedback) for reply in ("guess", "Secret.")]
    assert [(outcome.observation, outcome.reward) for outcome in outcomes] == [wrong, right]
    assert all(outcome.terminated and not outcome.truncated for outcome in outcomes)


@pytest.mark.parametrize("reply", [None, 7, ["secret"], {"text": "secret"}, "", "x" * 1_000_000])
def test_a_reply_that_is_no_answer_is_wrong(reply: object) -> None:
    environment = Answers([{"text": "q", "label": "secret"}], shares={"test": 1.0})
    assert stepped(environment, reply).observation == "wrong"


def test_there_is_one_step_and_none_after_closing() -> None:
    environment = Answers([{"text": "q", "label": "secret"}], shares={"test": 1.0})

    async def run() -> None:
        episode = await environment.open(environment.tasks("test")[0])
        assert (episode.observation, episode.tools) == ("q", ())
        await episode.step({"role": "assistant", "content": "secret"})
        with pytest.raises(Misuse, match="has had its only step"):
            await episode.step({"role": "assistant", "content": "secret"})
        await episode.close()
        with pytest.raises(Misuse, match="is closed"):
            await episode.step({"role": "assistant", "content": "secret"})

    asyncio.run(run())


def test_patterns_have_gold_only_where_there_are_examples() -> None:
    given = [{"text": "A plate?", "label": r"[A-Z]{2}-\d+", "eg": "GR-12"}]
    bare = Answers(given, check="pattern", shares={"test": 1.0})
    assert (bare.card.null_score, bare.card.gold_score, bare.gold(bare.tasks("test")[0])) == (None, None, [])
    told = Answers(given, check="pattern", example="eg", shares={"test": 1.0})
    assert (told.card.gold_score, told.gold(told.tasks("test")[0])[0]["content"]) == (1.0, "GR-12")
    assert stepped(bare, "GR12", "strong").observation == "wrong"
    with pytest.raises(Misuse, match="row 1: the example 'GR-12' does not match"):
        Answers([{**given[0], "label": "x"}], check=Pattern(search=True), example="eg")


def test_the_version_changes_with_what_is_right() -> None:
    changed: list[dict[str, object]] = [*rows(20)[:-1], {"text": "How do I do thing 19?", "label": "other"}]
    versions = [Answers(given).card.version for given in (rows(20), rows(20), changed)]
    assert versions[0] == versions[1] != versions[2]
    assert Answers(rows(20), name="mine", version="2", licence="CC0").card.model_dump(
        include={"name", "version", "licence"}
    ) == {"name": "mine", "version": "2", "licence": "CC0"}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"shares": {"train": 0.5}}, "shares are .*together 1"),
        ({"shares": {"train": 1.5, "test": -0.5}}, "a positive share a split"),
        ({"shares": {}}, "a positive share a split"),
        ({"shares": {" ": 1.0}}, "a name for each split"),
        ({"limit": 0}, "limit is 0; expected how many rows"),
        ({"limit": 1}, "1 different questions are too few to give split 'test' its share of 0.2"),
        ({"split": "fold"}, "row 1 has no column 'fold'; it has: text, label"),
        ({"prompt": "q"}, "row 1 has no column 'q'"),
    ],
)
def test_options_that_cannot_be_are_refused(options: Mapping[str, object], says: str) -> None:
    with pytest.raises(Misuse, match=says):
        Answers(rows(20), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("sources", [{}, {"": rows(3)}])
def test_sources_have_names_of_splits(sources: Mapping[str, Sequence[Mapping[str, object]]]) -> None:
    with pytest.raises(Misuse, match="expected a path or rows for each named split"):
        Answers(sources)
    with pytest.raises(Misuse, match="a source for each split; expected one or the other"):
        Answers({"train": rows(3)}, split="fold")


def test_what_is_not_here_is_refused() -> None:
    environment = Answers(rows(20))
    with pytest.raises(UnknownName, match="unknown split of answers 'tset'; known: test"):
        environment.tasks("tset")
    with pytest.raises(Misuse, match="has no task 'x'; its first is 'answers-"):
        environment.task("x")
    task = environment.tasks("test")[0]
    with pytest.raises(UnknownName, match="feedback level"):
        asyncio.run(environment.open(task, feedback="loud"))  # type: ignore[arg-type]
    with pytest.raises(Misuse, match=r"is not the one of Answers.*it says 'Another"):
        asyncio.run(environment.verify(task.but(prompt="Another"), Attempt(id="a", task=task, answer="x")))


@pytest.mark.skipif(not BANKING77.exists(), reason=f"{BANKING77} is not here")
def test_banking77_works_as_it_is() -> None:
    environment = Answers(BANKING77)
    assert environment.card.splits == {"train": 8001, "test": 2002}
    assert {str(environment.gold(task)[0]["content"]) for task in environment.tasks("test")} <= {
        str(environment.gold(task)[0]["content"]) for task in environment.tasks("train")
    }


GIVEN = [
    {
        "text": f"{n}+{n}?",
        "label": f"l{n % 3}",
        "sum": 2 * n,
        "right": "B",
        "o": ["x", "y"],
        "like": f"{n}+",
        "eg": f"{n}",
    }
    for n in range(40)
]


@pytest.mark.parametrize(
    ("make", "has_gold"),
    [
        (lambda: Answers(GIVEN), True),
        (lambda: Answers(GIVEN, check="number", answer="sum"), True),
        (lambda: Answers(GIVEN, check="choice", answer="right", options="o"), True),
        (lambda: Answers(GIVEN, check="pattern", answer="like", example="eg"), True),
        (lambda: Answers(GIVEN, check="pattern", answer="like"), False),
    ],
    ids=["exact", "number", "choice", "pattern with examples", "pattern"],
)
def test_it_keeps_the_contract_of_environments(make: Callable[[], Answers], has_gold: bool) -> None:
    held = check_environment(make(), again=make)
    assert {"card", "disjoint", "deterministic", "order", "cancelled", "together", "actions", "verify"} <= set(held)
    assert ("gold" in held) == has_gold
