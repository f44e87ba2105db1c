"""inspect tasks run through an agent that learns: in order, with what was learnt in the next prompt, and in the log."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from agentevo import Agent, FunctionModel, Memory, ScriptedModel
from agentevo.errors import BadReply, ModelError
from agentevo.models.fakes import Scripted
from agentevo.recipes.in_context.evo import evo
from agentevo.types import Tool, ToolCall

pytestmark = [
    pytest.mark.soak,
    # inspect's own, and those of what it imports: none of them is about our code.
    pytest.mark.filterwarnings("default"),
]
inspect_ai = pytest.importorskip("inspect_ai", reason="inspect-ai is not installed: pip install 'agentevo[inspect]'")

PLACES = ("harbour", "market", "station", "museum", "bakery", "library")


@pytest.fixture
def memory() -> Iterator[Memory]:
    with Memory.open(":memory:", embedder="hash") as opened:
        yield opened


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Any]:
    """Run a task as a user would, one sample at a time, and give its log."""

    def evaluated(task: Any, solver: Any, **options: Any) -> Any:
        given = {"max_samples": 1, "model": "mockllm/model", "log_dir": str(tmp_path), "display": "none", **options}
        return inspect_ai.eval(task, solver=solver, **given)[0]

    return evaluated


def codes(**options: Any) -> Any:
    """Return a task: a place has a code, which is its name with capitals."""
    from inspect_ai.dataset import Sample
    from inspect_ai.scorer import match

    samples = [Sample(id=place, input=f"What is the code of the {place}?", target=place.upper()) for place in PLACES]
    return inspect_ai.Task(**{"dataset": samples, "scorer": match(location="exact"), **options})


def knows(messages: list[Mapping[str, Any]]) -> Scripted:
    """Say the code, but for the market's."""
    place = str(messages[-1]["content"]).split(" of the ")[1].rstrip("?")
    return "no idea" if place == "market" else place.upper()


def said(text: str = "", **call: Any) -> Any:
    """Return what a mock model says, counted: inspect would fetch a tokenizer to count it."""
    from inspect_ai.model import ModelOutput, ModelUsage

    made = ModelOutput.for_tool_call("mockllm", **call) if call else ModelOutput.from_content("mockllm", text)
    made.usage = ModelUsage(input_tokens=7, output_tokens=2, total_tokens=9)
    return made


def remembering(agent: Agent, **options: Any) -> Any:
    from agentevo.bridges.inspect import remembering as made

    return made(agent, **options)


def learner(memory: Memory, model: Any = None) -> Agent:
    return Agent(model or FunctionModel(knows), memory=memory, recipe=evo(reflect=False))


def test_each_sample_is_answered_with_what_those_before_it_taught(memory: Memory, run: Callable[..., Any]) -> None:
    log = run(codes(), remembering(learner(memory)))
    assert (log.status, log.error) == ("success", None)
    samples = sorted(log.samples, key=lambda sample: sample.metadata["agentevo"]["place"])
    assert [sample.id for sample in samples] == [*PLACES]
    assert [sample.metadata["agentevo"]["score"] for sample in samples] == [1, 0, 1, 1, 1, 1]
    assert log.results.scores[0].metrics["accuracy"].value == pytest.approx(5 / 6)

    right = [place for place in PLACES if place != "market"]
    made = memory.list(status=None)  # one of them may be forgotten by now: it stood in the prompt of the failure
    assert sorted(item.text for item in made) == sorted(
        f"What is the code of the {place}?\n\n{place.upper()}" for place in right
    )
    for before, sample in zip(PLACES, samples[1:], strict=False):
        seen = "\n".join(message.text for message in sample.messages[:-1])
        assert (before.upper() in seen) == (before != "market")
        told = sample.metadata["agentevo"]
        assert set(told["used"]) <= {item.id for item in made}
        assert told["used"]
        assert sample.output.completion == sample.messages[-1].text
        assert told["usage"]["calls"] == 1
        assert sample.output.usage.input_tokens == told["usage"]["prompt_tokens"] > 0


def test_what_was_learnt_is_trusted_as_what_an_environment_said(memory: Memory, run: Callable[..., Any]) -> None:
    log = run(codes(), remembering(learner(memory)), limit=1)
    (item,) = memory.list()
    assert (item.source, item.trust) == ("agent", 0.7)
    assert log.samples[0].metadata["agentevo"]["learnt"] == [item.id]
    assert memory.history()[-1].reason == "sample harbour"


def test_samples_at_once_are_refused_where_the_agent_learns(memory: Memory, run: Callable[..., Any]) -> None:
    log = run(codes(), remembering(learner(memory)), max_samples=6)
    assert log.status == "error"
    assert "takes them one after the other: run eval(..., max_samples=1)" in log.error.message
    log = run(codes(), remembering(learner(memory), learns=False), max_samples=6)
    assert log.status == "success"
    assert "score" not in log.samples[0].metadata["agentevo"]


def test_an_agent_that_does_not_learn_leaves_memory_as_it_is(memory: Memory, run: Callable[..., Any]) -> None:
    memory.insert("The market's code is MARKET.")
    log = run(codes(), remembering(learner(memory), learns=False))
    assert [item.text for item in memory.list()] == ["The market's code is MARKET."]
    assert all(sample.metadata["agentevo"]["used"] for sample in log.samples)


def test_a_conversation_is_handed_in_whole(memory: Memory, run: Callable[..., Any]) -> None:
    from inspect_ai.dataset import Sample
    from inspect_ai.model import ChatMessageAssistant, ChatMessageSystem, ChatMessageUser

    talk = [
        ChatMessageSystem(content="Be brief."), ChatMessageUser(content="I am Ada."),
        ChatMessageAssistant(content="Hello."), ChatMessageUser(content="What is the code of the bakery?"),
    ]  # fmt: skip
    model = ScriptedModel(["BAKERY"])
    log = run(codes(dataset=[Sample(input=talk, target="BAKERY")]), remembering(learner(memory, model)))
    assert [m["content"] for m in model.requests[0].messages] == [message.text for message in talk]
    assert log.samples[0].metadata["agentevo"]["score"] == 1


def test_choices_are_put_into_words_and_read_from_the_answer(memory: Memory, run: Callable[..., Any]) -> None:
    from inspect_ai.dataset import Sample
    from inspect_ai.scorer import choice

    model = ScriptedModel(["ANSWER: B", "ANSWER: A"])
    samples = [Sample(input="Which is a fruit?", choices=["iron", "fig"], target="B") for _ in range(2)]
    log = run(inspect_ai.Task(dataset=samples, scorer=choice()), remembering(learner(memory, model)))
    assert [sample.metadata["agentevo"]["score"] for sample in log.samples] == [1, 0]
    assert [sample.scores["choice"].value for sample in log.samples] == ["C", "I"]
    assert "B) fig" in str(model.requests[0].messages[-1]["content"])


def test_the_tasks_tools_are_called_and_what_they_say_is_data(memory: Memory, run: Callable[..., Any]) -> None:
    from inspect_ai.solver import use_tools
    from inspect_ai.tool import ToolError, tool

    asked: list[str] = []

    @tool  # type: ignore[untyped-decorator]
    def lookup() -> Any:
        async def execute(place: str) -> str:
            """Look up a code.

            Args:
                place: Where.
            """
            asked.append(place)
            if place == "nowhere":
                raise ToolError("there is no such place")
            return place.upper()

        return execute

    script: list[Scripted] = [
        ToolCall(id="1", name="lookup", arguments={"place": "nowhere"}),
        ToolCall(id="2", name="lookup", arguments={"place": "harbour"}),
        "HARBOUR",
    ]
    model = ScriptedModel(script)
    log = run(codes(setup=use_tools(lookup())), remembering(learner(memory, model)), limit=1)
    results = [message.text for message in log.samples[0].messages if message.role == "tool"]
    assert "there is no such place" in results[0]
    assert results[1] == "```data from inspect.lookup\nHARBOUR\n```"
    assert (asked, log.samples[0].scores["match"].value) == (["nowhere", "harbour"], "C")
    assert '"description": "Where."' in json.dumps(model.requests[0].tools[0].parameters)


def test_attempts_made_to_learn_do_not_act_where_the_sample_is_scored(memory: Memory, run: Callable[..., Any]) -> None:
    from inspect_ai.dataset import Sample
    from inspect_ai.scorer import Score, accuracy, scorer
    from inspect_ai.solver import use_tools
    from inspect_ai.tool import bash
    from inspect_ai.util import sandbox

    acted: list[str] = []

    def writes(messages: list[Mapping[str, Any]], tools: Any, schema: Any) -> Scripted:
        if schema is not None:
            lesson = {"title": "Files", "description": "What goes into files.", "content": "Write right into the file."}
            return json.dumps({"lessons": [lesson]})
        if not tools or messages[-1]["role"] == "tool":
            return "Done."
        acted.append("right" if "Write right" in str(messages) else "wrong")
        return ToolCall(id="1", name="bash", arguments={"command": f"echo {acted[-1]} > file"})

    @scorer(metrics=[accuracy()])  # type: ignore[untyped-decorator]
    def written() -> Any:
        async def scored(state: Any, target: Any) -> Any:
            found = (await sandbox().read_file("file")).strip()
            return Score(value="C" if found == target.text else "I", explanation=found)

        return scored

    samples = [Sample(id=name, input=f"Fill the file of {name}.", target="right") for name in ("a", "b")]
    task = inspect_ai.Task(dataset=samples, setup=use_tools(bash()), scorer=written(), sandbox="local")
    log = run(task, remembering(Agent(FunctionModel(writes), memory=memory)))
    assert [sample.scores["written"].explanation for sample in log.samples] == acted == ["wrong", "wrong"]


def test_a_model_that_fails_is_an_error_of_the_sample(memory: Memory, run: Callable[..., Any]) -> None:
    model = ScriptedModel([ModelError("the line is dead")])
    log = run(codes(), remembering(learner(memory, model)), limit=1)
    assert log.status == "error"
    assert "no answer to sample 'harbour': model: the line is dead" in log.error.message
    assert memory.list() == []


def test_a_score_that_is_none_of_ours_must_be_made_one(memory: Memory, run: Callable[..., Any]) -> None:
    from inspect_ai.scorer import Score, mean, scorer

    @scorer(metrics=[mean()])  # type: ignore[untyped-decorator]
    def length() -> Any:
        async def scored(state: Any, target: Any) -> Any:
            return Score(value=len(state.output.completion))

        return scored

    log = run(codes(scorer=length()), remembering(learner(memory)), limit=1)
    assert "a scorer gave 7.0; expected 0 to 1: give as_score=" in log.error.message
    by_length = remembering(learner(memory), as_score=lambda score: min(1.0, score.value / 10))
    log = run(codes(scorer=length()), by_length, limit=1)
    assert log.samples[0].metadata["agentevo"]["score"] == pytest.approx(0.7)
    nothing = run(codes(scorer=length()), remembering(learner(memory), as_score=lambda score: None), limit=1)
    assert "score" not in nothing.samples[0].metadata["agentevo"]


# --- inspect's model as the agent's


def through(outputs: list[Any], **options: Any) -> Any:
    """Ask inspect's model through ours, outside of any task."""
    from inspect_ai.model import get_model

    from agentevo.bridges.inspect import InspectModel

    model = InspectModel(get_model("mockllm/model", custom_outputs=outputs))
    return asyncio.run(model.complete([{"role": "user", "content": "Hello"}], **options))


def test_the_tasks_own_model_answers_for_the_agent(memory: Memory, run: Callable[..., Any]) -> None:
    from inspect_ai.model import get_model

    from agentevo.bridges.inspect import InspectModel

    outputs = [said(place.upper()) for place in PLACES]
    log = run(
        codes(), remembering(learner(memory, InspectModel())), model=get_model("mockllm/model", custom_outputs=outputs)
    )
    assert log.results.scores[0].metrics["accuracy"].value == 1
    assert len(memory.list()) == 6
    (asked,) = [
        event for sample in log.samples if sample.id == "library" for event in sample.events if event.event == "model"
    ]
    assert "BAKERY" in str(asked.input)
    assert "LIBRARY" not in str(asked.input)


def test_replies_calls_samples_and_records_come_as_ours() -> None:
    class Point(BaseModel):
        x: int

    several = through([said("a"), said("b")], n=2)
    assert (several.texts, several.usage.calls, several.usage.tokens, several.finish) == (("a", "b"), 2, 18, "stop")
    nested = Tool(
        name="go",
        parameters={
            "type": "object", "$defs": {"P": {"type": "object", "properties": {"x": {"const": 1}}}},
            "properties": {"to": {"$ref": "#/$defs/P", "description": "Where."}},
        },
    )  # fmt: skip
    called = through([said(tool_name="go", tool_arguments={"to": {"x": 1}})], tools=[nested])
    assert [(call.name, call.arguments) for call in called.tool_calls] == [("go", {"to": {"x": 1}})]
    repaired = through([said("x is 3"), said('{"x": 3}')], schema=Point)
    assert repaired.parsed(Point) == Point(x=3)


def test_what_inspect_could_not_read_is_a_bad_reply() -> None:
    from inspect_ai.model import ModelOutput

    broken = said(tool_name="go", tool_arguments={})
    broken.choices[0].message.tool_calls[0].parse_error = "no JSON"
    with pytest.raises(BadReply, match="the arguments of 'go' could not be read: no JSON"):
        through([broken])
    with pytest.raises(BadReply, match="the model gave no answer: refused"):
        through([ModelOutput(model="m", choices=[], error="refused", usage=broken.usage)])
    with pytest.raises(ModelError, match="failed: ValueError"):
        through([])


def test_a_schema_is_written_out_for_inspect() -> None:
    from agentevo.bridges.inspect.model import _info

    looped = Tool(
        name="go",
        parameters={
            "type": "object", "$defs": {"N": {"type": "object", "properties": {"next": {"$ref": "#/$defs/N"}}}},
            "properties": {"first": {"$ref": "#/$defs/N", "description": "Where."}},
        },
    )  # fmt: skip
    plain = json.dumps(_info(looped).model_dump(exclude_none=True))
    assert "$ref" not in plain
    assert '"description": "Where."' in plain
    assert plain.count('"next"') == 8
