"""`ebpf-replay verify`: complete, or exactly what is missing."""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capfile.event import Direction, MarkCode, Reason
from capfile.frames import Chunk, Counters, End
from replay.cli import main
from replay.source import recordings
from replay.verify import Report, Verification
from tests.build import Capture, file_bytes, without
from tests.replay.test_pipeline import ask

Shown = tuple[int, dict[str, Any]]


@pytest.fixture
def verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[Capture | bytes], Shown]:
    """Exit status and JSON document of a capture."""

    def run(capture: Capture | bytes) -> Shown:
        path = tmp_path / "capture.cap"
        path.write_bytes(capture if isinstance(capture, bytes) else capture.bytes())
        status = main(["verify", "--json", str(path)])
        return status, json.loads(capsys.readouterr().out)

    return run


def simple() -> Capture:
    capture = Capture()
    ask(capture.process(100, comm="nginx").accept()).audit().close()
    return capture


Verify = Callable[[Capture | bytes], Shown]


def test_a_recording_without_losses_is_complete(verify: Verify) -> None:
    status, report = verify(simple())
    assert (status, report["complete"], report["missing"]) == (0, True, [])
    (connection,) = report["connections"]
    assert connection["balanced"]
    assert connection["received"] == {"captured": 30, "counted": 30, "end": "close"}


def test_lost_records_are_missing_to_the_byte_and_all_counts_agree(verify: Verify) -> None:
    capture = simple()
    capture.header = replace(capture.header, kernel="6.18.0")
    capture.process(100).accept().send(b"before").lose(1000).lose(24).send(b"after").audit().close()
    status, report = verify(capture)
    assert status == 1
    lost = report["connections"][1]["sent"]
    assert (lost["captured"], lost["gaps"], lost["counted"]) == (11, {"ring-full": 1024}, 1035)
    assert report["connections"][1]["balanced"]
    (data,) = [ring for ring in report["rings"] if ring["ring"] == "data"]
    assert (data["lost"], data["submit_failed"], data["perf_lost"], data["agree"]) == (2, 2, 2, True)


def test_records_lost_at_the_very_end_are_known_from_the_counters(verify: Verify) -> None:
    capture = Capture()
    capture.process(100).accept().send(b"before").lose(1000)
    status, report = verify(capture)
    assert status == 1
    assert [ring["lost"] for ring in report["rings"] if ring["ring"] == "data"] == [1]


def test_bytes_lost_at_the_end_of_an_open_socket_are_known_from_its_last_position(verify: Verify) -> None:
    capture = Capture()
    socket = capture.process(100).accept().send(b"before").lose(1000)
    capture.log.append(socket.as_frame())
    _, report = verify(capture)
    assert report["connections"][0]["sent"]["gaps"] == {"ring-full": 1000}


def test_count_read_when_the_recording_was_over_balances_an_open_socket(verify: Verify) -> None:
    capture = Capture()
    socket = capture.process(100).accept().receive(b"question").send(b"answer")
    capture.log.append(socket.as_frame(counted_by=1))
    status, report = verify(capture)
    assert (status, report["verdict"], report["proven"], report["uncounted"]) == (0, "complete", True, 0)
    assert report["connections"][0]["sent"] == {"captured": 6, "counted": 6, "end": "end-of-capture"}


def test_process_s_exit_does_not_hide_the_count_that_the_kernel_gives_afterwards(verify: Verify) -> None:
    capture = Capture()
    server = capture.process(100)
    socket = server.accept().send(b"answer").lose(100)
    server.exit()
    socket.audit().close()
    _, report = verify(capture)
    (connection,) = report["connections"]
    assert connection["balanced"]
    assert connection["sent"]["counted"] == 106
    assert connection["sent"]["gaps"] == {"ring-full": 100}


def test_socket_all_of_whose_events_were_lost_is_missing_by_its_last_count(verify: Verify) -> None:
    capture = Capture()
    socket = capture.process(100).accept().send(b"answer")
    capture.log[:] = [socket.as_frame(counted_by=1)]
    status, report = verify(capture)
    assert status == 1
    assert report["connections"][0]["sent"]["gaps"] == {"unknown": 6}
    assert report["connections"][0]["balanced"]


def test_later_segment_by_itself_is_compared_from_where_it_begins(verify: Verify) -> None:
    capture = Capture()
    capture.header = replace(capture.header, segment=1)
    socket = capture.process(100).accept().send(b"before")
    capture.log[:] = [socket.as_frame()]
    socket.send(b"after").audit().close()
    _, report = verify(capture)
    (connection,) = report["connections"]
    assert (connection["sent"]["captured"], connection["sent"]["counted"]) == (5, 5)


def test_complete_is_qualified_where_the_kernel_did_not_count(verify: Verify) -> None:
    capture = simple()
    capture.process(100).accept().send(b"uncounted").close()
    status, report = verify(capture)
    assert (status, report["verdict"]) == (0, "complete as far as the kernel counted")
    assert (report["complete"], report["proven"], report["uncounted"]) == (True, False, 1)


def test_file_that_no_kernel_counted_is_complete_as_far_as_it_tells(verify: Verify) -> None:
    capture = Capture()
    ask(capture.process(100).accept()).close()
    status, report = verify(capture)
    assert (status, report["verdict"]) == (0, "complete as far as the file itself tells")
    assert not report["proven"]


@pytest.mark.parametrize("counter", ["data_lost", "rings"])
def test_counts_that_contradict_each_other_are_said(verify: Verify, counter: str) -> None:
    capture = simple()
    capture.header = replace(capture.header, kernel="6.18.0")
    frames = capture.frames()
    (at,) = [number for number, frame in enumerate(frames) if isinstance(frame, Counters)]
    counters = frames[at]
    assert isinstance(counters, Counters)
    if counter == "rings":
        data = [[row[0], row[1] + 1] for row in counters.rings["data"]]
        frames[at] = replace(counters, rings={**counters.rings, "data": data})
    else:
        frames[at] = replace(counters, counters={**counters.counters, counter: [1]})
    status, report = verify(file_bytes(frames))
    assert status == 1
    assert [ring["agree"] for ring in report["rings"] if ring["ring"] == "data"] == [False]


def with_counter(capture: Capture, name: str, value: int) -> bytes:
    frames = [
        replace(frame, counters={**frame.counters, name: [value]}) if isinstance(frame, Counters) else frame
        for frame in capture.frames()
    ]
    return file_bytes(frames)


def test_a_call_without_a_place_is_missing_though_every_count_agrees(verify: Verify) -> None:
    assert verify(simple())[0] == 0
    status, report = verify(with_counter(simple(), "unplaced_calls", 2))
    assert (status, report["missing"]) == (1, ["2 calls whose bytes could not be given a place"])


def test_nothing_is_proven_where_the_kernel_left_out_runs(verify: Verify) -> None:
    status, report = verify(with_counter(simple(), "runs_left_out", 3))
    assert (status, report["complete"], report["proven"], report["left_out"]) == (0, True, False, 3)
    assert report["verdict"] == "complete as far as the kernel counted"


@pytest.mark.parametrize("reason", [Reason.SENDFILE, Reason.SNAPLEN, Reason.IO_URING, Reason.FAULT])
def test_what_the_kernel_program_left_out_is_missing_by_its_reason(verify: Verify, reason: Reason) -> None:
    capture = Capture()
    capture.process(100).accept().send(b"head").gap(500, reason).audit().close()
    status, report = verify(capture)
    assert status == 1
    assert report["totals"]["gaps"] == {reason.label: 500}
    assert report["connections"][0]["balanced"]


def test_bytes_that_only_the_kernel_counted_are_missing(verify: Verify) -> None:
    capture = Capture()
    capture.process(100).accept().send(b"12345").audit(sent=8).close()
    status, report = verify(capture)
    assert status == 1
    assert report["connections"][0]["sent"]["gaps"] == {"unknown": 3}


def test_more_captured_than_the_kernel_counted_does_not_balance(verify: Verify) -> None:
    capture = Capture()
    capture.process(100).accept().send(b"12345").audit(sent=4).close()
    status, report = verify(capture)
    assert status == 1
    assert report["connections"][0]["balanced"] is False


def test_the_kernels_count_is_heard_though_both_directions_ended_before_it(verify: Verify) -> None:
    capture = Capture()
    capture.process(100).accept().receive(b"ask").send(b"answer").lose(7).eof().shutdown().audit().close()
    capture.process(100).accept().receive(b"ask").send(b"answer").eof().shutdown().audit().close()
    _, report = verify(capture)
    first, second = report["connections"]
    assert (first["sent"]["gaps"], first["balanced"]) == ({"ring-full": 7}, True)
    assert (second["complete"], second["balanced"]) == (True, True)


def test_a_file_without_its_end_is_cut_and_a_flipped_bit_is_damage(verify: Verify) -> None:
    capture = Capture(drain_every=2)
    ask(ask(capture.process(100).accept())).close()
    status, report = verify(capture.bytes(end=False))
    assert (status, report["files"][0]["state"]) == (1, "cut")
    frames = capture.frames()
    number = next(n for n, frame in enumerate(frames) if isinstance(frame, Chunk) and frame.ring == 0)
    status, report = verify(without(frames, number))
    assert (status, report["files"][0]["state"]) == (1, "damaged")
    assert report["totals"]["gaps"].get("damaged", 0) > 0


def test_a_blind_spot_is_missing_unless_the_kernel_counted_every_connection(verify: Verify) -> None:
    audited, unaudited = simple(), Capture()
    process = unaudited.process(100)
    ask(process.accept()).close()
    process.mark(MarkCode.IO_URING)
    audited.process(100).mark(MarkCode.IO_URING)
    assert verify(unaudited)[0] == 1
    status, report = verify(audited)
    assert (status, report["marks"]) == (0, {"io-uring": 1})


def test_a_missing_segment_between_others_is_said(tmp_path: Path) -> None:
    capture = simple()
    names = []
    for segment in (0, 2):
        frames = [replace(capture.header, segment=segment), End(time=1, frames=2, next_segment=segment == 0)]
        path = tmp_path / f"{segment}.cap"
        path.write_bytes(file_bytes(list(frames)))
        names.append(str(path))
    report = verified(names)
    assert "segments 1 to 1 of the recording are not here" in report.missing


def verified(names: list[str]) -> Report:
    verification = Verification(recordings(names)[0])
    for _ in verification.accounts():
        pass
    return verification.report()


def test_the_text_says_the_same_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capture = Capture()
    capture.process(100, comm="nginx").accept().send(b"before").lose(1000).send(b"after").audit().close()
    path = capture.write(tmp_path / "a.cap")
    assert main(["verify", str(path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "connection 1, nginx[100], 127.0.0.1:80 with 127.0.0.1:40000:"
    assert (
        lines[1] == "  sent: 11 of 1,011 bytes captured; missing: ring-full 1,000; the kernel counted 1,011: balanced"
    )
    assert lines[2].startswith("incomplete: 1 connection, 1 of them counted by the kernel too; 11 bytes captured")
    assert main(["verify", str(simple().write(path))]) == 0
    assert capsys.readouterr().out.startswith("complete: ")
    path.write_bytes(with_counter(simple(), "runs_left_out", 1))
    assert main(["verify", str(path)]) == 0
    _, line = capsys.readouterr().out.splitlines()
    assert line == "  not counted: 1 run of the kernel program, for whatever process, that the kernel left out"


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 1 << 32))
def test_what_is_lost_is_exactly_what_verify_says(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    """Random traffic of which the ring loses a random part, on random CPUs."""
    chance = random.Random(seed)
    capture = Capture(drain_every=chance.randint(1, 20), perf_lost=chance.random() < 0.5)
    capture.spread(lambda _: chance.randrange(3))
    sockets = [capture.process(pid).accept() for pid in (100, 200)]
    lost = {(socket.generation, way): 0 for socket in sockets for way in (Direction.RECEIVE, Direction.SEND)}
    for _ in range(30):
        socket, way = chance.choice(sockets), chance.choice([Direction.RECEIVE, Direction.SEND])
        size = chance.randint(1, 100)
        if chance.random() < 0.3:
            socket.lose(size, way)
            lost[socket.generation, way] += size
        else:
            (socket.send if way == Direction.SEND else socket.receive)(bytes(size))
    for socket in sockets:
        socket.audit().close()
    path = capture.write(tmp_path_factory.mktemp("verify") / "a.cap")
    verification = Verification(recordings([str(path)])[0])
    for account in verification.accounts():
        number = int(account.id)
        assert account.balanced
        assert account.received.missing == lost[number, Direction.RECEIVE]
        assert account.sent.missing == lost[number, Direction.SEND]
    assert verification.report().complete == (not any(lost.values()))
