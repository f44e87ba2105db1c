"""The habits of a partner: what he takes first, and what his words mean; made up, so that nobody can know them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentevo.environments.tool.house.convention import CONSONANTS, ENDINGS, Dice

DISHES = ("soup", "bread", "salad", "fish", "rice", "beans", "pie", "tea", "cake", "cheese")
TABLES = ("window", "door")
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Order:
    """Four dishes for a table, one of which the mate cannot make; only he knows which."""

    dishes: tuple[str, ...]
    barred: str
    table: str = TABLES[0]

    @property
    def asked(self) -> tuple[str, ...]:
        """What makes it another order than others: not in which place a dish is named, nor for which table."""
        return (self.barred, *sorted(self.dishes))

    def others(self, pair: Pair) -> Pair:
        """Return the two dishes that a pair leaves."""
        one, other = (dish for dish in self.dishes if dish not in pair)
        return one, other


@dataclass(frozen=True, slots=True)
class Habits:
    """A partner. By table, he takes first what stands first in `likes`; `words` are how he names a dish."""

    likes: Mapping[str, Sequence[str]]
    words: Mapping[str, str]

    @classmethod
    def of(cls, number: int) -> Habits:
        """Make up the partner of a number."""
        dice = Dice(f"duo/{number}")
        letters = [letter.lower() for letter in dice.shuffled(CONSONANTS)]
        words = [first + dice.one("aeiou") + dice.one(ENDINGS).lower() + dice.one("aeiou") for first in letters]
        return cls(
            likes={table: dice.shuffled(DISHES) for table in TABLES},
            words=dict(zip(DISHES, words, strict=False)),
        )

    def word(self, order: Order) -> str:
        """Return what he says as the mate: the word for what he cannot make."""
        return self.words[order.barred]

    def as_mate(self, order: Order) -> Pair:
        """Return what he makes as the mate: what he likes best of what he can make."""
        one, other, *_ = [dish for dish in self._liked(order) if dish != order.barred]
        return one, other

    def as_chef(self, order: Order, word: str) -> Pair:
        """Return what he makes as the chef: what he hears the mate cannot, and what he likes best of the rest."""
        named = [dish for dish in order.dishes if self.words[dish] == word]
        one, other, *_ = [*named, *(dish for dish in self._liked(order) if dish not in named)]
        return one, other

    def _liked(self, order: Order) -> list[str]:
        return [dish for dish in self.likes[order.table] if dish in order.dishes]
