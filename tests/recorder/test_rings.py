"""The perf ring as memory: what lies between tail and head comes out whole, and nothing is given back too early."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capfile.event import LostRecord, encode_lost
from capfile.records import records
from recorder import rings
from tests.recorder.fake import FakeRing


def taken(ring: FakeRing) -> list[object]:
    head = ring.head()
    data = b"".join(ring.regions(head))
    ring.release(head)
    return [
        event._replace(payload=bytes(event.payload)) if hasattr(event, "payload") else event for event in records(data)
    ]


@given(st.lists(st.lists(st.binary(max_size=400), max_size=4), max_size=30))
def test_whatever_is_put_in_comes_out_in_order_across_the_wrap(batches: list[list[bytes]]) -> None:
    ring = FakeRing(2048)
    for batch in batches:
        put = [ring.event(payload=payload) for payload in batch]
        assert taken(ring) == put


def test_an_empty_ring_has_no_regions() -> None:
    assert FakeRing().regions(0) == []


def test_a_region_that_wraps_is_two_views_and_no_copy() -> None:
    ring = FakeRing(1024)
    ring.event(payload=b"a" * 700)
    ring.release(ring.head())
    ring.event(payload=b"b" * 300)
    regions = ring.regions(ring.head())
    assert len(regions) == 2
    assert all(region.obj is ring.memory for region in regions)


def test_the_tail_moves_only_on_release() -> None:
    ring = FakeRing()
    ring.event(payload=b"x")
    head = ring.head()
    ring.regions(head)
    assert ring.tail == 0
    ring.release(head)
    assert ring.tail == head


def test_lost_records_stay_in_the_stream() -> None:
    ring = FakeRing()
    ring.event(payload=b"x")
    ring.lose(3)
    assert taken(ring)[1] == LostRecord(3)


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=8), st.integers(0, 3000), st.integers(0, 9))
def test_a_cut_falls_between_records_and_counts_the_samples_before_it(
    payloads: list[bytes], limit: int, most: int
) -> None:
    ring = FakeRing(4096)
    ring.event(payload=b"z" * 3000)  # so that the rest wraps
    ring.release(ring.head())
    ends = [ring.head()]
    for payload in payloads:
        ring.event(payload=payload)
        ends.append(ring.head())
    size, samples = rings.whole_records(ring.regions(ring.head()), limit, most)
    assert ends[0] + size in ends
    assert size <= limit
    assert samples == ends.index(ends[0] + size) <= most
    if samples < min(len(payloads), most):
        assert ends[samples + 1] - ends[0] > limit


def test_a_lost_record_is_no_sample() -> None:
    record = encode_lost(5)
    assert rings.whole_records([memoryview(record)], 100, 0) == (len(record), 0)


@pytest.mark.parametrize(
    ("text", "cpus"), [("0-1\n", [0, 1]), ("0", [0]), ("0-2,5,7-8\n", [0, 1, 2, 5, 7, 8]), ("", [])]
)
def test_kernel_cpu_lists_are_read(text: str, cpus: list[int]) -> None:
    assert rings.cpu_list(text) == cpus


@pytest.mark.parametrize(
    ("cpus", "available", "size"),
    [
        (2, 24 << 30, 64 << 20),  # plenty: the default
        (64, 16 << 30, 32 << 20),  # an eighth of 16 GiB over 64 CPUs
        (1, 0, rings.MIN_RING_SIZE),
        (4, 900 << 20, 16 << 20),  # 28 MiB each, rounded down to a power of two
    ],
)
def test_the_default_ring_takes_an_eighth_of_the_memory_at_most(cpus: int, available: int, size: int) -> None:
    assert rings.default_ring_size(cpus, available) == size


@pytest.mark.parametrize(("data", "control"), [(64 << 10, 256 << 10), (64 << 20, 4 << 20), (256 << 20, 8 << 20)])
def test_the_control_ring_is_a_sixteenth_within_bounds(data: int, control: int) -> None:
    assert rings.control_ring_size(data) == control


def test_available_memory_is_read_in_bytes() -> None:
    assert rings.available_memory("MemTotal: 9 kB\nMemAvailable:   2048 kB\n") == 2 << 20
    assert rings.available_memory("MemTotal: 9 kB\n") == 0


def test_a_refused_ring_says_what_to_do() -> None:
    assert "--ring-size" in rings.ring_error(OSError(12, "Cannot allocate memory"), 1 << 20, 3).mend
    assert "CAP_PERFMON" in rings.ring_error(OSError(1, "Operation not permitted"), 1 << 20, 3).mend
