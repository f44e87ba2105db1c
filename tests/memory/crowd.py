"""One process of a crowd on one memory: it inserts, recalls what others committed, and says what it saw.

Started as `python crowd.py FOLDER NAME COUNT [CHROMA]`; it waits for a line before it begins.
"""

from __future__ import annotations

import json
import sys

from word_vectors import WordVectors, open_memory

from agentevo.memory import Memory

EXACT_LIMIT = 30  # small, so that the index is in play


def found(memory: Memory, text: str) -> bool:
    """Say whether an item is found by its own text and by its own vector."""
    by_words = [hit.item.text for hit in memory.recall(text, 3, mode="bm25")]
    by_vector = [hit.item.text for hit in memory.recall("", 3, mode="vector", vector=WordVectors().vector(text))]
    return text in by_words and text in by_vector


def main(folder: str, name: str, count: int, chroma: str | None) -> None:
    """Insert and recall by turns; print the ids that were acknowledged and what was not found."""
    ids, lost = [], []
    with open_memory(folder, exact_limit=EXACT_LIMIT, actor=name, chroma=chroma) as memory:
        print("ready", flush=True)  # noqa: T201 -- its answer
        sys.stdin.readline()
        for n in range(count):
            text = f"{name}x{n} tells everyone"
            ids.append(memory.insert(text, metadata={"by": name}).id)
            memory.insert("said by everyone at once")
            newest = memory.list(limit=1)[0].text
            lost += [said for said in (text, newest) if not found(memory, said)]
        print(json.dumps({"ids": ids, "lost": lost}))  # noqa: T201 -- its answer


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] if len(sys.argv) > 4 else None)
