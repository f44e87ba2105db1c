"""The weights loop: what was gathered is trained without what was recalled, gated, and poison is refused."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

import pytest
from gguf_files import write_adapter
from wearing import Wearing, Weights

from agentevo.benchmarks.weights_loop import Figures, Gated, Gathered, Moment, WeightsLoop, poisoned
from agentevo.cli.weights_loop import run_loop
from agentevo.environments.tool.house import House
from agentevo.errors import Diverged, Misuse, TrainingError
from agentevo.models import FunctionModel
from agentevo.models.installed import Card, sha256_of, write_card
from agentevo.models.requests import Options
from agentevo.types import ChatMessage, Message, Reply
from agentevo.weights.order import Made, Order

HOUSE = House(tasks=50)
RIGHT = {task.prompt: str(HOUSE.gold(task)[-1]["content"]) for s in HOUSE.splits() for task in HOUSE.tasks(s)}


def ideal(messages: Sequence[Message]) -> str:
    """Know the convention where examples of it stand in the prompt, and nothing of it else."""
    asked = str(messages[-1]["content"])
    return RIGHT[asked] if asked in RIGHT and len(messages) > 2 else "Paris is a fine thing."


class Generalising(Weights):
    """Weights that know all commands as soon as they have learned one right one, and none after a wrong one."""

    async def train(self, order: Order) -> Made:
        made = await super().train(order)
        learned = self.learned[order.name]
        is_right = all(RIGHT[prompt] == said for prompt, said in learned.items() if prompt in RIGHT)
        self.learned[order.name] = {**(RIGHT if is_right else {}), **learned}
        return made


def played(folder: Path, weights: Weights) -> list[Moment]:
    async def all_of_it() -> list[Moment]:
        model = Wearing(weights, FunctionModel(ideal))
        loop = WeightsLoop(model, folder, tasks=12, test=10, embedder="hash", by=weights.train)
        return [moment async for moment in loop.play()]

    return asyncio.run(all_of_it())


def test_what_was_recalled_ends_in_the_weights_and_poison_is_refused(tmp_path: Path) -> None:
    weights = Generalising()
    gathered, good, bad, figures = played(tmp_path / "run", weights)
    assert isinstance(gathered, Gathered)
    assert isinstance(good, Gated)
    assert isinstance(bad, Gated)
    assert isinstance(figures, Figures)
    assert (gathered.right, gathered.right_again, gathered.tasks) == (11, 1, 12)  # the first has nothing to recall
    assert gathered.rows == 12
    assert (good.accepted, bad.accepted) == (True, False)
    assert figures.scores == {"base": 0, "base + memory": 1, "adapter": 1, "adapter + memory": 1}
    assert figures.ordinary == {"base": 1, "adapter": 1}
    assert figures.over_base[1] > 0
    row = json.loads((tmp_path / "run" / "house.jsonl").read_text().splitlines()[0])
    assert [message["role"] for message in row["prompt"]] == ["system", "user"]


def test_what_came_of_it_is_shown_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = Generalising()
    loop = WeightsLoop(
        Wearing(weights, FunctionModel(ideal)), tmp_path / "run", tasks=12, test=10, embedder="hash", by=weights.train
    )
    run_loop(loop, as_json=False)
    said, told = capsys.readouterr()
    assert "gathered   11 of 12 house commands right" in said
    assert "trained on wrong answers (12 rows): refused, kept beside" in said
    arms = [line.split()[:-3] for line in said.splitlines() if line.startswith(("base", "adapter  ", "adapter +"))]
    assert arms[:4] == [["base"], ["base", "+", "memory"], ["adapter"], ["adapter", "+", "memory"]]
    assert "excludes 0" in said
    stages = [line.split(" s  ", 1)[1].split()[0] for line in told.splitlines()[1:]]
    assert stages == ["answering", "trying", "testing", "training", "testing", "testing", "training", "testing", "done"]
    run_loop(loop, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert [moment["what"] for moment in told] == ["gathered", "gated", "gated", "figures"]


def test_a_model_is_asked_the_same_thing_once(tmp_path: Path) -> None:
    asked: Counter[str] = Counter()

    class Noted(Wearing):
        def adapted(self, adapter: str) -> Noted:
            return Noted(self.weights, self.otherwise, super().adapted(adapter).name)

        async def complete(self, messages: Sequence[ChatMessage], **options: Unpack[Options]) -> Reply:
            asked[f"{self.name} {messages} {options.get('max_tokens')}"] += 1
            return await super().complete(messages, **options)

    async def all_of_it() -> None:
        weights = Generalising()
        model = Noted(weights, FunctionModel(ideal))
        loop = WeightsLoop(model, tmp_path / "run", tasks=12, test=10, embedder="hash", by=weights.train)
        assert [moment async for moment in loop.play()]

    asyncio.run(all_of_it())
    assert set(asked.values()) == {1}
    assert {name.partition(" ")[0].partition("-")[0] for name in asked} == {"small", "small+weights"}


def test_a_run_that_is_gone_on_with_trains_nothing_again(tmp_path: Path) -> None:
    weights = Generalising()
    first = played(tmp_path / "run", weights)
    orders = len(weights.orders)
    assert played(tmp_path / "run", weights) == first
    assert len(weights.orders) == orders == 2


@pytest.mark.parametrize("is_passed_over", [True, False])
def test_a_training_that_came_to_nothing_is_no_refusal_and_is_done_when_the_run_goes_on(
    is_passed_over: bool, tmp_path: Path
) -> None:
    class Failing(Generalising):
        async def train(self, order: Order) -> Made:
            raise Diverged("the loss is nan") if is_passed_over else TrainingError("the GPU ran out of memory")

    with pytest.raises(TrainingError, match="nothing could be trained on its own" if is_passed_over else "the GPU ran"):
        played(tmp_path / "run", Failing())
    _, good, _, _ = played(tmp_path / "run", Generalising())
    assert isinstance(good, Gated)
    assert good.accepted


def test_poison_gives_each_row_the_answer_of_another() -> None:
    rows = [{"prompt": n, "completion": n} for n in range(3)]
    assert poisoned(rows) == [
        {"prompt": 0, "completion": 1},
        {"prompt": 1, "completion": 2},
        {"prompt": 2, "completion": 0},
    ]


@pytest.mark.parametrize(
    ("name", "why"),
    [("openai/gpt-4o", "only those of local/NAME run offline"), ("local/other", "is of the architecture 'qwen2'")],
)
def test_a_model_whose_adapters_cannot_be_used_here_is_refused_before_it_is_asked(
    name: str, why: str, tmp_path: Path, empty_home: Path
) -> None:
    file = write_adapter(empty_home / "models" / "other" / "model.gguf", architecture="qwen2")
    write_card(file.parent, Card(name="other", kind="model", size_bytes=1, sha256=sha256_of(file), origin="a test"))
    asked = list[Sequence[Message]]()

    def model(messages: Sequence[Message]) -> str:
        asked.append(messages)
        return "PAY 12"

    loop = WeightsLoop(FunctionModel(model, name=name), tmp_path / "run", tasks=2, test=2, embedder="hash")
    with pytest.raises(Misuse, match=why):
        run_loop(loop, as_json=True)
    assert (asked, (tmp_path / "run").exists()) == ([], False)
