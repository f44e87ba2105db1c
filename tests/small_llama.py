"""A model of the Llama family that is small enough to be trained in a test: random weights, a tokenizer of bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter

from agentevo.models.installed import Card, sha256_of, write_card

WIDTH, HIDDEN, LAYERS, HEADS, KEY_HEADS, CONTEXT = 64, 96, 2, 4, 2, 512
CHATML = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nBe brief.<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
_MERGES = ["Ġ t", "h e", "Ġt he", "1 2", "a n", "Ġ a", "i n", "o r", "e r", "Ċ Ċ"]


def install_llama(
    home: Path, name: str = "small", seed: int = 0, template: str = CHATML, splits: str = "smollm"
) -> Path:
    """Put the model into a home as `local/NAME`; return its folder."""
    folder = home / "models" / name
    folder.mkdir(parents=True)
    file = write_llama(folder / "model.gguf", seed, template, splits)
    card = Card(name=name, kind="model", size_bytes=file.stat().st_size, sha256=sha256_of(file), origin="a test")
    write_card(folder, card)
    return folder


def write_llama(path: Path, seed: int = 0, template: str = CHATML, splits: str = "smollm") -> Path:
    """Write the model as a GGUF file, which says by name how texts are split into tokens."""
    writer = GGUFWriter(str(path), "llama")
    _describe(writer, template, splits)
    dice = np.random.default_rng(seed)
    for name, shape in _shapes().items():
        is_norm = name.endswith("norm.weight")
        values = np.ones(shape) if is_norm else dice.normal(0.0, 0.08, shape)
        writer.add_tensor(name, values.astype(np.float32), raw_dtype=GGMLQuantizationType.F32)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _describe(writer: GGUFWriter, template: str, splits: str) -> None:
    words = _words()
    writer.add_type("model")
    writer.add_name("small")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(words))
    writer.add_file_type(0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(splits)
    writer.add_token_list(words)
    writer.add_token_types([3 if word in _CONTROL else 1 for word in words])
    writer.add_token_merges(_MERGES)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_chat_template(template)


def _shapes() -> dict[str, tuple[int, ...]]:
    keys = WIDTH // HEADS * KEY_HEADS
    layer = {
        "attn_norm": (WIDTH,),
        "attn_q": (WIDTH, WIDTH),
        "attn_k": (keys, WIDTH),
        "attn_v": (keys, WIDTH),
        "attn_output": (WIDTH, WIDTH),
        "ffn_norm": (WIDTH,),
        "ffn_gate": (HIDDEN, WIDTH),
        "ffn_up": (HIDDEN, WIDTH),
        "ffn_down": (WIDTH, HIDDEN),
    }
    blocks = {f"blk.{i}.{part}.weight": shape for i in range(LAYERS) for part, shape in layer.items()}
    return {"token_embd.weight": (len(_words()), WIDTH), **blocks, "output_norm.weight": (WIDTH,)}


def _words() -> list[str]:
    """Return a token for each byte, as GPT-2 writes bytes, one for each merge, and the control tokens."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [chr(256 + i) for i in range(256 - len(printable))]
    return [*_CONTROL, *map(chr, printable), *others, *(merge.replace(" ", "") for merge in _MERGES)]
