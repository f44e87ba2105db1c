from __future__ import annotations

import subprocess
import sys

import pytest
from openai_server import OpenAIServer, says

from agentevo.errors import BadReply, ContextTooLong, Misuse, ModelUnavailable, RequestRejected, UnknownName
from agentevo.models.failures import chained, shortened, translate, unknown_provider
from agentevo.models.retry import Transient
from agentevo.models.runtime import load_litellm


def raised_from(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def test_our_own_error_inside_a_provider_comes_out_as_it_is() -> None:
    ours = UnknownName("adapter", "x", ["y"])
    wrapped = raised_from(RuntimeError("wrapped"), raised_from(ValueError(), ours))
    assert translate(wrapped, "local/m") is ours
    assert chained(ours, wrapped, None).__cause__ is None


def test_a_package_the_provider_needs_is_named() -> None:
    error = translate(ModuleNotFoundError("No module named 'boto3'"), "bedrock/m")
    assert isinstance(error, Misuse)
    assert "'bedrock/m' needs a package that is not installed: No module named 'boto3'" in str(error)


def test_an_unforeseen_error_is_a_rejected_request_that_names_it() -> None:
    error = translate(TypeError("bad argument"), "openai/m")
    assert isinstance(error, RequestRejected)
    assert "TypeError: bad argument" in str(error)


@pytest.mark.parametrize(("below", "kind"), [(ConnectionRefusedError(), ModelUnavailable), (KeyError("id"), BadReply)])
def test_what_lies_below_litellms_own_class_tells_what_happened(below: Exception, kind: type[Exception]) -> None:
    litellm = load_litellm()
    wrapped = litellm.APIConnectionError("it failed", llm_provider="x", model="m")
    error = translate(raised_from(wrapped, below), "x/m")
    assert isinstance(error, Transient)
    assert type(error.error) is kind


def test_litellms_connection_error_alone_is_believed() -> None:
    error = translate(load_litellm().APIConnectionError("it failed", llm_provider="x", model="m"), "x/m")
    assert isinstance(error, Transient)
    assert type(error.error) is ModelUnavailable


def test_a_context_that_is_too_long_is_a_rejected_request() -> None:
    error = translate(load_litellm().ContextWindowExceededError("too long", model="m", llm_provider="x"), "x/m")
    assert isinstance(error, ContextTooLong)


def test_an_offline_model_without_its_prefix_is_recognised() -> None:
    load_litellm()
    assert "known: local/smollm2-135m, " in str(unknown_provider("smollm2-135m"))
    assert "unknown model 'gpt-nix'" in str(unknown_provider("gpt-nix"))
    assert "MiniLM" not in str(unknown_provider("gpt-nix"))  # an embedder answers nobody


def test_messages_are_one_short_line_without_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "from-environment")
    told = ValueError("litellm.BadRequestError: OpenAIException - key k-1 or from-environment\n is   wrong")
    assert shortened(told, "k-1") == "key *** or *** is wrong"
    assert shortened(ValueError("x\nTraceback (most recent call last): ...")) == "x"
    assert len(shortened(ValueError("x" * 1000))) == 300


LISTENING = """
import asyncio, sys, litellm
from litellm.integrations.custom_logger import CustomLogger
from agentevo.models import LiteLLMModel

async def main():
    heard = asyncio.Event()

    class Listener(CustomLogger):
        async def async_log_success_event(self, kwargs, response_obj, start_time, end_time):
            print(response_obj.choices[0].message.content, flush=True)
            heard.set()

    litellm.callbacks = [Listener()]
    await LiteLLMModel("openai/test", api_base=sys.argv[1], api_key="k").complete([{"role": "user", "content": "x"}])
    await asyncio.wait_for(heard.wait(), 60)

asyncio.run(main())
"""


def test_callbacks_that_the_user_registered_with_litellm_are_served() -> None:
    """In a process of its own: litellm keeps such callbacks in lists that no later call should find."""
    with OpenAIServer(says("what was said")) as server:
        program = [sys.executable, "-c", LISTENING, server.url]
        done = subprocess.run(program, capture_output=True, text=True, timeout=200)
    assert done.stdout == "what was said\n", done.stderr
