"""What a person types in an episode: lines, texts of many lines, and calls of tools."""

from __future__ import annotations

import contextlib
import io
import json
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from agentevo.cli.output import tell
from agentevo.errors import Misuse

if TYPE_CHECKING:
    from agentevo.types import Json, Message, Tool

MANY = '"""'
"""Begins and ends a text of many lines."""
PROMPT = "> "


def typed_lines(out: Callable[[str], None], prompt: str = PROMPT) -> Iterator[str]:
    """Yield what is typed until it ends; from a pipe it is shown too, as it would stand on a terminal.

    What is no text is refused with a message, and the next line is read.
    """
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")  # a strict reader would lose the lines after a wrong byte
    while (line := _line(out, prompt)) is not None:
        text = "\n".join(_until_closed(out, prompt)) if (is_many := line.strip() == MANY) else line.strip()
        if "\0" in text or text.encode("utf-8", "replace").decode() != text:
            tell("this was not taken, as it is not UTF-8 or holds a NUL; say it again, or convert it first, with iconv")
        elif text or is_many:
            yield text


def _until_closed(out: Callable[[str], None], prompt: str) -> Iterator[str]:
    while (line := _line(out, prompt)) is not None and line.strip() != MANY:
        yield line


def _line(out: Callable[[str], None], prompt: str) -> str | None:
    """Return the next line; None at the end. Raise Misuse where stdin is closed."""
    if sys.stdin is None:
        raise Misuse("there is no stdin to play from: it is closed")
    try:
        if sys.stdin.isatty():
            return _asked(prompt)
        line = sys.stdin.readline()
    except EOFError:
        return None
    if line:
        out(f"{prompt}{line.rstrip().encode('utf-8', 'backslashreplace').decode()}")
    return line.rstrip("\r\n") if line else None


def _asked(prompt: str) -> str:
    """Ask on the terminal, with the keys of a line editor where the machine has one."""
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 - input() uses it once it is loaded
    return input(prompt)


# --- calls


def as_action(text: str, tools: Sequence[Tool]) -> Message:
    """Return a text as the message of an assistant: a call where it begins with a tool's name, else what it says."""
    from agentevo.environments.walk import calling

    name, _, rest = text.partition(" ")
    tool = next((tool for tool in tools if tool.name == name), None)
    if tool is None:
        return {"role": "assistant", "content": text}
    return calling(name, _arguments(rest.strip(), _parameters(tool)))


def signature(tool: Tool) -> str:
    """Return how a tool is called; a question mark stands after what can be left out."""
    required = tool.parameters.get("required")
    needed = required if isinstance(required, list) else []
    return f"{tool.name}({', '.join(name if name in needed else f'{name}?' for name in _parameters(tool))})"


def _parameters(tool: Tool) -> Mapping[str, Json]:
    found = tool.parameters.get("properties")
    return found if isinstance(found, dict) else {}


def _arguments(text: str, parameters: Mapping[str, Json]) -> str:
    """Return typed arguments as JSON; what is JSON already stays as it is, also where it is wrong."""
    if text.startswith("{"):
        return text
    names = list(parameters)
    if len(names) == 1 and text and not text.startswith(f"{names[0]}="):
        return json.dumps({names[0]: _value(_unquoted(text), parameters[names[0]])})
    given: dict[str, Json] = {}
    for word in _words(text):
        name, equals, value = word.partition("=")
        if not equals or name not in parameters:
            left = [name for name in names if name not in given]
            name, value = (left or [f"argument_{len(given) + 1}"])[0], word
        given[name] = _value(value, parameters.get(name))
    return json.dumps(given)


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:  # a quote that is not closed: it may be an apostrophe
        return text.split()


def _unquoted(text: str) -> str:
    words = _words(text)
    return words[0] if len(words) == 1 else text


def _value(text: str, schema: Json) -> Json:
    """Return a value as its schema wants it; a text where that is unknown, or wrong, and the tool says so."""
    kinds = schema.get("type", "") if isinstance(schema, dict) else "string"
    if kinds == "string":
        return text
    try:
        value: Json = json.loads(text)
        json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError):  # RecursionError: so many brackets
        return text
    return value
