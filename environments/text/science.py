"""ScienceWorld: thirty kinds of experiments of elementary school, 7,207 variations in train, dev and test."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from agentevo.environments.text.chosen import chosen, per_kind
from agentevo.environments.text.engines import science
from agentevo.environments.text.worlds import Played, Worlds
from agentevo.errors import MissingExtra
from agentevo.types import Card, Task


class Kind(NamedTuple):
    """What an experiment is about, and how many variations it has."""

    about: str
    variations: int


KINDS: Mapping[str, Kind] = {
    "lifespan-longest-lived": Kind("identify the longest-lived animal", 125),
    "lifespan-shortest-lived": Kind("identify the shortest-lived animal", 125),
    "lifespan-longest-lived-then-shortest-lived": Kind("identify the longest-lived and the shortest-lived animal", 125),
    "power-component": Kind("create an electrical circuit", 20),
    "find-non-living-thing": Kind("find a non-living thing", 300),
    "identify-life-stages-2": Kind("identify the life stages of an animal", 10),
    "test-conductivity": Kind("test whether something known conducts electricity", 900),
    "test-conductivity-of-unknown-substances": Kind("test whether something unknown conducts electricity", 600),
    "find-living-thing": Kind("find a living thing", 300),
    "find-animal": Kind("find an animal", 300),
    "find-plant": Kind("find a plant", 300),
    "use-thermometer": Kind("use a thermometer", 540),
    "power-component-renewable-vs-nonrenewable-energy": Kind("power a circuit by renewable or other energy", 20),
    "chemistry-mix": Kind("mix chemicals", 32),
    "chemistry-mix-paint-secondary-color": Kind("mix paints to a secondary colour", 36),
    "chemistry-mix-paint-tertiary-color": Kind("mix paints to a tertiary colour", 36),
    "freeze": Kind("change the state of matter by freezing", 30),
    "melt": Kind("change the state of matter by melting", 30),
    "change-the-state-of-matter-of": Kind("change the state of matter in any way", 30),
    "boil": Kind("change the state of matter by boiling", 30),
    "measure-melting-point-known-substance": Kind("measure the melting point of something known", 436),
    "measure-melting-point-unknown-substance": Kind("measure the melting point of something unknown", 300),
    "identify-life-stages-1": Kind("identify the life stages of a plant", 14),
    "inclined-plane-determine-angle": Kind("compare the angles of inclined planes", 168),
    "inclined-plane-friction-named-surfaces": Kind("compare the friction of known surfaces", 1386),
    "inclined-plane-friction-unnamed-surfaces": Kind("compare the friction of unknown surfaces", 162),
    "grow-plant": Kind("grow a plant", 126),
    "grow-fruit": Kind("grow a fruit", 126),
    "mendelian-genetics-known-plant": Kind("find a dominant trait of a known plant", 120),
    "mendelian-genetics-unknown-plant": Kind("find a dominant trait of an unknown plant", 480),
}  # fmt: skip
"""In the order in which a split goes through them: those that take the simulator least time come first."""
MOST = max(kind.variations for kind in KINDS.values())


class ScienceWorld(Worlds):
    """The experiments of ScienceWorld, or those named: `ScienceWorld(kinds="boil,melt", tasks=10)`.

    At most `tasks` variations of each kind are in a split, and the kinds take turns: the first 30 tasks of a split
    hold all of them. Of a kind the first two quarters are for training, the third is dev, the rest test, as its
    authors have it. Needs the extra `text`, and Java.
    """

    def __init__(
        self, kinds: str = "all", tasks: int = MOST, *, steps: int = 1000, way: str = "tools", workers: int = 1,
        walls: bool = True,
    ) -> None:  # fmt: skip
        named, most = chosen("kind of experiment", kinds, KINDS), per_kind(tasks, MOST)
        if importlib.util.find_spec("scienceworld") is None:
            raise MissingExtra("ScienceWorld", "text")
        drawn = {split: [*_drawn(named, split, most)] for split in ("train", "dev", "test")}
        card = Card(
            name="scienceworld",
            version=importlib.metadata.version("scienceworld"),
            description=f"Experiments of elementary school, in words: {len(named)} kinds",
            licence="Apache-2.0",
            ability="embodied control",
            splits={split: len(pairs) for split, pairs in drawn.items()},
            null_score=0.0,
            gold_score=1.0,
        )
        super().__init__(
            card, f"ScienceWorld(kinds={kinds!r}, tasks={tasks}, steps={steps}, way={way!r})",
            lambda: {split: [_played(*pair) for pair in pairs] for split, pairs in drawn.items()},
            science.__name__, science.MOVES, steps=steps, way=way, workers=workers, walls=walls,
        )  # fmt: skip


def variations(kind: str, split: str) -> range:
    """Return the variations of a kind that a split holds."""
    count = KINDS[kind].variations
    quarter = count // 4
    bounds = {"train": (0, 2 * quarter), "dev": (2 * quarter, 3 * quarter), "test": (3 * quarter, count)}
    return range(*bounds[split])


def _drawn(kinds: tuple[str, ...], split: str, most: int) -> Iterator[tuple[str, int]]:
    """Yield kinds with their variations, a round of all kinds after the other."""
    for place in range(most):
        for kind in kinds:
            own = variations(kind, split)
            if place < len(own):
                yield kind, own[place]


def _played(kind: str, variation: int) -> Played:
    task = Task(
        id=f"sw-{kind}-{variation}", prompt=f"Science experiment: {KINDS[kind].about}.",
        data={"group": kind, "variation": variation}, provenance="ScienceWorld",
    )  # fmt: skip
    return Played(task, {"task": kind, "variation": variation})
