"""`ebpf-replay stats`: exact counts, templates, percentiles, and what is missing always in sight."""

import json
import os
import pty
import re
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capfile.event import Reason
from replay.cli import main
from replay.stats import counting, tables
from replay.stats.counting import Statistics, percentiles
from replay.stats.templates import template
from tests.answers import hostile, shop
from tests.answers.examples import exchange, get, opaque, request
from tests.build import Capture


def counted(*items, missing=()):
    found = Statistics()
    for item in items:
        found.add(item)
    return found.document(list(missing))


def shown(document, capsys):
    import sys

    tables.write(document, sys.stdout)
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/", "/"),
        ("/users/17", "/users/{id}"),
        ("/users/17/orders/9/", "/users/{id}/orders/{id}/"),
        ("/u/123E4567-e89b-12d3-a456-426614174000", "/u/{uuid}"),
        ("/log/2026-11-22/x", "/log/{date}/x"),
        ("/blob/deadbeef01", "/blob/{hex}"),
        ("/blob/deadbeef", "/blob/deadbeef"),
        ("/t/aGVsbG8gd29ybGQx23", "/t/{token}"),
        ("/m/a.b@example.org", "/m/{email}"),
        ("/img/42.png", "/img/{id}.png"),
        ("/v1/items", "/v1/items"),
        ("/jquery-3.7.1.min.js", "/jquery-3.7.1.min.js"),
        ("/" + "a" * 10_000, "/" + "a" * 399),
    ],
)
def test_variable_segments_are_named_and_others_stay(path, name):
    assert template(path) == name
    assert template(name) == name


@given(st.lists(st.integers(0, 10**12), min_size=1))
def test_percentiles_are_nearest_ranks(values):
    found = percentiles(values)
    assert found["max"] == max(values)
    for name, share in counting.QUANTILES:
        assert sum(v <= found[name] for v in values) >= share * len(values)
        assert sum(v < found[name] for v in values) < share * len(values)
    assert found["p50"] == statistics.median_low(values)


def test_every_exchange_is_in_one_group_of_each_kind():
    items = [get("/u/1"), get("/u/2", 500), get("/other", number=3), exchange(request(), None, 4), opaque()]
    document = counted(*items)
    assert document["total"]["exchanges"] == 4
    assert document["total"]["errors"] == 1
    assert {row["name"]: row["exchanges"] for row in document["by_endpoint"]} == {
        "GET /u/{id}": 2,
        "GET /other": 1,
        "GET /x": 1,
    }
    assert {row["name"]: row["exchanges"] for row in document["by_status"]} == {"200": 2, "500": 1, "(no response)": 1}
    for kind in counting.KINDS:
        assert sum(row["exchanges"] for row in document[f"by_{kind}"]) == 4
    assert document["connections_without_exchanges"] == [{"protocol": "tls", "connections": 1, "bytes": 4613}]


def test_rates_are_counted_in_slices_that_cover_the_time_without_a_hole():
    rate = counted(*(get(number=n, status=500 if n == 30 else 200) for n in range(1, 31)))["rate"]
    assert rate["per_second"] == pytest.approx(30 / 29, abs=0.001)
    assert rate["slice_ns"] == 5 * 10**9
    assert sum(each["exchanges"] for each in rate["slices"]) == 30
    assert rate["slices"][-1]["errors"] == 1
    assert all(
        b["from"] - a["from"] == rate["slice_ns"] for a, b in zip(rate["slices"], rate["slices"][1:], strict=False)
    )
    far = counted(get(start=0), get(start=10**19))["rate"]
    assert len(far["slices"]) <= counting.MAX_SLICES + 1
    assert counted()["rate"]["slices"] == []


def test_groups_are_bounded_and_nothing_is_dropped(monkeypatch):
    monkeypatch.setattr(counting, "MAX_GROUPS", 3)
    document = counted(*(get(f"/{letter}") for letter in "abcdef"))
    assert document["by_endpoint"][0] == document["by_endpoint"][0] | {"name": counting.OTHERS, "exchanges": 3}


def test_incompleteness_is_in_sight_in_every_format(capsys):
    lost = exchange(request(), None, completeness="open")
    document = counted(get(), lost, missing=["7 bytes (sendfile)"])
    assert (document["complete"], document["missing"]) == (False, ["7 bytes (sendfile)"])
    out = shown(document, capsys)
    assert out.startswith("INCOMPLETE: 2 exchanges, 1 of them incomplete")
    assert "  missing: 7 bytes (sendfile)\n  incomplete exchanges: 1 open\n" in out
    assert shown(counted(get()), capsys).startswith("complete: 1 exchange, ")


def test_the_command_counts_a_capture_and_says_what_is_missing(tmp_path, capsys):
    capture = Capture()
    one = capture.process(1, comm="shop").accept()
    one.receive(b"GET /big HTTP/1.1\r\nHost: h\r\n\r\n").send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
    one.gap(9, Reason.SENDFILE).close()
    path = capture.write(tmp_path / "gap.cap")
    assert main(["stats", str(path), "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["missing"] == ["9 bytes (sendfile)"]
    assert document["by_endpoint"][0]["response_bytes"] == 9
    assert main(["stats", str(path)]) == 0
    assert "missing: 9 bytes (sendfile)" in capsys.readouterr().out


def test_a_filter_chooses_what_is_counted_and_the_output_is_the_same_every_time(tmp_path, capsys):
    path = str(shop.record(tmp_path / "shop.cap"))
    outs = []
    for _ in range(2):
        assert main(["stats", path, "--filter", 'method == "GET"', "--format", "json"]) == 0
        outs.append(capsys.readouterr().out)
    assert outs[0] == outs[1]
    assert json.loads(outs[0])["total"]["exchanges"] == 2
    assert main(["stats", path, "--filter", "nonsense"]) == 2


def test_hostile_names_are_escaped_in_the_tables_and_in_json(capsys):
    document = counted(*hostile.exchanges(), hostile.big(), missing=[hostile.ESCAPES])
    assert not re.search(r"[^\n -~µ…]", shown(document, capsys))
    assert "\x1b" not in json.dumps(document)


def test_on_a_terminal_it_is_a_table_and_recorded_markup_is_text(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    leader, follower = pty.openpty()
    with os.fdopen(follower, "w") as terminal:
        tables.write(counted(get("/[red]x[/red]"), get("/\x1b]0;x\x07")), terminal)
    out = b""
    while chunk := _read(leader):
        out += chunk
    os.close(leader)
    text = out.decode()
    assert "[red]x[/red]" in text
    assert "─" in text
    assert "\x1b]0;" not in text
    assert all(len(re.sub(r"\x1b\[[0-9;]*m", "", line)) <= 80 for line in text.splitlines())


def _read(descriptor):
    try:
        return os.read(descriptor, 65536)
    except OSError:  # EIO: the terminal's other end is closed
        return b""
