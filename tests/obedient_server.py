"""A model behind HTTP that knows nothing and reads well: it answers from the case nearest to the question."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from openai_server import Exchange, OpenAIServer, says

from agentevo.benchmarks.baselines import Example, substituted
from agentevo.models import allow_requests

IGNORANT = "no idea"


async def reads(exchange: Exchange) -> None:
    """Answer from the turns that stand before the question; without any, say that there is no idea."""
    turns = [message for message in exchange.body["messages"] if message["role"] != "system"]
    if len(turns) < 3:
        await says(IGNORANT)(exchange)
        return
    nearest = Example(turns[-3]["content"], turns[-2]["content"])
    await says(substituted(nearest, turns[-1]["content"]).text)(exchange)


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    """The server as the model of the settings, in a home of its own, with the embedder that needs no weights."""
    with allow_requests(), OpenAIServer(default=reads) as server:
        for name, value in variables(server, tmp_path).items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("AGENTEVO_MEMORY", raising=False)
        yield server


def variables(server: OpenAIServer, folder: Path) -> dict[str, str]:
    """Return the environment of a command that is to use this server."""
    return {
        "AGENTEVO_HOME": str(folder / "home"), "AGENTEVO_MODEL": "openai/test", "AGENTEVO_EMBEDDER": "hash",
        "OPENAI_API_KEY": "k", "OPENAI_API_BASE": server.url,
    }  # fmt: skip


@pytest.fixture
def capitals(tmp_path: Path) -> str:
    """A suite of questions, the same ones in train and in test."""
    rows = ["question,answer,split"]
    for split in ("train", "test"):
        rows += [f"What is the capital of {c}?,{a},{split}" for c, a in CAPITALS.items()]
    path = tmp_path / "capitals.csv"
    path.write_text("\n".join(rows) + "\n", "utf-8")
    return f'answers:source="{path}",split=split'


CAPITALS = {"Freedonia": "Zenda", "Syldavia": "Klow", "Borduria": "Szohod", "Ruritania": "Strelsau"}
