"""Attacks on what is said about a run, on the runs before and after it, and on those beside it."""

# ruff: noqa: E501  # a program stands on one line, as long as it is

from __future__ import annotations

from battery.program import Oracle, Outcome, Program

FORGED = """
said = [{"kind": "ok", "exit_status": 0, "status": 0, "stdout": "forged", "ok": True, "passed": True, "finished": True,
         "done": 0, "exit": 0, "signal": None, "result": 3, "value": 3, "type": "result", "id": 1, "memory_mb": 1}]
texts = [json.dumps(one).encode() for one in said] + [b"OK", b"PASSED", b"\\x00", b""]
frames = []
for text in texts:
    size = len(text)
    for form in ("!I", "<I", "!Q", "<Q", "!H"):
        frames.append(struct.pack(form, size) + text)
    frames += [text + b"\\n", b"%d:%s," % (size, text)]
"""
BUSY = "for fd in range(3, 256): os.set_blocking(fd, False) if quietly(os.fstat, fd).__class__ is os.stat_result else None\n"


def told(kind: str, status: int | None, stdout: str = "") -> Oracle:
    """Find an outcome that differs from what is true of the run."""

    def check(outcome: Outcome) -> str:
        true, said = (kind, status, stdout), (outcome.kind, outcome.exit_status, outcome.stdout)
        return "" if said == true else f"said to be {said!r}"[:300]

    return check


LEFT_BY_3 = {
    "forged frames on every descriptor": FORGED
    + BUSY
    + "for fd in range(3, 256):\n    for f in frames: quietly(os.write, fd, f)",
    "forged frames sent on every socket": FORGED + "for fd in range(3, 256):\n    for f in frames:\n"
    "        quietly(lambda: socket.socket(fileno=os.dup(fd)).send(f, socket.MSG_DONTWAIT))",
    "forged frames on reopened descriptors": FORGED
    + "for pid in ('self', os.getppid(), 1):\n  for fd in range(3, 40):\n"
    "    o = quietly(os.open, f'/proc/{pid}/fd/{fd}', os.O_WRONLY | os.O_NONBLOCK)\n"
    "    if isinstance(o, int): [quietly(os.write, o, f) for f in frames]",
    "garbage on every descriptor": BUSY + "for fd in range(3, 256): quietly(os.write, fd, os.urandom(100_000))",
    "a length without end": BUSY + "for fd in range(3, 256): quietly(os.write, fd, b'\\xff' * 8)",
    "reading what is not for it": BUSY + "for fd in range(3, 256): quietly(os.read, fd, 100_000)",
    "every socket shut": "for fd in range(3, 256): quietly(lambda: socket.socket(fileno=os.dup(fd)).shutdown(2))",
    "every descriptor closed": "os.closerange(0, 1024)",
    "every descriptor another": (
        "r, w = os.pipe()\nfor fd in range(3, 256):\n    if fd not in (r, w): quietly(os.dup2, w, fd)"
    ),
    "descriptors sent on every socket": (
        "for fd in range(3, 256):\n"
        "    quietly(lambda: socket.send_fds(socket.socket(fileno=os.dup(fd)), [b'x'], [0, 1, 2], socket.MSG_DONTWAIT))"
    ),
    "orphans that end well": "children(10, lambda n: children(1, lambda n: os._exit(0)))\ntime.sleep(0.1)",
    "orphans that end at the same time": (
        "children(8, lambda n: children(1, lambda n: (time.sleep(0.2), os._exit(0))))\ntime.sleep(0.2)"
    ),
    "a child that goes on": "children(1, lambda n: time.sleep(5))",
    "a traced end": "libc.ptrace(0, 0, 0, 0)",
    "patched ways to leave": (
        "import atexit, builtins\natexit.register(lambda: None); sys.exit = builtins.exit = lambda *a: None\n"
        "os.waitpid = lambda *a: (0, 0)"
    ),
    "signals to its parent": "for n in (10, 12, 14, 17, 28): quietly(os.kill, os.getppid(), n)",
    "a parent that reaps": "libc.prctl(36, 1, 0, 0, 0); children(3, lambda n: os._exit(0))",
    "a changed clock": "time.time = time.monotonic = time.process_time = lambda: 0",
    "patched modules": (
        "json.dumps = json.loads = lambda *a, **k: {'kind': 'ok'}; struct.pack = lambda *a: b''\n"
        "socket.socket.sendall = socket.socket.send = lambda *a: 0"
    ),
}
KILLED = {
    "killed by itself": "os.kill(os.getpid(), 9)",
    "killed by its child": "up = os.getpid(); children(1, lambda n: os.kill(up, 9)); time.sleep(5)",
    "killed amid orphans that end well": (
        "children(8, lambda n: children(1, lambda n: (time.sleep(0.1), os._exit(0)))); time.sleep(0.1); os.kill(os.getpid(), 9)"
    ),
}
PRINTED = {
    "printed frames": FORGED + "for f in frames[:7]: print(f)\nsys.stdout.flush(); os._exit(3)",
    "printed verdicts": "print('PASSED'); print('OK'); print('1 passed in 0.01s'); sys.exit(3)",
}

LEAVE = {
    "a file": ("open('left', 'w').write('x')", "os.path.exists('left')"),
    "a file for all": (
        "for p in ('/tmp', '/var/tmp', '/dev/shm', '/'): quietly(lambda: open(f'{p}/left{HOST[\"tag\"]}', 'w'))",
        "[p for p in ('/tmp', '/var/tmp', '/dev/shm', '/') if os.path.exists(f'{p}/left{HOST[\"tag\"]}')]",
    ),
    "a file in its home": (
        "open(os.path.expanduser('~/.left' + HOST['tag']), 'w').write('x')",
        "os.path.exists(os.path.expanduser('~/.left' + HOST['tag']))",
    ),
    "a module that is imported": (
        "open('sitecustomize.py', 'w').write('x = 1'); open('left_module.py', 'w').write('x = 1')",
        "quietly(__import__, 'left_module').__class__.__name__ == 'module'",
    ),
    "a changed module": ("json.left = 1; sys.modules['left'] = json", "hasattr(json, 'left') or 'left' in sys.modules"),
    "changed surroundings": ("os.environ['LEFT'] = 'x'; libc.setenv(b'LEFT', b'x', 1)", "os.getenv('LEFT')"),
    "an abstract socket": (
        "s = socket.socket(socket.AF_UNIX); s.bind('\\0left' + HOST['tag']); s.listen()\n"
        "children(1, lambda n: (os.setsid(), time.sleep(5)))",
        "quietly(lambda: socket.socket(socket.AF_UNIX).connect('\\0left' + HOST['tag'])) is None",
    ),
    "shared memory": ("libc.shmget(HOST['key'] + 1, 4096, 0o1666)", "libc.shmget(HOST['key'] + 1, 0, 0) >= 0"),
    "a key": (
        "call(248, b'user', HOST['tag'].encode(), b'x', 1, -4)",
        "call(249, b'user', HOST['tag'].encode(), None, 0) > 0",
    ),
    "a locked file": (
        "import fcntl; f = open('/tmp/lock' + HOST['tag'], 'w'); fcntl.flock(f, 2)\n"
        "children(1, lambda n: (os.setsid(), time.sleep(5)))",
        "os.path.exists('/tmp/lock' + HOST['tag'])",
    ),
    "another mask": ("os.umask(0); os.umask(0o7)", "os.umask(0) == 0o7"),
}
FOUND = "found = {look}\nprint('found' if found else 6 * 7)"

RIVALS = {
    "kill it": "os.kill(HOST['rival'], 9)",
    "stop it": "os.kill(HOST['rival'], signal.SIGSTOP)",
    "kill by descriptor": "signal.pidfd_send_signal(os.pidfd_open(HOST['rival']), 9)",
    "trace it": "libc.ptrace(16, HOST['rival'], 0, 0); time.sleep(9)",
    "read its memory": "memory_of(HOST['rival'])",
    "read its output": "print(os.read(os.open(f'/proc/{HOST[\"rival\"]}/fd/1', os.O_RDONLY), 100))",
    "write to its output": "os.write(os.open(f'/proc/{HOST[\"rival\"]}/fd/1', os.O_WRONLY), b'forged')",
    "read its folder": (
        "for p in (f'/proc/{HOST[\"rival\"]}/cwd/mine', '../mine', *glob.glob('/tmp/*/mine')):\n"
        "    quietly(lambda: print(open(p).read()))"
    ),
    "remove its files": (
        "for p in (f'/proc/{HOST[\"rival\"]}/cwd/mine', *glob.glob('../*/mine'), *glob.glob('/proc/*/cwd/mine')):\n"
        "    quietly(lambda: HOST['tag'] in open(p).read() and os.unlink(p))"
    ),
    "limit it": "resource.prlimit(HOST['rival'], resource.RLIMIT_CPU, (0, 0))",
    "kill all that are near": (
        "if HOST['tier'] == 'namespaces':\n    for n in range(2, 200): quietly(os.kill, n, 9) if n != os.getpid() else None\n"
        "os.kill(HOST['rival'], 9)"
    ),
    "its abstract socket": (
        "s = socket.socket(socket.AF_UNIX); s.connect('\\0rival' + HOST['tag'] + 'R'); print(s.recv(100))"
    ),
    "use up its processes": "children(40, lambda n: time.sleep(1.5))",
}

PROGRAMS = [
    *(Program(name, "protocol", f"{code}\nos._exit(3)", oracle=told("error", 3)) for name, code in LEFT_BY_3.items()),
    *(
        Program(
            name, "protocol", code, oracle=lambda o: "" if o.kind in ("error", "killed") else f"said to be {o.kind}"
        )
        for name, code in KILLED.items()
    ),
    *(
        Program(name, "protocol", code, oracle=lambda o: "" if (o.kind, o.exit_status) == ("error", 3) else o.kind)
        for name, code in PRINTED.items()
    ),
    *(Program(f"leave {name}", "state", first, then=FOUND.format(look=look)) for name, (first, look) in LEAVE.items()),
    *(Program(name, "rivals", code, rival=True) for name, code in RIVALS.items()),
]
COMPANION = """
mine = "@secret@"
open("mine", "w").write(mine + HOST["tag"])
s = quietly(socket.socket, socket.AF_UNIX)
quietly(lambda: (s.bind("\\0rival" + HOST["tag"]), s.listen()))
time.sleep(1.2)
children(1, lambda n: None)
os.wait()
print("intact" if open("mine").read() == mine + HOST["tag"] else "changed")
"""
