"""What is remembered, how it is found, and how it changes."""

from __future__ import annotations

from typing import Literal, Self, TypeAlias

from pydantic import Field, model_validator

from agentevo.types.record import Json, Record, Score

Kind: TypeAlias = Literal["fact", "experience", "lesson", "note", "code", "prompt", "adapter"]
Status: TypeAlias = Literal["live", "quarantined", "forgotten"]
RECALLED_KINDS: tuple[Kind, ...] = ("fact", "experience", "lesson", "code")
"""What recall covers unless it is asked for something else."""


class Item(Record):
    """One thing in memory, with where it came from, how much it is trusted, and how it has served."""

    id: str
    namespace: str = "default"
    kind: Kind = "fact"
    text: str
    key_text: str | None = None
    """What recall matches against, where that is not the text itself."""
    metadata: dict[str, Json] = Field(default_factory=dict)
    source: str = "user"
    trust: Score = 1.0
    status: Status = "live"
    pinned: bool = False
    created_at: float
    expires_at: float | None = None
    strength: float = 1.0
    last_used_at: float | None = None
    uses: int = 0
    importance: Score = 0.5
    wins: float = 0.0
    losses: float = 0.0
    links: tuple[str, ...] = ()
    supersedes: str | None = None
    derived_from: tuple[str, ...] = ()

    @property
    def utility(self) -> float:
        """The expected share of uses that helped: the mean of a Beta posterior with a flat prior."""
        return (self.wins + 1) / (self.wins + self.losses + 2)


class Hit(Record):
    """An item that recall found, its score, and the parts the score is made of."""

    item: Item
    score: float
    parts: dict[str, float] = Field(default_factory=dict)


Verb: TypeAlias = Literal[
    "insert", "edit", "forget", "restore", "pin", "unpin", "quarantine", "release", "reinforce", "link", "supersede"
]


class Op(Record):
    """A change to memory, as data. `key` makes a repeated change replace the first; `reason` is journaled."""

    verb: Verb
    id: str
    item: Item | None = None
    """The new item of an insert, or the item that supersedes `id`."""
    changes: dict[str, Json] = Field(default_factory=dict)
    """Fields that an edit sets, or counts that a reinforcement adds."""
    to: tuple[str, ...] = ()
    """The items that a link leads to; of what is forgotten because it is untrue, what holds instead."""
    key: str | None = None
    reason: str = ""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.item is not None) != (self.verb in ("insert", "supersede")):
            raise ValueError("insert and supersede carry an item, the other verbs do not")
        if self.verb == "insert" and self.item is not None and self.item.id != self.id:
            raise ValueError(f"insert of {self.id!r} carries the item {self.item.id!r}")
        if self.verb != "forget" and (self.verb == "link") != bool(self.to):
            raise ValueError("a link says what it leads to, a forget may say what holds instead, no other verb does")
        return self


class Transaction(Record):
    """A committed group of changes: who made it, why, and what was skipped because it had changed meanwhile."""

    id: str
    namespace: str
    actor: str
    reason: str = ""
    key: str | None = None
    at: float
    items: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
