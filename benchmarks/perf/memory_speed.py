"""Memory beside raw Chroma: the same vectors, the same machine, in turns, in one process.

    python benchmarks/perf/memory_speed.py [--sizes 1000,10000,100000] [--only recall sweep] [--json]

Chroma does what its users do with it: `PersistentClient`, batched adds with documents and metadata, `query` with its
defaults. Ours is `Memory` with its defaults, vectors given, on a disk. Every ratio is ours over Chroma's, of medians.

Single inserts are made in runs of twenty, ten of each side by turns; and, in a row of its own, one of ours after each
of Chroma's, where it finds the processor's caches full of what Chroma did, and the disk still at it. The slowest of a
process's first inserts, in which the lookup of near-duplicates gets ready, stands beside them.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentevo.memory import Evict, Memory

DIMENSIONS = 384
Vectors = NDArray[np.float32]


class Given:
    """Stands where an embedder would: every vector of this benchmark is given."""

    name, fingerprint, dimensions = "given", "given", DIMENSIONS

    async def embed(self, texts: Any) -> Any:
        raise AssertionError("nothing is embedded here")


def vectors(n: int, seed: int) -> Vectors:
    """Return unit vectors spread as texts are: of a few dozen directions that matter, in clusters, with noise."""
    frame = np.random.default_rng(0).normal(size=(48, DIMENSIONS))
    centres = np.random.default_rng(1).normal(size=(500, 48))
    dice = np.random.default_rng(seed)
    points = centres[dice.integers(0, 500, n)] + 0.7 * dice.normal(size=(n, 48))
    made = points @ frame + 0.3 * np.sqrt(48) * dice.normal(size=(n, DIMENSIONS))
    unit: Vectors = (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)
    return unit


def timed(action: Callable[[], object]) -> tuple[float, float]:
    """Return wall and CPU milliseconds of one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    action()
    return (time.perf_counter() - wall) * 1e3, (time.process_time() - cpu) * 1e3


def in_turns(ours: list[Callable[[], object]], theirs: list[Callable[[], object]], run: int = 1) -> dict[str, float]:
    """Run both sides by turns, so many actions of one after the other, and return the medians."""
    a, b = [], []
    for start in range(0, len(ours), run):
        a += [timed(mine) for mine in ours[start : start + run]]
        b += [timed(other) for other in theirs[start : start + run]]
    figures = {
        "ours_ms": statistics.median(x[0] for x in a),
        "chroma_ms": statistics.median(x[0] for x in b),
        "ours_cpu_ms": statistics.median(x[1] for x in a),
        "chroma_cpu_ms": statistics.median(x[1] for x in b),
    }
    figures["ratio"] = figures["ours_ms"] / figures["chroma_ms"]
    figures["cpu_ratio"] = figures["ours_cpu_ms"] / figures["chroma_cpu_ms"]
    return figures


class Pair:
    """The same items in a memory of ours and in a raw Chroma collection."""

    def __init__(self, folder: Path, n: int) -> None:
        import chromadb
        from chromadb.config import Settings

        self.folder, self.n, self.made = folder, n, vectors(n, 2)
        self.texts = [f"item number {i} of group {i % 100}" for i in range(n)]
        self.metadata = [{"group": i % 100, "half": i % 2} for i in range(n)]
        self.memory = Memory.open(folder / "ours", embedder=Given())
        client = chromadb.PersistentClient(str(folder / "chroma"), settings=Settings(anonymized_telemetry=False))
        self.chroma = client.create_collection("raw", metadata={"hnsw:space": "cosine"}, embedding_function=None)

    def fill(self) -> dict[str, float]:
        """Load both in batches, ours with its index brought up to date, and return the seconds."""

        def ours() -> None:
            for start in range(0, self.n, 5000):
                part = slice(start, start + 5000)
                self.memory.insert(self.texts[part], metadata=self.metadata[part], vectors=self.made[part])
            self.memory.catch_up()

        def theirs() -> None:
            for start in range(0, self.n, 5000):
                part = slice(start, start + 5000)
                ids = [str(i) for i in range(start, min(start + 5000, self.n))]
                meta: Any = self.metadata[part]
                self.chroma.add(ids=ids, embeddings=self.made[part], documents=self.texts[part], metadatas=meta)

        (mine, mine_cpu), (other, other_cpu) = timed(ours), timed(theirs)
        figures = {"ours_s": mine / 1e3, "chroma_s": other / 1e3, "ratio": mine / other}
        return figures | {
            "ours_cpu_s": mine_cpu / 1e3,
            "chroma_cpu_s": other_cpu / 1e3,
            "cpu_ratio": mine_cpu / other_cpu,
        }

    def recall(self, asked: Vectors, where: dict[str, Any] | None) -> dict[str, float]:
        """Ask both for the nearest ten, and see how many of the true ten each found."""
        found: tuple[list[set[str]], list[set[str]]] = ([], [])

        def ours(v: Vectors) -> Callable[[], None]:
            hits = found[0]
            return lambda: hits.append(
                {h.item.text for h in self.memory.recall("", 10, vector=v, mode="vector", where=where)}
            )

        def theirs(v: Vectors) -> Callable[[], None]:
            docs = found[1]
            return lambda: docs.append(
                set((self.chroma.query(query_embeddings=[v], n_results=10, where=where)["documents"] or [[]])[0])
            )

        figures = in_turns([ours(v) for v in asked], [theirs(v) for v in asked])
        passing = [i for i, m in enumerate(self.metadata) if not where or all(m[k] == v for k, v in where.items())]
        truth = [{self.texts[passing[i]] for i in np.argsort(-(self.made[passing] @ v))[:10]} for v in asked]
        for name, sets in zip(("ours_recall@10", "chroma_recall@10"), found, strict=True):
            figures[name] = statistics.mean(len(got & true) / 10 for got, true in zip(sets, truth, strict=True))
        return figures

    def add_one(self, times: int, run: int) -> dict[str, float]:
        """Add single items to both, each durable before the next; so many of one side before it is the other's turn."""
        new = vectors(times, 10 + run)
        texts = [f"new item {run} {i}" for i in range(times)]
        ours = [lambda i=i: self.memory.insert(texts[i], vectors=new[i]) for i in range(times)]
        theirs = [
            lambda i=i: self.chroma.add(ids=[texts[i]], embeddings=[new[i]], documents=[texts[i]]) for i in range(times)
        ]
        return in_turns(list(ours), list(theirs), run)

    def first_inserts(self) -> dict[str, float]:
        """Add the first single items of this process to ours."""
        new = vectors(5, 5)
        took = [timed(lambda n=n: self.memory.insert(f"early {n}", vectors=new[n]))[0] for n in range(5)]  # type: ignore[misc]
        return {"slowest_ms": max(took), "fastest_ms": min(took)}

    def sweep(self) -> dict[str, float]:
        """Forget by a policy: as a dry run, a twentieth of all, and half of what is left; each by wall and CPU.

        The index follows in the background; what it still had to do is done before the next is timed.
        """
        figures: dict[str, float] = {}
        for name, cap, dry_run in (("dry", 0.5, True), ("twentieth", 0.95, False), ("half", 0.475, False)):
            self.memory.catch_up()
            wall, cpu = timed(lambda c=cap, d=dry_run: self.memory.sweep([Evict(int(c * self.n))], dry_run=d))  # type: ignore[misc]
            figures |= {f"{name}_s": wall / 1e3, f"{name}_cpu_s": cpu / 1e3}
        self.memory.catch_up()
        figures["undo_cpu_s"] = timed(self.memory.undo)[1] / 1e3
        return figures

    def reopened(self) -> dict[str, float]:
        """Open the memory in a fresh process and ask it once and once more."""
        program = (
            "import sys, time, numpy as np\n"
            "sys.path.insert(0, sys.argv[2])\n"
            "from memory_speed import Given, vectors\n"
            "from agentevo.memory import Memory\n"
            "v = vectors(2, 9); t = time.perf_counter(); m = Memory.open(sys.argv[1], embedder=Given())\n"
            "a = time.perf_counter() - t; m.recall('', 10, vector=v[0], mode='vector')\n"
            "b = time.perf_counter() - t - a\n"
            "t = time.perf_counter(); m.recall('', 10, vector=v[1], mode='vector'); c = time.perf_counter() - t\n"
            "peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
            "print(a, b, c, int(peak.split()[1]) / 1024)"
        )
        here = str(Path(__file__).parent)
        self.memory.close()
        done = subprocess.run(
            [sys.executable, "-c", program, str(self.folder / "ours"), here], capture_output=True, text=True, check=True
        )
        names = ("open_s", "first_recall_s", "second_recall_s", "peak_mb")
        return dict(zip(names, map(float, done.stdout.split()), strict=True))


PARTS = ("recall", "filters", "insert", "reopened", "sweep")


def measure(n: int, parts: Sequence[str] = PARTS) -> dict[str, dict[str, float]]:
    """Return the figures of these parts for one size; loading both is always one."""
    with tempfile.TemporaryDirectory() as folder:
        pair = Pair(Path(folder), n)
        asked = vectors(60, 4)
        figures = {"bulk insert": pair.fill()}
        if "recall" in parts:
            figures["recall"] = pair.recall(asked, None)
        if "filters" in parts:
            figures["recall, filter 1/100"] = pair.recall(asked[:20], {"group": 7})
            figures["recall, filter 1/2"] = pair.recall(asked[:20], {"half": 1})
        if "insert" in parts:
            figures["first inserts"] = pair.first_inserts()
            figures["insert one, by turns"] = pair.add_one(50, run=1)
            figures["insert one"] = pair.add_one(200, run=20)
        if "reopened" in parts:
            figures["reopened"] = pair.reopened()
            pair.memory = Memory.open(pair.folder / "ours", embedder=Given())
        if "sweep" in parts:
            figures["sweep"] = pair.sweep()
        pair.memory.close()
        return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--sizes", default="1000,10000,100000")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="measure these parts alone")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    results: dict[str, Any] = {}
    for size in map(int, args.sizes.split(",")):
        results[str(size)] = measure(size, args.only)
        if not args.json:
            print(f"\n{size:,} items")
            for what, figures in results[str(size)].items():
                print(f"  {what:24}", "  ".join(f"{name} {value:.3g}" for name, value in figures.items()))
    if args.json:
        print(json.dumps(results, indent=1))
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
