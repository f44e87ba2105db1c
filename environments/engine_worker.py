"""The inside of a worker process: makes an engine that somebody else wrote, and calls its methods as it is asked to.

A line of JSON in, a line out: {"id": 7, "calls": [["step", {"action": "look"}]]} is answered by {"id": 7, "values":
[...]}, and where a call raised, with what it raised as "error". What the engine prints goes to stderr. A socket that a
call returned is handed over beside its answer, in which it is "handed".
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

MOST_SAID = 4_000
"""Characters of an exception that are sent."""


def main() -> None:
    """Answer until nobody asks any more."""
    config = json.loads(sys.argv[1])
    channel = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)
    sys.stdout = sys.stderr  # which is written through: it may be the last that is heard
    threading.Thread(target=_watch, args=(channel.fileno(),), daemon=True).start()
    made = _tried(0, lambda: _made(config))
    engine = made.pop("made", None)
    _send(channel, made)
    for line in channel.makefile("rb"):  # also where there is no engine: what was sent is lost if we end before we read
        asked = json.loads(line)
        if engine is None:
            break
        _send(channel, _answered(engine, asked["id"], asked["calls"]))
    os._exit(0)  # threads of the engine do not keep it


def _watch(channel: int) -> None:
    """End at once, and all that was started here, when the other side is gone: in the middle of a call too."""
    poll = select.poll()
    poll.register(channel, getattr(select, "POLLRDHUP", select.POLLHUP))
    while not poll.poll():
        pass
    os.killpg(0, signal.SIGKILL)


def _made(config: Mapping[str, Any]) -> dict[str, Any]:
    sys.path[:] = config["path"]
    for name, (origin, folders) in config["packages"].items():
        _known(name, origin, folders)
    module, _, callable_ = config["factory"].partition(":")
    make: Callable[..., object] = getattr(importlib.import_module(module), callable_)
    return {"made": make(**config["arguments"])}


def _known(name: str, origin: str | None, folders: list[str]) -> None:
    """Have a package found without a look into the folder that it lies in, which may not be readable.

    Without an origin it is there for the modules in it alone, and what it would import itself stays out.
    """
    if origin is None:
        sys.modules[name] = ModuleType(name)
        sys.modules[name].__path__ = folders
        return
    spec = importlib.util.spec_from_file_location(name, origin, submodule_search_locations=folders or None)
    assert spec is not None
    assert spec.loader is not None
    sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])


def _answered(engine: object, number: int, calls: list[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    values: list[object] = []
    failed = _tried(number, lambda: {"values": values, **_called(engine, calls, values)})
    return {"values": values, **failed}


def _called(engine: object, calls: list[tuple[str, dict[str, Any]]], values: list[object]) -> dict[str, Any]:
    """Add what each call returned to the values; stop at the first that raises."""
    for method, arguments in calls:
        if method.startswith("_"):
            raise AttributeError(f"{method!r} is not for others to call")
        values.append(getattr(engine, method)(**arguments))
    return {}


def _tried(number: int, act: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return {"id": number, **act()}
    except BaseException as error:  # noqa: BLE001 - whatever it raises is what is told
        said = "; caused by ".join(f"{type(one).__name__}: {one}" for one in _causes(error))
        return {"id": number, "error": {"type": type(error).__name__, "message": said[:MOST_SAID]}}


def _causes(error: BaseException) -> Iterator[BaseException]:
    one: BaseException | None = error
    while one is not None:
        yield one
        one = one.__cause__


def _handed(value: object) -> str:
    """Write what JSON does not know: a socket, which goes beside the text."""
    if isinstance(value, socket.socket):
        return "handed"
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


# Made once: json.dumps makes another one for each call that is not by its defaults.
_encoded = json.JSONEncoder(allow_nan=False, separators=(",", ":"), default=_handed).encode


def _send(channel: socket.socket, answer: dict[str, Any]) -> None:
    try:
        text = _encoded(answer)
    except (TypeError, ValueError, RecursionError) as error:
        said = f"what it returned cannot be sent as JSON: {error}"
        answer = {"id": answer["id"], "error": {"type": type(error).__name__, "message": said[:MOST_SAID]}}
        text = json.dumps(answer)
    data, sent = text.encode("ascii") + b"\n", 0
    if handed := [value.fileno() for value in answer.get("values", ()) if isinstance(value, socket.socket)]:
        sent = socket.send_fds(channel, [data], handed)
    channel.sendall(data[sent:])


if __name__ == "__main__":
    main()
