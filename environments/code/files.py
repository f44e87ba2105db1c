"""The files of a workspace: what an agent reads, writes and edits, and how an attempt is read back into them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from agentevo.types import Json, Message

MOST_FILES = 64
MOST_CHARS = 200_000
"""In one file."""
ERROR = "Error: "
NOT_RUN = f"{ERROR}not run"
"""So begins what a call is answered with that came too late, and never reached the workspace."""
RUNNERS = ("main.py", "solution.py")
"""Where the sandbox puts what it runs, and what it judges."""
READ, WRITE, EDIT = "read", "write", "edit"


class Call(NamedTuple):
    """A call of a tool as an action holds it; `problem` says why it cannot be run."""

    name: str
    arguments: Mapping[str, Json] = {}
    problem: str = ""
    id: str = ""


class Files:
    """The files of one workspace, in memory; some are given, and stay as they are; names that are taken are refused.

    Every change is told in words, and what cannot be done begins with `Error: ` and changes nothing. The same calls in
    the same order always lead to the same files: an attempt can be read back from its messages.
    """

    def __init__(self, given: Mapping[str, str], own: Mapping[str, str], taken: Collection[str] = ()) -> None:
        self._given, self._own, self._taken = dict(given), dict(own), tuple(taken)
        self.is_changed = False

    def all(self) -> dict[str, str]:
        """Return every file by its name; what was given comes last, and wins."""
        return {**self._own, **self._given}

    def beside(self, solution: str) -> dict[str, str]:
        """Return the files that a solution finds: it runs under a name of its own, which no file may have."""
        return {name: text for name, text in self.all().items() if name != solution or name not in RUNNERS}

    def names(self) -> list[str]:
        return sorted(self.all())

    def change(self, call: Call) -> str:
        """Run a call that reads or changes files, and say what came of it."""
        if call.problem:
            return ERROR + call.problem
        path, wrong = call.arguments.get("path"), self._wrong(call)
        if wrong or not isinstance(path, str):
            return ERROR + wrong
        if call.name == READ:
            return self.all().get(path, ERROR + self._unknown(path))
        if path in self._given:
            return f"{ERROR}{path} is given, and stays as it is."
        return self._write(path, call) if call.name == WRITE else self._edit(path, call)

    def _write(self, path: str, call: Call) -> str:
        return self._put(path, str(call.arguments["content"]), f"wrote {path}")

    def _edit(self, path: str, call: Call) -> str:
        old, new = str(call.arguments["old"]), str(call.arguments["new"])
        if path not in self._own:
            return ERROR + self._unknown(path)
        count = self._own[path].count(old) if old else 0
        if count != 1:
            return f"{ERROR}the old text is {count} times in {path}; expected once: give more of what is around it."
        return self._put(path, self._own[path].replace(old, new), f"edited {path}")

    def _put(self, path: str, text: str, said: str) -> str:
        if wrong := self._misplaced(path) or _unwritable(text):
            return f"{ERROR}{wrong}"
        if len(text) > MOST_CHARS:
            return f"{ERROR}{path} would have {len(text)} characters; a file may have {MOST_CHARS}."
        if path not in self._own and len(self._own) >= MOST_FILES:
            return f"{ERROR}there are {MOST_FILES} files already; change one of them."
        self._own[path], self.is_changed = text, True
        return said

    def _misplaced(self, path: str) -> str:
        """Say why there can be no file of that name."""
        if path in self._taken:
            return f"{path} is a name that is taken here; choose another."
        for other in self.all():
            if other.startswith(f"{path}/") or path.startswith(f"{other}/"):
                return f"{path} cannot be a file beside {other}: one would have to be a folder."
        return ""

    def _wrong(self, call: Call) -> str:
        """Say what is wrong with the arguments of a call; nothing where they are fine."""
        for name in PARAMETERS[call.name]:
            if not isinstance(call.arguments.get(name), str):
                return f"{call.name} needs {name!r} as a text; got {call.arguments.get(name)!r:.60}."
        return _wrong_path(str(call.arguments["path"]))

    def _unknown(self, path: str) -> str:
        return f"there is no file {path!r:.80}; there are: {', '.join(self.names())}"


PARAMETERS: Mapping[str, tuple[str, ...]] = {READ: ("path",), WRITE: ("path", "content"), EDIT: ("path", "old", "new")}


def _unwritable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"the text has half of a character at {error.start}, which no file can hold."
    return ""


def _wrong_path(path: str) -> str:
    parts = path.split("/")
    if not path or len(path) > 200 or not path.isprintable() or "\\" in path:
        return f"{path!r:.60} is no path; expected such as 'solution.py'."
    if any(part in ("", ".", "..") for part in parts):
        return f"the path {path!r} leads elsewhere; expected one below this folder, without '..' and '/' in front."
    return ""


def replayed(files: Files, messages: Sequence[Message]) -> Files:
    """Do to files what an attempt did, from its messages: what was refused is so again, what never ran is left out."""
    results = {str(m.get("tool_call_id")): m.get("content") for m in messages if m.get("role") == "tool"}
    for message in messages:
        for call in calls_in(message) or written_in(message):
            result = results.get(call.id) if call.id else ""
            if call.name in (WRITE, EDIT) and isinstance(result, str) and not result.startswith(NOT_RUN):
                files.change(call)
    return files


# --- the calls in an action


def calls_in(action: Message) -> list[Call]:
    """Return the calls that an action holds, also those that are none: each says what is wrong with it."""
    listed = action.get("tool_calls")
    return [_call(one) for one in listed] if isinstance(listed, list) else []


def _call(one: Json) -> Call:
    function = one.get("function") if isinstance(one, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(one, dict) or not isinstance(function, dict) or not isinstance(name, str):
        return Call("", problem=f"{one!r:.80} is no call; expected a function with a name and arguments.")
    given, known = function.get("arguments", "{}"), str(one.get("id", ""))
    try:
        arguments = json.loads(given) if isinstance(given, str) else given
    except (ValueError, RecursionError):
        return Call(name, problem=f"the arguments of {name!r:.60} are not JSON.", id=known)
    if not isinstance(arguments, dict):
        return Call(name, problem=f"the arguments of {name!r:.60} are no JSON object.", id=known)
    return Call(name, arguments, id=known)


def written_in(message: Message) -> list[Call]:
    """Return the calls that a model wrote as text, where its tools were described to it in words."""
    said = message.get("content")
    if message.get("role") != "assistant" or not isinstance(said, str) or message.get("tool_calls"):
        return []
    found = ((str(value["name"]), value.get("arguments")) for value in _objects(said))
    return [Call(name, given) for name, given in found if name in PARAMETERS and isinstance(given, dict)]


def _objects(text: str) -> Iterator[dict[str, Json]]:
    """Yield the JSON objects with a name that stand in a text, without those inside others."""
    place, failed = text.find("{"), 0
    while place >= 0 and failed < MOST_TRIED:
        try:
            value, end = _DECODER.raw_decode(text, place)
            if "name" in value:
                yield value
        except (ValueError, RecursionError):
            failed, end = failed + 1, place + 1
        place = text.find("{", end)


MOST_TRIED = 200
"""So many braces that begin no JSON are tried, as where a model acts: each may cost a look at the whole text."""
_DECODER = json.JSONDecoder()
