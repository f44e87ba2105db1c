"""One program from its start to its end, as its supervisor sees it: limits, measurements, the report."""

from __future__ import annotations

import contextlib
import math
import os
import select
import signal
import socket
import time
from dataclasses import dataclass, field

from agentevo.environments.sandbox.box import wire
from agentevo.environments.sandbox.box.drain import Drain
from agentevo.environments.sandbox.box.folder import Folder
from agentevo.environments.sandbox.box.link import Link
from agentevo.environments.sandbox.box.questions import Questions
from agentevo.environments.sandbox.box.sole import Sole
from agentevo.environments.sandbox.box.watch import Tree

TICK_S = 0.01
QUIET_S = 0.003
"""So long at first nobody reads what a program writes: to be woken for that takes the processor from a short one."""
STALL_S = 2.0
"""A supervisor that looks so much later than it meant to was itself kept from running, as all of the machine may be."""
LEAVE_S = 0.2
"""So long a program that is told to stop may take to end by itself; a closed channel ends it at once."""
REAPED = 100
"""So many are taken up at a time, so that a program which never stops forking holds up nothing else."""
FOLDER_SHARE = 10
"""Looking through a work folder takes at most one part in so many of a processor's time."""
FOLDER_GAP_S = 0.25
"""So long nobody looks at most: what makes a look take long must not give a program time to fill the disk."""
TAKE_S = 0.5
"""So long the process of a session, which is hostile, may take to read what its next step is."""
SLACK = 2
"""Tasks that are just ending, beside those allowed."""
MEGABYTE = 1024 * 1024
REPORTED = 4 * MEGABYTE
"""So long a message from the process may be: checks of a judge, the end of a step."""
ENDINGS = {0: "ok", -signal.SIGXCPU: "timeout", -signal.SIGKILL: "killed"}
"""What a status means where it is not simply an error."""

Limits = dict[str, float]


@dataclass(slots=True)
class Child:
    """The process that runs the program, and the supervisor's ends of what leads to it."""

    pid: int
    handle: int
    shown: int
    link: Link
    out: int
    err: int
    questions: Questions | None
    sole: Sole
    folder: Folder | None
    waited: float = 0.0
    """How long it had waited for a processor when it was ready."""

    @property
    def asking(self) -> int:
        """The descriptor on which its filter asks, or -1."""
        return self.questions.asking if self.questions else -1


@dataclass(slots=True)
class Run:
    """One program from its start to its end, or one step of a session."""

    child: Child
    limits: Limits
    tree: Tree
    out: Drain
    err: Drain
    is_first: bool = True
    since: float = field(default_factory=time.monotonic)
    peak: int = 0
    cpu_before: float = 0.0
    waited_before: float = 0.0
    waited: float = 0.0
    stalled: float = 0.0
    """How long its supervisor, and so all of the machine, was kept from running."""
    kind: str = ""
    status: int | None = None
    is_kept: bool = False
    """Whether its process stands still at its end, and has yet to be taken apart."""
    is_taken: bool = False
    """Whether its process has read what to run."""
    is_done: bool = False
    claimed: int | None = None
    """The status that a step of a session gives itself."""
    folder_at: float = 0.0
    stop_at: float = math.inf
    is_judge: bool = False
    is_talking: bool = False
    """Whether its process has anything to say on its link: a judge, or a session."""
    reports: list[wire.Message] = field(default_factory=list)


def watch(host: socket.socket, run: Run, zygote: int) -> None:
    """Wait until the program or the step ends, or until a limit, or the agent, ends it."""
    poll, patience = _polled(host, run), QUIET_S
    looked = woke = run.since
    while not run.kind and run.status is None and not run.is_done:
        ready = dict(poll.poll(patience * 1000))
        _attend(run, ready, poll)
        now = time.monotonic()
        if patience < TICK_S and now >= run.since + QUIET_S:
            patience = TICK_S
            for drain in (run.out, run.err):
                poll.register(drain.descriptor, select.POLLIN)
        run.stalled += now - woke if now - woke > STALL_S else 0
        woke = now
        if host.fileno() in ready:
            poll.unregister(host)
            run.stop_at = now + (LEAVE_S if host.recv(1, socket.MSG_PEEK) else 0)
        if now >= run.stop_at and run.status is None:
            run.kind = "stopped"
        elif now - looked >= TICK_S and run.status is None:
            looked = now
            if os.getppid() != zygote:
                raise OSError("the zygote has ended")
            run.kind = judged(run, now)
    while run.is_judge and run.status is not None and _is_ready(run.child.link) and _hear(run):
        pass


def _polled(host: socket.socket, run: Run) -> select.poll:
    poll = select.poll()
    for descriptor in (host, run.child.handle):
        poll.register(descriptor, select.POLLIN)
    if run.is_talking or run.child.link.is_sending:
        poll.register(run.child.link, _awaited(run.child.link))
    if run.child.questions:
        poll.register(run.child.asking, select.POLLIN)
    return poll


def _attend(run: Run, ready: dict[int, int], poll: select.poll) -> None:
    """Take what is there: output, messages, questions, the end."""
    for drain in (run.out, run.err):
        if drain.descriptor in ready and not drain.read():
            poll.unregister(drain.descriptor)
    if run.child.link.fileno() in ready:
        run.child.link.go_on()
        if _hear(run):
            poll.modify(run.child.link, _awaited(run.child.link))
        else:
            poll.unregister(run.child.link)
    if run.child.questions and run.child.asking in ready:
        if ready[run.child.asking] & select.POLLIN:
            run.child.questions.answer(int(run.limits["processes"]), lambda *ends: _keep(run, *ends))
        else:  # nobody is left who could ask
            poll.unregister(run.child.asking)
    if run.child.handle in ready:
        _reap(run)


def _awaited(link: Link) -> int:
    return select.POLLIN | select.POLLOUT if link.is_sending else select.POLLIN


def _is_ready(link: Link) -> bool:
    poll = select.poll()
    poll.register(link, select.POLLIN)
    return bool(poll.poll(0))


def _hear(run: Run) -> bool:
    """Take what the process says; say whether more may come. That of a session is hostile: any may be nonsense."""
    for message in run.child.link.heard():
        match message:
            case {"done": int(status)}:
                run.is_done, run.claimed = True, status & 0xFF
            case _ if run.is_judge:
                run.reports.append(message)
    return not run.child.link.is_over


def _keep(run: Run, pid: int, status: int) -> bool:
    """Take a process that ends as ended, and keep it still: to take its memory apart takes as long as a short run.

    That is for after the report. It goes on to its end, and is waited for, where anything else is left of the program.
    """
    peak = run.child.sole.peak() if pid == run.child.pid else 0
    if peak:
        run.status, run.peak, run.is_kept = status, max(run.peak, peak), True
    return run.is_kept


def _reap(run: Run) -> None:
    _, status, used = os.wait4(run.child.pid, 0)
    run.status = os.waitstatus_to_exitcode(status)
    run.peak = max(run.peak, used.ru_maxrss * 1024)


def _reap_others(main: int) -> None:
    """Take up what daemons left to this process as their last parent; the main process is waited for by its own."""
    with contextlib.suppress(ChildProcessError):
        for _ in range(REAPED):
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if found is None or found.si_pid == main:
                return
            os.waitpid(found.si_pid, 0)


def judged(run: Run, now: float, *, is_idle: bool = False) -> str:
    """Return which limit the run is over, or nothing; a session between its steps has all the time there is."""
    _reap_others(run.child.pid)
    usage, limits = run.tree.usage(), run.limits
    memory = usage.memory
    if memory > limits["memory_mb"] * MEGABYTE:
        memory = run.tree.proportional()
    run.peak = max(run.peak, memory)
    if memory > limits["memory_mb"] * MEGABYTE:
        return "memory"
    if (not is_idle and now > _deadline(run)) or usage.cpu_s - run.cpu_before > limits["cpu_s"]:
        return "timeout"
    if usage.tasks > limits["processes"] + SLACK:
        return "killed"
    folder = run.child.folder if now >= run.folder_at and _is_taken(run, now) else None
    return "killed" if folder and _is_full(run, folder) else ""


def _is_taken(run: Run, now: float) -> bool:
    """Say whether the job is no longer on its way: with it are descriptors, which would seem to be the program's."""
    run.is_taken |= run.child.link.is_taken or (not run.is_first and now > run.since + TAKE_S)
    return run.is_taken


def _is_full(run: Run, folder: Folder) -> bool:
    since = time.process_time()  # on a busy machine it takes far longer, and looks would be far between
    largest = int(run.limits["file_size_mb"] * MEGABYTE)
    is_over = folder.is_over(run.tree.proc, [*run.tree.members()], largest)
    run.folder_at = time.monotonic() + min(FOLDER_SHARE * (time.process_time() - since), FOLDER_GAP_S)
    return is_over


def _deadline(run: Run) -> float:
    """Return when the time is up: later, within bounds, where the machine was too busy to run the program."""
    wall = run.limits["wall_s"]
    run.waited = max(run.tree.waited_s(run.child.shown) - run.waited_before, run.waited, run.stalled)
    return run.since + min(wall + run.waited, wall * run.limits["stretch"])


def outcome(run: Run) -> wire.Message:
    """Return what was seen."""
    kind = run.kind or _kind(run)
    if kind in ("ok", "stopped") and (run.out.is_cut or run.err.is_cut):
        kind = "output"
    return {
        "kind": kind,
        "exit_status": run.claimed if run.status is None else run.status,
        "stdout": run.out.text(),
        "stderr": run.err.text(),
        "seconds": time.monotonic() - run.since,
        "memory_mb": run.peak / MEGABYTE,
        "waited_s": max(run.waited, run.stalled),
        "reports": run.reports,
    }


def _kind(run: Run) -> str:
    if run.status == 1 and run.err.text().rstrip().endswith("MemoryError"):
        return "memory"
    return ENDINGS.get(run.status or run.claimed or 0, "error")
