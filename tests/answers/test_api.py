"""The Python interface: cheap to import, as its page says, and clear when it cannot answer."""

import doctest
import subprocess
import sys
from pathlib import Path

import pytest

import replay
from tests.answers import hostile, shop
from tests.answers.examples import get

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def capture(tmp_path):
    return replay.open(shop.record(tmp_path / "checkout.cap"))


def test_every_example_of_the_page_works(tmp_path, monkeypatch):
    shop.record(tmp_path / "checkout.cap")
    monkeypatch.chdir(tmp_path)
    page = ROOT / "docs" / "api.md"
    found = doctest.testfile(str(page), module_relative=False)
    assert found.attempted >= 12
    assert found.failed == 0


def test_the_page_names_every_public_name():
    page = (ROOT / "docs" / "api.md").read_text()
    assert [name for name in replay.__all__ if name not in page] == ["Capture", "Exchanges", "OpaqueConnection"]


def test_importing_replay_imports_nothing_else():
    code = """if True:
        import sys, replay
        sys.exit(any(m.startswith(("replay.", "msgspec", "rich", "re2")) for m in sys.modules))"""
    assert subprocess.run([sys.executable, "-c", code], timeout=20).returncode == 0


def test_every_public_name_is_there_and_no_other():
    assert all(getattr(replay, name) is not None for name in replay.__all__)
    assert set(replay.__all__) <= set(dir(replay))
    with pytest.raises(AttributeError, match="nonsense"):
        _ = replay.nonsense


def test_a_capture_can_be_iterated_again_and_again(capture):
    assert [e.id for e in capture] == [e.id for e in capture] == [e.id for e in capture.all()]
    assert len(capture) == 3
    assert not capture.where("status == 999")


def test_where_narrows_and_refuses_names_that_are_none(capture):
    assert capture.where("status == 200", method="GET", comm={"shop", "other"}).one().id == "1-2"
    assert capture.where(container=None, server_port=8080)
    with pytest.raises(replay.UsageError, match="no field is called 'stat'"):
        capture.where(stat=200)


def test_one_says_what_there_is_escaped(capture):
    with pytest.raises(LookupError, match="no exchange with path='/nothing'"):
        capture.where(path="/nothing").one()
    evil = replay.Exchanges(lambda: hostile_exchanges())
    with pytest.raises(LookupError) as caught:
        evil.one()
    assert str(caught.value).isprintable()
    assert str(caught.value).startswith("more than 5 exchanges with no condition")


def hostile_exchanges():
    return (item for item in hostile.exchanges() if isinstance(item, replay.Exchange))


def test_bodies_that_are_incomplete_or_no_text_are_refused():
    *_, gap, _ = hostile.ordinary()
    with pytest.raises(ValueError, match="2 of the body's 10 bytes"):
        replay.body_text(gap.response)
    with pytest.raises(ValueError, match="not text"):
        replay.body_text(get(data=b"\xff\xfe\xfd").response)
    with pytest.raises(ValueError, match="Expecting"):
        replay.body_json(get(data=b"text").response)
    assert replay.header(None, "x") is None


def test_several_captures_are_told_apart(tmp_path):
    both = replay.open(shop.record(tmp_path / "a.cap"), shop.record(tmp_path / "b.cap", recording="another"))
    assert [e.id for e in both] == ["1:1-1", "1:1-2", "1:2-1", "2:1-1", "2:1-2", "2:2-1"]
    assert list(both.connections()) == []


def test_a_file_that_is_no_capture_is_the_file_s_fault(tmp_path):
    (tmp_path / "x.cap").write_text("x")
    with pytest.raises(replay.CapfileError):
        replay.open(tmp_path / "x.cap").all()
    with pytest.raises(FileNotFoundError):
        replay.open(tmp_path / "y.cap").all()
