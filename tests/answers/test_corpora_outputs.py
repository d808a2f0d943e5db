"""Traffic that nobody here wrote, through the outputs: every HAR is valid, every script printable."""

import io
import json
import re
from pathlib import Path

import pytest

import replay
from replay.cli import main
from replay.output import curl, har
from tests.answers.test_har import validator  # noqa: F401  (a fixture)

CORPORA = Path(__file__).resolve().parents[3] / "shared" / "corpora"
INPUTS = [
    *(("streams", path) for path in sorted((CORPORA / "libhtp").glob("*.jsonl.gz"))),
    *(("pcap", path) for path in sorted((CORPORA / "zeek" / "traces").rglob("*.*")) if path.is_file()),
]


def test_every_recording_gives_a_valid_har_and_a_printable_script(tmp_path, validator):  # noqa: F811
    if not INPUTS:
        pytest.skip("the corpora are not in ../shared/corpora")
    exchanges = 0
    for number, (kind, path) in enumerate(INPUTS):
        capture = tmp_path / f"{number}.cap"
        assert main(["import", kind, str(path), "-o", str(capture)]) == 0, path
        items = list(replay.open(capture).items())
        archive, script = io.BytesIO(), io.BytesIO()
        har.write(items, archive)
        curl.write(items, script)
        assert not list(validator.iter_errors(json.loads(archive.getvalue()))), path
        assert not re.search(rb"[^\n -~]", archive.getvalue() + script.getvalue()), path
        exchanges += sum(isinstance(item, replay.Exchange) for item in items)
    assert exchanges > len(INPUTS)
