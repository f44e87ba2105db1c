"""When a fact was updated, does the newer one come first? Pairs in other words each, without a language model.

    python benchmarks/quality/updates.py [--embedder NAME] [--json]

Each pair says one thing twice, in different words and with another value; each wording is once the older and once the
newer. All pairs are in one memory, as distractors of each other. The pairs of set "seen" were looked at when recall was
designed, those of "held" were written afterwards; the mean of both was in view when `newer` was set to what it is.
Set "twice" says one thing three times, in every order: how often the newest stands before both others (1/3 by chance).
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from agentevo.memory import Memory, Weights

DAY_S = 86_400.0
NOW = 20_000 * DAY_S
GAPS = (1 / 24, 1, 10, 30, 90, 300)
WEIGHTS = {
    "without recency": Weights(recency=0, newer=1),
    "recency alone": Weights(newer=1),
    "default": Weights(),
}


class Pair(NamedTuple):
    old: str
    new: str
    question: str
    set: str


def pairs() -> list[Pair]:
    with Path(__file__).with_name("updates.csv").open(encoding="utf-8", newline="") as file:
        return [Pair(**row) for row in csv.DictReader(file)]


def updated_twice() -> list[tuple[list[str], str]]:
    with Path(__file__).with_name("updates_twice.csv").open(encoding="utf-8", newline="") as file:
        return [([row["first"], row["second"], row["third"]], row["question"]) for row in csv.DictReader(file)]


def measured(embedder: str) -> Iterator[dict[str, object]]:
    """Yield a row a gap, set and weighting: how often the newest stands first, and all among ten."""
    for gap in GAPS:
        found: dict[tuple[str, str], list[tuple[bool, bool]]] = {}
        for swapped in (False, True):
            for pair, name, result in _asked(gap, swapped, embedder):
                found.setdefault((pair.set, name), []).append(result)
        for order in itertools.permutations(range(3)):
            for name, result in _asked_of_three(gap, order, embedder):
                found.setdefault(("twice", name), []).append(result)
        for (part, name), results in sorted(found.items()):
            first, both = (sum(one) / len(results) for one in zip(*results, strict=True))
            yield {"gap_days": gap, "set": part, "weights": name, "newer_first": first, "all_in_ten": both}


def _asked(gap: float, swapped: bool, embedder: str) -> Iterator[tuple[Pair, str, tuple[bool, bool]]]:
    dice = random.Random(gap)
    with Memory.open(":memory:", embedder=embedder, clock=lambda: NOW) as memory:
        ids = {}
        for pair in pairs():
            at = NOW - dice.uniform(0, 60) * DAY_S
            older, newer = (pair.new, pair.old) if swapped else (pair.old, pair.new)
            ids[pair] = (
                memory.insert(older, created_at=at - gap * DAY_S).id,
                memory.insert(newer, created_at=at).id,
            )
        for pair, (older, newer) in ids.items():
            for name, weights in WEIGHTS.items():
                hits = [hit.item.id for hit in memory.recall(pair.question, 10, weights=weights)]
                places = [hits.index(one) if one in hits else len(hits) for one in (newer, older)]
                yield pair, name, (places[0] < places[1], older in hits and newer in hits)


def _asked_of_three(gap: float, order: Sequence[int], embedder: str) -> Iterator[tuple[str, tuple[bool, bool]]]:
    with Memory.open(":memory:", embedder=embedder, clock=lambda: NOW) as memory:
        for pair in pairs():
            memory.insert([pair.old, pair.new], created_at=[NOW - (3 * gap + 20) * DAY_S, NOW - (3 * gap + 10) * DAY_S])
        ids = {}
        for texts, question in updated_twice():
            at = [NOW - (1 + gap * (2 - n)) * DAY_S for n in range(3)]
            ids[question] = [memory.insert(texts[n], created_at=time).id for n, time in zip(order, at, strict=True)]
        for question, inserted in ids.items():
            for name, weights in WEIGHTS.items():
                hits = [hit.item.id for hit in memory.recall(question, 10, weights=weights)]
                places = [hits.index(one) if one in hits else len(hits) for one in inserted]
                yield name, (places[2] < min(places[:2]), max(places) < len(hits))


def main() -> int:
    parser = argparse.ArgumentParser(description="How often the newer of two facts comes first.")
    parser.add_argument("--embedder", default="all-MiniLM-L6-v2")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = list(measured(arguments.embedder))
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return 0
    print(f"{'gap':>5}  {'set':<5} {'weights':<16} newer first  all among ten")
    for row in rows:
        print(
            f"{row['gap_days']:>5.3g}  {row['set']:<5} {row['weights']:<16} {row['newer_first']:>11.3f}"
            f"  {row['all_in_ten']:>13.3f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
