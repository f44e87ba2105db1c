"""One end of the channel between a judge and a solution: calls in both directions, strictly nested."""

from __future__ import annotations

import builtins
import inspect
import socket
from collections.abc import Callable

from agentevo.environments.sandbox.box import wire
from agentevo.environments.sandbox.box.plain import Unfit, decode, encode
from agentevo.environments.sandbox.box.remote import Remote, coroutine_function

LIMIT = 8 * 1024 * 1024
"""So long a message may be: arguments or a result."""

Act = Callable[[str, wire.Message], object]


class Gone(ConnectionError):
    """The other side has ended."""


class Peer:
    """Sends requests and answers the other side's; `act` does what the other side asks for."""

    def __init__(self, channel: socket.socket, act: Act, noted: Callable[[str], None] = lambda _: None) -> None:
        self.channel, self.act, self.noted = channel, act, noted
        self.objects: list[object] = []
        self.faults: list[str] = []
        """What went wrong beneath whoever asked, and may have been taken for an answer, or kept quiet."""
        self._errors: dict[str, type[BaseException]] = {}

    def ask(self, verb: str, **fields: object) -> object:
        """Have the other side do something; return its result, or raise what it raised."""
        self._send({"ask": verb, **{name: self.encode(value) for name, value in fields.items()}})
        while True:
            message = self._received()
            if "ask" in message:
                self._answer(message)
            elif "raised" in message:
                raise _not_an_end(self._rebuilt(message["raised"]), fields.get("name"))
            else:
                self._take_back(fields, message.get("changed"))
                return self.decode(message.get("result"))

    def _received(self) -> wire.Message:
        """Wait for a message; Gone where there is none, whatever kind of error a test would have liked to see."""
        try:
            message = wire.receive(self.channel, LIMIT)
        except (OSError, wire.Broken) as error:
            raise self._gone(f"sent what is no message ({error})") from error
        if message is None:
            raise self._gone("ended before it answered")
        return message

    def _gone(self, why: str) -> Gone:
        self.faults.append(f"the solution {why}")
        return Gone(f"the other side {why}")

    def serve(self) -> None:
        """Answer requests until the other side has gone."""
        while (message := wire.receive(self.channel, LIMIT)) is not None:
            if "ask" in message:
                self._answer(message)

    def _send(self, message: wire.Message) -> None:
        try:
            wire.send(self.channel, message, limit=LIMIT)
        except wire.Broken as error:
            raise Unfit(str(error)) from None
        except OSError as error:
            raise self._gone("ended before it was asked") from error

    def _answer(self, message: wire.Message) -> None:
        verb = str(message.pop("ask"))
        try:
            fields = {name: self.decode(value) for name, value in message.items()}
            before = {name: self.encode(fields.get(name)) for name in ("args", "kwargs")}
            result = self.act(verb, fields)
            reply: wire.Message = {"result": self.encode(result)}
            after = {name: self.encode(fields.get(name)) for name in before}
            self._send({**reply, "changed": after} if after != before else reply)
        except Gone:
            raise
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever asked
            if isinstance(error, AssertionError):  # who asked may keep it to itself
                self.faults.append(f"an assertion failed in what the solution called: {_text(error)}")
            self._send({"raised": self._described(error)})

    def _described(self, error: BaseException) -> list[object]:
        base = next(kind for kind in type(error).__mro__ if getattr(builtins, kind.__name__, None) is kind)
        try:
            arguments = encode([*error.args], _unfit)
        except Exception:  # noqa: BLE001 - arguments may be anything
            arguments = [_text(error)]
        return [type(error).__name__, base.__name__, arguments]

    def _rebuilt(self, described: object) -> BaseException:
        match described:
            case [str(name), str(base), arguments]:
                kind = self.error_type(name, base)
                given = decode(arguments, _unfit)
                try:
                    return kind(*given) if isinstance(given, list) else kind()
                except Exception:  # noqa: BLE001 - some take other arguments than they show
                    return RuntimeError(f"{name}: {given!r}"[:1000])
        raise Unfit("an exception was badly described")

    def error_type(self, name: str, base: str) -> type[BaseException]:
        """Return the exception type that stands for one of the other side: a builtin, or one made for its name."""
        known = getattr(builtins, base, None)
        if not (isinstance(known, type) and issubclass(known, BaseException)):
            known = Exception
        if name == base:
            return known
        return self._errors.setdefault(f"{name}({base})", type(name, (known,), {}))

    def encode(self, value: object) -> object:
        """Return a value as it crosses: plain, or a handle to it."""
        return encode(value, self._handle)

    def decode(self, coded: object) -> object:
        """Return what came: a plain value, an object of ours, or a stand-in for one of theirs."""
        return decode(coded, self._resolve)

    def _handle(self, value: object) -> object:
        if isinstance(value, Remote):
            return {"@": "yours", "v": value.__dict__["_number"]}
        if value is NotImplemented:
            return {"@": "not implemented"}
        if isinstance(value, type) and issubclass(value, BaseException):
            base = next(kind for kind in value.__mro__ if getattr(builtins, kind.__name__, None) is kind)
            return {"@": "error", "v": [value.__name__, base.__name__]}
        self.objects.append(value)
        kind = "coroutine" if inspect.iscoroutinefunction(value) else "object"
        return {"@": kind, "v": len(self.objects) - 1, "n": type(value).__name__}

    def _resolve(self, coded: dict[str, object]) -> object:
        match coded:
            case {"@": "yours", "v": int(number)} if 0 <= number < len(self.objects):
                return self.objects[number]
            case {"@": "not implemented"}:
                return NotImplemented
            case {"@": "error", "v": [str(name), str(base)]}:
                return self.error_type(name, base)
            case {"@": "coroutine", "v": int(number)}:
                return coroutine_function(Remote(self, number, "function"))
            case {"@": "object", "v": int(number), "n": str(name)}:
                return Remote(self, number, name)
        raise Unfit("a handle stands for nothing")

    def _take_back(self, fields: dict[str, object], changed: object) -> None:
        """Bring arguments up to date that the other side changed in place, as a call in one process would."""
        if not isinstance(changed, dict):
            return
        for name, coded in changed.items():
            given, now = fields.get(str(name)), self.decode(coded)
            if isinstance(given, dict) and isinstance(now, dict):
                given, now = [*given.values()], [*now.values()]
            if not (isinstance(given, list | tuple) and isinstance(now, list) and len(given) == len(now)):
                continue
            changes = [_update(old, new) for old, new in zip(given, now, strict=True)]
            if any(changes):
                self.noted("the solution changed an argument in place")


def _update(old: object, new: object) -> bool:
    """Make a value what the other side made of it; say whether that changed anything."""
    match old:
        case list() if isinstance(new, list) and old != new:
            old[:] = new
        case set() | dict() if type(new) is type(old) and old != new:
            old.clear()
            old.update(new)
        case _:
            return False
    return True


def _not_an_end(error: BaseException, operation: object) -> BaseException:
    """Return an exception that ends no loop of the caller's, unless the next element was asked for.

    A function that raises StopIteration would end a `map` over it early, and all checks after that would be skipped.
    """
    if isinstance(error, StopIteration | StopAsyncIteration | GeneratorExit) and operation != "__next__":
        return RuntimeError(f"{type(error).__name__} was raised by a function")
    return error


def _unfit(value: object) -> object:
    raise Unfit(f"{type(value).__name__} cannot cross")


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - a type of its own may fail at that too
        return type(error).__name__
