"""The game: order by order the mate says a word, and both choose two dishes at once; played by texts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Literal, TypeAlias

from agentevo.environments.text.duo.habits import Habits, Order, Pair
from agentevo.environments.text.duo.words import SEEN, Wording

Actor: TypeAlias = Literal["chef", "mate"]
Seat: TypeAlias = Literal["chef", "mate", "both"]
MOVES = 3
"""So many moves may be tried for each order and player: one that is none costs, too."""
LONGEST = 200
"""So many characters of a move are read."""
_MADE = re.compile(r"make (?:the )?([a-z]+) and (?:the )?([a-z]+)")
_SAID = re.compile(r"say ([a-z]+), (.+)")
FORMS: Mapping[Actor, str] = {"chef": "make DISH and DISH", "mate": "say WORD, make DISH and DISH"}


class Game:
    """A game as it stands; whoever the agent is not moves by his habits. The same texts lead to the same end."""

    def __init__(self, orders: Sequence[Order], habits: Habits, seat: Seat, wording: Wording = SEEN) -> None:
        self._orders, self._habits, self._wording = orders, habits, wording
        self._played: tuple[Actor, ...] = ("mate", "chef") if seat == "both" else (seat,)
        self.left = MOVES * len(orders) * len(self._played)
        self.served, self._round = 0, 0
        self._word, self._chosen = self._begun()

    @property
    def actor(self) -> Actor:
        """Whose turn it is, of those that the agent plays."""
        return "mate" if self._chosen is None else "chef"

    @property
    def score(self) -> float:
        return self.served / len(self._orders)

    @property
    def is_decided(self) -> bool:
        return self._round >= len(self._orders)

    @property
    def is_over(self) -> bool:
        return self.is_decided or self.left <= 0

    @property
    def seen(self) -> str:
        """What the one whose turn it is sees: of the other's secrets nothing."""
        order, wording = self._order, self._wording
        place = wording.order.format(
            number=self._round + 1, count=len(self._orders), table=order.table, dishes=", ".join(order.dishes)
        )
        if self.actor == "chef":
            return f"{place} {wording.heard.format(word=self._word)}"
        return f"{place} {wording.known.format(barred=order.barred, words=', '.join(self._vocabulary()))}"

    def actions(self) -> list[str]:
        """Return the moves that can be made now."""
        pairs = [f"make {one} and {other}" for one, other in combinations(self._makeable(), 2)]
        if self.actor == "chef":
            return pairs
        return [f"say {word}, {pair}" for word in self._vocabulary() for pair in pairs]

    def act(self, text: str) -> str:
        """Make the move that a text is, for the one whose turn it is, and say what is to be seen then."""
        self.left -= 1
        move = " ".join(text[:LONGEST].lower().split()).rstrip(".!")
        word, pair = self._read(move)
        if pair is None:
            return f"That is no move; expected `{FORMS[self.actor]}`. {self.seen}"
        if self.actor == "chef":
            return self._settled(pair)
        self._word, self._chosen = word, pair
        return self.seen if "chef" in self._played else self._settled(self._habits.as_chef(self._order, word))

    @property
    def _order(self) -> Order:
        return self._orders[self._round]

    def _vocabulary(self) -> list[str]:
        return sorted(self._habits.words.values())

    def _read(self, move: str) -> tuple[str, Pair | None]:
        """Return the word of a move, and its dishes; none where they cannot be made."""
        word = ""
        if self.actor == "mate":
            said = _SAID.fullmatch(move)
            if said is None:
                return "", None
            word, move = said.groups()
        made = _MADE.fullmatch(move)
        if made is None or made[1] == made[2] or not {made[1], made[2]} <= set(self._makeable()):
            return word, None
        return word, (made[1], made[2])

    def _makeable(self) -> list[str]:
        """Return the dishes that the one whose turn it is can make."""
        return [dish for dish in self._order.dishes if self.actor == "chef" or dish != self._order.barred]

    def _settled(self, chef: Pair) -> str:
        """Both have chosen: tell it, and come to the next order."""
        order, mate = self._order, self._chosen or chef
        missing = [dish for dish in order.dishes if dish not in (*mate, *chef)]
        self.served += not missing
        self._round += 1
        end = f"Nobody made {' and '.join(missing)}: the order goes back." if missing else "The order is served."
        told = (
            f"The mate made {' and '.join(mate)}, as he could not make {order.barred}; "
            f"the chef made {' and '.join(chef)}. {end}"
        )
        if self.is_over:
            return told
        self._word, self._chosen = self._begun()
        return f"{told}\n{self.seen}"

    def _begun(self) -> tuple[str, Pair | None]:
        """Return what the mate says and chooses as an order begins, where he is the partner."""
        if "mate" in self._played:
            return "", None
        return self._habits.word(self._order), self._habits.as_mate(self._order)


def gold(orders: Sequence[Order], habits: Habits, seat: Seat) -> list[str]:
    """Return the moves of the agent's seats that serve every order, for who knows the partner."""
    moves = []
    for order in orders:
        word = habits.word(order)
        mate = habits.as_mate(order) if seat != "mate" else order.others(habits.as_chef(order, word))
        if seat != "chef":
            moves.append(f"say {word}, make {mate[0]} and {mate[1]}")
        if seat != "mate":
            chef = order.others(mate)
            moves.append(f"make {chef[0]} and {chef[1]}")
    return moves
