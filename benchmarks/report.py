"""Kept sections in, docs/performance.md and its plots out."""

from __future__ import annotations

import datetime
import json
import re
import subprocess

from benchmarks.harness import RESULTS, ROOT, machine
from benchmarks.plot import svg

ORDER = ("server", "consumer", "offline")
# How each alternative is asked for its version.
VERSIONS = {
    "nginx": "-v",
    "wrk": "-v",
    "tcpdump": "--version",
    "tshark": "--version",
    "strace": "--version",
    "bpftrace": "--version",
    "tcpflow": "-V",
}
REACHED = {True: "yes", False: "**no**", None: ""}


def _version(name: str, option: str) -> str:
    try:
        done = subprocess.run([name, option], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return f"{name} (not installed)"
    found = re.search(r"\d+\.[\d.]+\w*", done.stdout + done.stderr)
    return f"{name} {found[0] if found else '?'}"


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def _section(name: str) -> list[str]:
    section = json.loads((RESULTS / f"{name}.json").read_text())
    lines = [
        f"## {section['title']}",
        "",
        f"{'Full' if section['full'] else 'Quick'} form, {section['seconds']:.0f} s.",
        "",
        "| target | measured | reached | peers in the same run |",
        "|---|---|---|---|",
    ]
    for row in section["rows"]:
        lines.append(f"| {row['target']} | {row['measured']} | {REACHED[row['reached']]} | {row['peers']} |")
    lines.append("")
    for title, curve in section["curves"].items():
        path = ROOT / "docs/plots" / f"{_slug(title)}.svg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(svg(title, curve))
        lines += [f"![{title}](plots/{path.name})", ""]
    return lines


def main() -> None:
    """Write the page and its plots from the kept sections; benchmarks/notes.md is its last part."""
    lines = [
        "# Performance",
        "",
        f"Written by `make bench` on {datetime.date.today()}: {machine()}.",
        f"Beside it in the same run: {', '.join(_version(*item) for item in VERSIONS.items())}.",
        "",
        "Values are medians with the smallest and largest in brackets. Ratios compare runs of the same round, because",
        "the machine drifts; absolute times are of this machine only.",
        "A benchmark that was not run has no section here.",
        "",
    ]
    for name in ORDER:
        if (RESULTS / f"{name}.json").exists():  # each benchmark can be run alone: python -m benchmarks.consumer
            lines += _section(name)
    notes = ROOT / "benchmarks/notes.md"
    (ROOT / "docs/performance.md").write_text("\n".join(lines) + "\n" + (notes.read_text() if notes.exists() else ""))
