"""What a call costs, without litellm's search where its price list has nothing: that takes a tenth of a call's CPU."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

_OF_PRICES = ("base_model", "model_info", "metadata", "litellm_metadata")
"""Arguments that may say, beside those with "cost" in their name, what a call costs."""


def without_search(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call with litellm's record of it, which looks for no price where there is none.

    What the server says that the call cost counts as ever; so do prices by the model that the server says answered.
    """
    if any(name in arguments for name in _OF_PRICES) or any("cost" in name for name in arguments):
        return arguments
    try:
        from litellm.cost_calculator import get_response_cost_from_hidden_params as told
        from litellm.utils import Rules, function_setup
    except ImportError:  # another version may have them elsewhere
        return arguments
    named = {**arguments, "litellm_call_id": str(uuid.uuid4())}
    call, ready = function_setup("acompletion", Rules(), datetime.now(), **named)  # noqa: DTZ005 - as litellm does it
    usual = call.response_cost_calculator

    def cost(result: Any, **given: Any) -> Any:
        if any(_has_price(name) for name in _names(arguments, result)):
            return usual(result=result, **given)
        return told(getattr(result, "_hidden_params", None) or {})

    call.response_cost_calculator = cost
    return {**ready, "litellm_logging_obj": call}


def _names(arguments: Mapping[str, Any], result: Any) -> set[str]:
    """Return the names that a price may stand under: of the model that was asked, and of the one that answered."""
    asked, answered = str(arguments["model"]), str(getattr(result, "model", None) or "")
    provider = arguments.get("custom_llm_provider") or asked.partition("/")[0]
    return {asked, f"{provider}/{asked}", answered, f"{provider}/{answered}"}


def _has_price(name: str) -> bool:
    import litellm

    return _found(name, len(litellm.model_cost))


@functools.lru_cache(maxsize=4096)
def _found(name: str, known: int) -> bool:
    """Say whether litellm knows a price; asked again once it knows more models than `known`."""
    import litellm

    try:
        litellm.cost_per_token(name, prompt_tokens=1, completion_tokens=1)
    except Exception:  # noqa: BLE001 - its errors for a name without a price are of many kinds
        return False
    return True
