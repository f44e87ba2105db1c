from __future__ import annotations

import asyncio
import json
import logging
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai_server import Behaviour, Exchange, OpenAIServer, hangs, sends, status

from agentevo.errors import EmbedderError, MissingKey, Misuse, RequestsForbidden, UnknownName
from agentevo.models import forbid_requests
from agentevo.models.embedders import HashEmbedder, LiteLLMEmbedder, SentenceTransformerEmbedder, as_embedder
from agentevo.models.retry import Retry
from agentevo.protocols import Embedder

if TYPE_CHECKING:
    from agentevo.protocols import Vectors

MINILM = "all-MiniLM-L6-v2"
ALIKE = ("Refunds above 500 need a second signature", "a second signature for refunds above 500 euros")
UNLIKE = "The cat sleeps on the warm roof"


def embed(embedder: Embedder, texts: Sequence[str]) -> Vectors:
    return asyncio.run(embedder.embed(texts))


@pytest.fixture(params=["hash", MINILM])
def embedder(request: pytest.FixtureRequest, weights_home: Path) -> Embedder:
    return as_embedder(request.param)


# --- what holds of every embedder on this machine


def test_rows_are_float32_units_in_the_order_of_the_texts(embedder: Embedder) -> None:
    texts = [UNLIKE, *ALIKE, "x" * 3000, ""]
    rows = embed(embedder, texts)
    assert rows.dtype == np.float32
    assert rows.shape == (5, embedder.dimensions)
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    for i, text in enumerate(texts):
        assert np.allclose(rows[i], embed(embedder, [text])[0], atol=1e-4)


def test_texts_that_say_the_same_are_nearer_than_others(embedder: Embedder) -> None:
    one, other, unlike = embed(embedder, [*ALIKE, UNLIKE])
    assert one @ other > 0.5 > one @ unlike + 0.2


def test_no_texts_give_no_rows(embedder: Embedder) -> None:
    assert embed(embedder, []).shape == (0, embedder.dimensions)


@pytest.mark.parametrize(("texts", "why"), [("lone", "list of texts"), (["a", 3], "number 1 is 3"), ([None], "None")])
def test_what_is_no_list_of_texts_is_a_misuse(embedder: Embedder, texts: Any, why: str) -> None:
    with pytest.raises(Misuse, match=why):
        embed(embedder, texts)


@pytest.mark.parametrize("text", ["\ud800 half a pair", "\x00", "👩‍👩‍👧 " * 50, "\n\t ", "العربية 中文 ไทย"])
def test_any_text_has_a_direction(embedder: Embedder, text: str) -> None:
    assert np.isfinite(embed(embedder, [text])).all()


def test_an_embedder_is_passed_through(embedder: Embedder) -> None:
    assert isinstance(embedder, Embedder)
    assert as_embedder(embedder) is embedder


# --- hashing


def test_hashing_is_the_same_everywhere() -> None:
    row = embed(HashEmbedder(), ["Refund order 7, please."])[0]
    assert [(int(i), round(float(row[i]), 4)) for i in sorted(np.argsort(-np.abs(row))[:5])] == [
        (128, -0.3409),
        (243, 0.3409),
        (245, -0.3409),
        (333, -0.3409),
        (376, 0.4437),
    ]


def test_hashing_ignores_case_width_and_order_but_not_counts() -> None:
    one, same, more = embed(HashEmbedder(), ["Order ship ＯＲＤＥＲ", "order order SHIP", "order ship"])
    assert np.array_equal(one, same)
    assert not np.array_equal(one, more)


def test_texts_without_words_share_one_direction() -> None:
    rows = embed(HashEmbedder(), ["", "   ", "?!"])
    assert np.array_equal(rows, np.eye(1, 384, dtype=np.float32).repeat(3, axis=0))


def test_parts_of_words_count_too() -> None:
    one, inflected, other = embed(HashEmbedder(), ["refunding", "refunded", "kettle"])
    assert one @ inflected > 0.2 > abs(one @ other)


@settings(max_examples=50)
@given(st.lists(st.text(max_size=40), max_size=5))
def test_hashing_gives_units_for_any_text_alone_or_in_a_batch(texts: list[str]) -> None:
    rows = embed(HashEmbedder(), texts)
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    for row, text in zip(rows, texts, strict=True):
        assert np.array_equal(row, embed(HashEmbedder(), [text])[0])


def test_large_batches_are_hashed_in_parts() -> None:
    texts = [f"text number {i}" for i in range(2500)]
    assert np.array_equal(embed(HashEmbedder(), texts)[2400:], embed(HashEmbedder(), texts[2400:]))


# --- sentence-transformers


def test_the_fingerprint_follows_the_weights_and_the_pooling(weights_home: Path, tmp_path: Path) -> None:
    real = weights_home / "embedders" / MINILM
    copy, other = tmp_path / "copy", tmp_path / "other"
    shutil.copytree(real, copy)
    shutil.copytree(real, other)
    pooling = other / "1_Pooling" / "config.json"
    config = json.loads(pooling.read_text())
    pooling.write_text(json.dumps({**config, "pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}))
    by_name, by_folder, changed = (as_embedder(str(name)) for name in (MINILM, copy, other))
    assert by_name.fingerprint == by_folder.fingerprint != changed.fingerprint
    assert np.allclose(embed(by_name, ["hi"]), embed(by_folder, ["hi"]))


def test_threads_share_one_model(weights_home: Path) -> None:
    rows: list[Vectors] = []
    threads = [
        threading.Thread(target=lambda: rows.append(embed(SentenceTransformerEmbedder(), ["hi", "ho"])))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(rows) == 6
    assert all(np.allclose(each, rows[0]) for each in rows)


def test_the_batch_size_does_not_change_the_vectors(weights_home: Path) -> None:
    texts = [("word " * i).strip() for i in range(1, 12)]
    small, large = (embed(SentenceTransformerEmbedder(batch=batch), texts) for batch in (2, 64))
    assert np.allclose(small, large, atol=1e-4)


def test_loading_and_embedding_say_nothing_and_ask_nobody(weights_home: Path) -> None:
    script = f"""
import asyncio, socket
def refuse(*_): raise AssertionError("a connection")
socket.socket.connect = refuse
from agentevo.models.embedders import as_embedder
embedder = as_embedder({MINILM!r})
assert asyncio.run(embedder.embed(["hi"])).shape == (1, embedder.dimensions)
"""
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", script],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("damage", ["no weights", "cut weights", "no config"])
def test_a_folder_that_cannot_be_loaded_is_told_in_one_line(weights_home: Path, tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(weights_home / "embedders" / MINILM, folder)
    match damage:
        case "no weights":
            (folder / "model.safetensors").unlink()
        case "cut weights":
            (folder / "model.safetensors").write_bytes(b"\0" * 1000)
        case _:
            (folder / "config.json").unlink()
    with pytest.raises(EmbedderError, match="damaged") as caught:
        embed(as_embedder(str(folder)), ["hi"])
    assert "\n" not in str(caught.value)


def test_a_batch_of_none_is_a_misuse() -> None:
    with pytest.raises(Misuse, match="at least 1 text"):
        SentenceTransformerEmbedder(batch=0)


# --- names


def test_an_unknown_name_lists_what_can_be_had(weights_home: Path) -> None:
    for name in ("all-minilm", "opnai/text-embedding-3-small", "openai/", "./nowhere/at/all"):
        with pytest.raises(UnknownName, match=r"all-MiniLM-L6-v2.*hash|hash.*all-MiniLM-L6-v2"):
            as_embedder(name)


def test_a_name_with_a_provider_is_litellms() -> None:
    assert repr(as_embedder("openai/text-embedding-3-small")) == "LiteLLMEmbedder('openai/text-embedding-3-small')"


def test_an_embedder_is_passed_through_though_it_does_not_know_its_dimensions_yet() -> None:
    embedder = LiteLLMEmbedder("openai/text-embedding-3-small")
    assert as_embedder(embedder) is embedder


def test_a_name_that_can_be_no_path_is_an_unknown_name(weights_home: Path) -> None:
    for name in ("x" * 100_000, "a\0b"):
        with pytest.raises(UnknownName, match="known: ") as caught:
            as_embedder(name)
        assert len(str(caught.value)) < 1000


def test_what_is_neither_name_nor_embedder_is_a_misuse() -> None:
    with pytest.raises(Misuse, match="got 7"):
        as_embedder(7)  # type: ignore[arg-type]


# --- litellm


def gives(*vectors: Sequence[float], order: Sequence[int] | None = None) -> Behaviour:
    """Answer an embeddings request with these vectors."""

    async def behave(exchange: Exchange) -> None:
        places = order or range(len(vectors))
        data = [{"object": "embedding", "index": i, "embedding": list(vectors[i])} for i in places]
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        await exchange.send_json({"object": "list", "data": data, "model": "test", "usage": usage})

    return behave


async def by_length(exchange: Exchange) -> None:
    """Answer with a vector that tells each text's length."""
    await gives(*([float(len(text)), 1.0] for text in exchange.body["input"]))(exchange)


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer(by_length) as running:
        yield running


def remote(server: OpenAIServer, **options: Any) -> LiteLLMEmbedder:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    retry = Retry(attempts=3, sleep=sleep)
    return LiteLLMEmbedder("openai/test", api_base=server.url, api_key="key-of-mine", **{"retry": retry, **options})


def test_vectors_of_a_provider_are_normalised_and_batched(server: OpenAIServer) -> None:
    embedder = remote(server, batch=2)
    rows = embed(embedder, ["aaa", "b", "cc", "dddd", "eeeee"])
    assert [len(body["input"]) for body in server.bodies] == [2, 2, 1]
    assert rows.dtype == np.float32
    assert np.allclose(rows[:, 0] / rows[:, 1], [3, 1, 2, 4, 5])
    assert np.allclose(np.linalg.norm(rows, axis=1), 1)
    assert (embedder.dimensions, embedder.fingerprint) == (2, "litellm:openai/test:2")


def test_vectors_are_put_in_the_order_of_the_texts(server: OpenAIServer) -> None:
    server.then(gives([1, 0], [0, 1], [1, 1], order=[2, 0, 1]))
    assert np.allclose(embed(remote(server), ["a", "b", "c"])[:2], np.eye(2))


def test_no_texts_ask_nobody(server: OpenAIServer) -> None:
    assert embed(remote(server, dimensions=8), []).shape == (0, 8)
    assert server.bodies == []


def test_dimensions_are_asked_for_and_checked(server: OpenAIServer) -> None:
    embedder = LiteLLMEmbedder(
        "openai/text-embedding-3-small", dimensions=5, api_base=server.url, api_key="key-of-mine"
    )
    assert embedder.dimensions == 5
    with pytest.raises(EmbedderError, match="2 dimensions where 5 were expected"):
        embed(embedder, ["a"])
    assert server.bodies[0]["dimensions"] == 5


def test_dimensions_are_unknown_before_the_first_call(server: OpenAIServer) -> None:
    with pytest.raises(EmbedderError, match="embed a text first"):
        _ = remote(server).fingerprint


def test_limits_and_server_errors_are_tried_again(server: OpenAIServer) -> None:
    server.then(status(429, {"Retry-After": "2"}), status(500))
    assert embed(remote(server), ["a"]).shape == (1, 2)
    assert len(server.bodies) == 3


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        (status(400), "refused"),
        (gives([1, 2]), "1 vectors for 2 texts"),
        (gives([1, 2], [3, 4], [5, 6], order=[2, 1]), "no known order"),
        (gives([1, 2], [3]), "different lengths"),
        (gives([1, 2], [0, 0]), "vector of zeros"),
        (gives([1, 2], [float("inf"), 1]), "not finite"),
        (sends(b"<html>", "text/html"), "failed"),
    ],
)
def test_vectors_that_cannot_be_used_are_told_in_one_line(server: OpenAIServer, behaviour: Behaviour, why: str) -> None:
    server.default = behaviour
    with pytest.raises(EmbedderError, match=why) as caught:
        embed(remote(server), ["a", "b"])
    assert "\n" not in str(caught.value)
    assert "key-of-mine" not in str(caught.value)


def test_dimensions_that_change_between_calls_are_refused(server: OpenAIServer) -> None:
    server.then(gives([1, 2]), gives([1, 2, 3]))
    embedder = remote(server)
    embed(embedder, ["a"])
    with pytest.raises(EmbedderError, match="3 dimensions where 2"):
        embed(embedder, ["b"])


def test_a_server_that_hangs_ends_with_the_time_budget(server: OpenAIServer) -> None:
    server.default = hangs
    with pytest.raises(EmbedderError, match="did not answer"):
        embed(remote(server, timeout_s=0.3), ["a"])


def test_a_missing_key_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(MissingKey, match="OPENAI_API_KEY"):
        embed(LiteLLMEmbedder("openai/text-embedding-3-small"), ["a"])


def test_embeddings_are_real_requests_and_can_be_forbidden(server: OpenAIServer) -> None:
    with forbid_requests(), pytest.raises(RequestsForbidden):
        embed(remote(server), ["a"])
    assert server.bodies == []


@pytest.mark.parametrize("options", [{"batch": 0}, {"dimensions": 0}, {"timeout_s": 0}])
def test_sizes_below_one_are_a_misuse(options: dict[str, Any]) -> None:
    with pytest.raises(Misuse, match="above 0"):
        LiteLLMEmbedder("openai/test", **options)


def test_nothing_is_logged_for_a_working_embedder(embedder: Embedder, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        embed(embedder, ["hi"])
    assert caplog.records == []
