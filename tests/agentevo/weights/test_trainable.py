"""What is trained on: the offline model, dequantised, says and reads what the runtime does."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from small_llama import install_llama
from spoken import runtime_logprobs, torch_logprobs

from agentevo.errors import Misuse, UnknownName, WeightsError
from agentevo.models import offline
from agentevo.weights.load import base

TEXTS = ("12", "1234567890", "order 4711 at 3pm", "v1.2", "the 10th", " 22 ", "a1b2", "hello\n\nworld")


def test_the_dequantised_model_says_what_the_runtime_says(small: str) -> None:
    on = base(small)
    for text in ("hi", "order 12", "in the river"):
        said, expected = torch_logprobs(on.model(), on.tokenizer(), text), runtime_logprobs("small", text)
        assert said[: len(expected)] == pytest.approx(expected, abs=2e-3)


def test_it_is_dequantised_once_and_anew_when_the_file_is_another(small: str, tmp_path: Path) -> None:
    heard: list[str] = []
    first = base(small, heard.append)
    assert (heard, first.gguf) == ([], tmp_path / "home" / "models" / "small" / "model.gguf")
    shutil.rmtree(tmp_path / "home" / "models" / "small")
    install_llama(tmp_path / "home", seed=1)
    second = base(small, heard.append)
    assert heard == ["dequantising small, once"]
    assert first.sha256 != second.sha256
    assert first.folder != second.folder


def test_digits_are_split_as_the_runtime_splits_them(small: str) -> None:
    tokenizer = base(small).tokenizer()
    counts = [len(tokenizer.encode(text, add_special_tokens=False)) for text in TEXTS]
    assert counts == [offline.count_tokens("small", text) for text in TEXTS]
    assert len(tokenizer.encode("12")) == 2  # although the vocabulary has a token for both


def test_a_tokenizer_that_reads_otherwise_than_the_runtime_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTEVO_HOME", str(tmp_path))
    folder = install_llama(tmp_path, splits="viking")
    with pytest.raises(WeightsError, match=r"cannot be rebuilt exactly: \d+ of \d+ texts have other tokens"):
        base("local/small")
    assert sorted(path.name for path in folder.iterdir()) == ["card.json", "model.gguf"]


def test_a_folder_of_hugging_face_is_taken_as_it_is(small: str) -> None:
    folder = base(small).folder
    on = base(folder)
    assert (on.name, on.folder, on.gguf) == (str(folder), folder, None)
    assert on.model().dtype == base(small).model().dtype


@pytest.mark.parametrize("model", ["openai/gpt-4o", "smollm2-135m", ""])
def test_a_model_that_is_not_here_cannot_be_trained(small: str, model: str) -> None:
    with pytest.raises(Misuse, match="neither local/NAME nor a folder"):
        base(model)


def test_an_adapter_is_no_base_and_unknown_names_list_the_known(small: str) -> None:
    with pytest.raises(Misuse, match="train on local/small, and give the adapter's folder as `start`"):
        base("local/small+x")
    with pytest.raises(UnknownName, match="smal"):
        base("local/smal")


def test_folders_without_weights_or_with_broken_ones_are_told_apart(small: str, tmp_path: Path) -> None:
    folder = shutil.copytree(base(small).folder, tmp_path / "copy")
    (folder / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="cannot be loaded for training"):
        base(folder).model()
    (folder / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"holds no \*.safetensors"):
        base(folder)
