"""The walls of the tier `namespaces`: a world of its own for each worker, in which it is nobody."""

from __future__ import annotations

import contextlib
import os
import signal

from agentevo.environments.sandbox.box import rootfs, seccomp
from agentevo.environments.sandbox.box.folder import Folder
from agentevo.environments.sandbox.box.numbers import machine
from agentevo.environments.sandbox.box.syscalls import (
    MS_NODEV,
    MS_NOSUID,
    NEWIPC,
    NEWNET,
    NEWNS,
    NEWPID,
    NEWUSER,
    NEWUTS,
    PR_SET_DUMPABLE,
    call,
    die_with_parent,
    drop_capabilities,
    mount,
    prctl,
    unshare,
)
from agentevo.environments.sandbox.box.watch import Bystanders

LOOK_S = 0.5
NOBODY = 65534
INSIDE = 1000
"""The user a program sees itself as."""


class Namespaces:
    """User, pid, mount, network, ipc and uts namespaces around the zygote; user, pid and mount once more by worker.

    The zygote is the first process of a pid namespace, and so is each supervisor: when one ends, however it ends, the
    kernel ends all that is below it. The network namespace holds no interface that is up, and is shared by the
    workers, which have no sockets. No worker sees a /proc.
    """

    counted = True
    folder: Folder | None = None

    def __init__(self, readable: list[str]) -> None:
        self._enter(readable)
        self._child_of_zygote()
        self.proc = self._proc()
        self.bystanders = Bystanders(self.proc)
        seccomp.packed(machine(), metadata=True, kill_only=None, watched=False)
        self._pids = os.open("self/ns/pid", os.O_RDONLY, dir_fd=self.proc)

    def _enter(self, readable: list[str]) -> None:
        """Build the world all workers share; as root, its owner is nobody from then on."""
        host = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
        uid, gid = os.geteuid(), os.getegid()
        if uid == 0 and _try_unshare(NEWNS | NEWNET | NEWIPC | NEWUTS):
            rootfs.build(readable)
            uid = gid = NOBODY
            os.setgroups([])
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            prctl(PR_SET_DUMPABLE, 1)  # lost with the user id; without it /proc/self is root's
            unshare(NEWUSER | NEWNS | NEWPID)
            write_maps(host, 0, uid, gid)
        else:
            unshare(NEWUSER | NEWNS | NEWPID | NEWNET | NEWIPC | NEWUTS)
            write_maps(host, 0, uid, gid)
            rootfs.build(readable)
        self._host = host

    def _child_of_zygote(self) -> None:
        """Go on as the first process of the new pid namespace; the one before only waits for it."""
        first, agent = os.getpid(), os.getppid()
        pid = os.fork()
        if pid:
            os.closerange(0, 4096)
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
            while os.getppid() == agent and os.waitpid(pid, os.WNOHANG) == (0, 0):
                signal.sigtimedwait({signal.SIGCHLD}, LOOK_S)
            os._exit(0)
        die_with_parent()
        if os.readlink("self", dir_fd=self._host) == str(first):
            raise OSError("the zygote has no pid namespace of its own")
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    def _proc(self) -> int:
        """Return a /proc of our own that no worker can reach by path, else the one from outside."""
        try:
            mount("proc", rootfs.PROC, "proc", MS_NOSUID | MS_NODEV)
            fresh = os.open(rootfs.PROC, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:  # containers hide parts of /proc, and the kernel then refuses a new one that would show them
            fresh = self._host
        else:
            os.close(self._host)
        rootfs.close()
        return fresh

    def fork(self) -> int:
        """Fork a supervisor as the first process of a new pid namespace; return 0 in it."""
        self.bystanders.look()
        unshare(NEWPID)
        pid = os.fork()
        if pid:
            call("setns", self._pids, NEWPID)
        return pid

    def supervise(self, limits: dict[str, float]) -> None:
        """Wall this supervisor in, before anything is known of the program."""
        _must_be_first()
        die_with_parent()
        unshare(NEWNS | NEWUSER)
        write_maps(self.proc, INSIDE, 0, 0)
        rootfs.add_disk(limits["disk_mb"], int(limits["files"]))
        drop_capabilities()
        os.close(self._pids)

    def confine(self) -> int:
        """Put the filter on the process that will run the program; return where it asks about its end."""
        return seccomp.install(machine(), metadata=True)

    def end(self) -> None:
        """End every process of this worker but the supervisor."""
        _must_be_first()
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(-1, signal.SIGKILL)
            while True:
                os.wait()

    def clear(self) -> None:
        """Nothing: the disk goes with the last that sees it."""

    def sweep(self, alive: set[int]) -> None:
        """Nothing is left behind: what a supervisor started ends with it."""

    def close(self) -> None:
        """Everything ends with the zygote, the first process of its world."""


def _must_be_first() -> None:
    """Signals to -1 reach all that one may signal: they are for the first process of a world of its own only."""
    if os.getpid() != 1:
        raise OSError(f"the supervisor is process {os.getpid()}, not the first of a pid namespace of its own")


def write_maps(proc: int, inside: int, uid: int, gid: int) -> None:
    """Say who this process is in its new user namespace."""
    for name, text in (
        ("setgroups", "deny"), ("uid_map", f"{inside} {uid} 1"), ("gid_map", f"{inside} {gid} 1")
    ):  # fmt: skip
        file = os.open(f"self/{name}", os.O_WRONLY, dir_fd=proc)
        try:
            os.write(file, text.encode())
        finally:
            os.close(file)


def _try_unshare(flags: int) -> bool:
    try:
        unshare(flags)
    except PermissionError:  # root in a container that may not; user namespaces may still be allowed
        return False
    return True
