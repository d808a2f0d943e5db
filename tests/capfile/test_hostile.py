"""Bombs: each is bounded in time and memory, and what it spoils is said."""

from __future__ import annotations

import io
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgpack
import pytest
from backports import zstd

from capfile import limits
from capfile.codec import pack, pieces
from capfile.errors import CapfileError, DamagedFrame, LimitExceeded
from capfile.frames import Chunk, FrameKind, Process
from capfile.limits import MAX_CHUNK, MAX_DAMAGE, MAX_ITEMS, MAX_METADATA, MAX_RATIO, PIECE
from capfile.reader import Reader
from capfile.wire import BIN32, FrameHead
from tests.capfile.files import TAG, header, raw_frame, read, written

START = written([header()], end=False)


@contextmanager
def seconds(most: float) -> Iterator[None]:
    begin = time.process_time()
    yield
    assert time.process_time() - begin < most


def zstd_chunk(size: int, data: bytes) -> Chunk:
    return Chunk(0, 0, 0, 0, size, "zstd", data)


def test_a_zstd_bomb_is_refused_by_its_ratio_before_it_is_unpacked() -> None:
    bomb = zstd.compress(bytes(200 << 20))
    with seconds(0.1), pytest.raises(LimitExceeded, match=f"over {MAX_RATIO} to 1"):
        list(pieces(zstd_chunk(200 << 20, bomb)))


def test_a_zstd_bomb_that_declares_little_is_stopped_at_what_it_declares() -> None:
    bomb = zstd.compress(bytes(MAX_CHUNK))
    with seconds(0.5), pytest.raises(DamagedFrame, match="more than the 1000 bytes declared"):
        list(pieces(zstd_chunk(1000, bomb)))


@pytest.mark.parametrize(
    ("size", "data"),
    [
        (10, b""),
        (10, b"no zstd"),
        (10, zstd.compress(b"123456789")),
        (10, zstd.compress(b"1234567890") + b"more"),
        (10, zstd.compress(b"1234567890")[:-1]),
        (10, zstd.compress(b"12345") + zstd.compress(b"67890")),
    ],
)
def test_data_that_are_not_exactly_what_the_chunk_declares_are_damage(size: int, data: bytes) -> None:
    with pytest.raises(DamagedFrame):
        list(pieces(zstd_chunk(size, data)))


def test_an_unknown_codec_is_damage() -> None:
    with pytest.raises(DamagedFrame, match="unknown codec 'rot13'"):
        list(pieces(Chunk(0, 0, 0, 0, 1, "rot13", b"x")))


def test_a_chunk_is_decompressed_in_pieces() -> None:
    data = b"".join(number.to_bytes(8, "big") for number in range(5 * PIECE // 8))
    packed = pack([data])
    assert packed is not None
    parts = list(pieces(zstd_chunk(len(data), packed)))
    assert max(map(len, parts)) <= PIECE
    assert b"".join(parts) == data


def test_data_that_readers_would_refuse_are_left_uncompressed() -> None:
    assert pack([bytes(MAX_RATIO * 1000)]) is None


def test_arrays_that_claim_the_most_at_each_of_many_levels_stay_small() -> None:
    """msgpack makes room for what an array claims, so a small payload could ask for gigabytes."""
    payload = b"\x81\xa3pid" + (b"\xdd" + MAX_ITEMS.to_bytes(4, "big")) * 100_000
    with seconds(2):
        _, reader = read(START + raw_frame(FrameKind.PROCESS, payload, 1))
    assert [each.kind for each in reader.damage] == ["damaged"]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 1_500_000  # KiB, this whole test process


def test_lengths_without_bytes_cost_nothing() -> None:
    huge = FrameHead(FrameKind.CHUNK, TAG, 1, 0, MAX_CHUNK).pack() + b"short"
    _, reader = read(START + huge)
    assert [each.kind for each in reader.damage] == ["cut"]


def test_heads_without_frames_are_searched_in_linear_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of many heads claims the rest of the file: checksums of all would take quadratic time."""
    monkeypatch.setattr("capfile.scan.RESYNC_GRACE", 8 << 20)
    count = 4000
    heads = b"".join(FrameHead(FrameKind.CHUNK, TAG, n, 0, 36 * (count - n) - 36).pack() for n in range(1, count))
    with seconds(3):
        _, reader = read(START + heads + raw_frame(FrameKind.PROCESS, b"\x81\xa3pid\x01", count))
    assert [each.kind for each in reader.damage] == ["limit"]
    assert reader.damage[0].length == len(heads) + 36 + 6


def test_the_report_of_a_file_that_is_all_damage_is_bounded() -> None:
    count = MAX_DAMAGE + 500
    frames = b"".join(raw_frame(FrameKind.PROCESS, b"\x80", n) for n in range(1, count))
    with seconds(10):
        _, reader = read(START + frames)
    assert len(reader.damage) == MAX_DAMAGE
    assert reader.report.beyond == 499


def test_more_frames_of_a_kind_than_its_limit_are_skipped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(limits.MAX_FRAMES, "PROCESS", 3)
    found, reader = read(written([header(), *(Process(n) for n in range(5))]))
    assert [each.pid for each in found if isinstance(each, Process)] == [0, 1, 2]
    assert [each.kind for each in reader.damage] == ["limit", "limit"]


def test_many_different_unknown_fields_are_counted_together() -> None:
    names = msgpack.packb({"pid": 1} | {f"field {n}": n for n in range(3000)})
    _, reader = read(START + raw_frame(FrameKind.PROCESS, names, 1))
    assert len(reader.report.unknown) == 1001
    assert reader.report.unknown["others"] == 2000


def test_a_header_map_of_wrong_size_leaves_no_chunk() -> None:
    meta = msgpack.packb({"cpu": 0, "ring": 0, "first_time": 0, "last_time": 0, "size": 3, "note": "x" * MAX_METADATA})
    _, reader = read(START + raw_frame(FrameKind.CHUNK, meta + BIN32.pack(0xC6, 3) + b"abc", 1))
    assert [each.kind for each in reader.damage] == ["damaged"]


SCRIPT = """
import resource, sys
from capfile.reader import Reader
from capfile.codec import pieces
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with Reader.open(sys.argv[1]) as reader:
    total = sum(len(piece) for frame in reader if hasattr(frame, "codec") for piece in pieces(frame))
print(total, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_chunk_of_the_largest_ring_is_decoded_in_a_few_megabytes(tmp_path: Path) -> None:
    """Plain in the file, so that neither reading nor checking it may hold it whole."""
    path = tmp_path / "large.cap"
    size = 200 << 20
    meta = msgpack.packb({"cpu": 0, "ring": 0, "first_time": 0, "last_time": 0, "size": size})
    head = FrameHead(FrameKind.CHUNK, TAG, 1, 0, len(meta) + BIN32.size + size)
    block = bytes(PIECE)
    crc = head.checksum([meta, BIN32.pack(0xC6, size), *[block] * (size // PIECE)])
    with path.open("wb") as file:
        file.write(START + head._replace(crc=crc).pack() + meta + BIN32.pack(0xC6, size))
        for _ in range(size // PIECE):
            file.write(block)
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(path)], capture_output=True, text=True, check=True)
    total, grown = map(int, done.stdout.split())
    assert total == size
    assert grown < 20_000  # KiB


def test_errors_of_the_file_say_where() -> None:
    with pytest.raises(CapfileError) as caught:
        list(Reader(io.BytesIO(raw_frame(FrameKind.HEADER, msgpack.packb({"version": 9})))))
    assert caught.value.offset == 0
