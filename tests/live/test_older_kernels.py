"""Kernels before 6.3 count no socket call by a tracepoint: the descriptor table names the socket, tcp_sock counts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from capfile.event import Flag
from tests.live.exercised import Log, Recording, Run, build, exercise

OLDER = [sys.executable, "-I", str(Path(__file__).parent / "older.py"), "capture", "--quiet"]
IO_URING_BYTES = 1500
Exercised = tuple[Log, Recording]


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Exercised:
    folder = tmp_path_factory.mktemp("older")
    return exercise(build(folder), folder, "all", capture=OLDER)


def ordinary(log: Log) -> list[tuple[int, str]]:
    """The flows of sockets that neither io_uring nor a descriptor reused during a call has touched."""
    reused = {socket for socket, notes in log.notes.items() if "reused-while-blocked" in notes}
    hidden = {socket for (socket, _), flow in log.flows.items() if any(run.kind == "io-uring" for run in flow.runs)}
    return [key for key in log.flows if key[0] not in reused | hidden]


def test_ordinary_calls_are_recorded_byte_for_byte_as_on_newer_kernels(older: Exercised) -> None:
    log, recording = older
    keys = ordinary(log)
    assert len(keys) > 80
    for key in keys:
        assert recording.flows[key].runs == log.flows[key].runs, key
        if all(run.kind == "data" for run in log.flows[key].runs):
            assert recording.flows[key].bytes() == log.flows[key].bytes(), key


def test_counters_of_tcp_sockets_agree_but_for_what_only_they_have_seen(older: Exercised) -> None:
    """io_uring's bytes, the urgent byte that a receiver skips, and a call that was taken for another socket's."""
    recording = older[1]
    differing = set()
    for socket, (received, sent) in recording.audits.items():
        differing |= {
            received - recording.flows[socket, "receive"].total,
            sent - recording.flows[socket, "send"].total,
        }
    assert differing == {0, 1, IO_URING_BYTES, -16}
    assert {recording.facts[socket].family for socket in recording.audits} == {2, 10}


def test_call_whose_descriptor_was_reused_while_it_was_blocked_is_flagged(older: Exercised) -> None:
    log, recording = older
    taken_for = [socket for socket, notes in log.notes.items() if "reused-while-blocked" in notes]
    tcp = [socket for socket in taken_for if recording.facts[socket].family != 1]
    flagged = {socket for (socket, _), flags in recording.flow_flags.items() if flags & Flag.IDENTITY_UNSURE}
    assert set(tcp) & flagged


def test_gap_of_a_whole_call_has_its_size_here_too(older: Exercised) -> None:
    runs = [run for flow in older[1].flows.values() for run in flow.runs]
    assert Run("sendfile", 0, 300_000) in runs
