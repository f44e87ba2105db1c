"""TextWorldExpress: eight games of a household, 1,000 seeds each for train, dev and test."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Iterator, Mapping

from agentevo.environments.text.chosen import chosen, per_kind
from agentevo.environments.text.engines import express
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
FAULTY: Mapping[str, frozenset[int]] = {
    "peckingorder": frozenset({
        10022, 10042, 10063, 10064, 10083, 10095, 10110, 10153, 10156, 10171, 10175, 10217, 10218, 10225, 10237, 10261,
        10275, 10287, 10294, 10295, 10332, 10351, 10373, 10374, 10407, 10409, 10410, 10412, 10428, 10436, 10447, 10473,
        10528, 10556, 10568, 10596, 10598, 10611, 10623, 10666, 10670, 10706, 10727, 10755, 10816, 10836, 10852, 10858,
        10871, 10902, 10908, 10938, 10942, 10975, 10994,
    })
}  # fmt: skip
"""Seeds that nobody can win: two things of one name lie there, and the engine always takes the wrong one."""
WITHOUT_REPEATABLE_GOLD = ("coin", "twc")
"""The engine finds their gold paths by trying at random, another one each time."""


class TextWorldExpress(Worlds):
    """The eight games of TextWorldExpress, or those named: `TextWorldExpress(games="coin,twc", tasks=100)`.

    The first `tasks` seeds of each game are in a split, but for a few that cannot be won, and the games take turns, so
    that the first few tasks hold all of them. Needs the extra `text`, and Java.
    """

    def __init__(
        self, games: str = "all", tasks: int = SEEDS, *, steps: int = 200, way: str = "tools", workers: int = 1,
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
            splits={fold: len([*_seeds(named, fold, count)]) for fold in FOLDS},
            null_score=0.0,
            gold_score=1.0,
        )
        super().__init__(
            card, f"TextWorldExpress(games={games!r}, tasks={tasks}, steps={steps}, way={way!r})",
            lambda: {fold: [_played(fold, *one) for one in _seeds(named, fold, count)] for fold in FOLDS},
            express.__name__, express.MOVES, steps=steps, way=way, workers=workers, walls=walls,
        )  # fmt: skip

    async def _told(self, played: Played) -> str:
        return "" if played.settings["game"] in WITHOUT_REPEATABLE_GOLD else await super()._told(played)


def _seeds(games: tuple[str, ...], fold: str, count: int) -> Iterator[tuple[str, int]]:
    """Yield games with their seeds, a round of all games after the other."""
    for seed in range(FOLDS[fold], FOLDS[fold] + count):
        yield from ((game, seed) for game in games if seed not in FAULTY.get(game, ()))


def _played(fold: str, game: str, seed: int) -> Played:
    task = Task(
        id=f"twx-{game}-{seed}", prompt=f"{game}: {GOALS[game]}", data={"group": game, "seed": seed},
        provenance="TextWorldExpress",
    )  # fmt: skip
    return Played(task, {"game": game, "seed": seed, "fold": fold})
