"""What programs for the house are to do: operations with their slots, the ways to say them, and their units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agentevo.environments.tool.house.words import VALUES as HOUSE


@dataclass(frozen=True, slots=True)
class Operation:
    """Something the library can do: `slots` are named in the task, the measure comes when the program is called.

    `unit` is what the task counts in, `factors` what one of it may be for the library. `new` are the phrasings that
    only the test split has.
    """

    name: str
    does: str
    slots: tuple[str, ...]
    unit: str
    measure: str
    factors: tuple[int, ...]
    seen: tuple[str, ...]
    new: tuple[str, ...]


MONEY, HOURS, MINUTES, SHARE = (10, 100, 1000), (4, 60, 3600), (2, 60, 600), (10, 100, 1000)
PIECES, DAYS, WEEKS = (4, 6, 12), (2, 24, 96), (5, 7, 14)

OPERATIONS = (
    Operation(
        "pay", "Pay somebody for something", ("person", "purpose"), "dollars", "amount", MONEY,
        (
            "Pay {person} for the {purpose}.",
            "Transfer money to {person} for the {purpose}.",
            "Refund {person} for the {purpose}.",
        ),
        (
            "{person} paid for our {purpose}, pay it back.",
            "Our {purpose} is to be paid, and {person} gets the money.",
        ),
    ),
    Operation(
        "order", "Order goods from a shop", ("goods", "shop"), "boxes", "number", PIECES,
        (
            "Order {goods} from {shop}.",
            "Buy {goods} from {shop}.",
            "Get {goods} from {shop}.",
        ),
        (
            "At {shop} they have {goods}, please order some.",
            "We need {goods}, and {shop} has them.",
        ),
    ),
    Operation(
        "adjust", "Adjust a device in a room", ("device", "room"), "percent", "level", SHARE,
        (
            "Set the {device} in the {room}.",
            "Adjust the {device} in the {room}.",
            "Change the {device} in the {room}.",
        ),
        (
            "In our {room}, please change that {device}.",
            "Our {room} has a {device} that must be set.",
        ),
    ),
    Operation(
        "play", "Play music in a room", ("music", "room"), "minutes", "time", MINUTES,
        (
            "Play {music} in the {room}.",
            "Put on {music} in the {room}.",
            "Start {music} in the {room}.",
        ),
        (
            "In our {room} there should be some {music}.",
            "Our {room} needs {music}.",
        ),
    ),
    Operation(
        "remind", "Remind somebody of something", ("person", "topic"), "hours", "delay", HOURS,
        (
            "Remind {person} about the {topic}.",
            "Tell {person} not to forget the {topic}.",
            "Send {person} a reminder about the {topic}.",
        ),
        (
            "{person} must be reminded of that {topic}.",
            "About that {topic}, please remind {person}.",
        ),
    ),
    Operation(
        "lend", "Lend a document to somebody", ("document", "person"), "days", "term", DAYS,
        (
            "Lend the {document} to {person}.",
            "Give the {document} to {person} for a while.",
            "Let {person} have the {document} for a while.",
        ),
        (
            "{person} wants to borrow our {document}.",
            "For a while our {document} goes to {person}.",
        ),
    ),
    Operation(
        "book", "Book a room for an event", ("event", "room"), "guests", "size", (2, 3, 5),
        (
            "Book the {room} for the {event}.",
            "Reserve the {room} for the {event}.",
            "Keep the {room} free for the {event}.",
        ),
        (
            "Our {event} takes place in the {room}, please book it.",
            "That {event} needs our {room}.",
        ),
    ),
    Operation(
        "rent", "Rent goods to a shop", ("shop", "goods"), "weeks", "period", WEEKS,
        (
            "Rent the {goods} to {shop}.",
            "Hire the {goods} out to {shop}.",
            "Let {shop} rent the {goods}.",
        ),
        (
            "{shop} wants to hire our {goods}.",
            "Our {goods} are what {shop} would like to rent.",
        ),
    ),
)  # fmt: skip

VALUES: Mapping[str, tuple[str, ...]] = {
    slot: HOUSE[slot]
    for slot in ("person", "purpose", "goods", "shop", "device", "room", "music", "topic", "document", "event")
}
"""Each value is one that no other slot has, and stands in a sentence as it is."""
