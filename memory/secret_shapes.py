"""What secrets look like: vendors' keys and tokens, private keys, and values beside a name that gives them away."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from agentevo.memory.secret_values import (
    is_bearer,
    is_card,
    is_credential,
    is_drawn,
    is_given,
    is_key,
    is_password,
    is_random,
    is_strong,
    is_token,
)


class Rule(NamedTuple):
    """A kind of secret: `pattern` is tried where a hint stands; its group `s`, or all of it, is the secret."""

    kind: str
    hints: tuple[str, ...]
    """In lower case; the pattern starts with one of them. Looking for them is much cheaper than the pattern."""
    pattern: str
    is_secret: Callable[[str], bool] = lambda _: True
    is_long: bool = True
    """Whether the secret has 12 characters or more without a gap, as all but passwords have."""
    is_glued: bool = False
    """Whether these go on from the hint without a gap."""
    back: int = 0
    """So many characters before a hint the pattern starts."""


def _token(kind: str, prefix: str, rest: str, is_secret: Callable[[str], bool] = lambda _: True) -> Rule:
    """Return the rule for a token that a fixed prefix gives away; what is glued to its end goes with it."""
    return Rule(
        kind,
        (prefix.lower(),),
        rf"(?<![A-Za-z0-9]){re.escape(prefix)}{rest}[A-Za-z0-9_-]*+",
        is_secret,
        is_glued=" " not in prefix,
    )


_KEY_HEAD = r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
KEY_TAIL = r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_KEY_LINES = (  # of a key that was cut off before its end
    r"(?:(?:\s|\\n)*+(?:[A-Za-z-]{4,20}: [^\n]{1,80}|[A-Za-z0-9+/=]{16,}))*+(?:(?:\s|\\n)++[A-Za-z0-9+/]{1,15}={1,2})?"
)
REST = r"[^\s\"'`,;<>&@()\[\]{}«»“”「」。，、]*[A-Za-z0-9+/=_-]"
_PASSWORD_HINTS = (
    "pass", "pw", "mdp", "kennwort", "contrase", "senha", "wachtwoord", "hasło", "пароль", "密码", "密碼", "パスワード",
)  # fmt: skip
_PASSWORD = (
    r"(?i:pass(?:words?|wd|wort|phrase|code)|(?<=mot de )passe|(?<=_)pass|pwd|(?<![a-z0-9])(?:pw|mdp)(?!\w)|kennwort"
    r"|contrase[nñ]a|senha|wachtwoord|hasło|пароль|密[码碼]|パスワード)"
    r"(?i:_?\d{1,2}|[_-](?:prod|production|dev|staging|test|live|old|new|root|admin|db|main|backup|value))?"
)
_FOR = (  # "for the router", "del wifi"
    r"(?:\s{1,2}(?i:for|of|to|on|at|from|du|de|del|della|do|da|für|fürs|vom|zum|des|der|voor|van|для|от|к)"
    r"(?:\s{1,2}[\w'’.-]{1,20}){1,4}?)?"
)
_KEYS = (
    "api", "access", "secret", "private", "auth", "account", "encryption", "signing", "master", "service", "license",
    "subscription", "token", "credential",
)  # fmt: skip
_KEY = (
    rf"(?i:(?:{'|'.join(_KEYS[:-2])})[ _.-]?key(?:[ _.-]?id)?|secret|tokens?|credentials?|auth)(?:_\w{{0,12}}|\svalue)?"
)
_SURE = (  # a name that can mean nothing else; it is looked for by its last word
    r"(?:(?<=api)|(?<=(?:api|app|jwt)[ _.-])|(?<=secret)|(?<=auth)|(?<=client)|(?<=access)"
    r"|(?<=(?:secret|access|client|oauth2|shared|deploy|master)[ _.-])|(?<=auth[ _.-])|(?<=bot[ _.-])"
    r"|(?<=(?:admin|oauth)[ _.-])|(?<=(?:private|refresh|webhook|signing)[ _.-])|(?<=(?:consumer)[ _.-]))"
    r"(?:key|secret|token)(?:[_-]?base|[_-]?\d)?"
)
_IS = r"\s{1,4}(?:is|was|ist|lautet|est|es|è|é)(?:\s{1,2}(?:now|still|jetzt|ahora))?\s?[:：]?\s{1,4}"
_EQUALS = r"\s{0,4}(?:=>|:=|={1,2}|[:：])\s{0,4}"
_OPEN = r"""(?:\\?["'`])?"""

_USER = r"""(?<=\s)(?:-u|--user)[\s=]["']?[^\s:"']{1,64}"""
_TYPED = r"""(?P<s>[^\s"'-][^\s"']{3,127})"""

_MORE = (
    ("xai key", "xai-", r"[A-Za-z0-9]{60,}"), ("perplexity key", "pplx-", r"[A-Za-z0-9]{40,}"),
    ("replicate token", "r8_", r"[A-Za-z0-9]{37}"), ("notion token", "ntn_", r"[A-Za-z0-9]{40,}"),
    ("linear key", "lin_api_", r"[A-Za-z0-9]{32,}"), ("supabase token", "sbp_", r"[0-9a-f]{40}"),
    ("grafana token", "glsa_", r"[A-Za-z0-9]{32}_[0-9a-f]{8}"), ("grafana token", "glc_", r"[A-Za-z0-9+/=]{40,}"),
    ("new relic key", "NRAK-", r"[A-Z0-9]{27}"), ("postman key", "PMAK-", r"[0-9a-f]{24}-[0-9a-f]{34}"),
    ("airtable token", "pat", r"[A-Za-z0-9]{14}\.[0-9a-f]{64}"), ("figma token", "figd_", r"[A-Za-z0-9_-]{36,}"),
    ("sentry token", "sntrys_", r"[A-Za-z0-9_+/=-]{40,}"), ("mailgun key", "key-", r"[0-9a-f]{32}"),
    ("facebook token", "EAA", r"[A-Za-z0-9]{60,}"), ("pulumi token", "pul-", r"[0-9a-f]{40}"),
    ("doppler token", "dp.", r"(?:pt|st|ct|sa|scim|audit)\.(?:[\w-]{1,40}\.)?[A-Za-z0-9]{40,}"),
    ("fly token", "fo1_", r"[A-Za-z0-9_-]{40,}"), ("planetscale token", "pscale_", r"(?:tkn|pw|oauth)_[\w.-]{32,}"),
    ("brevo key", "xkeysib-", r"[0-9a-f]{64}-[A-Za-z0-9]{16}"),
    ("brevo key", "xsmtpsib-", r"[0-9a-f]{64}-[A-Za-z0-9]{16}"),
    ("okta token", "SSWS 00", r"[A-Za-z0-9_-]{30,}"), ("tailscale key", "tskey-", r"[A-Za-z0-9-]{20,}"),
)  # fmt: skip

RULES = (
    Rule("private key", ("-----begin",), rf"{_KEY_HEAD}(?>(?:[^-]|-(?!----))*+{KEY_TAIL}|{_KEY_LINES})"),
    _token("private key", "AGE-SECRET-KEY-1", r"[A-Z0-9]{50,}"),
    _token("anthropic key", "sk-ant-", r"[A-Za-z0-9_-]{20,}"),
    _token("openrouter key", "sk-or-", r"[A-Za-z0-9_-]{20,}"),
    _token("openai key", "sk-", r"[A-Za-z0-9_-]{20,}", is_random),
    Rule("aws access key", ("akia", "asia"), r"(?<![A-Za-z0-9])A[KS]IA[A-Z0-9]{16}(?![A-Za-z0-9])", is_glued=True),
    Rule(
        "aws secret key",
        ("akia", "asia"),
        r"A[KS]IA[A-Z0-9]{16}[\s,;:|/\"']{1,6}(?P<s>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])",
    ),
    Rule(
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
    Rule("slack token", ("xox",), r"(?<![A-Za-z0-9])xox[abceoprs]-(?=[A-Za-z-]*\d)[A-Za-z0-9-]{10,}", is_glued=True),
    _token("slack token", "xapp-", r"\d-[A-Za-z0-9-]{10,}"),
    Rule(
        "slack webhook",
        ("hooks.slack.com/",),
        r"(?i:hooks\.slack\.com)/\w+/(?P<s>[A-Za-z0-9]{6,}/[A-Za-z0-9/]{10,})",
        is_glued=True,
    ),
    Rule("teams webhook", ("/webhookb2/",), r"/webhookb2/(?P<s>[\w@-]{36,}(?:/\w{1,40}/[\w/-]{20,})?)", is_glued=True),
    Rule("discord webhook", ("/api/webhooks/",), r"/api/webhooks/(?P<s>\d{10,}/[\w-]{30,})", is_glued=True),
    _token("google key", "AIza", r"[A-Za-z0-9_-]{35}(?![A-Za-z0-9])"),
    _token("google token", "ya29.", r"[A-Za-z0-9_-]{20,}"),
    _token("google client secret", "GOCSPX-", r"[A-Za-z0-9_-]{24,}"),
    *(_token("stripe key", f"{kind}_", r"[A-Za-z0-9]{16,}") for kind in ("sk_live", "sk_test", "rk_live", "rk_test")),
    _token("stripe key", "whsec_", r"[A-Za-z0-9]{16,}"),
    _token("npm token", "npm_", r"[A-Za-z0-9]{36}(?![A-Za-z0-9])"),
    _token("pypi token", "pypi-", r"[A-Za-z0-9_-]{40,}", is_random),
    _token("huggingface token", "hf_", r"[A-Za-z0-9]{30,}"),
    Rule("telegram bot token", (":aa",), r"(?<=\d{8}):(?P<s>AA[A-Za-z0-9_-]{32,34})(?![A-Za-z0-9_-])"),
    _token("twilio key", "SK", r"[0-9a-f]{32}(?![A-Za-z0-9])"),
    _token("sendgrid key", "SG.", r"[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{16,64}"),
    Rule(
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
    Rule(
        "json web token",
        ("eyj",),
        r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]{8,}+(?:\.[A-Za-z0-9_-]*+){0,3}(?<!\.)",
        is_glued=True,
    ),
    Rule(  # base64 of the head of a key
        "private key",
        ("ls0tls1crudjti",),
        r"LS0tLS1CRUdJTi(?:BSU0Eg|BQUklW|BFQyBQ|BPUEVO|BFTkNS|BEU0Eg)[A-Za-z0-9+/]{20,}+={0,2}",
        is_glued=True,
    ),
    Rule(
        "private key",
        ("private-lines:",),
        r"(?i:private-lines): \d{1,3}(?:\s|\\n)+(?P<s>[A-Za-z0-9+/=]{16,}(?:(?:\s|\\n)++[A-Za-z0-9+/=]{16,})*+)",
    ),
    Rule("mailchimp key", ("-us",), r"(?<![0-9a-f])[0-9a-f]{32}-us\d{1,2}(?!\w)", back=32, is_glued=True),
    Rule("terraform token", (".atlasv1.",), r"[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{50,}", back=14, is_glued=True),
    Rule(
        "cookie",
        ("cookie",),
        rf"(?i:cookie){_OPEN}\s{{0,2}}[:=]\s{{0,2}}{_OPEN}(?:[^\s=;\"']{{1,64}}=[^;\"'\n]{{0,256}};\s?){{0,20}}?"
        r"[^\s=;\"']{0,24}?(?i:sess|sid|auth|token|login|remember)[\w.-]{0,24}=(?P<s>[^\s;\"',]{8,512})",
        is_drawn,
    ),
    Rule(  # as in a .pgpass
        "password",
        (":5432:", ":5433:", ":6432:"),
        r":\d{4}:[^\s:]{1,64}:[^\s:]{1,64}:(?P<s>[^\s:]{6,128})(?=\s|\Z)",
        is_strong,
    ),
    Rule("password", ("sshpass",), rf"sshpass\s[^\n|;]{{0,100}}?(?<=\s)-p\s?[\"']?{_TYPED}", is_given, False),
    Rule(
        "password", ("identified by",), r"(?i:identified by)\s{1,4}['\"](?P<s>[^\s'\"]{4,128})['\"]", is_strong, False
    ),
    Rule(
        "password",
        ("://",),
        r"://(?!(?i:user(?:name)?:pass(?:word)?@))[^\s/:@\[\]]{0,64}:(?P<s>[^\s/@]{1,4096}+)@",
        is_given,
        False,
    ),
    Rule("password", ("curl",), rf"curl\s[^\n|;]{{0,200}}?{_USER}:{_TYPED}", is_given, False),
    Rule("password", ("login",), rf"login\s[^\n|;]{{0,100}}?(?<=\s)-p[\s=]?[\"']?{_TYPED}", is_strong, False),
    Rule(  # as in a Dockerfile: ENV DB_PASSWORD ...
        "password",
        ("env",),
        rf"ENV[ \t]{{1,4}}\w{{0,40}}?{_PASSWORD}[ \t]{{1,4}}[\"']?(?P<s>[^\s\"']{{4,128}})"
        r"[\"']?(?=[ \t]*(?:[\r\n\\]|\Z))",
        is_password,
        False,
    ),
    Rule("password", ("mysql",), rf"mysql\w{{0,9}}\s[^\n|;]{{0,100}}?(?<=\s)-p{_TYPED}", is_strong, False),
    Rule("password", ("login",), rf"login\s{{1,4}}\S{{1,64}}\s{{1,4}}password\s{{1,4}}{_TYPED}", is_strong, False),
    Rule(
        "authorization",
        ("authorization",),
        rf"(?i:authorization){_OPEN}\s{{0,3}}[:=,]\s{{0,3}}{_OPEN}(?i:bearer|basic|token|apikey|key)?\s{{0,3}}"
        r"(?P<s>[A-Za-z0-9._~+/-]{8,}+={0,2})",
        is_credential,
        False,
    ),
    Rule("bearer token", ("bearer",), r"(?<!\w)(?i:bearer)\s{1,3}(?P<s>[A-Za-z0-9._~+/-]{12,}+={0,2})", is_bearer),
    Rule(  # in quotes almost any word is a password
        "password",
        _PASSWORD_HINTS,
        rf"""{_PASSWORD}{_OPEN}{_EQUALS}\\?(?P<q>["'`])(?P<s>[^\s"'`\\]{{4,128}})\\?(?P=q)""",
        is_password,
        False,
    ),
    Rule(  # as an attribute: name="password" value="..."
        "password",
        _PASSWORD_HINTS,
        rf"""{_PASSWORD}\\?["']\s{{0,3}},?\s{{0,3}}\\?["']?value\\?["']?\s{{0,2}}[=:]\s{{0,2}}\\?["'](?P<s>[^\s"'\\<>]{{4,128}})""",
        is_password,
        False,
    ),
    Rule(  # as in SQL: WITH PASSWORD '...'
        "password",
        _PASSWORD_HINTS,
        rf"""{_PASSWORD}\s{{1,2}}(?P<q>["'`])(?P<s>[^\s"'`\\]{{6,128}})(?P=q)""",
        is_strong,
        False,
    ),
    Rule(  # without them it must not go on like prose or code
        "password",
        _PASSWORD_HINTS,
        rf"(?:{_PASSWORD}(?:{_EQUALS}|>)|(?<=--)password[ =])"
        r"(?P<s>[^\s\"'`,;<>&()\[\]{}]{4,128})(?=[,;<&\"'`)}]|[ \t]*(?:[\r\n]|\Z))",
        is_password,
        False,
    ),
    Rule(
        "password",
        (*_PASSWORD_HINTS, "clave"),
        rf"(?:{_PASSWORD}|(?i:clave)){_FOR}(?:{_EQUALS}|{_IS}|\s{{1,4}}(?:to|auf)\s{{1,4}}|\s?[はは是为為]\s?)[\"'`«“「]?"
        r"(?P<s>[^\s\"'`,;<>«»“”「」。，、()\[\]]{5,127}[^\s\"'`,;<>«»“”「」。，、()\[\].?])",
        is_strong,
        False,
    ),
    Rule(  # in quotes, whatever is no word
        "token",
        ("key", "secret", "token"),
        rf"""(?i:{_SURE}){_OPEN}{_EQUALS}\\?(?P<q>["'`])(?P<s>[^\s"'`\\]{{8,256}})\\?(?P=q)""",
        is_key,
        False,
    ),
    Rule(
        "token",
        ("key", "secret", "token"),
        rf"""(?i:{_SURE}){_EQUALS}(?P<s>[^\s"'`\\,;<>()\[\]{{}}&]{{8,256}}+)(?![(\[{{])""",
        is_drawn,
        False,
    ),
    Rule(  # as in an environment: APP_KEY=
        "token",
        ("_key",),
        r"(?<=[A-Z0-9])(?<!CACHE)(?<!PRIMARY)(?<!PUBLIC)(?<!FOREIGN)(?<!SORT)(?<!PARTITION)(?<!OBJECT)(?<!IDEMPOTENCY)"
        r"_KEY\s?=\s?[\"']?(?:base64:)?(?P<s>[A-Za-z0-9+/=_.~%-]{16,256})",
        is_token,
    ),
    Rule(
        "token",
        _KEYS,
        rf"(?:(?<![A-Za-z])|(?<=[a-z])(?=[A-Z])){_KEY}(?:{_OPEN}(?:{_EQUALS}|>){_OPEN}|{_IS}|\s{{1,2}})(?P<s>[A-Za-z0-9+/=_.~%-]{{12,256}})",
        is_token,
    ),
    Rule(
        "payment card",
        ("card", "visa", "karte", "carte", "tarjeta", "carta", "kaart"),
        r"(?i:card|visa|karte|carte|tarjeta|carta|kaart)[^\d\n]{0,30}(?P<s>\d{15,16})(?!\d)",
        is_card,
    ),
)
GROUPED_CARD = r"[0-9](?<![\d-].)\d{3}([ -])(?:\d{4}\1\d{4}\1\d{4}|\d{6}\1\d{5})(?![\d-])"
