from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from agentevo.errors import Misuse, RequestsForbidden
from agentevo.models import LiteLLMModel, Request, ScriptedModel, allow_requests, forbid_requests
from agentevo.models.requests import check_allowed, described, key_of
from agentevo.types import Message

ASK: list[Message] = [{"role": "user", "content": "hello"}]


@pytest.fixture(autouse=True)
def settings_as_found() -> Iterator[None]:
    with allow_requests():
        yield


def is_allowed() -> bool:
    try:
        check_allowed("openai/test")
    except RequestsForbidden:
        return False
    return True


def test_a_forbidden_request_is_refused_before_anything_is_sent() -> None:
    with forbid_requests(), pytest.raises(RequestsForbidden, match="'openai/test'"):
        asyncio.run(LiteLLMModel("openai/test").complete(ASK))


def test_fakes_answer_where_requests_are_forbidden() -> None:
    with forbid_requests():
        assert asyncio.run(ScriptedModel(["yes"]).complete(ASK)).text == "yes"


def test_blocks_nest_and_end() -> None:
    seen = [is_allowed()]
    with forbid_requests():
        seen.append(is_allowed())
        with allow_requests():
            seen.append(is_allowed())
        seen.append(is_allowed())
    seen.append(is_allowed())
    assert seen == [True, False, True, False, True]


def test_a_plain_call_holds_from_then_on_and_in_threads() -> None:
    switch = forbid_requests()
    try:
        seen: list[bool] = []
        thread = threading.Thread(target=lambda: seen.append(is_allowed()))
        thread.start()
        thread.join()
        assert seen == [is_allowed()] == [False]
    finally:
        with switch:
            pass
    assert is_allowed()


def test_blocks_that_overlap_take_back_only_their_own_setting() -> None:
    first, second = forbid_requests(), allow_requests()
    with second:
        with first:
            pass
        assert is_allowed()
    with forbid_requests():
        assert not is_allowed()
    assert is_allowed()


@pytest.mark.parametrize(("value", "forbidden"), [("1", True), ("true", True), ("0", False), ("", False)])
def test_the_environment_decides_where_no_call_did(
    monkeypatch: pytest.MonkeyPatch, value: str, forbidden: bool
) -> None:
    monkeypatch.setenv("AGENTEVO_FORBID_REQUESTS", value)
    code = "from agentevo.models.requests import check_allowed; check_allowed('m')"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ("RequestsForbidden" in ended.stderr) == forbidden


def key(**options: object) -> str:
    return key_of(described(ScriptedModel([]), Request(tuple(ASK), **options)))  # type: ignore[arg-type]


def test_the_key_depends_on_what_decides_the_reply_and_on_nothing_else() -> None:
    keys = [key(), key(seed=1), key(n=2), key(temperature=0.0), key(max_tokens=3), key(stop=["x"]), key(logprobs=0)]
    assert len(set(keys)) == len(keys)
    assert key(on_text=print) == key() == key(n=1, stop=(), tool_choice="required")
    assert key(stop="x") == key(stop=["x"])


def test_models_of_one_name_with_other_endpoints_have_other_keys() -> None:
    models = [
        LiteLLMModel("openai/x"),
        LiteLLMModel("openai/x", api_base="http://127.0.0.1:1"),
        LiteLLMModel("openai/x", extra={"top_p": 0.1}),
        LiteLLMModel("openai/y"),
    ]
    assert len({key_of(described(model, Request(tuple(ASK)))) for model in models}) == 4


def test_a_request_that_is_no_json_cannot_be_known_by_a_key() -> None:
    with pytest.raises(Misuse, match="plain JSON"):
        key_of(described(None, Request(({"role": "user", "content": {1, 2}},))))  # type: ignore[dict-item]
