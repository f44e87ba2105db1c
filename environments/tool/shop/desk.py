"""What can be done in a shop: eighteen calls. What is against its convention is refused, and not explained."""

from __future__ import annotations

import sqlite3
from typing import Annotated, Literal

from pydantic import Field

from agentevo.environments.tool.served import BadCall
from agentevo.environments.tool.shop.convention import Convention

Count = Annotated[int, Field(ge=1, le=1000)]
Found = list[dict[str, str | int | None]]


class Desk:
    """One shop at work. Each public method is a tool."""

    def __init__(self, held: sqlite3.Connection, convention: Convention) -> None:
        self._held, self._convention = held, convention

    # --- looking

    async def find_customer(self, name: str) -> Found:
        """Find a customer by name."""
        return self._rows("SELECT * FROM customers WHERE name = ?", name)

    async def list_customers(self, region: str = "") -> Found:
        """List the customers, of one region or of all."""
        return self._rows("SELECT * FROM customers WHERE ? IN ('', region) ORDER BY id", region)

    async def find_product(self, name: str) -> Found:
        """Find a product by name."""
        return self._rows("SELECT * FROM products WHERE name = ?", name)

    async def list_products(self) -> Found:
        """List all products."""
        return self._rows("SELECT * FROM products ORDER BY sku")

    async def list_orders(self, customer: str) -> Found:
        """List the orders of a customer, by its id."""
        return self._rows("SELECT * FROM orders WHERE customer = ? ORDER BY id", customer)

    async def get_order(self, order: str) -> Found:
        """Show an order."""
        return self._rows("SELECT * FROM orders WHERE id = ?", order)

    async def list_tickets(self, customer: str) -> Found:
        """List the tickets of a customer, by its id."""
        return self._rows("SELECT * FROM tickets WHERE customer = ? ORDER BY id", customer)

    async def list_codes(self) -> list[str]:
        """List the codes for reasons; what each stands for is known in the shop."""
        return sorted(self._convention.codes.values())

    async def list_carriers(self) -> list[str]:
        """List the carriers; where each goes is known in the shop."""
        return sorted(self._convention.carriers.values())

    async def list_shelves(self) -> list[str]:
        """List the shelves; what each is for is known in the shop."""
        return sorted(self._convention.shelves.values())

    # --- doing

    async def close_ticket(self, ticket: str, reason: str, code: str) -> str:
        """Close a ticket, for a reason in words, with its code."""
        self._one("tickets", "id", ticket, status="open")
        self._coded(reason, code)
        return self._set("tickets", "id", ticket, status="closed", code=code)

    async def cancel_order(self, order: str, reason: str, code: str) -> str:
        """Cancel an open order, for a reason in words, with its code."""
        self._one("orders", "id", order, status="open")
        self._coded(reason, code)
        return self._set("orders", "id", order, status="cancelled", code=code)

    async def ship_order(self, order: str, carrier: str) -> str:
        """Ship an open order with a carrier that goes to its customer's region."""
        placed = self._one("orders", "id", order, status="open")
        region = str(self._one("customers", "id", str(placed["customer"]))["region"])
        if carrier != self._convention.carriers[region]:
            raise BadCall(f"{carrier!r:.40} does not go to the {region}")
        return self._set("orders", "id", order, status="shipped", carrier=carrier)

    async def approve_refund(self, order: str, amount: Count) -> str:
        """Approve a refund that is above the shop's limit; smaller ones need none."""
        self._one("orders", "id", order)
        if amount <= self._convention.limit:
            raise BadCall(f"{amount} dollars need no approval")
        self._held.execute("INSERT OR REPLACE INTO approvals VALUES (?, ?)", (order, amount))
        return "approved"

    async def refund_order(self, order: str, amount: Count, reason: str, code: str) -> str:
        """Pay back dollars of an order, for a reason in words, with its code."""
        placed = self._one("orders", "id", order)
        self._coded(reason, code)
        if amount > int(placed["total"] or 0) - int(placed["refunded"] or 0):
            raise BadCall(f"{order} has no {amount} dollars left to pay back")
        approved = self._rows("SELECT amount FROM approvals WHERE order_id = ?", order)
        if amount > self._convention.limit and approved != [{"amount": amount}]:
            raise BadCall(f"a refund of {amount} dollars is not approved")
        return self._set("orders", "id", order, refunded=int(placed["refunded"] or 0) + amount, code=code)

    async def restock(self, sku: str, count: Count, shelf: str) -> str:
        """Put more of a product on the shelf for its kind."""
        product = self._one("products", "sku", sku)
        if shelf != self._convention.shelves[str(product["kind"])]:
            raise BadCall(f"{shelf!r:.40} is no shelf for {product['kind']}")
        return self._set("products", "sku", sku, stock=int(product["stock"] or 0) + count, shelf=shelf)

    async def set_tier(self, customer: str, tier: Literal["bronze", "silver", "gold"]) -> str:
        """Change the tier of a customer, by its id."""
        self._one("customers", "id", customer)
        return self._set("customers", "id", customer, tier=tier)

    async def add_note(self, customer: str, text: Annotated[str, Field(max_length=200)]) -> str:
        """Write a note on a customer, by its id."""
        self._one("customers", "id", customer)
        self._held.execute("INSERT OR IGNORE INTO notes VALUES (?, ?)", (customer, text))
        return "noted"

    # --- the database

    def _rows(self, query: str, *values: str) -> Found:
        cursor = self._held.execute(query, values)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def _one(self, table: str, key: str, id: str, status: str = "") -> dict[str, str | int | None]:
        found = self._rows(f"SELECT * FROM {table} WHERE {key} = ?", id)
        if not found:
            raise BadCall(f"there is no {id!r:.40} among the {table}")
        if status and found[0]["status"] != status:
            raise BadCall(f"{id} is {found[0]['status']}, not {status}")
        return found[0]

    def _set(self, table: str, key: str, id: str, **values: str | int) -> str:
        assigned = ", ".join(f"{name} = ?" for name in values)
        self._held.execute(f"UPDATE {table} SET {assigned} WHERE {key} = ?", (*values.values(), id))
        return "done"

    def _coded(self, reason: str, code: str) -> None:
        expected = self._convention.codes.get(reason)
        if expected is None:
            raise BadCall(f"{reason!r:.40} is no reason; there are: {', '.join(self._convention.codes)}")
        if code != expected:
            raise BadCall(f"{code!r:.40} is not the code for {reason!r}")
