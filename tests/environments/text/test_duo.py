"""The kitchen for two: who knows the partner serves every order, whoever moves next is named, and secrets are kept."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from agentevo.environments.load import load
from agentevo.environments.text.duo import Duo
from agentevo.environments.text.duo.game import Seat
from agentevo.environments.text.duo.habits import DISHES, Habits
from agentevo.environments.walk import walked
from agentevo.errors import Misuse, UnknownName
from agentevo.protocols import FeedbackLevel
from agentevo.types import Attempt, Message, Outcome, Task

SPLITS = ("train", "dev", "test")
SEATS: Sequence[Seat] = ("chef", "mate", "both")


def moves(duo: Duo, task: Task) -> list[str]:
    return [str(action["content"]) for action in duo.gold(task)]


def saying(text: str) -> Message:
    return {"role": "assistant", "content": text}


def played(duo: Duo, task: Task, *texts: str, feedback: FeedbackLevel = "weak") -> list[Outcome]:
    return list(asyncio.run(walked(duo, task, [saying(text) for text in texts], feedback)).outcomes)


def score(duo: Duo, task: Task, *texts: str) -> float | None:
    attempt = Attempt(id="a", task=task, messages=tuple(saying(text) for text in texts))
    return asyncio.run(duo.verify(task, attempt)).score


def seen(duo: Duo, split: str) -> list[Task]:
    """Return the tasks whose wording all splits have."""
    return [task for task in duo.tasks(split) if task.data["group"] == "seen wording"]


@pytest.mark.parametrize("seat", SEATS)
@pytest.mark.parametrize("level", [1, 2, 3])
def test_gold_serves_every_order_and_nothing_serves_none(level: int, seat: Seat) -> None:
    duo = Duo(3, level, seat=seat)
    tasks = [task for split in SPLITS for task in duo.tasks(split)]
    assert Counter((score(duo, task, *moves(duo, task)), score(duo, task)) for task in tasks) == {(1.0, 0.0): 460}


@pytest.mark.parametrize(("level", "orders"), [(1, 1), (2, 4), (3, 6)])
def test_levels_have_more_orders(level: int, orders: int) -> None:
    duo = Duo(level=level)
    assert {len(moves(duo, task)) for task in duo.tasks("dev")} == {orders}


def test_no_order_is_asked_for_in_two_splits() -> None:
    duo, rows = Duo(level=2, tasks=250, seat="mate"), dict[tuple[str, ...], set[str]]()
    for split in SPLITS:
        for task in seen(duo, split)[:60]:
            for outcome in [Outcome(observation=task.prompt), *played(duo, task, *moves(duo, task))[:-1]]:
                line = outcome.observation.splitlines()[-1].split(": ")[1]
                dishes, _, rest = line.partition(". You cannot make ")
                rows.setdefault((rest.split(".")[0], *sorted(dishes.split(", "))), set()).add(split)
    assert len(rows) > 200
    assert {len(splits) for splits in rows.values()} == {1}


@pytest.mark.parametrize("seat", SEATS)
def test_half_of_test_is_put_in_words_that_no_other_split_has_and_says_as_much(seat: Seat) -> None:
    duo = Duo(level=2, seat=seat)
    counts = {split: Counter(task.data["group"] for task in duo.tasks(split)) for split in SPLITS}
    assert counts == {
        "train": {"seen wording": 200}, "dev": {"seen wording": 60}, "test": {"seen wording": 100, "new wording": 100}
    }  # fmt: skip
    known = {
        word for split in ("train", "dev") for task in duo.tasks(split) for word in re.findall(r"\w+", task.prompt)
    }
    for task in [task for task in duo.tasks("test") if task.data["group"] == "new wording"]:
        asked = [task.prompt, *(step.observation for step in played(duo, task, *moves(duo, task))[:-1])]
        assert all(len({*re.findall(r"\w+", text)} - known) > 2 for text in asked)
        named = [[dish for dish in DISHES if f" {dish}" in text.splitlines()[-1]] for text in asked]
        assert {len(dishes) for dishes in named} == {4}
        assert all({*re.findall(r"[a-z]+", move)} - {"make", "and", "say"} <= {*re.findall(r"[a-z]+", text)}
                   for move, text in zip(moves(duo, task), asked, strict=False) if seat != "both")  # fmt: skip


def test_partners_differ_in_what_they_like_and_say() -> None:
    habits = [Habits.of(number) for number in range(16)]
    assert len({(*one.likes["window"], *one.words.values()) for one in habits}) == 16
    assert all(len(set(one.words.values())) == len(DISHES) for one in habits)
    assert all(list(one.likes["window"]) != list(one.likes["door"]) for one in habits)


def test_blind_guesses_serve_few_orders() -> None:
    duo = Duo()
    tasks = duo.tasks("train")
    dishes = [task.prompt.split(": ")[1].split(".")[0].split(", ") for task in tasks]
    found = [score(duo, t, f"make {d[0]} and {d[1]}") or 0 for t, d in zip(tasks, dishes, strict=True)]
    assert 0.08 < sum(found) / len(found) < 0.25


@dataclass
class Beliefs:
    """What a chef believes of his mate: which dish a word means, and which of two dishes he takes before another."""

    meant: dict[str, str] = field(default_factory=dict)
    before: set[tuple[str, str]] = field(default_factory=set)

    def move(self, dishes: Sequence[str], word: str) -> str:
        """Make the dish that he cannot, and of the rest what he likes least."""
        barred = self.meant.get(word, dishes[0])
        rest = [dish for dish in dishes if dish != barred]
        likes: Mapping[str, int] = {one: sum((one, other) in self.before for other in rest) for one in rest}
        return f"make {barred} and {min(rest, key=lambda dish: likes[dish])}"

    def correct(self, dishes: Sequence[str], word: str, told: str) -> None:
        """Believe what was seen."""
        made, barred = told.removeprefix("The mate made ").split(";")[0].split(", as he could not make ")
        taken = made.split(" and ")
        self.meant[word] = barred
        self.before |= {(one, left) for one in taken for left in dishes if left not in (*taken, barred)}


def test_a_chef_who_corrects_his_beliefs_learns_his_mate() -> None:
    duo, beliefs = Duo(level=2, convention=1), Beliefs()

    async def share(task: Task) -> float:
        episode, outcome = await duo.open(task), None
        seen, total = episode.observation, 0.0
        while outcome is None or not outcome.terminated:
            line = seen.splitlines()[-1]
            dishes, word = line.split(": ")[1].split(".")[0].split(", "), line.rsplit(" ", 1)[1].rstrip(".")
            outcome = await episode.step(saying(beliefs.move(dishes, word)))
            beliefs.correct(dishes, word, outcome.observation)
            seen, total = outcome.observation, total + outcome.reward
        return total

    shares = [asyncio.run(share(task)) for task in [*duo.tasks("train")[:40], *seen(duo, "test")[:40]]]
    assert sum(shares[:4]) / 4 < 0.6
    assert sum(shares[40:]) / 40 > 0.9


def test_the_actor_is_named_and_sees_only_what_is_his() -> None:
    duo = Duo(seat="both", level=2)
    task = duo.tasks("train")[0]

    async def turns() -> list[tuple[str, str]]:
        episode = await duo.open(task)
        found = [(str(episode.actor), episode.observation)]
        for move in moves(duo, task)[:-1]:
            outcome = await episode.step(saying(move))
            assert outcome.info["actor"] == episode.actor
            found.append((str(episode.actor), outcome.observation.splitlines()[-1]))
        return found

    found = asyncio.run(turns())
    assert [actor for actor, _ in found] == ["mate", "chef"] * 4
    assert all(("cannot" in seen) == (actor == "mate") for actor, seen in found)
    assert all(("The mate says: " in seen) == (actor == "chef") for actor, seen in found)


def test_a_seat_that_the_agent_has_not_moves_by_itself() -> None:
    for seat in SEATS[:2]:
        duo = Duo(seat=seat, level=2)
        task = duo.tasks("train")[0]
        outcomes = played(duo, task, *moves(duo, task))
        assert [outcome.info.get("actor", "") for outcome in outcomes] == [seat, seat, seat, ""]
        assert [outcome.reward for outcome in outcomes] == [0.25] * 4


def test_two_who_agree_on_words_of_their_own_serve_as_well() -> None:
    duo = Duo(seat="both")
    for task in duo.tasks("dev")[:10]:
        mate, chef = moves(duo, task)
        assert score(duo, task, "say hello" + mate[mate.index(",") :], chef) == 1.0


@pytest.mark.parametrize("seat", SEATS)
def test_every_action_that_is_shown_is_a_move_and_one_is_right(seat: Seat) -> None:
    duo = Duo(seat=seat)
    task = duo.tasks("train")[5]
    actions = asyncio.run(duo.open(task)).actions
    assert len(actions) == {"chef": 6, "mate": 30, "both": 30}[seat]
    assert moves(duo, task)[0] in actions
    assert not any("That is no move" in played(duo, task, action)[0].observation for action in actions)


@pytest.mark.parametrize("text", ["", "hello", "make soup", "make soup and soup", "make gold and silver", "x" * 10_000])
def test_what_is_no_move_is_said_and_costs_one(text: str) -> None:
    duo = Duo()
    task = duo.tasks("train")[0]
    outcomes = played(duo, task, text, text, text)
    assert outcomes[0].observation == f"That is no move; expected `make DISH and DISH`. {task.prompt}"
    assert [outcome.truncated for outcome in outcomes] == [False, False, True]
    assert score(duo, task, text, text, *moves(duo, task)) == 1.0
    assert score(duo, task, text, text, text, *moves(duo, task)) == 0.0


def test_the_mate_cannot_make_what_he_cannot() -> None:
    duo = Duo(seat="mate")
    task = duo.tasks("train")[0]
    dishes, rest = task.prompt.split(": ")[1].split(". You cannot make ")
    barred = rest.split(".")[0]
    other = next(dish for dish in dishes.split(", ") if dish != barred)
    for text in (f"say x, make {barred} and {other}", f"make {other} and {barred}"):
        assert played(duo, task, text)[0].observation.startswith("That is no move; expected `say WORD, make DISH")


def test_what_went_wrong_is_told() -> None:
    duo = Duo()
    task = duo.tasks("train")[0]
    right = moves(duo, task)[0]
    wrong = next(action for action in asyncio.run(duo.open(task)).actions if action != right)
    ends = {level: played(duo, task, wrong, feedback=level)[0] for level in ("none", "weak", "strong")}
    assert ends["none"] == ends["weak"]
    assert "Nobody made " in ends["weak"].observation
    assert ends["strong"].observation == f"{ends['weak'].observation}\nWhat would have been right:\n{right}"
    assert [played(duo, task, right, feedback=level)[0].reward for level in ("none", "weak")] == [0.0, 1.0]


def test_it_is_loaded_by_name_and_refuses_what_is_not_there() -> None:
    duo, split = load("duo:level=3,seat=both@1/train")
    assert (repr(duo), split) == ("Duo(convention=0, level=3, tasks=200, seat='both')", "train")
    assert list(Duo(tasks=250).tasks("test"))[:20] == list(Duo(tasks=20).tasks("test"))
    with pytest.raises(UnknownName, match="unknown seat 'cook'"):
        Duo(seat="cook")  # type: ignore[arg-type]
    with pytest.raises(UnknownName, match="feedback level"):
        asyncio.run(Duo().open(Duo().tasks("dev")[0], feedback="loud"))  # type: ignore[arg-type]
    with pytest.raises(Misuse, match="from 10 to 250"):
        Duo(tasks=251)
