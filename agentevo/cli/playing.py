"""`agentevo env play`: a person acts in an episode, from the keyboard or from a pipe, and is scored like an agent."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from agentevo.cli.memory.shown import one_line, visible
from agentevo.cli.output import show, show_json, tell
from agentevo.cli.typed import MANY, PROMPT, as_action, signature, typed_lines
from agentevo.errors import Misuse, UnknownName

if TYPE_CHECKING:
    from agentevo.protocols import Environment, Episode
    from agentevo.types import Feedback, Json, Message, Outcome, Task, Tool

MOST_TOOLS = 30
"""So many tools are shown at first."""
HELP = f""":tools lists the tools, :actions what can be done now, :quit ends.
{MANY} begins a text of many lines, and ends it.
A tool is called by its name and its arguments: in order, as name=value, or as a JSON object. All else is said."""


def play(
    suite: Annotated[str, typer.Argument(help="Its name, options and split, such as world or shop:level=2/train.")],
    task: Annotated[str | None, typer.Option(help="The id of a task; without it the seed says which.")] = None,
    split: Annotated[str | None, typer.Option(help="The split; by default that of the name, or else test.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="The dice of the episode, and which task: 0 is the first.")] = 0,
    feedback: Annotated[str, typer.Option(help="How much you are told: none, weak or strong.")] = "weak",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what was said and scored as JSON, at the end.")
    ] = False,
) -> None:
    """Play an episode yourself; commands and calls of tools are read from the terminal, or from a pipe."""
    from agentevo.environments.load import load
    from agentevo.protocols import FeedbackLevel

    levels: Sequence[FeedbackLevel] = get_args(FeedbackLevel)
    level = next((known for known in levels if known == feedback), None)
    if level is None:
        raise UnknownName("feedback level", feedback, levels)
    environment, named = load(suite)
    chosen = environment.task(task) if task else _drawn(environment, split or named, seed)
    with asyncio.Runner() as runner:  # the loop stands still while a person thinks
        try:
            episode = runner.run(environment.open(chosen, seed, level))
            game = _Game(runner, episode, as_json=as_json)
            try:
                game.play(chosen)
            finally:
                runner.run(episode.close())
            told = runner.run(_scored(environment, chosen, game.messages))
        finally:
            runner.run(end(environment))
    if as_json:
        show_json(_transcript(suite, chosen, game, told))
    else:
        show(f"score {0.0 if told.score is None else told.score:g}{_remarks(told)}")


def _drawn(environment: Environment, split: str, seed: int) -> Task:
    tasks = environment.tasks(split)
    return tasks[seed % len(tasks)]


async def end(environment: Environment) -> None:
    """End what an environment keeps for its episodes, such as the workers of an engine."""
    aclose = getattr(environment, "aclose", None)
    if aclose is not None:
        await aclose()


async def _scored(environment: Environment, task: Task, messages: Sequence[Message]) -> Feedback:
    from agentevo.types import Attempt

    said = [message["content"] for message in messages if message["role"] == "assistant"]
    answer = next((text for text in reversed(said) if isinstance(text, str)), "")
    return await environment.verify(
        task, Attempt(id="played", task=task, messages=tuple(messages), answer=answer, prompt=1)
    )


def _remarks(told: Feedback) -> str:
    said = [one_line(part) for part in (told.verdict, told.text) if part]
    return f" ({'; '.join(said)})" if said else ""


def _transcript(suite: str, task: Task, game: _Game, told: Feedback) -> dict[str, Json]:
    return {
        "suite": suite, "task": task.model_dump(mode="json"), "messages": [*game.messages], "rewards": [*game.rewards],
        "ended": game.ended, "score": told.score, "feedback": told.model_dump(mode="json"),
    }  # fmt: skip


class _Game:
    """An episode that is being played."""

    def __init__(self, runner: asyncio.Runner, episode: Episode, *, as_json: bool) -> None:
        self._runner, self._episode = runner, episode
        self._out: Callable[[str], None] = tell if as_json else show
        self._prompt = "" if as_json else PROMPT  # a terminal writes it where the result is to stand
        self._actions: list[str] = [*getattr(episode, "actions", ())]
        self.messages: list[Message] = [{"role": "user", "content": episode.observation}]
        self.rewards: list[float] = []
        self.ended = "left"

    def play(self, task: Task) -> None:
        """Play until the episode ends, or nothing more is typed."""
        self._begin(task)
        for text in typed_lines(self._out, self._prompt):
            if text == ":quit":
                return
            if text.startswith(":"):
                self._out(self._about(text))
            elif self._step(as_action(text, self._episode.tools)):
                return

    def _begin(self, task: Task) -> None:
        seen = self._episode.observation
        self._say(f"{task.id}\n")
        self._say(seen if task.prompt.strip() in seen else f"{task.prompt}\n\n{seen}")
        tools = self._episode.tools
        if tools:
            more = f"\n  and {len(tools) - MOST_TOOLS} more: :tools" if len(tools) > MOST_TOOLS else ""
            self._say(f"\n{self._listed(tools[:MOST_TOOLS])}{more}")
        ends = " What is no call of a tool is said, and that mostly ends it." if tools else ""
        self._say(f"\n:help says how to play.{ends}{self._turn()}")

    def _step(self, action: Message) -> bool:
        """Act, show what came of it, and say whether the episode is over."""
        from agentevo.environments.walk import observed

        self.messages.append(action)
        try:
            outcome: Outcome = self._runner.run(self._episode.step(action))
        except Misuse:  # an episode that takes no steps listens to the answer alone
            return True
        self.messages += observed(action, outcome)
        self.rewards.append(outcome.reward)
        actions = outcome.info.get("actions")
        self._actions = [str(one) for one in actions] if isinstance(actions, list) else []
        is_over = outcome.terminated or outcome.truncated
        self.ended = "terminated" if outcome.terminated else "truncated" if outcome.truncated else "left"
        reward = f"\n(reward {outcome.reward:+g})" if outcome.reward else ""
        self._say(f"{outcome.observation}{reward}{'' if is_over else self._turn()}")
        return is_over

    def _turn(self) -> str:
        actor = getattr(self._episode, "actor", "")
        return f"\n({actor}'s turn)" if actor else ""

    def _about(self, command: str) -> str:
        if command == ":tools":
            return self._listed(self._episode.tools) or "There are no tools here."
        if command == ":actions":
            return "\n".join(map(visible, self._actions)) or "What can be done is not told here."
        return HELP

    def _listed(self, tools: Sequence[Tool]) -> str:
        return "\n".join(f"  {signature(tool)}  {one_line(tool.description)}".rstrip() for tool in tools)

    def _say(self, text: str) -> None:
        self._out(visible(text))
        sys.stdout.flush()
