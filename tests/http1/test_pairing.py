"""Lossy connections by the thousand: no exchange pairs a response with another's request and calls itself complete."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache
from typing import get_args

import pytest

from replay.exchange import Exchange
from tests.http1.lossy import Conversation, Losses, Style, conversation, is_flagged, is_wrong, losses, observed, read

STYLES: tuple[Style, ...] = get_args(Style)
RUNS = 400
# Seeds of which rules that seemed as good called a wrong pair complete.
HARD = (
    211165,
    300127,
    206484,
    206970,
    211283,
    160,
    166,
    198,
    226,
    242,
    264,
    347,
    386,
    396,
    486,
    536,
    546,
    718,
    787,
    849,
    1378,
    2005,
    2831,
    10958,
    11009,
    13858,
)
SEEDS = (*range(RUNS), *HARD)


@cache
def heard(style: Style) -> list[tuple[int, Conversation, list[Exchange]]]:
    """Both sides' view, in turn."""
    found = []
    for seed in SEEDS:
        chance = random.Random(seed)
        talk = conversation(chance, style=style)
        missing = losses(len(talk.events), chance)
        side = "client" if seed % 2 else "server"
        found.append((seed, talk, read(observed(talk.events, missing), joined=missing.joined > 0, side=side)))
    return found


def pairs(style: Style) -> Iterator[tuple[int, Conversation, Exchange]]:
    for seed, talk, exchanges in heard(style):
        yield from ((seed, talk, e) for e in exchanges if e.request and e.response)


@pytest.mark.parametrize("style", ["waits", "batches"])
def test_no_wrong_pair_is_called_complete(style: Style) -> None:
    complete = [(seed, talk, e) for seed, talk, found in heard(style) for e in found if e.complete]
    assert not [(seed, e.id) for seed, talk, e in complete if is_wrong(e, talk.truth)]
    assert len(complete) > 2 * RUNS, "what is certain is paired"


def test_a_client_that_keeps_a_window_is_nearly_always_known_as_such() -> None:
    """Unless losses or a late start hide how it filled its window; then it asks once for each answer, as all others."""
    complete = [is_wrong(e, talk.truth) for _, talk, found in heard("window") for e in found if e.complete]
    assert sum(complete) * 20 < len(complete)


@pytest.mark.parametrize("style", ["waits", "batches"])
def test_nearly_no_wrong_pair_is_without_a_word(style: Style) -> None:
    """At most one in a thousand, where damaged bytes look like a message."""
    wrong = [e.id for _, talk, e in pairs(style) if is_wrong(e, talk.truth) and not is_flagged(e)]
    assert len(wrong) * 1000 <= len(list(pairs(style)))


@pytest.mark.parametrize("style", STYLES)
def test_no_pair_that_is_inferred_is_called_complete(style: Style) -> None:
    assert not [(seed, e.id) for seed, _, e in pairs(style) if is_flagged(e) and e.complete]


def test_a_client_that_waits_is_paired_rightly_where_it_has_to_be_inferred() -> None:
    """Most of what is named an inference is right."""
    inferred = [is_wrong(e, talk.truth) for _, talk, e in pairs("waits") if is_flagged(e)]
    assert sum(inferred) * 3 < len(inferred)


@pytest.mark.parametrize("style", STYLES)
def test_every_message_is_in_one_exchange_at_most(style: Style) -> None:
    for _, _, found in heard(style):
        for part in ("request", "response"):
            positions = [message.position for e in found if (message := getattr(e, part))]
            assert len(positions) == len(set(positions))


@pytest.mark.parametrize("style", STYLES)
def test_requests_come_out_in_their_order(style: Style) -> None:
    for _, _, found in heard(style):
        positions = [e.request.position for e in found if e.request]
        assert positions == sorted(positions)


@pytest.mark.parametrize("style", STYLES)
def test_without_losses_every_exchange_is_complete_and_right(style: Style) -> None:
    for seed in range(100):
        talk = conversation(random.Random(seed), style=style)
        found = read(observed(talk.events, Losses(set(), {})))
        assert [e.complete for e in found] == [True] * len(talk.truth.request)
        assert not [e for e in found if is_wrong(e, talk.truth)]
        interim = [i.position for e in found if e.response for i in e.response.informational]
        assert interim == list(talk.truth.interim)


def test_a_client_that_was_seen_to_wait_is_believed() -> None:
    """After two responses in one loss, or in the middle of a stream, only the client's habit decides."""
    chance = random.Random(1)
    talk = conversation(chance, style="waits", exchanges=40)
    half = len(talk.events) // 2
    found = read(observed(talk.events, Losses(set(), {}, joined=half)), joined=True)
    whole = [e for e in found if e.request and e.response]
    assert len(whole) > 17
    assert [e.complete for e in whole[1:]] == [True] * (len(whole) - 1)
