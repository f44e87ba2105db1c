"""The kernel interfaces that Python does not offer, called by number or through libc."""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct

from agentevo.environments.sandbox.box.numbers import OWN, machine, numbers

NEWNS, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = 0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
NEW_ANYTHING = NEWNS | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET | 0x2000000 | 0x80

MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE, MNT_DETACH = 2, 4, 4096, 16384, 1 << 18, 2
ATTR_RDONLY, ATTR_NOSUID, ATTR_NODEV, ATTR_NOEXEC = 1, 2, 4, 8
AT_RECURSIVE, AT_FDCWD = 0x8000, -100

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_SECUREBITS = 1, 4, 24, 28
PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 36, 38, 47
SECURE_NOROOT_LOCKED = 0x2F
"""Root gets no capabilities by exec, keeps none, raises none ambient; all of it locked."""
CAPABILITY_VERSION_3 = 0x20080522
LAST_CAPABILITY = 63

_libc = ctypes.CDLL(None, use_errno=True)
_numbers = numbers(OWN, machine())


def call(name: str, *arguments: int | bytes | ctypes.Array[ctypes.c_char] | None) -> int:
    """Make a system call; raise OSError, which names the call, where the kernel refuses."""
    passed = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    result = int(_libc.syscall(ctypes.c_long(_numbers[name]), *passed))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def prctl(option: int, *arguments: int) -> int:
    """Change how this process is treated; raise OSError where the kernel refuses."""
    padded = [ctypes.c_ulong(one) for one in (*arguments, 0, 0, 0, 0)[:4]]
    result = int(_libc.prctl(option, *padded))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl {option}: {os.strerror(number)}")
    return result


def unshare(flags: int) -> None:
    """Leave the namespaces named by the flags for new ones."""
    call("unshare", flags)


def mount(source: str, target: str, kind: str | None, flags: int, data: str = "") -> None:
    """Mount something in this mount namespace."""
    call("mount", os.fsencode(source), os.fsencode(target), kind.encode() if kind else None, flags, data.encode())


def set_mount_flags(target: str, flags: int, *, recursive: bool = True) -> None:
    """Add flags such as read-only to a mount, and to all below it."""
    attributes = struct.pack("QQQQ", flags, 0, 0, 0)
    call("mount_setattr", AT_FDCWD, os.fsencode(target), AT_RECURSIVE * recursive, attributes, len(attributes))


def enter_root(folder: str) -> None:
    """Make a folder, which must be a mount, the root; the old root is gone from sight."""
    os.chdir(folder)
    call("pivot_root", b".", b".")
    call("umount2", b".", MNT_DETACH)
    os.chdir("/")


def die_with_parent(signal: int = 9) -> None:
    """Have the kernel send a signal to this process when its parent ends."""
    prctl(PR_SET_PDEATHSIG, signal)


def drop_bounding() -> None:
    """Have no program that is executed from here on gain a capability; those that are held stay."""
    for capability in range(LAST_CAPABILITY + 1):
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OSError:  # past the last one this kernel knows, or not allowed to: then there is none to lose
            break


def drop_capabilities(*, bounding: bool = True) -> None:
    """Give up every capability for good, also those that exec would bring back, unless they are out of bounds."""
    if bounding:
        drop_bounding()
    with contextlib.suppress(PermissionError):  # who may not set them gets nothing back by exec: see the last line
        prctl(PR_SET_SECUREBITS, SECURE_NOROOT_LOCKED)
    prctl(PR_CAP_AMBIENT, 4)
    call("capset", struct.pack("Ii", CAPABILITY_VERSION_3, 0), struct.pack("6I", *[0] * 6))
    prctl(PR_SET_NO_NEW_PRIVS, 1)


def effective_capabilities() -> int:
    """Return the capabilities of this process as bits, as its status shows them."""
    with open("/proc/self/status", encoding="ascii") as status:
        return int(next(line.split()[1] for line in status if line.startswith("CapEff")), 16)
