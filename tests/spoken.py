"""What a model makes of a prompt, by the offline runtime and by torch: log-probabilities show what text hides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from agentevo.models import offline
from agentevo.models.engine import Body

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

TOKENS = 6


def runtime_logprobs(model: str, text: str) -> list[float]:
    """Return the log-probability of each token that NAME or NAME+ADAPTER says, greedily, until it ends its turn."""
    body: Body = {
        "messages": [{"role": "user", "content": text}],
        "max_tokens": TOKENS,
        "temperature": 0,
        "logprobs": True,
    }
    found = []
    for piece in offline.pieces_now(model, body):
        for token in piece.logprobs:
            assert isinstance(token, dict)
            assert isinstance(token["logprob"], float)
            found.append(token["logprob"])
    return found


def torch_logprobs(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, text: str) -> list[float]:
    """Return the same by torch, past the end of the turn too."""
    chat = tokenizer.apply_chat_template(
        [{"role": "user", "content": text}], tokenize=False, add_generation_prompt=True
    )
    ids, found = tokenizer(chat, return_tensors="pt", add_special_tokens=False).input_ids, list[float]()
    with torch.no_grad():
        for _ in range(TOKENS):
            likely = model(input_ids=ids).logits[0, -1].log_softmax(-1).max(0)
            found.append(float(likely.values))
            ids = torch.cat([ids, likely.indices.reshape(1, 1)], 1)
    return found
