"""The program in a reply: fenced or bare, whole or as the rest of what the task had begun.

What a model wrote is never parsed here, only searched: a parser can be brought down by what it reads.
"""

from __future__ import annotations

import re

from agentevo.environments.code.task import CodeTask

LONGEST_REPLY = 100_000
"""Characters: a reply beyond that is no program."""

_FENCED = re.compile(
    r"^(?P<indent>[ \t]*+)(?P<fence>`{3,}+|~{3,}+)[^\n]*+\n(?P<code>.*?)(?:^[ \t]*+(?P=fence)[ \t]*+$|\Z)",
    re.MULTILINE | re.DOTALL,
)
_CODE = re.compile(r"^(?:(?:(?:async )?def|class|import|from)\b|@\w)", re.MULTILINE)
_PROSE = re.compile(r"[A-Z][\w'’-]*[ ,!.](?! ?=)")
"""The beginning of a sentence: a capital letter, and no name that is given a value."""
_FUTURE = re.compile(r"^from __future__ import [^\n]*(?:\n|\Z)", re.MULTILINE)
_ONE_LINE = re.compile(r"^`+(?P<code>[^`\n]+)`+$")


def program_in(reply: str, task: CodeTask) -> str | None:
    """Return the whole program that a reply amounts to; None where it does not even define what is asked for.

    Where nothing is to be defined, any reply is a program.
    """
    if len(reply) > LONGEST_REPLY or "\0" in reply or not _is_encodable(reply):
        return None
    for code in _candidates(reply, task.asked_for):
        if defines(code, task.asked_for) if task.asked_for else code.strip():
            return whole(task, code)
    return whole(task, _continued(task.starter, reply)) if task.starter and reply.strip() else None


def whole(task: CodeTask, code: str) -> str:
    """Return a solution with what stands before and after every solution; what it wants of the future comes first."""
    future = "".join(dict.fromkeys(_FUTURE.findall(code)))
    parts = (future.rstrip(), task.prologue.rstrip(), _FUTURE.sub("", code).strip("\n"), task.epilogue)
    return "\n".join(part for part in parts if part) + "\n"


def defines(code: str, name: str) -> bool:
    """Say whether code seems to define a name at its top level."""
    named = re.escape(name)
    made = (
        rf"^(?:(?:async )?(?:def|class) +{named}\b|{named} *(?::[^=\n]+)?=(?!=)|from [\w.]+ import [^\n]*\b{named}\b)"
    )
    return re.search(made, code, re.MULTILINE) is not None


def _candidates(reply: str, name: str) -> list[str]:
    """Return what could be meant, the likeliest first: the last fenced piece with the name, all of them, the words."""
    pieces = _fenced(reply)
    if pieces:
        with_name = [piece for piece in reversed(pieces) if defines(piece, name)]
        return [*with_name[:1], "\n".join(pieces)]
    bare = reply.strip("\n")
    if one := _ONE_LINE.match(bare.strip()):
        return [one["code"]]
    begins = _CODE.search(bare) if _PROSE.match(bare) else None
    return [bare[begins.start() :] if begins else bare]


def _fenced(reply: str) -> list[str]:
    """Return the pieces between fences; where a fence is indented, in a list say, what it holds is moved left."""
    found = ((match["indent"], match["code"]) for match in _FENCED.finditer(reply))
    return [re.sub(rf"^{indent}", "", code, flags=re.MULTILINE) if indent else code for indent, code in found]


def _is_encodable(text: str) -> bool:
    """Say whether a file can hold a text: a model can say halves of characters."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _continued(starter: str, reply: str) -> str:
    """Return a reply as the body of the function that the task began."""
    pieces = _fenced(reply)
    body = (pieces[-1] if pieces else reply).strip("\n")
    first, *rest = body.split("\n")
    if first[:1] in (" ", "\t"):
        return f"{starter.rstrip()}\n{body}"
    lines = [first, *rest]
    inner = [line for line in rest if line.strip()]
    if inner and all(line[:1] in (" ", "\t") for line in inner):
        lines = [f"    {first}", *rest]  # white space at the front of a reply is stripped on its way here
    else:
        lines = [f"    {line}" for line in lines]
    return "\n".join([starter.rstrip(), *lines])
