"""The side of the tests: run every check here, and have the solution's functions called over there.

Nothing of the solution runs in this process, so it can neither read the tests nor change how they are counted.
"""

from __future__ import annotations

import functools
import inspect
import socket
import sys
import types
from collections.abc import Callable

from agentevo.environments.sandbox.box import asserts, checks, program, wire
from agentevo.environments.sandbox.box.imports import Finder
from agentevo.environments.sandbox.box.peer import Gone, Peer
from agentevo.environments.sandbox.box.remote import OPERATORS, operate

TESTS = "tests"
MESSAGE_LIMIT = 2000
CHANGING = ("__setitem__", "__delitem__")
CHANGED = "the solution changed an object of the tests"
TRUSTED = frozenset((*sys.stdlib_module_names, "pytest", TESTS))
"""What tests import by these names is never a solution's, however it named its files."""


def judge(job: wire.Message, channel: socket.socket, link: socket.socket) -> int:
    """Run the checks of the tests and report each to the supervisor as it ends."""
    weak: list[str] = []
    peer = Peer(channel, functools.partial(act, noted=weak.append), weak.append)
    source = str(job["tests"])
    program.prepare(source, f"{TESTS}.py")
    loaded = wire.receive(channel) or {"why": "it ended while it was loaded"}
    plan, names = checks.Plan(str(job["style"])), types.ModuleType(TESTS)
    sys.modules[TESTS] = names
    failure = "" if loaded.get("loaded") is True else f"the solution did not load: {str(loaded.get('why'))[:200]}"
    try:
        if not failure:
            _name_solution(job, peer, names.__dict__, weak)
            plan.load(source, names.__dict__, str(job["entry_point"]))
        failure = failure or "; ".join(peer.faults)
    except BaseException as error:  # noqa: BLE001 - tests may raise anything where the solution lacks something
        failure = described(error)
    declared = [*plan.checks] or ["tests"]
    wire.send(link, {"declared": declared})
    for name in declared:
        message = failure or run(plan.checks[name], peer.faults)
        wire.send(link, {"check": name, "passed": not message, "message": message})
    wire.send(link, {"finished": True, "weak": "; ".join(dict.fromkeys(weak))[:MESSAGE_LIMIT]})
    return 0


def run(check: Callable[[], None], faults: list[str]) -> str:
    """Run one check; return how it failed, or nothing. One that did not mind what went wrong meanwhile has failed."""
    faults.clear()
    try:
        check()
        return faults[0][:MESSAGE_LIMIT] if faults else ""
    except BaseException as error:  # noqa: BLE001 - whatever a check raises, it has failed
        return described(error)


def described(error: BaseException) -> str:
    """Return an exception in words; one that says nothing has its type's name."""
    try:
        text = str(error)
    except BaseException:  # noqa: BLE001 - a type from tests may fail at that too
        text = ""
    name = "" if isinstance(error, AssertionError) and text else type(error).__name__
    if isinstance(error, Gone):
        name, text = "", "the solution ended before it answered"
    return ": ".join(part for part in (name, text[:MESSAGE_LIMIT]) if part)


def _name_solution(job: wire.Message, peer: Peer, names: dict[str, object], weak: list[str]) -> None:
    """Make names of the solution known to the tests: what is asked for, what they import, what they only use."""
    given = job["modules"] if isinstance(job["modules"], list) else []
    modules = [str(name) for name in given if str(name).partition(".")[0] not in TRUSTED]
    sys.meta_path.insert(0, Finder(peer, modules))
    support = str(job.get("support") or "")
    exec(compile(support, "support.py", "exec", dont_inherit=True), names)
    entry = str(job["entry_point"])
    if entry:
        names[entry] = _resolved(peer, entry)
    for name in asserts.undefined(str(job["tests"]), {*names, *modules}):
        try:
            names[name] = peer.ask("resolve", module="", name=name)
        except AttributeError:
            continue
        weak.append(f"{name} is used by the tests and defined by the solution only")


def _resolved(peer: Peer, entry: str) -> object:
    try:
        return peer.ask("resolve", module="", name=entry)
    except AttributeError:
        raise NameError(f"the solution does not define {entry}") from None


def act(verb: str, fields: wire.Message, noted: Callable[[str], None]) -> object:
    """Do what the solution asks of an object the tests gave it: call it, or use public parts of the tests' own types.

    Anything more would let a solution walk from an argument to the tests: through frames, globals, modules.
    """
    target, name, args = fields.get("target"), str(fields.get("name", "")), fields.get("args")
    positional = args if isinstance(args, list) else []
    named = fields.get("kwargs")
    own = type(target).__module__ == TESTS and not name.startswith("_")
    match verb:
        case "call" if _may_call(target):
            return target(*positional, **(named if isinstance(named, dict) else {}))  # type: ignore[operator]
        case "get" if own:
            return getattr(target, name)
        case "set" if own:
            noted(CHANGED)
            setattr(target, name, fields.get("value"))
            return None
        case "operate" if name in OPERATORS and (type(target).__module__ == TESTS or inspect.isgenerator(target)):
            if name in CHANGING:
                noted(CHANGED)
            return operate(target, name, positional)
    raise TypeError(f"a {type(target).__name__} of the tests cannot be used so by a solution ({verb} {name})")


def _may_call(target: object) -> bool:
    """Say whether it is a function, method or class; those of the interpreter only where they are harmless."""
    if isinstance(target, types.BuiltinFunctionType | types.MethodWrapperType):
        return getattr(target, "__module__", None) in (None, "builtins", "math", "_operator") and (
            getattr(target, "__name__", "") not in UNSAFE
        )
    return callable(target)


UNSAFE = ("eval", "exec", "compile", "open", "getattr", "setattr", "delattr", "vars", "globals", "locals", "dir",
          "__import__", "input", "breakpoint", "print")  # fmt: skip
