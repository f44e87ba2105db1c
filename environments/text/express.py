"""TextWorldExpress: eight games of a household, 1,000 seeds each for train, dev and test."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Iterator, Mapping

from agentevo.environments.text.chosen import chosen, per_kind
from agentevo.environments.text.worlds import Played, Worlds
from agentevo.errors import MissingExtra
from agentevo.types import Card, Task

GOALS: Mapping[str, str] = {
    "coin": "Search the rooms, find the coin, and take it.",
    "cookingworld": "Cook the meal of the cookbook in the kitchen, and eat it.",
    "twc": "Pick up the things that lie around, and put each where it usually belongs.",
    "mapreader": "Read the map, take the coin from the room that is named, and put it into the box in the other one.",
    "arithmetic": "Solve the math problem, then put the thing with that quantity into the box.",
    "sorting": "Put all things into the box in the order of their quantities, the smallest first.",
    "simonsays": "Do exactly what Simon says.",
    "peckingorder": "Read and follow the instructions in the instructions book, again and again, to the end.",
}
"""The games, in the order in which a split goes through them."""
FOLDS: Mapping[str, int] = {"train": 0, "dev": 10_000, "test": 20_000}
"""The first seed of each."""
SEEDS = 1000
WITHOUT_REPEATABLE_GOLD = ("coin", "twc")
"""The engine finds their gold paths by trying at random, another one each time."""


class TextWorldExpress(Worlds):
    """The eight games of TextWorldExpress, or those named: `TextWorldExpress(games="coin,twc", tasks=100)`.

    `tasks` seeds of each game are in a split, and the games take turns, so that the first few tasks hold all of them.
    Needs the extra `text`, and Java.
    """

    def __init__(
        self, games: str = "all", tasks: int = SEEDS, *, steps: int = 100, way: str = "tools", workers: int = 1,
        walls: bool = True,
    ) -> None:  # fmt: skip
        named, count = chosen("game of TextWorldExpress", games, GOALS), per_kind(tasks, SEEDS)
        if importlib.util.find_spec("textworld_express") is None:
            raise MissingExtra("TextWorldExpress", "text")
        card = Card(
            name="textworld_express",
            version=importlib.metadata.version("textworld-express"),
            description=f"Games in rooms with things, in words: {', '.join(named)}",
            licence="Apache-2.0",
            ability="planning",
            splits=dict.fromkeys(FOLDS, count * len(named)),
            null_score=0.0,
            gold_score=1.0,
        )
        super().__init__(
            card, f"TextWorldExpress(games={games!r}, tasks={tasks}, steps={steps}, way={way!r})",
            lambda: {fold: [*_played(named, fold, count)] for fold in FOLDS},
            "agentevo.environments.text.engines.express", steps=steps, way=way, workers=workers, walls=walls,
        )  # fmt: skip

    async def _told(self, played: Played) -> str:
        return "" if played.settings["game"] in WITHOUT_REPEATABLE_GOLD else await super()._told(played)


def _played(games: tuple[str, ...], fold: str, count: int) -> Iterator[Played]:
    for seed in range(FOLDS[fold], FOLDS[fold] + count):
        for game in games:
            task = Task(
                id=f"twx-{game}-{seed}", prompt=f"{game}: {GOALS[game]}",
                data={"group": game, "seed": seed}, provenance="TextWorldExpress",
            )  # fmt: skip
            yield Played(task, {"game": game, "seed": seed, "fold": fold})
