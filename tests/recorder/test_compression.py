"""What is compressed: what is free, and what the budget allows."""

from __future__ import annotations

import os

import pytest

from capfile.codec import Packer, decompressed
from capfile.frames import Chunk
from capfile.limits import RATIO_FREE
from recorder.compression import BURST, SHARE, Compressor

RING = 1 << 20
USUAL = 64 << 10
DEAR, CHEAP = 10e-9, 0.01e-9  # s of CPU per byte


class Clock:
    """A clock that stands still until it is moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def spent(compressor: Compressor, cost: float, seconds: float) -> None:
    """Compressed chunks are written at `cost` until they have taken `seconds`."""
    compressor.wrote(round(seconds / cost), seconds, wanted=True)


def test_costly_compression_stops_when_its_budget_is_spent_and_comes_back() -> None:
    clock = Clock()
    compressor = Compressor(clock, spare=lambda: True)
    assert compressor.wants(USUAL, RING)
    spent(compressor, DEAR, 2 * BURST)
    assert not compressor.wants(USUAL, RING)
    clock.now += 1.2 * BURST / SHARE
    assert compressor.wants(USUAL, RING)


def test_compression_that_saves_more_than_it_costs_needs_no_budget() -> None:
    compressor = Compressor(Clock(), spare=lambda: True)
    spent(compressor, CHEAP, 100 * BURST)
    assert compressor.wants(USUAL, RING)
    assert compressor.wants(RING, RING)


def test_time_that_others_want_is_not_spent() -> None:
    compressor = Compressor(Clock(), spare=lambda: False)
    spent(compressor, DEAR, BURST / 10)
    assert not compressor.wants(USUAL, RING)
    spent(compressor, CHEAP, 100 * BURST)
    assert compressor.wants(USUAL, RING)


def test_a_ring_that_fills_up_is_not_compressed_at_a_cost() -> None:
    compressor = Compressor(Clock(), spare=lambda: True)
    spent(compressor, DEAR, BURST / 10)
    assert compressor.wants(RING // 8, RING)
    assert not compressor.wants(RING // 8 + 1, RING)


def test_what_writing_costs_is_measured_too() -> None:
    compressor = Compressor(Clock(), spare=lambda: True)
    spent(compressor, DEAR, 2 * BURST)
    compressor.wrote(1 << 30, (1 << 30) * 2 * DEAR, wanted=False)
    assert compressor.wants(USUAL, RING)


def test_tiny_regions_are_not_compressed() -> None:
    assert not Compressor(Clock(), spare=lambda: True).wants(10, RING)


def test_frames_of_one_packer_are_read_alone() -> None:
    packer = Packer()
    for regions in ([b"abc" * 1000], [b"x" * 5000, b"y" * 5000], [b"abc" * 1000]):
        packed = packer.pack(regions)
        assert packed is not None
        size = sum(map(len, regions))
        assert bytes(decompressed(Chunk(0, 0, 0, 0, size, "zstd", packed))) == b"".join(regions)


@pytest.mark.parametrize("region", [os.urandom(5000), bytes(64 * RATIO_FREE)], ids=["random", "refused by readers"])
def test_what_is_not_worth_it_stays_as_it_is(region: bytes) -> None:
    assert Packer().pack([region]) is None
