"""What crosses between a judge and a solution, in one process: values, calls, handles, exceptions."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentevo.environments.sandbox.box import judge, wire
from agentevo.environments.sandbox.box.peer import Gone, Peer
from agentevo.environments.sandbox.box.plain import Unfit, decode, encode
from agentevo.environments.sandbox.box.remote import Remote, operate

moments = st.datetimes().map(lambda moment: moment.replace(fold=0))
numbers = st.integers() | st.floats() | st.complex_numbers() | st.decimals(allow_nan=False) | st.fractions()
scalars = st.none() | st.booleans() | numbers | st.text() | st.binary() | st.dates() | moments
keys = st.integers() | st.text() | st.tuples(st.integers(), st.text())
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(keys, inner) | st.frozensets(keys),
    max_leaves=12,
)


def refused(value: object) -> object:
    raise Unfit(f"{type(value).__name__} cannot cross")


@given(values)
def test_plain_values_survive_the_trip(value: object) -> None:
    back = decode(json.loads(json.dumps(encode(value, refused))), refused)
    assert type(back) is type(value)
    assert back == value or repr(back) == repr(value)


kinds = st.sampled_from(["int", "complex", "tuple", "set", "dict", "Decimal", "range", "bytes", "yours"])
names = st.sampled_from(["@", "v", "n"])
nonsense = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner) | st.dictionaries(names, inner | kinds),
)


@given(nonsense)
def test_whatever_a_solution_sends_is_a_plain_value_or_refused(sent: object) -> None:
    with contextlib.suppress(ValueError, TypeError, ArithmeticError):
        value = decode(sent, refused)
        assert repr(decode(encode(value, refused), refused)) == repr(value)  # nothing else could be sent on


class Lying(int):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = int.__hash__


def test_a_subclass_is_the_value_it_holds() -> None:
    assert type(encode(Lying(3), refused)) is int
    assert decode(encode({"a": (Lying(3), {Lying(1)})}, refused), refused) == {"a": (3, {1})}


@pytest.mark.parametrize("value", [object(), [object()], {1: print}])
def test_other_values_are_for_whoever_can_stand_for_them(value: object) -> None:
    with pytest.raises(Unfit, match="cannot cross"):
        encode(value, refused)


@contextmanager
def talking(act: Callable[[str, wire.Message], object]) -> Iterator[tuple[Peer, list[str]]]:
    """Give one end; the other does what `act` says, in a thread."""
    ours, theirs = socket.socketpair()
    notes: list[str] = []
    other = threading.Thread(target=Peer(theirs, act).serve)
    other.start()
    with ours, theirs:
        yield Peer(ours, partial(judge.act, noted=notes.append), notes.append), notes
        ours.shutdown(socket.SHUT_RDWR)
        other.join()


class Box:
    def __init__(self, value: int) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Box) and self.value == other.value

    def __len__(self) -> int:
        return self.value

    __hash__ = None  # type: ignore[assignment]


def solve(verb: str, fields: wire.Message) -> object:
    args, target, name = fields.get("args"), fields.get("target"), str(fields.get("name"))
    assert isinstance(args, list | None)
    match verb, name:
        case "get", _:
            return getattr(target, name)
        case "operate", _:
            return operate(target, name, args or [])
        case "ask", "box":
            return [Box(2), Box(2), Box(3), (n for n in range(2))]
        case "ask", "sort":
            assert isinstance(args, list)
            return args[0].sort()
        case "ask", "call back":
            assert isinstance(args, list)
            return args[0](4)
        case "ask", "end":
            raise StopIteration
        case "ask", "odd":
            raise type("Odd", (KeyError,), {})("why", 3)
    raise LookupError(name)


def test_objects_cross_as_handles_and_are_compared_by_their_owner() -> None:
    with talking(solve) as (peer, notes):
        found: Any = peer.ask("ask", name="box")
        first, second, third, numbers = found
        assert isinstance(found[0], Remote)
        assert (first.value, len(first), first == second, first == third) == (2, 2, True, False)
        assert notes == [f"{name} of a Box was decided by the solution" for name in ("__len__", "__eq__", "__eq__")]
        assert first != 2
        assert not (first == Box(2))  # noqa: SIM201 - that is the question
        assert list(numbers) == [0, 1]
        with pytest.raises(AttributeError, match="does not cross"):
            first._hidden  # noqa: B018
        with pytest.raises(TypeError, match="has no __getitem__"):
            first[0]
        with pytest.raises(TypeError):
            first < 3  # noqa: B015


def test_a_change_in_place_comes_back_and_is_noted() -> None:
    with talking(solve) as (peer, notes):
        values = [3, 1, 2]
        peer.ask("ask", name="sort", args=[values])
        assert (values, notes) == ([1, 2, 3], ["the solution changed an argument in place"])


def test_a_callback_is_called_where_it_is_from() -> None:
    with talking(solve) as (peer, _):
        assert peer.ask("ask", name="call back", args=[lambda n: n + 1]) == 5


@pytest.mark.parametrize("function", [eval, open, print, __import__])
def test_functions_of_the_interpreter_that_reach_out_are_not_called_back(function: object) -> None:
    with talking(solve) as (peer, _), pytest.raises(TypeError, match="cannot be used so"):
        peer.ask("ask", name="call back", args=[function])


def test_exceptions_cross_by_name_and_arguments() -> None:
    with talking(solve) as (peer, _):
        with pytest.raises(KeyError) as caught:
            peer.ask("ask", name="odd")
        assert (type(caught.value).__name__, caught.value.args) == ("Odd", ("why", 3))
        with pytest.raises(KeyError) as again:
            peer.ask("ask", name="odd")
        assert type(again.value) is type(caught.value)
        with pytest.raises(LookupError, match="nothing"):
            peer.ask("ask", name="nothing")


def test_the_end_of_an_iteration_ends_no_loop_of_the_tests() -> None:
    with talking(solve) as (peer, _), pytest.raises(RuntimeError, match="StopIteration was raised"):
        peer.ask("ask", name="end")


def test_a_side_that_ends_is_gone() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        theirs.close()
        with pytest.raises((Gone, BrokenPipeError)):
            Peer(ours, partial(judge.act, noted=print)).ask("ask", name="box")


@pytest.mark.parametrize(
    "data", [b"\xff\xff\xff\xff", b"\0\0\0\5[1,2]", b"\0\0\0\4nope", b"\0\0\0\x09{}", b"\0\0\0\2[]", b"\0\0"]
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises(wire.Broken):
            wire.receive(ours, 1000)


def test_a_message_over_the_limit_is_not_sent() -> None:
    with pytest.raises(wire.Broken, match="over the limit of 10"):
        wire.pack({"long": "x" * 20}, 10)
