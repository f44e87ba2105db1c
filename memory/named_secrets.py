"""Secrets in JSON: in metadata and in the arguments of tools, a name speaks for the value beside it.

Covered: values of one name, lists and objects under it, objects that name it beside the value (`{"name": "password",
"value": ...}`), command lines as lists, and JSON in a text. A name such as `password` or `api_key` is believed; one
that means more, such as `token` or `pass`, only where the value looks like a secret. Not covered: numbers under four
digits, pass phrases with words that talk is made of, names in other languages than those listed; and where a value is
nested deeper than Python's stack, all that a name says of anything but the text right beside it.
"""

from __future__ import annotations

import functools
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from agentevo.errors import Misuse
from agentevo.memory.masking import masked
from agentevo.memory.secret_values import is_drawn, is_key, is_phrase, is_strong

_MOST_BITS = 13_000
"""So long may a whole number be: Python reads and writes none of more than 4,300 digits."""
_LABEL = 40
"""Longer texts are no names."""


class _Name(NamedTuple):
    """What a name says of the value beside it: which kind of secret it is, and whether it can be anything else."""

    kind: str
    is_sure: bool


def masked_within(value: Any) -> Any:
    """Mask every text inside a JSON value; a name such as `password` speaks for the value beside it."""
    try:
        return _masked(value, None)
    except RecursionError:
        return _masked_in_turn(value)


def masked_value(name: str, value: Any) -> Any:
    """Mask a JSON value as it is masked beside a name."""
    return _beside(name, value, None, "")


def _masked(value: Any, name: _Name | None) -> Any:
    """Mask a value that stands under a name that speaks for it, or under none."""
    if isinstance(value, str):
        return f"[secret: {name.kind}]" if name and _is_secret(value, name) else masked(value)
    if isinstance(value, Mapping):
        label = _label(value)
        told = {masked_within(key): _beside(key, inner, name, label) for key, inner in value.items()}
        return told if len(told) == len(value) else _numbered(value, name, label)
    if isinstance(value, (list, tuple)):
        return _each(value, name)
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        raise Misuse("metadata holds a number of more than 4,000 digits; keep it as a text")
    is_number = type(value) is int and abs(value) > 999
    return "[secret: password]" if is_number and name == _Name("password", True) else value


def _masked_in_turn(value: Any) -> Any:
    """Mask the texts of a value that is nested too deeply to go into it, one after the other."""
    whole: dict[Any, Any] = {"": value}
    waiting: list[Any] = [whole]
    copies: dict[int, tuple[Any, Any]] = {}
    """Each part that has parts, and its copy: what holds itself is copied once."""
    while waiting:
        part = waiting.pop()
        for key, inner in [*part.items()] if isinstance(part, dict) else [*enumerate(part)]:
            told = str(key) if isinstance(part, dict) else ""
            if isinstance(inner, str):
                part[key] = _text(told, inner, _named(told))
            elif isinstance(inner, (Mapping, list, tuple)):
                if id(inner) not in copies:
                    copy = {masked_within(k): v for k, v in inner.items()} if isinstance(inner, Mapping) else [*inner]
                    copies[id(inner)] = inner, copy
                    waiting.append(copy)
                part[key] = copies[id(inner)][1]
    return whole[""]


def _numbered(value: Mapping[str, Any], name: _Name | None, label: str) -> dict[str, Any]:
    """Mask a mapping several of whose names are alike once they are masked: those after the first get a number."""
    told: dict[str, Any] = {}
    for key, inner in value.items():
        masked_key = masked_within(key)
        names = itertools.chain([masked_key], (f"{masked_key} {n}" for n in itertools.count(2)))
        told[next(one for one in names if one not in told)] = _beside(key, inner, name, label)
    return told


def _beside(key: Any, value: Any, outer: _Name | None, label: str) -> Any:
    """Mask the value that stands beside a key, in an object that has a label or stands under a name."""
    told = label if label and key in _VALUES else str(key)
    name = _named(told)
    if outer and not name and not _is_about(told):
        name = outer if told in _VALUES else _weak(outer)
    if isinstance(value, str):
        return _text(told, value, name)
    return _each(value, name, told) if isinstance(value, (list, tuple)) else _masked(value, name)


def _text(told: str, value: str, name: _Name | None) -> str:
    """Mask a text beside a name: by what the name says, as JSON, and as the two would stand in a text."""
    if name and _is_secret(value, name):
        return f"[secret: {name.kind}]"
    value = _json(value)
    found = masked(f"{told}={value}") if told else ""
    return found.removeprefix(f"{told}=") if found.startswith(f"{told}=") else masked(value)


def _json(text: str) -> str:
    """Return a text, masked as JSON where it is that and has something to mask."""
    if text[:1] + text[-1:] not in ("{}", "[]"):
        return text
    try:
        value = json.loads(text)
        found = masked_within(value)
    except (ValueError, RecursionError, Misuse):
        return text
    return text if found == value else json.dumps(found, ensure_ascii=False)


def _each(values: Sequence[Any], name: _Name | None, told: str = "") -> list[Any]:
    """Mask the elements of a list, of a command line, or of a pair of a name and a value."""
    if all(isinstance(one, str) for one in values):
        if any(one.startswith("-") for one in values):
            return _command(values)
        if len(values) == 2 and not name and (first := _label({"name": values[0]})):
            told, name = first * (first.lower() in _HEADERS), _weak(_named(first))
            return [masked(first), _text(told, values[1], name)]
    return [_text(told, one, name) if isinstance(one, str) else _masked(one, name) for one in values]


def _command(words: Sequence[str]) -> list[str]:
    """Mask the words of a command line: as they read in a row, and those that an option such as `--password` names."""
    row = masked("\t".join(words)).split("\t")
    found = row if len(row) == len(words) else words
    return [_text("", one, _option(last, one)) for last, one in zip(["", *words], found, strict=False)]


def _option(last: str, word: str) -> _Name | None:
    """Return what an option says of the word after it, which is no option."""
    name = _named(last) if last.startswith("-") and not word.startswith("-") else None
    return name._replace(is_sure=True) if name else None


# --- what names say


def _is_secret(value: str, name: _Name) -> bool:
    if "[secret: " in value:
        return False
    if name.kind == "password":
        return is_phrase(value) if name.is_sure else is_strong(value) and not re.search(r"[\s_/]", value)
    return is_key(value) if name.is_sure else is_drawn(value)


def _label(value: Mapping[str, Any]) -> str:
    """Return what an object says that the value in it is, where that speaks for a secret."""
    told = (value.get(key) for key in _LABELS)
    return next((one for one in told if isinstance(one, str) and (one.lower() in _HEADERS or _named(one))), "")


def _weak(name: _Name | None) -> _Name | None:
    return name._replace(is_sure=False) if name else None


@functools.lru_cache(maxsize=1 << 12)
def _named(name: str) -> _Name | None:
    """Return what a name says of the value beside it; nothing where it speaks of the length of a password, say."""
    told = " ".join(_words(name)) if len(name) <= _LABEL else ""
    for kind, is_sure, pattern in _NAMES:
        if (match := pattern.search(told)) and _ABOUT.isdisjoint(told[match.end() :].split()):
            return _Name(kind, is_sure)
    return None


@functools.lru_cache(maxsize=1 << 12)
def _is_about(name: str) -> bool:
    """Say whether a name is of something that stands with a secret and is none: a user, a date, a type."""
    return not _ABOUT.isdisjoint(_words(name))


def _words(name: str) -> list[str]:
    """Return the words of a name, be it written as `clientSecret`, `client_secret` or `Client-Secret`."""
    return _WORD.findall(_CAMEL.sub(" ", name).lower())


_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_WORD = re.compile(r"[^\W\d_]+")
_NAMES = tuple(
    (kind, is_sure, re.compile(pattern))
    for kind, is_sure, pattern in (
        (
            "password",
            True,
            r"(?:pass ?(?:word|phrase|code)|passwd|passwort|kennwort)s?(?!\w)|(?<!\w)(?:pwd|pw|mdp|mot de passe|senha"
            r"|contrase[nñ]a|wachtwoord|hasło|пароль)(?!\w)|密[码碼]|パスワード",
        ),
        (
            "token",
            True,
            r"(?<!\w)(?:(?:api|secret|private|access|auth|encryption|signing|master|admin|deploy) ?keys?"
            r"|(?:api|access|auth|oauth|bot|refresh|bearer|client|consumer|app|webhook|session|signing|shared|jwt)"
            r" ?(?:token|secret)s?)(?!\w)",
        ),
        ("password", False, r"(?<!\w)pass(?!\w)"),
        (
            "token",
            False,
            r"(?<!\w)(?:secret|token|cred|credential|auth)s?(?!\w)"
            r"|(?<!\w)(?:account|service|license|subscription|app|client|session) keys?(?!\w)",
        ),
    )
)
_LABELS = ("name", "key", "field", "header", "label", "selector", "element", "type", "variable")
_VALUES = frozenset({"value", "val", "text", "data", "content", "current", "new", "old", "default", "raw", "plaintext"})
_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})
_ASIDE = """
    hint policy length len min max rule rules required reset changed change expires expired expiry expiration
    expire age count type url uri path file filename stdin name id ids label status state strength date time at
    on updated created method placeholder regex pattern manager title description visible algorithm format
    version ttl lifetime size limit limits usage used budget cost index question attempts retries enabled valid
    exists set meter user username login email mail account host hostname server domain realm issuer scope
    scopes region provider endpoint port env note role owner database project team
"""
_ABOUT = frozenset(_ASIDE.split())
