"""Programs in the sandbox: how they end, what they write, and the limits they meet."""

from __future__ import annotations

import pytest

from agentevo.environments.sandbox import Limits, RunResult, Sandbox


def test_a_program_that_ends_well_is_ok(sandbox: Sandbox) -> None:
    result = sandbox.run("print('hello'); import sys; print('oops', file=sys.stderr)")
    assert (result.kind, result.exit_status, result.stdout, result.stderr) == ("ok", 0, "hello\n", "oops\n")
    assert result.ok
    assert 0 < result.memory_mb < 100
    assert 0 < result.seconds < 30


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("import sys; sys.exit(3)", 3),
        ("raise SystemExit('words')", 1),
        ("1/0", 1),
        ("def f(:", 1),
        ("import os; os._exit(7)", 7),
        ("import os; os.abort()", -6),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", -15),
    ],
)
def test_a_program_that_fails_is_data(sandbox: Sandbox, code: str, status: int) -> None:
    result = sandbox.run(code)
    assert (result.kind, result.exit_status) == ("error", status)


def test_a_traceback_shows_the_program_and_nothing_of_what_runs_it(best: Sandbox) -> None:
    said = best.run("def half(x):\n    return x / 0\nhalf(1)\n").stderr
    assert said.splitlines()[:3] == [
        "Traceback (most recent call last):", '  File "main.py", line 3, in <module>', "    half(1)",
    ]  # fmt: skip
    assert said.endswith("ZeroDivisionError: division by zero\n")
    assert "agentevo" not in said


def test_a_program_sees_its_input_and_its_files(sandbox: Sandbox) -> None:
    code = "import sys; print(sys.stdin.buffer.read(), open('data/a.txt').read(), open('b.bin', 'rb').read())"
    result = sandbox.run(code, stdin=b"in\xff", files={"data/a.txt": "text", "b.bin": b"\0\1"})
    assert result.stdout == "b'in\\xff' text b'\\x00\\x01'\n"


def test_a_program_imports_the_files_it_comes_with(best: Sandbox) -> None:
    result = best.run("from part import value; print(value)", files={"part.py": "value = 5"})
    assert result.stdout == "5\n"


def test_a_program_runs_as_the_interpreter_would_run_it(best: Sandbox) -> None:
    code = (
        "import atexit, sys, threading, time\n"
        "atexit.register(print, 'last')\n"
        "threading.Thread(target=lambda: (time.sleep(0.05), print('thread'))).start()\n"
        "print(__name__, __file__, sys.argv, 'agentevo' in sys.modules)\n"
    )
    assert best.run(code).stdout == "__main__ main.py ['main.py'] False\nthread\nlast\n"


def test_nothing_is_left_for_the_next_run(sandbox: Sandbox) -> None:
    first = sandbox.run("import builtins, os; builtins.len = None; open('left', 'w').close(); os.environ['X'] = '1'")
    second = sandbox.run("import os; print(len([1]), os.listdir('.'), 'X' in os.environ)")
    assert (first.kind, second.stdout) == ("ok", "1 ['main.py'] False\n")


def test_the_environment_holds_nothing_of_the_agents(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    with Sandbox(tier="namespaces" if sandbox.tier == "namespaces" else "landlock", workers=1) as fresh:
        said = fresh.run("import os; print(sorted(os.environ))").stdout
    assert "OPENAI_API_KEY" not in said
    assert "HOME" in said


def test_sets_of_texts_come_in_the_same_order_each_time(best: Sandbox) -> None:
    with Sandbox(workers=1) as other:
        assert len({one.run("print({'a', 'b', 'c', 'd', 'e'})").stdout for one in (best, best, other)}) == 1


def test_random_numbers_differ_between_runs(best: Sandbox) -> None:
    assert len({best.run("import random; print(random.random())").stdout for _ in range(3)}) == 3


def test_random_numbers_differ_between_a_program_and_its_child(best: Sandbox) -> None:
    code = "import os, random\nif os.fork(): os.wait()\nprint(random.random(), flush=True)"
    said = best.run(code).stdout.split()
    assert len({*said}) == 2


def test_a_program_finds_its_process_as_if_it_had_just_been_started(sandbox: Sandbox) -> None:
    code = """
import os, signal, sys, threading
print(threading.main_thread().native_id == threading.get_native_id())
print(sys.stdin.seekable(), sys.stdout.seekable(), sys.stderr.seekable(), sys.stdout.line_buffering)
print([name for name in sys.modules if name.startswith("agentevo")], os.register_at_fork.__name__)
print(signal.getsignal(signal.SIGINT) is signal.default_int_handler, os.environ["HOME"] == os.getcwd())
"""
    assert sandbox.run(code).stdout.splitlines() == [
        "True", "True False False True", "[] register_at_fork", "True True",
    ]  # fmt: skip


def test_a_timeout_ends_the_program_and_keeps_what_it_wrote(sandbox: Sandbox) -> None:
    result = sandbox.run("print('begun')\nimport time; time.sleep(600)", limits=Limits(stretch=1), timeout_s=3)
    assert (result.kind, result.exit_status, result.stdout) == ("timeout", None, "begun\n")


def test_a_program_that_ignores_signals_is_ended(sandbox: Sandbox) -> None:
    code = (
        "import signal, time\n"
        "for n in range(1, 65):\n    try: signal.signal(n, signal.SIG_IGN)\n    except (OSError, ValueError): pass\n"
        "print('deaf')\nwhile True:\n    try: time.sleep(9)\n    except BaseException: pass\n"
    )
    result = sandbox.run(code, timeout_s=2)
    assert (result.kind, result.stdout) == ("timeout", "deaf\n")


def test_processor_time_is_counted_over_all_processes(sandbox: Sandbox) -> None:
    code = "import os\nfor _ in range(3): os.fork()\nwhile True: pass"
    result = sandbox.run(code, limits=Limits(cpu_s=1, wall_s=60, stretch=1))
    assert (result.kind, result.seconds < 30) == ("timeout", True)


@pytest.mark.parametrize(
    "code",
    [
        "x = bytearray(10**9)",
        "x = []\nwhile True: x.append(' ' * 100_000)",
        "import mmap, time\nm = mmap.mmap(-1, 10**9)\nfor i in range(0, 10**9, 4096):\n"
        "    m[i] = 1\n    if i % 2**20 == 0: time.sleep(0.002)",
        "import os\nfor _ in range(3): os.fork()\nx = bytearray(b'x' * 30_000_000)\nimport time; time.sleep(30)",
    ],
    ids=["one piece", "many pieces", "shared mapping", "many small processes"],
)
def test_memory_is_limited_over_all_processes(sandbox: Sandbox, code: str) -> None:
    result = sandbox.run(code, limits=Limits(memory_mb=64))
    assert result.kind == "memory"
    assert result.memory_mb < 256


def test_processes_that_share_their_memory_count_it_once(best: Sandbox) -> None:
    code = (
        "import os, time\nx = b'x' * 40_000_000\n"
        "for _ in range(3):\n    if os.fork() == 0:\n        time.sleep(0.3)\n        os._exit(0)\n"
        "for _ in range(3): os.wait()\nprint('done')\n"
    )
    result = best.run(code, limits=Limits(memory_mb=100))
    assert (result.kind, result.stdout) == ("ok", "done\n")


def test_a_fork_bomb_is_refused_more_processes(sandbox: Sandbox) -> None:
    code = (
        "import os, time\nmade = 0\n"
        "try:\n    while True:\n        if os.fork() == 0:\n            time.sleep(60)\n        made += 1\n"
        "except BlockingIOError:\n    print(made)\n"
    )
    result = sandbox.run(code, limits=Limits(processes=10))
    assert result.kind == "ok"
    assert 5 <= int(result.stdout) <= 10


def test_threads_count_as_processes(sandbox: Sandbox) -> None:
    code = (
        "import threading, time\n"
        "for n in range(50):\n"
        "    try: threading.Thread(target=time.sleep, args=(20,), daemon=True).start()\n"
        "    except RuntimeError:\n        print(n)\n        break\n"
    )
    result = sandbox.run(code, limits=Limits(processes=10))
    assert 5 <= int(result.stdout) <= 10


def test_output_is_drained_and_cut_in_the_middle(sandbox: Sandbox) -> None:
    code = "import sys\nprint('begin')\nfor _ in range(300): print('x' * 10_000)\nprint('end')"
    result = sandbox.run(code, limits=Limits(output_bytes=10_000))
    assert (result.kind, result.exit_status, result.ok) == ("output", 0, True)
    assert result.stdout.startswith("begin\n")
    assert result.stdout.endswith("end\n")
    assert f"[... {3_000_310 - 10_000} bytes were cut ...]" in result.stdout
    assert len(result.stdout) < 10_200


def test_binary_output_is_text_with_replacements(best: Sandbox) -> None:
    assert best.run("import os; os.write(1, b'a\\xff\\x00b')").stdout == "a\ufffd\0b"


def test_the_work_disk_is_limited_in_size_and_number_of_files(sandbox: Sandbox) -> None:
    large = "for n in range(9):\n    with open(str(n), 'wb') as f: f.write(b'x' * 10**6)\nimport time; time.sleep(600)"
    many = "for n in range(300): open(str(n), 'w').close()\nimport time; time.sleep(600)"
    for code in (large, many):
        assert sandbox.run(code, limits=Limits(disk_mb=4, files=100)).kind in ("error", "killed")


def test_a_file_is_limited_in_size(sandbox: Sandbox) -> None:
    code = "with open('f', 'wb') as f:\n    f.write(b'x' * 3_000_000)"
    assert sandbox.run(code, limits=Limits(file_size_mb=1)).kind == "error"


def test_open_files_are_limited(sandbox: Sandbox) -> None:
    code = "kept = []\ntry:\n    while True: kept.append(open('/dev/null'))\nexcept OSError: print(len(kept))"
    assert 10 < int(sandbox.run(code, limits=Limits(open_files=20)).stdout) <= 20


def test_a_daemon_that_holds_the_output_does_not_keep_the_run_open(sandbox: Sandbox) -> None:
    code = "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(600)\nprint('main ends')"
    result = sandbox.run(code)
    assert (result.kind, result.stdout) == ("ok", "main ends\n")


def test_common_tools_of_the_standard_library_work(sandbox: Sandbox) -> None:
    code = (
        "import asyncio, subprocess, sys, tempfile, sqlite3, decimal, concurrent.futures, zoneinfo, hashlib, shutil\n"
        "asyncio.run(asyncio.sleep(0))\n"
        "print(subprocess.run([sys.executable, '-c', 'print(6*7)'], capture_output=True, text=True).stdout.strip())\n"
        "with tempfile.NamedTemporaryFile('w') as f: f.write('x')\n"
        "print(sqlite3.connect(':memory:').execute('select 1+1').fetchone())\n"
        "with concurrent.futures.ThreadPoolExecutor(2) as pool: print(list(pool.map(abs, [-1, -2])))\n"
        "open('a', 'w').close(); shutil.copy('a', 'b'); print(hashlib.sha256(b'').hexdigest()[:4])\n"
    )
    assert sandbox.run(code).stdout == "42\n(2,)\n[1, 2]\ne3b0\n"


def test_a_result_survives_a_trip_through_json(best: Sandbox) -> None:
    result = best.run("print(1)")
    assert RunResult.model_validate_json(result.model_dump_json()) == result


def test_standard_input_holds_what_was_given_and_nothing_more(sandbox: Sandbox) -> None:
    code = "import os\ntry: os.write(0, b'x' * 1000)\nexcept OSError: print(open(0).read())"
    assert sandbox.run(code, stdin="given").stdout == "given\n"


def test_timers_are_limited(sandbox: Sandbox) -> None:
    code = """
import ctypes, platform
number, made = {"x86_64": 222, "aarch64": 107}[platform.machine()], 0
while made < 5000 and ctypes.CDLL(None).syscall(number, 1, 0, ctypes.byref(ctypes.c_int())) == 0: made += 1
print(made <= 1024)
"""
    assert sandbox.run(code).stdout == "True\n"


HOLD = """
import array, ctypes, os, socket, threading, time
libc = ctypes.CDLL(None)
libc.mmap.restype, libc.mmap.argtypes = ctypes.c_void_p, [ctypes.c_void_p, *[ctypes.c_size_t] * 5]
def send(to, descriptor): to.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [descriptor]))])
ours, theirs = socket.socketpair()
far, near = socket.socketpair()
{before}
for n in range(6):
    file = os.open({name!r}, os.O_CREAT | os.O_RDWR)
    for _ in range(5): os.write(file, bytes(1 << 20))
    os.unlink({name!r})
    {act}
    os.close(file)
time.sleep({wait})
print("all held")
"""
HOLDING = {
    "sent": {"act": "send(ours, file)"},
    "sent to a socket that is sent": {
        "act": "send(ours, file)", "before": "send(far, theirs.fileno()); theirs.close()",
    },
    "mapped": {"act": "libc.mmap(None, 4096, 1, 1, file, 0)"},
    "mapped, of a name that seems to end a line": {
        "act": "libc.mmap(None, 4096, 1, 1, file, 0)", "name": "f\x0ba b c d 5 e",
    },
    "duplicated": {"act": "os.dup(file)"},
}  # fmt: skip


def holding(act: str, name: str = "f", before: str = "", wait: int = 600) -> str:
    return HOLD.format(act=act, name=name, before=before, wait=wait)


@pytest.mark.parametrize("held", HOLDING.values(), ids=HOLDING)
def test_deleted_files_count_however_they_are_held(sandbox: Sandbox, held: dict[str, str]) -> None:
    result = sandbox.run(holding(**held), limits=Limits(disk_mb=16, file_size_mb=6))  # type: ignore[arg-type]
    assert result.stdout == ""
    assert result.kind in ("killed", "error")


def test_files_that_are_sent_and_read_are_counted_once(sandbox: Sandbox) -> None:
    act = "send(ours, file); socket.recv_fds(theirs, 1, 1)[1]; os.dup(file); os.ftruncate(file, 1000)"
    assert sandbox.run(holding(act, wait=1), limits=Limits(disk_mb=16, file_size_mb=6)).stdout == "all held\n"


def test_memory_counts_where_the_first_thread_of_a_process_has_ended(sandbox: Sandbox) -> None:
    code = """
import ctypes, os, platform, threading, time
def eat():
    held = bytearray(20 << 20)
    time.sleep(600)
for n in range(6):
    if os.fork() == 0:
        threading.Thread(target=eat).start()
        ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[platform.machine()], 0)
time.sleep(600)
"""
    assert sandbox.run(code, limits=Limits(memory_mb=80)).kind == "memory"


def test_time_counts_of_children_that_nobody_waits_for(sandbox: Sandbox) -> None:
    code = """
import os, signal, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for n in range(6):
    if os.fork() == 0:
        while time.process_time() < 0.5: pass
        os._exit(0)
    try: os.wait()
    except OSError: pass
"""
    assert sandbox.run(code, limits=Limits(cpu_s=1, wall_s=60)).kind == "timeout"


def test_a_process_with_countless_mappings_is_ended_where_they_could_hide_files(sandbox: Sandbox) -> None:
    code = """
import mmap, time
held = [mmap.mmap(-1, 8192) for n in range(30_000)]
import ctypes
for one in held: ctypes.CDLL(None).mprotect(ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(one))), 4096, 1)
time.sleep(WAIT)
"""
    expected, wait = ("ok", "0.1") if sandbox.tier == "namespaces" else ("killed", "600")
    assert sandbox.run(code.replace("WAIT", wait)).kind == expected
