"""Running a program as the interpreter would: its main module, its exceptions, its end."""

from __future__ import annotations

import atexit
import json
import linecache
import os
import sys
import threading
import traceback
import types

BOX = os.path.dirname(__file__) + os.sep
MAIN = "main.py"
HIDDEN: list[types.ModuleType] = []
"""Our own modules, which a program does not find: kept, because to free them would copy shared pages of memory."""


def run(code: str, name: str = MAIN) -> int:
    """Run a program as `python main.py` would, to the end of its threads and exit handlers; return its status."""
    main = as_main(code, name)
    status = execute(code, name, main.__dict__)
    return leave(status)


def as_main(code: str, name: str) -> types.ModuleType:
    """Make a fresh main module for a program."""
    prepare(code, name)
    main = types.ModuleType("__main__")
    main.__dict__.update(__file__=name, __builtins__=__builtins__)
    sys.modules["__main__"] = main
    return main


def rehearse() -> None:
    """Do once, before there is a program, what every run does: the pages of memory it touches are then its own."""
    names = types.ModuleType("__main__").__dict__
    exec(compile("print(end='')", MAIN, "exec", dont_inherit=True), names)
    json.loads(json.dumps({"rehearsed": True}))
    flush()


def hide() -> None:
    """Take our own modules out of sight, and keep what a program's main module takes the place of."""
    HIDDEN.append(sys.modules["__main__"])
    for own in [module for module in sys.modules if module.partition(".")[0] == "agentevo"]:
        HIDDEN.append(sys.modules.pop(own))


def prepare(code: str, name: str) -> None:
    """Make the process look as if it had just been started; the source is on the disk, so tracebacks show lines."""
    with open(name, "wb") as file:
        file.write(code.encode("utf-8"))
    sys.argv = [name]
    sys.path.insert(0, os.getcwd())


def execute(code: str, name: str, names: dict[str, object]) -> int:
    """Execute code; an exception is shown as the interpreter shows it. Return the exit status."""
    try:
        exec(compile(code, name, "exec", dont_inherit=True), names)
    except SystemExit as left:
        return exit_status(left)
    except BaseException as error:  # noqa: BLE001 - a program may raise anything
        show(error)
        return 1
    return 0


def remembered(code: str, name: str) -> str:
    """Have tracebacks show the lines of code that is in no file; return it."""
    linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
    return code


def exit_status(left: SystemExit) -> int:
    """Return the status that a SystemExit stands for."""
    match left.code:
        case None:
            return 0
        case bool() | int():
            return int(left.code) & 0xFF
        case other:
            print(other, file=sys.stderr)  # noqa: T201
            return 1


def show(error: BaseException) -> None:
    """Print an exception without the frames of what runs the program."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(BOX):
        trace = trace.tb_next
    error = error.with_traceback(trace)
    try:
        if sys.excepthook is sys.__excepthook__:
            traceback.print_exception(error)  # this one looks up lines that are in no file
        else:
            sys.excepthook(type(error), error, trace)
    except BaseException:  # noqa: BLE001 - a program may have replaced the hook with anything
        traceback.print_exception(error)


def leave(status: int) -> int:
    """Do what the interpreter does before it ends: wait for threads, call exit handlers, flush."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    except SystemExit as left:
        status = exit_status(left)
    except BaseException as error:  # noqa: BLE001
        show(error)
    return status if flush() else status or 120


def flush() -> bool:
    """Write out what is buffered; say whether that could be done."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001 - the program may have closed or replaced them
        return False
    return True
