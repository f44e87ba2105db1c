"""Sessions: steps that share names and files, and end with the session."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest
from processes import PATIENCE_S

from agentevo.environments.sandbox import Limits, Sandbox, Session
from agentevo.errors import Misuse


@pytest.fixture
def session(sandbox: Sandbox) -> Iterator[Session]:
    """A session of the tier whose turn it is."""
    with sandbox.session(limits=Limits(stretch=1)) as opened:
        yield opened


def test_steps_share_names_and_files(session: Session) -> None:
    assert session.run("x = 5\nopen('f', 'w').write('kept')").kind == "ok"
    assert session.run("print(x, open('f').read())").stdout == "5 kept\n"


def test_a_step_that_fails_is_data_and_the_session_goes_on(session: Session) -> None:
    failed = session.run("def f():\n    return 1 / 0\nf()")
    assert (failed.kind, failed.exit_status) == ("error", 1)
    assert "return 1 / 0" in failed.stderr
    assert session.run("print('on')").stdout == "on\n"


def test_a_step_reads_its_own_input(session: Session) -> None:
    assert session.run("print(input())", stdin="one").stdout == "one\n"
    assert session.run("print(input())", stdin="two").stdout == "two\n"


def test_files_are_written_read_and_listed(session: Session) -> None:
    session.write("src/part.py", "value = 7\n")
    session.write("data.bin", b"\0\xff")
    session.write("data.bin", b"\1")
    assert session.run("import sys; sys.path.insert(0, 'src'); import part; print(part.value)").stdout == "7\n"
    session.run("open('made', 'w').write('here')")
    assert (session.read("made"), session.read("data.bin")) == (b"here", b"\1")
    assert {"src/part.py", "data.bin", "made"} <= set(session.files())


@pytest.mark.parametrize("name", ["../out", "/etc/hostname", "link", "pipe", "folder", "missing", "deep/link/x"])
def test_only_regular_files_inside_can_be_read(session: Session, name: str) -> None:
    session.run(
        "import os\nos.symlink('/etc/hostname', 'link')\nos.mkfifo('pipe')\nos.mkdir('folder')\n"
        "os.mkdir('deep')\nos.symlink('/etc', 'deep/link')"
    )
    with pytest.raises(Misuse, match="file"):
        session.read(name)


@pytest.mark.parametrize("name", ["link", "deep/new", "pipe"])
def test_nothing_outside_is_written_through_a_link(session: Session, name: str) -> None:
    session.run("import os\nos.symlink('/tmp/agentevo-out', 'link')\nos.symlink('/tmp', 'deep')\nos.mkfifo('pipe')")
    with pytest.raises(Misuse, match="file"):
        session.write(name, "x")


def test_a_step_over_its_time_ends_the_session(session: Session) -> None:
    assert session.run("while True: pass", timeout_s=0.3).kind == "timeout"
    with pytest.raises(Misuse, match="this session is over: its last step ended with timeout"):
        session.run("print(1)")


def test_a_process_that_leaves_ends_the_session(session: Session) -> None:
    assert session.run("import os; os._exit(3)").exit_status == 3
    with pytest.raises(Misuse, match="over"):
        session.files()


@pytest.mark.parametrize(
    "nonsense",
    ["b'\\0\\0'", "b'\\xff' * 50", "struct.pack('!I', 4) + b'nope'", "struct.pack('!I', 15) + b'{\"done\": \"zero\"}'"],
)
def test_nonsense_on_the_channel_ends_the_step_in_time(session: Session, nonsense: str) -> None:
    code = f"import os, struct, time\nfor fd in range(3, 9):\n    try: os.write(fd, {nonsense})\n"
    code += "    except OSError: pass\n"
    result = session.run(code + "time.sleep(600)", timeout_s=0.5)
    assert result.kind == "timeout"
    assert result.seconds < 20


DRIPS = """
import os, struct, time
os.write(3, struct.pack("!I", 100_000))
for _ in range(100):
    time.sleep(0.3)
    os.write(3, b" ")
"""
FLOODS = """
import os, struct, time
if os.fork() == 0:
    while True: os.write(3, (struct.pack("!I", 2) + b"{}") * 1000)
time.sleep(1)
os._exit(3)
"""
DEAF = """
import mmap, os, struct, time
if os.fork() == 0:
    time.sleep(1)
    kept = mmap.mmap(-1, 300 << 20)
    for at in range(0, 300 << 20, 4096): kept[at] = 1
    time.sleep(600)
os.write(3, struct.pack("!I", 10) + b'{"done":0}')
time.sleep(600)
"""


def test_half_of_a_message_does_not_hold_up_the_limits(session: Session) -> None:
    result = session.run(DRIPS, timeout_s=1)
    assert (result.kind, result.seconds < 20) == ("timeout", True)


def test_messages_without_end_do_not_hold_up_the_end_of_a_session(session: Session) -> None:
    result = session.run(FLOODS)
    assert (result.kind, result.exit_status) == ("error", 3)


def test_a_step_that_is_not_taken_holds_up_no_limit(sandbox: Sandbox) -> None:
    with sandbox.session(limits=Limits(memory_mb=64, wall_s=100)) as session:
        assert session.run(DEAF).kind == "ok"  # its own word
        result = session.run("#" * 3_000_000)
    # Under Landlock what the step came with, and nobody reads, may be found first: it could hide a file.
    expected = ("memory",) if sandbox.tier == "namespaces" else ("memory", "killed")
    assert (result.kind in expected, result.seconds < 15) == (True, True)


GROWS = """
import mmap, threading, time
def grow():
    time.sleep(0.3)
    kept = mmap.mmap(-1, 200_000_000)
    for at in range(0, 200_000_000, 4096): kept[at] = 1
    time.sleep(600)
threading.Thread(target=grow).start()
"""
WRITES = """
import threading, time
def write():
    time.sleep(0.3)
    for n in range(300):
        with open(str(n), "wb") as file: file.write(bytes(100_000))
threading.Thread(target=write).start()
"""


async def kind_of_later_steps(sandbox: Sandbox, code: str, limits: Limits) -> str:
    """Have a step leave something behind; return how the first of many short steps after it ends that is not ok."""
    async with await sandbox.asession(limits=limits) as session:
        assert (await session.arun(code)).kind == "ok"
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            await asyncio.sleep(0.05)
            result = await session.arun("1")
            if result.kind != "ok":
                break
        return result.kind


def test_memory_that_is_taken_between_steps_is_limited_too(sandbox: Sandbox) -> None:
    found = asyncio.run(kind_of_later_steps(sandbox, GROWS, Limits(memory_mb=64)))
    assert found in ("memory", "killed")


def test_what_is_written_between_steps_is_limited_too(sandbox: Sandbox) -> None:
    if sandbox.tier == "namespaces":
        pytest.skip("its disk is full by itself")
    assert asyncio.run(kind_of_later_steps(sandbox, WRITES, Limits(disk_mb=5))) == "killed"


def test_a_cancelled_step_ends_the_session(sandbox: Sandbox) -> None:
    async def scenario() -> None:
        async with await sandbox.asession() as session:
            step = asyncio.create_task(session.arun("import time; time.sleep(60)"))
            await asyncio.sleep(0.2)
            step.cancel()
            with pytest.raises(asyncio.CancelledError):
                await step
            with pytest.raises(Misuse, match="a step was cancelled"):
                await session.arun("print(1)")

    asyncio.run(scenario())
