from __future__ import annotations

import struct
from pathlib import Path

import pytest
from gguf_files import write_head

from agentevo.errors import WeightsError
from agentevo.models.gguf_header import context_of, read_header


def test_reads_scalars_and_texts_and_leaves_arrays_out(tmp_path: Path) -> None:
    header = read_header(write_head(tmp_path / "a.gguf", context=77))
    assert header["general.type"] == "model"
    assert header["llama.attention.head_count"] == 2
    assert header["tokenizer.ggml.tokens"] is None
    assert context_of(header) == 77


def test_context_is_unknown_where_the_file_does_not_say() -> None:
    assert context_of({"general.architecture": "llama"}) is None


@pytest.mark.parametrize("keep", [0, 3, 4, 20, 60, 200])
def test_any_truncated_head_is_a_one_line_error(tmp_path: Path, keep: int) -> None:
    file = write_head(tmp_path / "a.gguf")
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(WeightsError, match="GGUF") as caught:
        read_header(file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        struct.pack("<IQQ", 9, 0, 0),
        struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 1 << 40),
        struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q1sI", 1, b"k", 99),
        struct.pack("<IQQ", 3, 0, 1 << 60),
    ],
)
def test_nonsense_after_the_magic_is_refused(tmp_path: Path, body: bytes) -> None:
    file = tmp_path / "a.gguf"
    file.write_bytes(b"GGUF" + body)
    with pytest.raises(WeightsError):
        read_header(file)


def test_an_unreadable_path_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="cannot read"):
        read_header(tmp_path / "none.gguf")
