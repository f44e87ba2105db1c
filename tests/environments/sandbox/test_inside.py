"""Parts that run behind the walls, each for itself: output, folders, files, processes, styles of tests."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentevo.environments.sandbox.box import checks, files, judge, program, pytest_shim, wire
from agentevo.environments.sandbox.box.drain import Drain
from agentevo.environments.sandbox.box.folder import Folder
from agentevo.environments.sandbox.box.link import Link
from agentevo.environments.sandbox.box.watch import Bystanders, Tree


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe: where it is read, where it is written."""
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)


def drained(pipe: tuple[int, int], limit: int, *parts: bytes) -> Drain:
    drain = Drain(pipe[0], limit)
    for part in parts:
        os.write(pipe[1], part)
        assert drain.read()
    assert drain.read()
    os.close(pipe[1])
    assert not drain.read()
    return drain


def test_output_within_the_limit_is_whole(pipe: tuple[int, int]) -> None:
    drain = drained(pipe, 10, b"12345", b"6789\xff")
    assert (drain.text(), drain.is_cut) == ("123456789\ufffd", False)


def test_output_over_the_limit_keeps_both_ends(pipe: tuple[int, int]) -> None:
    drain = drained(pipe, 10, b"begin", *[b"." * 9] * 20, b"..end")
    assert drain.text() == "begin\n[... 180 bytes were cut ...]\n..end"


def test_a_pipe_is_emptied_without_waiting_for_more(pipe: tuple[int, int]) -> None:
    drain = Drain(pipe[0], 100)
    os.write(pipe[1], b"left")
    drain.rest()
    assert drain.text() == "left"
    os.close(pipe[1])


@pytest.fixture
def linked() -> Iterator[tuple[Link, socket.socket]]:
    """A link that hears up to 1,000 bytes at once, and what is at its other end."""
    near, far = socket.socketpair()
    with near, far:
        yield Link(near, 1000), far


def test_messages_are_heard_whole_however_they_come(linked: tuple[Link, socket.socket]) -> None:
    link, far = linked
    sent = wire.pack({"one": 1}) + wire.pack({"two": 2})
    found = []
    for byte in sent:
        far.send(bytes([byte]))
        found += [*link.heard()]
    far.send(sent)
    assert [*found, *link.heard(), *link.heard()] == [{"one": 1}, {"two": 2}] * 2
    assert not link.is_over


@pytest.mark.parametrize("nonsense", [b"\xff" * 8, b"\0\0\0\4nope", b"\0\0\0\2[]"])
def test_nothing_is_heard_after_nonsense(linked: tuple[Link, socket.socket], nonsense: bytes) -> None:
    link, far = linked
    far.send(wire.pack({"one": 1}) + nonsense + wire.pack({"two": 2}))
    assert ([*link.heard()], link.is_over) == ([{"one": 1}], True)


def test_what_is_said_to_one_who_does_not_listen_is_not_waited_for(linked: tuple[Link, socket.socket]) -> None:
    link, far = linked
    long: wire.Message = {"long": "x" * 2_000_000}
    link.say(long, [])
    link.say({"not": "said"}, [])
    assert (link.is_sending, link.is_taken) == (True, False)
    far.setblocking(False)
    taken = bytearray()
    while link.is_sending or not link.is_taken:
        taken += far.recv(1 << 20)
        link.go_on()
    assert wire.unpack(taken[wire.HEAD.size :]) == long
    far.close()
    link.say({"to": "nobody"}, [])
    assert ([*link.heard()], link.is_over, link.is_sending) == ([], True, False)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """A worker's folder of at most 1 MB and 20 files, which is where the test is."""
    made = Folder(str(tmp_path / "worker"), 1, 20)
    monkeypatch.chdir(tmp_path)
    made.make()
    return made


def test_a_folder_is_over_by_size_by_number_and_by_what_is_hidden(folder: Folder, proc: int) -> None:
    assert not folder.is_over(proc, [], 1)
    Path("large").write_bytes(b"x" * 2_000_000)
    assert folder.is_over(proc, [], 1)
    Path("large").unlink()
    for number in range(30):
        Path(str(number)).touch()
    assert folder.is_over(proc, [], 1)
    for number in range(30):
        Path(str(number)).unlink()
    with Path("deleted").open("wb") as deleted:
        Path("deleted").unlink()
        deleted.write(b"x" * 2_000_000)
        deleted.flush()
        assert folder.is_over(proc, [os.getpid()], 1)
    assert not folder.is_over(proc, [os.getpid()], 1)


def test_a_folder_too_deep_to_be_named_is_over_and_can_be_removed(folder: Folder, proc: int) -> None:
    for _ in range(18):
        Path("n" * 250).mkdir()
        os.chdir("n" * 250)
    Path("last").touch()
    assert folder.is_over(proc, [], 1)
    os.chdir("/")
    folder.remove()
    assert not Path(folder.path).exists()


def test_a_folder_with_closed_folders_and_links_is_removed(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("kept")
    Path("link").symlink_to(tmp_path)
    Path("closed/inner").mkdir(parents=True)
    Path("closed/inner/file").touch()
    Path("closed").chmod(0)
    folder.remove()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["outside"]


def test_files_are_read_and_written_inside_only(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("kept")
    Path("link").symlink_to(tmp_path / "outside")
    os.mkfifo("pipe")
    assert files.do({"file": "write", "name": "a/b/c", "content": "aGV5"}) == {}
    assert files.do({"file": "read", "name": "a/b/c"}) == {"content": "aGV5"}
    assert files.do({"file": "names"}) == {"names": ["a/b/c", "link", "pipe"]}
    for name in ("link", "pipe", "a", "../../outside", str(tmp_path / "outside"), "none"):
        assert "refused" in files.do({"file": "read", "name": name})
    for name in ("link", "pipe", "link/x"):
        assert "refused" in files.do({"file": "write", "name": name, "content": "eA=="})
    assert (tmp_path / "outside").read_text() == "kept"


def test_a_tree_counts_what_is_below_and_nothing_else(proc: int) -> None:
    tree, bystanders = Tree(proc), Bystanders(proc)
    bystanders.look()
    tree.learn(bystanders.pids)
    before = tree.usage()
    program = "print(flush=True); input()"
    child = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        child.stdout.readline()  # until its program runs it may be between two images, and hold nothing
        assert child.pid in tree.members()
        usage = tree.usage()
        assert usage.tasks > before.tasks
        assert usage.memory > before.memory
        assert 0 < tree.proportional() <= usage.memory * 2
        assert tree.waited_s(child.pid) >= 0
        tree.learn({*bystanders.pids, child.pid}, child.pid)
        assert child.pid in tree.members()
    finally:
        child.communicate()
    assert child.pid not in tree.members()
    assert tree.waited_s(child.pid) == 0


def outcomes(style: str, source: str, **names: object) -> dict[str, str]:
    """Run the checks of a source here; return how each failed, or nothing."""
    module = types.ModuleType("tests")
    module.__dict__.update(names)
    plan = checks.Plan(style)
    plan.load(source, module.__dict__, "f")
    return {name: judge.run(check, []) for name, check in plan.checks.items()}


def test_assert_statements_say_what_was_got() -> None:
    source = (
        "assert f(1) == 1\nassert f(1) != 1\nassert f([1]) is None\nassert 3 in f([1, 2])\n"
        "assert not f(1), 'words'\n"
        "assert f(1) < 0 < 2\nx = 2\nassert f(x) >= 3\nassert 1 not in f([1])\n"
        "assert f(1) is not f(1)\n1 / 0\nassert True"
    )
    assert [*outcomes("asserts", source, f=lambda x: x).values()] == [
        "",
        "assert f(1) != 1: got 1, expected it != 1",
        "assert f([1]) is None: got [1], expected it is None",
        "assert 3 in f([1, 2]): got 3, expected it in [1, 2]",
        "words (assert not f(1))",
        "assert f(1) < 0 < 2",
        "assert f(x) >= 3: got 2, expected it >= 3",
        "assert 1 not in f([1]): got 1, expected it not in [1]",
        "assert f(1) is not f(1): got 1, expected it is not 1",
        "ZeroDivisionError: division by zero",
    ]


def test_a_check_function_must_assert() -> None:
    assert outcomes("check", "def check(candidate): candidate", f=1) == {"check": "no assert was run"}
    assert outcomes("check", "def check():\n    assert 1", f=1) == {"check": ""}
    assert outcomes("asserts", "x = 1\nif f: x = 2", f=1) == {"tests": "no assert was run"}


def test_unittest_cases_are_run_one_by_one() -> None:
    source = (
        "import unittest\n"
        "class A(unittest.TestCase):\n"
        "    @classmethod\n    def setUpClass(cls): cls.made = [1]\n"
        "    def test_made(self): self.assertEqual(self.made, [1])\n"
        "    def test_error(self): raise KeyError('k')\n"
        "    def test_parts(self):\n        for n in (1, 2):\n"
        "            with self.subTest(n=n): self.assertEqual(n, 1)\n"
        "    def test_leaves(self): raise SystemExit(0)\n"
    )
    found = outcomes("unittest", source)
    assert found["A.test_made"] == ""
    assert found["A.test_error"] == "KeyError: 'k'"
    assert found["A.test_parts"].startswith("2 != 1")
    assert found["A.test_leaves"].startswith("SystemExit")


def test_pytest_style_tests_are_run_with_what_they_ask_for() -> None:
    source = """
import pytest
@pytest.fixture
def base():
    yield 3
    LOG.append("torn down")
@pytest.fixture()
def doubled(base): return base * 2
def test_fixtures(doubled, base, tmp_path): assert (doubled, base, tmp_path.is_dir()) == (6, 3, True)
@pytest.mark.parametrize("a", [1, pytest.param(2, id="two")])
@pytest.mark.parametrize(("b", "c"), [(1, 2)])
def test_product(a, b, c): assert a * b * c < 4
@pytest.mark.slow
def test_marked(): pass
@pytest.mark.skip(reason="later")
def test_later(): assert False
def test_raises():
    assert pytest.raises(ValueError, int, "x").match("invalid literal")
    with pytest.raises((KeyError, ValueError)) as caught: raise KeyError("a")
    assert caught.type is KeyError
def test_no_raise():
    with pytest.raises(ValueError): pass
def test_other_words():
    with pytest.raises(ValueError, match="^no$"): raise ValueError("yes")
def test_near():
    assert 0.1 + 0.2 == pytest.approx(0.3)
    assert [1.0, 2.0] == pytest.approx([1, 2.0000001])
    assert {"a": 1.0} == pytest.approx({"a": 1})
    assert "x" == pytest.approx("x")
    assert 1 != pytest.approx(1.1)
    assert repr(pytest.approx(1, rel=0.5)) == "1 within 0.5"
def test_fails(): pytest.fail("so")
def test_skips(): pytest.skip("why")
class TestGroup:
    def setup_method(self): self.x = 1
    def test_x(self): assert self.x == 1
"""
    log: list[str] = []
    found = outcomes("pytest", source, LOG=log)
    assert {name: message for name, message in found.items() if message} == {
        "test_product[1]": "assert a * b * c < 4: got 4, expected it < 4",
        "test_no_raise": "did not raise <class 'ValueError'>",
        "test_other_words": "'yes' does not match '^no$'",
        "test_fails": "so",
        "test_skips": "skipped: why",
    }
    assert "test_later" not in found
    assert log == ["torn down"]
    assert isinstance(pytest_shim.Marks().anything, types.FunctionType)


@pytest.mark.parametrize(("code", "status"), [(None, 0), (3, 3), (True, 1), ("words", 1), (256 + 4, 4)])
def test_exit_statuses_are_those_of_the_interpreter(code: object, status: int) -> None:
    assert program.exit_status(SystemExit(code)) == status


def test_exceptions_are_shown_as_the_interpreter_shows_them(capsys: pytest.CaptureFixture[str]) -> None:
    source = program.remembered("def f():\n    return 1 / 0\nf()\n", "step.py")
    assert program.execute(source, "step.py", {}) == 1
    said = capsys.readouterr().err
    assert '  File "step.py", line 2, in f\n    return 1 / 0\n' in said
    assert "program.py" not in said
    assert program.execute("raise SystemExit(4)", "step.py", {}) == 4
