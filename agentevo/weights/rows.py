"""Rows to train on, made of attempts: what was asked, what was done, and where that came from."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from hashlib import sha512
from typing import Literal, NamedTuple, TypeAlias

from agentevo.memory.corrections import ANSWER
from agentevo.phases.calls import as_sent
from agentevo.phases.context import HINT, HINTS, MEMORY
from agentevo.types import Attempt, Experience, Feedback, Json, Message, Tool

Row: TypeAlias = dict[str, Json]
Strip: TypeAlias = Literal["memory", "hints"]
Shape: TypeAlias = Literal["prompt", "messages"]
Turns: TypeAlias = Literal["all", "answer"]

SURE = ("environment", "human", "rule")
"""Who must have scored an answer for its row to be no synthetic one."""
MADE_UP = ("model", "synthetic", "generated")
"""What the provenance of a task begins with that a model made up."""
_KEPT = ("role", "content", "tool_calls", "tool_call_id", "name")
_DEEPEST = 100
"""So deep are the arguments of a call nested at most; whoever reads JSON ends somewhere."""


class Left(Exception):
    """A record is left out; the message says why, and is what it is counted under."""


class Found(NamedTuple):
    """An experience, and where it is kept."""

    experience: Experience
    id: str = ""
    run: str = ""
    namespace: str = ""
    at: float = 0.0


class Said(NamedTuple):
    """What an attempt was asked and what it did, as chat messages."""

    attempt: Attempt
    prompt: list[Message]
    completion: list[Message]
    core: str
    """What it is about: what was asked without memory, hints and instructions, and what was done."""
    is_correction: bool = False
    """Whether a person said it, in place of what the attempt did."""

    @property
    def asked(self) -> list[str]:
        """The texts it was asked, those from memory and of later turns too, without instructions."""
        later = [m for m in self.completion if m.get("role") == "user"]
        return [self.attempt.task.prompt, *(_text(m) for m in [*self.prompt, *later] if m.get("role") != "system")]

    @property
    def told(self) -> list[str]:
        """All other texts: instructions, tools, what was said and called, and what calls brought."""
        system = [m for m in self.prompt if m.get("role") == "system"]
        did = [m for m in self.completion if m.get("role") != "user"]
        arguments = [f.get("arguments") for m in [*self.prompt, *self.completion] for f in _functions(m)]
        return [*map(_text, [*system, *did]), *map(_said_within, [*arguments, *_tools(self.attempt.tools)])]

    @property
    def is_synthetic(self) -> bool:
        """Whether a model made up the task, or nobody but models said that the answer is right."""
        scored = any(f.score is not None and f.source in SURE for f in self.attempt.feedback)
        return not scored or self.attempt.task.provenance.casefold().startswith(MADE_UP)


def said(attempt: Attempt, strip: Collection[Strip] = (), turns: Turns = "all") -> Said:
    """Return an attempt as prompt and completion; raise Left where it says nothing, or cannot be stripped."""
    begin = attempt.prompt or _first_said(attempt.messages)
    prompt = _prompt(attempt, begin, frozenset(strip))
    did: list[Message] = [{"role": "assistant", "content": attempt.answer}]
    if turns == "all" and attempt.messages:
        did = as_sent(attempt.messages[begin:])
    while did and did[-1].get("role") != "assistant":
        did = did[:-1]
    if not any(_is_an_answer(m) for m in did if m.get("role") == "assistant"):
        raise Left("no answer")
    every = "+".join(sorted(_stands(attempt)))
    bare = attempt.bare.get(every, prompt)
    about = (_all_said(m) for m in (*bare, *did) if m.get("role") != "system")
    return Said(attempt, _portable(prompt), _portable(did), "\n".join(about))


def correction_of(attempt: Attempt) -> Attempt | None:
    """Return the attempt as a person said that it should have ended; None where nobody did, or it was right after all.

    The last word stands.
    """
    told = [
        answer for f in attempt.feedback if f.source == "human" and isinstance(answer := f.evidence.get(ANSWER), str)
    ]
    if not told or not told[-1].strip() or attempt.score == 1:
        return None
    end: Message = {"role": "assistant", "content": told[-1]}
    ends_in_words = attempt.messages[attempt.prompt :] and attempt.messages[-1].get("role") == "assistant"
    messages = (*attempt.messages[: -1 if ends_in_words else None], end) if attempt.messages else ()
    said_so = (Feedback(score=1.0, source="human"),)
    return attempt.but(answer=told[-1], messages=messages, feedback=said_so, stopped="")


def last_said(one: Said) -> Said:
    """Return an attempt of which nothing but the last message counts as done: what led there was merely given."""
    return one._replace(prompt=[*one.prompt, *one.completion[:-1]], completion=one.completion[-1:])


def _first_said(messages: Sequence[Message]) -> int:
    return next((n for n, m in enumerate(messages) if m.get("role") == "assistant"), len(messages))


def _stands(attempt: Attempt) -> set[str]:
    """Return what is known to stand in an attempt's prompt and can be taken out."""
    return {name for names in attempt.bare for name in names.split("+")}


def _prompt(attempt: Attempt, begin: int, strip: frozenset[str]) -> Sequence[Message]:
    if not attempt.messages:
        return [{"role": "user", "content": attempt.task.prompt}]
    stands = _stands(attempt)
    if MEMORY in strip and attempt.used and MEMORY not in stands:
        raise Left("memory cannot be stripped")
    hint = attempt.task.data.get(HINT)
    if HINTS in strip - stands and isinstance(hint, str) and any(hint in _text(m) for m in attempt.messages[:begin]):
        raise Left("hints cannot be stripped")
    names = "+".join(sorted(strip & stands))
    if names and names not in attempt.bare:
        raise Left(f"{' and '.join(sorted(strip & stands))} cannot be stripped together")
    return attempt.bare[names] if names else attempt.messages[:begin]


def example(found: Found, one: Said, ability: str, shape: Shape) -> Row:
    """Return the row of an answer to learn."""
    chat: Row = {"prompt": [*one.prompt], "completion": [*one.completion]}
    if shape == "messages":
        chat = {"messages": [*one.prompt, *one.completion]}
    lineage: Row = {**_lineage(found), "attempt": one.attempt.id, **_corrected(one)}
    about: Row = {"score": one.attempt.score, "ability": ability, "synthetic": one.is_synthetic, "lineage": lineage}
    return {**chat, "tools": _tools(one.attempt.tools), **about}


def preference(found: Found, chosen: Said, rejected: Said, ability: str) -> Row:
    """Return the row of a better and a worse answer to one prompt; its margin is None where nobody scored both."""
    scores = chosen.attempt.score, rejected.attempt.score
    margin = None if scores[0] is None or scores[1] is None else scores[0] - scores[1]
    lineage: Row = {
        **_lineage(found),
        "chosen": chosen.attempt.id,
        "rejected": rejected.attempt.id,
        **_corrected(chosen),
    }
    chat: Row = {"prompt": [*chosen.prompt], "chosen": [*chosen.completion], "rejected": [*rejected.completion]}
    is_synthetic = chosen.is_synthetic or rejected.is_synthetic
    about: Row = {"margin": margin, "ability": ability, "synthetic": is_synthetic, "lineage": lineage}
    return {**chat, "tools": _tools(chosen.attempt.tools), **about}


def _lineage(found: Found) -> Row:
    task = found.experience.task.id
    return {"namespace": found.namespace, "run": found.run, "experience": found.id, "task": task}


def _corrected(one: Said) -> Row:
    return {"correction": True} if one.is_correction else {}


def _tools(tools: Sequence[Tool]) -> list[Json]:
    return [tool.as_openai() for tool in tools]


# --- messages as other libraries take them


def _portable(messages: Sequence[Message]) -> list[Message]:
    """Return messages as others take them.

    Arguments are objects, results have the names of their tools, parts that are all texts are one text, and there are
    no further fields.
    """
    names: dict[str, Json] = {}
    made = []
    for message in messages:
        kept = {name: message[name] for name in _KEPT if message.get(name) is not None}
        calls = kept.get("tool_calls")
        if isinstance(calls, list):
            read = [_call(call) for call in calls if isinstance(call, dict)]
            names |= {str(call.get("id")): _function(call).get("name") for call in read}
            kept["tool_calls"] = [*read]
        if kept.get("tool_call_id") in names:
            kept.setdefault("name", names[str(kept["tool_call_id"])])
        if "content" in kept and not _shown(message):
            kept["content"] = _text(message)
        made.append({"role": kept.pop("role", "user"), "content": kept.pop("content", ""), **kept})
    return made


def _call(call: dict[str, Json]) -> dict[str, Json]:
    function = dict(_function(call))
    given = function.get("arguments")
    try:
        if isinstance(given, str):
            function["arguments"] = json.loads(given or "{}")
        if _is_deep(function.get("arguments")):
            raise ValueError
        json.dumps(function, allow_nan=False)  # NaN is read, and so is 1e999, but neither is JSON
    except (ValueError, RecursionError):
        raise Left("a call that is no JSON") from None
    return {"id": call.get("id"), "type": "function", "function": function}


def _is_deep(value: Json) -> bool:
    level = [value]
    for _ in range(_DEEPEST):
        parts = ([*one.values()] if isinstance(one, dict) else one for one in level)
        level = [inner for part in parts if isinstance(part, list) for inner in part]
    return bool(level)


def _function(call: dict[str, Json]) -> dict[str, Json]:
    function = call.get("function")
    return function if isinstance(function, dict) else {}


def _functions(message: Message) -> list[dict[str, Json]]:
    calls = message.get("tool_calls")
    return [_function(call) for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []


def _is_an_answer(message: Message) -> bool:
    return bool(message.get("tool_calls")) or bool(_text(message).strip())


def _text(message: Message) -> str:
    """Return what a message says, also where it does so in parts."""
    content = message.get("content")
    parts = content if isinstance(content, list) else []
    texts = [text for part in parts if isinstance(part, dict) and isinstance(text := part.get("text"), str)]
    return content if isinstance(content, str) else "\n".join(texts)


def _said_within(value: Json) -> str:
    """Return the texts within a value, keys too, a line each."""
    found, left = list[str](), [value]
    while left:
        one = left.pop()
        if isinstance(one, str):
            found.append(one)
        inner = [part for pair in one.items() for part in pair] if isinstance(one, dict) else one
        left += reversed(inner if isinstance(inner, list) else [])
    return "\n".join(found)


def _all_said(message: Message) -> str:
    calls = (f"{f.get('name')} {f.get('arguments')}" for f in _functions(message))
    return "\n".join([_text(message), *_shown(message), *calls])


def _shown(message: Message) -> list[str]:
    """Return what stands for the parts of a message that are no texts, such as images: 64 words of their hashes each.

    So many, that a likeness of the words around them makes no repeat of what shows another image.
    """
    content = message.get("content")
    parts = content if isinstance(content, list) else []
    others = [part for part in parts if not (isinstance(part, dict) and isinstance(part.get("text"), str))]
    return [sha512(json.dumps(part, sort_keys=True).encode()).digest().hex(" ") for part in others]
