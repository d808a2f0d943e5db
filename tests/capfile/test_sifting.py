"""Sifted events: in the places and batches of all events, whole or as much of them as order and count need."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from capfile.errors import EventError
from capfile.event import EVENT_SIZE, Event, Kind, encode, encode_lost, layout
from capfile.layout import EventLayout
from capfile.records import Batch, Samples, batches_of
from capfile.sifting import PASSED, sifter
from tests.capfile.test_records import events

SIFTED = {Kind.DATA, Kind.CLOSE}
SOME = st.builds(
    lambda event, abi, kind, direction, generation: event._replace(
        abi=abi, kind=kind, direction=direction, generation=generation
    ),
    events(),
    st.sampled_from([1, 1, 1, 2]),
    st.sampled_from([int(kind) for kind in Kind] + [int(Kind.DATA)] * 9 + [200]),
    st.sampled_from([0, 1, 2, 3, 99]),
    st.integers(0, 4) | st.just((1 << 64) - 1),
)


def found(data: bytes, size: int, ours: EventLayout | None, samples: Samples | None) -> list[Batch | str]:
    batches: list[Batch | str] = []
    try:
        batches += batches_of((data[at : at + size] for at in range(0, len(data), size)), ours, samples=samples)
    except EventError as error:
        batches.append(str(error))
    return batches


@given(st.lists(SOME | st.integers(0, 9)), st.integers(1, 900), st.booleans(), st.binary(max_size=120))
def test_sifted_events_have_the_places_and_numbers_of_all(
    written: list[Event | int], size: int, explained: bool, noise: bytes
) -> None:
    data = b"".join(encode(each) if isinstance(each, Event) else encode_lost(each) for each in written) + noise
    ours = EventLayout(layout(), EVENT_SIZE) if explained else None
    everything = found(data, size, ours, None)
    sifted = found(data, size, ours, sifter({}, lambda generation: generation % 2 == 0, SIFTED, lambda _: None))
    assert len(sifted) == len(everything)
    for some, batch in zip(sifted, everything, strict=True):
        if not isinstance(batch, list):
            assert some == batch
            continue
        for item, row in zip(some, batch, strict=True):
            assert isinstance(item, tuple)
            if len(item) == PASSED:
                event = Event._make(row)
                assert event.kind in SIFTED
                assert event.generation % 2
                assert item[4:] == (event.sequence, event.time, event.generation)
            else:
                assert item == row


def test_what_is_not_wanted_is_left_out_and_what_is_not_sifted_is_told() -> None:
    wanted, other = Event(*[0] * 18)._replace(abi=1, kind=1, generation=2), Event(*[0] * 18)._replace(abi=1, kind=1)
    fork = other._replace(kind=Kind.FORK)
    others: list[int] = []
    known = {0: False}
    samples = sifter(known, lambda generation: generation == 2, SIFTED, others.append)
    (batch,) = batches_of([encode(wanted) + encode(other) + encode(fork)], samples=samples)
    assert isinstance(batch, list)
    assert [len(each) for each in batch] == [19, PASSED, 19]
    assert others == [Kind.FORK]
