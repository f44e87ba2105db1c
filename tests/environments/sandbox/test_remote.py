"""The tier `remote`: a sandbox in another process, reached over a socket, and services that break their promises."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from processes import alive, below, eventually, named, own_descriptors

from agentevo.environments.sandbox import (
    Connection,
    Endpoint,
    Limits,
    Sandbox,
    SandboxBroken,
    SandboxUnavailable,
)
from agentevo.environments.sandbox.box.wire import HEAD, LIMIT, Message
from agentevo.errors import Misuse

SERVICE = """
import asyncio, sys
from agentevo.environments.sandbox import Sandbox
from agentevo.environments.sandbox.serving import serve
with Sandbox(workers=2) as sandbox:
    asyncio.run(serve(sandbox, sys.argv[1], lambda reached: print(reached, flush=True)))
"""
ENDLESS = "import ctypes, time\nctypes.CDLL(None).prctl(15, b'{name}', 0, 0, 0)\ntime.sleep(60)"


async def seen(name: str) -> None:
    """Wait until a process of that name runs."""
    assert await asyncio.to_thread(eventually, lambda: bool(named(name)))


@contextmanager
def service(address: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Serve a sandbox from a process of its own; give the address and the process."""
    process = subprocess.Popen([sys.executable, "-c", SERVICE, address], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip(), process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def served() -> Iterator[str]:
    with service("127.0.0.1:0") as (address, _):
        yield address


@pytest.fixture(scope="module")
def remote(served: str) -> Iterator[Sandbox]:
    with Sandbox(remote=Endpoint(served), workers=2) as sandbox:
        yield sandbox


def test_the_self_test_is_made_from_here(remote: Sandbox) -> None:
    assert remote.tier == "remote"
    assert [one for one in remote.probes if not one.held] == []
    assert {one.name for one in remote.probes} >= {
        "read a file outside", "connect to a listener", "find a way into a network", "outlive the run",
        "find what another run left", "run longer than its time", "judge what is right", "forge a verdict",
    }  # fmt: skip


def test_a_run_over_a_socket_is_as_one_of_this_machine(remote: Sandbox) -> None:
    code = "import sys; print(sys.stdin.buffer.read(), open('a/b').read()); sys.exit(3)"
    result = remote.run(code, stdin=b"\xff1", files={"a/b": "two"})
    assert (result.kind, result.exit_status, result.stdout) == ("error", 3, "b'\\xff1' two\n")
    assert remote.run("while True: pass", timeout_s=0.2, limits=Limits(stretch=1)).kind == "timeout"
    assert remote.run("import os; os.kill(os.getpid(), 11)").exit_status == -11


def test_verdicts_and_refusals_are_the_same(remote: Sandbox) -> None:
    tests = "from other import two\ndef test_one(): assert add(1, two) == 3\ndef test_two(): assert add(1, 1) == 3\n"
    verdict = remote.judge("def add(a, b): return a + b", tests, "add", files={"other.py": "two = 2"})
    assert [check.passed for check in verdict.checks] == [True, False]
    assert remote.judge("print(int(input()) * 2)", [("2", "4")]).passed
    with pytest.raises(Misuse, match="leads out"):
        remote.run("1", files={"../x": ""})


def test_a_session_keeps_names_and_files(remote: Sandbox) -> None:
    with remote.session() as session:
        session.write("data/n.txt", "7")
        assert session.run("n = int(open('data/n.txt').read())").ok
        assert session.run("print(n + 1)").stdout == "8\n"
        assert (session.read("data/n.txt"), session.files()) == (b"7", ["data/n.txt", "main.py"])
        with pytest.raises(Misuse, match=r"^file 'none': No such file"):
            session.read("none")
        assert session.run("while True: pass", timeout_s=0.2).kind == "timeout"
        with pytest.raises(Misuse, match="session is over"):
            session.run("print(n)")


def test_a_cancelled_run_ends_at_the_service(remote: Sandbox) -> None:
    async def scenario() -> None:
        name = f"ae-r{os.getpid()}"
        running = asyncio.create_task(remote.arun(ENDLESS.format(name=name)))
        await seen(name)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert eventually(lambda: not named(name))

    asyncio.run(scenario())


def test_a_service_that_is_killed_is_a_typed_error_and_leaves_nothing(tmp_path: Path) -> None:
    with service(str(tmp_path / "box.sock")) as (address, process), Sandbox(remote=Endpoint(address)) as sandbox:
        assert (tmp_path / "box.sock").stat().st_mode & 0o077 == 0

        async def scenario() -> None:
            name = f"ae-k{os.getpid()}"
            running = asyncio.create_task(sandbox.arun(ENDLESS.format(name=name)))
            await seen(name)
            started = {process.pid, *below(process.pid)}
            os.kill(process.pid, signal.SIGKILL)
            # The kernel may still let the second try in, while it closes what the service had open.
            with pytest.raises(SandboxBroken, match=r"remote sandbox (cannot be reached|went in the middle of a run)"):
                await running
            process.wait()
            assert eventually(lambda: not alive(started))

        before = own_descriptors()
        asyncio.run(scenario())
        assert own_descriptors() == before
        with pytest.raises(SandboxBroken, match="cannot be reached"):
            sandbox.judge("def f(): return 1", "assert f() == 1", "f")
        with pytest.raises(SandboxBroken, match="cannot be reached"):
            sandbox.session()


def test_a_service_is_never_chosen_by_itself_nor_with_another_tier(served: str) -> None:
    with pytest.raises(Misuse, match="leave them out"):
        Sandbox(remote=Endpoint(served), tier="landlock")
    with pytest.raises(Misuse, match="HOST:PORT"):
        Endpoint("7000")
    with pytest.raises(SandboxUnavailable, match="remote: the remote sandbox cannot be reached"):
        Sandbox(remote=Endpoint("/nowhere/box.sock"))


def test_nonsense_ends_a_connection_and_no_service(served: str, remote: Sandbox) -> None:
    host, _, port = served.partition(":")
    for sent in (
        b"GET / HTTP/1.1\r\n\r\n",
        HEAD.pack(LIMIT + 1),
        HEAD.pack(2) + b"[]",
        HEAD.pack(9) + b"not JSON.",
        b"\0",
    ):
        with socket.create_connection((host, int(port)), 20) as given:
            given.sendall(sent)
            given.shutdown(socket.SHUT_WR)
            assert given.recv(1) == b""
    assert remote.run("print(1)").stdout == "1\n"


@pytest.mark.parametrize(
    "request_",
    [
        {"mode": "dance"}, {"mode": "session", "code": "1"}, {"mode": "run"}, {"file": "read", "name": "x"},
        {"mode": "run", "code": "1", "limits": {"wall_s": -1}}, {"mode": "run", "code": "1", "limits": {"wings": 2}},
        {"mode": "run", "code": "1", "files": {"../x": ""}}, {"mode": "run", "code": "1", "files": {"x": "="}},
    ],
)  # fmt: skip
def test_a_request_that_cannot_be_done_is_answered(served: str, request_: Message) -> None:
    async def scenario() -> Message:
        connection = await Endpoint(served).connect()
        try:
            return await connection.ask(request_)
        finally:
            await connection.close()

    assert [*asyncio.run(scenario())] == ["failed"]


class Wrapped:
    """A service of a stranger's: over another one, with what it does wrong."""

    def __init__(self, inner: Endpoint, **wrong: object) -> None:
        self.inner, self.wrong, self.open = inner, wrong, 0

    async def connect(self) -> Connection:
        self.inner_connection = await self.inner.connect()
        self.open += 1
        return self

    async def ask(self, request: Message) -> Message:
        answer = await self.inner_connection.ask(request)
        return {**answer, **{name: value for name, value in self.wrong.items() if name in answer}}

    async def close(self) -> None:
        self.open -= 1
        await self.inner_connection.close()


def test_a_stranger_implements_two_methods_and_is_closed_each_time(served: str) -> None:
    service = Wrapped(Endpoint(served))
    with Sandbox(remote=service) as sandbox:
        assert sandbox.run("print(1)").stdout == "1\n"
    assert service.open == 0


@pytest.mark.parametrize(
    ("wrong", "why"),
    [({"passed": True}, "forge a verdict: it passed"), ({"passed": False}, "judge what is right"),
     ({"kind": "ok"}, "run longer than its time"), ({"kind": "splendid"}, "not one of a run"),
     ({"checks": 7}, "gave no verdict")],
)  # fmt: skip
def test_a_service_that_breaks_its_promises_is_not_used(served: str, wrong: dict[str, object], why: str) -> None:
    with pytest.raises(SandboxUnavailable, match=why):
        Sandbox(remote=Wrapped(Endpoint(served), **wrong))


class Bare(Wrapped):
    """A service without walls where it matters."""

    unwalled, folder = "attempt_from_afar(**", "."

    async def ask(self, request: Message) -> Message:
        if self.unwalled not in (code := str(request.get("code"))):
            return await super().ask(request)
        command = [sys.executable, "-c", code]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, cwd=self.folder)
        return {
            "kind": "ok", "exit_status": done.returncode, "stdout": done.stdout, "stderr": done.stderr, "seconds": 0,
            "memory_mb": 0, "waited_s": 0,
        }  # fmt: skip


def test_a_service_without_walls_is_seen_from_here(served: str) -> None:
    with pytest.raises(SandboxUnavailable) as refused:
        Sandbox(remote=Bare(Endpoint(served)))
    for name in ("read a file outside", "create a file outside", "connect to a listener", "send a datagram"):
        assert f"{name}: it worked" in str(refused.value)
    assert "a file outside was changed" in str(refused.value)


def test_a_self_test_takes_away_what_it_left_where_nothing_else_does(served: str, tmp_path: Path) -> None:
    left: set[str] = set()

    class Shared(Bare):
        unwalled, folder = "'/tmp/ae-", str(tmp_path)

        async def ask(self, request: Message) -> Message:
            left.update(re.findall("/tmp/ae-[0-9a-f]+", str(request.get("code"))))
            return await super().ask(request)

    with pytest.raises(SandboxUnavailable, match="find what another run left: a file of another run is there: True"):
        Sandbox(remote=Shared(Endpoint(served)))
    assert [len(left), *tmp_path.iterdir()] == [1]
    assert not Path(*left).exists()
