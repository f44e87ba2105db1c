"""The database of a shop: made from a seed, compared as a whole, in memory, one for each episode."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

from agentevo.environments.tool.house.convention import Dice
from agentevo.environments.tool.shop.convention import KINDS, REGIONS

Row = tuple[str | int | None, ...]
Snapshot = Mapping[str, Sequence[Row]]

TABLES = ("customers", "products", "orders", "tickets", "approvals", "notes")
SCHEMA = """
CREATE TABLE customers (id TEXT PRIMARY KEY, name TEXT UNIQUE, region TEXT, tier TEXT);
CREATE TABLE products (sku TEXT PRIMARY KEY, name TEXT UNIQUE, kind TEXT, price INTEGER, stock INTEGER, shelf TEXT);
CREATE TABLE orders (id TEXT PRIMARY KEY, customer TEXT REFERENCES customers, sku TEXT REFERENCES products,
  count INTEGER, total INTEGER, status TEXT, carrier TEXT, code TEXT, refunded INTEGER DEFAULT 0);
CREATE TABLE tickets (id TEXT PRIMARY KEY, customer TEXT REFERENCES customers, opened_for TEXT, status TEXT, code TEXT);
CREATE TABLE approvals (order_id TEXT PRIMARY KEY REFERENCES orders, amount INTEGER);
CREATE TABLE notes (customer TEXT REFERENCES customers, text TEXT, UNIQUE (customer, text));
"""
NAMES = (
    "Anna", "Tom", "Maria", "Peter", "Lucy", "David", "Emma", "Paul", "Sarah", "James", "Julia", "Mark", "Laura",
    "Kevin", "Alice", "Robert", "Helen", "Simon", "Nina", "Oscar", "Diana", "Victor", "Rosa", "Frank", "Clara",
)  # fmt: skip
SURNAMES = (
    "Abbott", "Baker", "Carter", "Dawson", "Ellis", "Fisher", "Graham", "Harper", "Irwin", "Jensen", "Keller", "Lawson",
    "Marsh", "Norton", "Owens", "Parker", "Quinn", "Reeves", "Sutton", "Turner", "Underhill", "Vance", "Walsh", "York",
    "Archer", "Barton", "Cooper", "Drake", "Elwood", "Fletcher", "Gibson", "Hudson", "Ingram", "Jarvis", "Knight",
    "Lambert", "Mercer", "Newman", "Osborne", "Porter",
)  # fmt: skip
GOODS: Mapping[str, Sequence[str]] = {
    "tools": ("hammer", "saw", "drill", "pliers"),
    "toys": ("kite", "puzzle", "robot", "doll"),
    "books": ("atlas", "novel", "diary", "cookbook"),
    "garden": ("rake", "hose", "spade", "lantern"),
    "kitchen": ("kettle", "wok", "grater", "teapot"),
}


def made(seed: str) -> sqlite3.Connection:
    """Make the database of a seed: five customers, a product of each kind, an order and a ticket for each customer."""
    dice = Dice(f"database/{seed}")
    held = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    held.executescript(SCHEMA)
    surnames, regions = dice.shuffled(SURNAMES), dice.shuffled(REGIONS)
    names = [f"{first} {last}" for first, last in zip(dice.shuffled(NAMES), surnames, strict=False)][: len(regions)]
    ids = dice.shuffled(range(100, 1000))
    for n, (name, region, kind) in enumerate(zip(names, regions, dice.shuffled(KINDS), strict=True)):
        price, count = dice.one((12, 15, 18, 25, 30)), dice.one((1, 2, 3, 4))
        customer, sku, order, ticket = (f"{mark}{ids[4 * n + place]}" for place, mark in enumerate("CPOT"))
        tier = dice.one(("bronze", "silver"))
        held.execute("INSERT INTO customers VALUES (?, ?, ?, ?)", (customer, name, region, tier))
        product = (sku, dice.one(GOODS[kind]), kind, price, dice.one(range(3, 20)), None)
        held.execute("INSERT INTO products VALUES (?, ?, ?, ?, ?, ?)", product)
        placed = (order, customer, sku, count, count * price, "open", None, None, 0)
        held.execute("INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", placed)
        held.execute("INSERT INTO tickets VALUES (?, ?, ?, ?, ?)", (ticket, customer, order, "open", None))
    return held


def snapshot(held: sqlite3.Connection) -> Snapshot:
    """Return all that is in a database, in an order of its own."""
    return {table: sorted(held.execute(f"SELECT * FROM {table}"), key=repr) for table in TABLES}


def differences(expected: Snapshot, found: Snapshot) -> int:
    """Count the rows that are in one of two and not in the other."""
    return sum(len(set(expected[table]) ^ set(found[table])) for table in TABLES)
