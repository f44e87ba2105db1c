"""Attacks on what the machine has: memory, disk, processes, time and output, each a little above its limit."""

# ruff: noqa: E501  # a program stands on one line, as long as it is

from __future__ import annotations

from collections.abc import Callable

from battery.program import LIMITS, OUTPUT_SLACK, Outcome, Program

AREA = "resources"


def cut(outcome: Outcome) -> str:
    """Find more output than a stream may bring."""
    most = max(len(outcome.stdout), len(outcome.stderr))
    return f"{most} characters of output" if most > LIMITS.output_bytes + OUTPUT_SLACK else ""


def ended(*kinds: str) -> Callable[[Outcome], str]:
    """Find a program that was said to end in another way than one of these."""
    return lambda outcome: "" if outcome.kind in kinds else f"ended as {outcome.kind}"


HOLD = "\ntime.sleep(2)"
MEMORY = {
    "one large block": "b = bytearray(400 << 20)",
    "many small blocks": "b = [bytearray(1 << 16) for _ in range(6400)]",
    "lists": "b = [[0] * 1000 for _ in range(50_000)]",
    "a map of memory": "m = mmap.mmap(-1, 400 << 20)\nfor i in range(0, 400 << 20, 4096): m[i] = 1",
    "maps of memory": (
        "m = []\nfor _ in range(40):\n    m.append(mmap.mmap(-1, 10 << 20)); m[-1].write(b'x' * (10 << 20))"
    ),
    "shared memory of the system": (
        "libc.shmat.restype = ctypes.c_void_p\n"
        "for _ in range(40):\n    s = libc.shmget(0, 10 << 20, 0o1600); a = libc.shmat(s, 0, 0); libc.shmctl(s, 0, 0)\n"
        "    ctypes.memset(a, 1, 10 << 20)"
    ),
    "memory of processes whose first thread has ended": (
        "def eat():\n    b = bytearray(60 << 20); time.sleep(3); os._exit(0)\n"
        "children(7, lambda n: (threading.Thread(target=eat).start(), call(60, 0)))"
    ),
    "files in memory": (
        "for _ in range(40):\n    fd = os.memfd_create('x')\n    for _ in range(10): os.write(fd, bytes(1 << 20))"
    ),
    "files in memory, made large": (
        "for _ in range(20):\n    fd = os.memfd_create('x'); quietly(os.posix_fallocate, fd, 0, 20 << 20)"
    ),
    "files in memory of many processes": (
        "def act(n):\n    for _ in range(4):\n        fd = os.memfd_create('x')\n"
        "        for _ in range(10): os.write(fd, bytes(1 << 20))\n    time.sleep(2)\nchildren(12, act)"
    ),
    "secret memory": (
        "for _ in range(40):\n    fd = call(447, 0)\n    os.ftruncate(fd, 10 << 20); m = mmap.mmap(fd, 10 << 20)\n"
        "    m.write(b'x' * (10 << 20)); KEPT = globals().setdefault('KEPT', []); KEPT.append(m)"
    ),
    "many processes": "def act(n):\n    b = bytearray(35 << 20); time.sleep(2)\nchildren(12, act)",
    "processes of other sessions": (
        "def act(n):\n    os.setsid(); b = bytearray(35 << 20); time.sleep(2)\nchildren(12, act)"
    ),
    "shared among processes": (
        "m = mmap.mmap(-1, 400 << 20)\n"
        "def act(n):\n    for i in range(n * 40 << 20, (n + 1) * 40 << 20, 4096): m[i] = 1\n    time.sleep(2)\nchildren(10, act)"
    ),
    "stacks of threads": (
        "threading.stack_size(60 << 20)\ndef act():\n    m = mmap.mmap(-1, 40 << 20); m.write(b'x' * (40 << 20)); time.sleep(1)\n"
        "for _ in range(10): threading.Thread(target=act).start()"
    ),
    "locked memory": "libc.mlockall(2); m = mmap.mmap(-1, 400 << 20)",
    "a number": "n = 1 << (400 << 23); n += 1",
    "a text": "t = 'x' * (400 << 20)",
}
DISK = {
    "one large file": (
        "fd = os.open('large', os.O_RDWR | os.O_CREAT)\nfor _ in range(60): os.write(fd, bytes(1 << 20))"
    ),
    "many files": "kept = []\nfor n in range(30):\n    f = open(f'f{n}', 'wb', 0); kept.append(f); f.write(bytes(4 << 20))",
    "files without a name": (
        "kept = []\nfor n in range(30):\n    f = open('f', 'wb', 0); kept.append(f); os.unlink('f'); f.write(bytes(4 << 20))"
    ),
    "a file set aside": "fd = os.open('large', os.O_RDWR | os.O_CREAT)\nos.posix_fallocate(fd, 0, 60 << 20)",
    "files in every folder that lets it": (
        "kept = []\nfor place in ('.', '/tmp', '/var/tmp', '/dev/shm', '/run', '/'):\n    for n in range(10):\n"
        "        f = quietly(lambda: open(os.path.join(place, HOST['tag'] + str(n)), 'wb', 0))\n"
        "        kept.append(f); quietly(lambda: (os.unlink(f.name), [f.write(bytes(1 << 20)) for _ in range(4)]))"
    ),
    "a map of a file": (
        "fd = os.open('large', os.O_RDWR | os.O_CREAT); os.ftruncate(fd, 60 << 20); m = mmap.mmap(fd, 60 << 20)\n"
        "for i in range(0, 60 << 20, 4096): m[i] = 1"
    ),
    "countless empty files": "for n in range(2000): open(f'e{n}', 'w').close()",
    "countless folders": "for n in range(2000): os.mkdir(f'e{n}')",
    "countless links": "open('one', 'w').close()\nfor n in range(2000): os.symlink('one', f'e{n}')",
}
PROCESSES = {
    "forty processes": "children(40, lambda n: time.sleep(2))",
    "forty processes of one child each": "def act(n):\n    if n < 40 and not os.fork(): act(n + 1)\n    time.sleep(2)\nact(0)",
    "forty threads": (
        "for _ in range(40): quietly(lambda: threading.Thread(target=time.sleep, args=(2,), daemon=True).start())"
    ),
    "threads in processes": (
        "def act(n):\n    for _ in range(10): quietly(lambda: threading.Thread(target=time.sleep, args=(2,), daemon=True).start())\n"
        "    time.sleep(2)\nchildren(8, act)"
    ),
    "processes that come and go": (
        "def act(n):\n    until = time.time() + 1\n    while time.time() < until:\n        if quietly(os.fork) == 0: time.sleep(0.3); os._exit(0)\n"
        "children(8, act)"
    ),
    "open files": "kept = [quietly(os.open, '/', 0) for _ in range(1000)]",
}
OUTPUT = {
    "a long output": "print('x' * 3_000_000)",
    "a long output of errors": "sys.stderr.write('x' * 3_000_000)",
    "many lines": "for n in range(300_000): print(n)",
    "bytes that are no text": "sys.stdout.buffer.write(bytes(range(128, 256)) * 20_000)",
    "output of many processes": "children(8, lambda n: print('x' * 500_000, flush=True)); time.sleep(0.5)",
    "a long traceback": "raise ValueError('x' * 3_000_000)",
    "a long name of an error": "raise type('E' * 1_000_000, (Exception,), {})('x' * 1_000_000)",
    "a long text to leave with": "sys.exit('x' * 3_000_000)",
}
ENDLESS = {
    "a loop": "while True: pass",
    "sleep": "time.sleep(1000)",
    "a loop in a C function": "sum(range(10 ** 15))",
    "a large power": "10 ** 10 ** 8",
    "a regular expression": "import re; re.match('(a+)+$', 'a' * 60 + 'b')",
    "a loop that catches all": (
        "for n in range(1, 65): quietly(signal.signal, n, signal.SIG_IGN)\n"
        "while True:\n    try:\n        while True: time.sleep(0.01)\n    except BaseException: pass"
    ),
    "a loop in every thread": "def f():\n    while True: pass\nfor _ in range(8): threading.Thread(target=f).start()",
    "a loop in every process": "def f(n):\n    while True: pass\nchildren(8, f); f(0)",
    "an end that never comes": "import atexit; atexit.register(time.sleep, 1000)",
    "its own alarm": "signal.alarm(0); signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65)); time.sleep(1000)",
    "reading what never comes": "r, w = os.pipe(); os.read(r, 1)",
    "stopped": "os.kill(os.getpid(), signal.SIGSTOP)",
    "vfork and stop": "children(1, lambda n: call(58) or os.kill(os.getpid(), 19)); os.wait(); time.sleep(100)",
    "silence with closed streams": "os.closerange(0, 1024); time.sleep(1000)",
}
BROKEN = {
    "recursion without end": "sys.setrecursionlimit(10 ** 9)\ndef f(): f()\nf()",
    "recursion while shown": "class E(Exception):\n    def __str__(self): return str(self)\nraise E",
    "deep nesting": "x = []\nfor _ in range(10 ** 6): x = [x]\nprint(len(repr(x)))",
    "deep code": "exec('(' * 10 ** 5 + ')' * 10 ** 5)",
    "a bad pointer": "ctypes.string_at(0)",
    "an abort": "os.abort()",
    "closed streams": "os.closerange(0, 1024); raise SystemExit(5)",
}

PROGRAMS = [
    *(Program(name, AREA, code + HOLD, weighed=True) for group in (MEMORY, DISK) for name, code in group.items()),
    *(Program(name, AREA, code + HOLD, weighed=True) for name, code in PROCESSES.items()),
    *(Program(name, AREA, code, oracle=cut) for name, code in OUTPUT.items()),
    *(Program(name, AREA, code, oracle=ended("timeout", "killed")) for name, code in ENDLESS.items()),
    *(Program(name, AREA, code, oracle=ended("error", "memory", "timeout")) for name, code in BROKEN.items()),
]
