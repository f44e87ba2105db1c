"""Attacks on processes: reach one outside, outlive the run, or harm what runs the program."""

# ruff: noqa: E501  # a program stands on one line, as long as it is

from __future__ import annotations

from battery.program import Outcome, Program
from battery.smallcalls import SMALL_CALLS

AREA = "processes"
LINGER = "import time; time.sleep(60)"


def not_ok(outcome: Outcome) -> str:
    """Find an outcome that says all went well, of a program that never came to its end."""
    return f"said to be {outcome.kind}" if outcome.kind == "ok" else ""


REACHED = {
    "kill": "os.kill(VICTIM, 9)",
    "stop": "os.kill(VICTIM, signal.SIGSTOP)",
    "interrupt": "os.kill(VICTIM, signal.SIGINT)",
    "kill its group": "os.killpg(HOST['group'], 9)",
    "kill a thread": "call(234, VICTIM, VICTIM, 9)",
    "kill a thread by number alone": "call(200, VICTIM, 9)",
    "queue a signal": "call(129, VICTIM, 9, ctypes.create_string_buffer(struct.pack('iii', 9, 0, -1), 128))",
    "kill by descriptor": "signal.pidfd_send_signal(os.pidfd_open(VICTIM), 9)",
    "kill from a thread": "t = threading.Thread(target=os.kill, args=(VICTIM, 9)); t.start(); t.join()",
    "kill from another session": "children(1, lambda n: (os.setsid(), os.kill(VICTIM, 9))); time.sleep(0.2)",
    "kill by a call of 32 bits": SMALL_CALLS + "small(37, VICTIM, 9, 0)",
    "a signal from a descriptor": "import fcntl\nr, w = os.pipe(); fcntl.fcntl(r, 8, VICTIM); fcntl.fcntl(r, 10, 9)\n"
    "fcntl.fcntl(r, fcntl.F_SETFL, os.O_ASYNC); os.write(w, b'x')",
    "a signal from a terminal's owner": "import fcntl\na, b = socket.socketpair(); fcntl.ioctl(a, 0x8902, struct.pack('i', VICTIM))\n"
    "fcntl.fcntl(a, 10, 9); fcntl.fcntl(a, fcntl.F_SETFL, os.O_ASYNC); b.send(b'x')",
    "trace": "print(libc.ptrace(16, VICTIM, 0, 0)); time.sleep(0.3)",
    "seize": "print(libc.ptrace(0x4206, VICTIM, 0, 0), libc.ptrace(0x4207, VICTIM, 0, 0)); time.sleep(0.3)",
    "trace by a call of 32 bits": SMALL_CALLS + "print(small(26, 16, VICTIM, 0)); time.sleep(0.3)",
    "write its memory": (
        "data = ctypes.create_string_buffer(b'changed', 8)\nlocal = (ctypes.c_uint64 * 2)(ctypes.addressof(data), 8)\n"
        "far = (ctypes.c_uint64 * 2)(HOST['address'], 8)\nprint(call(311, VICTIM, local, 1, far, 1, 0))"
    ),
    "read its memory": (
        "data = ctypes.create_string_buffer(64)\nlocal = (ctypes.c_uint64 * 2)(ctypes.addressof(data), 64)\n"
        "far = (ctypes.c_uint64 * 2)(HOST['address'], 64)\nprint(call(310, VICTIM, local, 1, far, 1, 0)); grep(data.raw)"
    ),
    "write its memory as a file": (
        "with open(f'/proc/{VICTIM}/mem', 'r+b', 0) as m: m.seek(HOST['address']); m.write(b'changed')"
    ),
    "read its memory as a file": "memory_of(VICTIM)",
    "read its surroundings": "grep(open(f'/proc/{VICTIM}/environ', 'rb').read())",
    "read its arguments": "grep(open(f'/proc/{VICTIM}/cmdline', 'rb').read())",
    "take its descriptors": (
        "p = os.pidfd_open(VICTIM)\nfor n in range(16):\n    fd = call(438, p, n, 0)\n"
        "    if fd >= 0: quietly(lambda: grep(os.pread(fd, 100, 0)))"
    ),
    "open its descriptors": (
        "for n in range(16): quietly(lambda: grep(os.pread(os.open(f'/proc/{VICTIM}/fd/{n}', 0), 100, 0)))"
    ),
    "make it nicer": "os.setpriority(os.PRIO_PROCESS, VICTIM, 15)",
    "bind it to a processor": "os.sched_setaffinity(VICTIM, {0})",
    "limit it": "resource.prlimit(VICTIM, resource.RLIMIT_NOFILE, (3, 3))",
    "change its scheduling": "os.sched_setscheduler(VICTIM, os.SCHED_IDLE, os.sched_param(0))",
    "have it killed when memory is short": "open(f'/proc/{VICTIM}/oom_score_adj', 'w').write('900')",
    "look for every process by name": (
        "for p in glob.glob('/proc/[0-9]*/cmdline'):\n"
        "    if HERE.encode() in (quietly(lambda: open(p, 'rb').read()) or b'') and str(os.getpid()) not in p:\n"
        "        os.kill(int(p.split('/')[2]), 9)"
    ),
    "read what its parent was given": "grep(open(f'/proc/{os.getppid()}/environ', 'rb').read())",
    "read what all were given": (
        "for p in glob.glob('/proc/[0-9]*/environ'): quietly(lambda: grep(open(p, 'rb').read()))"
    ),
    "read the memory of its parent": "memory_of(os.getppid())",
    "read its own memory": "memory_of(os.getpid())",
    "its own surroundings": "grep(repr(dict(os.environ)).encode()); grep(open('/proc/self/environ', 'rb').read())",
    "objects left from its parent": ("for o in gc.get_objects(): quietly(lambda: grep(repr(o)[:10000].encode()))"),
}

LEFT = {
    "a child that stays": "children(1, lambda n: time.sleep(60))",
    "a daemon": "children(1, lambda n: (os.setsid(), children(1, lambda n: time.sleep(60))))",
    "a daemon that holds the pipe": (
        "children(1, lambda n: (os.setsid(), children(1, lambda n: [print('.', flush=True) or time.sleep(1) for _ in range(60)])))"
    ),
    "a daemon that hears no signal": (
        "for n in range(1, 65): quietly(signal.signal, n, signal.SIG_IGN)\n"
        "children(1, lambda n: (os.setsid(), time.sleep(60)))"
    ),
    "a daemon without a parent": (
        "libc.prctl(36, 1, 0, 0, 0); children(3, lambda n: (os.setsid(), children(2, lambda n: time.sleep(60)), time.sleep(60)))"
    ),
    "one that starts itself again": (
        "def act(n):\n    until = time.time() + (2 if HOST['tier'] == 'bare' else 60)\n    while time.time() < until:\n        time.sleep(0.01)\n"
        "        if os.fork(): os._exit(0)\n        quietly(os.setsid)\nchildren(2, act)"
    ),
    "a program of another name": (
        f"subprocess.Popen([sys.executable or 'python3', '-c', {LINGER!r}, HOST['tag']], start_new_session=True)"
    ),
    "a stopped child": "children(1, lambda n: (os.setsid(), os.kill(os.getpid(), signal.SIGSTOP)))",
    "a child that shares memory": "children(1, lambda n: (os.setsid(), call(34)))",
    "a child that traces another": (
        "children(1, lambda n: (os.setsid(), children(1, lambda n: (libc.ptrace(0, 0, 0, 0), os.kill(os.getpid(), 19))), time.sleep(60)))"
    ),
    "a write once all is over": (
        "children(1, lambda n: (os.setsid(), time.sleep(0.4), open(HERE + '/target', 'w').write('late')))"
    ),
    "an outlived parent": "children(1, lambda n: (os.setsid(), libc.prctl(1, 0, 0, 0, 0), time.sleep(60))); os._exit(0)",
    "a child, and an end that is announced": (
        "children(1, lambda n: (os.setsid(), time.sleep(60))); call(231, 0, 0x656E6421)"
    ),
    "a thread, and an end that is announced": (
        "later = lambda: (time.sleep(0.2), children(1, lambda n: (os.setsid(), time.sleep(60))))\n"
        "threading.Thread(target=later, daemon=True).start(); call(231, 0, 0x656E6421)"
    ),
    "a signal after an end that is announced": (
        "handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(lambda n: children(1, lambda n: (os.setsid(), time.sleep(60))))\n"
        "libc.signal(14, handler); signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001); call(231, 0, 0x656E6421)"
    ),
    "ends of children, announced one after the other": (
        "def act(n):\n    until = time.time() + 2\n    while time.time() < until:\n"
        "        if not os.fork(): os.setsid(); call(231, 0, 0x656E6421)\n"
        "        quietly(os.waitpid, -1, 1)\n    time.sleep(60)\nchildren(3, act)"
    ),
    "a thread that stays": "threading.Thread(target=time.sleep, args=(60,)).start(); children(1, lambda n: (os.setsid(), time.sleep(60)))",
}

ITS_KEEPERS = {
    "kill its parent": "os.kill(os.getppid(), 9); time.sleep(60)",
    "stop its parent": "os.kill(os.getppid(), signal.SIGSTOP); time.sleep(60)",
    "kill process 1": "os.kill(1, 9) if HOST['tier'] == 'namespaces' else None; time.sleep(60)",
    "kill its group and itself": "os.killpg(0, 9)",
    "stop its group and itself": "os.killpg(0, signal.SIGSTOP); time.sleep(60)",
    "terminate its parent again and again": (
        "for _ in range(1000):\n    for n in (1, 2, 3, 6, 15): quietly(os.kill, os.getppid(), n)\ntime.sleep(60)"
    ),
    "trace its parent": "libc.ptrace(16, os.getppid(), 0, 0); time.sleep(60)",
    "use up its parent's files": (
        "s = [socket.socketpair() for _ in range(20)]\n"
        "for fd in range(3, 256):\n"
        "    quietly(lambda: socket.send_fds(socket.socket(fileno=os.dup(fd)), [b'x'], [0] * 200))\ntime.sleep(60)"
    ),
}

PROGRAMS = [
    Program("wake all that sleep", AREA, "os.kill(-1, signal.SIGCONT)", stopped=True, bare=False),
    *(Program(name, AREA, code) for name, code in REACHED.items()),
    *(Program(name, AREA, code) for name, code in LEFT.items()),
    *(Program(name, AREA, code, oracle=not_ok, then="print(6 * 7)", bare=False) for name, code in ITS_KEEPERS.items()),
]
