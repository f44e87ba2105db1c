"""The process that runs a program: walled in first, then told what to run."""

from __future__ import annotations

import atexit
import base64
import gc
import os
import resource
import signal
import socket
import sys
import threading
import traceback
import types
from typing import NoReturn, Protocol

from agentevo.environments.sandbox.box import wire
from agentevo.environments.sandbox.box.syscalls import drop_capabilities

BOX = os.path.dirname(__file__) + os.sep
MAIN = "main.py"
MEGABYTE = 1024 * 1024
LINK = 3


class Confining(Protocol):
    """The part of a tier's walls that is put on this process."""

    proc: int

    def confine(self) -> int: ...


def live(link: socket.socket, out: int, err: int, walls: Confining) -> NoReturn:
    """Be the program's process; never return into the code of the supervisor."""
    status = 1
    try:
        shown = os.readlink("self", dir_fd=walls.proc)
        link = _only_descriptors(link, out, err)
        _settle()
        drop_capabilities()
        walls.confine()
        wire.send(link, {"shown": shown})
        job, descriptors = wire.receive_all(link)
        if job is not None:
            status = _do(job, descriptors, link)
    except BaseException as error:  # noqa: BLE001 - whatever it is, this process ends here
        _report(error, link)
    finally:
        _flush()
        os._exit(status)


def _report(error: BaseException, link: socket.socket) -> None:
    try:
        wire.send(link, {"failed": f"{type(error).__name__}: {error}"})
    except (OSError, ValueError):
        traceback.print_exception(error)


def _only_descriptors(link: socket.socket, out: int, err: int) -> socket.socket:
    """Keep the three streams and the link, which is number 3; close all else."""
    os.dup2(out, 1)
    os.dup2(err, 2)
    moved = os.dup2(link.detach(), LINK, inheritable=False)
    os.closerange(LINK + 1, 4096)
    return socket.socket(fileno=moved)


def _settle() -> None:
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - lives as long as the process
    sys.stdout = open(1, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr  # type: ignore[misc]


def _do(job: wire.Message, descriptors: list[int], link: socket.socket) -> int:
    """Do what the job says; return the exit status."""
    limits = job["limits"]
    assert isinstance(limits, dict)
    os.dup2(descriptors[0], 0)
    os.close(descriptors[0])
    _limit(limits)
    _write(job.get("files"))
    match job["mode"]:
        case "run":
            link.close()
            return run(str(job["code"]))
        case "serve":
            from agentevo.environments.sandbox.box.candidate import serve

            link.close()
            return serve(job, socket.socket(fileno=descriptors[1]))
        case "judge":
            from agentevo.environments.sandbox.box.judge import judge

            return judge(job, socket.socket(fileno=descriptors[1]), link)
        case mode:
            raise ValueError(f"unknown mode {mode!r}")


def _limit(limits: dict[str, float]) -> None:
    """Set the limits that the kernel holds a process to."""
    for kind, value in (
        (resource.RLIMIT_DATA, limits["memory_mb"] * MEGABYTE),
        (resource.RLIMIT_CPU, limits["cpu_s"] + 1),
        (resource.RLIMIT_NPROC, limits["processes"] + 1),  # the supervisor is one of them
        (resource.RLIMIT_NOFILE, limits["open_files"]),
        (resource.RLIMIT_FSIZE, limits["file_size_mb"] * MEGABYTE),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
    ):
        _, highest = resource.getrlimit(kind)
        wanted = int(value) if highest == resource.RLIM_INFINITY else min(int(value), highest)
        resource.setrlimit(kind, (wanted, wanted))


def _write(files: object) -> None:
    """Write the files a program comes with; their names were checked before they were sent."""
    for name, text in files.items() if isinstance(files, dict) else ():
        folder = os.path.dirname(name)
        if folder:
            os.makedirs(folder, exist_ok=True)
        with open(name, "wb") as file:
            file.write(base64.b64decode(text))


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


def prepare(code: str, name: str) -> None:
    """Make the process look as if it had just been started; the source is on the disk, so tracebacks show lines."""
    with open(name, "wb") as file:
        file.write(code.encode("utf-8"))
    for own in [module for module in sys.modules if module.partition(".")[0] == "agentevo"]:
        del sys.modules[own]
    sys.argv = [name]
    sys.path.insert(0, os.getcwd())
    gc.unfreeze()


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
    return status if _flush() else status or 120


def _flush() -> bool:
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001 - the program may have closed or replaced them
        return False
    return True
