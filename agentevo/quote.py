"""Text from elsewhere, put into a prompt as data: cleaned, cut, and behind a fence that it cannot close.

Covered: control and invisible characters, the marks by which chat templates part their turns, fences of any length.
Not covered: what a model makes of the words themselves; a fence says that they are data, and cannot make it so.
"""

from __future__ import annotations

import re
import unicodedata

_CHAT_MARKS = re.compile(
    r"""<(?= [|\uff5c] | /?\w{1,40}[|\uff5c]> | <\s*/?SYS              # <|im_start|> and its like; <turn|>; <<SYS>>
           | /?(?:start|end)_of_(?:turn|utterance) | /?(?:begin|end)_of_text
           | /?(?:s|[bes]o[sp]|[be]os_token)> | (?:extra_id|reserved|special)_\d+> )
      | \[(?= /?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_(?:CALLS|RESULTS|CONTENT)|[gs]MASK)\] | /?INST\b
            | UNUSED_TOKEN_\d+\] | \|\w{1,40}\|\] )""",
    re.IGNORECASE | re.VERBOSE,
)
_BREAKS = {ord("\n"): None, ord("\t"): None}
_TICKS = re.compile(r"`+")
_SAID = re.compile(r"[^\w.,:;@/+-]+")
CUT = " [...]"


def clean(text: str, limit: int | None = None) -> str:
    """Return a text without invisible characters and working chat marks, cut to so many characters."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not (text.isascii() and text.translate(_BREAKS).isprintable()):
        text = "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co"))
    text = _CHAT_MARKS.sub(lambda mark: mark.group() + " ", text)
    return text if limit is None else cut(text, limit)


def cut(text: str, limit: int) -> str:
    """Return the first characters of a text, with a mark where something is missing."""
    return text if len(text) <= limit else text[: max(0, limit - len(CUT))] + CUT


def fenced(text: str, label: str = "", limit: int | None = None) -> str:
    """Return a cleaned text between fences longer than any inside it; the label says where it is from."""
    text = clean(text, limit)
    fence = "`" * max(3, 1 + max((len(run) for run in _TICKS.findall(text)), default=0))
    said = _SAID.sub(" ", clean(label, 80)).strip()
    return f"{fence}{said}\n{text}\n{fence}"
