"""Of what failed in a guest of the kernel matrix, the table holds one readable line."""

from __future__ import annotations

import json

import pytest

from tests.vm.guest import verdict

REFUSED = "ebpf-rec: the kernel refused on_transfer: R2 min value is negative (Permission denied, errno 13)"
PYTEST = f"""
E       subprocess.CalledProcessError: Command '['python3', '-m', 'recorder']' returned non-zero exit status 5.
---------------------------- Captured stderr setup -----------------------------
{REFUSED}
  try: run it elsewhere
=========================== short test summary info ============================
ERROR tests/live/test_exerciser.py::test_a
"""
ASSERTION = """
>       assert found == expected
E       AssertionError: (465965, 'receive')
E       assert 26 == 10
1 failed in 2.00s
"""


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (PYTEST, REFUSED),
        (ASSERTION, "E AssertionError: (465965, 'receive')"),
        ("one\n\nlast words  \n\n", "last words"),
        ("", "it said nothing"),
        ("ebpf-rec: " + "x" * 9999, "ebpf-rec: " + "x" * (verdict.LONGEST - 10)),
    ],
)
def test_reason_is_the_recorder_s_own_line_where_there_is_one(text: str, line: str) -> None:
    assert verdict.reason(text) == line


def test_doctor_s_cell_is_its_first_failing_check() -> None:
    checks = [
        {"name": "kernel", "state": "ok", "detail": "5.10"},
        {"name": "BTF", "state": "fails", "detail": "no /sys/kernel/btf/vmlinux"},
        {"name": "proof", "state": "fails", "detail": "because of it"},
    ]
    assert verdict.of_doctor(4, json.dumps({"checks": checks}), "") == "BTF: no /sys/kernel/btf/vmlinux"
    assert verdict.of_doctor(0, "", "") == "can record"
    assert verdict.of_doctor(2, "", "usage: ebpf-rec\nebpf-rec: error: no such command\n").startswith(
        "exit 2: ebpf-rec: e"
    )


def test_counts_are_of_states_not_of_lines() -> None:
    report = """<testsuites><testsuite><testcase classname="a" name="one"/><testcase classname="a" name="two">
    <failure message="x">long</failure></testcase><testcase classname="a" name="three"/></testsuite></testsuites>"""
    assert verdict.tests(report) == {"a::one": "passed", "a::two": "failed", "a::three": "passed"}
    assert verdict.counts(verdict.tests(report)) == "2 passed, 1 failed"
    assert verdict.counts({}) == "no tests"


@pytest.mark.parametrize(
    ("totals", "balanced"),
    [
        ({"connections": 2, "audited": 2, "unbalanced": 0}, True),
        ({"connections": 2, "audited": 1, "unbalanced": 0}, False),
        ({"connections": 2, "audited": 2, "unbalanced": 1}, False),
        ({"connections": 0, "audited": 0, "unbalanced": 0}, False),
        ({}, False),
    ],
)
def test_audit_is_balanced_when_every_connection_was_counted_and_none_differs(
    totals: dict[str, int], balanced: bool
) -> None:
    assert verdict.balanced({"totals": totals}) is balanced
