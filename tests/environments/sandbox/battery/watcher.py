"""A watcher of processes: what those of each attack are, hold and use, as the machine sees it from outside."""

from __future__ import annotations

import contextlib
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from battery.program import LIMITS

TAG_LENGTH = 9
MEGABYTE = 1 << 20
# Some limits are held by looking now and then, and ending what holds more: so it is held for a moment.
ENDED = ("memory", "killed")
MOST_FILES = 16  # empty ones are made by thousands between two looks of a busy machine
MOST = 4  # times a limit that is too much even for a moment
# What no program should hold, by the beginning of its name among the descriptors.
FORBIDDEN = (
    *(
        f"anon_inode:{name}"
        for name in ("[io_uring]", "bpf", "[perf_event]", "[userfaultfd]", "[fanotify]", "[fscontext]", "seccomp")
    ),
    *(
        f"/dev/{name}"
        for name in ("userfaultfd", "mem", "port", "sd", "vd", "nvme", "kvm", "fuse", "net/tun", "kmsg", "tty0")
    ),
    "/proc/kcore",
)
NAMESPACES = ("user", "mnt", "net", "ipc", "uts", "cgroup", "pid", "pid_for_children", "time")
STATUS = ("Uid", "Gid", "Groups", "CapPrm", "CapEff", "NoNewPrivs", "Seccomp", "Seccomp_filters")


@dataclass(slots=True)
class Seen:
    """What was seen of the processes of one attack."""

    weighed: bool = False
    inode: int = 0  # of the folder outside
    held: set[str] = field(default_factory=set)
    traits: dict[str, dict[str, str]] = field(default_factory=dict)  # of those named "A" and "B"
    excess: set[str] = field(default_factory=set)
    gross: set[str] = field(default_factory=set)

    def weigh(self, what: str, amount: float, allowed: float, most: float = MOST) -> None:
        """Write down what is held that is more than is allowed."""
        for times, found in [(1, self.excess), (most, self.gross)]:
            if amount > times * allowed:
                found.add(f"more than {times * allowed:.0f} {what}")

    def breaches(self, kind: str) -> list[str]:
        """Return what was seen that should not be, of a run that ended so."""
        found = [f"holds {name}" for name in sorted(self.held)]
        usual, tried = self.traits.get("A", {}), self.traits.get("B", {})
        found += [
            f"{name} became {tried[name]}, was {usual[name]}"
            for name in usual
            if tried.get(name) not in (None, usual[name])
        ]
        return found + sorted(self.gross if kind in ENDED else self.excess)


class Watcher:
    """Looks at every process of the machine, again and again, for those that bear the tag of an attack."""

    def __init__(self) -> None:
        self._seen: dict[str, Seen] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()

    def follow(self, tag: str, seen: Seen) -> None:
        """Write down in `seen` what bears a tag, from now on."""
        self._seen[tag] = seen

    def leave(self, tag: str) -> None:
        """Watch this no longer."""
        self._seen.pop(tag, None)

    def _watch(self) -> None:
        while not self._over.wait(0.05):
            followed = dict(self._seen)
            every = tagged(set(followed))
            for tag, pids in every.items():
                _look(followed[tag], pids)


def tagged(tags: set[str]) -> dict[str, list[tuple[str, str]]]:
    """Return processes by the tag they bear in their name or arguments, with number and name."""
    found: dict[str, list[tuple[str, str]]] = {}
    for pid in os.listdir("/proc"):  # noqa: PTH208  # many times a second
        if pid.isdigit():
            with contextlib.suppress(OSError):
                comm = _read(pid, "comm").strip()
                tag = (
                    comm[:TAG_LENGTH]
                    if comm[:TAG_LENGTH] in tags
                    else next((t for t in tags if t in _read(pid, "cmdline")), "")
                )
                if tag and _read(pid, "stat").rpartition(")")[2].split()[0] != "Z":
                    found.setdefault(tag, []).append((pid, comm))
    return found


def _read(pid: str, name: str) -> str:
    with open(f"/proc/{pid}/{name}", "rb") as file:  # noqa: PTH123  # many times a second
        return file.read(100_000).decode("utf-8", "replace")


def _look(seen: Seen, pids: list[tuple[str, str]]) -> None:
    sizes: dict[tuple[int, int], tuple[bool, int]] = {}
    threads = files = memory = 0
    for pid, comm in pids:
        with contextlib.suppress(OSError, IndexError):
            threads += len(os.listdir(f"/proc/{pid}/task"))  # noqa: PTH208
            seen.held |= _forbidden(pid, seen.inode, sizes)
            if comm[TAG_LENGTH:] in ("A", "B"):
                seen.traits[comm[TAG_LENGTH:]] = _traits(pid)
                if comm[:TAG_LENGTH] in _read(pid, "cgroup"):
                    seen.held.add("a cgroup")
            if seen.weighed:
                memory += int(_read(pid, "smaps_rollup").split("Pss:")[1].split()[0]) * 1024
                files = max(files, len(os.listdir(f"/proc/{pid}/cwd")))  # noqa: PTH208
    in_memory, on_disk = (
        sum(size for is_memory, size in sizes.values() if is_memory is kind) for kind in (True, False)
    )
    if seen.weighed:
        seen.weigh("processes and threads", threads, LIMITS.processes * 1.5)
        seen.weigh("MB of memory", max(memory, in_memory) / MEGABYTE, LIMITS.memory_mb * 1.6)
        seen.weigh("MB of disk", on_disk / MEGABYTE, LIMITS.disk_mb * 1.5)
        seen.weigh("files", files, LIMITS.files * 1.5, MOST_FILES)


def _forbidden(pid: str, inode: int, sizes: dict[tuple[int, int], tuple[bool, int]]) -> set[str]:
    """Return what a process holds that it should not, and add the sizes of its files to those known."""
    found = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            name, about = os.readlink(entry), entry.stat()  # noqa: PTH115  # not all name files
            if name.startswith(FORBIDDEN):
                found.add(name)
            elif name == "anon_inode:inotify" and f"ino:{inode:x} " in _read(pid, f"fdinfo/{entry.name}"):
                found.add("a watch of the folder outside")
            elif about.st_mode & 0o170000 == 0o100000:
                sizes[about.st_dev, about.st_ino] = (name.startswith("/memfd:"), about.st_blocks * 512)
    return found


def _traits(pid: str) -> dict[str, str]:
    """Return what is particular to a process: its namespaces, rights, limits and standing."""
    traits = {}
    for name in NAMESPACES:
        with contextlib.suppress(OSError):  # that of children is nowhere until there is one
            traits[f"namespace {name}"] = os.readlink(f"/proc/{pid}/ns/{name}")  # noqa: PTH115
    for line in _read(pid, "status").splitlines():
        name, _, value = line.partition(":")
        if name in STATUS:
            traits[name] = value.split()[0] if value.split() else ""
    if traits.get("Seccomp") == "3":  # its filter has just ended it
        traits["Seccomp"] = "2"
    for line in _read(pid, "limits").splitlines()[1:]:
        traits[line[:26].strip()] = line[26:].strip()
    fields = _read(pid, "stat").rpartition(")")[2].split()
    traits |= {"niceness": fields[16], "scheduling": fields[38]}
    traits |= {name: _read(pid, name).strip() for name in ("oom_score_adj", "personality")}
    return traits
