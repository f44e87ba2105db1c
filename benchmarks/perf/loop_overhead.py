"""CPU a step of our loop costs, beside smolagents and pydantic-ai doing the same, each in its own environment.

    python benchmarks/perf/loop_overhead.py [--steps 50] [--episodes 20] [--rounds 5] [--environments DIR] [--json]

An episode is a model from a script that calls one trivial tool in each step and then answers: what is measured is
everything but model and tool. The scripted model is each framework's own kind. "kept" is ours with each message
written to a file as it comes. Each runs in turn, in a process of its own, `--rounds` times; a figure is the median over
the rounds of the median over the episodes, and in brackets stand the least and the most of the rounds.

Exits with 1 if a step of ours takes over the bar of 2 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

BAR_MS = 2.0
PEERS: dict[str, list[str]] = {
    "agentevo": [],
    "kept": [],
    "smolagents": ["smolagents==1.26.0"],
    "pydantic-ai": ["pydantic-ai-slim==2.68.0"],
}
ASKED = "Look at each desk, then say done."
SEEN = "There is nothing on this desk but a lamp and a note."


async def measured(episode: Callable[[], Awaitable[str]], steps: int, episodes: int) -> float:
    """Run episodes, two to warm up, and return the median CPU milliseconds a step."""
    spent = []
    for n in range(episodes + 2):
        begin = time.process_time()
        answer = await episode()
        if n >= 2:
            spent.append((time.process_time() - begin) * 1e3 / steps)
        if answer != "done":
            raise SystemExit(f"the episode ended with {answer!r}")
    return statistics.median(spent)


def agentevo(steps: int, episodes: int) -> float:
    from agentevo.memory import Memory

    with Memory.open(":memory:", embedder="hash") as memory:
        return asyncio.run(measured(_our_episode(memory, steps), steps, episodes))


def kept(steps: int, episodes: int) -> float:
    from agentevo.events import Event, listening
    from agentevo.memory import Memory

    with (
        Memory.open(":memory:", embedder="hash") as memory,
        tempfile.TemporaryFile(buffering=0) as file,
    ):
        episode = _our_episode(memory, steps)

        def keep(event: Event) -> None:
            file.write(event.model_dump_json().encode() + b"\n")

        async def listened() -> str:
            with listening(keep, pieces=False):
                return await episode()

        return asyncio.run(measured(listened, steps, episodes))


def _our_episode(memory: Any, steps: int) -> Callable[[], Awaitable[str]]:
    from agentevo.environments.anything import Answering, Anything
    from agentevo.models import FunctionModel
    from agentevo.phases.loop import Loop
    from agentevo.protocols import Recipe, State
    from agentevo.types import Outcome, Task, Tool, ToolCall

    desk: dict[str, Any] = {"type": "object", "properties": {"desk": {"type": "integer"}}, "required": ["desk"]}

    class Desks(Answering):
        async def step(self, action: Any) -> Outcome:
            return Outcome(observation=SEEN)

    class Office(Anything):
        async def open(self, task: Task, seed: int = 0, feedback: Any = "weak") -> Answering:
            return Desks(task.prompt, [Tool(name="look", description="Look at a desk.", parameters=desk)])

    def script(messages: list[Any]) -> str | ToolCall:
        n = len(messages) // 2
        return ToolCall(id=str(n), name="look", arguments={"desk": n}) if n < steps else "done"

    loop = Loop(steps + 1)
    state = State(model=FunctionModel(script), memory=memory, environment=Office(), recipe=Recipe(act=loop))

    async def episode() -> str:
        (attempt,) = await loop(state, Task(id="t", prompt=ASKED))
        return attempt.answer

    return episode


def smolagents(steps: int, episodes: int) -> float:
    from smolagents import (  # type: ignore[import-not-found] # lives in its own environment
        LogLevel,
        Model,
        ToolCallingAgent,
        tool,
    )
    from smolagents.models import (  # type: ignore[import-not-found] # the same
        ChatMessage,
        ChatMessageToolCall,
        ChatMessageToolCallFunction,
        MessageRole,
    )

    class Script(Model):  # type: ignore[misc] # of a package that is not here
        n = 0

        def generate(self, messages: Any, **_: Any) -> Any:
            self.n += 1
            name, arguments = ("look", {"desk": self.n}) if self.n <= steps else ("final_answer", {"answer": "done"})
            function = ChatMessageToolCallFunction(name=name, arguments=arguments)
            called = ChatMessageToolCall(function=function, id=str(self.n), type="function")
            return ChatMessage(role=MessageRole.ASSISTANT, content="", tool_calls=[called])

    def look(desk: int) -> str:
        """Look at a desk.

        Args:
            desk: which desk.
        """
        return SEEN

    async def episode() -> str:
        agent = ToolCallingAgent([tool(look)], Script(), verbosity_level=LogLevel.OFF, max_steps=steps + 2)
        return str(agent.run(ASKED))

    return asyncio.run(measured(episode, steps, episodes))


def pydantic_ai(steps: int, episodes: int) -> float:
    from pydantic_ai import Agent  # type: ignore[import-not-found] # lives in its own environment
    from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart  # type: ignore[import-not-found] # the same
    from pydantic_ai.models.function import FunctionModel  # type: ignore[import-not-found] # the same
    from pydantic_ai.usage import UsageLimits  # type: ignore[import-not-found] # the same

    def script(messages: list[Any], info: Any) -> Any:
        n = len(messages) // 2
        return ModelResponse(parts=[ToolCallPart("look", {"desk": n}) if n < steps else TextPart("done")])

    agent: Any = Agent(FunctionModel(script))

    def look(desk: int) -> str:
        """Look at a desk."""
        return SEEN

    agent.tool_plain(look)

    async def episode() -> str:
        return str((await agent.run(ASKED, usage_limits=UsageLimits(request_limit=None))).output)

    return asyncio.run(measured(episode, steps, episodes))


WORK: dict[str, Callable[[int, int], float]] = {
    "agentevo": agentevo, "kept": kept, "smolagents": smolagents, "pydantic-ai": pydantic_ai,
}  # fmt: skip


def python_of(peer: str, folder: Path) -> str:
    """Return the interpreter of a peer's own environment, made at the first use."""
    if not PEERS[peer]:
        return sys.executable
    home = folder / peer
    python = home / "bin" / "python"
    if not (home / ".ready").exists():
        print(f"setting up {peer}", file=sys.stderr)
        venv.create(home, with_pip=True, clear=True)
        subprocess.run([str(python), "-m", "pip", "install", "-qq", *PEERS[peer]], check=True)
        (home / ".ready").touch()
    return str(python)


def run(peer: str, steps: int, episodes: int, folder: Path) -> float:
    counts = ["--steps", str(steps), "--episodes", str(episodes)]
    command = [python_of(peer, folder), __file__, "--as", peer, *counts]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{peer} failed:\n{done.stderr[-2000:]}")
    return float(done.stdout.splitlines()[-1])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--environments", type=Path, default=Path(tempfile.gettempdir()) / "agentevo-peers")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--as", dest="peer", choices=WORK, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peer:
        print(WORK[args.peer](args.steps, args.episodes))
        return 0
    rounds = [{p: run(p, args.steps, args.episodes, args.environments) for p in PEERS} for _ in range(args.rounds)]
    figures = {peer: [r[peer] for r in rounds] for peer in PEERS}
    median = {peer: statistics.median(each) for peer, each in figures.items()}
    if args.json:
        print(json.dumps({"ms_a_step": figures, "median": median, "bar_ms": BAR_MS}))
    else:
        print(f"CPU a step, episodes of {args.steps} steps, {args.rounds} rounds; bar {BAR_MS:g} ms")
        for peer, each in figures.items():
            ratio = median[peer] / median["agentevo"]
            print(f"{peer:12} {median[peer]:7.3f} ms ({min(each):.3f} to {max(each):.3f})  {ratio:5.1f}x agentevo's")
    return 0 if median["agentevo"] < BAR_MS else 1


if __name__ == "__main__":
    sys.exit(main())
