"""How well recall finds, without a language model: the defaults beside vectors alone and words alone.

    python benchmarks/quality/retrieval.py [--longmemeval FILE.jsonl[.xz]] [--labels FILE.csv] [--json]

--longmemeval  LongMemEval format: recall@10 of the turns that hold the answer, and of fifty dated sessions the right
               ones among the first five; for knowledge updates how often the newest answer comes before older ones;
               and what is left of the recall after half is forgotten, when the question had been asked once before:
               in the same words, with and without being told which hits helped, or in other words (those of the
               answer, which find less). fifo knows nothing of use.
--labels       banking77 format (text,category): of the ten nearest texts the share with the right label, and how much
               of that share is left after half is forgotten, by questions practised before and by new ones.

Every turn is embedded once (17,000 turns take a quarter of an hour on one core); vectors are kept in --cache.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
import lzma
import random
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agentevo.blocking import wait
from agentevo.memory import Evict, Memory
from agentevo.memory.admit import shows
from agentevo.memory.forget import Order
from agentevo.models import as_embedder
from agentevo.protocols import Embedder

MODES = ("vector", "bm25", "hybrid")
Figures = dict[str, dict[str, float]]


class Kept:
    """An embedder that keeps what it has made on disk, so that a second run starts at once."""

    def __init__(self, real: Embedder, folder: Path) -> None:
        self.real, self.name, self.folder = real, real.name, folder
        self.known: dict[str, Any] = {}

    @property
    def fingerprint(self) -> str:
        return self.real.fingerprint

    @property
    def dimensions(self) -> int:
        return self.real.dimensions

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        new = [text for text in texts if text not in self.known]  # a memory may mask a secret in a text
        if new:
            self.known |= dict(zip(new, await self.real.embed(new), strict=True))
        return np.stack([self.known[text] for text in texts])

    def prepare(self, texts: Sequence[str], label: str) -> None:
        """Embed these texts, unless that was done before."""
        file = self.folder / f"{label}-{self.name.replace('/', '_')}-{len(texts)}.npy"
        if file.exists():
            made = np.load(file)
        else:
            parts = []
            for start in range(0, len(texts), 512):
                parts.append(wait(_embed(self.real, texts[start : start + 512])))
                print(f"\rembedding {start:,} of {len(texts):,}", end="", file=sys.stderr)
            made = np.concatenate(parts)
            file.parent.mkdir(parents=True, exist_ok=True)
            np.save(file, made)
        self.known |= dict(zip(texts, made, strict=True))


async def _embed(embedder: Embedder, texts: Sequence[str]) -> NDArray[np.float32]:
    return await embedder.embed(texts)


# --- dated conversations


def longmemeval(file: Path, embedder: Kept) -> Figures:
    """Return the figures of each mode over all questions that have marked turns."""
    questions = list(_questions(file))
    texts = [turn["content"] for q in questions for _, _, turns in q["sessions"] for turn in turns]
    asked = [str(question[name]) for question in questions for name in ("question", "answer")]
    embedder.prepare(list(dict.fromkeys([*texts, *asked])), file.name)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in (*MODES, *HALVES)}
    for question in questions:
        with Memory.open(":memory:", embedder=embedder) as memory:
            right = _remember(memory, question)
            for mode in MODES if right else ():
                found[mode].append(_found(memory, question, right, mode))
        for name, half in HALVES.items() if right else ():
            with Memory.open(":memory:", embedder=embedder) as memory:
                right = _remember(memory, question)
                _forget_half(memory, question, right, half)
                found[name].append(_found(memory, question, right, "hybrid"))
    figures = {mode: _means(rows) for mode, rows in found.items()}
    return {name: _beside(values, figures["hybrid"]) if name in HALVES else values for name, values in figures.items()}


class Half(NamedTuple):
    """How half is forgotten: in which words the question had been asked, whether it was told what helped, the order."""

    words: str
    is_told: bool
    order: Order


HALVES = {
    "half, asked before, utility": Half("question", True, "utility"),
    "half, outcome not told, utility": Half("question", False, "utility"),
    "half, outcome not told, lru": Half("question", False, "lru"),
    "half, in other words, utility": Half("answer", True, "utility"),
    "half, other words, not told, utility": Half("answer", False, "utility"),
    "half, in other words, help": Half("answer", True, "help"),
    "half, asked before, near": Half("question", True, "near"),
    "half, outcome not told, near": Half("question", False, "near"),
    "half, in other words, near": Half("answer", True, "near"),
    "half, other words, not told, near": Half("answer", False, "near"),
    "half, fifo": Half("", False, "fifo"),
}


def _questions(file: Path) -> Iterator[dict[str, Any]]:
    compressed = file.suffix == ".xz"
    with lzma.open(file, "rt", encoding="utf-8") if compressed else file.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            parts = zip(row["haystack_session_ids"], row["haystack_dates"], row["haystack_sessions"], strict=True)
            kept = [
                (name, _time(date), [{**t, "content": t["content"][:2000]} for t in turns if shows(t["content"])])
                for name, date, turns in parts
            ]
            yield {**row, "sessions": kept, "at": _time(row["question_date"])}


def _time(date: str) -> float:
    day, clock = date.split(" (")[0], date.split(") ")[1]
    return datetime.datetime.strptime(f"{day} {clock}", "%Y/%m/%d %H:%M").replace(tzinfo=datetime.UTC).timestamp()


def _remember(memory: Memory, question: dict[str, Any]) -> dict[str, float]:
    """Insert every turn; return the ids of those that hold the answer, with their time."""
    turns = [(at, name, turn) for name, at, turns in question["sessions"] for turn in turns]
    items = memory.insert(
        [turn["content"] for _, _, turn in turns],
        created_at=[at for at, _, _ in turns],
        metadata=[{"session": name} for _, name, _ in turns],
    )
    return {i.id: at for i, (at, _, turn) in zip(items, turns, strict=True) if turn.get("has_answer")}


def _found(memory: Memory, question: dict[str, Any], right: dict[str, float], mode: Any) -> dict[str, float]:
    hits = memory.recall(question["question"], 50, mode=mode, now=question["at"])
    first = [hit.item.id for hit in hits[:10]]
    sessions = list(dict.fromkeys(str(hit.item.metadata["session"]) for hit in hits[:10]))[:5]
    wanted = set(question["answer_session_ids"])
    figures = {
        "turn recall@10": len(set(first) & set(right)) / len(right),
        "session recall@5": len(set(sessions) & wanted) / len(wanted),
    }
    if question["question_type"] == "knowledge-update" and len(set(right.values())) > 1:
        times = [right[hit.item.id] for hit in hits if hit.item.id in right]
        figures["newest first"] = float(bool(times) and times[0] == max(right.values()))
    return figures


def _forget_half(memory: Memory, question: dict[str, Any], right: dict[str, float], half: Half) -> None:
    """Forget half, after one past use of what recall found for the words of the practice."""
    for hit in memory.recall(str(question[half.words]), 10, now=question["at"]) if half.words else ():
        helped = hit.item.id in right
        wins, losses = (float(helped), float(not helped)) if half.is_told else (0.0, 0.0)
        memory.reinforce(hit.item.id, wins=wins, losses=losses)
    memory.sweep([Evict(memory.stats().live // 2, order=half.order)], now=question["at"])


def _beside(values: dict[str, float], before: dict[str, float]) -> dict[str, float]:
    """Return figures with the share that each is of what it was before."""
    return values | {f"share left of {name}": value / before[name] for name, value in values.items()}


def _means(rows: list[dict[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: statistics.mean(row[name] for row in rows if name in row) for name in names}


# --- labelled texts, and forgetting


def labels(file: Path, embedder: Kept, stored: int = 2000, asked: int = 400) -> Figures:
    """Return the share of right labels a mode, and what is left of it when half is forgotten."""
    with file.open(encoding="utf-8", newline="") as lines:
        rows = [(row["text"].strip(), row["category"]) for row in csv.DictReader(lines)]
    random.Random(0).shuffle(rows)
    rows = rows[: stored + 4 * asked]
    embedder.prepare([text for text, _ in rows], file.name)
    kept, practice, test = rows[:stored], rows[stored : stored + 3 * asked], rows[stored + 3 * asked :]
    figures: Figures = {}
    with Memory.open(":memory:", embedder=embedder) as memory:
        memory.insert([text for text, _ in kept], metadata=[{"label": label} for _, label in kept])
        figures |= {mode: _labelled(memory, test, mode) for mode in MODES}
        asked_before = practice[:asked]
        new, old = figures["hybrid"], _labelled(memory, asked_before, "hybrid")
        for text, label in practice:
            for hit in memory.recall(text, 10):
                helped = hit.item.metadata["label"] == label
                memory.reinforce(hit.item.id, wins=float(helped), losses=float(not helped))
        orders: tuple[Order, ...] = ("near", "help", "utility", "lfu", "lru", "fifo")
        for order in orders:
            memory.sweep([Evict(stored // 2, order=order)], reason=order)
            figures[f"half, {order}, asked before"] = _beside(_labelled(memory, asked_before, "hybrid"), old)
            figures[f"half, {order}, new questions"] = _beside(_labelled(memory, test, "hybrid"), new)
            memory.undo()
    return figures


def _labelled(memory: Memory, test: Sequence[tuple[str, str]], mode: Any) -> dict[str, float]:
    """Return the share of right labels among ten hits, and how often the most frequent of them is right."""
    shares, votes = [], []
    for text, label in test:
        found = [str(hit.item.metadata["label"]) for hit in memory.recall(text, 10, mode=mode)]
        shares.append(found.count(label) / 10)
        votes.append(float(bool(found) and statistics.mode(found) == label))
    return {"precision@10": statistics.mean(shares), "vote": statistics.mean(votes)}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--longmemeval", type=Path)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--embedder", default="all-MiniLM-L6-v2")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "agentevo-vectors")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    embedder, results = Kept(as_embedder(args.embedder), args.cache), dict[str, Figures]()
    if args.longmemeval:
        results["conversations"] = longmemeval(args.longmemeval, embedder)
    if args.labels:
        results["labels"] = labels(args.labels, embedder)
    if args.json:
        print(json.dumps(results, indent=1))
        return 0
    for what, figures in results.items():
        print(f"\n{what}")
        for name, values in figures.items():
            print(f"  {name:36}", "  ".join(f"{key} {value:.3f}" for key, value in values.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
