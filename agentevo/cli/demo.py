"""`agentevo demo`: an agent that gets better at a job in front of your eyes."""

from __future__ import annotations

import asyncio
import shlex
import shutil
import sys
import time
from contextlib import aclosing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentevo.cli.comparing import spark
from agentevo.cli.memory.whole import changes, uses
from agentevo.cli.output import printable, show, tell
from agentevo.cli.watching import watched

if TYPE_CHECKING:
    from rich.live import Live

    from agentevo.benchmarks.demo import Answered, Demo, Ended, Moment, Reflected
    from agentevo.cli.memory.whole import Use
    from agentevo.types import Item

MODEL = "local/smollm2-135m"
BLOCK = 8
SHOWN = 110
FORGOTTEN_SHOWN = 3
USES_SHOWN = 5
REFLECTING = "\nreflecting on what went wrong last; what the model writes stays only if held-out requests gain by it:"
NAMES = {"none": "without memory", "rule": "substitution rule", "memory": "with memory"}


def demo(
    seed: Annotated[int, typer.Option(help="Which requests, in which order; the same seed shows the same.")] = 0,
    convention: Annotated[int, typer.Option(min=0, help="Which house convention is to be learned.")] = 0,
    tasks: Annotated[int, typer.Option(min=BLOCK, help="How many requests are worked through.")] = 48,
    new: Annotated[int, typer.Option(min=2, help="How many in phrasings never seen before, at the end.")] = 24,
    model: Annotated[str, typer.Option("--model", "-m", help="local/NAME or any litellm model name.")] = MODEL,
    run: Annotated[str | None, typer.Option("--run", help="Name the run; the same name goes on where it was.")] = None,
) -> None:
    """Watch a small model learn a made-up command language from experience; offline, without a key."""
    from agentevo.benchmarks.demo import Demo
    from agentevo.cli.models import pull_progress
    from agentevo.models import as_model
    from agentevo.runs import folder_of

    with pull_progress():
        played = Demo(as_model(model), folder_of(run, "demo"), seed, convention, tasks, new)
        _introduce(played, model)
        asyncio.run(_played(played))


async def _played(played: Demo) -> None:
    since, curves = time.monotonic(), _Curves()
    with _live() as live:

        async def playing() -> None:
            async with aclosing(played.play()) as moments:
                async for moment in moments:
                    _show(moment, curves, live, played, time.monotonic() - since)

        await watched(playing())


def _show(moment: Moment, curves: _Curves, live: Live | None, played: Demo, seconds: float) -> None:
    from agentevo.benchmarks.demo import Answered, Reflected

    lines = []
    if isinstance(moment, Answered):
        lines = curves.take(moment)
        if live is not None:
            live.update(curves.text(moment))
    elif isinstance(moment, Reflected):
        lines = _reflected(moment)
    else:
        lines = _ended(moment, curves, played, seconds)
    for line in lines:
        live.console.print(printable(line), markup=False, highlight=False, soft_wrap=True) if live else show(line)
    sys.stdout.flush()


class _Curves:
    """The scores of each arm so far, in blocks."""

    def __init__(self) -> None:
        self._scores: dict[bool, dict[str, list[float]]] = {False: {}, True: {}}
        self._told = False
        self._forgotten = 0

    def take(self, answered: Answered) -> list[str]:
        """Return what is worth a line of its own: some lessons, what was forgotten, and every block a table."""
        scores = self._scores[answered.is_new_phrasing]
        for name, score in answered.scores.items():
            scores.setdefault(name, []).append(score)
        lines = []
        if answered.is_new_phrasing and not self._told:
            self._told = True
            lines.append(
                f"\n{answered.of} requests in phrasings that it has never seen; nothing is learned from these:"
            )
        if answered.place < BLOCK // 2 and not answered.is_new_phrasing:
            lines += _stored(answered)
        for gone in answered.forgotten[: max(0, FORGOTTEN_SHOWN - self._forgotten)]:
            lines += [f"  forgot  {name_of(gone.item)}: {_line(gone.item.text)}", f"  because {_line(gone.reason)}"]
        self._forgotten += len(answered.forgotten)
        is_last = answered.place + 1 == answered.of
        if is_last or (answered.place + 1) % BLOCK == 0:
            lines += self.table(answered)
        return [*lines, REFLECTING] if is_last and not answered.is_new_phrasing else lines

    def table(self, answered: Answered) -> list[str]:
        scores = self._scores[answered.is_new_phrasing]
        title = f"after {answered.place + 1} of {answered.of} requests"
        return [title, *(f"  {NAMES[name]:<18} {spark(self.blocks(s))} {_shares(s)}" for name, s in scores.items())]

    def blocks(self, scores: list[float]) -> list[float]:
        parts = [scores[n : n + BLOCK] for n in range(0, len(scores), BLOCK)]
        return [sum(part) / len(part) for part in parts]

    def text(self, answered: Answered) -> str:
        said = answered.answers["memory"] or "(nothing)"
        mark = "right" if answered.scores["memory"] else f"wrong: {answered.right}"
        return printable("\n".join([*self.table(answered), f"  {_line(answered.prompt)} -> {said} ({mark})"]))

    def total(self, name: str, *, is_new: bool) -> str:
        scores = self._scores[is_new].get(name, [])
        return f"{sum(scores):.0f} of {len(scores)}"


def _shares(scores: list[float]) -> str:
    blocks = [scores[n : n + BLOCK] for n in range(0, len(scores), BLOCK)]
    return "  right in each block: " + " ".join(f"{sum(block):.0f}/{len(block)}" for block in blocks)


def _introduce(played: Demo, model: str) -> None:
    show(f"An agent learns house commands: {model}, convention {played.convention}, seed {played.seed}.")
    show("The convention is made up, so no model can know it. After each answer the agent is told what was right,")
    show("and remembers it; before each answer it recalls the four cases that are most like it. Beside it: the same")
    show("model without memory, and a rule that copies the nearest case and substitutes the words that differ.")
    show("A small model on a small domain: this demonstrates how it works, not how strong it is.\n")
    tell(f"loading the model ...; go on after a stop with --run {played.folder.name}")


def _stored(answered: Answered) -> list[str]:
    if not answered.learned:
        return []
    said = answered.answers["memory"] or "(nothing)"
    stored = (f"  stored  {name_of(item)}: {_line(_content(item))}" for item in answered.learned)
    return [f"  asked   {_line(answered.prompt)}", f"  said    {_line(said)}", *stored]


def name_of(item: Item) -> str:
    """Return what an item is to who reads it: a request with its answer is an example, of whatever kind it is kept."""
    if "answer" not in item.metadata:
        return item.kind
    return "example, corrected" if "tried" in item.metadata else "example"


def _content(item: Item) -> str:
    if "answer" not in item.metadata:
        return item.text
    return f"{item.metadata.get('prompt', '')} -> {item.metadata['answer']}"


def _reflected(moment: Reflected) -> list[str]:
    lines = [f"  wrote   {_line(text)}" for text in moment.insights] or ["  wrote   nothing"]
    kept = "kept" if moment.report.accepted and moment.insights else "not kept"
    return [*lines, f"  gate    {kept}: {moment.report.reason or 'there was nothing to keep'}"]


def _ended(moment: Ended, curves: _Curves, played: Demo, seconds: float) -> list[str]:
    lines = ["\nwhat came of it"]
    lines += [
        f"  {NAMES[name]:<18} {curves.total(name, is_new=False)} as they came,"
        f" {curves.total(name, is_new=True)} in new phrasings"
        for name in NAMES
    ]
    lines += [
        f"  with memory - without: {_interval(moment.over_none)} over the requests as they came",
        f"  with memory - rule:    {_interval(moment.over_rule_on_new)} on new phrasings",
        f"  memory: {moment.live} live, {moment.forgotten} forgotten (and can be restored); {seconds:.0f} s",
    ]
    return [*lines, *_life(moment, played), *_next(moment, played)]


def _life(moment: Ended, played: Demo) -> list[str]:
    """Tell of one item what `agentevo memory show` tells: what it says, where it came from, and each use."""
    lesson = moment.lesson
    if lesson is None:
        return ["\nnothing that was stored has helped yet"]
    from agentevo.memory import Memory

    with Memory.open(played.path) as memory:
        used = uses(changes(memory, lesson.id))
    origin = next(iter(lesson.derived_from), "")
    lines = [f"\nthe life of {name_of(lesson)} {lesson.id}", f"  says       {_line(_content(lesson))}"]
    lines.append(f"  came from  {origin}: {_line(moment.asked.get(origin, ''))}")
    if "tried" in lesson.metadata:
        said = str(lesson.metadata["tried"]) or "(nothing)"
        lines.append(f"             where it said {_line(said)}, and was told what is right")
    lines.append(f"  used       {len(used)} times: helped {lesson.wins:g}, did not help {lesson.losses:g}")
    lines += [
        f"             {_use(use)}: {_line(moment.asked.get(use.attempt, use.attempt))}" for use in used[:USES_SHOWN]
    ]
    return lines


def _use(use: Use) -> str:
    return "helped" if use.wins > use.losses else "did not help"


def _next(moment: Ended, played: Demo) -> list[str]:
    command = _as_typed()
    memory = f"{command} memory --path {shlex.quote(str(played.path))}"
    shown = [f"{memory} stats", f"{memory} history"]
    if moment.lesson is not None:
        name = moment.lesson.id
        shown += [f"{memory} show {name}", f"{memory} forget {name}", f"{memory} undo"]
    again = f"{command} bench run house:convention={played.convention} --seeds 3"
    return ["\nlook into the memory that it made, change it, measure it:", *(f"  {c}" for c in [*shown, again])]


def _as_typed() -> str:
    """Return how this program is called from here: by its name only where a shell finds this very one by it."""
    ours = Path(sys.executable).with_name("agentevo")
    found = shutil.which("agentevo")
    if not ours.exists() or (found and Path(found).resolve() == ours.resolve()):
        return "agentevo"
    here = Path.cwd()
    return shlex.quote(str(ours.relative_to(here) if ours.is_relative_to(here) else ours))


def _interval(bounds: tuple[float, float, float]) -> str:
    estimate, low, high = bounds
    verdict = "does not exclude 0" if low <= 0 <= high else "excludes 0"
    return f"{estimate:+.2f} (95% interval {low:+.2f} to {high:+.2f}, {verdict})"


def _line(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= SHOWN else flat[: SHOWN - 3] + "..."


def _live() -> Live | nullcontext[None]:
    """Return a part of the terminal that changes in place; nothing where there is no terminal."""
    if not sys.stdout.isatty():
        return nullcontext()
    from rich.live import Live

    return Live("", refresh_per_second=4)
