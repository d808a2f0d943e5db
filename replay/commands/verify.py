"""`ebpf-replay verify FILE …`: complete, or exactly what is missing.

Exit status: 0 nothing is known to be missing ("complete" alone: the kernel's own count of every connection agrees;
"complete as far as …": what could not be compared is said); 1 something is missing or does not balance; 2 usage;
3 not a capture.
"""

from __future__ import annotations

import argparse
import re
import sys
from contextlib import closing
from typing import Final

import msgspec

from capfile.words import counted
from replay.output.escaping import visible
from replay.source import Recording, prefixes, recordings
from replay.verify import Account, Flow, Report, Verification

_STEERING: Final = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
MAX_LISTED: Final = 50  # connections written out in the text; --json lists all


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `verify`."""
    parser.add_argument("files", nargs="+", metavar="FILE", help='capture files, or "-" for standard input')
    parser.add_argument("--json", action="store_true", help="a JSON document per recording, with every connection")


def run(arguments: argparse.Namespace) -> int:
    """Verify each recording; 1 if any is not complete."""
    found = recordings(arguments.files)
    show = _json if arguments.json else _text
    complete = True
    for recording, prefix in zip(found, prefixes(len(found)), strict=True):
        with closing(recording):
            complete &= show(recording, prefix)
    return 0 if complete else 1


def _json(recording: Recording, prefix: str) -> bool:
    """One document: `connections` as they end, then the verdict. Written piece by piece, whatever their number."""
    verification = Verification(recording, prefix)
    write, encode = sys.stdout.write, msgspec.json.Encoder().encode
    write('{"connections":[')
    for number, account in enumerate(verification.accounts()):
        write((",\n" if number else "\n") + _harmless(encode(account)))
    report = verification.report()
    write("],\n" + _harmless(encode(report))[1:] + "\n")
    return report.complete


def _harmless(document: bytes) -> str:
    """JSON with what JSON need not escape and a terminal may obey: DEL, C1, and what turns the direction of writing."""
    return _STEERING.sub(lambda match: f"\\u{ord(match[0]):04x}", document.decode())


def _text(recording: Recording, prefix: str) -> bool:
    verification = Verification(recording, prefix)
    incomplete = 0
    for account in verification.accounts():
        if not account.complete:
            incomplete += 1
            if incomplete <= MAX_LISTED:
                print(*_account_lines(account), sep="\n")
    if incomplete > MAX_LISTED:
        print(f"… and {counted(incomplete - MAX_LISTED, 'more such connection')} (--json lists all)")
    report = verification.report()
    print(*_report_lines(report), sep="\n")
    return report.complete


def _account_lines(account: Account) -> list[str]:
    joined = ", joined midstream" if account.joined_midstream else ""
    who = f"{visible(account.comm) or '?'}[{account.pid}]"
    lines = [f"connection {account.id}, {who}, {account.local or '-'} with {account.remote or '-'}{joined}:"]
    return lines + [
        f"  {name}: {_flow(flow)}"
        for name, flow in (("received", account.received), ("sent", account.sent))
        if not flow.complete
    ]


def _flow(flow: Flow) -> str:
    reasons = ", ".join(f"{reason} {size:,}" for reason, size in sorted(flow.gaps.items()))
    text = f"{flow.captured:,} of {counted(flow.captured + flow.missing, 'byte')} captured"
    if reasons:
        text += f"; missing: {reasons}"
    if flow.unsized:
        text += f"; {counted(flow.unsized, 'gap')} of unknown length"
    if flow.counted is not None:
        text += f"; the kernel counted {flow.counted:,}: " + ("balanced" if flow.balanced else "DIFFERS")
    return text


def _report_lines(report: Report) -> list[str]:
    totals = report.totals
    audited = f"{totals.audited:,} of them counted by the kernel too"
    total = f"{counted(totals.connections, 'connection')}, {audited}; {counted(totals.captured, 'byte')} captured"
    lines = [f"{report.verdict}: {total}"]
    lines += [f"  missing: {sentence}" for sentence in report.missing]
    if report.uncounted:
        lines.append(
            f"  not counted: {counted(report.uncounted, 'connection')} without a count of the kernel's to compare with"
        )
    if report.left_out:
        runs = counted(report.left_out, "run", "of the kernel program, for whatever process, that the kernel left out")
        lines.append(f"  not counted: {runs}")
    lines += [f"  remark: {visible(remark)}" for remark in report.remarks]
    lines += [f"  mark: {visible(code)} ({count:,})" for code, count in sorted(report.marks.items())]
    return lines
