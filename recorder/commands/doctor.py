"""`ebpf-rec doctor`: what this host can record, what is missing and the command that mends it; then the proof."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import Final

from recorder import doctor, output, proof
from recorder.doctor import Check

CANNOT_CAPTURE: Final = 4
SYMBOLS: Final = {"ok": "ok   ", "note": "note ", "fails": "FAILS"}


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `doctor`."""
    parser.add_argument("--json", action="store_true", help="one JSON document instead of a table")


def run(arguments: argparse.Namespace) -> int:
    """Look, prove, report; 0 if this host can record, else 4."""
    output.check_standard_output(binary=False)
    checks = doctor.examine(arguments.environment)
    if not any(check.state == "fails" for check in checks):
        checks += proof.prove()
    capable = not any(check.state == "fails" for check in checks)
    if arguments.json:
        json.dump({"capable": capable, "checks": [asdict(check) for check in checks]}, sys.stdout, indent=1)
        print()
    else:
        for check in checks:
            print("\n".join(lines(check)))
        print("this host can record" if capable else "this host cannot record")
    return 0 if capable else CANNOT_CAPTURE


def lines(check: Check) -> list[str]:
    """One row of the table, and the mends below it."""
    mends = [f"      {'' if system == 'any' else f'{system}: '}{command}" for system, command in check.mend.items()]
    return [f"{SYMBOLS[check.state]} {check.name:16} {check.detail}", *mends]
