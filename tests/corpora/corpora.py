"""Where other people's captures are, and how they come through the whole pipeline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from replay.cli import main
from replay.dispatch import Result
from replay.exchange import Exchange
from replay.pipeline import exchanges
from replay.source import recordings

_ROOT = Path(__file__).resolve().parents[2]
_PLACES = [parent / "shared" / "corpora" for parent in _ROOT.parents]
CORPORA = next((place for place in _PLACES if place.is_dir()), None)

needs_corpora = pytest.mark.skipif(CORPORA is None, reason="shared/corpora is in no folder above the repository")


def load(path: str) -> Any:
    """A JSON file of the corpora; empty where they are absent."""
    return json.loads((CORPORA / path).read_text()) if CORPORA else {}


def results(kind: str, path: str, folder: Path) -> list[Result]:
    """Import one recording with the command itself, and read it back through the whole pipeline."""
    assert CORPORA is not None
    capture = folder / "imported.cap"
    assert main(["import", kind, str(CORPORA / path), "-o", str(capture), "--force"]) == 0
    (recording,) = recordings([str(capture)])
    try:
        return list(exchanges(recording))
    finally:
        recording.close()


def ours(found: list[Result]) -> list[Exchange]:
    """The exchanges, in the order in which they began."""
    listed = [each for each in found if isinstance(each, Exchange)]
    return sorted(listed, key=lambda each: each.started_at)


def brief(exchange: Exchange) -> list[str | int | None]:
    """[method, target, status], as the corpora's expectations have them."""
    request, response = exchange.request, exchange.response
    return [request and request.method, request and request.target, (response and response.status) or None]
