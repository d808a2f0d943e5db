"""Lossy connections by the thousand: no exchange pairs a response with another's request and calls that certain."""

from __future__ import annotations

import random
from collections.abc import Iterator

from replay.exchange import Exchange
from tests.http1.lossy import Conversation, conversation, is_flagged, is_wrong, losses, observed, read

RUNS = 1_000
# A client that pipelines, and of which losses hide that it does, is taken for one that waits: of 100,000 exchanges
# of nothing but such clients about 160 are wrong and do not say so.
MOST_WRONG_OF_PIPELINED = 0.005


def runs(*, pipelined: bool) -> Iterator[tuple[Conversation, list[Exchange]]]:
    for seed in range(RUNS):
        chance = random.Random(seed)
        talk = conversation(chance, pipelined=pipelined)
        yield talk, read(observed(talk.events, losses(len(talk.events), chance)))


def test_a_client_that_waits_for_its_answers_is_never_paired_wrongly_without_a_word() -> None:
    pairs = 0
    for number, (talk, found) in enumerate(runs(pipelined=False)):
        assert not [e.id for e in found if is_wrong(e, talk.starts) and not is_flagged(e)], f"run {number}"
        pairs += sum(e.request is not None and e.response is not None and not is_flagged(e) for e in found)
    assert pairs > 5 * RUNS, "what is certain is paired"


def test_no_pair_that_is_inferred_is_called_complete() -> None:
    for pipelined in (False, True):
        for _, found in runs(pipelined=pipelined):
            assert not [e.id for e in found if is_flagged(e) and e.complete]


def test_every_message_that_was_seen_whole_is_in_one_exchange_at_most() -> None:
    for _, found in runs(pipelined=False):
        for part in ("request", "response"):
            positions = [message.position for e in found if (message := getattr(e, part))]
            assert len(positions) == len(set(positions))


def test_a_client_that_pipelines_is_nearly_never_paired_wrongly_without_a_word() -> None:
    found = [(e, talk) for talk, exchanges in runs(pipelined=True) for e in exchanges]
    wrong = [e for e, talk in found if is_wrong(e, talk.starts) and not is_flagged(e)]
    assert len(wrong) <= MOST_WRONG_OF_PIPELINED * len(found)


def test_without_losses_every_exchange_is_complete_and_right() -> None:
    for pipelined in (False, True):
        for seed in range(100):
            talk = conversation(random.Random(seed), pipelined=pipelined)
            found = read(observed(talk.events, set()))
            assert [e.complete for e in found] == [True] * len(talk.starts["request"])
            assert not [e for e in found if is_wrong(e, talk.starts)]
