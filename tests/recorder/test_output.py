"""Where a recording may go, tried on real files; and the drain's order, on fake rings."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from capfile import writer
from capfile.event import EVENT_SIZE, Kind, layout
from capfile.frames import FORMAT_VERSION, Chunk, Counters, Header, Ring
from capfile.reader import Reader, decompressed
from recorder import output
from recorder.compression import Compressor
from recorder.drain import Drain
from recorder.errors import OutputError
from recorder.limits import RecordingLimits
from recorder.recording import Recording
from recorder.rings import PAGE
from tests.recorder.fake import FakeRing


@pytest.mark.parametrize("force", [False, True])
def test_a_symbolic_link_is_never_followed(tmp_path: Path, force: bool) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OutputError, match="symbolic link"):
        output.inspect(str(tmp_path / "link"), force)


def test_an_existing_file_needs_force(tmp_path: Path) -> None:
    path = tmp_path / "x.cap"
    path.write_text("old")
    with pytest.raises(OutputError, match="--force"):
        output.inspect(str(path), force=False)
    assert output.inspect(str(path), force=True).kind == "existing"


def test_folders_and_sockets_are_no_outputs(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="not a file"):
        output.inspect(str(tmp_path), force=True)
    with pytest.raises(OutputError, match="no such folder"):
        output.inspect(str(tmp_path / "missing" / "x.cap"), force=True)


def test_what_may_be_written_is_named_by_its_kind(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    kinds = {name: output.inspect(name, False).kind for name in ("-", "/dev/null", str(tmp_path / "fifo"))}
    assert list(kinds.values()) == ["stream", "device", "fifo"]
    assert output.inspect(str(tmp_path / "new"), False).kind == "new"


def test_a_link_that_appears_after_the_look_is_not_followed(tmp_path: Path) -> None:
    target = output.inspect(str(tmp_path / "x.cap"), False)
    (tmp_path / "x.cap").symlink_to(tmp_path / "precious")
    with pytest.raises(OutputError):
        output.open_output(target, lambda: False)
    assert not (tmp_path / "precious").exists()


def test_a_fifo_waits_for_its_reader(tmp_path: Path) -> None:
    path = str(tmp_path / "fifo")
    os.mkfifo(path)
    reader: list[int] = []
    later = threading.Timer(0.2, lambda: reader.append(os.open(path, os.O_RDONLY)))
    later.start()
    writer = output.open_output(output.Target(path, "fifo"), lambda: False)
    later.join()
    os.write(writer, b"x")
    assert os.read(reader[0], 1) == b"x"
    assert os.get_blocking(writer)
    os.close(writer)
    os.close(reader[0])


def test_a_fifo_without_a_reader_can_be_given_up(tmp_path: Path) -> None:
    path = str(tmp_path / "fifo")
    os.mkfifo(path)
    with pytest.raises(OutputError, match="no reader"):
        output.open_output(output.Target(path, "fifo"), lambda: True)


def test_segments_are_numbered_before_the_suffix_and_found_again(tmp_path: Path) -> None:
    path = str(tmp_path / "a[1].cap")
    assert output.segment_path(path, 7) == str(tmp_path / "a[1].000007.cap")
    for name in ("a[1].000007.cap", "a1.000008.cap", "a[1].x.cap"):
        (tmp_path / name).touch()
    assert output.old_segments(path) == [str(tmp_path / "a[1].000007.cap")]


class Bench:
    """A drain from one data and one control ring into a file."""

    def __init__(self, folder: Path, compressor: Compressor | None = None) -> None:
        self.path = folder / "x.cap"
        self.data, self.control = FakeRing(1 << 14), FakeRing(1 << 14, Ring.CONTROL)
        self.seen: list[bytes] = []
        header = Header(FORMAT_VERSION, [list(row) for row in layout()], EVENT_SIZE)
        target = output.Target(str(self.path), "new")
        self.recording = Recording(
            target, output.create(str(self.path)), RecordingLimits(), lambda _: header, list, lambda _: None
        )
        self.drain = Drain(
            [self.data], [self.control], self.recording, self.seen.append, lambda: Counters(0), compressor
        )

    def chunks(self) -> list[Chunk]:
        self.recording.finish(Counters(0, {}, {"data": [], "control": []}), "interrupt")
        with Reader.open(self.path) as reader:
            return [
                Chunk(f.cpu, f.ring, f.first_time, f.last_time, f.size, f.codec, bytes(decompressed(f)))
                for f in reader
                if isinstance(f, Chunk)
            ]


def test_a_pass_writes_control_before_data_and_releases_both(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    first = bench.data.event(payload=b"x")
    bench.control.event(Kind.SOCKET)
    bench.drain.drain_pass()
    assert bench.data.tail == bench.data.head() > 0
    assert bench.control.tail == bench.control.head() > 0
    chunks = bench.chunks()
    assert [chunk.ring for chunk in chunks] == [Ring.CONTROL, Ring.DATA]
    assert chunks[1].first_time == first.time
    assert [bytes(chunk.data) for chunk in chunks][:1] == bench.seen


def overwritten(bench: Bench, monkeypatch: pytest.MonkeyPatch, fails_at: int = 0) -> list[int]:
    """Have the ring's memory used again as soon as it is given back, and the disk full at the write of that number;
    returns the tails at each write."""
    monkeypatch.setattr(writer, "WRITE_BYTES", 1024)
    tails: list[int] = []
    real = os.writev

    def writev(fd: int, views: Sequence[memoryview]) -> int:
        tails.append(bench.data.tail)
        bench.data.memory[PAGE : PAGE + tails[-1]] = b"\xff" * tails[-1]
        if len(tails) == fails_at:
            raise OSError(errno.ENOSPC, "no space left")
        return real(fd, views)

    monkeypatch.setattr(os, "writev", writev)
    return tails


def test_a_full_ring_has_room_before_all_of_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path)
    for _ in range(50):
        bench.data.event(payload=bytes(100))
    head = bench.data.head()
    whole = b"".join(bench.data.regions(head))
    tails = overwritten(bench, monkeypatch)
    bench.drain.drain_pass()
    assert tails == sorted({*tails})
    assert 1024 <= head - tails[-1] + 1024 <= 2048
    assert bench.data.tail == head
    monkeypatch.undo()
    assert [bytes(chunk.data) for chunk in bench.chunks()] == [whole]


def test_a_disk_that_fills_in_the_middle_leaves_out_the_chunk_from_its_first_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path)
    first = bench.data.event(payload=bytes(100))
    for _ in range(50):
        bench.data.event(payload=bytes(100))
    overwritten(bench, monkeypatch, fails_at=4)
    bench.drain.drain_pass()
    assert bench.recording.stopped == "disk-full"
    assert bench.recording.left_out == {(Ring.DATA, 0): first.sequence}
    assert bench.data.tail == bench.data.head()
    monkeypatch.undo()
    assert bench.chunks() == []


def test_an_empty_pass_writes_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.drain.drain_pass()
    assert bench.chunks() == []


def test_compressed_and_plain_chunks_hold_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    plain, packed = Bench(tmp_path / "plain"), Bench(tmp_path, Compressor(lambda: 0.0, spare=lambda: True))
    for bench in (plain, packed):
        bench.data.event(payload=b"abc" * 300)
        bench.drain.drain_pass()
    one, other = plain.chunks()[0], packed.chunks()[0]
    assert (one.codec, other.codec) == ("none", "zstd")
    assert one.data == other.data


def test_the_high_water_mark_is_the_fullest_the_ring_has_been(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.data.event(payload=b"x" * 8000)
    bench.drain.drain_pass()
    bench.data.event(payload=b"x")
    bench.drain.drain_pass()
    assert 0.48 < bench.drain.high_water < 0.52


def test_a_fault_of_the_drain_is_kept_for_the_session_to_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path)

    def faulty() -> None:
        raise ValueError("broken")

    monkeypatch.setattr(bench.drain, "drain_pass", faulty)
    bench.data.fd = bench.control.fd = os.open("/dev/null", os.O_RDONLY)
    bench.drain.start()
    bench.drain.finish()
    os.close(bench.data.fd)
    assert isinstance(bench.drain.error, ValueError)
