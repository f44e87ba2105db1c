"""Acts made of acts: the best of several, and a draft corrected by its reviews, at the cost of all of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from moments import memory, moment
from sums import GoldenSums, Sums, somewhere, task
from worlds import TASK, World

from agentevo.errors import BudgetExceeded, Misuse, ModelUnavailable, RequestsForbidden, UnknownName
from agentevo.events import Added, Ended, Event, Piece, listening
from agentevo.models import FunctionModel, ScriptedModel
from agentevo.models.fakes import Scripted
from agentevo.models.usage import Budget, spending
from agentevo.phases.act import Sample
from agentevo.phases.calls import as_result, written
from agentevo.phases.combine import Best, Refined
from agentevo.phases.judge import Critique, Review, Verify, Vote
from agentevo.phases.loop import Loop
from agentevo.phases.practice import Hinted
from agentevo.protocols import Act, Judge, Model, State
from agentevo.types import Attempt, Experience, Feedback, Message, Reply, Task, Tool, ToolCall, Usage


def giving(*answers: str, stopped: str = "") -> Act:
    """Return an act that makes these attempts without a model."""

    async def given(state: State, task: Task) -> list[Attempt]:
        return [
            Attempt(id=f"a{n}", task=task, answer=answer, usage=Usage(calls=1), stopped=stopped)
            for n, answer in enumerate(answers)
        ]

    return given


def scoring(score: Callable[[Attempt], float | None]) -> Judge:
    """Return a judge that asks nobody."""

    async def judge(state: State, experience: Experience) -> Experience:
        told = (a.told(Feedback(score=score(a), text="hm", source="judge")) for a in experience.attempts)
        return experience.but(attempts=tuple(told))

    return judge


def acted(act: Act, model: Model | Sequence[Scripted] | None = None, id: str = "1+1") -> list[Attempt]:
    async def awaited() -> list[Attempt]:
        with memory() as m:
            return await act(somewhere(m, GoldenSums(), model), task(id))

    return asyncio.run(awaited())


def said(attempt: Attempt) -> list[tuple[str, str]]:
    return [(str(message["role"]), str(message["content"])) for message in attempt.messages]


def right() -> Review:
    return Review(text="Good.", verdict="right")


def wrong(text: str = "Count again.") -> Review:
    return Review(text=text, verdict="wrong")


# --- what is combined


def nothing(*given: object) -> Any:
    """Return nothing, as a strategy does that forgets to return."""


def without_attempts(state: State, experience: Experience) -> Any:
    return experience.but(attempts=())


@pytest.mark.parametrize("made", [Best, Refined, Hinted])
def test_a_strategy_inside_another_is_named_where_it_gives_what_it_must_not(made: Any) -> None:
    name = made.__name__
    with pytest.raises(Misuse, match=rf"{name}\(act=\.\.\.\)' gave None; expected a list of Attempt"):
        acted(made(nothing, by=Vote()))
    with pytest.raises(Misuse, match=rf"{name}\(by=\.\.\.\)' gave None; expected Experience"):
        acted(made(giving("a"), by=nothing))
    with pytest.raises(Misuse, match=rf"{name}\(by=\.\.\.\) returned 0 of 1 attempts; a judge returns all"):
        acted(made(giving("a"), by=without_attempts))


# --- Best


def test_the_best_attempt_comes_back_and_costs_what_all_cost() -> None:
    (best,) = acted(Best(giving("a", "bbb", "cc"), by=scoring(lambda a: len(a.answer) / 10)))
    assert (best.id, best.answer, best.usage.calls) == ("a1", "bbb", 3)


def test_of_equals_the_first_is_the_best_and_what_nobody_judged_is_the_worst() -> None:
    (best,) = acted(Best(giving("unsure", "b", "c"), by=scoring(lambda a: None if a.answer == "unsure" else 0.0)))
    assert best.answer == "b"


def test_the_majority_wins_a_vote() -> None:
    (best,) = acted(Best(Sample(5, temperature=0.7), by=Vote()), [["3", "2", "", "2.", "1"]])
    assert best.answer == "2"
    assert best.usage.calls == 1


def test_what_the_judge_asks_for_is_paid_too() -> None:
    (best,) = acted(Best(giving("3", "2"), by=Critique()), [wrong(), right()])
    assert (best.answer, best.usage.calls) == ("2", 4)


def test_an_estimate_is_no_score_so_that_the_environment_still_judges() -> None:
    (best,) = acted(Best(giving("3", "3", "2"), by=Vote()))
    assert best.score is None
    (estimate,) = best.feedback
    assert (estimate.source, estimate.verdict, estimate.evidence["estimate"]) == ("self", "majority", 2 / 3)
    with memory() as m:
        experience = Experience(task=best.task, attempts=(best,))

        async def verified() -> Experience:
            return await Verify()(somewhere(m, Sums()), experience)

        assert asyncio.run(verified()).score == 0.0


def test_the_environments_word_inside_an_act_is_no_score_either() -> None:
    (best,) = acted(Best(giving("3", "2"), by=Verify()))
    assert (best.answer, best.score) == ("2", None)


def test_no_attempts_have_no_best() -> None:
    assert acted(Best(giving(), by=Critique())) == []


def test_where_the_judge_fails_the_first_attempt_comes_back_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    (best,) = acted(Best(giving("3", "2"), by=Critique()), [wrong(), ModelUnavailable("gone")])
    assert (best.answer, best.stopped) == ("3", "model: gone")
    assert "2 attempts at task 1+1 were not judged: gone" in caplog.text


def test_a_best_attempt_that_a_limit_stopped_still_says_so() -> None:
    (best,) = acted(Best(giving("3", stopped="limit: tokens"), by=Vote()))
    assert best.stopped == "limit: tokens"


# --- Refined


def test_a_draft_is_corrected_until_the_critic_is_content() -> None:
    model = ScriptedModel(["3", wrong(), "4", wrong("Lower."), " 2 ", right()])
    (done,) = acted(Refined(Sample(), by=Critique(), rounds=4), model)
    assert (done.answer, done.stopped) == ("2", "")
    assert [role for role, _ in said(done)][-5:] == ["assistant", "user", "assistant", "user", "assistant"]
    assert done.usage.calls == 6
    assert (
        done.usage.tokens
        == sum(len(str(m["content"]).split()) for r in model.requests for m in r.messages)
        + done.usage.completion_tokens
    )


def test_each_draft_is_made_from_all_drafts_and_reviews_so_far() -> None:
    model = ScriptedModel(["3", wrong("Too high."), "1", wrong("Too low."), "2", right()])
    acted(Refined(Sample(), by=Critique(), rounds=3), model)
    asked = [str(message["content"]) for message in model.requests[4].messages]
    assert asked[-4] == "3"
    assert "```review\nwrong\nToo high.\n```" in asked[-3]
    assert asked[-2] == "1"
    assert "Too low." in asked[-1]


def test_the_number_of_rounds_is_a_hard_limit_and_the_last_draft_is_not_judged() -> None:
    replies: list[Scripted] = [wrong(), "4"]
    model = ScriptedModel(["3", *replies * 4])
    (done,) = acted(Refined(Sample(), by=Critique(), rounds=4), model)
    assert (done.answer, len(model.requests), done.feedback) == ("4", 9, ())


def test_an_answer_that_is_right_at_once_stays_as_it_is() -> None:
    (done,) = acted(Refined(Sample(), by=Critique()), ["2", right()])
    assert done.answer == "2"
    assert done.messages[-1] == {"role": "assistant", "content": "2"}
    assert (done.score, done.feedback[-1].evidence) == (None, {"estimate": 1.0})


def test_a_stop_phrase_ends_it() -> None:
    critic = Critique(stop="it is correct")
    (done,) = acted(Refined(Sample(), by=critic), ["3", wrong(), "2", wrong("It is correct, I think.")])
    assert done.answer == "2"


def test_a_verdict_without_a_score_ends_it_too() -> None:
    async def content(state: State, experience: Experience) -> Experience:
        told = (a.told(Feedback(verdict="right" if a.answer == "2" else "")) for a in experience.attempts)
        return experience.but(attempts=tuple(told))

    model = ScriptedModel(["2"])
    (done,) = acted(Refined(giving("3"), by=content), model)
    assert (done.answer, len(model.requests)) == ("2", 1)
    assert "```review\nIt is not right yet.\n```" in str(model.requests[0].messages[-1]["content"])


def test_the_best_draft_can_be_kept_with_the_trajectory_that_led_to_it() -> None:
    scores = {"3": 0.5, "2": 0.9, "9": 0.1}
    (done,) = acted(Refined(giving("3"), by=scoring(lambda a: scores[a.answer]), rounds=2, keep="best"), ["2", "9"])
    assert done.answer == "2"
    assert [text for role, text in said(done) if role == "assistant"] == ["3", "2"]
    assert done.usage.calls == 3
    assert [f.evidence for f in done.feedback] == [{"estimate": 0.9}]


def test_of_drafts_that_are_as_good_the_last_is_kept() -> None:
    (done,) = acted(Refined(giving("3"), by=scoring(lambda a: 0.5), rounds=2, keep="best"), ["2", "9"])
    assert done.answer == "9"


def test_a_critic_that_cannot_be_read_ends_it() -> None:
    (done,) = acted(Refined(Sample(), by=Critique()), ["3", "what?", "what?"])
    assert (done.answer, done.stopped, done.feedback) == ("3", "", ())


def test_a_model_that_says_nothing_leaves_the_draft_before() -> None:
    (done,) = acted(Refined(Sample(), by=Critique()), ["3", wrong(), "  "])
    assert done.answer == "3"
    assert done.messages[-1] == {"role": "assistant", "content": "3"}


@pytest.mark.parametrize("replies", [["3", ModelUnavailable("gone")], ["3", wrong(), ModelUnavailable("gone")]])
def test_a_model_that_fails_leaves_the_draft_before_and_says_so(
    replies: list[Scripted], caplog: pytest.LogCaptureFixture
) -> None:
    (done,) = acted(Refined(Sample(), by=Critique()), replies)
    assert (done.answer, done.stopped) == ("3", "model: gone")
    assert "is refined no further: gone" in caplog.text


def test_requests_that_are_forbidden_end_the_run() -> None:
    with pytest.raises(RequestsForbidden):
        acted(Refined(giving("3"), by=Critique()), [RequestsForbidden("off")])


def test_a_budget_of_the_run_ends_the_run() -> None:
    with spending("run", Budget(max_calls=2)), pytest.raises(BudgetExceeded):
        acted(Refined(Sample(), by=Critique()), ["3", wrong(), "2"])


def test_an_attempt_that_was_stopped_is_not_refined() -> None:
    (done,) = acted(Refined(giving("3", stopped="limit: steps"), by=Critique()))
    assert (done.answer, done.stopped) == ("3", "limit: steps")


def test_several_attempts_are_refined_each_by_itself() -> None:
    def better(messages: list[Message]) -> str:
        return f"{messages[-2]['content']}!"

    done = acted(Refined(giving("a", "b"), by=scoring(lambda a: 0.0), rounds=2), FunctionModel(better))
    assert [(a.id, a.answer, a.usage.calls) for a in done] == [("a0", "a!!", 3), ("a1", "b!!", 3)]


def test_a_trajectory_that_ends_with_a_tools_word_gets_its_answer_said() -> None:
    messages: tuple[Message, ...] = (
        {"role": "user", "content": "Go."},
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "tool", "content": "done", "tool_call_id": "1"},
    )

    async def looped(state: State, task: Task) -> list[Attempt]:
        return [Attempt(id="a", task=task, messages=messages, answer="3")]

    (done,) = acted(Refined(looped, by=Critique(), rounds=1), [wrong(), "2"])
    assert [role for role, _ in said(done)] == ["user", "assistant", "tool", "assistant", "user", "assistant"]
    assert done.messages[:3] == messages


def test_a_draft_whose_calls_were_written_is_shown_to_its_model_as_it_wrote_it() -> None:
    text = '{"name": "look", "arguments": {}}'
    wrote = written(Reply(texts=(text,)), [Tool(name="look")])
    messages: tuple[Message, ...] = (
        {"role": "user", "content": "Go."},
        wrote.message,
        as_result(wrote.calls[0], "a key"),
    )

    async def looped(state: State, task: Task) -> list[Attempt]:
        return [Attempt(id="a", task=task, messages=messages, answer="3")]

    model = ScriptedModel([wrong(), "2"])
    (done,) = acted(Refined(looped, by=Critique(), rounds=1, again="words"), model)
    assert done.messages[:3] == messages
    assert model.requests[1].messages[1:3] == (
        {"role": "assistant", "content": text},
        {"role": "user", "content": "```result of look\na key\n```"},
    )


def searching(*places: str) -> ScriptedModel:
    """Return a model that looks at each place and says what it finds; between two, a critic finds the first wrong."""
    script: list[Scripted] = []
    for n, place in enumerate(places):
        script += [wrong()] if n else []
        script += [ToolCall(id=str(n), name="look", arguments={"at": place}), f"{place} it is"]
    return ScriptedModel(script)


def refined(world: World, model: ScriptedModel, act: Refined) -> Attempt:
    async def awaited() -> list[Attempt]:
        with memory() as m:
            return await act(replace(moment(m, model), environment=world), TASK)

    (done,) = asyncio.run(awaited())
    return done


def test_what_called_tools_may_call_them_again_in_a_fresh_episode() -> None:
    world = World()
    done = refined(world, searching("desk", "mat"), Refined(Loop(), by=Critique(), rounds=1))
    assert (done.answer, done.task, done.usage.calls, done.prompt) == ("mat it is", TASK, 5, 1)
    assert (len(world.opened), len(set(world.opened)), world.closed) == (2, 1, 2)
    asked = str(done.messages[0]["content"])
    assert asked.startswith("Find the key.\n\n```your last answer\ndesk it is\n```")
    assert "Count again." in asked
    assert [str(m["content"]) for m in done.messages if m["role"] == "tool"] == ["look {'at': 'mat'}"]


def test_trying_again_that_comes_to_no_answer_leaves_what_there_was() -> None:
    world = World()
    model = ScriptedModel([ToolCall(id="1", name="look"), "desk", wrong(), ToolCall(id="2", name="look"), "", wrong()])
    done = refined(world, model, Refined(Loop(2), by=Critique(), rounds=3))
    assert (done.answer, done.stopped, done.usage.calls, world.closed) == ("desk", "", 5, 2)


def test_a_plain_act_without_messages_is_asked_again_with_its_task() -> None:
    (done,) = acted(Refined(giving("3"), by=Critique(), rounds=1), [wrong(), "2"])
    assert said(done)[:2] == [("user", "What is 1+1?"), ("assistant", "3")]


def test_whoever_listens_hears_reviews_drafts_and_the_end() -> None:
    events: list[Event] = []
    with listening(events.append):
        (done,) = acted(Refined(Sample(), by=Critique(), rounds=1), ["3", wrong(), "2"])
    added = [event.message for event in events if isinstance(event, Added) and event.attempt == done.id]
    assert tuple(added) == done.messages
    assert [event.text for event in events if isinstance(event, Piece)] == ["3", "2"]
    assert events[-1] == Ended(attempt=done)


def test_sampled_corrections_have_seeds_and_greedy_ones_need_none() -> None:
    for temperature, seeded in ((0.7, True), (0.0, False)):
        model = ScriptedModel(["2", "1"])
        act = Refined(giving("3"), by=scoring(lambda a: 0.0), rounds=2, temperature=temperature, max_tokens=9)
        acted(act, model)
        seeds = [request.seed for request in model.requests]
        assert [seed is not None for seed in seeds] == [seeded, seeded]
        assert len(set(seeds)) == (2 if seeded else 1)
        assert {(request.temperature, request.max_tokens) for request in model.requests} == {(temperature, 9)}


def test_strong_feedback_inside_an_act_is_the_answer_told() -> None:
    (done,) = acted(Refined(giving("3"), by=Verify("strong"), rounds=1), ["2"])
    assert "The right answer is: 2" in said(done)[-2][1]


def test_acts_can_be_made_of_acts_of_acts() -> None:
    inner = Refined(Sample(2), by=Critique(), rounds=1)

    def reply(messages: list[Message], schema: object) -> Scripted:
        return wrong() if schema else ["3", "3"] if len(messages) < 3 else "2"

    (best,) = acted(Best(inner, by=Vote()), FunctionModel(reply))
    assert (best.answer, best.usage.calls) == ("2", 5)


# --- misuse


def test_options_that_cannot_be_are_refused() -> None:
    act = giving("1")
    with pytest.raises(Misuse, match=r"Best\(by=...\) takes a strategy.*Vote"):
        Best(act, by=Vote)  # type: ignore[arg-type]
    with pytest.raises(Misuse, match=r"Refined\(act=...\) takes a strategy.*None"):
        Refined(None, by=Vote())  # type: ignore[arg-type]
    with pytest.raises(Misuse, match="rounds is 0"):
        Refined(act, by=Vote(), rounds=0)
    with pytest.raises(UnknownName, match="unknown draft to keep 'first'; known: last, best"):
        Refined(act, by=Vote(), keep="first")  # type: ignore[arg-type]
    with pytest.raises(UnknownName, match="unknown way to try again 'tools'; known: auto, words"):
        Refined(act, by=Vote(), again="tools")  # type: ignore[arg-type]
    with pytest.raises(Misuse, match="Refined needs a prompt"):
        Refined(act, by=Vote(), prompt="")
    with pytest.raises(Misuse, match="temperature is -1"):
        Refined(act, by=Vote(), temperature=-1)


def test_a_refining_act_waits_for_nobody_once_one_draft_breaks() -> None:
    ended = []

    async def judge(state: State, experience: Experience) -> Experience:
        (attempt,) = experience.attempts
        if attempt.id == "a0":
            raise OSError("broken")
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(attempt.id)
        raise AssertionError

    with pytest.raises(OSError, match="broken"):
        acted(Refined(giving("1", "2"), by=judge))
    assert ended == ["a1"]
