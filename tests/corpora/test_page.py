"""Every number on docs/corpora.md is one that replay says of the recording that its row is about."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from replay.document import to_document
from tests.corpora import test_libhtp, test_zeek
from tests.corpora.corpora import needs_corpora, results

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "corpora.md").read_text()
ROWS = {line.split("|")[1].strip(" `"): line.split("|")[2] for line in PAGE.splitlines() if line.startswith("| `")}
NUMBER = re.compile(r"(?<![\w./-])\d+(?![\w./]*[a-z])")


def numbers(value: Any) -> set[int]:
    """All of a document, at any depth."""
    if isinstance(value, dict):
        return numbers(list(value.values()))
    if isinstance(value, list | tuple):
        return set().union(*map(numbers, value))
    return {value} if isinstance(value, int) and not isinstance(value, bool) else set()


@needs_corpora
@pytest.mark.parametrize("name", ROWS)
def test_the_numbers_of_a_row_are_those_of_its_recording(name: str, tmp_path: Path) -> None:
    kind, path = ("streams", f"libhtp/{name}.jsonl.gz") if name.endswith(".t") else ("pcap", f"zeek/traces/{name}")
    documents = [msgspec.to_builtins(to_document(each)) for each in results(kind, path, tmp_path)]
    answered = sum(bool(each.get("response")) for each in documents)
    said = {int(number) for number in NUMBER.findall(ROWS[name])}
    assert said <= numbers(documents) | {len(documents), answered}


@needs_corpora
def test_the_page_counts_the_recordings_as_they_are() -> None:
    agreed = sum(row["agreed_by_two_tools"] for row in test_zeek.EXPECTED.values())
    explained = len(test_zeek.EXPECTED) - agreed
    assert f"{len(test_zeek.EXPECTED)} captures. For {agreed} of them" in PAGE
    assert f"The other {explained}:" in PAGE
    count = len(test_libhtp.EXPECTED)
    assert f"{count} conversations. On {count - len(test_libhtp.EXPLAINED)} we agree" in PAGE
    assert len(ROWS) == explained + len(test_libhtp.EXPLAINED)
