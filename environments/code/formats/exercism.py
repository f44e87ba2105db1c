"""Exercism exercises: a folder each, with instructions, a stub, an example solution, and tests for pytest."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from agentevo.environments.code.formats.cases import from_module
from agentevo.environments.code.task import CodeTask
from agentevo.errors import Misuse
from agentevo.types import Task

TOLD = ("introduction.md", "instructions.md", "instructions.append.md")


def exercism_tasks(path: str | Path) -> list[CodeTask]:
    """Return the exercises of a folder: a track, a folder of exercises, or one of them.

    The first test of an exercise may be seen, the others are hidden; with a single test, that one is.
    """
    return [_task(folder) for folder in _exercises(Path(path))]


def _exercises(root: Path) -> list[Path]:
    if not root.is_dir():
        raise Misuse(f"{root} is no folder; expected an Exercism track, or an exercise of one")
    found = sorted({config.parent.parent for config in root.rglob(".meta/config.json")})
    found = [folder for folder in found if list(_tests_of(folder))]
    if not found:
        raise Misuse(
            f"{root} has no exercises; expected folders with .meta/config.json and a test such as leap_test.py"
        )
    return found


def _task(folder: Path) -> CodeTask:
    files = _files(folder)
    solution, test = folder / files["solution"], folder / files["test"]
    names, tests = from_module(_read(test), solution.stem, str(test))
    visible, hidden = (tests[:1], tests[1:]) if len(tests) > 1 else ((), tests)
    told = [_read(folder / ".docs" / name).strip() for name in TOLD if (folder / ".docs" / name).exists()]
    asked = f"Write {solution.name} so that it has {', '.join(f'`{name}`' for name in names)}."
    example = folder / files["example"] if files["example"] else None
    return CodeTask(
        task=Task(
            id=f"exercism-{folder.name}", prompt="\n\n".join([*filter(None, told), asked]),
            data={"entry_point": names[0], "tests": list(visible)}, provenance="Exercism",
        ),
        split="test", entry_point=names[0], visible=visible, hidden=hidden,
        gold=_read(example) if example is not None and example.exists() else None, file=solution.name,
        starter="" if not solution.exists() else _read(solution), is_plain=False,
    )  # fmt: skip


def _files(folder: Path) -> dict[str, str]:
    """Return where solution, test and example of an exercise are."""
    config = folder / ".meta" / "config.json"
    try:
        said = json.loads(_read(config))
        listed = said.get("files", {})
        named = {name: [*listed.get(name, [])] for name in ("solution", "test", "example", "exemplar")}
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise Misuse(f"{config} is not the config.json of an exercise: {error}") from error
    test = _first(named["test"]) or next(_tests_of(folder)).name
    stem = test.removesuffix(".py").removesuffix("_test").removeprefix("test_")
    example = _first([*named["example"], *named["exemplar"]])
    return {"test": test, "solution": _first(named["solution"]) or f"{stem}.py", "example": example}


def _first(names: Sequence[object]) -> str:
    return next((name for name in names if isinstance(name, str) and name.endswith(".py")), "")


def _tests_of(folder: Path) -> Iterator[Path]:
    yield from sorted([*folder.glob("*_test.py"), *folder.glob("test_*.py")])


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise Misuse(f"{path} is not UTF-8 (byte {error.object[error.start]:#04x} at {error.start})") from error
    except OSError as error:
        raise Misuse(f"cannot read {path}: {error.strerror or error}") from error
