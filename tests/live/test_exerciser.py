"""Every system call and flag that moves bytes through a socket, on TCP and Unix sockets, recorded and compared.

The exerciser (exerciser/*.c) moves bytes that are a function of stream and position, and logs what it moved by which
call; the recording must hold the same bytes at the same positions, and gaps of the same size for the same reason.
All of it in each way that the kernel allows: with its count of each call; with classic tracepoints, as from 7.0 on; and
as before 6.3, without that count: what is not known there is a table, exercised.OLDER_LACKS.
"""

from __future__ import annotations

import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from capfile.event import Flag, Kind, MarkCode
from tests.live.exercised import (
    CAPTURE,
    MODES,
    SECONDS,
    Exercised,
    Flow,
    Log,
    Recording,
    Run,
    build,
    capture_command,
    exercise,
    joined,
    lacks,
)

AF_UNIX = 1
FAMILIES = {AF_UNIX, 2, 10}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exerciser")


@pytest.fixture(scope="module")
def program(folder: Path) -> Path:
    return build(folder)


@pytest.fixture(scope="module", params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def everything(program: Path, folder: Path, mode: str) -> Exercised:
    return exercise(program, folder, "all", mode)


@pytest.fixture(scope="module")
def stress(program: Path, folder: Path, mode: str) -> Exercised:
    return exercise(program, folder, "stress", mode)


def taken_for_another(exercised: Exercised) -> set[int]:
    """Sockets whose bytes may stand under another's name."""
    noted = {socket for socket, notes in exercised.log.notes.items() if "reused-while-blocked" in notes}
    return noted if "reused-while-blocked" in exercised.lacks else set()


def told(flow: Flow, exercised: Exercised) -> Flow:
    """What of a flow some call told of."""
    if "io-uring" not in exercised.lacks:
        return flow
    seen, at = Flow(), 0
    for run in flow.runs:
        if run.kind != "io-uring":
            moved = at - run.start
            seen.runs.append(Run(run.kind, at, at + run.end - run.start))
            inside = [(place, part) for place, part in flow.content if run.start <= place < run.end]
            seen.content += [(place + moved, part) for place, part in inside]
            at = seen.runs[-1].end
    seen.runs = joined(seen.runs)
    return seen


def assert_same(exercised: Exercised) -> None:
    """Every flow of the log stands in the recording: the same runs of bytes and gaps, the same bytes."""
    log, recording, _ = exercised
    assert len(log.flows) > 1
    assert not recording.twice
    elsewhere = taken_for_another(exercised)
    for key in (key for key in log.flows if key[0] not in elsewhere):
        found, expected = recording.flows[key], told(log.flows[key], exercised)
        assert parting(found.runs, expected.runs) is None, key
        where = parting(known_bytes(found.runs, found.content), known_bytes(expected.runs, expected.content))
        assert where is None, key
    recorded, received = (
        sum(flow.total for (socket, _), flow in flows.items() if socket in elsewhere)
        for flows in (recording.flows, log.flows)
    )
    assert recorded == received


def known_bytes(runs: list[Run], content: list[tuple[int, bytes]]) -> bytes:
    whole = bytearray(runs[-1].end if runs else 0)
    for position, part in content:
        whole[position : position + len(part)] = part
    for run in runs:
        if run.kind != "data":
            whole[run.start : run.end] = bytes(run.end - run.start)
    return bytes(whole)


def parting(found: Sequence[Any], expected: Sequence[Any]) -> tuple[int, Sequence[Any], Sequence[Any]] | None:
    """Where two flows begin to differ, and how; pytest's own picture of unequal megabytes takes gigabytes to draw."""
    if found == expected:
        return None
    pairs = enumerate(zip(found, expected, strict=False))
    at = next((place for place, (one, other) in pairs if one != other), min(len(found), len(expected)))
    return at, found[at : at + 16], expected[at : at + 16]


def only_counted(exercised: Exercised, socket: int, direction: str) -> int:
    """Bytes that the kernel counts on a socket although no call tells of them."""
    log, _, lacks = exercised
    runs = log.flows[socket, direction].runs if (socket, direction) in log.flows else []
    hidden = sum(run.end - run.start for run in runs if run.kind == "io-uring") if "io-uring" in lacks else 0
    urgent = "urgent" in lacks and direction == "receive" and "urgent" in log.notes.get(socket, ())
    return hidden + int(urgent)


def assert_balanced(exercised: Exercised) -> None:
    """Captured and gaps together are what the kernel counted, in both directions of every socket that ended."""
    recording, elsewhere = exercised.recording, taken_for_another(exercised)
    assert recording.audits
    for socket, counted in recording.audits.items():
        if socket not in elsewhere:
            for direction, count in zip(("receive", "send"), counted, strict=True):
                held = recording.flows[socket, direction].total
                assert held + only_counted(exercised, socket, direction) == count, (socket, direction)


def test_every_call_is_recorded_byte_for_byte_or_as_a_gap_of_its_size_and_reason(everything: Exercised) -> None:
    assert_same(everything)


def test_every_reason_for_a_gap_was_met(everything: Exercised) -> None:
    kinds = {run.kind for flow in everything[0].flows.values() for run in flow.runs}
    assert kinds >= {"data", "sendfile", "splice", "msg-trunc", "fault", "size-limit", "message-limit"}


def test_nothing_else_was_recorded_than_what_the_exerciser_moved(everything: Exercised) -> None:
    log, recording, _ = everything
    elsewhere = taken_for_another(everything)
    moved = {key for key in log.flows if told(log.flows[key], everything).runs and key[0] not in elsewhere}
    assert {key for key, flow in recording.flows.items() if flow.total and key[0] not in elsewhere} == moved


def test_captured_and_gaps_are_what_the_kernel_counted_on_each_socket(everything: Exercised) -> None:
    assert_balanced(everything)


def test_tcp_call_that_the_kernel_s_counters_contradict_is_flagged(everything: Exercised) -> None:
    """On older kernels: a call whose descriptor was another's when it returned."""
    _, recording, lacks = everything
    unsure = {socket for (socket, _), flags in recording.flow_flags.items() if flags & Flag.IDENTITY_UNSURE}
    taken = {socket for socket in taken_for_another(everything) if recording.facts[socket].family != AF_UNIX}
    assert bool(unsure) == bool(taken) == ("reused-while-blocked" in lacks)
    assert bool(unsure & taken) == bool(taken)


def test_each_socket_has_one_generation_and_its_family(everything: Exercised) -> None:
    log, recording, _ = everything
    sockets = {socket for socket, _ in log.flows}
    assert {recording.facts[socket].family for socket in sockets} == FAMILIES
    assert all(len(recording.generations[socket]) == 1 for socket in sockets)
    every = [generation for socket in sockets for generation in recording.generations[socket]]
    assert len(every) == len(set(every))


def test_both_ends_of_a_tcp_connection_name_each_other_s_address(everything: Exercised) -> None:
    """Ends are pairs of addresses: the kernel may give one local port to connections that go to different places."""
    inet = [facts for facts in everything[1].facts.values() if facts.family in (2, 10)]
    ends = {((f.local_address, f.local_port), (f.remote_address, f.remote_port)) for f in inet}
    assert len(inet) > 20
    assert all((remote, local) in ends for local, remote in ends)


def test_unix_connection_s_accepted_end_names_the_other_s_inode(everything: Exercised) -> None:
    """The connecting end has no peer with an inode before the other is accepted; the ends of a pair have."""
    recording = everything[1]
    unix = {socket: facts for socket, facts in recording.facts.items() if facts.family == 1}
    naming = [socket for socket in unix if recording.flags[socket] & (Flag.ACCEPTED | Flag.PAIR)]
    assert len(naming) > 20
    assert all(unix[unix[socket].peer_socket].peer_socket in (0, socket) for socket in naming)


def test_socket_says_how_the_process_came_to_it(everything: Exercised) -> None:
    log, recording, _ = everything
    origins = Flag.ACCEPTED | Flag.CONNECTED | Flag.PAIR | Flag.JOINED
    for socket, _ in log.flows:
        assert (recording.flags[socket] & origins).bit_count() == 1
        assert not recording.flags[socket] & Flag.JOINED


def test_end_of_each_socket_is_told_once(everything: Exercised) -> None:
    log, recording, lacks = everything
    closed = [socket for socket, notes in log.notes.items() if "closed" in notes]
    uncounted = {socket for socket in closed if "unix-audit" in lacks and recording.facts[socket].family == AF_UNIX}
    assert len(closed) > 50
    assert all(recording.ends[socket].count(Kind.CLOSE) == 1 for socket in closed)
    assert all(recording.ends[socket].count(Kind.AUDIT) == int(socket not in uncounted) for socket in closed)


def test_receive_that_returned_nothing_is_an_end_only_where_the_peer_had_ended(everything: Exercised) -> None:
    log, recording, _ = everything
    ended = {socket for socket, notes in log.notes.items() if "eof" in notes}
    recorded = {socket for (socket, _), flags in recording.flow_flags.items() if flags & Flag.EOF}
    assert ended == recorded
    assert ended


def test_shutdown_is_told(everything: Exercised) -> None:
    log, recording, _ = everything
    halves = [socket for socket, notes in log.notes.items() if "shutdown-send" in notes]
    assert halves
    assert all(Kind.SHUTDOWN in recording.ends[socket] for socket in halves)


def test_blind_spots_are_marked_once_each(everything: Exercised) -> None:
    log, recording, _ = everything
    names = {"mark-io-uring": MarkCode.IO_URING, "mark-compat": MarkCode.COMPAT, "mark-zerocopy": MarkCode.ZEROCOPY}
    marks = [code for socket, code in recording.marks if socket == 0]
    assert sorted(marks) == sorted(names[name] for name in log.process)
    ktls = {socket for socket, notes in log.notes.items() if "ktls" in notes}
    assert {socket for socket, code in recording.marks if code == MarkCode.KTLS} == ktls


def test_bytes_of_32_bit_and_zero_copy_calls_carry_their_flag(everything: Exercised) -> None:
    log, recording, _ = everything
    if "mark-compat" in log.process:
        assert any(flags & Flag.COMPAT for flags in recording.flow_flags.values())
    copied = {(socket, "send") for socket, notes in log.notes.items() if "zerocopy" in notes}
    assert {key for key, flags in recording.flow_flags.items() if flags & Flag.ZEROCOPY} == copied


def test_gap_of_sendfile_names_the_file(everything: Exercised) -> None:
    assert everything[1].names == {"memfd:exerciser-body"}


def test_no_call_was_left_without_a_place_and_no_map_was_full(everything: Exercised, stress: Exercised) -> None:
    unsure = {"identity_unsure"} if "reused-while-blocked" in everything.lacks else set()
    for _, recording, _ in (everything, stress):
        trouble = {name: value for name, value in recording.counters.items() if value and "sockets_" not in name}
        assert set(trouble) <= {"gap_bytes", "faults"} | unsure


def test_what_was_there_before_the_recording_is_joined_in_the_middle(program: Path, folder: Path, mode: str) -> None:
    """A connection with bytes behind it, a receive that was already blocked, a listener that was already open."""
    output, log = folder / f"early-{mode}.cap", folder / f"early-{mode}.log"
    command = [str(program), str(log), "early"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as exerciser:
        assert exerciser.stdin
        assert exerciser.stdout
        assert exerciser.stdout.readline() == "ready\n"
        recorder = subprocess.Popen([*capture_command(mode), "-o", str(output), "--pid", str(exerciser.pid)])
        deadline = time.monotonic() + SECONDS
        while not output.exists():
            assert recorder.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        exerciser.stdin.write("go\n")
        exerciser.stdin.flush()
        assert exerciser.wait(SECONDS) == 0
        recorder.terminate()
        assert recorder.wait(SECONDS) == 0
    exercised = Exercised(Log.read(log), Recording.read(output), lacks(mode))
    assert_same(exercised)
    assert_balanced(exercised)
    joined = {socket for socket, notes in exercised[0].notes.items() if "joined" in notes}
    assert len(joined) == 3
    assert all(exercised[1].flags[socket] & Flag.JOINED for socket in joined)


def test_thousands_of_short_and_hundreds_of_parallel_connections_are_recorded_whole(stress: Exercised) -> None:
    log, recording, lacks = stress
    if "shared-place" not in lacks:
        assert_balanced(stress)
    whole = [(key, flow) for key, flow in log.flows.items() if flow.content]
    assert len(whole) == 2 * 2 * 10_007 + 2 * 503
    for key, expected in whole:
        assert recording.flows[key].runs == expected.runs, key
        assert parting(recording.flows[key].bytes(), expected.bytes()) is None, key


def test_threads_that_share_a_socket_lose_no_byte(stress: Exercised) -> None:
    """The two ends were shared by four threads each: what the one end recorded is what the other did, byte for byte in
    number. In which order the kernel served calls that were under way at once, no hook outside its locks can prove."""
    log, recording, lacks = stress
    shared = [key for key, flow in log.flows.items() if flow.runs[0].kind == "total"]
    assert shared
    assert recording.twice <= (set(shared) if "shared-place" in lacks else set())
    for sent, received in zip(shared[::2], shared[1::2], strict=True):
        flows = recording.flows[sent].bytes(), recording.flows[received].bytes()
        assert [len(flow) for flow in flows] == [log.flows[sent].total] * 2
        assert Counter(flows[0]) == Counter(flows[1])


LIMITED = [("--snaplen=1000", 1000, "snaplen"), ("--turn-limit=2000", 2000, "turn-limit")]


@pytest.mark.parametrize(("option", "limit", "reason"), LIMITED)
def test_limit_of_bytes_leaves_a_gap_of_the_rest(option: str, limit: int, reason: str, tmp_path: Path) -> None:
    code = "import socket; a, b = socket.socketpair(); a.sendall(b'x' * 5003); b.recv(9000)"
    output = tmp_path / "limited.cap"
    command = [*CAPTURE, option, "-o", str(output), "--", "python3", "-c", code]
    subprocess.run(command, check=True, timeout=SECONDS)
    flows = [flow for flow in Recording.read(output).flows.values() if flow.total]
    assert len(flows) == 2
    assert all(flow.runs == [Run("data", 0, limit), Run(reason, limit, 5003)] for flow in flows)


MANY_LARGE = """
import os, socket, threading
a, b = socket.socketpair()
reader = threading.Thread(target=lambda: [None for _ in iter(lambda: b.recv(1 << 20), b"")])
reader.start()
assert os.writev(a.fileno(), [bytes(17_000)] * 1024) == 17_408_000
a.close()
reader.join()
"""


def test_call_with_more_and_larger_iovecs_than_the_loop_reaches_ends_in_a_gap_of_that_reason(tmp_path: Path) -> None:
    """1,024 iovecs that take three steps each are more than the loop's 2,244 steps."""
    output = tmp_path / "iovecs.cap"
    subprocess.run([*CAPTURE, "-o", str(output), "--", "python3", "-c", MANY_LARGE], check=True, timeout=SECONDS)
    sent = next(flow for (_, way), flow in Recording.read(output).flows.items() if way == "send" and flow.total)
    assert [run.kind for run in sent.runs] == ["data", "iovec-limit"]
    assert sent.total == 17_408_000
    assert sent.runs[0].end > 10_000_000
