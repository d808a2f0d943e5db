"""`ebpf-replay info FILE …`: what is in a capture file, without replaying it.

Exit status: 0 shown; 2 usage; 3 not a capture.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import closing
from typing import Any

from capfile.words import counted
from replay.output.escaping import visible
from replay.overview import Overview, overview
from replay.source import naming, opened


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `info`."""
    parser.add_argument("files", nargs="+", metavar="FILE", help='capture files, or "-" for standard input')
    parser.add_argument("--json", action="store_true", help="a JSON document per file")


def run(arguments: argparse.Namespace) -> int:
    """Show each file."""
    for number, name in enumerate(arguments.files):
        with closing(opened(name)) as file, naming(name):
            found = overview(file)
        if arguments.json:
            sys.stdout.write(json.dumps({"file": name, **found.as_dict()}) + "\n")
        else:
            sys.stdout.write(("\n" if number else "") + _text(name, found))
    return 0


def _text(name: str, found: Overview) -> str:
    lines = [f"{visible(name)}: {found.state}", *(f"  {label:<12} {value}" for label, value in _rows(found))]
    return "\n".join(lines) + "\n"


def _rows(found: Overview) -> list[tuple[str, str]]:
    facts = found.as_dict()
    rows = [(label, visible(str(facts[name]))) for name, label in _PLAIN if facts[name] not in ("", None)]
    rows += [("frames", _counts(facts["frames"])), ("events", _counts(facts["events"]) or "none")]
    rows += [("chunks", f"{counted(facts['ring_bytes'], 'byte')} of rings in {counted(facts['stored_bytes'], 'byte')}")]
    rows += [("bytes", f"{facts['captured_bytes']:,} captured; missing: {_counts(facts['missing_bytes']) or 'none'}")]
    rows += [("sockets", _counts(facts["sockets"]) or "none")]
    for each in facts["processes"]:
        rows.append(("process", visible(f"{each['pid']} {each['comm']} {each['exe']}".strip())))
    if found.processes_beyond:
        rows.append(("process", f"… and {found.processes_beyond:,} more"))
    losses = facts["losses"]
    rows += [("lost", f"{count:,} {name}") for name, count in losses.items()] or [("lost", "nothing that was counted")]
    rows += [("mark", f"{count:,} {visible(name)}") for name, count in facts["marks"].items()]
    rows += [("unknown", f"{count:,} {visible(name)}") for name, count in facts["unknown"].items()]
    for each in facts["damage"]:
        where = f"{each['kind']} at byte {each['offset']:,}, {counted(each['length'], 'byte')}"
        rows.append(("damage", f"{where}: {visible(each['detail'])}"))
    return rows


_PLAIN = (
    ("version", "format"),
    ("recorder", "recorder"),
    ("command_line", "command"),
    ("host", "host"),
    ("kernel", "kernel"),
    ("machine", "machine"),
    ("boot_id", "boot"),
    ("recording_id", "recording"),
    ("segments", "segment"),
    ("started", "started"),
    ("duration", "duration"),
    ("end_reason", "ended"),
)


def _counts(counts: dict[str, Any]) -> str:
    return ", ".join(f"{count:,} {visible(name)}" for name, count in counts.items())
