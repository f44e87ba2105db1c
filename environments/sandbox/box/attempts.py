"""What a self-test tries from inside, as a program of its own: it is sent to a worker as text.

Each attempt returns what it got, or raises OSError where it was refused.
"""

import contextlib
import ctypes
import json
import os
import platform
import signal
import socket
import struct
import time
from collections.abc import Callable

ATTEMPTS = (
    "read a file outside", "write a file outside", "create a file outside", "connect to a listener",
    "send a datagram", "signal a process outside", "trace a process outside", "read memory of a process outside",
    "read /proc/1/environ", "make a user namespace", "use io_uring", "hold a capability", "raise a capability",
    "use the 32-bit entry point",
)  # fmt: skip
FROM_AFAR = (*ATTEMPTS[:5], "find a way into a network")
"""What can be tried of a machine elsewhere, on which the numbers of processes are its own."""
NUMBERS = {
    "x86_64": {"ptrace": 101, "unshare": 272, "io_uring_setup": 425, "capget": 125, "capset": 126, "readv": 310},
    "aarch64": {"ptrace": 117, "unshare": 97, "io_uring_setup": 425, "capget": 90, "capset": 91, "readv": 270},
}
Act = Callable[[], object]
X32_GETPID = 0x40000000 + 39
NEWUSER = 0x10000000
PTRACE_SEIZE = 0x4206
"""Traces without stopping: the victim is the zygote."""


def attempt(canary: str, created: str, port: int, victim: int) -> None:
    """Try everything and print what got through; a refusal prints as false."""
    acts: tuple[Act, ...] = (
        *_acts_outside(canary, created, port),
        lambda: os.kill(victim, signal.SIGCONT),
        lambda: _call("ptrace", PTRACE_SEIZE, victim, 0, 0),
        lambda: _call("readv", victim, *_vectors(), 0),
        lambda: open("/proc/1/environ", "rb").read(),  # noqa: SIM115
        lambda: _call("unshare", NEWUSER),
        lambda: _call("io_uring_setup", 1, ctypes.create_string_buffer(256)),
        _capabilities,
        lambda: _call("capset", _header(), struct.pack("6I", *[0xFFFFFFFF] * 3 + [0] * 3)),
        _other_entry,
    )
    _tell(ATTEMPTS, acts)


def attempt_from_afar(canary: str, created: str, port: int) -> None:
    """Try what concerns the machine that asks, and networks."""
    _tell(FROM_AFAR, (*_acts_outside(canary, created, port), _route))


def _acts_outside(canary: str, created: str, port: int) -> tuple[Act, ...]:
    return (
        lambda: open(canary, "rb").read(),
        lambda: open(canary, "wb").write(b"changed"),
        lambda: os.close(os.open(created, os.O_CREAT | os.O_WRONLY)),
        lambda: socket.create_connection(("127.0.0.1", port), 2).close(),
        lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"out", ("127.0.0.1", port)),
    )


def _tell(names: tuple[str, ...], acts: tuple[Act, ...]) -> None:
    outcomes: dict[str, str | bool] = {}
    for name, act in zip(names, acts, strict=True):
        try:
            outcomes[name] = f"it worked ({act()!r:.60})"
        except OSError:
            outcomes[name] = False
    print(json.dumps(outcomes))  # noqa: T201


def _route() -> str:
    """Return the address from which packets would go to a network of examples, which nobody answers in; send none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.connect(("192.0.2.1", 9))
        return str(asking.getsockname()[0])


def leave_daemon(name: str) -> None:
    """Leave a process behind that has cut every tie to this one, and bears a name to be found by."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            ctypes.CDLL(None).prctl(15, name.encode(), 0, 0, 0)
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            os.closerange(0, 64)
            time.sleep(60)
        os._exit(0)
    with contextlib.suppress(ChildProcessError):
        os.wait()


def _call(name: str, *arguments: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    number = NUMBERS[platform.machine()][name]
    result = int(libc.syscall(number, *arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), name)
    return result


def _vectors() -> tuple[object, ...]:
    room = ctypes.create_string_buffer(16)
    vector = struct.pack("PP", ctypes.addressof(room), 16)
    return vector, 1, vector, 1


def _header() -> bytes:
    return struct.pack("Ii", 0x20080522, 0)


def _capabilities() -> int:
    """Return the effective capabilities; none is a refusal."""
    held = ctypes.create_string_buffer(24)
    _call("capget", _header(), held)
    effective = struct.unpack("6I", held.raw)[0]
    if not effective:
        raise PermissionError("none")
    return int(effective)


def _other_entry() -> int:
    """Make a system call through x32, in a process of its own, which the filter ends."""
    if platform.machine() != "x86_64":
        raise OSError("no other entry point")
    pid = os.fork()
    if pid == 0:
        ctypes.CDLL(None).syscall(ctypes.c_long(X32_GETPID))
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    if status:
        raise PermissionError("ended by the filter")
    return 0
