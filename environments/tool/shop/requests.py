"""The tasks of a shop, and the calls that do each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass

from agentevo.environments.tool.house.convention import Dice
from agentevo.environments.tool.shop import database
from agentevo.environments.tool.shop.convention import REASONS, Convention
from agentevo.types import Json, Task, ToolCall

Facts = Mapping[str, str | int]
Calls = list[tuple[str, dict[str, Json]]]


@dataclass(frozen=True, slots=True)
class Request:
    """A task, and what only the environment knows of it."""

    task: Task
    seed: str
    calls: tuple[ToolCall, ...]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of task: how it is asked, and what does it."""

    name: str
    prompt: str
    calls: Callable[[Facts, Convention], Calls]


def _close(f: Facts, c: Convention) -> Calls:
    return [("close_ticket", {"ticket": f["ticket"], "reason": f["reason"], "code": c.codes[str(f["reason"])]})]


def _cancel(f: Facts, c: Convention) -> Calls:
    return [("cancel_order", {"order": f["order"], "reason": f["reason"], "code": c.codes[str(f["reason"])]})]


def _ship(f: Facts, c: Convention) -> Calls:
    return [("ship_order", {"order": f["order"], "carrier": c.carriers[str(f["region"])]})]


def _restock(f: Facts, c: Convention) -> Calls:
    return [("restock", {"sku": f["sku"], "count": f["more"], "shelf": c.shelves[str(f["kind"])]})]


def _refund(f: Facts, c: Convention) -> Calls:
    paid: dict[str, Json] = {"order": f["order"], "amount": f["total"]}
    approved: Calls = [("approve_refund", dict(paid))] if int(f["total"]) > c.limit else []
    return [*approved, ("refund_order", {**paid, "reason": f["reason"], "code": c.codes[str(f["reason"])]})]


def _note(f: Facts, c: Convention) -> Calls:
    return [("add_note", {"customer": f["customer"], "text": f["reason"]})]


def _tier(f: Facts, c: Convention) -> Calls:
    return [("set_tier", {"customer": f["customer"], "tier": "gold"})]


def _found(f: Facts, c: Convention) -> Calls:
    return [("find_customer", {"name": f["name"]})]


def _orders(f: Facts, c: Convention) -> Calls:
    return [("list_orders", {"customer": f["customer"]})]


def _tickets(f: Facts, c: Convention) -> Calls:
    return [("list_tickets", {"customer": f["customer"]})]


def _product(f: Facts, c: Convention) -> Calls:
    return [("find_product", {"name": f["product"]})]


def _all(*parts: Callable[[Facts, Convention], Calls]) -> Callable[[Facts, Convention], Calls]:
    return lambda facts, convention: [call for part in parts for call in part(facts, convention)]


KINDS: Mapping[int, tuple[Kind, ...]] = {
    1: (
        Kind("close", "Close the ticket {ticket}, the reason is: {reason}.", _close),
        Kind("cancel", "Cancel the order {order}, the reason is: {reason}.", _cancel),
        Kind("ship", "Ship the order {order}; it goes to the {region}.", _ship),
        Kind("restock", "Put {more} more of {sku} on the shelf for {kind}.", _restock),
    ),
    2: (
        Kind("refund", "Pay back all {total} dollars of the order {order}, the reason is: {reason}.", _refund),
        Kind(
            "refund and close",
            "The order {order} was {reason}: pay back all {total} dollars, and close the ticket {ticket} for that.",
            _all(_refund, _close),
        ),
        Kind("ship and thank", "Ship the order {order} to the {region}, and make {customer} gold.", _all(_ship, _tier)),
        Kind(
            "cancel and note",
            "Cancel the order {order} as {reason}, and note just {reason!r} on {customer}.",
            _all(_cancel, _note),
        ),
    ),
    3: (
        Kind(
            "make good",
            "{name}'s order came {reason}. Pay all of it back, and close {name}'s ticket for that reason.",
            _all(_found, _orders, _refund, _tickets, _close),
        ),
        Kind("ship to", "Ship the open order of {name}, who becomes gold.", _all(_found, _orders, _ship, _tier)),
        Kind("restock by name", "We need {more} more of the {product} on its shelf.", _all(_product, _restock)),
        Kind(
            "apologise",
            "Cancel the order of {name} as {reason}, close the ticket for that, and note just {reason!r} on {name}.",
            _all(_found, _orders, _cancel, _tickets, _close, _note),
        ),
    ),
}


def requests(number: int, level: int, counts: Mapping[str, int]) -> dict[str, list[Request]]:
    """Draw the tasks of all splits; nothing is asked in two of them, or twice in one."""
    asked: set[str] = set()
    return {split: list(_drawn(number, level, split, count, asked)) for split, count in counts.items()}


def _drawn(number: int, level: int, split: str, count: int, asked: set[str]) -> Iterator[Request]:
    convention, kinds, n, tried = Convention.of(number), KINDS[level], 0, 0
    while n < count:
        seed, tried = f"{number}/{level}/{split}/{tried}", tried + 1
        facts, kind = _facts(seed), kinds[n % len(kinds)]
        prompt = kind.prompt.format_map(facts)
        if prompt in asked:
            continue
        asked.add(prompt)
        calls = enumerate(kind.calls(facts, convention))
        named = tuple(ToolCall(id=f"gold_{place}", name=name, arguments=given) for place, (name, given) in calls)
        task = Task(
            id=f"shop-{number}-{level}-{split}-{n:03}", prompt=prompt, data={"group": kind.name}, provenance="shop"
        )
        yield Request(task, seed, named)
        n += 1


def _facts(seed: str) -> Facts:
    """Choose what a task is about: one customer of the seed's database, with order, ticket and product."""
    dice = Dice(f"request/{seed}")
    query = """SELECT c.id AS customer, c.name, c.region, o.id AS "order", o.total, t.id AS ticket, p.sku,
        p.name AS product, p.kind FROM customers c
        JOIN orders o ON o.customer = c.id JOIN tickets t ON t.customer = c.id JOIN products p ON p.sku = o.sku
        ORDER BY c.id"""
    with closing(database.made(seed)) as held:
        cursor = held.execute(query)
        names = [column[0] for column in cursor.description]
        row = dict(zip(names, dice.one(list(cursor)), strict=True))
    return {**row, "reason": dice.one(REASONS), "more": dice.one(range(2, 50))}
