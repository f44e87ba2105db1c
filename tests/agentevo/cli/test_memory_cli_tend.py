"""`agentevo memory sweep|reflect`: forgetting by rules, and insights of a model, tried first and taken back after."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from openai_server import OpenAIServer, says

from agentevo.cli.memory.policies import policy_given
from agentevo.memory import Decay, Discard, Evict, Expire
from agentevo.models import allow_requests

if TYPE_CHECKING:
    from memory_console import Console

pytest_plugins = ("memory_console",)


@pytest.mark.parametrize(
    ("given", "policy"),
    [
        ("decay", Decay()),
        ("decay:scale_days=3:floor=0.1:mode=sample", Decay(scale_days=3.0, floor=0.1, mode="sample")),
        ("decay:power:kind=note", Decay("power", kind="note")),
        ("decay:where=team=old", Decay(where={"team": "old"})),
        ("evict:1000", Evict(1000)),
        ("evict:1000:lfu:note", Evict(1000, "lfu", "note")),
        ("evict:cap=10:order=fifo", Evict(10, "fifo")),
        ("discard:team=old", Discard({"team": "old"})),
        ('discard:{"$uses": 0, "team": {"$ne": "a"}}', Discard({"$uses": 0, "team": {"$ne": "a"}})),
        ("expire", Expire()),
    ],
)
def test_a_policy_is_written_as_text(given: str, policy: object) -> None:
    assert policy_given(given) == policy


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ("burn", "unknown policy 'burn'; known: "),
        ("evict", "policy 'evict' lacks cap; such as evict:1000:lru"),
        ("evict:many", "policy 'evict:many': cap is 'many'; expected a number"),
        ("evict:1.5", "cap is '1.5'; expected a number"),
        ("evict:-1", "cap is -1; expected how many items may stay"),
        ("evict:1:best", "unknown order 'best'; known: "),
        ("evict:1:lru:note:more", "parameters without a name: only cap and order and kind may stand without one"),
        ("decay:exp:30:0.05", "only curve may stand without one; the others need theirs: scale_days=, floor=, "),
        ("expire:now", "has too many parameters; it takes none"),
        ("decay:speed=3", "unknown parameter of 'decay:speed=3' 'speed'; known: "),
        ("decay:scale_days=[]", "scale_days is '[]'; expected a number"),
        ("decay:scale_days=0", "scale_days is 0.0; expected a number of days above 0"),
        ("discard:", "policy 'discard:' finds nothing; expected a filter"),
        ("discard:{}", "policy 'discard:{}' finds nothing; expected a filter"),
    ],
)
def test_a_policy_that_makes_no_sense_is_misuse(given: str, complaint: str, console: Console) -> None:
    assert complaint in console.refused("sweep", "--policy", given)


def test_a_sweep_without_a_policy_says_how_they_are_written(console: Console) -> None:
    assert "sweep needs at least one --policy. decay:scale_days=30" in console.refused("sweep")


def test_a_sweep_is_tried_first_then_done_then_taken_back(console: Console) -> None:
    with console.memory() as memory:
        memory.insert([f"item {n}" for n in range(5)], created_at=[float(n) for n in range(5)])
        memory.pin(memory.list(order="oldest")[0].id)
    policies = ["--policy", "evict:3:fifo", "--policy", "discard:$text=item 4"]
    tried = console.data("sweep", *policies, "--dry-run")
    assert (tried["dry_run"], tried["transaction"], len(tried["ops"])) == (True, None, 3)
    assert console.done("sweep", *policies, "--dry-run").splitlines()[-1] == "3 changes would be made"
    assert len(console.data("list")) == 5
    lines = console.done("sweep", *policies).splitlines()
    assert [line.split()[-1] for line in lines[1:4]] == ["1", "2", "4"]
    assert lines[4] == "3 changes were made; undo takes them back"
    assert [item["text"] for item in console.data("list")] == ["item 3", "item 0"]
    assert console.data("history")[0]["reason"] == "sweep: evict:3:fifo discard:$text=item 4"
    console.done("undo")
    assert len(console.data("list")) == 5
    assert console.done("sweep", "--policy", "expire") == "0 changes were made\n"


def test_a_long_sweep_shows_the_first_changes(console: Console) -> None:
    with console.memory() as memory:
        memory.insert([f"item {n}" for n in range(60)])
    assert len(console.done("sweep", "--policy", "evict:0").splitlines()) == 52
    assert console.err == "the first 50 are shown; --json shows all\n"


# --- reflect


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, console: Console) -> Iterator[OpenAIServer]:
    with allow_requests(), OpenAIServer() as server:
        monkeypatch.setenv("AGENTEVO_MODEL", "openai/test")
        monkeypatch.setenv("OPENAI_API_KEY", "k")
        monkeypatch.setenv("OPENAI_API_BASE", server.url)
        with console.memory() as memory:
            memory.insert([f"Order {n} was late" for n in range(3)], metadata={"team": "billing"})
        yield server


def insight(text: str) -> str:
    return json.dumps({"insights": [{"text": text, "rests_on": [1, 2]}]})


def test_insights_are_tried_first_then_kept(server: OpenAIServer, console: Console) -> None:
    server.then(says(insight("Orders are late")), says(insight("Orders are late")))
    options = ["--by", "group:team", "--where", "team=billing", "--kind", "fact", "--to", "lesson"]
    tried = console.data("reflect", *options, "--dry-run")
    assert [op["item"]["text"] for op in tried["ops"]] == ["Orders are late"]
    assert console.data("list", "--kind", "lesson") == []
    said = console.done("reflect", *options)
    assert said.splitlines()[-1] == "1 changes were made; undo takes them back"
    assert console.err == "reflecting with openai/test ...\n"
    (lesson,) = console.data("list", "--kind", "lesson")
    assert len(lesson["derived_from"]) == 2


@pytest.mark.usefixtures("server")
def test_a_budget_of_nothing_forbids_reflection(console: Console) -> None:
    console("reflect", "--by", "all", "--max-cost", "0")
    assert console.status == 1
    assert "error: the budget is used up" in console.err
    assert console.data("list", "--kind", "lesson") == []


@pytest.mark.usefixtures("server")
def test_reflection_by_what_is_no_group_is_misuse(console: Console) -> None:
    console("reflect", "--by", "mood")
    assert console.status == 2
    assert "by is 'mood'; expected 'similar', 'day', 'all' or 'group:METADATA KEY'" in console.err
