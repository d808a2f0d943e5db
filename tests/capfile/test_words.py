"""Numbers and their nouns agree."""

from __future__ import annotations

from capfile.words import counted


def test_one_is_singular_and_every_other_number_plural() -> None:
    assert [counted(number, "event") for number in (0, 1, 2, 2000)] == [
        "0 events",
        "1 event",
        "2 events",
        "2,000 events",
    ]
    assert counted(1, "event", "lost") == "1 event lost"
