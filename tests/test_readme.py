"""What the README, the docs and the examples show is what happens."""

from __future__ import annotations

import contextlib
import io
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)

pytestmark = pytest.mark.usefixtures("weights_home")


class Block(NamedTuple):
    """A fenced block of a page; `expected` is the text of the output block that follows it."""

    info: str
    text: str
    line: int
    expected: str | None


def blocks(page: str) -> list[Block]:
    """Return the fenced blocks of a page that are to be run, in order."""
    found = list(FENCE.finditer(page))
    run = []
    for this, following in zip(found, [*found[1:], None], strict=False):
        answers = following is not None and following["info"].strip() == "output"
        between = page[this.end() : following.start()] if following else ""
        expected = following["text"] if following and answers and not between.strip() else None
        if this["info"].strip() in ("python", "console run"):
            run.append(Block(this["info"].strip(), this["text"], page.count("\n", 0, this.start()) + 2, expected))
    return run


def matches(said: str, expected: str) -> bool:
    """Compare what was printed with what a page shows; `...` stands for anything."""
    pattern = ".*".join(map(re.escape, expected.strip().split("...")))
    return re.fullmatch(pattern, said.strip(), re.DOTALL) is not None


def run_python(block: Block, page: str, names: dict[str, object]) -> str:
    padded = "\n" * (block.line - 1) + block.text  # so that a traceback names the line of the page
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(padded, page, "exec"), names)
    return said.getvalue()


def commands(block: Block) -> Iterator[tuple[str, str]]:
    """Yield each command of a console block with what the page shows it print."""
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        yield command, shown


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AGENTEVO_FORBID_REQUESTS", "1")
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
@pytest.mark.usefixtures("elsewhere")
def test_python_blocks_print_what_the_page_shows(page: Path) -> None:
    names: dict[str, object] = {"__name__": "__main__"}
    for block in blocks(page.read_text("utf-8")):
        if block.info == "python":
            said = run_python(block, page.name, names)
            assert block.expected is None or matches(said, block.expected), f"{page.name}:{block.line} printed:\n{said}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
@pytest.mark.usefixtures("elsewhere")
def test_commands_print_what_the_page_shows(page: Path) -> None:
    for block in blocks(page.read_text("utf-8")):
        if block.info != "python":
            for command, shown in commands(block):
                done = subprocess.run(command, shell=True, capture_output=True, text=True, encoding="utf-8")
                assert done.returncode == 0, f"{page.name}: {command}: {done.stderr}"
                assert matches(done.stdout, shown), f"{page.name}: {command} printed:\n{done.stdout}"


def test_the_readme_shows_code_and_what_it_prints() -> None:
    first, *_ = blocks((ROOT / "README.md").read_text("utf-8"))
    assert first.info == "python"
    assert first.expected


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.name)
@pytest.mark.usefixtures("elsewhere")
def test_examples_run(example: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(example), run_name="__main__")
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings_that_are_there(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?://)([^)#]*)(?:#([^)]+))?\)", page.read_text("utf-8"))
    assert [target for target, _ in targets if not (page.parent / target).exists()] == []
    named = [(page.parent / target if target else page, heading) for target, heading in targets if heading]
    assert [heading for there, heading in named if heading not in headings(there.read_text("utf-8"))] == []


def headings(page: str) -> set[str]:
    """Return what the headings of a page are linked by: in small letters, without marks, with hyphens for spaces."""
    found = re.findall(r"^#+ (.*)$", FENCE.sub("", page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in found}


def test_headings_are_linked_by_their_words() -> None:
    assert headings("# A b\n```sh\n# no\n```\n## `agentevo run` PROMPT, now\n") == {"a-b", "agentevo-run-prompt-now"}


def test_blocks_are_found_with_the_output_that_follows() -> None:
    page = "# t\n```python\nprint(1)\n```\n\n```output\n1\n```\n"
    page += "```python\nx\n```\nwords\n```output\n2\n```\n```sh\ny\n```\n"
    assert blocks(page) == [Block("python", "print(1)\n", 3, "1\n"), Block("python", "x\n", 10, None)]


def test_a_wrong_output_does_not_match() -> None:
    assert matches("The capital is Paris.\n", "The capital ... Paris.\n")
    assert not matches("The capital is Rome.\n", "The capital ... Paris.\n")
    assert not matches("anything", "")
