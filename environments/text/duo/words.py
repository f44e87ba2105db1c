"""How an order is put to the one whose turn it is: one way that all splits have, and two that only test has."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wording:
    """What both are told of an order, then what the chef hears, or what the mate knows."""

    order: str
    heard: str
    known: str


SEEN = Wording(
    order="Order {number} of {count}, {table} table: {dishes}.",
    heard="The mate says: {word}.",
    known="You cannot make {barred}. The chef knows the words {words}.",
)
NEW = (
    Wording(
        order="They sit at the {table} and wish for {dishes} (this is order {number}, there are {count}).",
        heard="One word comes from the mate, {word}.",
        known="There is no way for you to make {barred}. Words that the chef has heard of are {words}.",
    ),
    Wording(
        order="By the {table} they want {dishes} next, as number {number} in a row of {count}.",
        heard="You hear {word} from the mate.",
        known="Today {barred} is beyond you. What the chef may hear from you is one of {words}.",
    ),
)
