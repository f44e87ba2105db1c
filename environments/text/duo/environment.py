"""The game for two as an environment: how many orders were served is what scores."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from agentevo.environments.made_up import MadeUp, built_in, sizes
from agentevo.environments.text.duo.episode import DuoEpisode
from agentevo.environments.text.duo.game import Game, Seat, gold
from agentevo.environments.text.duo.habits import DISHES, TABLES, Habits, Order
from agentevo.environments.text.duo.words import NEW, SEEN, Wording
from agentevo.environments.text.world.visit import texts
from agentevo.environments.tool.house.convention import Dice
from agentevo.errors import UnknownName
from agentevo.protocols import FeedbackLevel
from agentevo.types import Attempt, Feedback, Message, Task

LEVELS = ("one order", "four orders", "six orders, two tables")
ORDERS: Mapping[int, int] = {1: 1, 2: 4, 3: 6}
"""So many orders are in a game, by level."""
MOST_TASKS = 250
SHARES: Mapping[str, tuple[int, ...]] = {"train": (0, 1), "dev": (2,), "test": (3, 4)}
"""The digest of an order, modulo 5, says which split may have it: no order comes in two of them."""
BOTH_MAKE = "The chef and the mate each make two of the four dishes of an order, at once, and none twice"
INSTRUCTIONS: Mapping[Seat, str] = {
    "chef": f"{BOTH_MAKE}. You are the chef; one dish the mate cannot make. Answer `make DISH and DISH`.",
    "mate": f"{BOTH_MAKE}. You are the mate, and say one word first. Answer `say WORD, make DISH and DISH`.",
    "both": f"{BOTH_MAKE}. The mate first says one word: `say WORD, make DISH and DISH`; "
    "the chef then answers `make DISH and DISH`.",
}


@dataclass(frozen=True, slots=True)
class Request:
    """A task, and what only the environment knows of it."""

    task: Task
    orders: tuple[Order, ...]
    wording: Wording


class Duo(MadeUp[Request]):
    """A kitchen for two: an order is served if the chef and the mate make different dishes, which they choose at once.

    The mate alone knows which dish he cannot make; the chef alone hears the mate's word before he chooses. What the
    partner likes to make, and what words mean to him, is made up from the number of the convention: with another one
    there is another partner. `seat` is who the agent is: "chef", "mate", or "both" in turn, where `info["actor"]` and
    the episode's `actor` say whose turn it is, and what is observed is what that one sees.

    Level 1 has one order; level 2 four with the same partner; level 3 six, at two tables, where he likes different
    things. There are so many `tasks` in train and in test, three tenths of that in dev; half of test is put in words
    that the others never are, which `task.data["group"]` tells. An attempt scores the share of orders that were served.
    """

    def __init__(self, convention: int = 0, level: int = 1, tasks: int = 200, seat: Seat = "chef") -> None:
        counts = sizes(convention, level, tasks, LEVELS, MOST_TASKS)
        if seat not in get_args(Seat):
            raise UnknownName("seat", str(seat), get_args(Seat))
        self._convention, self._level, self._seat, self._habits = convention, level, seat, Habits.of(convention)
        card = built_in(
            "duo", counts, ability="communication", instruction=INSTRUCTIONS[seat],
            description=f"Two cooks serve orders together; partner {convention}, level {level}",
        )  # fmt: skip
        super().__init__(
            card, f"Duo(convention={convention}, level={level}, tasks={tasks}, seat={seat!r})",
            lambda: {split: list(self._drawn(split, count)) for split, count in counts.items()},
        )  # fmt: skip

    async def open(self, task: Task, seed: int = 0, feedback: FeedbackLevel = "weak") -> DuoEpisode:
        return DuoEpisode(self._game(self._opened(task, feedback)), feedback, self._moves(task))

    async def verify(self, task: Task, attempt: Attempt) -> Feedback:
        game = self._game(self._asked(task))
        for text in texts(attempt):
            if game.is_over:
                break
            game.act(text)
        return Feedback(
            score=game.score, verdict="right" if game.score == 1 else "wrong", source="environment",
            evidence={"served": game.served},
        )  # fmt: skip

    def gold(self, task: Task) -> Sequence[Message]:
        return [{"role": "assistant", "content": move} for move in self._moves(task)]

    def _moves(self, task: Task) -> list[str]:
        return gold(self._asked(task).orders, self._habits, self._seat)

    def _game(self, asked: Request) -> Game:
        return Game(asked.orders, self._habits, self._seat, asked.wording)

    def _drawn(self, split: str, count: int) -> Iterator[Request]:
        place, taken = f"duo/{self._convention}/{self._level}/{split}", set[tuple[str, ...]]()
        dice, words = Dice(place), Dice(f"{place}/words")
        tables = TABLES if self._level == 3 else TABLES[:1]
        for n in range(count):
            while (first := _order(dice, split, tables)).asked in taken:
                pass
            taken.add(first.asked)
            rest = [_order(dice, split, tables) for _ in range(ORDERS[self._level] - 1)]
            orders, is_new = (first, *rest), split == "test" and n % 2 == 1
            wording = words.one(NEW) if is_new else SEEN
            task = Task(
                id=f"duo-{self._convention}-{self._seat}-{self._level}-{split}-{n:03}",
                prompt=Game(orders, self._habits, self._seat, wording).seen,
                data={"group": "new wording" if is_new else "seen wording"}, provenance="kitchen for two",
            )  # fmt: skip
            yield Request(task, orders, wording)


def _order(dice: Dice, split: str, tables: Sequence[str]) -> Order:
    """Draw an order that this split may have."""
    while True:
        dishes = tuple(dice.shuffled(DISHES)[:4])
        order = Order(dishes, dice.one(dishes), dice.one(tables))
        if hashlib.sha256(" ".join(order.asked).encode()).digest()[0] % 5 in SHARES[split]:
            return order
