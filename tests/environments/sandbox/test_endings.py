"""How a program's process ends: it asks, stands still, and is taken for ended where it is all there is."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from agentevo.environments.sandbox import Sandbox

ASKED = """
import ctypes, json, os, signal, socket, sys, threading, time
from agentevo.environments.sandbox.box import seccomp
from agentevo.environments.sandbox.box.numbers import machine
from agentevo.environments.sandbox.box.questions import Questions
from agentevo.environments.sandbox.box.sole import Sole

def nothing(): pass
def much(): held = b"x" * 80_000_000
def child(): os.fork() or time.sleep(0.5)
def waited_for(): os.waitpid(os.fork() or os._exit(0), 0)
def thread(): threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
def handler(): signal.signal(signal.SIGALRM, print)
def own(): ctypes.CDLL(None).syscall({"x86_64": 231, "aarch64": 94}[machine()], 256 + 7, seccomp.ENDING)

def listened():
    seccomp.prctl(seccomp.PR_SET_NO_NEW_PRIVS, 1)
    seccomp._put(seccomp.INSTRUCTION.pack(seccomp.RETURN, 0, 0, seccomp.ALLOW), seccomp.NEW_LISTENER)

act, keeps = globals()[sys.argv[1]], sys.argv[2] == "keeps"
near, far = socket.socketpair()
pid = os.fork()
if pid == 0:
    if act is listened:
        listened()
    asking = seccomp.install(machine(), metadata=True)
    socket.send_fds(far, [b"."], [asking])
    os.close(asking)
    if act is not listened:
        act()
    seccomp.end(5)
_, (asking,), *_ = socket.recv_fds(near, 1, 1)
sole = Sole(os.open("/proc", os.O_RDONLY), pid)
seen = {}
def keep(asker, status):
    seen.update(is_it=asker == pid, status=status, peak=sole.peak())
    return keeps
if sys.argv[2] == "is away":
    os.close(asking)
else:
    Questions(asking, lambda: 0).answer(0, keep)
if keeps:
    os.kill(pid, signal.SIGALRM)
    time.sleep(0.05)
    seen["stays"] = os.waitpid(pid, os.WNOHANG) == (0, 0)
    os.kill(pid, signal.SIGKILL)
seen["ended"] = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) if seen.get("stays", True) else None
print(json.dumps(seen))
"""


def asked(act: str, answer: str) -> dict[str, int]:
    done = subprocess.run([sys.executable, "-c", ASKED, act, answer], capture_output=True, text=True, timeout=60)
    assert not done.returncode, done.stderr
    return dict(json.loads(done.stdout))


def test_a_process_that_asks_to_end_is_still_whatever_signal_comes() -> None:
    seen = asked("handler", "keeps")
    assert (seen["is_it"], seen["status"], seen["stays"], seen["ended"]) == (True, 5, True, -9)


@pytest.mark.parametrize("answer", ["lets go", "is away"])
def test_a_process_that_is_let_go_or_that_nobody_hears_ends_as_it_would(answer: str) -> None:
    assert asked("nothing", answer)["ended"] == 5


def test_where_another_filter_asks_already_nothing_is_asked() -> None:
    assert asked("listened", "lets go") == {"ended": 5}


def test_a_status_is_what_the_kernel_makes_of_it() -> None:
    assert asked("own", "lets go").items() >= {"status": 7, "ended": 7}.items()


def test_the_most_memory_is_told_of_a_process_that_is_all_there_is() -> None:
    assert 5e6 < asked("nothing", "lets go")["peak"] < 8e7 < asked("much", "lets go")["peak"]


@pytest.mark.parametrize("act", ["child", "waited_for", "thread"])
def test_nothing_is_told_where_others_are_or_were_there(act: str) -> None:
    assert asked(act, "lets go").items() >= {"peak": 0, "ended": 5}.items()


@pytest.mark.parametrize("name", ["VmHWM:\t1 kB", "VmHWM:x", "\nVmHWM:\t1 kB\n", "\nThreads:\t2\n", ") 0 0 0 0 0"])
def test_the_name_of_a_process_does_not_say_what_memory_it_had(sandbox: Sandbox, name: str) -> None:
    code = f"import ctypes; print(ctypes.CDLL(None).prctl(15, {name.encode()!r}, 0, 0, 0))"
    result = sandbox.run(code)
    assert (result.kind, result.stdout) == ("ok", "0\n")
    assert result.memory_mb > 3


BY_A_CHILD = """
import os
pid = os.fork()
if pid == 0:
    held = b"x" * 90_000_000
    os._exit(0)
os.waitpid(pid, 0)
"""


def test_the_memory_of_a_child_that_has_gone_counts(sandbox: Sandbox) -> None:
    assert sandbox.run(BY_A_CHILD).memory_mb > 80


ENDED = """
import ctypes, os, platform, threading, time
END = {"x86_64": 231, "aarch64": 94}[platform.machine()]
def end(status): ctypes.CDLL(None).syscall(END, status, 0x656E6421)
"""
ENDINGS = {
    "by the call itself": ("end(4)", 4),
    "a child does it": ("pid = os.fork() or end(4)\nos._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) + 1)", 5),
    "a thread does it": ("threading.Thread(target=end, args=(6,)).start()\ntime.sleep(60)", 6),
    "a thread goes on": (
        "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\nraise SystemExit(7)",
        7,
    ),
    "a child goes on": ("os.fork() or time.sleep(60)\nraise SystemExit(8)", 8),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_an_end_is_what_it_says_however_it_comes(sandbox: Sandbox, name: str) -> None:
    code, status = ENDINGS[name]
    result = sandbox.run(f"{ENDED}\n{code}")
    assert (result.kind, result.exit_status) == ("error", status)
    assert result.seconds < 30


def test_all_that_was_written_before_the_end_is_there(sandbox: Sandbox) -> None:
    for size in (1, 60_000, 1_000_000):
        assert len(sandbox.run(f"print('x' * {size}, end='')", timeout_s=30).stdout) >= min(size, 60_000)
