"""What is remembered of a world helps in it: an ideal reader of prompts fulfils with memory what it cannot without."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path

from agentevo.benchmarks.compare import compare
from agentevo.benchmarks.matrix import Plan, Row, run
from agentevo.environments.text.world.words import ADJECTIVES, CRAFTS
from agentevo.models import FunctionModel
from agentevo.recipes import load
from agentevo.types import Message

KINDS = {kind for craft in CRAFTS for kind in craft.kinds}
NOUNS = {noun for craft in CRAFTS for noun in (*craft.nouns, *craft.new_nouns)}
THING = re.compile(rf"({'|'.join(ADJECTIVES)}) (({'|'.join(KINDS)}) )?({'|'.join(NOUNS)})( of ({'|'.join(KINDS)}))?")


def reader(messages: Sequence[Message]) -> str:
    """Do with the thing that is wished about what an example in the prompt did with one of its kind."""
    *before, wish = [str(message["content"]) for message in messages if message["role"] != "system"]
    thing, kinds = THING.search(wish), KINDS & set(re.findall(r"\w+", wish))
    for asked, command in zip(before[-2::-2], before[::-2], strict=False):
        known = THING.search(command)
        if kinds & set(re.findall(r"\w+", asked)) and known and thing:
            return command.replace(known[0], thing[0])
    return "look"


def rows(folder: Path) -> list[Row]:
    plan = Plan(
        "world", load("evo", reflect=False), FunctionModel(reader), arms=("none", "copy", "memory"), embedder="hash",
        protocol="epochs", tasks=60, test=20,
    )  # fmt: skip

    async def found() -> list[Row]:
        return [row async for row in run(plan, folder)]

    return asyncio.run(found())


def test_memory_fulfils_what_nothing_else_does(tmp_path: Path) -> None:
    arms = {arm.name: arm for arm in compare(rows(tmp_path / "run")).arms}
    assert (arms["none"].mean, arms["copy"].mean, arms["memory"].curve[0]) == (0.0, 0.0, 0.0)
    assert arms["memory"].mean > 0.6
    assert arms["memory"].groups["new wording and things"] > 0.3
