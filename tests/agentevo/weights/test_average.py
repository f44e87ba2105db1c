"""Averages of adapters: the expected tensors, bounded drift, and soups that lower nothing."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from cycles import NOW, Sums, answers
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file
from wearing import Wearing, Weights

from agentevo.errors import Misuse, WeightsError
from agentevo.memory import Memory
from agentevo.models import FunctionModel
from agentevo.phases.act import Sample
from agentevo.protocols import Recipe, State
from agentevo.types import Item, Op
from agentevo.weights.average import Tensors, mean, moved, must_match, nothing, tensors_of, write
from agentevo.weights.averages import Average, OnSplit
from agentevo.weights.config import ADAPTER


def tensors(*values: float) -> Tensors:
    return {"x.lora_A": np.ones((1, 2), np.float32), "x.lora_B": np.array([values], np.float32).T}


def adapter(folder: Path, *values: float, rank: int = 1) -> Path:
    folder.mkdir(parents=True)
    save_file(dict(tensors(*values)), folder / ADAPTER)
    (folder / "adapter_config.json").write_text(json.dumps({"r": rank, "target_modules": ["q", "v"]}))
    return folder


def test_the_mean_is_the_expected_tensor() -> None:
    assert mean([tensors(1, 2), tensors(3, 6)])["x.lora_B"].ravel().tolist() == [2, 4]
    assert mean([tensors(1, 2), tensors(3, 6)], [3, 1])["x.lora_B"].ravel().tolist() == [1.5, 3]


@given(st.floats(-9, 9, width=32), st.floats(0, 1))
def test_a_weight_of_0_or_1_gives_the_ends(value: float, other: float) -> None:
    ends = [tensors(value), tensors(other)]
    assert np.array_equal(mean(ends, [1, 0])["x.lora_B"], ends[0]["x.lora_B"])
    assert np.array_equal(mean(ends, [0, 1])["x.lora_B"], ends[1]["x.lora_B"])


@given(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=20), st.floats(0, 0.99))
def test_a_moving_average_stays_within_what_it_has_seen(path: list[float], decay: float) -> None:
    average = nothing(tensors(1))
    for value in path:
        average = moved(average, tensors(value), decay)
    low, high = min(0.0, *path), max(0.0, *path)
    assert low - 1e-5 <= float(average["x.lora_B"][0, 0]) <= high + 1e-5


def test_what_does_nothing_keeps_where_a_training_begins() -> None:
    found = nothing(tensors(5))
    assert (found["x.lora_A"].tolist(), found["x.lora_B"].tolist()) == ([[1, 1]], [[0]])


def test_adapters_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Misuse, match=r"x.lora_B is \(1, 1\) in one and \(2, 1\) in another"):
        mean([tensors(1), tensors(1, 2)])
    with pytest.raises(Misuse, match="no adapter to average"):
        mean([])
    with pytest.raises(Misuse, match="none below 0"):
        mean([tensors(1)], [-1])
    with pytest.raises(Misuse, match="decay is 1"):
        moved(tensors(1), tensors(2), 1)
    one, other = adapter(tmp_path / "one", 1), adapter(tmp_path / "other", 1, rank=2)
    with pytest.raises(Misuse, match="other and one are not averaged: r is 2 and 1"):
        must_match([one, other])
    for name, base in (("same", "a"), ("replaced", "b")):
        (adapter(tmp_path / name, 1) / "training.json").write_text(json.dumps({"base_sha256": base}))
    with pytest.raises(Misuse, match="replaced and same are not averaged: base_sha256 is 'b' and 'a'"):
        must_match([tmp_path / "same", tmp_path / "replaced"])
    with pytest.raises(WeightsError, match="no adapter of peft"):
        must_match([tmp_path / "none"])
    with pytest.raises(WeightsError, match="cannot be read"):
        tensors_of(tmp_path / "none")


def test_an_average_is_written_whole_with_the_settings_of_its_parts(tmp_path: Path) -> None:
    like = adapter(tmp_path / "like", 1, 2)
    out = write(mean([tensors(1, 2), tensors(3, 4)]), like, tmp_path / "out", {"of": ["a", "b"]})
    assert tensors_of(out)["x.lora_B"].ravel().tolist() == [2, 3]
    assert json.loads((out / "adapter_config.json").read_text())["r"] == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["like", "out"]


# --- as an update


def store_of(folder: Path, *values: float) -> Memory:
    """Return a memory with adapters of one value each, the first of them the oldest, one second apart."""
    times = iter(range(100))
    store = Memory.open(":memory:", embedder="hash", clock=lambda: NOW + next(times))
    for n, value in enumerate(values):
        path = adapter(folder / f"a{n}", value)
        about = {"name": f"a{n}", "base": "small", "role": "policy", "path": str(path)}
        item = store.insert(f"Adapter a{n}", kind="adapter", metadata=about)
        if n + 1 < len(values):
            store.quarantine(item.id)
    return store


def averaged(store: Memory, average: Average, weights: Weights | None = None) -> list[Item]:
    model = Wearing(weights or Weights(), FunctionModel(answers))

    async def awaited() -> list[Op]:
        return await average(State(model, store, Sums(), Recipe(act=Sample())), [])

    return [op.item for op in asyncio.run(awaited()) if op.item is not None]


def value(item: Item) -> float:
    return float(tensors_of(Path(str(item.metadata["path"])))["x.lora_B"][0, 0])


async def quietly(folder: Path, base: str) -> None:
    """Install nothing."""


def test_the_last_adapters_are_averaged_into_one_that_waits_for_the_gate(empty_home: Path, tmp_path: Path) -> None:
    with store_of(tmp_path, 9.0, 1.0, 3.0) as store:
        (item,) = averaged(store, Average("mean", 2, install=quietly))
        assert (value(item), item.status, item.metadata["config"]) == (
            2.0, "quarantined", {"how": "mean", "of": ["a2", "a1"]},
        )  # fmt: skip
        assert set(item.derived_from) == {one.id for one in store.list(kind="adapter", status=None, limit=2)}


def test_one_adapter_alone_is_not_averaged(empty_home: Path, tmp_path: Path) -> None:
    with store_of(tmp_path, 1.0) as store:
        assert averaged(store, Average(install=quietly)) == []


def test_an_adapter_whose_folder_is_gone_is_left_out_and_said(
    empty_home: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with store_of(tmp_path, 1.0, 3.0, 8.0) as store:
        shutil.rmtree(tmp_path / "a1")
        (item,) = averaged(store, Average("mean", 3, install=quietly))
        assert (value(item), caplog.messages) == (
            4.5, [f"adapter a1 is left out of the average: it lies no more in {tmp_path / 'a1'}"],
        )  # fmt: skip
        shutil.rmtree(tmp_path / "a2")
        assert averaged(store, Average("ema", install=quietly)) == []


@pytest.mark.parametrize(("best", "expected"), [(2.0, 2.0), (1.0, 1.0)])
def test_a_greedy_soup_takes_in_what_does_not_lower_the_score(
    empty_home: Path, tmp_path: Path, best: float, expected: float
) -> None:
    seen: dict[str, float] = {f"a{n}": v for n, v in enumerate((3.0, 1.0))}

    async def note(folder: Path, base: str) -> None:
        seen[folder.name] = float(tensors_of(folder)["x.lora_B"][0, 0])

    async def near(state: State, name: str) -> float:
        return -abs(seen[name] - best)

    with store_of(tmp_path, 3.0, 1.0) as store:
        (item,) = averaged(store, Average("greedy", fitness=near, install=note))
        assert value(item) == expected


def test_fitness_is_the_score_on_a_split_with_the_adapter_worn() -> None:
    known = {task.prompt: "0" for task in Sums().tasks("dev")}

    async def fit(name: str) -> float:
        with Memory.open(":memory:", embedder="hash") as store:
            model = Wearing(Weights({"bad": known}), FunctionModel(answers))
            return await OnSplit("dev", 2)(State(model, store, Sums(), Recipe(act=Sample())), name)

    assert (asyncio.run(fit("bad")), asyncio.run(fit("good"))) == (0.0, 1.0)


def test_a_model_without_adapters_cannot_be_tried_on() -> None:
    async def fit() -> float:
        with Memory.open(":memory:", embedder="hash") as store:
            return await OnSplit()(State(FunctionModel(answers), store, Sums(), Recipe(act=Sample())), "a")

    with pytest.raises(Misuse, match="takes no adapter"):
        asyncio.run(fit())


@pytest.mark.parametrize("options", [{"how": "most"}, {"n": 1}, {"every": 0}, {"decay": 1.0}, {"install": 3}])
def test_what_makes_no_sense_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(Misuse):
        Average(**options)  # type: ignore[arg-type]


def _values(items: Sequence[Item]) -> list[float]:
    return [value(item) for item in items]


def test_a_reset_waits_for_an_adapter_in_use(empty_home: Path, tmp_path: Path) -> None:
    with store_of(tmp_path) as store:
        assert averaged(store, Average("ema", install=quietly)) == []
    with store_of(tmp_path, 4.0) as store:
        assert _values(averaged(store, Average("ema", every=1, decay=0.75, install=quietly))) == [0.0, 1.0]


def test_without_a_gate_an_average_takes_in_each_turn(empty_home: Path, tmp_path: Path) -> None:
    average = Average("ema", every=9, decay=0.5, install=quietly)
    with store_of(tmp_path, 4.0) as store:
        for expected in (2.0, 3.0, 3.5):
            (item,) = averaged(store, average)
            assert value(item) == expected
            store.apply([Op(verb="insert", id=item.id, item=item)])
        store.quarantine(item.id)
        store.edit(item.id, metadata={**item.metadata, "blocked": "trained on what was purged"})
        assert _values(averaged(store, average)) == [3.5]  # of the turn before, as if the last had not been
