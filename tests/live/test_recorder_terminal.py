"""On a terminal one status line while it records; elsewhere, and with --quiet, not a byte of it."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import termios
from pathlib import Path

from fixtures import running
from tests.live import bench

SHOWN, HIDDEN = b"\x1b[?25h", b"\x1b[?25l"


def on_a_terminal(path: Path, *words: str) -> bytes:
    """What a terminal of 100 columns gets from a recorder of a talker that says 31 messages."""
    talker = bench.started(bench.talker(0))
    master, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 100))
    process = subprocess.Popen([*bench.command(), "-o", str(path), *words, "--pid", str(talker.pid)], stderr=terminal)
    os.close(terminal)
    bench.wait_for(path, process)
    bench.say(talker, 31)
    bench.sleep_a_flush()
    bench.sleep_a_flush()
    process.send_signal(bench.signal.SIGINT)
    said = b""
    try:
        while piece := os.read(master, 65536):
            said += piece
    except OSError:  # EIO: nobody holds the terminal any more
        os.close(master)
    assert process.wait(bench.TIMEOUT) == 0
    bench.stop(talker)
    return said


def test_the_status_line_tells_time_rate_size_ring_sockets_and_losses(tmp_path: Path) -> None:
    said = on_a_terminal(tmp_path / "x.cap")
    row = rb"0:00:0\d  [\d,]+ events/s  \d+\.\d KiB  ring \xe2\x89\xa4 \d+%  2 open  nothing lost"
    assert re.search(row, said), said
    last = said.rindex(b"\x1b[2K")  # the line is taken away before the summary
    assert b"events/s" not in said[last:]
    assert b"lost: nothing" in said[last:]
    assert said.rindex(SHOWN) > said.rindex(HIDDEN)


def test_the_cursor_is_there_while_it_records(tmp_path: Path) -> None:
    """So that one that is killed does not leave the terminal without it."""
    said = on_a_terminal(tmp_path / "x.cap")
    assert said.index(SHOWN) < said.index(b"events/s")


def test_quiet_says_nothing_on_a_terminal(tmp_path: Path) -> None:
    assert on_a_terminal(tmp_path / "x.cap", "--quiet") == b""


def test_without_a_terminal_there_is_the_summary_alone(tmp_path: Path) -> None:
    done = bench.capture("-o", str(tmp_path / "x.cap"), "--", *bench.talker(31))
    assert "\x1b" not in done.stderr
    assert "events/s" not in done.stderr
    assert all(line.startswith("ebpf-rec: ") for line in done.stderr.splitlines())


def test_the_summary_counts_what_is_in_the_file(tmp_path: Path) -> None:
    done = bench.capture("-o", str(tmp_path / "x.cap"), "--max-events", "5", "--", *bench.talker(31))
    assert "ebpf-rec: 5 events, " in done.stderr


def test_exchanges_are_shown_while_they_are_recorded(tmp_path: Path) -> None:
    """`ebpf-rec capture -o - | ebpf-replay - --follow`: the row of an exchange comes before the recording ends."""
    with running.python(tmp_path) as server:
        recorder = subprocess.Popen(
            [*bench.command(), "-o", "-", "--pid", str(server.pid)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        replay = subprocess.Popen(
            [running.tool("ebpf-replay"), "-", "--follow"], stdin=recorder.stdout, stdout=subprocess.PIPE, text=True
        )
        assert recorder.stdout is not None
        assert replay.stdout is not None
        recorder.stdout.close()
        assert replay.stdout.readline().startswith("ID ")
        with server.connect() as client:
            client.sendall(b"GET /hello-8919 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            while client.recv(65536):
                pass
        row = replay.stdout.readline()
        assert recorder.poll() is None
        recorder.send_signal(bench.signal.SIGINT)
        replay.communicate(timeout=bench.TIMEOUT)
        assert recorder.wait(bench.TIMEOUT) == 0
    assert "/hello-8919" in row
