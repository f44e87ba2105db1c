"""How likely an adapter finds a text: as torch says token by token, and what v_star picks by it."""

from __future__ import annotations

import asyncio
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cycles import Sums
from small_training import ANSWERS

from agentevo.errors import MissingExtra, WeightsError
from agentevo.memory import Memory
from agentevo.models import as_model
from agentevo.protocols import State
from agentevo.recipes import load
from agentevo.recipes.solutions.v_star import Likelihood
from agentevo.types import Attempt, Experience, Json, Task
from agentevo.weights.likely import Likely, likely
from agentevo.weights.load import base, quiet
from agentevo.weights.train import Trained

ASKED = [{"role": "user", "content": "say 1"}]


def test_a_text_is_as_likely_as_its_tokens_and_the_end_of_the_turn_are(whole: Trained, small: str) -> None:
    import torch
    from peft import PeftModel

    on = base(small)
    tokenizer = on.tokenizer()
    before = tokenizer.apply_chat_template(ASKED, tokenize=False, add_generation_prompt=True)
    given = tokenizer(before, add_special_tokens=False).input_ids
    ids = tokenizer(f"{before}PAY 12<|im_end|>", add_special_tokens=False).input_ids
    with quiet(), torch.no_grad():
        model = PeftModel.from_pretrained(on.model(), str(whole.path)).eval()
        told = model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
    expected = sum(float(told[n - 1, ids[n]]) for n in range(len(given), len(ids)))
    found = asyncio.run(Likely(small, whole.path).logprob(ASKED, "PAY 12"))
    assert found == pytest.approx(expected, abs=1e-4)


def test_v_star_picks_what_an_offline_verifier_finds_likeliest(whole: Trained, small: str) -> None:
    task = Task(id="t", prompt="say 1")
    said = ("Zebras, perhaps?", ANSWERS[1], "Quite so.")
    tried = Experience(task=task, attempts=tuple(Attempt(id=a, task=task, answer=a) for a in said))
    about: dict[str, Json] = {"name": "judge", "base": small, "role": "verifier", "path": str(whole.path)}
    with Memory.open(":memory:", embedder="hash") as store:
        store.insert("Adapter judge", kind="adapter", metadata=about)
        judged = asyncio.run(Likelihood()(State(as_model(small), store, Sums(), load("v_star")), tried))
    scores = {attempt.answer: attempt.score for attempt in judged.attempts}
    assert max(scores, key=lambda answer: scores[answer] or 0.0) == ANSWERS[1]
    assert sorted(score for score in scores.values() if score is not None) == [0.0, 0.5, 1.0]


def test_a_verifier_waits_in_a_thread_of_its_own_and_leaves_those_of_the_loop_to_others(
    whole: Trained, small: str
) -> None:
    """All threads of the loop are busy, and remain so until the verifier has answered."""

    async def asked() -> list[float]:
        busy, loop = threading.Event(), asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        other = asyncio.create_task(asyncio.to_thread(busy.wait))
        judge = Likely(small, whole.path)
        try:
            async with asyncio.timeout(15):
                return await asyncio.gather(*(judge.logprob(ASKED, text) for text in ("PAY 12", "no", "PAY 12")))
        finally:
            busy.set()
            await other

    one, other, again = asyncio.run(asked())
    assert one == again != other


def test_what_is_no_adapter_is_told(small: str, tmp_path: Path) -> None:
    assert likely(small, tmp_path) is likely(small, tmp_path)
    with pytest.raises(WeightsError, match="no adapter of `agentevo train`"):
        asyncio.run(likely(small, tmp_path).logprob(ASKED, "PAY 12"))


def test_where_nothing_can_be_trained_it_says_what_to_install(
    whole: Trained, small: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingExtra, match=r"pip install 'agentevo\[train\]'"):
        asyncio.run(Likely(small, whole.path).logprob(ASKED, "PAY 12"))
