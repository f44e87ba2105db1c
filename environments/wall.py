"""The wall around a server or an engine: a program of its own, which puts it up around itself and becomes the other.

Covered: files (only what was granted can be read, and one folder written), TCP, signals to other processes; where the
kernel allows new namespaces also all other network, sockets that lie among files, and every process that is left
behind. A network of its own has a loopback, which leads nowhere else: some engines are two programs that talk over it.
Sockets that no namespace holds, to a virtual machine's host say, are refused by a filter; where the kernel allows no
namespaces, or no mounts in them, sockets among files too, and all but TCP's.
Not covered: memory, processor time and disk; the names of running processes.
"""

# Plain os.path and open: pathlib takes time to load.
# ruff: noqa: PTH110, PTH123

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import socket
import stat
import struct
import sys
from collections.abc import Sequence

from agentevo.environments import wall_calls, wall_root
from agentevo.environments.sandbox.box import landlock, syscalls

DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
FAILED = 125
SET_INTERFACE_FLAGS, IS_UP = 0x8914, 0x41


def main() -> None:
    """Become the command, behind the wall; leave with 125 where the wall cannot be put up."""
    config, command = json.loads(sys.argv[1]), sys.argv[2:]
    try:
        kind = _enclose(config["readable"], config["writable"], network=config["network"], lifeline=config["lifeline"])
        if not command:
            os.write(1, kind.encode())
            os._exit(0)
        os.execv(command[0], command)
    except OSError as error:
        os.write(2, f"{''.join(command[:1]) or 'a wall'} could not be started: {error}\n".encode())
        os._exit(FAILED)


def _enclose(readable: Sequence[str], writable: Sequence[str], *, network: bool, lifeline: bool) -> str:
    """Put the wall up, and return of which kind it is: "root", "namespaces" or "rules"."""
    if not lifeline:
        syscalls.die_with_parent()
    kind = "rules"
    if is_apart := _unshared(network=network):
        _fork(lifeline=lifeline)
        kind = "namespaces"
        with contextlib.suppress(OSError):  # the kernel gives namespaces, and no right to mount in them
            wall_root.enter(readable, writable, DEVICES)
            kind = "root"
    read, write = landlock.READ | landlock.LIST | landlock.EXECUTE, landlock.handled(landlock.version())
    rules = landlock.opened((path for path in readable if os.path.exists(path)), read)
    rules += landlock.opened(DEVICES, landlock.READ | landlock.WRITE | landlock.DEVICE_CONTROL)
    rules += landlock.opened(writable, write & ~landlock.MAKE_DEVICES_AND_SOCKETS | 1 << 9)  # servers make sockets
    syscalls.drop_capabilities()
    _hold(rules, network=network or is_apart)  # in a network of one's own, loopback is all there is
    if kind != "root" or not network:  # no namespace holds the socket to a virtual machine's host
        wall_calls.refuse_sockets(files=kind == "root", tcp_alone=not network and not is_apart)
    return kind


def _hold(rules: landlock.Rules, *, network: bool) -> None:
    """Hold this process and all it starts to the rules, for good."""
    found = landlock.version()
    words = 1 + (found >= 4) + (found >= landlock.SCOPES_VERSION)
    attributes = struct.pack("QQQ", landlock.handled(found), 0 if network else landlock.NETWORK, landlock.SCOPES)
    made = syscalls.call("landlock_create_ruleset", attributes[: 8 * words], 8 * words, 0)
    for descriptor, rights in rules:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        allowed = rights & landlock.handled(found) & (-1 if is_folder else landlock.OF_A_FILE)
        syscalls.call("landlock_add_rule", made, landlock.RULE_PATH, struct.pack("=Qi", allowed, descriptor), 0)
    syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    syscalls.call("landlock_restrict_self", made, 0)
    os.close(made)


def _unshared(*, network: bool) -> bool:
    """Enter namespaces of one's own, as the same user; return whether the kernel lets us."""
    user, group = os.getuid(), os.getgid()
    flags = syscalls.NEWUSER | syscalls.NEWNS | syscalls.NEWPID | syscalls.NEWIPC | (0 if network else syscalls.NEWNET)
    try:
        syscalls.call("unshare", flags)
    except OSError:
        return False
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with contextlib.suppress(OSError), open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)
    if not network:
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            fcntl.ioctl(control, SET_INTERFACE_FLAGS, struct.pack("16sH14x", b"lo", IS_UP))
    return True


def _fork(*, lifeline: bool) -> None:
    """Go on as the first process of the new namespace: when it ends, all in there do. Its parent waits for it.

    With a lifeline the parent also ends when nobody holds the other end of its input any more. The kernel's own way,
    a signal when the parent ends, comes already when the thread that started us ends.
    """
    child = os.fork()
    if child == 0:
        syscalls.die_with_parent()
        return
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (1, 2) if lifeline else (0, 1, 2):
        os.dup2(null, descriptor)
    if lifeline:
        _watch(child)
    _, status = os.waitpid(child, 0)
    os._exit(os.waitstatus_to_exitcode(status) % 256)


def _watch(child: int) -> None:
    """Wait until the child has ended, or end at once, and it with us, when the lifeline is cut."""
    poll, ended = select.poll(), os.pidfd_open(child)
    poll.register(ended, select.POLLIN)
    poll.register(0, select.POLLRDHUP)
    if any(descriptor == 0 for descriptor, _ in poll.poll()):
        os._exit(FAILED)
