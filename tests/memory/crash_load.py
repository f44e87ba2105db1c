"""A process that puts a mixed load on a memory, tells what was acknowledged, and is killed at a random moment.

Started once (`python crash_load.py FOLDER`), it reads a seed a line and answers with one line: what the load of that
seed was told before it was killed. Each load runs in a fork, so that what takes seconds is imported once.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from word_vectors import open_memory

from agentevo.memory import Memory
from agentevo.types import Experience, Item, Task

EXACT_LIMIT = 40  # small, so that the index is part of it
MOST_TOLD = 40

Tell = Callable[[dict[str, Any]], None]


def shown(item: Item) -> dict[str, Any]:
    """Return what must be found again of an item."""
    return {"text": item.text, "status": item.status, "pinned": item.pinned, "uses": item.uses}


class Load:
    """One random verb after another; `tell` hears what is about to be touched, and then what was acknowledged."""

    def __init__(self, memory: Memory, seed: int, tell: Tell) -> None:
        self.memory, self.dice, self.tell, self.seed, self.n = memory, random.Random(seed), tell, seed, 0
        self.ids = [item.id for item in memory.list(status=None)]

    def step(self) -> None:
        self.n += 1
        verbs = ["insert"] * 4 + ["many", "edit", "forget", "restore", "pin", "reinforce", "supersede", "draft", "kept"]
        verb = self.dice.choice([*verbs, "purge", "record"]) if len(self.ids) > 5 else "insert"
        getattr(self, verb)()

    def text(self) -> str:
        return f"load {self.seed} says {self.n} about {self.dice.choice(['cats', 'dogs', 'owls'])}"

    def pick(self) -> str:
        return self.dice.choice(self.ids)

    def acknowledge(self, *ids: str) -> None:
        for name in ids:
            item = self.memory.get(name)
            self.tell({"id": name, "is": shown(item) if item else None})

    def insert(self) -> None:
        item = self.memory.insert(self.text(), metadata={"seed": self.seed, "tags": ["a", "b"]})
        self.ids.append(item.id)
        self.acknowledge(item.id)

    def many(self) -> None:
        items = self.memory.insert([f"{self.text()} part {part}" for part in range(20)])
        self.ids += [item.id for item in items]
        self.acknowledge(*[item.id for item in items])

    def on(self, verb: Callable[[str], object]) -> None:
        name = self.pick()
        self.tell({"touches": name})
        if (item := self.memory.get(name)) is not None and not item.pinned:
            verb(name)
        self.acknowledge(name)

    def edit(self) -> None:
        self.on(lambda name: self.memory.edit(name, self.text()))

    def forget(self) -> None:
        self.on(self.memory.forget)

    def restore(self) -> None:
        self.on(self.memory.restore)

    def pin(self) -> None:
        self.on(self.memory.pin)

    def reinforce(self) -> None:
        self.on(lambda name: self.memory.reinforce(name, wins=1, key=f"attempt {self.n}"))

    def supersede(self) -> None:
        self.on(lambda name: self.ids.append(self.memory.supersede(name, self.text()).id))

    def purge(self) -> None:
        self.on(self.memory.purge)

    def record(self) -> None:
        self.tell({"experience": self.memory.record(Experience(task=Task(id=self.text(), prompt="p")))})

    def draft(self) -> None:
        with self.memory.draft() as draft:
            items = [draft.insert(f"{self.text()} in a draft {part}") for part in range(5)]
            draft.commit(key=f"{self.seed}:{self.n}")
        self.ids += [item.id for item in items]
        self.acknowledge(*[item.id for item in items])

    def kept(self) -> None:
        name = f"kept {self.seed}:{self.n}"
        draft = self.memory.draft(name)
        text = draft.insert(self.text()).text
        self.tell({"draft": name, "holds": text})


def run(folder: Path, seed: int, answer: int) -> None:
    """Put load on the memory until killed."""

    def tell(line: dict[str, Any]) -> None:
        os.write(answer, json.dumps(line).encode() + b"\n")

    memory = open_memory(folder, exact_limit=EXACT_LIMIT)
    load = Load(memory, seed, tell)
    tell({"opened": True})
    while True:
        load.step()


def killed(folder: Path, seed: int) -> list[dict[str, Any]]:
    """Run the load of a seed in a fork, kill it at a random moment, and return what it told."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            run(folder, seed, writing)
        finally:
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading, "rb") as told:
        dice = random.Random(seed)
        lines = [
            told.readline() for _ in range(1 + dice.randrange(MOST_TOLD))
        ]  # so much is done on a slow machine, too
        time.sleep(dice.uniform(0.0, 0.03))
        os.kill(child, signal.SIGKILL)
        lines += told.readlines()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return [json.loads(line) for line in lines if line.endswith(b"\n")] + [{"status": status}]


if __name__ == "__main__":
    import chromadb  # noqa: F401 -- once, before the forks

    for line in sys.stdin:
        print(json.dumps(killed(Path(sys.argv[1]), int(line))), flush=True)  # noqa: T201 -- its answer
