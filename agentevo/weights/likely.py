"""How likely an adapter finds given texts, by torch: the offline runtime tells that of its own texts alone."""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import TYPE_CHECKING

from agentevo.types import ChatMessage, Message

if TYPE_CHECKING:
    from peft import PeftModel

    from agentevo.weights.chat import Chat


@functools.lru_cache(1)
def likely(base: str, adapter: Path) -> Likely:
    """Return the scorer of a base, `local/NAME` or a folder, with an adapter; the one asked for last stays loaded."""
    return Likely(base, adapter)


class Likely:
    """A `Scorer`: a base with an adapter, loaded when it is first asked."""

    def __init__(self, base: str, adapter: Path) -> None:
        self._base, self._adapter = base, adapter

    async def logprob(self, prompt: Sequence[ChatMessage], text: str) -> float:
        """Return the log-probability of a text, with the mark that ends its turn, after a prompt.

        Raise MissingExtra where what adapters are trained with is not installed.
        """
        asked: list[Message] = [
            {"role": str(message["role"]), "content": str(message["content"])} for message in prompt
        ]
        weighing = functools.partial(copy_context().run, self._logprob, asked, text)
        return await asyncio.get_running_loop().run_in_executor(_thread(os.getpid()), weighing)

    def _logprob(self, prompt: list[Message], text: str) -> float:
        chat, model = self._loaded
        import torch  # after `base`, which says how torch is to wait

        tokens = chat.encode([*prompt, {"role": "assistant", "content": text}], given=len(prompt))
        ids = torch.tensor([tokens.ids])
        with torch.no_grad():
            found = model(input_ids=ids).logits[0, :-1].float().log_softmax(-1)
        each = found.gather(1, ids[0, 1:, None])[:, 0]
        return float(each[torch.tensor(tokens.said[1:])].sum())

    @functools.cached_property
    def _loaded(self) -> tuple[Chat, PeftModel]:
        from agentevo.weights.chat import Chat
        from agentevo.weights.gguf import base_of
        from agentevo.weights.load import adapted, quiet

        on = base_of(self._adapter, self._base)
        with quiet():
            model = adapted(on.model(), self._adapter).eval()
        return Chat(on.tokenizer(), on.name, written_calls=on.gguf is not None), model


@functools.lru_cache(1)
def _thread(pid: int) -> ThreadPoolExecutor:
    """Return the one thread in which all texts are weighed, each by every core: a loop's own are left to others.

    A forked child gets one of its own, as threads stay with the parent.
    """
    return ThreadPoolExecutor(1, "agentevo-likely")
