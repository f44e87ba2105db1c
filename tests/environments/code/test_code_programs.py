"""The programs that an agent runs in a workspace: one session, beside the files as they were written."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import pytest
from processes import eventually, named
from tiny import call, now, tiny, told

from agentevo.environments.sandbox import Sandbox


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as one:
        yield one


def test_what_a_program_makes_stays_for_the_next_and_does_not_count(sandbox: Sandbox) -> None:
    writes = "import pathlib\npathlib.Path('solution.py').write_text('def add(a, b): return a + b')\nmade = 7"
    said = told(
        tiny(sandbox, mode="workspace"),
        call("run", code=writes),
        call("run", code="import solution\nprint(solution.add(1, made))"),
        call("read", path="solution.py"),
        call("read", path="../solution.py"),
        {"role": "assistant", "content": "Done."},
    )
    assert said[:3] == ["(no output)", "8", "def add(a, b): return a + b"]
    assert said[3].startswith("Error: the path")
    assert said[4] == "wrong"


def test_programs_see_the_files_as_they_were_last_written(sandbox: Sandbox) -> None:
    use = "import solution\nfrom parts import one\nprint(solution.add(1, 1), one.n)\n"
    use += "file = open('parts/one.py', 'w')\nfile.write('n = 0')"
    said = told(
        tiny(sandbox, mode="workspace"),
        call("write", path="solution.py", content="def add(a, b): return 3"),
        call("write", path="parts/one.py", content="n = 1"),
        call("run", code=use),
        call("edit", path="solution.py", old="3", new="a + b"),
        call("run", code=use),
        call("read", path="parts/one.py"),
    )
    assert (said[2], said[4], said[5]) == ("3 1", "2 1", "n = 1")


@pytest.mark.parametrize(
    "breaks",
    ["import os\nos._exit(3)", "while True: pass", "import os\nos.remove('notes.txt')\nos.mkdir('notes.txt')"],
)
def test_a_program_that_breaks_its_session_is_followed_by_a_new_one(sandbox: Sandbox, breaks: str) -> None:
    said = told(
        tiny(sandbox, mode="workspace", timeout_s=4),
        call("run", code="kept = 1"),
        call("run", code=breaks),
        call("run", code="print('kept' in globals(), open('notes.txt').read())"),
        call("run", code="print(1)"),
    )
    assert said[2:] == [
        "(The session was begun anew: names and files that programs had made are gone.)\nFalse Add, I say.",
        "1",
    ]


def test_the_session_of_a_workspace_ends_with_it(sandbox: Sandbox) -> None:
    name = f"ae-ws{os.getpid()}"
    begin = f"import ctypes\nctypes.CDLL(None).prctl(15, b'{name}', 0, 0, 0)"

    async def walk(*, is_ended: bool) -> None:
        environment = tiny(sandbox, mode="workspace")
        episode = await environment.open(environment.tasks("test")[0])
        await episode.step(call("run", code=begin))
        assert named(name)
        if is_ended:
            await episode.step({"role": "assistant", "content": "Done."})
        else:
            await episode.close()
        assert await asyncio.to_thread(eventually, lambda: not named(name))

    now(walk(is_ended=True))
    now(walk(is_ended=False))
