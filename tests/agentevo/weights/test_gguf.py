"""Back into the runtime: what it says with an adapter, or with a merged model, is what torch says."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from gguf import GGUFReader, GGUFWriter
from safetensors.torch import load_file, save_file
from small_llama import HEADS, KEY_HEADS, install_llama
from spoken import runtime_logprobs, torch_logprobs

from agentevo.errors import Misuse, UnknownName, WeightsError
from agentevo.models.installed import find
from agentevo.models.pull import pull
from agentevo.weights.config import ADAPTER, SHAPE, Training
from agentevo.weights.gguf import convert, install_adapter
from agentevo.weights.likely import Likely
from agentevo.weights.load import base, quiet
from agentevo.weights.merge import Form, merge
from agentevo.weights.train import Trained

PROMPTS = ("say 1", "order 12", "in the river")


@pytest.fixture(scope="session")
def expected(whole: Trained) -> list[list[float]]:
    """What the adapted model says, computed by peft."""
    from peft import PeftModel

    on = base(whole.path.parent / "base")
    with quiet():
        model = PeftModel.from_pretrained(on.model(), str(whole.path)).eval()
    return [torch_logprobs(model, on.tokenizer(), text) for text in PROMPTS]


def by_runtime(model: str) -> list[list[float]]:
    return [runtime_logprobs(model, text) for text in PROMPTS]


def apart(said: list[list[float]], expected: list[list[float]]) -> float:
    """Return how far log-probabilities are apart, as far as both go."""
    pairs = [(a, b) for one, other in zip(said, expected, strict=True) for a, b in zip(one, other, strict=False)]
    return max(abs(a - b) for a, b in pairs)


def test_the_runtime_says_with_the_adapter_what_torch_says(
    whole: Trained, small: str, expected: list[list[float]]
) -> None:
    assert install_adapter(whole.path, model=small, name="one") == "local/small+one"
    assert apart(by_runtime("small+one"), expected) < 2e-3
    assert apart(by_runtime("small"), expected) > 0.5


def test_rows_of_queries_and_keys_are_reordered_or_the_runtime_says_something_else(
    whole: Trained, small: str, tmp_path: Path, expected: list[list[float]]
) -> None:
    file = convert(whole.path, tmp_path / "right.gguf", model=small)
    wrong = find("small").path.parent / "adapters" / "wrong.gguf"
    wrong.parent.mkdir()
    _as_peft_has_them(file, wrong)
    assert apart(by_runtime("small+wrong"), expected) > 0.02


def _as_peft_has_them(right: Path, wrong: Path) -> None:
    """Write an adapter with the rows of queries and keys in the order that GGUF files do not have."""
    reader, writer = _again(right, wrong)
    for tensor in reader.tensors:
        values, heads = tensor.data, {"attn_q": HEADS, "attn_k": KEY_HEADS}.get(tensor.name.split(".")[2])
        if heads and tensor.name.endswith("lora_b"):
            rows, rank = values.shape
            values = values.reshape(heads, rows // heads // 2, 2, rank).swapaxes(1, 2).reshape(rows, rank)
        writer.add_tensor(tensor.name, values)
    _written(writer)


def _again(file: Path, other: Path) -> tuple[GGUFReader, GGUFWriter]:
    """Begin to write an adapter again that does not say what it was made for, as those of other programs do not."""
    reader, writer = GGUFReader(file), GGUFWriter(str(other), "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", reader.fields["adapter.lora.alpha"].contents())
    return reader, writer


def _written(writer: GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.parametrize(("form", "tolerance"), [("f16", 2e-3), ("q8_0", 0.05)])
def test_a_merged_file_says_what_the_adapter_does(
    whole: Trained, small: str, tmp_path: Path, form: Form, tolerance: float, expected: list[list[float]]
) -> None:
    pull(str(merge(whole.path, tmp_path / "merged.gguf", form=form)), name="merged")
    assert apart(by_runtime("merged"), expected) < tolerance
    assert apart(by_runtime("small"), expected) > 10 * tolerance


def test_a_merged_folder_says_what_the_adapter_does(
    whole: Trained, small: str, tmp_path: Path, expected: list[list[float]]
) -> None:
    on = base(merge(whole.path, tmp_path / "merged", form="safetensors"))
    said = [torch_logprobs(on.model(), on.tokenizer(), text) for text in PROMPTS]
    assert apart(said, expected) < 1e-4


@pytest.mark.parametrize("form", ["q4_1", "Q4_K_M"])
def test_a_merge_that_would_round_the_update_away_is_refused(whole: Trained, tmp_path: Path, form: Form) -> None:
    with pytest.raises(Misuse, match="rounding to 4 bits leaves 5 to 8 percent"):
        merge(whole.path, tmp_path / "merged.gguf", form=form)
    assert list(tmp_path.iterdir()) == []


def _turned(made: Trained, folder: Path) -> Path:
    """Return an adapter that does the opposite."""
    shutil.copytree(made.path, folder)
    tensors = load_file(folder / ADAPTER)
    save_file({name: -tensor if "lora_B" in name else tensor for name, tensor in tensors.items()}, folder / ADAPTER)
    return folder


def test_replies_after_switching_are_those_before(whole: Trained, small: str, tmp_path: Path) -> None:
    install_adapter(whole.path, name="one")
    install_adapter(_turned(whole, tmp_path / "other"))  # called as its folder
    alone = {model: by_runtime(model) for model in ("small", "small+one", "small+other")}
    assert len({str(said) for said in alone.values()}) == 3
    for model in ("small+one", "small", "small+other", "small+one", "small"):
        assert by_runtime(model) == alone[model]


def test_an_adapter_that_is_not_there_is_an_error(whole: Trained, small: str) -> None:
    install_adapter(whole.path, name="one")
    with pytest.raises(UnknownName, match=r"unknown adapter of small 'two'; known: one"):
        by_runtime("small+two")


def test_a_name_is_taken_once_unless_it_is_replaced(whole: Trained, small: str, tmp_path: Path) -> None:
    install_adapter(whole.path, name="one")
    install_adapter(whole.path, name="one")  # the same one is not in its own way
    before, other = by_runtime("small+one"), _turned(whole, tmp_path / "other")
    with pytest.raises(Misuse, match="local/small has an adapter 'one' already"):
        install_adapter(other, name="one")
    install_adapter(other, name="one", replace=True)
    assert by_runtime("small+one") != before
    with pytest.raises(Misuse, match="cannot be a name"):
        install_adapter(whole.path, name="../one")


@pytest.fixture
def copied(whole: Trained, small: str, tmp_path: Path) -> Path:
    return shutil.copytree(whole.path, tmp_path / "copied")


def test_an_adapter_of_another_base_is_not_installed(whole: Trained, copied: Path, tmp_path: Path) -> None:
    install_llama(tmp_path / "home", "other", seed=1)
    with pytest.raises(Misuse, match=r"copied is an adapter for local/small, not for local/other"):
        install_adapter(copied, model="local/other")
    assert not find("other").adapters
    folder = base("local/small").folder
    Training.read(copied).but(base=str(folder), base_sha256=base(folder).sha256).write(copied)
    with pytest.raises(Misuse, match="only those for local/NAME run offline"):
        install_adapter(copied)


def changed(**settings: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        shape = json.loads((folder / SHAPE).read_bytes())
        (folder / SHAPE).write_text(json.dumps({**shape, **settings}))

    return change


def written(file: str, text: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / file).write_text(text)

    return change


def gone(file: str) -> Callable[[Path], None]:
    return lambda folder: (folder / file).unlink()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (written("training.json", "{}"), "training.json is damaged"),
        (written(ADAPTER, ""), "the adapter in .*copied cannot be read: .*train it again"),
        (gone(ADAPTER), "the adapter in .*copied cannot be read: .*train it again"),
        (gone(SHAPE), "the adapter in .*copied cannot be read: .*train it again"),
        (written(SHAPE, "{"), "the adapter in .*copied cannot be read: .*train it again"),
        (written(SHAPE, "[]"), "does not say what training.json beside it says of .*it was changed since"),
        (changed(r=8), "does not say what training.json beside it says of r: it was changed since"),
        (changed(lora_alpha="x"), "does not say what training.json beside it says of lora_alpha: it was changed since"),
        (changed(use_dora=True), "does not say what training.json beside it says of use_dora: it was changed since"),
    ],
)
def test_an_adapter_that_is_damaged_or_changed_is_neither_installed_nor_merged_nor_asked_and_looked_up_nowhere(
    copied: Path, change: Callable[[Path], None], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(copied)
    monkeypatch.setattr("socket.getaddrinfo", lambda *_: pytest.fail("asked the network"))
    asked = Likely("local/small", copied)
    for use in (
        lambda: install_adapter(copied, model="local/small"),
        lambda: merge(copied, tmp_path / "merged", form="safetensors"),
        lambda: merge(copied, tmp_path / "merged.gguf"),
        lambda: asyncio.run(asked.logprob([{"role": "user", "content": "say 1"}], "PAY 12")),
    ):
        with pytest.raises(WeightsError, match=why):
            use()
    assert not find("small").adapters
    assert not [path for path in find("small").path.parent.rglob("*") if "copied" in path.name]
    assert not [path for path in tmp_path.iterdir() if "merged" in path.name]


def test_matrices_of_another_shape_are_named(copied: Path, tmp_path: Path) -> None:
    tensors = load_file(copied / ADAPTER)
    save_file({name: tensor[:, :3].contiguous() for name, tensor in tensors.items()}, copied / ADAPTER)
    asked = Likely("local/small", copied).logprob([{"role": "user", "content": "say 1"}], "PAY 12")
    for use in (lambda: merge(copied, tmp_path / "merged", form="safetensors"), lambda: asyncio.run(asked)):
        with pytest.raises(WeightsError, match=r"the adapter in .*copied does not fit its model: .*size mismatch"):
            use()


def test_numbers_beyond_16_bit_are_refused(copied: Path) -> None:
    tensors = load_file(copied / ADAPTER)
    save_file({name: tensor * 1e9 for name, tensor in tensors.items()}, copied / ADAPTER)
    with pytest.raises(WeightsError, match=r"numbers for .* that 16 bit cannot"):
        install_adapter(copied)


def test_what_is_merged_is_never_written_over(whole: Trained, small: str, tmp_path: Path) -> None:
    (tmp_path / "merged.gguf").write_text("mine")
    with pytest.raises(Misuse, match=r"merged.gguf exists"):
        merge(whole.path, tmp_path / "merged.gguf")
    assert (tmp_path / "merged.gguf").read_text() == "mine"


def test_an_adapter_made_for_other_weights_of_that_name_is_refused_and_stops_nothing_else(
    whole: Trained, small: str, tmp_path: Path
) -> None:
    install_adapter(whole.path, name="one")
    before = by_runtime("small+one"), by_runtime("small")
    install_llama(tmp_path / "later", seed=1)  # the same name, shapes and architecture
    model = find("small").path.parent
    for name in ("model.gguf", "card.json"):
        shutil.copy(tmp_path / "later" / "models" / "small" / name, model / name)
    with pytest.raises(WeightsError, match=r"one\.gguf was made for other weights than those that local/small has now"):
        by_runtime("small+one")
    assert by_runtime("small") != before[1]
    reader, writer = _again(model / "adapters" / "one.gguf", model / "adapters" / "untold.gguf")
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data)
    _written(writer)
    assert by_runtime("small+untold")


def test_modules_that_the_runtime_cannot_adapt_are_refused(copied: Path) -> None:
    tensors = load_file(copied / ADAPTER)
    first = next(iter(tensors.values()))
    for name in ("lm_head.lora_A.weight", "model.embed_tokens.lora_embedding_A"):
        save_file({**tensors, f"base_model.model.{name}": first.clone()}, copied / ADAPTER)
        with pytest.raises(Misuse, match=r"adapts .*(lm_head|embed_tokens).*, which the offline runtime cannot"):
            install_adapter(copied)
    assert not find("small").adapters


@pytest.mark.parametrize("part", ["lora_A", "lora_B"])
def test_an_adapter_that_lacks_a_matrix_is_refused(whole: Trained, small: str, tmp_path: Path, part: str) -> None:
    folder = shutil.copytree(whole.path, tmp_path / "a")
    tensors = load_file(folder / ADAPTER)
    gone = next(name for name in tensors if part in name)
    save_file({name: tensor for name, tensor in tensors.items() if name != gone}, folder / ADAPTER)
    with pytest.raises(WeightsError, match=r"is not whole: it has one matrix of model\.layers\.0"):
        convert(folder, tmp_path / "a.gguf")
    with pytest.raises(WeightsError, match="is not whole"):
        merge(folder, tmp_path / "merged")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(("a.gguf", "merged"))] == []
