"""Of a connection that was recorded at both ends, the end is shown that missed nothing; the server's where both did."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from capfile.event import Direction
from replay.exchange import Exchange
from replay.follow import Followed
from replay.pipeline import exchanges
from replay.source import recordings
from tests.build import BothEnds, Capture

GET = b"GET %b HTTP/1.1\r\nHost: h\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def spoken(capture: Capture, damage: Callable[[BothEnds], object] | None = None, port: int = 40000) -> BothEnds:
    """Three exchanges, before the second of which the damage is done."""
    ends = capture.pair(
        capture.process(1, comm="curl"), capture.process(2, comm="nginx"), client_at=f"127.0.0.1:{port}"
    )
    for number in range(3):
        ends.request(GET % b"/%d" % number)
        if number == 1 and damage is not None:
            damage(ends)
        else:
            ends.response(OK)
    return ends


def lost_by_server(ends: BothEnds) -> None:
    ends.server.lose(len(OK))
    ends.client.receive(OK)


def sent_from_a_file(ends: BothEnds) -> None:
    ends.server.send(OK[:-2]).sendfile(2, "/srv/two")
    ends.client.receive(OK)


def lost_by_client(ends: BothEnds) -> None:
    ends.server.send(OK)
    ends.client.lose(len(OK), Direction.RECEIVE)


def lost_by_both(ends: BothEnds) -> None:
    ends.server.lose(len(OK))
    ends.client.lose(len(OK), Direction.RECEIVE)


def shown(capture: Capture, folder: Path) -> list[tuple[str, str | None, bool]]:
    """(side, target, whether it is complete) of each exchange."""
    capture.write(folder / "a.cap")
    (recording,) = recordings([str(folder / "a.cap")])
    with closing(recording):
        return told(list(exchanges(recording)))


def told(found: list[object]) -> list[tuple[str, str | None, bool]]:
    return [(e.connection.side, e.request and e.request.target, e.complete) for e in found if isinstance(e, Exchange)]


def whole(side: str) -> list[tuple[str, str | None, bool]]:
    return [(side, f"/{number}", True) for number in range(3)]


@pytest.mark.parametrize(
    ("damage", "side"),
    [(None, "server"), (lost_by_server, "client"), (sent_from_a_file, "client"), (lost_by_client, "server")],
)
@pytest.mark.parametrize("closed", [True, False])
def test_the_end_that_missed_nothing_is_shown(
    tmp_path: Path, damage: Callable[[BothEnds], object] | None, side: str, closed: bool
) -> None:
    capture = Capture()
    ends = spoken(capture, damage)
    if closed:
        ends.close()
    assert shown(capture, tmp_path) == whole(side)


def test_where_both_missed_something_the_server_is_shown(tmp_path: Path) -> None:
    capture = Capture()
    spoken(capture, lost_by_both).close()
    assert {side for side, _, _ in shown(capture, tmp_path)} == {"server"}


def test_each_connection_is_decided_by_itself(tmp_path: Path) -> None:
    capture = Capture()
    spoken(capture, lost_by_server, 40001).close()
    spoken(capture, None, 40002).close()
    assert shown(capture, tmp_path) == whole("client") + whole("server")


@pytest.mark.parametrize("bound", ["replay.both_ends.MAX_HELD", "replay.connections.MAX_HELD_IN_BUCKET"])
def test_what_is_held_is_bounded_and_nothing_is_shown_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    """Decided after the first exchange, by what was missed so far: nothing."""
    monkeypatch.setattr(bound, 1)
    capture = Capture()
    spoken(capture, lost_by_server).close()
    found = shown(capture, tmp_path)
    assert [(side, target) for side, target, _ in found] == [("server", f"/{number}") for number in range(3)]
    assert [complete for _, _, complete in found] == [True, False, True]


def test_nothing_is_held_while_a_recording_grows(tmp_path: Path) -> None:
    capture = Capture()
    spoken(capture, lost_by_server).close()
    capture.write(tmp_path / "a.cap")
    followed = Followed(str(tmp_path / "a.cap"))
    assert [side for side, _, _ in told(list(exchanges(followed)))] == ["server"] * 3
