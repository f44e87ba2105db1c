from __future__ import annotations

import logging
import struct
from pathlib import Path

import numpy as np
import pytest
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFWriter
from gguf_files import write_head

from agentevo.errors import WeightsError
from agentevo.models.gguf_header import check_whole, context_of, read_header
from agentevo.models.installed import find


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


# --- whether a file is whole


def write_tensors(file: Path, *kinds: GGMLQuantizationType, alignment: int = 32) -> Path:
    """Write a file with a tensor of two rows of 256 values for each type."""
    writer = GGUFWriter(str(file), "llama")
    writer.add_custom_alignment(alignment)
    for n, kind in enumerate(kinds):
        block, size = GGML_QUANT_SIZES[kind]
        rows = np.zeros((2, 256 // block * size), dtype=np.uint8)
        writer.add_tensor(f"t{n}", rows, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def described(*kinds: int, shape: tuple[int, ...] = (256,), offset: int = 0) -> bytes:
    """Return the head of a file that describes tensors, and nothing after it."""
    head = b"GGUF" + struct.pack("<IQQ", 3, len(kinds), 0)
    for kind in kinds:
        head += struct.pack("<Q1sI", 1, b"t", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape)
        head += struct.pack("<IQ", kind, offset)
    return head + b"\0" * (-len(head) % 32)


KNOWN = [kind for kind in GGMLQuantizationType if kind.name != "Q8_1"]  # that one is never written to files


@pytest.mark.parametrize("kind", KNOWN)
def test_a_file_of_any_type_must_have_all_its_bytes_and_no_more(tmp_path: Path, kind: GGMLQuantizationType) -> None:
    file = tmp_path / "a.gguf"
    block, size = GGML_QUANT_SIZES[kind]
    head = described(int(kind), shape=(256, 3))
    file.write_bytes(head + b"\0" * (256 * 3 // block * size))
    check_whole(file)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(WeightsError, match="is cut off"):
        check_whole(file)


@pytest.mark.parametrize("alignment", [32, 64, 4096])
def test_padding_after_the_last_tensor_is_no_damage(tmp_path: Path, alignment: int) -> None:
    kinds = (GGMLQuantizationType.F32, GGMLQuantizationType.Q4_1, GGMLQuantizationType.Q6_K)
    file = write_tensors(tmp_path / "a.gguf", *kinds, alignment=alignment)
    assert check_whole(file)["general.alignment"] == alignment


def test_a_cut_off_file_says_how_much_there_should_be(tmp_path: Path) -> None:
    file = tmp_path / "a.gguf"
    head = described(0, shape=(100,), offset=64)
    file.write_bytes(head)
    with pytest.raises(WeightsError, match=rf"has {len(head)} bytes, but its weights take {len(head) + 464};"):
        check_whole(file)


def test_a_file_that_goes_on_after_its_tensors_is_damaged(tmp_path: Path) -> None:
    file = write_tensors(tmp_path / "a.gguf", GGMLQuantizationType.F16)
    file.write_bytes(file.read_bytes() + b"garbage")
    with pytest.raises(WeightsError, match="its weights end at"):
        check_whole(file)


def test_a_type_that_is_not_known_is_left_to_the_runtime_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "a.gguf"
    file.write_bytes(described(77) + b"\0" * 1000)
    with caplog.at_level(logging.WARNING):
        check_whole(file)
    assert "types not known here (77)" in caplog.text


def test_an_unknown_type_must_begin_inside_the_file(tmp_path: Path) -> None:
    file = tmp_path / "a.gguf"
    file.write_bytes(described(77, offset=1 << 30))
    with pytest.raises(WeightsError, match="is cut off"):
        check_whole(file)


def test_a_file_without_tensors_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="holds no tensors"):
        check_whole(write_head(tmp_path / "a.gguf", size=0))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (described(2, shape=(33,)), "33 wide, no multiple of 32"),
        (described(0, shape=(1, 1, 1, 1, 1)), "5 dimensions"),
        (described(0)[:40], "ends too early"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 0), "ends too early"),
        (b"GGUF" + struct.pack("<IQQQ17sII", 3, 1, 1, 17, b"general.alignment", 4, 0), "an alignment of 0"),
    ],
)
def test_nonsense_about_tensors_is_refused_in_one_line(tmp_path: Path, content: bytes, why: str) -> None:
    file = tmp_path / "a.gguf"
    file.write_bytes(content)
    with pytest.raises(WeightsError, match=why) as caught:
        check_whole(file)
    assert "\n" not in str(caught.value)


def test_the_weights_of_the_catalogue_are_whole(weights_home: Path) -> None:
    check_whole(find("smollm2-135m", "model").path)
