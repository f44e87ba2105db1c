"""Train: an update that teaches the weights what a turn has left to learn from.

What comes of it is an adapter: an item, quarantined, with where it lies, what it is for, and the attempts it was
trained on. A gate decides whether it is used (`adapters.try_on`); without a gate it stays beside.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from agentevo.errors import Diverged, Misuse, UnknownName, Untrainable
from agentevo.memory import Memory
from agentevo.memory.admit import admitted
from agentevo.memory.trust import SHA256
from agentevo.models.installed import sha256_of
from agentevo.protocols import State
from agentevo.types import Experience, Item, Json, Op
from agentevo.weights.adapters import PLUS, POLICY, base_of, in_use, name_of, trained
from agentevo.weights.config import ADAPTER, TrainConfig
from agentevo.weights.in_place import base_here
from agentevo.weights.learnable import learnable
from agentevo.weights.machine import figures, train_here
from agentevo.weights.order import Made, Order, Trainer
from agentevo.weights.replay import Replay, mixed, must_be_replays
from agentevo.weights.rows import Row, Turns
from agentevo.weights.turn import WITHOUT, attempts_of, pair_rows, sft_rows

if TYPE_CHECKING:
    from agentevo.weights.train import Trained

LOG = logging.getLogger(__name__)

Method: TypeAlias = Literal["sft", "dpo"]


@dataclass(frozen=True)
class Train:
    """Train an adapter on what a turn has left: its attempts (sft), or the preferences among them (dpo).

    from_base: begin from the base each time, so that nothing wears off; else go on from what was trained before, in
    this turn or the one in use. replay: rows of other origin that are mixed in, against forgetting. least: of the
    attempts, those that scored so much. turns: "answer" leaves out what led to the answer: drafts, reviews, calls. What
    stood in prompts from memory, and hints, is left out: the weights are to
    do without. config: settings of `TrainConfig`, such as {"steps": 30}. role: "policy" is what answers. Nothing is
    trained where fewer than `at_least` rows of the turn are left, as feedback on one answer is no training, nor where
    these rows cannot be trained on: all teach one answer, say, or the loss is no number. The log says so.
    """

    method: Method = "sft"
    _: KW_ONLY
    from_base: bool = True
    replay: Sequence[Replay] = ()
    least: float | None = None
    turns: Turns = "all"
    role: str = POLICY
    at_least: int = 8
    config: Mapping[str, Json] = field(default_factory=dict)
    by: Trainer = train_here

    def __post_init__(self) -> None:
        if self.method not in get_args(Method):
            raise UnknownName("method of training", str(self.method), get_args(Method))
        if self.turns not in get_args(Turns):
            raise UnknownName("part of an attempt", str(self.turns), get_args(Turns))
        if self.least is not None and not 0 <= self.least <= 1:
            raise Misuse(f"least is {self.least!r}; expected a score from 0 to 1, or None for all attempts")
        if self.at_least < 0:
            raise Misuse(f"at_least is {self.at_least!r}; expected how many rows a training needs, 0 or more")
        TrainConfig.of(**{**self.config, "method": self.method})  # now, not when all is practised
        must_be_function("by", self.by)
        object.__setattr__(self, "replay", must_be_replays(self.replay))

    async def __call__(self, state: State, experiences: Sequence[Experience]) -> list[Op]:
        fit, left = await learnable(state.memory, experiences)
        own, out = self._rows(fit), "".join(f"; left out: {count} {why}" for why, count in sorted(left.items()))
        rows = await mixed(state, own, self.replay) if len(own) >= self.at_least else []
        if not rows:
            LOG.warning("nothing is trained: %d rows of this turn, %d needed%s", len(own), self.at_least, out)
            return []
        start = None if self.from_base else await self._start(state)
        order = self._order(state, rows, start)
        try:
            made = await self.by(order)
        except (Untrainable, Diverged) as error:  # for its rows; what else fails may succeed later, and is raised
            LOG.warning("nothing is trained on %d rows: %s%s", len(rows), error, out)
            return []
        item = described(state, order.name, self.role, made, attempts_of(rows), start)
        said = f"{self.method} on {len(rows)} rows, {len(rows) - len(own)} of them replayed{out}"
        return [Op(verb="insert", id=item.id, item=item, reason=said)]

    def _rows(self, experiences: Sequence[Experience]) -> list[Row]:
        if self.method == "dpo":
            return pair_rows(experiences, WITHOUT, self.turns)
        chosen = [x.but(attempts=[a for a in x.attempts if self._is_enough(a.score)], pairs=()) for x in experiences]
        return sft_rows(chosen, WITHOUT, self.turns)

    def _is_enough(self, score: float | None) -> bool:
        return self.least is None or (score is not None and score >= self.least)

    async def _start(self, state: State) -> Item | None:
        """Return the adapter to go on from: the one that was trained last in this turn, or else what is in use."""
        base = base_of(state.model.name)
        drafted = trained(getattr(state.memory, "ops", ()))
        now = [item for item in drafted if item.metadata.get("base") == base]
        return now[-1] if now else await in_use(state.memory, base, self.role)

    def _order(self, state: State, rows: Sequence[Row], start: Item | None) -> Order:
        base, config = base_of(state.model.name), {"seed": state.seed, **self.config, "method": self.method}
        begun = Path(str(start.metadata["path"])) if start else None
        weights = base_here(base)  # of which there may be others by now under this name
        said = [base, weights.sha256 if weights else "", config, name_of(start) if start else "", [*rows]]
        digest = hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()[:10]
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", state.recipe.name or self.method).strip("-") or self.method
        return Order(f"{name}-{digest}", base, rows, config, begun)


def described(state: State, name: str, role: str, made: Made, attempts: Sequence[str], *starts: Item | None) -> Item:
    """Return the item that stands for an adapter; its text is its card."""
    model, memory = state.model.name, state.memory
    return _described(base_of(model), memory.namespace, state.now, "agent", name, role, made, attempts, starts)


def enrol(memory: Memory, model: str, done: Trained, now: float) -> None:
    """Keep an adapter in a memory that was trained outside of a cycle: quarantined, derived from its attempts."""
    base, _, name = model.partition(PLUS)
    config = done.training.config.model_dump(mode="json")
    made = Made(path=str(done.path.absolute()), config=config, scores=figures(done.training))
    item = _described(base, memory.namespace, now, "user", name, POLICY, made, done.attempts, ())
    memory.apply([Op(verb="insert", id=item.id, item=item, reason="trained by hand")])


def _described(
    base: str,
    namespace: str,
    now: float,
    source: str,
    name: str,
    role: str,
    made: Made,
    attempts: Sequence[str],
    starts: Sequence[Item | None],
) -> Item:
    parents = {item.id: item for item in starts if item is not None}
    figures = ", ".join(f"{key} {value}" for key, value in made.scores.items())
    text = f"Adapter {name} for {base}, as {role}: trained on {len(attempts)} attempts; {figures}"
    metadata: dict[str, Json] = {
        "name": name, "base": base, "role": role, "path": made.path, "config": made.config, "scores": made.scores,
    }  # fmt: skip
    if made.path and (weights := Path(made.path) / ADAPTER).is_file():
        metadata[SHA256] = sha256_of(weights)
    fields = {
        "kind": "adapter", "source": source, "status": "quarantined", "metadata": metadata,
        "derived_from": tuple(dict.fromkeys([*attempts, *parents])),
    }  # fmt: skip
    return admitted([text], fields, namespace, now, parents.get)[0]


def must_be_function(slot: str, value: object) -> None:
    """Raise Misuse for what cannot be called, or is a class where an instance is meant."""
    if not callable(value) or isinstance(value, type):
        raise Misuse(f"{slot} is {value!r:.80}; expected a function, or leave it out for what is shipped")
