"""The card of exported data: what it is, where it came from, what was left out and why."""

from __future__ import annotations

import json
from typing import Literal, TypeAlias

from pydantic import Field

from agentevo.types import Json, Record

What: TypeAlias = Literal["sft", "pairs"]

TITLES: dict[What, str] = {"sft": "Answers to learn", "pairs": "Preferences"}
"""What the card for people begins with."""


class DataCard(Record):
    """What stands beside exported data, as card.json and, for people, as card.md."""

    what: What
    rows: int
    experiences: int
    """How many passed the filter and were looked at."""
    attempts: int
    dropped: dict[str, int] = Field(default_factory=dict)
    """How many were left out, by reason: attempts, or of pairs also pairs and tasks."""
    masked: int = 0
    """In how many rows secrets were masked."""
    mended: int = 0
    """How many rows held halves of characters, which no file takes."""
    corrections: int = 0
    """How many rows teach what a person said would have been right."""
    synthetic: int = 0
    """How many rows only models vouch for."""
    abilities: dict[str, int] = Field(default_factory=dict)
    mean: float | None = None
    """The mean score, or of pairs the mean margin, of the rows that have one."""
    against: dict[str, int] = Field(default_factory=dict)
    """The suites that must not be learned from, and how many prompts each holds."""
    rules: dict[str, Json] = Field(default_factory=dict)
    memory: str | None = None
    """The id of the memory; None where experiences came from elsewhere."""
    sha256: str = ""
    """Of the rows as JSON lines."""
    versions: dict[str, str] = Field(default_factory=dict)
    made_at: float = 0.0

    @property
    def left_out(self) -> str:
        """Say how many were left out, and why, the most frequent reason first."""
        ordered = sorted(self.dropped.items(), key=lambda kept: (-kept[1], kept[0]))
        return ", ".join(f"{count} {reason}" for reason, count in ordered) or "none"

    def as_markdown(self) -> str:
        """Return the card for people."""
        counts = {
            "rows": self.rows, "experiences": self.experiences, "attempts": self.attempts,
            "corrections by people": self.corrections, "synthetic": self.synthetic,
            "with masked secrets": self.masked, "mended": self.mended,
        }  # fmt: skip
        sections = [
            f"# {TITLES[self.what]}",
            _table("count", {name: str(count) for name, count in counts.items()}),
            _table("left out because", {reason: str(count) for reason, count in sorted(self.dropped.items())}),
            _table("ability", {name: str(count) for name, count in self.abilities.items()}),
            _table("not learned from", {name: f"{count} prompts" for name, count in self.against.items()}),
            _table("rule", {name: json.dumps(value, ensure_ascii=False) for name, value in self.rules.items()}),
            _table("made of", self._origin()),
        ]
        return "\n\n".join(section for section in sections if section) + "\n"

    def _origin(self) -> dict[str, str]:
        mean = {} if self.mean is None else {f"mean {'score' if self.what == 'sft' else 'margin'}": f"{self.mean:.3f}"}
        memory = {} if self.memory is None else {"memory": self.memory}
        return {**memory, **mean, "sha256": self.sha256, **self.versions}


def _table(title: str, rows: dict[str, str]) -> str:
    if not rows:
        return ""
    lines = [f"| {_cell(name)} | {_cell(value)} |" for name, value in rows.items()]
    return "\n".join([f"| {title} | |", "|---|---|", *lines])


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
