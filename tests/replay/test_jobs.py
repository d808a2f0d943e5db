"""Several processes: whatever the batches and the shares, the lines are those of one, and what fails is said."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import msgspec
import pytest

from replay import jobs
from replay.dispatch import Result
from replay.document import to_document
from replay.pipeline import exchanges
from replay.source import recordings
from tests.build import Capture

GET = b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def encode(item: Result) -> bytes:
    return msgspec.json.encode(to_document(item))


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Connections recorded at both ends, turns that interleave, one that loses bytes, one that is not HTTP."""
    capture = Capture()
    process = capture.process(100)
    ends = [capture.pair(capture.process(300 + number), process, client_at=f"127.0.0.1:{50_000 + number}")
            for number in range(5)]  # fmt: skip
    sockets = [process.accept() for _ in range(40)]
    for turn in range(12):
        for pair in ends:
            pair.request(GET % turn).response(OK)
        for number, socket in enumerate(sockets):
            if number % 7 != turn % 7:
                socket.receive(GET % turn).send(OK)
    sockets[3].receive(GET % 50).lose(9).send(OK)
    process.accept().receive(b"\x16\x03\x01\x00\x05\x01hello").close()
    for each in (*ends, *sockets):
        each.close()
    return str(capture.write(tmp_path / "a.cap"))


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize(("batch", "patience"), [(1, 1), (3, 7), (256, 8192)])
def test_the_lines_are_those_of_one_process_however_they_are_shared(
    path: str, monkeypatch: pytest.MonkeyPatch, count: int, batch: int, patience: int
) -> None:
    monkeypatch.setattr(jobs, "BATCH", batch)
    monkeypatch.setattr(jobs, "PATIENCE", patience)
    one = [encode(item) for item in exchanges(recordings([path])[0])]
    assert len(one) > 400
    assert list(jobs.lines([path], "auto", encode, count)) == one


def test_what_a_worker_raises_is_raised_here(path: str) -> None:
    def fail(item: Result) -> bytes:
        raise ValueError(os.getpid())

    with pytest.raises(ValueError, match=r"\d+") as raised:
        list(jobs.lines([path], "auto", fail, 3))
    assert raised.value.args != (os.getpid(),), "no worker did any work"


def test_a_worker_that_dies_is_an_error_and_no_short_output(path: str) -> None:
    parent = os.getpid()

    def die(item: Result) -> bytes:
        if os.getpid() != parent:
            os._exit(1)
        return b""

    with pytest.raises(RuntimeError, match="a worker process ended"):
        list(jobs.lines([path], "auto", die, 3))


def test_no_process_is_left_when_the_reader_wants_no_more(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "BATCH", 1)
    lines = jobs.lines([path], "auto", encode, 3)
    next(lines)
    lines.close()
    assert not multiprocessing.active_children()
