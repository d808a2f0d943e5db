"""The plugin in a project of its own: captures collected, the fixtures, what a failure looks like."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from replay import live
from replay.cli import main
from tests.answers import shop

ROOT = Path(__file__).resolve().parents[2]
TESTS = """
def test_pay(capture):
    assert capture("checkout.cap").where(path="/pay").one().response.status == 200

def test_live(record):
    ran = []
    with record("checkout.cap") as seen:
        ran.append(1)
    assert ran and not seen.live
    assert seen.where(path="/cart").one().response.status == 200

def test_live_without_a_stored_capture(record):
    with record("nothing.cap") as seen:
        pass
"""


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "tests"
    folder.mkdir()
    shop.record(folder / "checkout.cap")
    assert main(["test", "--update", str(folder)]) == 0
    (folder / "test_shop.py").write_text(TESTS)
    (folder / "alone.cap").write_bytes((folder / "checkout.cap").read_bytes())
    return tmp_path


def run(project, *words):
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pytest", "-p", "replay.pytest_plugin", "-p", "no:cacheprovider", "-v", "-rs"]
    done = subprocess.run([*command, *words], cwd=project, env=environment, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout


def test_captures_with_an_expectation_are_collected_and_the_fixtures_work(project):
    status, out = run(project, "--record=never")
    assert status == 0, out
    assert "tests/checkout.cap::replay PASSED" in out
    assert "alone.cap" not in out
    assert "3 passed, 1 skipped" in out
    assert "cannot record (it is turned off), and there is no stored nothing.cap" in out


def test_a_changed_answer_fails_with_the_differences_and_no_traceback(project):
    shop.record(project / "tests" / "checkout.cap", total="99", status="500 Oops")
    status, out = run(project, "--record=never")
    assert status == 1
    assert "tests/checkout.cap::replay FAILED" in out
    assert "      response.body.json.total\n        - expected 12.5\n        + got      99\n" in out
    assert "NotAsExpected" not in out.partition("short test summary")[0]


def test_a_capture_that_cannot_be_read_fails_with_the_reason(project):
    (project / "tests" / "checkout.cap").write_text("rubbish")
    status, out = run(project, "tests/checkout.cap")
    assert status == 1
    assert "not a capture file" in out


def test_expectations_are_written_on_demand(project):
    shop.record(project / "tests" / "checkout.cap", total="99")
    assert run(project, "--update-captures", "--record=never", "tests/checkout.cap", "tests/alone.cap")[0] == 0
    assert run(project, "--record=never", "tests/checkout.cap", "tests/alone.cap")[0] == 0


FAKE = """#!/bin/sh
while [ "$1" != --output ]; do shift; done
[ -n "$REFUSE" ] && { echo "ebpf-rec: needs root"; exit 4; }
trap 'cp "$SOURCE" "$2"; exit 0' TERM
echo header > "$2"
while :; do sleep 0.01; done
"""


def recording(project, monkeypatch, mode, stored="checkout.cap", update=False):
    """The fixture's engine with a recorder of our own making, which needs no kernel."""
    program = project / "ebpf-rec"
    program.write_text(FAKE)
    program.chmod(0o755)
    monkeypatch.setattr(live, "_program", lambda: str(program))
    monkeypatch.setenv("SOURCE", str(shop.record(project / "source.cap", total="77")))

    def give_up(why):
        raise LookupError(why)

    return live.recorded(project / "tests" / stored, project, os.getpid(), mode, update, give_up)


def test_a_block_is_recorded_and_replaces_the_stored_capture_only_on_demand(project, monkeypatch):
    for update in False, True:
        with recording(project, monkeypatch, "auto", update=update) as seen:
            pass
        assert seen.live
        assert b"77" in seen.where(path="/pay").one().response.body.data
        assert ((project / "tests" / "checkout.cap").read_bytes() == (project / "source.cap").read_bytes()) is update


def test_a_host_that_cannot_record_reads_the_stored_capture_or_says_why(project, monkeypatch):
    monkeypatch.setenv("REFUSE", "1")
    with recording(project, monkeypatch, "auto") as seen:
        pass
    assert not seen.live
    assert len(seen) == 3
    with pytest.raises(live.CannotRecord, match="needs root"), recording(project, monkeypatch, "always"):
        pass
    with pytest.raises(LookupError, match="needs root"), recording(project, monkeypatch, "auto", "none.cap"):
        pass


def test_an_error_in_the_block_is_the_error_and_the_recorder_ends(project, monkeypatch):
    with pytest.raises(ZeroDivisionError), recording(project, monkeypatch, "always", update=True):
        _ = 1 / 0
    assert (project / "tests" / "checkout.cap").read_bytes() != (project / "source.cap").read_bytes()
