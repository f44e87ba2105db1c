"""Walls around what others wrote: a canary of each kind tries what they forbid, and does it where there are none."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from locked_host import on_a_host_that_refuses

from agentevo.environments import load
from agentevo.environments.engine import Engine, EngineError
from agentevo.environments.tool import StdioServer, Tools
from agentevo.environments.tool.bfcl import BFCL, wheel
from agentevo.environments.tool.house import House
from agentevo.environments.walls import KINDS, Walls, kind_here, walls_of
from agentevo.errors import Misuse
from agentevo.protocols import Environment
from agentevo.types import Json, Task


def namespaces() -> bool:
    probe = ["unshare", "--user", "--map-root-user", "--mount", "--net", "true"]
    return shutil.which("unshare") is not None and subprocess.run(probe, capture_output=True).returncode == 0


CANARY = Path(__file__).with_name("canary.py")
DEEDS = {"read", "write", "connect", "speak", "signal"}
BY_NAMESPACES = set() if namespaces() else {"connect"}
"""What walls forbid only where the kernel gives namespaces, or a Landlock that knows of TCP."""
linux = pytest.mark.skipif(sys.platform != "linux", reason="there are walls on Linux alone")


def as_engine(given: dict[str, Json], home: Path, *, walls: bool) -> Any:
    async def looked() -> Any:
        engine = Engine("canary:Canary", walls=Walls(walls=walls))
        try:
            return await engine.ask("look", **given)
        finally:
            await engine.aclose()

    return asyncio.run(looked())


def as_server(given: dict[str, Json], home: Path, *, walls: bool) -> Any:
    server = StdioServer(sys.executable, "-S", str(CANARY), walls=walls)
    return called(Tools(mcp=[server]), Task(id="1", prompt="Look."), given)


def as_simulator(given: dict[str, Json], home: Path, *, walls: bool) -> Any:
    canary_for_wheel(wheel.place())
    environment = BFCL("base", walls=walls)
    try:
        return called(environment, environment.tasks("train")[0], given)
    finally:
        asyncio.run(environment.aclose())


def called(environment: Environment, task: Task, given: dict[str, Json]) -> Any:
    async def looked() -> str:
        episode = await environment.open(task)
        function: Json = {"name": "look", "arguments": json.dumps(given)}
        calls: Json = [{"id": "1", "type": "function", "function": function}]
        try:
            return (await episode.step({"role": "assistant", "content": None, "tool_calls": calls})).observation
        finally:
            await episode.close()

    found = re.search(r"\{.*\}", asyncio.run(looked()))
    assert found is not None
    return json.loads(found[0])


def canary_for_wheel(folder: Path) -> None:
    """Lay out what the wheel would hold, with a canary in the place of its calculator."""
    code = folder / "bfcl_eval/eval_checker/multi_turn_eval"
    (code / "func_source_code").mkdir(parents=True)
    for name in ("multi_turn_checker", "multi_turn_utils"):
        (code / f"{name}.py").write_text("", "utf-8")
    (code / "func_source_code/math_api.py").write_bytes(CANARY.read_bytes())
    (folder / "bfcl_eval/constants").mkdir()
    place = "bfcl_eval.eval_checker.multi_turn_eval.func_source_code.math_api"
    (folder / "bfcl_eval/constants/executable_backend_config.py").write_text(
        f"CLASS_FILE_PATH_MAPPING = {{'MathAPI': {place!r}}}\nSTATELESS_CLASSES = ['MathAPI']\n", "utf-8"
    )
    names = ("secret", "outside", "port", "address", "victim")
    rows = {
        "BFCL_v4_multi_turn_base.json": {
            "id": "multi_turn_base_0", "question": [[{"role": "user", "content": "Look."}]], "initial_config": {},
            "involved_classes": ["MathAPI"],
        },
        "possible_answer/BFCL_v4_multi_turn_base.json": {"id": "multi_turn_base_0", "ground_truth": [[]]},
        "multi_turn_func_doc/math_api.json": {
            "name": "look", "description": "",
            "parameters": {"type": "dict", "properties": {name: {"type": "string"} for name in names}, "required": []},
        },
    }  # fmt: skip
    for name, row in rows.items():
        file = folder / "bfcl_eval/data" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(row) + "\n", "utf-8")


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """Give the port of somebody who listens on this machine, and the file of somebody who listens there."""
    with socket.create_server(("127.0.0.1", 0)) as over_tcp, socket.socket(socket.AF_UNIX) as through_file:
        through_file.bind(str(tmp_path / "socket"))
        through_file.listen()
        yield over_tcp.getsockname()[1], tmp_path / "socket"


@pytest.fixture
def victim() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


@linux
@pytest.mark.parametrize("walls", [True, False], ids=["walled", "open"])
@pytest.mark.parametrize("kind", [as_engine, as_server, as_simulator])
def test_a_canary_does_nothing_behind_walls_and_everything_without(
    kind: Callable[..., Any], walls: bool, tmp_path: Path, empty_home: Path, listening: tuple[int, Path],
    victim: subprocess.Popen[bytes],
) -> None:  # fmt: skip
    secret, outside = tmp_path / "secret", tmp_path / "outside"
    secret.write_text("s", "utf-8")
    port, address = listening
    given: dict[str, Json] = {
        "secret": str(secret), "outside": str(outside), "port": port, "address": str(address), "victim": victim.pid,
    }  # fmt: skip
    found = kind(given, empty_home, walls=walls)
    assert set(found) == DEEDS
    done = {deed for deed, what in found.items() if what == "did it"}
    assert done <= BY_NAMESPACES if walls else done == DEEDS
    assert outside.exists() != walls
    assert (victim.poll() is None) == walls or victim.wait(5) == -15


LOOKS = """
import asyncio, json, socket, sys, tempfile
from pathlib import Path
from agentevo.environments.engine import Engine, EngineError
from agentevo.environments.walls import Walls, kind_here
sys.path.insert(0, sys.argv[1])
folder = Path(tempfile.mkdtemp())
with socket.create_server(("127.0.0.1", 0)) as over_tcp, socket.socket(socket.AF_UNIX) as through_file:
    through_file.bind(str(folder / "socket"))
    through_file.listen()
    given = {"port": over_tcp.getsockname()[1], "address": str(folder / "socket"), "victim": 2**22,
             "secret": str(folder / "no"), "outside": str(folder / "no")}
    async def looked(factory, method, arguments, **asked):
        engine = Engine(factory, arguments=arguments, walls=Walls(**json.loads(sys.argv[2])))
        try:
            return await engine.ask(method, **asked)
        except EngineError as error:
            return str(error)
        finally:
            await engine.aclose()
    found = asyncio.run(looked("canary:Canary", "look", {}, **given))
    sends = asyncio.run(looked("socket:socket", "fileno", {"family": 2, "type": 2}))
    sent = "PermissionError" if "PermissionError" in str(sends) else "did it"
    print(json.dumps([kind_here(), found["connect"], found["speak"], sent]))
"""


@linux
@pytest.mark.parametrize(
    ("refused", "granted", "expected"),
    [
        ("mount,mount_setattr", {}, ["namespaces", "ConnectionRefusedError", "PermissionError", "did it"]),
        ("unshare", {}, ["rules", "PermissionError", "PermissionError", "PermissionError"]),
        ("unshare", {"network": True}, ["rules", "did it", "PermissionError", "did it"]),
    ],
    ids=["without mounts", "without namespaces", "with network"],
)
@pytest.mark.skipif(not namespaces(), reason="where the kernel gives namespaces, they can be refused")
def test_sockets_among_files_are_refused_where_the_kernel_gives_no_root(
    refused: str, granted: dict[str, Json], expected: list[str]
) -> None:
    found = on_a_host_that_refuses(refused, LOOKS, str(CANARY.parent), json.dumps(granted))
    assert json.loads(found.stdout or found.stderr) == expected


@linux
@pytest.mark.parametrize("network", [False, True])
def test_no_socket_leads_to_the_host_of_a_virtual_machine_unless_a_root_and_the_network_are_granted(
    network: bool,
) -> None:
    arguments: dict[str, Json] = {"family": socket.AF_VSOCK, "type": socket.SOCK_STREAM}

    async def made() -> str:
        engine = Engine("socket:socket", arguments=arguments, walls=Walls(network=network))
        try:
            return f"socket {await engine.ask('fileno')}"
        except EngineError as error:
            return str(error)
        finally:
            await engine.aclose()

    is_granted = network and kind_here() == "root"
    assert ("PermissionError" in asyncio.run(made())) != is_granted


def test_what_an_environment_may_touch_is_told(empty_home: Path) -> None:
    files, network, processes, variables, here = walls_of(BFCL())
    assert here.removeprefix("walls here: ") in KINDS.values()
    assert files.endswith(f"and {wheel.place()}; writes one temporary folder")
    assert network == "network: none but a loopback of its own"
    assert "nothing that it starts is left" in processes
    assert "HOME" in variables
    assert walls_of(BFCL(walls=False)) == ("walls: none; it runs with all rights of this process",)
    assert walls_of(House()) == ("walls: none; its episodes run in this process",)
    assert "those of the sandbox" in walls_of(load("library")[0])[0]


def test_values_of_variables_are_not_told() -> None:
    told = " ".join(Walls(env={"KEY": "s3cret"}).told())
    assert "KEY" in told
    assert "s3cret" not in told + repr(Walls(env={"KEY": "s3cret"}))


def test_a_path_alone_is_no_list_of_them() -> None:
    with pytest.raises(Misuse, match="readable is '/etc'; expected a list of paths"):
        Walls(readable="/etc")
