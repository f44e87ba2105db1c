"""The loss of a batch is that of the whole model, whatever the head is spared; models that do more are told apart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from small_training import ROWS, trained

from agentevo.weights.load import base, quiet
from agentevo.weights.losses import divergence, is_plain, of_labels, tokens_of


@pytest.fixture
def model(small: str) -> Any:
    from peft import LoraConfig, get_peft_model

    adapted = LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False, task_type="CAUSAL_LM")
    with quiet():
        return get_peft_model(base(small).model(), adapted)


def batch() -> dict[str, Any]:
    """Two rows, of which the second is shorter, and loss on the last tokens of each."""
    import torch

    ids = torch.arange(5, 17).reshape(2, 6)
    labels = ids.clone()
    labels[0, :4], labels[1, :2], labels[1, 4:] = -100, -100, -100
    attention_mask = torch.tensor([[1] * 6, [1] * 4 + [0] * 2])
    return {"input_ids": ids, "attention_mask": attention_mask, "labels": labels}


def gradients(model: Any, loss: Any) -> list[Any]:
    import torch

    return list(torch.autograd.grad(loss, [p for p in model.parameters() if p.requires_grad]))


@pytest.mark.parametrize("items", [None, 8])
def test_the_head_reads_fewer_tokens_and_loss_and_gradients_stay(model: Any, items: int | None) -> None:
    import torch

    inputs, read = batch(), list[int]()
    whole = model(**inputs).loss * (1 if items is None else 4 / items)
    head = model.get_output_embeddings()
    head.register_forward_hook(lambda module, given, said: read.append(said.shape[0]))
    loss = of_labels(model, inputs, items)
    assert read == [4]
    assert loss.item() == pytest.approx(whole.item(), abs=1e-5)
    for ours, theirs in zip(gradients(model, loss), gradients(model, whole), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-5)


def test_a_batch_without_loss_is_nothing_and_can_be_learned_from(model: Any) -> None:
    inputs = batch()
    inputs["labels"][:] = -100
    loss = of_labels(model, inputs, None)
    assert loss.item() == 0
    assert not any(bool(gradient.any()) for gradient in gradients(model, loss))


def test_a_model_that_does_more_with_its_words_is_left_to_trl(model: Any) -> None:
    assert is_plain(model)
    model.config.final_logit_softcapping = 30.0
    assert not is_plain(model)


def test_tokens_are_counted_without_those_that_fill_up(small: str, tmp_path: Path) -> None:
    inputs = batch()
    assert (tokens_of(inputs), tokens_of({"input_ids": inputs["input_ids"]})) == (10, 12)
    assert trained(tmp_path / "a", ROWS[:4], steps=2).outcome.tokens > 2 * 4 * 5


def test_what_trl_computes_itself_is_trained_and_counted_as_well(small: str, tmp_path: Path) -> None:
    """A model that divides what its head says learns at another loss, from as many tokens."""
    plain = trained(tmp_path / "plain", steps=2).outcome
    config = base(small).folder / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "logits_scaling": 4.0}))
    scaled = trained(tmp_path / "scaled", steps=2).outcome
    assert (scaled.tokens, scaled.steps) == (plain.tokens, plain.steps)
    assert scaled.losses[0] != plain.losses[0]


def test_the_divergence_of_rows_that_are_packed_together_is_that_of_each_alone(model: Any) -> None:
    import torch

    ids, places = torch.arange(5, 17)[None], torch.arange(6).repeat(2)[None]
    alone = [divergence(model, {"input_ids": row}).item() for row in ids.split(6, dim=1)]
    packed = divergence(model, {"input_ids": ids, "position_ids": places})
    assert packed.item() == pytest.approx(sum(alone) / 2, rel=1e-4)
