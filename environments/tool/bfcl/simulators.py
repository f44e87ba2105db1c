"""The inside of BFCL's worker: each conversation has its simulators in a forked process of its own.

What one conversation does cannot be seen by another: the modules' tables, which some simulators write into, are those
of its own process. A call that never ends, or takes all memory, ends that process alone. The wheel's own way to run a
call, through `eval`, is taken away; its comparison of states and results is what judges.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, NoReturn

CALL_S, JUDGE_S = 5.0, 60.0
MEMORY = 2 << 30
EVALUATOR = "bfcl_eval.eval_checker.multi_turn_eval"
FAILED = "Error during execution: "
OVER = FAILED + "an earlier call took too long or too much memory, and the system was stopped"

Calls = Sequence[tuple[str, Mapping[str, Any]]]


class Simulators:
    """What the environment asks; conversations are known by the number that `open` gave them."""

    def __init__(self, folder: str) -> None:
        sys.path.insert(0, folder)
        self._checker = importlib.import_module(f"{EVALUATOR}.multi_turn_checker")
        config = importlib.import_module("bfcl_eval.constants.executable_backend_config")
        self._stateless = frozenset(config.STATELESS_CLASSES)
        ours = f"{EVALUATOR}.func_source_code."
        found = {name: path for name, path in config.CLASS_FILE_PATH_MAPPING.items() if _is_here(folder, path, ours)}
        self._modules = {name: importlib.import_module(path) for name, path in found.items()}
        for module in (*self._modules.values(), importlib.import_module(f"{EVALUATOR}.multi_turn_utils")):
            vars(module)["eval"] = _refused
        self._tables = {name: _tables(module) for name, module in self._modules.items()}
        self._open: dict[int, _Child] = {}
        self._opened = 0

    def open(self, classes: list[str], config: dict[str, Any], is_long: bool) -> int:
        """Begin a conversation, and return its number."""
        self._opened += 1
        self._open[self._opened] = _Child(lambda: _Conversation(self._made(classes, config, is_long)))
        return self._opened

    def call(self, number: int, name: str, arguments: dict[str, Any]) -> str:
        """Call a function in a conversation, and return what it says, also where that is an error."""
        answer = self._open[number].ask("call", [name, arguments], CALL_S)
        return OVER if answer is None else str(answer)

    def close(self, number: int) -> None:
        """End a conversation; one that is closed is left alone."""
        if child := self._open.pop(number, None):
            child.end()

    def judge(
        self, classes: list[str], config: dict[str, Any], is_long: bool, done: list[Calls], right: list[Calls]
    ) -> dict[str, Any]:
        """Return in which turn what was done is not right, and why; {} where it is right."""
        child = _Child(lambda: _Judge(self._checker, lambda: self._made(classes, config, is_long)))
        try:
            answer = child.ask("judged", [done, right], JUDGE_S)
        finally:
            child.end()
        return answer if isinstance(answer, dict) else {"turn": len(done) - 1, "why": "a call never ended"}

    def _made(self, classes: Sequence[str], config: Mapping[str, Any], is_long: bool) -> dict[str, Any]:
        """Return new simulators, over tables that no other has written into."""
        made = {}
        for name in classes:
            vars(self._modules[name]).update(copy.deepcopy(self._tables[name]))
            made[name] = getattr(self._modules[name], name)()
            if name not in self._stateless:
                made[name]._load_scenario(copy.deepcopy(config.get(name, {})), long_context=is_long)
        return made


class _Conversation:
    """The simulators of one conversation, in the process that is theirs."""

    def __init__(self, simulators: Mapping[str, Any]) -> None:
        self.simulators = simulators
        public = (pair for one in simulators.values() for pair in inspect.getmembers(one, inspect.ismethod))
        self._functions = {name: method for name, method in public if not name.startswith("_")}

    def call(self, name: str, arguments: Mapping[str, Any]) -> str:
        """Return what a function returns, in the wheel's words."""
        if name not in self._functions:
            return f"{FAILED}there is no function {name!r}"
        try:
            found = self._functions[name](**arguments)
        except Exception as error:  # noqa: BLE001 - an error is what the caller sees
            return f"{FAILED}{error}"
        if isinstance(found, str):
            return found
        try:
            return json.dumps(found) if isinstance(found, dict) else str(found)
        except (TypeError, ValueError):
            return str(found)


class _Judge:
    """Both sides of a judgement: what was done, and what is right, each on simulators of its own."""

    def __init__(self, checker: ModuleType, made: Callable[[], dict[str, Any]]) -> None:
        self._checker, self._done, self._right = checker, _Conversation(made()), _Conversation(made())

    def judged(self, done: list[Calls], right: list[Calls]) -> dict[str, Any]:
        """Compare after each turn in which something is right to do, as the wheel does."""
        results: list[str] = []
        for turn, (ours, theirs) in enumerate(zip(done, right, strict=True)):
            results += [self._done.call(*call) for call in ours]
            expected = [self._right.call(*call) for call in theirs]
            if why := self._differs(turn, ours, results, expected) if theirs else "":
                return {"turn": turn, "why": why}
        return {}

    def _differs(self, turn: int, ours: Calls, results: list[str], expected: list[str]) -> str:
        if not ours:
            return "nothing was called"
        state = self._checker.state_checker(self._done.simulators, self._right.simulators)
        if not state["valid"]:
            return f"the state is another: {', '.join(map(str, state['details']['differences']))}"
        is_whole = self._checker.response_checker(results, expected, turn)["valid"]
        return "" if is_whole else "a result that is needed was not asked for"


class _Child:
    """A forked process that answers for one object, and can be given up."""

    def __init__(self, make: Callable[[], object]) -> None:
        self._line, theirs = socket.socketpair()
        self._pid = os.fork()
        if self._pid == 0:
            _serve(theirs, make)
        theirs.close()
        self._is_over = False

    def ask(self, method: str, arguments: list[Any], patience_s: float) -> Any:
        """Return an answer, or None where none comes: the process is ended then."""
        if self._is_over:
            return None
        answer = bytearray()
        try:
            self._line.settimeout(patience_s)
            self._line.sendall(json.dumps([method, arguments]).encode() + b"\n")
            while not answer.endswith(b"\n"):
                if not (more := self._line.recv(1 << 16)):
                    raise EOFError
                answer += more
        except (OSError, EOFError):
            self.end()
            return None
        return json.loads(answer)

    def end(self) -> None:
        """End the process; twice is fine."""
        if not self._is_over:
            self._is_over = True
            self._line.close()
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)


def _serve(line: socket.socket, make: Callable[[], object]) -> NoReturn:
    """Answer until nobody asks any more; nothing of the worker is kept open, so that its end is seen."""
    kept = line.fileno()
    os.closerange(3, kept)
    os.closerange(kept + 1, 65536)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    try:
        one = make()
        for text in line.makefile("rb"):
            method, arguments = json.loads(text)
            line.sendall(json.dumps(getattr(one, method)(*arguments)).encode() + b"\n")
    finally:
        os._exit(0)


def _tables(module: ModuleType) -> dict[str, Any]:
    """Return a copy of the tables that a module holds: some are handed out, and written into."""
    return {name: copy.deepcopy(value) for name, value in vars(module).items() if isinstance(value, dict | list)
            and not name.startswith("_")}  # fmt: skip


def _is_here(folder: str, path: str, ours: str) -> bool:
    return path.startswith(ours) and os.path.exists(os.path.join(folder, *path.split(".")) + ".py")  # noqa: PTH110, PTH118 - no pathlib needed in the worker


def _refused(*_: object, **__: object) -> NoReturn:
    raise RuntimeError("no text is run as code here")
