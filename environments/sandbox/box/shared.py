"""The walls of the tiers that share the host's world: `landlock`, and `unsafe-local`, which has none."""

from __future__ import annotations

import contextlib
import os
import signal
import time

from agentevo.environments.sandbox.box import landlock, rootfs, seccomp
from agentevo.environments.sandbox.box.folder import Folder
from agentevo.environments.sandbox.box.numbers import machine
from agentevo.environments.sandbox.box.syscalls import (
    PR_SET_CHILD_SUBREAPER,
    die_with_parent,
    drop_bounding,
    prctl,
)
from agentevo.environments.sandbox.box.watch import Bystanders, Tree

END_S = 5.0
EVERYTHING = -1 & ~landlock.MAKE_DEVICES_AND_SOCKETS
"""All rights in a worker's own folder but to make devices and sockets."""
PLACES = 8
"""Workers' folders lie in so many: where one is being removed, some kernels let nobody make another for a while."""
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


class Shared:
    """Workers in the host's own world, each in a folder of its own.

    Confined, a worker is held by Landlock and the system call filter: it touches no file but the interpreter's and
    its own, has no sockets, cannot trace, signal or name processes outside, and its supervisor decides on each new
    process. It can still ask whether a path exists, and see sizes and times: Landlock does not cover that. Modes,
    owners and times of files seem to change, and do not. The supervisor is the last parent of all that is below it;
    should it be killed, the zygote ends what it leaves behind.
    """

    counted = False

    def __init__(self, readable: list[str], folder: str, *, confined: bool) -> None:
        self.confined, self._base = confined, folder
        self.proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self.bystanders = Bystanders(self.proc)
        self.folder: Folder | None = None
        self._paths = [os.path.realpath(path) for path in rootfs.readable(readable)]
        self._version, self._shared_rules, self._rules = 0, 0, landlock.Ready()
        for place in range(PLACES):
            os.mkdir(os.path.join(folder, str(place)))
        if confined:
            self._version = landlock.version()
            self._make_once()
        drop_bounding()
        prctl(PR_SET_CHILD_SUBREAPER, 1)

    def _make_once(self) -> None:
        """Make what is the same for all workers: the filter, and rules, many, as they name all beside what is hidden.

        The few that keep a worker to its own folder are one more set, of which all but that folder's can be ready;
        both sets together say what is allowed.
        """
        hidden = [os.path.realpath(one) for one in rootfs.hidden(self._paths)]
        devices = landlock.opened(DEVICES, landlock.READ | landlock.WRITE)
        named = landlock.opened([self._base], EVERYTHING)
        named += [rule for path in self._paths for rule in landlock.covered(path, hidden)]
        self._shared_rules = landlock.ruleset(landlock.ready(devices + named, self._version), self._version)
        for descriptor, _ in named:
            os.close(descriptor)
        whole = landlock.opened(self._paths, landlock.EXECUTE | landlock.READ | landlock.LIST)
        self._rules = landlock.ready(devices + whole, self._version)
        if self._scoped:
            seccomp.packed(machine(), metadata=False, kill_only=None, watched=True)

    @property
    def _scoped(self) -> bool:
        """Whether the kernel keeps signals inside by itself."""
        return self._version >= landlock.SCOPES_VERSION

    def fork(self) -> int:
        """Fork a supervisor, who knows which processes are none of its own; return 0 in it."""
        self.bystanders.look()
        return os.fork()

    def supervise(self, limits: dict[str, float]) -> None:
        """Make a folder for the worker, and this process the last parent of all that it starts."""
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        own = os.getpid()
        path = os.path.join(self._base, str(own % PLACES), str(own))
        self.folder = Folder(path, limits["disk_mb"], int(limits["files"]))
        self.folder.make()

    def confine(self) -> int:
        """Put the rules and the filter on the process that will run the program; return where it asks for new ones."""
        assert self.folder is not None
        die_with_parent()
        if not self.confined:
            return 0
        own = landlock.ready(landlock.opened([self.folder.path], EVERYTHING), self._version)
        for rules in (self._shared_rules, landlock.ruleset(self._rules + own, self._version)):
            landlock.restrict(rules)
        only = None if self._scoped else os.getpid()
        return seccomp.install(machine(), metadata=False, kill_only=only, watched=True)

    def end(self) -> None:
        """End every process below this supervisor, again and again until none is left.

        As their last parent it has a child as long as there is any process left: it need not look for them.
        """
        tree, until = Tree(self.proc), time.monotonic() + END_S
        while reap() and time.monotonic() < until:
            for pid in tree.members():
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)

    def clear(self) -> None:
        """Remove the folder, which nobody uses any more: after the report, as it may take as long as a run."""
        if self.folder is not None:
            self.folder.remove()

    def sweep(self, alive: set[int]) -> None:
        """End what supervisors left behind that were killed, and remove their folders."""
        tree, until = Tree(self.proc), time.monotonic() + END_S
        while (left := _left(tree, alive)) and time.monotonic() < until:
            for pid in left:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            for pid in left:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
        for place in os.listdir(self._base):
            for name in os.listdir(os.path.join(self._base, place)):
                if int(name) not in alive:
                    Folder(os.path.join(self._base, place, name), 0, 0).remove()

    def close(self) -> None:
        """End everything that is left, and remove the folder that held the workers' folders."""
        self.sweep(set())
        for place in os.listdir(self._base):
            os.rmdir(os.path.join(self._base, place))
        os.rmdir(self._base)


def _left(tree: Tree, alive: set[int]) -> list[int]:
    """Return the descendants of the zygote that no living supervisor stands above."""
    members = tree.members()

    def first(pid: int) -> int:
        while (parent := int(members[pid][1])) in members:
            pid = parent
        return pid

    return [pid for pid in members if first(pid) not in alive]


def reap() -> bool:
    """Take up all children that have ended; say whether there are others."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True
