"""What is shipped: one importable name, every package in it, and room for an app's own memory.py."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
LINKS = ("memory", "environments", "benchmarks")
NOT_SOURCE = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__")


class Built(NamedTuple):
    """A wheel and a source archive, built from a copy of this checkout, and the wheel unpacked by pip."""

    wheel: Path
    sdist: Path
    site: Path


def run(*command: str | Path, cwd: Path, **variables: str) -> str:
    done = subprocess.run(command, cwd=cwd, env={**os.environ, **variables}, capture_output=True, text=True)
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def build(copy: Path, *what: str) -> Path:
    """Build in a copy of the checkout, in this environment, and return the folder of what was built."""
    run(sys.executable, "-m", "build", "--no-isolation", *what, copy, cwd=copy.parent)
    return copy / "dist"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    copy = shutil.copytree(ROOT, tmp_path_factory.mktemp("with-links") / "checkout", symlinks=True, ignore=NOT_SOURCE)
    dist = build(copy)
    wheel, sdist, site = next(dist.glob("*.whl")), next(dist.glob("*.tar.gz")), tmp_path_factory.mktemp("site")
    pip = ("-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile", "--target")
    run(sys.executable, *pip, site, wheel, cwd=copy.parent)
    return Built(wheel, sdist, site)


def files(wheel: Path) -> list[str]:
    return sorted(zipfile.ZipFile(wheel).namelist())


def package_folders() -> dict[str, str]:
    """Return every folder of the checkout with an __init__.py, by the name it is installed under."""
    found = {}
    for top, name in {"agentevo": "agentevo", **{link: f"agentevo.{link}" for link in LINKS}}.items():
        for init in (ROOT / top).rglob("__init__.py"):
            inside = init.parent.relative_to(ROOT / top)
            if not any((ROOT / top / p).is_symlink() for p in (inside, *inside.parents[:-1])):
                found[".".join((name, *inside.parts))] = str(init.parent.relative_to(ROOT))
    return found


def test_only_agentevo_is_installed(built: Built) -> None:
    assert {p.name for p in built.site.iterdir() if not p.name.endswith(".dist-info")} <= {"agentevo", "bin"}
    assert len(list(built.site.glob("*.dist-info"))) == 1


def test_only_agentevo_can_be_imported(built: Built, tmp_path: Path) -> None:
    program = (
        "import importlib.util, agentevo, agentevo.memory, agentevo.environments, agentevo.benchmarks\n"
        "print(agentevo.__file__)\n"
        "print([n for n in ('memory', 'environments', 'benchmarks', 'tests', 'docs') if importlib.util.find_spec(n)])"
    )
    place, strangers = run(sys.executable, "-c", program, cwd=tmp_path, PYTHONPATH=str(built.site)).splitlines()
    assert Path(place) == built.site / "agentevo" / "__init__.py"
    assert strangers == "[]"


def test_every_package_is_listed_and_shipped(built: Built) -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["packages"]
    folders = package_folders()
    assert {"agentevo.cli", "agentevo.models", "agentevo.memory"} <= set(folders)
    assert sorted(listed) == sorted(folders), "list each package in pyproject.toml, under [tool.setuptools]"
    shipped = files(built.wheel)
    assert [name for name in folders if f"{name.replace('.', '/')}/__init__.py" not in shipped] == []


def test_every_module_is_shipped(built: Built) -> None:
    modules = {
        f"{name.replace('.', '/')}/{path.name}"
        for name, folder in package_folders().items()
        for path in (ROOT / folder).glob("*.py")
    }
    assert modules - set(files(built.wheel)) == set()


def test_scripts_tests_and_docs_are_not_shipped(built: Built) -> None:
    shipped = files(built.wheel)
    assert {f.split("/")[0] for f in shipped if ".dist-info/" not in f} == {"agentevo"}
    assert [f for f in shipped if "/perf/" in f or "/peers/" in f] == []


def test_types_and_licence_are_shipped(built: Built) -> None:
    shipped = files(built.wheel)
    assert "agentevo/py.typed" in shipped
    assert [f for f in shipped if f.endswith("licenses/LICENSE")] != []


def test_the_source_archive_builds_the_same_wheel_without_the_links(built: Built, tmp_path: Path) -> None:
    with tarfile.open(built.sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    assert not any((unpacked / "agentevo" / link).is_symlink() for link in LINKS)
    assert files(next(build(unpacked, "--wheel").glob("*.whl"))) == files(built.wheel)


def test_a_checkout_without_the_links_builds_the_same_wheel(built: Built, tmp_path: Path) -> None:
    copy = shutil.copytree(ROOT, tmp_path / "checkout", symlinks=True, ignore=NOT_SOURCE)
    for link in LINKS:
        (copy / "agentevo" / link).unlink()
    assert files(next(build(copy, "--wheel").glob("*.whl"))) == files(built.wheel)


def test_the_links_lead_to_the_folders() -> None:
    for link in LINKS:
        assert (ROOT / "agentevo" / link).readlink() == Path("..") / link


def test_an_app_keeps_its_own_modules_of_those_names(built: Built, tmp_path: Path) -> None:
    for name in LINKS:
        (tmp_path / f"{name}.py").write_text(f"OWNER = 'app {name}'\n", encoding="utf-8")
    program = (
        "import memory, environments, benchmarks\n"
        "import agentevo, agentevo.memory, agentevo.environments, agentevo.benchmarks\n"
        "print(memory.OWNER, environments.OWNER, benchmarks.OWNER, sep='; ')\n"
        "print(hasattr(agentevo.memory, 'OWNER'), agentevo.memory.__name__, agentevo.environments.__name__)"
    )
    said = run(sys.executable, "-c", program, cwd=tmp_path, PYTHONPATH=str(built.site)).splitlines()
    assert said[0] == "app memory; app environments; app benchmarks"
    assert said[1] == "False agentevo.memory agentevo.environments"


def test_an_editable_install_adds_no_other_names(tmp_path: Path) -> None:
    program = (
        "import importlib.util, agentevo.memory, agentevo.environments\n"
        "print([n for n in ('memory', 'environments', 'benchmarks') if importlib.util.find_spec(n)])"
    )
    assert run(sys.executable, "-c", program, cwd=tmp_path) == "[]\n"
