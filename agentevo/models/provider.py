"""Offline models as a provider of litellm: after `register()`, litellm itself answers for `local/NAME`."""

from __future__ import annotations

import threading

from agentevo.errors import Misuse

PROVIDER = "local"
_registering = threading.Lock()


def register() -> None:
    """Put `local/NAME` and `local/NAME+ADAPTER` within reach of litellm's own functions; twice does no harm.

    Raise Misuse if another provider already goes by that name.
    """
    from agentevo.models.runtime import load_litellm

    litellm = load_litellm()
    from agentevo.models.local_llm import LocalLLM

    with _registering:
        ours = [entry["custom_handler"] for entry in litellm.custom_provider_map if entry["provider"] == PROVIDER]
        if any(not isinstance(handler, LocalLLM) for handler in ours):
            raise Misuse(f"litellm.custom_provider_map has another provider called {PROVIDER!r}; give it another name")
        if not ours:
            litellm.custom_provider_map.append({"provider": PROVIDER, "custom_handler": LocalLLM()})
        litellm.utils.custom_llm_setup()
