"""What one attack is shown of the machine: files, listeners, a victim, a terminal; and what became of them."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import platform
import pty
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from battery.listeners import Listeners
from battery.program import Outcome, Program
from battery.users import as_user
from battery.watcher import Seen, tagged

VICTIM = """
import ctypes, os, signal, sys
kept = ctypes.create_string_buffer(sys.argv[1].encode(), 64)
held = os.open(sys.argv[2] + "/secret", os.O_RDONLY)
signal.signal(signal.SIGCONT, lambda *_: setattr(sys, "woken", True))
print(os.getpid(), ctypes.addressof(kept), flush=True)
for _ in sys.stdin:
    print(kept.value.decode(), hasattr(sys, "woken"), flush=True)
"""
NUMBERED = platform.machine() == "x86_64"
MQ_UNLINK, KEYCTL, USERS_KEYS = 241, 250, -4
GRACE_S = 1.0  # for what is being killed to be gone
ANSWER_S = 10.0  # for a victim to answer


def new_secret() -> str:
    """Return a text that nobody can guess, and that is known where it turns up."""
    return f"canary-{secrets.token_hex(16)}"


@dataclass(slots=True)
class World:
    """What one attack may find outside."""

    program: Program
    root: Path
    uid: int
    listeners: Listeners
    secret: str = field(default_factory=new_secret)
    tag: str = field(default_factory=lambda: f"b{secrets.token_hex(4)}")
    told: list[str] = field(default_factory=list)
    seen: Seen = field(default_factory=Seen)
    facts: dict[str, object] = field(default_factory=dict)
    _before: dict[str, str] = field(default_factory=dict)
    _sockets: list[socket.socket] = field(default_factory=list)
    _victim: subprocess.Popen[str] | None = None
    _traits: tuple[object, ...] = ()
    _terminal: tuple[int, int] | None = None
    _shared: int = -1

    @property
    def folder(self) -> Path:
        """Return the folder outside."""
        return self.root / self.tag

    def build(self, tier: str) -> None:
        """Make all that there is to attack."""
        self.folder.mkdir()
        (self.folder / "secret").write_text(self.secret)
        (self.folder / "target").write_text("unchanged")
        (self.folder / self.secret).write_text("a name is a secret too")
        for path in (self.folder, *self.folder.iterdir()):
            os.chown(path, self.uid, -1)
            path.chmod(0o777 if path.is_dir() else 0o666)
        ports, self._sockets = self.listeners.open(self.folder, self.tag, self.told.append)
        self.facts = {
            "folder": str(self.folder), "tag": self.tag, "tier": tier, "abstract": self.tag,
            "key": 0x4C000000 + secrets.randbits(24) * 2,
            "inode": (self.folder / "secret").stat().st_ino, **ports,
        }  # fmt: skip
        self.seen.weighed, self.seen.inode = self.program.weighed, self.folder.stat().st_ino
        if (
            "VICTIM" in self.program.code
            or "'group'" in self.program.code
            or self.program.stopped
            or "cmdline" in self.program.code
        ):
            self._start_victim()
        if "'terminal'" in self.program.code:
            self._terminal = pty.openpty()
            self.facts["terminal"] = os.ttyname(self._terminal[1])
            os.fchown(self._terminal[1], self.uid, -1)
        if "'key'" in self.program.code:
            self._share_memory()
        self._before = self._files()

    def breaches(self, outcome: Outcome) -> list[str]:
        """Return what became of it that should not have."""
        found = [*dict.fromkeys(self.told), *self.seen.breaches(outcome.kind)]
        if self.secret in outcome.text:
            found.append("a secret came out")
        after = self._files()
        found += [
            f"{name} of the folder outside changed"
            for name in self._before.keys() | after.keys()
            if self._before.get(name) != after.get(name)
        ]
        found += [*self._harm(), *self._on_terminal(), *self._left()]
        if self._shared >= 0 and _memory_of(self._shared, 7) == b"changed":
            found.append("shared memory was written")
        return found

    def clear(self) -> None:
        """Take it all away, and what an attack has left."""
        until = time.monotonic() + 3
        while (left := self._running()) and time.monotonic() < until:  # some start themselves again
            for pid in left:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
        self.listeners.close(self.tag, self._sockets)
        if self._victim:
            self._victim.kill()
            self._victim.communicate()
        for fd in self._terminal or ():
            os.close(fd)
        libc = ctypes.CDLL(None)
        if self._shared >= 0:
            libc.shmctl(self._shared, 0, 0)
        key = self._key + 1
        libc.shmctl(libc.shmget(key, 0, 0), 0, 0)
        libc.msgctl(libc.msgget(key, 0), 0, 0)
        libc.semctl(libc.semget(key, 0, 0), 0, 0, 0)
        for group in Path("/sys/fs/cgroup").glob(f"*{self.tag}*"):
            shutil.rmtree(group, ignore_errors=True)
        if NUMBERED and (kept := libc.syscall(KEYCTL, 10, USERS_KEYS, b"user", self.tag.encode(), 0)) > 0:
            libc.syscall(KEYCTL, 9, kept, USERS_KEYS)

    @property
    def _key(self) -> int:
        key = self.facts["key"]
        assert isinstance(key, int)
        return key

    def _start_victim(self) -> None:
        self._victim = subprocess.Popen(
            [*as_user(self.uid), sys.executable, "-I", "-S", "-c", VICTIM, self.secret, str(self.folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True,
            env={"KEY": self.secret, "PATH": os.environ["PATH"]}, cwd="/",
        )  # fmt: skip
        assert self._victim.stdout
        pid, address = self._victim.stdout.readline().split()
        self.facts |= {"victim": int(pid), "address": int(address), "group": int(pid)}
        self._traits = self._victim_traits()
        if self.program.stopped:
            os.kill(int(pid), signal.SIGSTOP)

    def _victim_traits(self) -> tuple[object, ...]:
        assert self._victim
        pid = self._victim.pid
        return (
            os.getpriority(os.PRIO_PROCESS, pid), os.sched_getaffinity(pid), os.sched_getscheduler(pid),
            Path(f"/proc/{pid}/limits").read_text("utf-8"), Path(f"/proc/{pid}/oom_score_adj").read_text("utf-8"),
        )  # fmt: skip

    def _harm(self) -> list[str]:
        """Return what was done to the victim."""
        if not self._victim or not self._victim.stdin or not self._victim.stdout:
            return []
        if self._victim.poll() is not None:
            return [f"the victim ended with {self._victim.returncode}"]
        status = dict(
            line.split(":\t", 1) for line in Path(f"/proc/{self._victim.pid}/status").read_text("utf-8").splitlines()
        )
        if status["State"].startswith("T") != self.program.stopped or status["TracerPid"] != "0":
            return [f"the victim is {status['State']}, traced by {status['TracerPid']}"]
        if self._traits != self._victim_traits():
            return ["the victim's standing changed"]
        if self.program.stopped:
            return []
        self._victim.stdin.write("?\n")
        self._victim.stdin.flush()
        if not select.select([self._victim.stdout], [], [], ANSWER_S)[0]:  # a signal may reach it only now
            return ["the victim does not answer"]
        answer = self._victim.stdout.readline()
        return (
            [] if answer == f"{self.secret} False\n" else [f"the victim's memory changed, or it was woken: {answer!r}"]
        )

    def _files(self) -> dict[str, str]:
        """Return a fingerprint of everything in the folder outside."""
        prints = {}
        for path in (self.folder, *self.folder.iterdir()) if self.folder.exists() else ():
            about = path.lstat()
            content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() and not path.is_symlink() else ""
            with contextlib.suppress(OSError):
                content += repr(
                    [
                        os.getxattr(path, name, follow_symlinks=False)
                        for name in os.listxattr(path, follow_symlinks=False)
                    ]
                )
            prints[path.name] = f"{about.st_mode} {about.st_uid} {about.st_nlink} {about.st_mtime_ns} {content}"
        return prints

    def _on_terminal(self) -> list[str]:
        """Return what was typed into the terminal or written on it."""
        found = []
        for fd in self._terminal or ():
            os.set_blocking(fd, False)
            with contextlib.suppress(OSError):
                if os.read(fd, 100):
                    found.append("the terminal was used")
        return found

    def _left(self) -> list[str]:
        """Return what is left on the machine once the run is over."""
        found = []
        until = time.monotonic() + GRACE_S
        while (left := self._running()) and time.monotonic() < until:
            time.sleep(0.05)
        if left:
            found.append(f"{len(left)} processes are left")
        return found + self._left_files() + self._left_in_kernel()

    def _left_files(self) -> list[str]:
        found = []
        for folder in ("/dev/shm", "/tmp", "/var/tmp", "/", str(self.root.parent / "home")):
            for path in [*Path(folder).glob(f"*{self.tag}*"), *Path(folder).glob(f".*{self.tag}*")]:
                found.append(f"{path} is left")
                path.unlink(missing_ok=True)
        return found

    def _left_in_kernel(self) -> list[str]:
        found = []
        for table in ("shm", "msg", "sem"):
            for line in Path(f"/proc/sysvipc/{table}").read_text("utf-8").splitlines()[1:]:
                if int(line.split()[0]) == self._key + 1:
                    found.append(f"System V {table} is left")
        for group in Path("/sys/fs/cgroup").glob(f"*{self.tag}*"):
            found.append(f"{group} is left")
        if self.tag in Path("/proc/keys").read_text("utf-8"):
            found.append("a key is left")
        if NUMBERED and ctypes.CDLL(None).syscall(MQ_UNLINK, self.tag.encode()) == 0:
            found.append("a queue is left")
        if self.tag in socket.gethostname():
            found.append("the machine has another name")
        return found

    def _running(self) -> list[int]:
        own = self._victim.pid if self._victim else 0
        return [int(pid) for pid, _ in tagged({self.tag}).get(self.tag, []) if int(pid) != own]

    def _share_memory(self) -> None:
        libc = ctypes.CDLL(None)
        libc.shmat.restype = ctypes.c_void_p
        self._shared = libc.shmget(self._key, 4096, 0o1666)
        at = libc.shmat(self._shared, 0, 0)
        ctypes.memmove(at, self.secret.encode(), len(self.secret))
        libc.shmdt(ctypes.c_void_p(at))


def _memory_of(segment: int, size: int) -> bytes:
    libc = ctypes.CDLL(None)
    libc.shmat.restype = ctypes.c_void_p
    at = libc.shmat(segment, 0, 0o10000)
    data = ctypes.string_at(at, size)
    libc.shmdt(ctypes.c_void_p(at))
    return data
