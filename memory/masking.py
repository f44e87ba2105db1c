"""Secrets are masked before anything is written: what is never stored cannot leak.

Covered: vendors' keys and tokens, JSON web tokens, private keys (whole, or cut off at either end), passwords in URLs,
authorization headers, and values that stand beside a name such as `password`, `api_key` or `token`; the patterns are in
memory/secret_shapes.py. Payment cards are masked where they are written in groups or named as cards, have an issuer's
prefix and pass the Luhn check: a bare number of 16 digits is more often an order than a card. Not covered: a secret
with neither a known shape nor a name beside it, names in other languages than those listed, secrets that are encoded
or split.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from agentevo.memory.secret_shapes import GROUPED_CARD, KEY_TAIL, REST, RULES, Rule
from agentevo.memory.secret_values import compiled, is_card

MAX_PASSES = 8
"""A secret glued to another is seen once the other is masked; two passes do, all but always."""
SHORTEST = 7
"""No text of fewer characters holds both a secret and what gives it away."""


class _Span(NamedTuple):
    start: int
    rule: int
    end: int
    kind: str


def masked(text: str) -> str:
    """Return the text with each secret replaced by a marker that names its kind; doing it twice changes nothing."""
    for _ in range(MAX_PASSES if len(text) >= SHORTEST else 0):
        spans = sorted(_spans(text))
        if not spans:
            break
        text = _without(text, spans)
    return text


def _without(text: str, spans: list[_Span]) -> str:
    """Return the text with a marker in place of each span; where spans overlap, the first gives the kind."""
    pieces: list[str] = []
    done = 0
    for span in spans:
        if span.start >= done:
            pieces += [text[done : span.start], f"[secret: {span.kind}]"]
        done = max(done, span.end)
    return "".join([*pieces, text[done:]])


def _spans(text: str) -> Iterator[_Span]:
    """Yield where secrets stand, by every rule that sees one."""
    lower = _lower(text)
    for hint, rules in _hints(lower):
        for index, rule in rules:
            yield from _found(rule, index, hint, text, lower)
    for match in compiled(GROUPED_CARD).finditer(text):
        if is_card(match[0]):
            yield _Span(match.start(), len(RULES), match.end(), "payment card")
    if "-----end" in lower:
        yield from _cut_off_keys(text)


def _hints(lower: str) -> Iterator[tuple[str, list[tuple[int, Rule]]]]:
    """Yield the hints that stand in a text, with their rules; most are looked for in its long words alone."""
    long = " ".join(compiled(_LONG).findall(lower))
    yield from (hint for hint in _SHORT_HINTS if hint[0] in lower)
    if long:
        yield from (hint for hint in _LONG_HINTS if hint[0] in lower)
        yield from (hint for hint in _GLUED_HINTS if hint[0] in long)


def _found(rule: Rule, index: int, hint: str, text: str, lower: str) -> Iterator[_Span]:
    """Yield what a rule finds at one of its hints; never look twice at what it has matched, or time grows squared."""
    pattern = compiled(rule.pattern)
    group: int | str = "s" if "s" in pattern.groupindex else 0
    at = lower.find(hint)
    while at >= 0:
        seen = at + 1
        if match := pattern.match(text, max(at - rule.back, 0)):
            is_secret = rule.is_secret(match[group])
            seen = max(seen, match.end() if is_secret or not group else match.start(group))
            if is_secret:
                end = _end_of_word(text, match.end(group)) if group and len(match[group]) > 99 else match.end(group)
                seen = max(seen, end)
                yield _Span(match.start(group), index, end, rule.kind)
        at = lower.find(hint, seen)


def _end_of_word(text: str, at: int) -> int:
    """Return where a long secret ends of which a pattern read no more than so far."""
    rest = compiled(REST).match(text, at)
    return rest.end() if rest else at


def _lower(text: str) -> str:
    """Return the text in lower case, each character where it was."""
    lower = text.lower()
    return lower if len(lower) == len(text) else "".join(c.lower() if len(c.lower()) == 1 else c for c in text)


def _cut_off_keys(text: str) -> Iterator[_Span]:
    """Yield the private keys whose beginning was cut off: what stands before an end marker and looks like a key."""
    done = 0
    for tail in compiled(KEY_TAIL).finditer(text):
        before = text[done : tail.start()]
        body = compiled(r"[A-Za-z0-9+/]{40}").search(before, len(before.rstrip(_BASE64)))
        yield _Span(done + body.start() if body else tail.start(), 0, tail.end(), "private key")
        done = tail.end()


_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\\\r\n\t "
_LONG = r"(?<![a-z0-9_+/=.~%-])[a-z0-9_+/=.~%-]{12,}"


def _by_hint(rules: Iterable[tuple[int, Rule]]) -> list[tuple[str, list[tuple[int, Rule]]]]:
    found: dict[str, list[tuple[int, Rule]]] = {}
    for index, rule in rules:
        for hint in rule.hints:
            found.setdefault(hint, []).append((index, rule))
    return list(found.items())


_SHORT_HINTS = _by_hint((index, rule) for index, rule in enumerate(RULES) if not rule.is_long)
_LONG_HINTS = _by_hint((index, rule) for index, rule in enumerate(RULES) if rule.is_long and not rule.is_glued)
_GLUED_HINTS = _by_hint((index, rule) for index, rule in enumerate(RULES) if rule.is_glued)
