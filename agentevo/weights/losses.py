"""The loss of a step: what is computed for the tokens that carry it, and how far an adapter has moved from its base."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agentevo.weights.dataset import IGNORED

if TYPE_CHECKING:
    from peft import PeftModel
    from torch import Tensor

_RESHAPED = (
    "final_logit_softcapping", "logit_scale", "output_multiplier", "lm_head_multiplier", "logits_scaling",
    "output_router_logits",
)  # fmt: skip
"""Settings of models that do more with what their head says, or take more into the loss, than is done here."""


def is_plain(model: PeftModel) -> bool:
    """Say whether the loss of a model is that of its head's words alone."""
    config = model.config.get_text_config()
    return not any(getattr(config, name, None) for name in _RESHAPED)


def of_labels(model: PeftModel, inputs: Mapping[str, Tensor], items: Tensor | int | None) -> Tensor:
    """Return the loss of a batch; the head reads the tokens that carry loss alone.

    trl has it read all of them where there is no GPU, which takes two fifths of a step where answers are short.
    """
    from torch.nn.functional import cross_entropy

    asked = {name: value for name, value in inputs.items() if name != "labels"}
    whole = model.get_base_model()
    hidden = whole.base_model(**asked, use_cache=False).last_hidden_state[:, :-1]
    labels = inputs["labels"][:, 1:]
    carries = labels != IGNORED
    said = whole.get_output_embeddings()(hidden[carries]).float()
    return cross_entropy(said, labels[carries], reduction="sum") / max(
        1, int(carries.sum() if items is None else items)
    )


def tokens_of(inputs: Mapping[str, Tensor]) -> int:
    """Return how many tokens a batch has, without those that fill it up."""
    read = inputs.get("attention_mask")
    return int(inputs["input_ids"].numel() if read is None else read.sum())


def divergence(model: PeftModel, inputs: Mapping[str, Tensor]) -> Tensor:
    """Return the mean divergence of the base's predictions from the adapted model's, over all tokens of a batch."""
    import torch
    from torch.nn.functional import kl_div, log_softmax

    asked: dict[str, Any] = {name: value for name, value in inputs.items() if name != "labels"}
    asked["use_cache"] = False  # where there is one, rows that are packed together see each other
    with torch.no_grad(), model.disable_adapter():
        reference = log_softmax(model(**asked).logits.float(), -1)
    apart = kl_div(log_softmax(model(**asked).logits.float(), -1), reference, reduction="none", log_target=True).sum(-1)
    read = asked.get("attention_mask")
    return apart.mean() if read is None else (apart * read).sum() / read.sum()
