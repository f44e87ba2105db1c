"""The things of a world, what is wished for them, and the ways to say it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Craft:
    """Something that is done to things of some kinds. `new` are the nouns and wordings that only the test split has.

    A name is made from an adjective, a noun and a kind; `done` is what is true of the thing then.
    """

    name: str
    kinds: tuple[str, ...]
    nouns: tuple[str, ...]
    new_nouns: tuple[str, ...]
    naming: str
    done: str
    seen: tuple[str, ...]
    new: tuple[str, ...]

    def named(self, adjective: str, noun: str, kind: str) -> str:
        return self.naming.format(adjective=adjective, noun=noun, kind=kind)


OPEN = Craft(
    "open", ("oak", "iron", "glass", "leather", "marble", "wicker"),
    ("chest", "box", "trunk", "crate", "case", "cabinet"), ("casket", "coffer", "locker", "safe"),
    "{adjective} {kind} {noun}", "open",
    ("Open the {it}.", "Unlock the {it}.", "Get the {it} open."),
    ("Someone locked the {it}, so let me look into it.", "I must see what is in the {it}."),
)  # fmt: skip
PREPARE = Craft(
    "prepare", ("turnips", "walnuts", "herrings", "plums", "barley", "mushrooms"),
    ("bowl", "basket", "sack", "jar", "tray", "bucket"), ("pot", "pan", "bag", "crock"),
    "{adjective} {noun} of {kind}", "prepared",
    ("Prepare the {it}.", "Make the {it} ready for the cook.", "Get the {it} ready."),
    ("The cook is waiting for the {it}, please see to it.", "As it is nobody can cook the {it}, so change that."),
)  # fmt: skip
CHARM = Craft(
    "charm", ("warm", "bright", "dry", "soft", "clean", "sharp"),
    ("cup", "spoon", "blanket", "mirror", "ladder", "saddle"), ("candle", "kettle", "pillow", "basin"),
    "{adjective} {noun}", "",  # the kind is what it becomes
    ("Make the {it} {kind}.", "Let the {it} become {kind}.", "I want the {it} to be {kind}."),
    ("A {kind} thing is what our {it} should be.", "It would be good if that {it} were {kind} again."),
)  # fmt: skip
CRAFTS = (OPEN, PREPARE, CHARM)

ADJECTIVES = (
    "old", "small", "big", "heavy", "plain", "round", "tall", "dusty", "strange", "narrow", "fine", "crooked",
    "new", "light", "ugly", "pretty", "square", "wide", "short", "sturdy", "shabby", "painted", "precious", "borrowed",
)  # fmt: skip
COLOURS = ("red", "blue", "green", "black", "white", "yellow")
TOOLS = ("grater", "mallet", "sieve", "knife", "brush", "press")
TREASURES = ("coin", "ring", "letter", "feather", "whistle", "button")
SURFACES = ("table", "shelf", "bench", "counter", "rack")
ROOMS = ("kitchen", "hall", "barn", "attic", "cellar", "study", "garden", "pantry", "workshop", "stable")
OPPOSITE: Mapping[str, str] = {"north": "south", "south": "north", "east": "west", "west": "east"}
DIRECTIONS = tuple(OPPOSITE)
