"""litellm, imported late and kept quiet, and the places that limit how many calls a model gets at once."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import threading
import warnings
from typing import Any

from agentevo.models.pricing import without_search

_loading = threading.Lock()
_loaded: Any = None


async def litellm_when_needed() -> Any:
    """Return litellm; its import takes seconds, so the first one happens in a thread."""
    return _loaded or await asyncio.to_thread(load_litellm)


def load_litellm() -> Any:
    """Import litellm with its start-up download, telemetry and banners off, and its logger quiet."""
    global _loaded
    with _loading:
        if _loaded is None:
            os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
            import litellm

            with warnings.catch_warnings():
                # Its records are built at their first use, with warnings that are none of the caller's business.
                warnings.simplefilter("ignore")
                litellm.ModelResponse()
                litellm.ModelResponseStream(choices=[litellm.types.utils.StreamingChoices()])
            litellm.telemetry = False
            litellm.suppress_debug_info = True
            for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
                logger = logging.getLogger(name)
                if logger.level == logging.NOTSET and not os.environ.get("LITELLM_LOG"):
                    logger.setLevel(logging.CRITICAL)  # what goes wrong is raised; it need not be printed too
            # A call that is cancelled while litellm still prepares it leaves a coroutine that never began.
            warnings.filterwarnings("ignore", r"coroutine '\w+\.acompletion' was never awaited", RuntimeWarning)
            _set_aside()
            _loaded = litellm
    return _loaded


def _set_aside() -> None:
    """Have the collector of cycles pass over all that is here by now.

    litellm brings hundreds of thousands of objects that stay until the process ends, and each full collection would go
    through them: that stops an event loop for a third of a second, again every few hundred calls.
    """
    gc.collect()  # what is garbage already must not stay for good
    gc.freeze()


async def acompletion(**arguments: Any) -> Any:
    """Call litellm, without its logging where nobody listens, and without its search for a price that it has not.

    Its logging goes through one queue a process, which breaks when several event loops use it in turn or at once, and
    costs more than all of our own work. Callbacks that the user registered with litellm are served as ever.
    """
    litellm = await litellm_when_needed()
    if any(getattr(litellm, name, None) for name in _CALLBACKS):
        return await litellm.acompletion(**arguments)
    try:
        from litellm._internal_context import is_internal_call
    except ImportError:  # private: another version may not have it
        return await litellm.acompletion(**arguments)
    token = is_internal_call.set(True)
    try:
        return await litellm.acompletion(**without_search(arguments))
    finally:
        is_internal_call.reset(token)


_CALLBACKS = ("callbacks", "input_callback", "success_callback", "failure_callback", "_async_success_callback",
              "_async_failure_callback", "_async_input_callback")  # fmt: skip

_Key = tuple[str, str | None, int]
_by_loop: dict[asyncio.AbstractEventLoop, dict[_Key, asyncio.Semaphore]] = {}
_sorting = threading.Lock()


def places(name: str, api_base: str | None, limit: int) -> asyncio.Semaphore:
    """Return the semaphore that all instances of a model share in the running event loop."""
    loop = asyncio.get_running_loop()
    mine = _by_loop.get(loop)
    if mine is None:
        with _sorting:
            for closed in [other for other in _by_loop if other.is_closed()]:
                del _by_loop[closed]
            mine = _by_loop[loop] = {}
    return mine.get((name, api_base, limit)) or mine.setdefault((name, api_base, limit), asyncio.Semaphore(limit))
