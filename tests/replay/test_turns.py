"""Both directions of a socket come in the order of their times, although one had to be waited for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from replay.stream import Bytes, Eof
from replay.streams import SocketState, Step
from replay.turns import Turns, in_turn

RECEIVE, SEND = 1, 2


def said(socket: SocketState, direction: int, time: int) -> Step:
    return socket, direction, Bytes(time, time, b"x")


def test_what_one_direction_says_waits_for_the_hole_of_the_other() -> None:
    socket, turns = SocketState(1, 1, 0, 100), Turns[SocketState]()
    socket.send.held[7] = object()  # type: ignore[assignment]
    assert turns.take([said(socket, RECEIVE, 5)]) == []
    assert turns
    socket.send.held.clear()
    answer = said(socket, SEND, 3)
    assert [step[2] for step in turns.take([answer])] == [Bytes(3, 3, b"x"), Bytes(5, 5, b"x")]
    assert not turns


def test_a_hole_of_one_socket_does_not_stop_another() -> None:
    holed, other, turns = SocketState(1, 1, 0, 100), SocketState(2, 2, 0, 100), Turns[SocketState]()
    holed.send.held[7] = object()  # type: ignore[assignment]
    step = said(other, RECEIVE, 1)
    assert turns.take([said(holed, RECEIVE, 0), step]) == [step]


def test_that_a_socket_is_gone_comes_after_everything_that_it_said() -> None:
    socket, turns = SocketState(1, 1, 0, 100), Turns[SocketState]()
    socket.gone = True
    steps: list[Step] = [(socket, 0, None), (socket, SEND, Eof(0, 9, "close")), said(socket, RECEIVE, 2)]
    assert [step[2] for step in turns.take(steps)] == [Bytes(2, 2, b"x"), Eof(0, 9, "close"), None]


@given(st.lists(st.tuples(st.sampled_from([RECEIVE, SEND]), st.integers(0, 99)), max_size=30))
def test_a_direction_keeps_its_own_order_and_nothing_is_lost(events: list[tuple[int, int]]) -> None:
    socket = SocketState(1, 1, 0, 100)
    steps = [said(socket, direction, time) for direction, time in events]
    merged = in_turn(steps)
    for direction in (RECEIVE, SEND):
        assert [s for s in merged if s[1] == direction] == [s for s in steps if s[1] == direction]
