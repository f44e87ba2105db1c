"""The installed command as a process of its own: signals, pipes, full disks, and what a user without anything sees."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from openai_server import OpenAIServer, hangs, streams

AGENTEVO = Path(sys.executable).parent / "agentevo"


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as running:
        yield running


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    """Return a user's environment: a home of their own, and no keys."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AGENTEVO_", "OPENAI_"))}
    return {**kept, "AGENTEVO_HOME": str(tmp_path / "home")}


def agentevo(*arguments: str, variables: dict[str, str], prefix: str = "") -> subprocess.CompletedProcess[str]:
    command = ["sh", "-c", f'{prefix} exec "$0" "$@"', str(AGENTEVO), *arguments]
    return subprocess.run(command, env=variables, capture_output=True, text=True, encoding="utf-8", check=False)


def assert_one_line(done: subprocess.CompletedProcess[str], returncode: int, *words: str) -> None:
    assert (done.returncode, done.stdout) == (returncode, ""), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("error: ")
    assert [word for word in words if word not in done.stderr] == [], done.stderr


def assert_one_error(done: subprocess.CompletedProcess[str], returncode: int, *words: str) -> None:
    """A slow pull also says how far it is, before the error."""
    assert (done.returncode, done.stdout) == (returncode, ""), done.stderr
    *progress, error = done.stderr.splitlines()
    assert error.startswith("error: "), done.stderr
    assert [line for line in progress if not line.startswith("copying ")] == [], done.stderr
    assert [word for word in words if word not in error] == [], error


def test_an_unknown_offline_model_lists_the_known_ones(variables: dict[str, str]) -> None:
    done = agentevo("run", "-m", "local/smollm3", "hi", variables=variables)
    assert_one_line(done, 2, "unknown", "'smollm3'", "smollm2-135m")


def test_an_unknown_provider_lists_known_ones(variables: dict[str, str]) -> None:
    assert_one_line(agentevo("run", "-m", "opnai/x", "hi", variables=variables), 2, "opnai", "openai")


def test_a_missing_key_names_its_variable(variables: dict[str, str]) -> None:
    assert_one_line(agentevo("run", "-m", "openai/gpt-4o", "hi", variables=variables), 2, "OPENAI_API_KEY")


def test_a_corrupt_settings_file_is_named(variables: dict[str, str]) -> None:
    home = Path(variables["AGENTEVO_HOME"])
    home.mkdir()
    (home / "config.toml").write_bytes(b"\xff\x00 = [")
    assert_one_line(agentevo("run", "hi", variables=variables), 2, "config.toml", "correct it or move it away")


def test_a_home_that_is_a_file_is_named(variables: dict[str, str]) -> None:
    Path(variables["AGENTEVO_HOME"]).write_text("not a folder", encoding="utf-8")
    assert_one_line(agentevo("run", "hi", variables=variables), 2, variables["AGENTEVO_HOME"])


def test_an_interrupt_ends_a_reply_with_one_line(server: OpenAIServer, variables: dict[str, str]) -> None:
    server.then(streams("half a", then=hangs))
    variables |= {"OPENAI_API_KEY": "k", "OPENAI_API_BASE": server.url}
    command = [str(AGENTEVO), "run", "-m", "openai/test", "hi"]
    process = subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.read(6) == "half a"
    process.send_signal(signal.SIGINT)
    rest, talk = process.communicate(timeout=120)
    assert (process.returncode, rest, talk) == (130, "\n", "interrupted\n")
    assert not list(Path(variables["AGENTEVO_HOME"]).rglob("*"))


def test_a_reader_that_leaves_ends_the_command_quietly(variables: dict[str, str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = subprocess.Popen([str(AGENTEVO), "--version"], env=variables, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    _, talk = process.communicate(timeout=120)
    assert (process.returncode, talk) == (141, b"")


def test_a_closed_stdout_is_written_to_nowhere(variables: dict[str, str]) -> None:
    done = agentevo("models", "list", variables=variables, prefix="exec >&-;")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_closed_stdin_holds_no_prompt(variables: dict[str, str]) -> None:
    done = agentevo("run", "-", variables=variables, prefix="exec <&-;")
    assert_one_line(done, 2, "no stdin")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_under_the_output_is_one_line(variables: dict[str, str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [str(AGENTEVO), "--version"], env=variables, stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert (done.returncode, done.stderr) == (1, b"error: No space left on device\n")


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """Yield a folder on a file system of 16 MB; only root can make one."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_during_pull_leaves_nothing_behind(
    weights_home: Path, tiny_disk: Path, variables: dict[str, str]
) -> None:
    gguf = next((weights_home / "models" / "smollm2-135m").glob("*.gguf"))
    variables["AGENTEVO_HOME"] = str(tiny_disk / "home")
    assert_one_error(agentevo("models", "pull", str(gguf), variables=variables), 1, "the disk is full")
    assert sum(file.stat().st_size for file in tiny_disk.rglob("*") if file.is_file()) < 100_000


def test_a_limit_on_file_sizes_during_pull_leaves_nothing_behind(weights_home: Path, variables: dict[str, str]) -> None:
    gguf = next((weights_home / "models" / "smollm2-135m").glob("*.gguf"))
    done = agentevo("models", "pull", str(gguf), variables=variables, prefix="ulimit -f 20000;")
    assert_one_error(done, 1)
    assert not list(Path(variables["AGENTEVO_HOME"]).rglob("*.gguf*"))


def test_an_interrupted_pull_installs_nothing(variables: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hub:
        variables["HF_ENDPOINT"] = f"http://127.0.0.1:{hub.getsockname()[1]}"
        command = [str(AGENTEVO), "models", "pull", "hf:someone/some/model.gguf"]
        process = subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        connection, _ = hub.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nGGUF" + bytes(70_000))
            process.send_signal(signal.SIGINT)
            said = process.communicate(timeout=120)
    assert (process.returncode, *said) == (130, "", "interrupted\n")
    assert not list((Path(variables["AGENTEVO_HOME"]) / "models").rglob("*"))


def test_an_ended_command_does_not_look_through_all_that_it_loaded(variables: dict[str, str]) -> None:
    program = (
        "import atexit, gc\n"
        "atexit.register(lambda: print('left alone' if gc.get_freeze_count() else 'looked through'))\n"
        "from agentevo.cli.app import main\n"
        "main()"
    )
    command = [sys.executable, "-c", program, "--version"]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[1:] == ["left alone"]
