"""`ebpf-replay diff`: what two captures do not share, field by field, and their times as ratios."""

import json

import pytest

from replay.cli import main
from tests.answers import shop


@pytest.fixture
def a(tmp_path):
    return str(shop.record(tmp_path / "a.cap"))


def test_two_recordings_of_one_behaviour_are_the_same(tmp_path, a, capsys):
    b = shop.record(tmp_path / "b.cap", port=9090, pid=5, wait=10**10)
    assert main(["diff", a, str(b)]) == 0
    assert capsys.readouterr().out.startswith("3 the same, 0 changed, 0 only in A, 0 only in B\nduration p50: ")


def test_what_changed_is_told_by_field_and_what_is_missing_by_side(tmp_path, a, capsys):
    b = shop.record(tmp_path / "b.cap", total="13.0", status="500 Oops", health=False, extra="X-New: 1\r\n")
    assert main(["diff", a, str(b)]) == 1
    assert capsys.readouterr().out.splitlines()[:14] == [
        "c1-1  POST /pay?key=k1  (1 µs in A, 1 µs in B, 1.0 times)",
        "    response.status",
        "      - A 200",
        "      + B 500",
        "    response.reason",
        '      - A "OK"',
        '      + B "Oops"',
        "    response.headers.X-New",
        "      - A nothing",
        '      + B "1"',
        "    response.body.json.total",
        "      - A 12.5",
        "      + B 13.0",
        "c2-1  GET /health: only in A",
    ]
    assert main(["diff", str(b), a]) == 1
    assert "c2-1  GET /health: only in B" in capsys.readouterr().out


def test_times_are_ratios_and_no_difference(tmp_path, a, capsys, monkeypatch):
    answer = shop._answer
    monkeypatch.setattr(
        shop, "_answer", lambda socket, *rest: (socket.process.capture.wait(9000), answer(socket, *rest))[1]
    )
    b = str(shop.record(tmp_path / "b.cap"))
    assert main(["diff", a, b, "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["durations"]["p99"] == {"a_ns": 1000, "b_ns": 10_000, "ratio": 10.0}
    assert [row["ratio"] for row in document["exchanges"]] == [10.0, 10.0, 1.0]
    assert {row["kind"] for row in document["exchanges"]} == {"same"}


def test_a_filter_and_rules_narrow_what_is_compared(tmp_path, a, capsys):
    b = str(shop.record(tmp_path / "b.cap", total="13.0"))
    assert main(["diff", a, b, "--filter", 'method == "GET"']) == 0
    assert "2 the same" in capsys.readouterr().out
    (tmp_path / "replay.toml").write_text('[json]\nignore = ["$.total"]')
    assert main(["diff", a, b]) == 0
    (tmp_path / "other.toml").write_text("")
    assert main(["diff", a, b, "--rules", str(tmp_path / "other.toml")]) == 1


def test_a_file_that_is_none_ends_with_3_and_a_wrong_filter_with_2(tmp_path, a):
    (tmp_path / "x").write_text("x")
    assert main(["diff", a, str(tmp_path / "x")]) == 3
    assert main(["diff", a, str(tmp_path / "none")]) == 3
    assert main(["diff", a, a, "--filter", "("]) == 2


def test_secrets_do_not_show_and_hostile_text_is_escaped(tmp_path, a, capsys):
    b = str(shop.record(tmp_path / "b.cap", status="200 \x1b[31m", cart="/\x1b]0;x\x07", extra="X: \x9b\r\n"))
    assert main(["diff", a, b]) == 1
    out = capsys.readouterr().out
    assert "s3cret" not in out
    assert out.replace("\n", "").isprintable()


def test_json_tells_null_from_nothing(tmp_path, capsys):
    a = str(shop.record(tmp_path / "a.cap", total="null"))
    b = str(shop.record(tmp_path / "b.cap", total='1, "more": null'))
    assert main(["diff", a, b, "--format", "json"]) == 1
    found = json.loads(capsys.readouterr().out)["exchanges"][0]["differences"]
    assert {"path": "response.body.json.total", "a": None, "b": 1} in found
    assert {"path": "response.body.json.more", "b": None} in found
