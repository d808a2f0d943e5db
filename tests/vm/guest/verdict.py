"""What programs printed in, one cell of the table out: a few words, and of a failure its one reason.

Runs inside the guest and in the unit tests; reads text alone.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any
from xml.etree import ElementTree

LONGEST = 300  # characters of a reason: a sentence, not a log


def reason(text: str) -> str:
    """The one line that says why: the recorder's error (with a verifier's reason), else pytest's, else the last one."""
    for pattern in (r"^ebpf-rec: .*", r"^E +\S.*", r"\S.*(?=\s*\Z)"):
        if found := re.search(pattern, text, re.MULTILINE):
            return re.sub(r"\s+", " ", found[0]).strip()[:LONGEST]
    return "it said nothing"


def of_doctor(status: int, output: str, error: str) -> str:
    """Whether doctor says that this host can record, else its first failing check."""
    if status == 0:
        return "can record"
    try:
        checks: list[dict[str, Any]] = json.loads(output)["checks"]
    except (ValueError, KeyError, TypeError):
        return f"exit {status}: {reason(error)}"
    failing = [f"{check['name']}: {check['detail']}" for check in checks if check["state"] == "fails"]
    return " ".join(failing[0].split())[:LONGEST] if failing else f"exit {status}"


def tests(junit: str) -> dict[str, str]:
    """Test -> passed, failed, error or skipped, of a report in JUnit's XML."""
    names = {"failure": "failed", "error": "error", "skipped": "skipped"}
    return {
        f"{case.get('classname')}::{case.get('name')}": next((names[c.tag] for c in case if c.tag in names), "passed")
        for case in ElementTree.fromstring(junit).iter("testcase")
    }


def counts(states: dict[str, str]) -> str:
    """`12 passed, 1 failed`."""
    return ", ".join(f"{number} {state}" for state, number in Counter(states.values()).most_common()) or "no tests"


def balanced(audit: dict[str, Any]) -> bool:
    """Every connection was counted by the kernel, and captured + gaps = counted on each (`verify --json`)."""
    totals = audit.get("totals", {})
    counted = totals.get("connections", 0) == totals.get("audited") and totals.get("unbalanced") == 0
    return bool(counted and totals.get("connections"))
