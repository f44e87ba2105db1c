"""Whether a value is a secret, or only stands where one would: a word, a reference, a name with a version."""

from __future__ import annotations

import functools
import re


@functools.cache
def compiled(pattern: str) -> re.Pattern[str]:
    """Return a pattern ready for use; nothing is compiled at import."""
    return re.compile(pattern)


def is_random(value: str) -> bool:
    """Say whether a value looks drawn by lot: long, with digits, and not words joined by dashes."""
    numbers = compiled(r"\d+").findall(value)
    if sum(map(len, numbers)) < 2 or len(set(value)) < 8 or is_placeholder(value):
        return False
    if any(map(str.isupper, value)) and any(map(str.islower, value)):
        return True
    return len(numbers) > 1 and not value.isdigit() and compiled(r"[^-_./]{12}").search(value) is not None


def is_token(value: str) -> bool:
    """Say whether a value beside a name such as `token` looks drawn by lot, and is no name with versions in it."""
    return is_random(value) and not (compiled(r"[^-_./]+(?:[-_./][^-_./]+){2}").match(value) and has_plain_parts(value))


def is_bearer(value: str) -> bool:
    """Say whether what follows the word `bearer` looks drawn by lot, and is no word with a number."""
    return is_random(value) and not has_plain_parts(value)


def is_password(value: str) -> bool:
    """Say whether a value beside a password's name is one, rather than code, a type or a placeholder."""
    return len(value) >= 4 and not is_placeholder(value)


def is_given(value: str) -> bool:
    """Say whether a URL holds a password, be it the word itself, rather than a reference to one."""
    return compiled(_REFERENCE).match(value) is None


def is_credential(value: str) -> bool:
    """Say whether what follows `Authorization:` is a credential rather than a word."""
    return is_password(value) and not is_words(value)


def is_strong(value: str) -> bool:
    """Say whether a word in running text is more likely a password than a word."""
    letters, digits = any(map(str.isalpha, value)), any(map(str.isdigit, value))
    return (
        len(value) >= 6
        and letters
        and (digits or not value.isalpha())
        and not is_words(value)
        and is_password(value)
        and not is_address(value)
    )


def is_address(value: str) -> bool:
    """Say whether a value is whom something is sent to, as in "send the password to"."""
    return compiled(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}\.?").fullmatch(value) is not None


def is_words(value: str) -> bool:
    return compiled(r"(?:[^\W\d_]++['’/-])*+[^\W\d_]++").fullmatch(value) is not None


def is_placeholder(value: str) -> bool:
    """Say whether a value only stands for one: a variable, a call, a type, stars, an ellipsis."""
    return value.lower().strip("\"'") in _EMPTY_WORDS or compiled(_REFERENCE).match(value) is not None


_EMPTY = """
    none null nil true false yes no string str text bytes int required optional input prompt password passwd pwd
    secret token hidden redacted masked removed example changeme undefined empty default here unknown varchar
    char secretstr securestring passwort kennwort
"""
_EMPTY_WORDS = frozenset(_EMPTY.split())
_REFERENCE = (
    r"\[secret:|\$|\{|<|%\w+%|\*{3}|x{4}|X{4}|\.{3}|…|•|"
    r"(?:os|process|env|config|settings|self|this|args|options|request|req|params|data|user|form|secrets|getpass)[.\[(]|"
    r"[A-Za-z_][\w.]*\(|your[-_ ]|my[-_](?:password|secret|token|key)|(?:str|string|bytes)\b"
)


def is_card(value: str) -> bool:
    """Say whether a number can be a payment card's: an issuer's prefix, its length, and the Luhn check digit."""
    digits = [int(character) for character in value if character.isdigit()]
    number = "".join(map(str, digits))
    if compiled(_CARD_NUMBER).fullmatch(number) is None:
        return False
    doubled = [2 * digit - 9 * (digit > 4) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


_CARD_NUMBER = r"4\d{15}|5[1-5]\d{14}|2[2-7]\d{14}|3[47]\d{13}|6(?:011|5\d\d|4[4-9]\d)\d{12}"


def is_key(value: str) -> bool:
    """Say whether a value beside the name of a key is one, rather than a word, a path or the name of a variable."""
    if not 8 <= len(value) <= 512 or is_placeholder(value) or compiled(_PLACE).match(value) or " " in value:
        return False
    if compiled(r"[A-Za-z]{16,}").fullmatch(value):
        return True
    if value.isdigit() and len(value) < 16:
        return False
    return compiled(r"[^\W\d_]*+(?:[-_./:’']++[^\W\d_]*+)*+").fullmatch(value) is None


def is_drawn(value: str) -> bool:
    """Say whether a value beside a name that may mean anything, such as `token`, is a key and no name or version."""
    return is_key(value) and not value.isdigit() and not has_plain_parts(value)


def has_plain_parts(value: str) -> bool:
    """Say whether a value is made of words and numbers, as `Llama-3.1-8B-Instruct` is."""
    parts = compiled(r"[-_./:@ ]+").split(value)
    return all(compiled(r"[^\W\d_]*\d{0,5}[^\W\d_]{0,2}|[^\W\d_]{0,2}\d{6,14}Z?").fullmatch(part) for part in parts)


def is_phrase(value: str) -> bool:
    """Say whether a value beside a password's name is one, be it of several words, rather than talk about one."""
    words = compiled(r"[^\W\d_]+").findall(value.lower()) if " " in value else [value.lower()]
    return 4 <= len(value) <= 512 and not is_placeholder(value) and _TALK.isdisjoint(words)


_PLACE = r"(?:https?|file|s3|gs|arn):|(?:~|\.{1,2})?/\w|[A-Za-z]:\\|[\w./-]+\.(?:pem|key|crt|json|ya?ml|txt|env|py|js)$"
_SAID = """
    a an the is are was were be been must may can cannot should will shall has have had to of in on at for from
    with by not no see ask please too your my our his her their this that it you we they same required invalid
    incorrect wrong missing unchanged changed expired weak strong mismatch unknown unset blank reset disabled
    enabled failed match ist sind war muss nicht kein bitte das der die den est doit pas le la les une des el
    los es debe por favor deve non
"""
_TALK = frozenset(_SAID.split())
