"""`--follow`: exchanges of a recording that is still being written, as they end."""

import os
import random
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capfile.frames import End
from replay import follow
from replay.cli import main
from replay.document import to_document
from replay.events import ordered
from replay.follow import Followed, Turns
from replay.ledger import Ledger
from replay.pipeline import exchanges
from tests.build import Capture, file_bytes
from tests.replay.test_pipeline import ask


def busy(seed: int) -> Capture:
    """Connections on random CPUs, drained now and then."""
    chance = random.Random(seed)
    capture = Capture(drain_every=chance.randint(1, 30)).spread(lambda _: chance.randrange(4))
    sockets = [capture.process(100 + number).accept() for number in range(4)]
    for number in range(40):
        ask(chance.choice(sockets), b"/%d" % number)
    for socket in sockets:
        socket.close()
    return capture


@settings(deadline=None, max_examples=80)
@given(seed=st.integers(0, 1 << 32))
def test_what_the_turns_of_the_drain_prove_is_enough_to_put_events_in_order(seed: int) -> None:
    """Without looking ahead; a chunk's events are never older than the turn before the one before it."""
    frames = busy(seed).frames()
    times = [item.time for item in ordered(frames, Turns(), Ledger())]
    assert times == sorted(times)


def test_a_growing_file_is_followed_to_its_end(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    data = busy(1).bytes()
    path = tmp_path / "a.cap"
    path.write_bytes(data[:500])
    writer = threading.Thread(target=_append, args=(path, data, 500))
    writer.start()
    assert main([str(path), "--follow", "--format", "jsonl"]) == 0
    writer.join()
    assert len(capsysbinary.readouterr().out.splitlines()) == 40


def _append(path: Path, data: bytes, start: int) -> None:
    with path.open("ab") as file:
        for at in range(start, len(data), 3000):
            time.sleep(0.02)
            file.write(data[at : at + 3000])
            file.flush()


def test_an_exchange_is_there_before_the_recording_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """… and silence lets it go: no later turn of the drain has to come."""
    monkeypatch.setattr(follow, "QUIET_SECONDS", 0.1)
    capture = Capture()
    ask(capture.process(100).accept())
    path = tmp_path / "a.cap"
    path.write_bytes(capture.bytes(end=False))
    items = exchanges(Followed(str(path)))
    assert to_document(next(items)).id == "1-1"


def test_a_followed_recording_goes_on_in_its_next_segment(tmp_path: Path) -> None:
    capture = Capture(drain_every=1)
    ask(ask(capture.process(100).accept(), b"/a"), b"/b").close()
    frames = capture.frames()
    cut = len(frames) // 2
    path = tmp_path / "a.cap"
    path.write_bytes(file_bytes([*frames[:cut], End(time=1, frames=cut + 1, next_segment=True)]))

    def rotate() -> None:
        time.sleep(0.2)
        os.rename(path, tmp_path / "a.0.cap")
        path.write_bytes(file_bytes([capture.header, *frames[cut:]]))

    rotation = threading.Thread(target=rotate)
    rotation.start()
    assert [item.id for item in map(to_document, exchanges(Followed(str(path))))] == ["1-1", "1-2"]
    rotation.join()


def test_a_pipe_is_followed(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    writer = threading.Thread(target=fifo.write_bytes, args=(busy(2).bytes(),))
    writer.start()
    assert main([str(fifo), "--follow", "--format", "jsonl"]) == 0
    writer.join()
    assert len(capsysbinary.readouterr().out.splitlines()) == 40


def test_a_pipe_that_is_not_followed_is_read_whole(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    writer = threading.Thread(target=fifo.write_bytes, args=(busy(2).bytes(),))
    writer.start()
    assert main([str(fifo), "--format", "jsonl"]) == 0
    writer.join()
    assert len(capsysbinary.readouterr().out.splitlines()) == 40


def test_what_is_no_capture_is_said_when_it_is_followed_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"just some text\n" * 100)
    assert main([str(path), "--follow"]) == 3
    assert main([str(path), str(path), "--follow"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2
