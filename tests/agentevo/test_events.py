"""Events reach those who listen where they happen, and nobody else."""

from __future__ import annotations

import asyncio

from pydantic import TypeAdapter

from agentevo.events import Added, Ended, Event, Learned, Piece, Started, Trained, Turned, is_heard, listening, tell
from agentevo.types import Attempt, Op, Report, Task

TASK = Task(id="t", prompt="do")


def test_what_is_told_reaches_those_who_listen() -> None:
    heard: list[Event] = []
    tell(Piece(attempt="a", text="lost"))
    with listening(heard.append):
        tell(Piece(attempt="a", text="kept"))
    tell(Piece(attempt="a", text="lost"))
    assert heard == [Piece(attempt="a", text="kept")]


def test_listeners_inside_one_another_all_hear() -> None:
    outer: list[Event] = []
    inner: list[Event] = []
    with listening(outer.append), listening(inner.append):
        tell(Started(attempt="a", task=TASK))
    assert outer == inner == [Started(attempt="a", task=TASK)]


def test_a_listener_hears_the_tasks_started_inside_and_no_others() -> None:
    async def listener(name: str) -> list[Event]:
        heard: list[Event] = []
        with listening(heard.append):
            await asyncio.create_task(speaker(name))
        return heard

    async def speaker(name: str) -> None:
        await asyncio.sleep(0)
        tell(Piece(attempt=name, text="here"))

    async def both() -> tuple[list[Event], list[Event]]:
        return await asyncio.gather(listener("a"), listener("b"))

    assert list(asyncio.run(both())) == [[Piece(attempt="a", text="here")], [Piece(attempt="b", text="here")]]


def test_it_is_known_whether_anybody_listens() -> None:
    assert not is_heard()
    with listening(lambda event: None):
        assert is_heard()


def test_who_has_no_use_for_pieces_hears_the_rest() -> None:
    heard: list[Event] = []
    with listening(heard.append, pieces=False):
        assert is_heard()
        assert not is_heard(pieces=True)
        tell(Piece(attempt="a", text="hi"))
        tell(Started(attempt="a", task=TASK))
        with listening(lambda event: None):
            assert is_heard(pieces=True)
    assert heard == [Started(attempt="a", task=TASK)]


def test_events_come_back_from_json_as_what_they_were() -> None:
    events: list[Event] = [
        Started(attempt="a", task=TASK),
        Piece(attempt="a", text="hi"),
        Added(attempt="a", message={"role": "user", "content": "hi"}),
        Ended(attempt=Attempt(id="a", task=TASK)),
        Learned(policy="Insert()", ops=(Op(verb="forget", id="x"),)),
        Trained(adapter="a", step=1, steps=2, loss=0.5),
        Turned(round=0, report=Report()),
    ]
    adapter: TypeAdapter[list[Event]] = TypeAdapter(list[Event])
    assert adapter.validate_json(adapter.dump_json(events)) == events
