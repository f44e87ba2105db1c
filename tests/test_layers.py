"""The layer rule: who may import whom, read from every import in the code, those inside functions too."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDERS = {"agentevo": "agentevo", "memory": "agentevo.memory", "environments": "agentevo.environments"}
FOLDERS["benchmarks"] = "agentevo.benchmarks"

LAYERS = {
    "agentevo.types": 0,
    "agentevo.errors": 0,
    "agentevo.described": 0,
    "agentevo.protocols": 0,
    "agentevo.awaitable": 0,
    "agentevo.blocking": 1,
    "agentevo.shared_thread": 1,
    "agentevo.settings": 1,
    "agentevo.runs": 1,
    "agentevo.models": 1,
    "agentevo.prompts": 1,
    "agentevo.quote": 1,
    "agentevo.position": 1,
    "agentevo.events": 1,
    "agentevo.said": 1,
    "agentevo.overlap": 1,
    "agentevo.statistics": 1,
    "agentevo.together": 1,
    "agentevo.given": 1,
    "agentevo.decided": 1,
    "agentevo.alarms": 1,
    "agentevo.scoring": 1,
    "agentevo.monitors": 1,
    "agentevo.constitution": 1,
    "agentevo.memory": 2,
    "agentevo.environments": 2,
    "agentevo.phases": 3,
    "agentevo.weights": 3,
    "agentevo.recipes": 4,
    "agentevo.cycle": 5,
    "agentevo.evaluate": 5,
    "agentevo.record": 5,
    "agentevo.steps": 5,
    "agentevo.journal": 1,
    "agentevo.feedback": 5,
    "agentevo.agent": 5,
    "agentevo.autonomy": 5,
    "agentevo.benchmarks": 6,
    "agentevo.bridges": 6,
    "agentevo.cli": 7,
}
"""A module belongs where its longest prefix stands. `agentevo` itself loads public names lazily, and may name all."""

LONGEST = 350
"""So many lines a file has at most; one that outgrows them is taken apart."""

ONLY_THROUGH_STATE = {("agentevo.phases", "agentevo.environments"), ("agentevo.weights", "agentevo.environments")}


def part(module: str) -> str:
    """Return the longest prefix of a module that has a layer, or ''."""
    return max((p for p in LAYERS if module == p or module.startswith(p + ".")), key=len, default="")


def imports(tree: ast.AST, package: str) -> Iterator[str]:
    """Yield each module a file imports when it runs, wherever the import stands; not those for the type checker."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            yield from (name for branch in node.orelse for name in imports(ast.Module([branch], []), package))
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, node.module] if node.module else above)
            yield from (f"{base}.{alias.name}" for alias in node.names)
        else:
            yield from imports(node, package)


def violations(sources: Mapping[str, str]) -> list[str]:
    """Return each import between our modules that a layer forbids; `sources` maps module names to their text."""
    found = []
    for module in sources:
        own = part(module)
        if module == "agentevo":
            continue
        if not own:
            found.append(f"{module} has no layer; give it one in LAYERS")
            continue
        for target in imported(sources, module):
            other = part(target)
            if other and other != own and not allowed(own, other):
                found.append(f"{module} (layer {LAYERS[own]}) imports {target} (layer {LAYERS[other]})")
            if not other and target.startswith("agentevo.") and target != "agentevo.__version__":
                found.append(f"{module} (layer {LAYERS[own]}) imports {target} from the top; import it from its home")
    return found


def imported(sources: Mapping[str, str], module: str) -> Iterator[str]:
    is_package = any(other.startswith(module + ".") for other in sources)
    return imports(ast.parse(sources[module]), module if is_package else module.rpartition(".")[0])


def allowed(own: str, other: str) -> bool:
    """Say whether one part may import another: what is below it, or beside it; memory and environments only below."""
    if (own, other) in ONLY_THROUGH_STATE:
        return False
    return LAYERS[other] < LAYERS[own] or (LAYERS[other] == LAYERS[own] != 2)


def loaded(sources: Mapping[str, str], module: str) -> set[str]:
    """Return which of our modules a module imports: `from a import b` means the module a.b, or else a."""
    found = set()
    for name in imported(sources, module):
        prefixes = [".".join(name.split(".")[:n]) for n in range(name.count(".") + 1, 0, -1)]
        found.update([prefix for prefix in prefixes if prefix in sources][:1])
    return found - {module}


def circles(sources: Mapping[str, str]) -> list[str]:
    """Return one line for each group of modules that need each other to be imported."""
    reach = {module: loaded(sources, module) for module in sources}
    for middle in sources:
        for reached in reach.values():
            if middle in reached:
                reached |= reach[middle]
    groups = ({m, *(o for o in reach[m] if m in reach[o])} for m in sources if m in reach[m])
    return sorted({" <-> ".join(sorted(group)) for group in groups})


def checkout() -> dict[str, str]:
    """Return the text of every module of the checkout, by module name; linked folders once, in their real place."""
    sources = {}
    for folder, package in FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            inside = path.relative_to(ROOT / folder)
            linked = any((ROOT / folder / p).is_symlink() for p in inside.parents)
            if not linked and (path.parent / "__init__.py").exists():
                dotted = ".".join((package, *inside.with_suffix("").parts))
                sources[dotted.removesuffix(".__init__")] = path.read_text("utf-8")
    return sources


def test_no_module_imports_from_a_layer_above_it() -> None:
    sources = checkout()
    assert {"agentevo.types", "agentevo.cli.app", "agentevo.memory"} <= set(sources)
    assert violations(sources) == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    sources = checkout()
    assert circles({m: t for m, t in sources.items() if m != "agentevo"}) == []


def test_a_planted_violation_is_found_wherever_it_stands() -> None:
    planted = {
        "agentevo.types": "def f():\n    import agentevo.models",
        "agentevo.models.x": "from agentevo import memory",
        "agentevo.memory.x": "from agentevo.environments import answers\nfrom agentevo.phases import judge",
        "agentevo.environments.x": "import agentevo.memory",
        "agentevo.phases.x": "class A:\n    def f(self):\n        from agentevo.environments.sandbox import run",
        "agentevo.cycle": "import agentevo.benchmarks",
        "agentevo.benchmarks.x": "if True:\n    from ..cli import app",
        "agentevo.recipes.evo": "from agentevo import Reply",
        "agentevo.novelty": "",
        "agentevo.memory": "from ..cli import app\nfrom .x import y",
    }
    assert [line.split(" (")[0].split(" has")[0] for line in violations(planted)] == [
        "agentevo.types",
        "agentevo.models.x",
        "agentevo.memory.x",
        "agentevo.memory.x",
        "agentevo.environments.x",
        "agentevo.phases.x",
        "agentevo.cycle",
        "agentevo.benchmarks.x",
        "agentevo.recipes.evo",
        "agentevo.novelty",
        "agentevo.memory",
    ]


def test_what_is_allowed_is_not_reported() -> None:
    fine = {
        "agentevo": "from agentevo.cli import app",
        "agentevo.memory.x": "from agentevo.types import Item\nfrom agentevo.models import as_model\nfrom . import y",
        "agentevo.memory.y": "import os\nimport memory_profiler",
        "agentevo.types": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import agentevo.memory",
        "agentevo.cli.app": "import agentevo.benchmarks, agentevo.environments\nfrom agentevo import __version__",
        "agentevo.recipes.evo": "from agentevo.phases.judge import Vote\nfrom agentevo.memory.insert import Insert",
    }
    assert violations(fine) == []


def test_a_planted_circle_is_found() -> None:
    planted = {
        "agentevo.models.a": "def f():\n    from agentevo.models.b import x",
        "agentevo.models.b": "from agentevo.models import c",
        "agentevo.models.c": "from . import a",
        "agentevo.models.d": "import agentevo.models.a",
    }
    assert circles(planted) == ["agentevo.models.a <-> agentevo.models.b <-> agentevo.models.c"]


def test_a_file_is_short_enough_to_be_read_whole() -> None:
    lengths = {path: len(path.read_text().splitlines()) for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")}
    assert len(lengths) > 100
    assert {str(path.relative_to(ROOT)) for path, length in lengths.items() if length > LONGEST} == set()
