"""`ebpf-replay test`: what counts as a difference, what does not, and how it is told."""

import json
import re
import xml.etree.ElementTree as ElementTree

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.cli import main
from replay.document import to_document
from replay.errors import UsageError
from replay.tester import engine, json_bodies, json_paths, report
from replay.tester.align import align
from replay.tester.compare import MISSING, differences
from replay.tester.normal import normal_form
from replay.tester.rules import Rules, TimingRules, load, rules_for
from tests.answers import hostile, shop


@pytest.fixture
def folder(tmp_path):
    shop.record(tmp_path / "shop.cap")
    assert main(["test", "--update", str(tmp_path)]) == 0
    return tmp_path


def verdict(folder, *more):
    return main(["test", str(folder), *more])


def rules(tmp_path, text):
    path = tmp_path / "replay.toml"
    path.write_text(text)
    return load(path)


def documents(*items):
    return [msgspec.to_builtins(to_document(item)) for item in items]


def test_a_recording_agrees_with_its_own_expectation(folder, capsys):
    assert verdict(folder) == 0
    assert capsys.readouterr().out.endswith(f"ok     {folder}/shop.cap: 3 exchanges\n1 capture: all as expected\n")


def test_what_varies_by_nature_is_no_difference(folder):
    """Another process, other ports, another time, slower answers."""
    shop.record(folder / "shop.cap", port=9999, pid=321, wait=10**12, slow=10**9)
    assert verdict(folder) == 0


def test_a_changed_answer_fails_and_is_told_field_by_field(folder, capsys):
    shop.record(folder / "shop.cap", total="13.0", status="500 Oops", text="two\nother\n", health=False)
    capsys.readouterr()
    assert verdict(folder) == 1
    assert (
        capsys.readouterr().out
        == f"""\
FAIL   {folder}/shop.cap: 3 of 3 exchanges not as expected
  c1-1  POST /pay?key=k1
      response.status
        - expected 200
        + got      500
      response.reason
        - expected "OK"
        + got      "Oops"
      response.body.json.total
        - expected 12.5
        + got      13.0
  c1-2  GET /cart
      response.body.text
        @@ -1,2 +1,2 @@
         two
        -lines
        +other
  c2-1  GET /health: expected, not in the capture
1 capture, 1 failed
"""
    )


def test_an_unexpected_exchange_and_a_changed_target_are_told_apart(folder, capsys):
    shop.record(folder / "shop.cap", cart="/basket")
    assert verdict(folder) == 1
    assert 'request.target\n        - expected "/cart"\n        + got      "/basket"' in capsys.readouterr().out
    (folder / "shop.expected.jsonl").write_text("")
    assert verdict(folder) == 1
    assert "in the capture, not expected" in capsys.readouterr().out


def test_plain_jsonl_output_is_an_expectation_too(folder):
    out = folder / "shop.expected.jsonl"
    out.unlink()
    assert main(["show", str(folder / "shop.cap"), "--format", "jsonl", "-o", str(out)]) == 0
    assert verdict(folder) == 0


def test_secrets_are_masked_in_what_is_written(folder):
    written = (folder / "shop.expected.jsonl").read_text()
    assert "s3cret" not in written
    assert '["Authorization", "Bearer ***"], ["Cookie", "sid=***; a=***"]' in written


def test_colour_only_on_a_terminal(folder, capsys, monkeypatch):
    shop.record(folder / "shop.cap", total="1")
    verdict(folder)
    assert "\x1b" not in capsys.readouterr().out
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    verdict(folder)
    assert "\x1b[31m- expected 12.5\x1b[0m" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "change"),
    [
        ('[json]\nignore = ["$.total"]', {"total": "13"}),
        ('[json]\nignore = ["$..id"]', {"total": "12.5"}),
        ('[json.match]\n"$.total" = "[0-9.]+"', {"total": "999"}),
        ('[headers]\nignore = ["X-Run"]', {"extra": "X-Run: 5\r\n"}),
        ('[ids]\nmatch = ["/c[a-z]+t"]', {"cart": "/coat"}),
        ('[secrets]\njson = ["$.total"]', {"total": "7"}),
    ],
)
def test_a_rule_takes_a_difference_away(folder, text, change):
    (folder / "replay.toml").write_text(text)
    assert verdict(folder, "--update") == 0
    shop.record(folder / "shop.cap", **change)
    assert verdict(folder) == 0


@pytest.mark.parametrize(
    ("text", "change"),
    [
        ('[json.match]\n"$.total" = "[0-9.]+"', {"total": '"x"'}),
        ('[headers.match]\nX-Run = "[0-9]+"', {"extra": "X-Run: no\r\n"}),
        ('[connections]\nports = "compare"', {"port": 8081}),
        ("[timings]\nmax_ratio = 3.0\nfloor_ms = 0.0", {"status": "200 OK", "cart": "/cart", "slow_answer": True}),
    ],
)
def test_a_rule_that_is_not_met_is_a_difference(folder, text, change, monkeypatch):
    (folder / "replay.toml").write_text(text)
    assert verdict(folder, "--update") == 0
    if change.pop("slow_answer", False):
        answer = shop._answer
        monkeypatch.setattr(
            shop, "_answer", lambda socket, *rest: (socket.process.capture.wait(10**8), answer(socket, *rest))[1]
        )
    shop.record(folder / "shop.cap", **change)
    assert verdict(folder) == 1


def test_generated_names_keep_their_relations(tmp_path):
    made = rules(tmp_path, '[ids]\nmatch = ["[0-9a-f]{4}"]')
    found = normal_form(documents(*(hostile.get(f"/o/{name}") for name in ("aaaa", "bbbb", "aaaa"))), made)
    assert [d["request"]["target"] for d in found] == ["/o/{id 1}", "/o/{id 2}", "/o/{id 1}"]


def test_a_secret_in_the_query_is_masked(tmp_path):
    made = rules(tmp_path, '[secrets]\nquery = ["to ken"]')
    found = normal_form(documents(hostile.get("/x?a=1&to%20ken=s&b")), made)
    assert found[0]["request"]["target"] == "/x?a=1&to%20ken=***&b"


@pytest.mark.parametrize(
    "text",
    [
        "[header]\n",
        "[headers]\nignore = 5",
        '[json]\nignore = ["id"]',
        '[ids]\nmatch = ["("]',
        "[",
        '[json]\nignore=["$.a b"]',
    ],
)
def test_a_wrong_rules_file_is_named_and_ends_with_2(folder, text, capsys):
    (folder / "replay.toml").write_text(text)
    assert verdict(folder) == 2
    assert re.search(r"ERROR  .*replay\.toml", capsys.readouterr().out)


def test_rules_come_from_the_nearest_folder_up_to_the_path_given(tmp_path):
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "replay.toml").write_text('[headers]\nignore = ["Outer"]')
    assert "outer" in rules_for(inner / "x.cap", tmp_path).ignored_headers
    assert "outer" not in rules_for(inner / "x.cap", inner).ignored_headers
    (tmp_path / "a" / "replay.toml").write_text('[headers]\nignore = ["Nearer"]')
    assert "outer" not in rules_for(inner / "x.cap", tmp_path).ignored_headers


def test_exit_status_2_without_captures_and_3_for_what_is_none(tmp_path, folder, capsys):
    empty = tmp_path / "empty"
    empty.mkdir()
    assert verdict(empty) == 2
    assert verdict(tmp_path / "nowhere") == 2
    (folder / "bad.cap").write_bytes(b"not a capture")
    (folder / "bad.expected.jsonl").write_text("")
    assert verdict(folder) == 3
    assert "bad.cap: " in capsys.readouterr().out


@pytest.mark.parametrize(
    "line", ["{", "[]", "{}", "null", '{"connection": 5}', '{"connection": {"id": []}}', "\x00", "[" * 9999]
)
def test_an_expectation_that_is_none_ends_with_2_and_names_its_line(folder, line, capsys):
    expected = folder / "shop.expected.jsonl"
    expected.write_text(expected.read_text() + line + "\n")
    assert verdict(folder) == 2
    assert "expected.jsonl, line 4" in capsys.readouterr().out


def test_any_number_of_jobs_prints_the_same_bytes(folder, capsys):
    for number in range(4):
        shop.record(folder / f"{number}.cap", total=str(number))
        (folder / f"{number}.expected.jsonl").write_bytes((folder / "shop.expected.jsonl").read_bytes())
    outs = []
    for jobs in "1", "2", "2":
        assert verdict(folder, "--jobs", jobs, "--junit", str(folder / f"{jobs}.xml")) == 1
        outs.append(capsys.readouterr().out)
    assert len(set(outs)) == 1
    assert (folder / "1.xml").read_bytes() == (folder / "2.xml").read_bytes()


def test_junit_counts_and_holds_what_was_printed(folder):
    shop.record(folder / "shop.cap", total="13")
    verdict(folder, "--junit", str(folder / "out.xml"))
    suite = ElementTree.parse(folder / "out.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("1", "1", "0")
    assert "response.body.json.total" in suite.find("testcase/failure").text


def test_junit_is_never_written_through_a_link(folder, tmp_path, capsys):
    shop.record(folder / "shop.cap", total="13")
    (tmp_path / "mine").write_text("kept")
    (tmp_path / "out.xml").symlink_to(tmp_path / "mine")
    assert verdict(folder, "--junit", str(tmp_path / "out.xml")) == 2
    assert (tmp_path / "mine").read_text() == "kept"
    assert "symbolic link" in capsys.readouterr().err


def test_hostile_names_and_values_are_escaped_in_the_report_and_in_junit():
    left, right = documents(*hostile.exchanges()), documents(*hostile.exchanges())
    for document in right:
        document["protocol"] = hostile.ESCAPES
        if document.get("response"):
            document["response"] |= {"reason": hostile.ESCAPES + hostile.HTML, "headers": [[hostile.ESCAPES, "\udcff"]]}
    made = tuple(engine.mismatches(normal_form(left, Rules()), normal_form(right, Rules()), Rules()))
    outcome = engine.Outcome(engine.Path("\x1b[31m.cap"), 1, 3, made)
    assert all(line.isprintable() for line in report.lines(outcome))
    suite = ElementTree.fromstring(report.junit([outcome]))
    assert "<script>" in suite.find(".//failure").text


@given(st.lists(hostile.ANY, max_size=5))
def test_normalising_twice_is_the_same_as_once(items):
    items = [msgspec.structs.replace(item, id=f"c1-{n}") for n, item in enumerate(items)]
    once = normal_form(documents(*items), Rules())
    assert normal_form(json.loads(json.dumps(once)), Rules()) == once
    assert all(differences(a, b) == [] for a, b in zip(once, once, strict=True))


@given(st.lists(st.sampled_from("abcd")), st.lists(st.sampled_from("abcd")))
def test_alignment_uses_every_exchange_once_and_pairs_all_that_can_be(left, right):
    a, b = (
        normal_form(documents(*(hostile.get(f"/{t}", number=n) for n, t in enumerate(side))), Rules())
        for side in (left, right)
    )
    pairs = align(a, b)
    assert [pair[0] for pair in pairs if pair[0]] == a
    assert sorted(pair[1]["id"] for pair in pairs if pair[1]) == sorted(each["id"] for each in b)
    same = sum(bool(x and y) and x["request"]["target"] == y["request"]["target"] for x, y in pairs)
    assert same == sum(min(left.count(t), right.count(t)) for t in "abcd")


@pytest.mark.parametrize(
    ("left", "right", "found"),
    [
        ({"a": 1}, {"a": 2}, [("x.a", 1, 2)]),
        ({"a": 1}, {}, [("x.a", 1, MISSING)]),
        ({}, {"a b": None}, [('x["a b"]', MISSING, None)]),
        ({"a": True}, {"a": 1}, [("x.a", True, 1)]),
        ([1, 2, 3], [0, 1, 2, 3], [("x[0]", MISSING, 0)]),
        ([1, 2, 3], [1, 3], [("x[1]", 2, MISSING)]),
        ([{"id": 1}, {"id": 2}], [{"id": 1}, {"id": 3}], [("x[1].id", 2, 3)]),
        (list(range(600)), list(range(1, 600)), None),
    ],
)
def test_json_is_compared_by_its_structure(left, right, found):
    got = [(d.path, d.expected, d.actual) for d in differences({"x": left}, {"x": right})]
    assert got == found if found is not None else len(got) == 600


def test_headers_are_compared_by_name_whatever_their_case_and_order():
    left = {"request": {"headers": [["A", "1"], ["b", "2"], ["B", "3"]]}}
    right = {"request": {"headers": [["B", "2"], ["a", "1"], ["b", "3"]]}}
    assert differences(left, right) == []
    right["request"]["headers"].append(["C", "4"])
    assert [(d.path, d.expected, d.actual) for d in differences(left, right)] == [("request.headers.C", MISSING, "4")]


@pytest.mark.parametrize(("actual", "differs"), [(10, False), (29, False), (31, True), (3, True), (None, False)])
def test_durations_compare_by_ratio(actual, differs):
    limits = TimingRules(max_ratio=3.0, floor_ms=0.0)
    actual = actual and actual * 10**6
    assert bool(differences({"duration_ns": 10 * 10**6}, {"duration_ns": actual}, limits)) is differs


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "a": 2}',
        '{"a": NaN}',
        "[1e999]",
        "[" * 200 + "]" * 200,
        "[" * 100_000,
        "[" + "9" * 5000 + "]",
        '"x"',
        "",
        "5",
        "{",
    ],
)
def test_what_is_not_exactly_json_stays_text(text):
    with pytest.raises(json_bodies.NotJson):
        json_bodies.parse(text)


@pytest.mark.parametrize(
    ("path", "left"),
    [
        ("$.a", {"b": [{"id": 1, "x y": 2}, {"id": 3}]}),
        ("$.b[*].id", {"a": 0, "b": [{"x y": 2}, {}]}),
        ("$..id", {"a": 0, "b": [{"x y": 2}, {}]}),
        ("$.b[1]", {"a": 0, "b": [{"id": 1, "x y": 2}]}),
        ('$.b[0]["x y"]', {"a": 0, "b": [{"id": 1}, {"id": 3}]}),
        ("$.b.*", {"a": 0, "b": []}),
        ("$.nothing[5].here", {"a": 0, "b": [{"id": 1, "x y": 2}, {"id": 3}]}),
    ],
)
def test_a_path_names_its_places(path, left):
    document = {"a": 0, "b": [{"id": 1, "x y": 2}, {"id": 3}]}
    json_paths.remove(document, json_paths.parse(path))
    assert document == left


def test_an_update_replaces_the_whole_expectation_and_leaves_nothing_else(folder):
    before = (folder / "shop.expected.jsonl").read_bytes()
    assert verdict(folder, "--update") == 0
    assert (folder / "shop.expected.jsonl").read_bytes() == before
    assert sorted(path.name for path in folder.iterdir()) == ["shop.cap", "shop.expected.jsonl"]


def test_a_capture_named_without_its_expectation_is_a_usage_error(folder, capsys):
    (folder / "shop.expected.jsonl").unlink()
    with pytest.raises(UsageError, match="--update"):
        engine.find([folder])
    assert main(["test", str(folder / "shop.cap")]) == 2
    assert "--update writes it" in capsys.readouterr().out
