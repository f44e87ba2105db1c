"""`agentevo demo`: what works here, in one reply."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from agentevo.cli.output import show, streamed, tell

if TYPE_CHECKING:
    from agentevo.types import Message

MODEL = "local/smollm2-135m"
PROMPT = "What is the capital of France? Answer in one sentence."


def demo() -> None:
    """Let the offline model answer one question."""
    from agentevo.cli.run import ask
    from agentevo.models import Budget, as_model

    show(f"model   {MODEL} (135 million parameters, in this process)")
    show(f"prompt  {PROMPT}")
    tell("loading the model ...")
    since = time.monotonic()
    question: Message = {"role": "user", "content": PROMPT}
    with streamed() as on_text:
        reply = ask(as_model(MODEL), [question], Budget(), temperature=0.0, max_tokens=60, on_text=on_text)
    show(f"\n{reply.usage.completion_tokens} tokens in {time.monotonic() - since:.1f} s, loading included.")
    show("Nothing left this machine: the model ran in this process, without a key and without a network.")
    show("\nNext:")
    for command, why in NEXT:
        show(f"  {command:<46} {why}")


NEXT = (
    ('agentevo run "What is the capital of Japan?"', "ask it something else"),
    ('agentevo run -m openai/gpt-5-mini "Hello"', "ask another model: any litellm name, with its key set"),
    ("agentevo models list", "what is installed, and what can be"),
    ("agentevo doctor", "what works on this machine, and what to do about the rest"),
)
