"""Secrets are masked before anything is written: what is never stored cannot leak.

Covered: vendors' keys and tokens (the table below), JSON web tokens, private keys (whole, or cut off at either end),
passwords in URLs, authorization headers, and values that stand beside a name such as `password`, `api_key` or `token`.
Payment cards are masked where they are written in groups or named as cards, have an issuer's prefix and pass the Luhn
check: a bare number of 16 digits is more often an order than a card. Not covered: a secret with neither a known shape
nor a name beside it, names in other languages than those listed, secrets that are encoded or split.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

MAX_PASSES = 8
"""A secret glued to another is seen once the other is masked; two passes do, all but always."""


class _Rule(NamedTuple):
    """A kind of secret: `pattern` is tried where a hint stands; its group `s`, or all of it, is the secret."""

    kind: str
    hints: tuple[str, ...]
    """In lower case; the pattern starts with one of them. Looking for them is much cheaper than the pattern."""
    pattern: str
    is_secret: Callable[[str], bool] = lambda _: True
    is_long: bool = True
    """Whether the secret has 12 characters or more without a gap, as all but passwords and cards have."""


class _Span(NamedTuple):
    start: int
    rule: int
    end: int
    kind: str


def masked(text: str) -> str:
    """Return the text with each secret replaced by a marker that names its kind; doing it twice changes nothing."""
    for _ in range(MAX_PASSES):
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
    for hint, rules in _HINTS if _compiled(_LONG).search(text) else _SHORT_HINTS:
        if hint in lower:
            for index, rule in rules:
                yield from _found(rule, index, hint, text, lower)
    for match in _compiled(_GROUPED_CARD).finditer(text):
        if _is_card(match[0]):
            yield _Span(match.start(), len(_RULES), match.end(), "payment card")
    if "-----end" in lower:
        yield from _cut_off_keys(text)


def _found(rule: _Rule, index: int, hint: str, text: str, lower: str) -> Iterator[_Span]:
    """Yield what a rule finds at one of its hints; never look twice at what it has matched, or time grows squared."""
    pattern = _compiled(rule.pattern)
    group: int | str = "s" if "s" in pattern.groupindex else 0
    at = lower.find(hint)
    while at >= 0:
        seen = at + 1
        if match := pattern.match(text, at):
            is_secret = rule.is_secret(match[group])
            seen = max(seen, match.end() if is_secret or not group else match.start(group))
            if is_secret:
                end = _end_of_word(text, match.end(group)) if group and len(match[group]) > 99 else match.end(group)
                seen = max(seen, end)
                yield _Span(match.start(group), index, end, rule.kind)
        at = lower.find(hint, seen)


def _end_of_word(text: str, at: int) -> int:
    """Return where a long secret ends of which a pattern read no more than so far."""
    rest = _compiled(_REST).match(text, at)
    return rest.end() if rest else at


def _lower(text: str) -> str:
    """Return the text in lower case, each character where it was."""
    lower = text.lower()
    return lower if len(lower) == len(text) else "".join(c.lower() if len(c.lower()) == 1 else c for c in text)


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _cut_off_keys(text: str) -> Iterator[_Span]:
    """Yield the private keys whose beginning was cut off: what stands before an end marker and looks like a key."""
    done = 0
    for tail in _compiled(_KEY_TAIL).finditer(text):
        before = text[done : tail.start()]
        body = _compiled(r"[A-Za-z0-9+/]{40}").search(before, len(before.rstrip(_BASE64)))
        yield _Span(done + body.start() if body else tail.start(), 0, tail.end(), "private key")
        done = tail.end()


# --- is it one?


def _is_random(value: str) -> bool:
    """Say whether a value looks drawn by lot: long, with digits, and not words joined by dashes."""
    numbers = _compiled(r"\d+").findall(value)
    if sum(map(len, numbers)) < 2 or len(set(value)) < 8 or _is_placeholder(value):
        return False
    if any(map(str.isupper, value)) and any(map(str.islower, value)):
        return True
    return len(numbers) > 1 and not value.isdigit() and _compiled(r"[^-_./]{12}").search(value) is not None


def _is_password(value: str) -> bool:
    """Say whether a value beside a password's name is one, rather than code, a type or a placeholder."""
    return len(value) >= 4 and not _is_placeholder(value)


def _is_given(value: str) -> bool:
    """Say whether a URL holds a password, be it the word itself, rather than a reference to one."""
    return _compiled(_REFERENCE).match(value) is None


def _is_credential(value: str) -> bool:
    """Say whether what follows `Authorization:` is a credential rather than a word."""
    return _is_password(value) and not _is_words(value)


def _is_strong(value: str) -> bool:
    """Say whether a word in running text is more likely a password than a word."""
    letters, digits = any(map(str.isalpha, value)), any(map(str.isdigit, value))
    return (
        len(value) >= 6 and letters and (digits or not value.isalpha()) and not _is_words(value) and _is_password(value)
    )


def _is_words(value: str) -> bool:
    return _compiled(r"(?:[^\W\d_]++['’/-])*+[^\W\d_]++").fullmatch(value) is not None


def _is_placeholder(value: str) -> bool:
    """Say whether a value only stands for one: a variable, a call, a type, stars, an ellipsis."""
    return value.lower().strip("\"'") in _EMPTY_WORDS or _compiled(_REFERENCE).match(value) is not None


_EMPTY = """
    none null nil true false yes no string str text bytes int required optional input prompt password passwd pwd
    secret token hidden redacted masked removed example changeme undefined empty default here unknown varchar
    char secretstr securestring
"""
_EMPTY_WORDS = frozenset(_EMPTY.split())
_REFERENCE = (
    r"\[secret:|\$|\{|<|%\w+%|\*{3}|x{4}|X{4}|\.{3}|…|•|"
    r"(?:os|process|env|config|settings|self|this|args|options|request|req|params|data|user|form|secrets|getpass)[.\[(]|"
    r"[A-Za-z_][\w.]*\(|your[-_ ]|my[-_](?:password|secret|token|key)|(?:str|string|bytes)\b"
)


def _is_card(value: str) -> bool:
    """Say whether a number can be a payment card's: an issuer's prefix, its length, and the Luhn check digit."""
    digits = [int(character) for character in value if character.isdigit()]
    number = "".join(map(str, digits))
    if _compiled(_CARD_NUMBER).fullmatch(number) is None:
        return False
    doubled = [2 * digit - 9 * (digit > 4) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


_CARD_NUMBER = r"4\d{15}|5[1-5]\d{14}|2[2-7]\d{14}|3[47]\d{13}|6(?:011|5\d\d|4[4-9]\d)\d{12}"
_GROUPED_CARD = r"(?<![\d-])\d{4}([ -])(?:\d{4}\1\d{4}\1\d{4}|\d{6}\1\d{5})(?![\d-])"
_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\\\r\n\t "


# --- what secrets look like


def _token(kind: str, prefix: str, rest: str, is_secret: Callable[[str], bool] = lambda _: True) -> _Rule:
    """Return the rule for a token that a fixed prefix gives away; what is glued to its end goes with it."""
    return _Rule(kind, (prefix.lower(),), rf"(?<![A-Za-z0-9]){re.escape(prefix)}{rest}[A-Za-z0-9_-]*+", is_secret)


_KEY_HEAD = r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_KEY_TAIL = r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_KEY_LINES = (  # of a key that was cut off before its end
    r"(?:(?:\s|\\n)*+(?:[A-Za-z-]{4,20}: [^\n]{1,80}|[A-Za-z0-9+/=]{16,}))*+(?:(?:\s|\\n)++[A-Za-z0-9+/]{1,15}={1,2})?"
)
_REST = r"[^\s\"'`,;<>&@()\[\]{}«»“”「」。，、]*[A-Za-z0-9+/=_-]"
_PASSWORD_HINTS = (
    "pass", "pwd", "kennwort", "contrase", "senha", "wachtwoord", "hasło", "пароль", "密码", "密碼", "パスワード",
)  # fmt: skip
_PASSWORD = (
    r"(?i:pass(?:words?|wd|wort|phrase|code)|(?<=mot de )passe|(?<=_)pass|pwd|kennwort|contrase[nñ]a|senha|wachtwoord"
    r"|hasło|пароль|密[码碼]|パスワード)(?:_?\d{1,2})?"
)
_KEYS = (
    "api", "access", "secret", "private", "auth", "account", "encryption", "signing", "master", "service", "license",
    "subscription", "token", "credential",
)  # fmt: skip
_KEY = rf"(?i:(?:{'|'.join(_KEYS[:-2])})[ _.-]?key(?:[ _.-]?id)?|secret|tokens?|credentials?|auth)(?:_\w{{0,12}})?"
_IS = r"\s{1,4}(?:is|was|ist|lautet|est|es|è|é)[:：]?\s{1,4}"
_EQUALS = r"\s{0,4}(?:=>|:=|={1,2}|[:：])\s{0,4}"
_OPEN = r"""(?:\\?["'`])?"""

_USER = r"""\s(?:-u|--user)[ =]["']?[^\s:"']{1,64}"""
_TYPED = r"""(?P<s>[^\s"'-][^\s"']{3,127})"""

_MORE = (
    ("xai key", "xai-", r"[A-Za-z0-9]{60,}"), ("perplexity key", "pplx-", r"[A-Za-z0-9]{40,}"),
    ("replicate token", "r8_", r"[A-Za-z0-9]{37}"), ("notion token", "ntn_", r"[A-Za-z0-9]{40,}"),
    ("linear key", "lin_api_", r"[A-Za-z0-9]{32,}"), ("supabase token", "sbp_", r"[0-9a-f]{40}"),
    ("grafana token", "glsa_", r"[A-Za-z0-9]{32}_[0-9a-f]{8}"), ("grafana token", "glc_", r"[A-Za-z0-9+/=]{40,}"),
    ("new relic key", "NRAK-", r"[A-Z0-9]{27}"), ("postman key", "PMAK-", r"[0-9a-f]{24}-[0-9a-f]{34}"),
    ("airtable token", "pat", r"[A-Za-z0-9]{14}\.[0-9a-f]{64}"), ("figma token", "figd_", r"[A-Za-z0-9_-]{36,}"),
    ("sentry token", "sntrys_", r"[A-Za-z0-9_+/=-]{40,}"),
)  # fmt: skip

_RULES = (
    _Rule("private key", ("-----begin",), rf"{_KEY_HEAD}(?>(?:[^-]|-(?!----))*+{_KEY_TAIL}|{_KEY_LINES})"),
    _token("private key", "AGE-SECRET-KEY-1", r"[A-Z0-9]{50,}"),
    _token("anthropic key", "sk-ant-", r"[A-Za-z0-9_-]{20,}"),
    _token("openrouter key", "sk-or-", r"[A-Za-z0-9_-]{20,}"),
    _token("openai key", "sk-", r"[A-Za-z0-9_-]{20,}", _is_random),
    _Rule("aws access key", ("akia", "asia"), r"(?<![A-Za-z0-9])A[KS]IA[A-Z0-9]{16}(?![A-Za-z0-9])"),
    _Rule(
        "aws secret key",
        ("akia", "asia"),
        r"A[KS]IA[A-Z0-9]{16}[\s,;:|/\"']{1,6}(?P<s>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])",
    ),
    _Rule(
        "aws secret key",
        ("secret",),
        rf"(?i:secret[ _-]?(?:access[ _-]?)?key){_OPEN}{_EQUALS}{_OPEN}(?P<s>[A-Za-z0-9/+]{{40}})(?![A-Za-z0-9/+=])",
    ),
    *(_token("github token", f"gh{kind}_", r"[A-Za-z0-9]{30,255}") for kind in "pousr"),
    _token("github token", "github_pat_", r"[A-Za-z0-9_]{22,255}"),
    *(
        _token("gitlab token", f"gl{kind}-", r"[A-Za-z0-9_=-]{20,}")
        for kind in ("pat", "dt", "rt", "ptt", "cbt", "soat", "ft", "imt", "agent")
    ),
    _Rule("slack token", ("xox",), r"(?<![A-Za-z0-9])xox[abceoprs]-(?=[A-Za-z-]*\d)[A-Za-z0-9-]{10,}"),
    _token("slack token", "xapp-", r"\d-[A-Za-z0-9-]{10,}"),
    _Rule(
        "slack webhook", ("hooks.slack.com/",), r"(?i:hooks\.slack\.com)/\w+/(?P<s>[A-Za-z0-9]{6,}/[A-Za-z0-9/]{10,})"
    ),
    _Rule("discord webhook", ("/api/webhooks/",), r"/api/webhooks/(?P<s>\d{10,}/[\w-]{30,})"),
    _token("google key", "AIza", r"[A-Za-z0-9_-]{35}(?![A-Za-z0-9])"),
    _token("google token", "ya29.", r"[A-Za-z0-9_-]{20,}"),
    _token("google client secret", "GOCSPX-", r"[A-Za-z0-9_-]{24,}"),
    *(_token("stripe key", f"{kind}_", r"[A-Za-z0-9]{16,}") for kind in ("sk_live", "sk_test", "rk_live", "rk_test")),
    _token("stripe key", "whsec_", r"[A-Za-z0-9]{16,}"),
    _token("npm token", "npm_", r"[A-Za-z0-9]{36}(?![A-Za-z0-9])"),
    _token("pypi token", "pypi-", r"[A-Za-z0-9_-]{40,}", _is_random),
    _token("huggingface token", "hf_", r"[A-Za-z0-9]{30,}"),
    _Rule("telegram bot token", (":aa",), r"(?<=\d{8}):(?P<s>AA[A-Za-z0-9_-]{32,34})(?![A-Za-z0-9_-])"),
    _token("twilio key", "SK", r"[0-9a-f]{32}(?![A-Za-z0-9])"),
    _token("sendgrid key", "SG.", r"[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{16,64}"),
    _Rule(
        "azure key",
        ("accountkey", "sharedaccesskey", "sig="),
        r"(?:(?i:accountkey|sharedaccesskey)\s?=\s?|(?<=[?&])sig=)(?P<s>[A-Za-z0-9+/%]{30,}={0,2})",
    ),
    _token("shopify token", "shpat_", r"[0-9a-fA-F]{32}"),
    _token("digitalocean token", "dop_v1_", r"[0-9a-f]{64}"),
    _token("databricks token", "dapi", r"[0-9a-f]{32}"),
    _token("docker token", "dckr_pat_", r"[A-Za-z0-9_-]{20,}"),
    _token("vault token", "hvs.", r"[A-Za-z0-9_-]{24,}"),
    _token("groq key", "gsk_", r"[A-Za-z0-9]{40,}"),
    _token("atlassian token", "ATATT3", r"[A-Za-z0-9_=-]{50,}"),
    *(_token(kind, prefix, rest) for kind, prefix, rest in _MORE),
    _Rule(
        "json web token",
        ("eyj",),
        r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]{8,}+(?:\.[A-Za-z0-9_-]*+){0,3}(?<!\.)",
    ),
    _Rule("password", ("://",), r"://[^\s/:@\[\]]{0,64}:(?P<s>[^\s/@]{1,4096}+)@", _is_given, False),
    _Rule("password", ("curl",), rf"curl\s[^\n|;]{{0,200}}?{_USER}:{_TYPED}", _is_given, False),
    _Rule("password", ("mysql",), rf"mysql\w{{0,9}}\s[^\n|;]{{0,100}}?(?<=\s)-p{_TYPED}", _is_strong, False),
    _Rule("password", ("login",), rf"login\s{{1,4}}\S{{1,64}}\s{{1,4}}password\s{{1,4}}{_TYPED}", _is_strong, False),
    _Rule(
        "authorization",
        ("authorization",),
        rf"(?i:authorization){_OPEN}\s{{0,3}}[:=,]\s{{0,3}}{_OPEN}(?i:bearer|basic|token|apikey|key)?\s{{0,3}}"
        r"(?P<s>[A-Za-z0-9._~+/-]{8,}+={0,2})",
        _is_credential,
        False,
    ),
    _Rule("bearer token", ("bearer",), r"(?<!\w)(?i:bearer)\s{1,3}(?P<s>[A-Za-z0-9._~+/-]{12,}+={0,2})", _is_random),
    _Rule(  # in quotes almost any word is a password
        "password",
        _PASSWORD_HINTS,
        rf"""{_PASSWORD}{_OPEN}{_EQUALS}\\?(?P<q>["'`])(?P<s>[^\s"'`\\]{{4,128}})\\?(?P=q)""",
        _is_password,
        False,
    ),
    _Rule(  # without them it must not go on like prose or code
        "password",
        _PASSWORD_HINTS,
        rf"(?:{_PASSWORD}(?:{_EQUALS}|>)|(?<=--)password[ =])"
        r"(?P<s>[^\s\"'`,;<>&()\[\]{}]{4,128})(?=[,;<&\"'`)}]|[ \t]*(?:[\r\n]|\Z))",
        _is_password,
        False,
    ),
    _Rule(
        "password",
        _PASSWORD_HINTS,
        rf"{_PASSWORD}(?:{_EQUALS}|{_IS}|\s{{1,4}}(?:to|auf)\s{{1,4}}|\s?[はは是为為]\s?)[\"'`«“「]?"
        r"(?P<s>[^\s\"'`,;<>«»“”「」。，、()\[\]]{5,127}[^\s\"'`,;<>«»“”「」。，、()\[\].?])",
        _is_strong,
        False,
    ),
    _Rule(
        "token",
        _KEYS,
        rf"(?:(?<![A-Za-z])|(?<=[a-z])(?=[A-Z])){_KEY}(?:{_OPEN}(?:{_EQUALS}|>){_OPEN}|{_IS}|\s{{1,2}})(?P<s>[A-Za-z0-9+/=_.~%-]{{12,256}})",
        _is_random,
    ),
    _Rule(
        "payment card",
        ("card", "visa", "karte", "carte", "tarjeta", "carta", "kaart"),
        r"(?i:card|visa|karte|carte|tarjeta|carta|kaart)[^\d\n]{0,30}(?P<s>\d{15,16})(?!\d)",
        _is_card,
        False,
    ),
)
_LONG = r"(?<![A-Za-z0-9_+/=.~%-])[A-Za-z0-9_+/=.~%-]{12}"


def _by_hint(rules: Iterable[tuple[int, _Rule]]) -> list[tuple[str, list[tuple[int, _Rule]]]]:
    found: dict[str, list[tuple[int, _Rule]]] = {}
    for index, rule in rules:
        for hint in rule.hints:
            found.setdefault(hint, []).append((index, rule))
    return list(found.items())


_HINTS = _by_hint(enumerate(_RULES))
_SHORT_HINTS = _by_hint((index, rule) for index, rule in enumerate(_RULES) if not rule.is_long)
