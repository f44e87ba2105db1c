"""The side of a solution: load it, then do what the judge asks, one call at a time."""

from __future__ import annotations

import importlib
import socket
import sys
import types

from agentevo.environments.sandbox.box import program, wire
from agentevo.environments.sandbox.box.peer import Peer
from agentevo.environments.sandbox.box.remote import OPERATORS, operate

SOLUTION = "solution"


def serve(job: wire.Message, channel: socket.socket) -> int:
    """Load the solution and answer the judge until it has heard enough."""
    code, name = str(job["code"]), f"{SOLUTION}.py"
    module = types.ModuleType(SOLUTION)
    module.__dict__.update(__file__=name, __builtins__=__builtins__)
    program.prepare(code, name)
    sys.modules[SOLUTION] = module
    try:
        exec(compile(code, name, "exec", dont_inherit=True), module.__dict__)
    except BaseException as error:  # noqa: BLE001 - a program may raise anything
        program.show(error)
        wire.send(channel, {"loaded": False, "why": f"{type(error).__name__} while it was loaded"})
        return 1
    wire.send(channel, {"loaded": True})
    Peer(channel, lambda verb, fields: do(verb, fields, module)).serve()
    return 0


def do(verb: str, fields: wire.Message, module: types.ModuleType) -> object:
    """Do one thing the judge asked for. Nothing is refused here: this side is hostile anyway, and walled in."""
    target, name = fields.get("target"), str(fields.get("name", ""))
    args, kwargs = fields.get("args"), fields.get("kwargs")
    positional = args if isinstance(args, list) else []
    named = kwargs if isinstance(kwargs, dict) else {}
    match verb:
        case "resolve":
            where = importlib.import_module(str(fields["module"])) if fields["module"] else module
            return getattr(where, name)
        case "names":
            where = importlib.import_module(str(fields["module"]))
            return [*getattr(where, "__all__", [one for one in vars(where) if not one.startswith("_")])]
        case "call" if callable(target):
            return target(*positional, **named)
        case "run" if callable(target):
            import asyncio  # large, and few need it: see PRELOADED

            return asyncio.run(target(*positional, **named))
        case "get":
            return getattr(target, name)
        case "set":
            setattr(target, name, fields["value"])
            return None
        case "operate" if name == "isinstance" and isinstance(target, type):
            return isinstance(positional[0], target)
        case "operate" if name in OPERATORS:
            return operate(target, name, positional)
    raise TypeError(f"{type(target).__name__} cannot {verb} {name}")
