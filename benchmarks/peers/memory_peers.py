"""The same work for agentevo, raw Chroma, mem0 and LangGraph's store, each its own code in its own environment.

    python benchmarks/peers/memory_peers.py [--items 1000] [--environments DIR] [--json]

Every one gets the same texts and the same vectors from an embedder that looks them up, so that no model is measured.
Each runs in turn, `--rounds` times; the figures are medians. What each keeps differs, and the last columns say so.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

PEERS: dict[str, tuple[list[str], str]] = {
    "agentevo": ([], "on disk, durable; vector and words"),
    "chroma": ([], "on disk; vector"),
    "mem0": (["mem0ai==2.2.1"], "on disk (local qdrant), infer=False; vector"),
    "langgraph": (["langgraph==1.2.22", "numpy"], "in this process's memory alone; vector"),
}
Work = Callable[[int], dict[str, float]]


def vector(text: str) -> list[float]:
    """Return the vector of a text: the same in every environment, without numpy."""
    found: list[float] = []
    for block in range(24):
        found += [byte / 128 - 1 for byte in hashlib.blake2b(f"{block}{text}".encode(), digest_size=16).digest()]
    length = sum(x * x for x in found) ** 0.5
    return [x / length for x in found]


def texts(n: int) -> list[str]:
    return [f"note {i}: customer {i % 97} prefers delivery on day {i % 7}" for i in range(n)]


def measured(
    add: Callable[[str], object], load: Callable[[list[str]], object], ask: Callable[[str], object], n: int
) -> dict[str, float]:
    """Load n items, add twenty singly, ask twenty questions; return the milliseconds."""
    every = texts(n + 20)
    for text in every:
        vector(text)
    begin = time.perf_counter()
    load(every[:n])
    loaded = time.perf_counter() - begin

    def each(action: Callable[[str], object], given: list[str]) -> float:
        spent = []
        for text in given:
            start = time.perf_counter()
            action(text)
            spent.append((time.perf_counter() - start) * 1e3)
        return statistics.median(spent)

    return {"load_ms_an_item": loaded * 1e3 / n, "add_ms": each(add, every[n:]), "recall_ms": each(ask, every[:20])}


class _Lookup:
    name, fingerprint, dimensions = "lookup", "lookup", 384

    async def embed(self, wanted: Any) -> Any:
        import numpy as np

        return np.array([vector(text) for text in wanted], np.float32)


def agentevo(n: int) -> dict[str, float]:
    from agentevo.memory import Memory

    with tempfile.TemporaryDirectory() as folder, Memory.open(folder, embedder=_Lookup()) as memory:
        return measured(memory.insert, memory.insert, lambda text: memory.recall(text, 10), n)


def chroma(n: int) -> dict[str, float]:
    import chromadb
    from chromadb.config import Settings

    with tempfile.TemporaryDirectory() as folder:
        client = chromadb.PersistentClient(folder, settings=Settings(anonymized_telemetry=False))
        notes: Any = client.create_collection("notes", embedding_function=None)

        def load(many: list[str]) -> None:
            for start in range(0, len(many), 5000):
                part = many[start : start + 5000]
                notes.add(ids=part, documents=part, embeddings=[vector(text) for text in part])

        return measured(
            lambda text: notes.add(ids=[text], documents=[text], embeddings=[vector(text)]),
            load,
            lambda text: notes.query(query_embeddings=[vector(text)], n_results=10),
            n,
        )


def mem0(n: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"MEM0_TELEMETRY": "False", "MEM0_DIR": folder, "OPENAI_API_KEY": "unused"}
        from mem0 import Memory  # type: ignore[import-not-found] # lives in its own environment

        where = {"path": f"{folder}/q", "on_disk": True, "embedding_model_dims": 384, "collection_name": "notes"}
        config = {"vector_store": {"provider": "qdrant", "config": where}, "history_db_path": f"{folder}/h.db"}
        memory: Any = Memory.from_config(config)

        class Lookup:
            def embed(self, text: str, action: object = None) -> list[float]:
                return vector(text)

            def embed_batch(self, many: list[str], action: object = None) -> list[list[float]]:
                return [vector(text) for text in many]

        memory.embedding_model = Lookup()

        def add(text: str) -> None:
            memory.add([{"role": "user", "content": text}], user_id="u", infer=False)

        def load(many: list[str]) -> None:
            memory.add([{"role": "user", "content": text} for text in many], user_id="u", infer=False)

        return measured(add, load, lambda text: memory.search(text, filters={"user_id": "u"}, top_k=10), n)


def langgraph(n: int) -> dict[str, float]:
    from langgraph.store.base import PutOp  # type: ignore[import-not-found] # lives in its own environment
    from langgraph.store.memory import InMemoryStore  # type: ignore[import-not-found] # the same

    store: Any = InMemoryStore(
        index={"dims": 384, "embed": lambda many: [vector(text) for text in many], "fields": ["text"]}
    )
    return measured(
        lambda text: store.put(("u",), text, {"text": text}),
        lambda many: store.batch([PutOp(("u",), text, {"text": text}) for text in many]),
        lambda text: store.search(("u",), query=text, limit=10),
        n,
    )


WORK: dict[str, Work] = {"agentevo": agentevo, "chroma": chroma, "mem0": mem0, "langgraph": langgraph}


def python_of(peer: str, folder: Path) -> str:
    """Return the interpreter of a peer's own environment, made at the first use."""
    packages, _ = PEERS[peer]
    if not packages:
        return sys.executable
    home = folder / peer
    python = home / "bin" / "python"
    if not (home / ".ready").exists():
        print(f"setting up {peer}", file=sys.stderr)
        venv.create(home, with_pip=True, clear=True)
        subprocess.run([str(python), "-m", "pip", "install", "-qq", *packages], check=True)
        (home / ".ready").touch()
    return str(python)


def run(peer: str, items: int, folder: Path) -> dict[str, float]:
    command = [python_of(peer, folder), __file__, "--as", peer, "--items", str(items)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{peer} failed:\n{done.stderr[-2000:]}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--items", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--environments", type=Path, default=Path(tempfile.gettempdir()) / "agentevo-peers")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--as", dest="peer", choices=WORK, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peer:
        print(json.dumps(WORK[args.peer](args.items)))
        return 0
    rounds = [{peer: run(peer, args.items, args.environments) for peer in PEERS} for _ in range(args.rounds)]
    medians = {
        peer: {name: statistics.median(r[peer][name] for r in rounds) for name in rounds[0][peer]} for peer in PEERS
    }
    if args.json:
        print(json.dumps(medians, indent=1))
        return 0
    print(f"{args.items:,} items, median of {args.rounds} rounds; in brackets: times agentevo's")
    for peer, figures in medians.items():
        cells = (f"{name} {value:8.3f} ({value / medians['agentevo'][name]:.1f}x)" for name, value in figures.items())
        print(f"{peer:10}", "  ".join(cells), "  ", PEERS[peer][1])
    return 0


if __name__ == "__main__":
    sys.exit(main())
