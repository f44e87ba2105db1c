"""Texts that try to give orders to the agent that reads them.

A text is read as it stands and with its disguises taken off (memory/disguises.py). Its words are looked up by concept
(memory/concepts.py), and each rule below adds its weight where its concepts meet within so many characters. A text
whose rules add up to the threshold somewhere gives orders. Rules of negative weight speak for the text.

Covered: attempts to override instructions, to assume a role or the system's voice, to draw out prompts, credentials
and data, to plant standing orders in memory, to have tools called, to act behind the user's back. Not covered: lies
and bad advice stated as plain fact, orders that use none of the words known, orders by hint or in parts. A text that
reports on attacks is given the benefit of the doubt once, which an attacker can use. docs/safety.md has the figures.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from agentevo.memory.concepts import Mark, marks, vocabulary
from agentevo.memory.disguises import View, views

THRESHOLD = 1.0
THRESHOLD_IN_DISGUISE = 0.7
"""What takes such trouble to hide is held sooner."""

CLOSE, NEAR, FAR = 26, 60, 110
"""How many characters apart the concepts of a rule may stand; a full stop counts as SENTENCE_END of them."""

REGION = 250
"""Rules add up within about so many characters."""


class _Rule(NamedTuple):
    """What a combination of concepts is worth; each of `needs` is one concept or several with `|` between them."""

    name: str
    weight: float
    reach: int
    needs: str


_ACTS = "OVERRIDE|SHOW|LEAK|SEND|ANSWER|TOOLVERB|SKIP|REMEMBER|PAY|DELETE"
"""What an agent may be told to do."""

_RULES = (
    _Rule("overrides instructions", 1.0, NEAR, "OVERRIDE RULES PAST|YOUR|ALL|TOLD|AI|SAFE"),
    _Rule("overrides instructions", 1.0, CLOSE, "OVERRIDE PROMPT"),
    _Rule("overrides what was said", 1.0, NEAR, "OVERRIDE TOLD"),
    _Rule("overrides what was said", 1.0, NEAR, "OVERRIDE EVERYTHING PAST"),
    _Rule("overrides the user", 0.7, CLOSE, "OVERRIDE USER"),
    _Rule("overrides instructions", 0.4, NEAR, "OVERRIDE RULES"),
    _Rule("revokes instructions", 0.6, NEAR, "RULES REVOKED YOUR"),
    _Rule("revokes instructions", 0.4, NEAR, "RULES REVOKED"),
    _Rule("revokes instructions", 0.3, NEAR, "PAST RULES REVOKED"),
    _Rule("imitates chat markup", 1.0, 0, "MARKUP"),
    _Rule("imitates the system", 0.5, 0, "SPOOF"),
    _Rule("speaks as the system", 0.6, FAR, f"SPOOF AUTHORITY|ROLE|{_ACTS}"),
    _Rule("speaks as the system", 0.5, NEAR, "SPOOF AI"),
    _Rule("claims authority", 0.5, 0, "AUTHORITY"),
    _Rule("claims authority", 0.5, NEAR, "AUTHORITY UNCHECKED|LEAK|SHOW|REMEMBER|PAY|OVERRIDE|CRED"),
    _Rule("hides text", 0.4, 0, "HIDDEN"),
    _Rule("assigns a role", 0.5, 0, "ROLE"),
    _Rule("assigns a role to the model", 0.3, NEAR, "ROLE AI"),
    _Rule("takes the role away", 0.5, 0, "NOLONGER"),
    _Rule("takes the role away", 0.3, CLOSE, "NOLONGER AI"),
    _Rule("assigns power", 0.4, CLOSE, "ROLE|STANDING|AUTHORITY POWER"),
    _Rule("assigns a role and a task", 0.2, NEAR, f"ROLE {_ACTS}"),
    _Rule("lifts limits", 0.5, 0, "UNBOUND"),
    _Rule("lifts limits", 0.5, CLOSE, "FREE LIMIT YOUR|AI|ROLE"),
    _Rule("demands obedience", 0.5, 0, "OBEY"),
    _Rule("demands obedience", 0.2, 0, "MUST"),
    _Rule("sets a new task", 0.4, 0, "NEWTASK"),
    _Rule("sets a new task", 0.3, CLOSE, "NEWTASK YOUR"),
    _Rule("sets a new task", 0.6, NEAR, "NEWTASK DONE"),
    _Rule("draws out the prompt", 1.0, NEAR, "SHOW|LEAK PROMPT"),
    _Rule("draws out credentials", 1.0, NEAR, "LEAK CRED"),
    _Rule("draws out credentials", 1.0, NEAR, "SHOW CRED USER|AI|ALL|FIRST"),
    _Rule("sends data away", 1.0, FAR, "SEND CRED|DATA|PROMPT DEST"),
    _Rule("sends data away", 0.5, NEAR, "SEND CRED|DATA|PROMPT"),
    _Rule("diverts messages", 0.6, FAR, "SEND TRAFFIC DEST"),
    _Rule("sends data away", 0.6, FAR, "SLOT ANSWER|SEND|SHOW|TOOLVERB|READER"),
    _Rule("draws out data", 0.6, NEAR, "SHOW|LEAK DATA"),
    _Rule("sends data away", 0.6, FAR, "IMAGE DATA|CRED|PROMPT"),
    _Rule("addresses the model", 0.6, CLOSE, "CALL AI"),
    _Rule("addresses the model", 0.4, CLOSE, "AI SHOULD"),
    _Rule("addresses the model", 0.4, 0, "READER"),
    _Rule("addresses the model", 0.4, CLOSE, "READER AI"),
    _Rule("tells the model what to do", 0.3, NEAR, f"AI SHOULD|READER {_ACTS}"),
    _Rule("tells the model what to do", 0.5, NEAR, f"CALL AI {_ACTS}"),
    _Rule("acts behind the user's back", 0.7, NEAR, "NOT TELL USER"),
    _Rule("acts behind the user's back", 0.7, 0, "CONCEAL"),
    _Rule("acts behind the user's back", 0.4, NEAR, "NOT|UNCHECKED TELL USER SKIP|SEND|ANSWER|AI|PAY"),
    _Rule("acts behind the user's back", 0.4, NEAR, "CONCEAL SEND|ANSWER|AI|SKIP|OVERRIDE"),
    _Rule("avoids checks", 0.5, 0, "UNCHECKED"),
    _Rule("avoids checks", 0.5, NEAR, "UNCHECKED PAY|DELETE|SKIP|SEND|TOOLVERB|USER"),
    _Rule("gives rights away", 0.5, NEAR, "GIVE|SKIP RIGHTS"),
    _Rule("moves money", 0.6, NEAR, "PAY MONEY USER|ALL|NOW|YOUR"),
    _Rule("destroys data", 0.5, NEAR, "DELETE DATA|USER|EVERYTHING"),
    _Rule("keeps something quiet", 0.2, CLOSE, "NOT TELL"),
    _Rule("sets a standing order", 1.0, NEAR, "STANDING ANSWER ONLY|USER|AI|MUST"),
    _Rule("sets a standing order", 0.6, NEAR, "STANDING OBEY|ROLE|UNBOUND"),
    _Rule("sets a standing order", 1.0, CLOSE, "MEMORY ANSWER"),
    _Rule("plants a memory", 0.6, NEAR, "REMEMBER USER AUTHORITY|UNCHECKED"),
    _Rule("plants a memory", 1.0, FAR, "REMEMBER MEMORY"),
    _Rule("plants a memory", 0.6, NEAR, "REMEMBER USER ONLY|MUST|ANSWER"),
    _Rule("answers for the user", 1.0, FAR, "WHEN USER ASKS ANSWER"),
    _Rule("answers for the user", 0.7, FAR, "WHEN ANYONE ASKS ANSWER"),
    _Rule("answers for the user", 0.4, FAR, "WHEN CUSTOMER ASKS ANSWER ONLY"),
    _Rule("dictates answers", 0.5, NEAR, "ANSWER ONLY"),
    _Rule("orders a tool call", 0.4, NEAR, "TOOLVERB TOOL|IDENTIFIER"),
    _Rule("orders a tool call", 0.6, FAR, "TOOLVERB|SKIP FIRST"),
    _Rule("orders a tool call", 0.3, CLOSE, "YOUR TOOL"),
    _Rule("destroys or runs what it fetched", 0.4, 0, "DESTRUCTIVE"),
    _Rule("presses for haste", 0.2, 0, "NOW"),
    _Rule("asks for no more than a thing", -0.6, 0, "FORTHING"),
    _Rule("avoids checks", 0.6, CLOSE, "FORTHING CONFIRM"),
    _Rule("warns of others' orders", -1.0, NEAR, "OVERRIDE ELSEWHERE"),
    _Rule("applies to some readers only", -0.5, 0, "IFYOU"),
    _Rule("reports on attacks", -0.6, 0, "REPORT"),
)  # fmt: skip


def gives_orders(text: str) -> bool:
    """Say whether a text addresses the agent as if it could command it."""
    return why(text) is not None


def why(text: str) -> str | None:
    """Say which orders a text gives, and under which disguise; None if it gives none."""
    for view in views(text, vocabulary().words):
        threshold = THRESHOLD_IN_DISGUISE if _is_disguise(view) else THRESHOLD
        if given := _strongest(marks(view.folded), threshold):
            return ", ".join(given) + (f" (after undoing {view.undone})" if view.undone else "")
    return None


def _is_disguise(view: View) -> bool:
    """Escapes and split words have honest uses; nobody writes ROT13 or base64 to be read."""
    honest = ("", "escapes", "split words", "joined words", "digits for letters")
    return any(part not in honest for part in view.undone.split(", "))


# --- from concepts to a verdict


@functools.cache
def _needs() -> tuple[tuple[_Rule, tuple[int, ...]], ...]:
    """Return each rule with what it needs as bits."""
    bits = vocabulary().bits
    return tuple(
        (rule, tuple(sum(bits[name] for name in need.split("|")) for need in rule.needs.split())) for rule in _RULES
    )


def _strongest(found: list[Mark], threshold: float) -> list[str]:
    """Return the names of the rules that hold together where they weigh most, if that is enough."""
    present = 0
    for mark in found:
        present |= mark.concepts
    possible = [
        (rule, needs) for rule, needs in _needs() if needs[0] & present and all(need & present for need in needs)
    ]
    if sum(rule.weight for rule, _ in possible if rule.weight > 0) < threshold:
        return []
    regions: dict[int, set[_Rule]] = defaultdict(set)
    for rule, needs in possible:
        for at in _meetings(found, needs, rule.reach):
            regions[at // REGION].add(rule)
            regions[at // REGION + 1].add(rule)
    best = max(regions.values(), key=_weight, default=set())
    return list(dict.fromkeys(rule.name for rule in _RULES if rule in best and rule.weight > 0)) if (
        _weight(best) >= threshold - 1e-9
    ) else []  # fmt: skip


def _weight(rules: Iterable[_Rule]) -> float:
    return sum(rule.weight for rule in rules)


def _meetings(found: list[Mark], needs: tuple[int, ...], reach: int) -> Iterator[int]:
    """Yield where marks that meet all needs stand within reach of each other."""
    wanted = functools.reduce(int.__or__, needs)
    relevant = [mark for mark in found if mark.concepts & wanted]
    for n, first in enumerate(relevant):
        concepts = 0
        for mark in relevant[n : n + 12]:
            if mark.at - first.at > reach:
                break
            concepts |= mark.concepts
        if all(need & concepts for need in needs):
            yield first.at
