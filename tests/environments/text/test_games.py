"""Games in worker processes: what a worker keeps, and that an episode goes on whatever became of its game there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from toy_games import MOVES, Toy

from agentevo.environments.engine import EngineGone
from agentevo.environments.leftovers import held
from agentevo.environments.text.crew import Crew
from agentevo.environments.text.engines import gateway
from agentevo.environments.text.engines.games import Games, Moves
from agentevo.environments.text.episode import WorldEpisode
from agentevo.environments.walls import Walls
from agentevo.errors import Misuse
from agentevo.types import Json, Message, Outcome

THREE: dict[str, Json] = {"to": 3}
ways = pytest.mark.parametrize("direct", [False, True], ids=["by the worker", "past it"])


def act(*commands: str) -> Message:
    calls: list[Json] = [
        {"id": str(n), "type": "function", "function": {"name": "act", "arguments": json.dumps({"command": one})}}
        for n, one in enumerate(commands)
    ]
    return {"role": "assistant", "content": None, "tool_calls": calls}


# --- what a worker keeps


def test_a_game_is_where_its_commands_have_brought_it() -> None:
    games = Games(Toy(), 4)
    games.begin("a", THREE, [])
    games.begin("b", THREE, ["up"])
    assert [games.act("a", 0, "up"), games.act("b", 1, "up")] == [
        {"text": "1", "score": 1 / 3, "done": False}, {"text": "2", "score": 2 / 3, "done": False},
    ]  # fmt: skip


def test_a_game_that_is_elsewhere_than_believed_or_gone_is_answered_with_none() -> None:
    games = Games(Toy(), 4)
    games.begin("a", THREE, ["up"])
    assert (games.act("a", 0, "up"), games.act("a", 2, "up"), games.act("b", 0, "up")) == (None, None, None)
    games.end("a")
    assert (games.act("a", 1, "up"), games.actions("a", 1, "", 5)) == (None, None)


def test_the_least_recently_used_game_goes_first() -> None:
    games = Games(Toy(), 2)
    games.begin("a", THREE, [])
    games.begin("b", THREE, [])
    games.act("a", 0, "up")
    games.begin("c", THREE, [])
    assert (games.act("b", 0, "up"), games.act("a", 1, "up") is None) == (None, False)


def test_games_that_would_disturb_each_other_are_not_kept_together() -> None:
    games, shared = Games(Toy(), 4), {"to": 3, "shared": True}
    for begin in (
        lambda: games.begin("other", shared, []),
        lambda: games.replay(shared, []),
        lambda: games.gold(shared, 9),
    ):
        games.begin("a", shared, [])
        games.begin("b", {"to": 4, "shared": True}, [])
        begin()
        assert (games.act("a", 0, "up"), games.act("b", 0, "up") is None) == (None, False)


@pytest.mark.parametrize("leave", ["end", "begin", "room"])
def test_a_game_that_is_not_kept_any_more_is_nowhere_past_the_worker_either(leave: str) -> None:
    games, direct = Games(Toy(), 1), {**THREE, "direct": True}
    at = games.begin("a", direct, [])["at"]
    asked = gateway.call(at["object"], "act", "up").encode()
    line = games.line(at["line"])
    assert line is not None
    with line, line.makefile("rb") as answers:
        line.sendall(asked)
        assert answers.readline() == b"!ys1\n"
        games.end("a") if leave == "end" else games.begin("a" if leave == "begin" else "b", direct, [])
        line.sendall(asked)
        assert gateway.raised(answers.readline())


def test_a_replay_ends_with_the_game_and_says_how_many_commands_it_took() -> None:
    games = Games(Toy(), 4)
    assert games.replay(THREE, ["up", "down", "up", "up", "up", "down"]) == {
        "text": "3", "score": 1.0, "done": True, "commands": 5,
    }  # fmt: skip


def test_gold_is_tried_and_what_does_not_win_is_not_given() -> None:
    games = Games(Toy(), 4)
    assert games.gold(THREE, 9) == ["up", "up", "up"]
    assert games.gold({"to": 3, "gold": ["up", "up"]}, 9) == []
    assert games.gold({"to": 1, "gold": ["down", "up", "up", "up"]}, 9) == ["down", "up", "up"]
    assert (games.gold(THREE, 3), games.gold(THREE, 2)) == (["up", "up", "up"], [])
    assert games.gold({"to": 1, "gold": ["down"], "next gold": ["up", "up"]}, 9) == ["up"]


# --- episodes in workers


@asynccontextmanager
async def crew(workers: int = 1, kept: int = 4, timeout_s: float = 60) -> AsyncIterator[Crew]:
    made = Crew("toy_games:make", {"kept": kept}, Walls(walls=False), workers, timeout_s)
    try:
        yield made
    finally:
        await made.aclose()


async def opened(of: Crew, steps: int = 100, moves: Moves = MOVES, **settings: Json) -> WorldEpisode:
    async def told() -> str:
        return ""

    episode = WorldEpisode(of, {**THREE, **settings}, steps, "tools", "weak", told, moves)
    await episode.begin()
    return episode


@ways
def test_rewards_are_how_the_score_changes(direct: bool) -> None:
    async def run() -> list[Outcome]:
        async with crew() as of:
            episode = await opened(of, direct=direct)
            outcomes = [
                await episode.step(act(*commands)) for commands in (["up"], ["down"], ["up", "up"], ["up", "up"])
            ]
            await episode.close()
            return outcomes

    outcomes = asyncio.run(run())
    assert [round(outcome.reward, 3) for outcome in outcomes] == [0.333, -0.333, 0.667, 0.333]
    assert outcomes[-1].terminated
    assert outcomes[-1].observation == "3\n\nError: not run, because the game is over.\n\nThe score is 1.00 of 1."


@ways
def test_more_episodes_than_a_worker_keeps_go_on_all_the_same(direct: bool) -> None:
    async def one(of: Crew) -> list[str]:
        episode = await opened(of, direct=direct)
        seen = [(await episode.step(act("up"))).observation for _ in range(3)]
        await episode.close()
        return seen

    async def run() -> list[list[str]]:
        async with crew(workers=2, kept=2) as of:
            return await asyncio.gather(*(one(of) for _ in range(32)))

    assert asyncio.run(run()) == [["1", "2", "3\n\nThe score is 1.00 of 1."]] * 32


@ways
def test_an_episode_goes_on_in_a_new_worker_where_its_own_has_died(direct: bool, tmp_path: Path) -> None:
    async def run() -> list[str]:
        async with crew() as of:
            episode = await opened(of, direct=direct, marker=str(tmp_path / "died"))
            seen = [(await episode.step(act(one))).observation for one in ("up", "die", "up")]
            await episode.close()
            return seen

    assert asyncio.run(run()) == ["1", "1", "2"]


def test_a_worker_that_hangs_each_time_is_gone() -> None:
    async def run() -> None:
        async with crew(timeout_s=0.2) as of:
            await of.ask_any("replay", settings={**THREE}, commands=["sleep", "sleep"])

    with pytest.raises(EngineGone, match="did not answer 'replay' within"):
        asyncio.run(run())


def test_more_steps_at_once_may_take_more_time_wherever_they_are_asked_for() -> None:
    slow: list[Json] = ["sleep", "sleep", "sleep"]
    settings: Json = {"to": 3, "gold": [*slow, "up", "up", "up"]}

    async def run() -> list[Json]:
        async with crew(timeout_s=0.2) as of:
            aside = of.ask_now("gold", steps=100, settings=settings, most=9)
            seen = await of.ask_any("replay", steps=100, settings={**THREE}, commands=slow)
            begun = await of.ask(0, "begin", steps=100, name="a", settings={**THREE}, commands=slow)
            return [aside, *(one["text"] for one in (seen, begun) if isinstance(one, dict))]

    assert asyncio.run(run()) == [[*slow, "up", "up", "up"], "0", "0"]


@ways
def test_a_step_that_is_cancelled_did_not_happen(direct: bool) -> None:
    async def run() -> list[str]:
        async with crew() as of:
            episode = await opened(of, direct=direct)
            await episode.step(act("up"))
            step = asyncio.ensure_future(episode.step(act("slowly")))
            await asyncio.sleep(0.05)
            step.cancel()
            await asyncio.wait({step})
            assert step.cancelled()
            seen = [(await episode.step(act("up"))).observation]
            await episode.close()
            return seen

    assert asyncio.run(run()) == ["2"]


@ways
def test_what_is_possible_is_listed_also_where_the_game_has_to_be_begun_again(direct: bool) -> None:
    listing: Message = {
        "role": "assistant", "content": None,
        "tool_calls": [{"id": "1", "function": {"name": "valid_actions", "arguments": '{"containing": "WAIT 5"}'}}],
    }  # fmt: skip

    async def run() -> tuple[str, str]:
        async with crew(kept=1) as of:
            first, second = await opened(of, direct=direct), await opened(of, direct=direct)
            said = (await first.step(listing)).observation
            await first.step(act("up"))
            after = (await first.step(act("up"))).observation
            await first.close()
            await second.close()
            return said, after

    said, after = asyncio.run(run())
    assert said.splitlines() == ["wait 5", *(f"wait {n}" for n in range(50, 60))]
    assert after == "2"


@ways
def test_what_shows_nothing_is_said_so_that_it_is_answered(direct: bool) -> None:
    async def run() -> str:
        async with crew() as of:
            episode = await opened(of, direct=direct)
            return (await episode.step(act("nothing"))).observation

    assert asyncio.run(run()) == "Nothing happens."


def past(*commands: str) -> list[str]:
    """Return what is seen after commands that do not go through the worker."""

    async def run() -> list[str]:
        async with crew() as of:
            episode = await opened(of, direct=True)
            seen = [(await episode.step(act(one))).observation for one in commands]
            await episode.close()
            return seen

    return asyncio.run(run())


def test_what_was_seen_past_the_worker_is_the_same_text() -> None:
    assert past("lines", "up") == ["a\nb \\n c", "1"]


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (b"!ysa\\nb\\\\n", "a\nb\\n"), (b"!yd0.5", 0.5), (b"!yi-3", -3), (b"!ybtrue", True), (b"!ybfalse", False),
        (b"!ydmuch", None), (b"!yro7", None), (b"!yv", None), (b"!xsno", None), (b"!", None), (b"", None),
        (b"\xff", None),
    ],
)  # fmt: skip
def test_of_what_a_virtual_machine_answers_plain_values_are_read_and_nothing_else(line: bytes, value: object) -> None:
    assert gateway.value(line) == value


def test_what_raised_past_the_worker_is_shown_and_nothing_is_held_of_it() -> None:
    assert past("up", "raise", "raise", "held", "up") == ["1", "it raised", "it raised", "0", "2"]


def test_where_an_answer_past_the_worker_cannot_be_read_the_game_is_begun_again_there() -> None:
    async def run() -> list[str]:
        async with crew() as of:
            strange = Moves(MOVES.calls, lambda values, to: MOVES.shown([len(values[0]), values[1]], to))
            episode = await opened(of, moves=strange, direct=True)
            seen = [(await episode.step(act(one))).observation for one in ("nonsense", "nonsense")]
            await episode.close()
            return seen

    assert asyncio.run(run()) == ["0", "0"]


def test_plain_code_asks_also_where_a_loop_is_running_and_nothing_is_left_afterwards() -> None:
    async def run() -> list[str]:
        before = held()
        async with crew() as of:
            found = of.ask_now("gold", settings={**THREE}, most=9)
        assert held() - before == {}
        assert isinstance(found, list)
        return [str(one) for one in found]

    assert asyncio.run(run()) == ["up", "up", "up"]


def test_closing_twice_is_fine_and_a_step_after_it_is_refused() -> None:
    async def run() -> None:
        async with crew() as of:
            episode = await opened(of)
            await episode.close()
            await episode.close()
            await episode.step(act("up"))

    with pytest.raises(Misuse, match="this episode is closed"):
        asyncio.run(run())
