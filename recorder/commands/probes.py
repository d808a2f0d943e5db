"""`ebpf-rec probes list|show`: the kernel's hook points and their prototypes, as text that pipes well."""

from __future__ import annotations

import argparse

from recorder import output, probes
from recorder.btf import Btf
from recorder.errors import NoBtf
from recorder.host import Kind


def configure(parser: argparse.ArgumentParser) -> None:
    """The two actions of `probes`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="hook points, one a line; those this program attaches to are marked")
    listing.add_argument("glob", nargs="?", default="*", metavar="GLOB", help="such as '*accept*' (default: all)")
    showing = actions.add_parser("show", help="the C prototype of one and each of its arguments")
    showing.add_argument("name", metavar="NAME", help="such as sys_enter_read or sock:inet_sock_set_state")


def run(arguments: argparse.Namespace) -> int:
    """Print; 0, or 1 when nothing matches the glob."""
    output.check_standard_output(binary=False)
    folder = probes.events_folder()
    if arguments.action == "list":
        found = probes.matching(probes.probes(folder), arguments.glob)
        for probe in found:
            print(f"{probe}\tused" if probe.used else probe)
        return 0 if found else 1
    probe = probes.find(probes.probes(folder), arguments.name)
    prototype, described = probes.describe(probe, folder, _btf())
    print(probe)
    print(f"  {prototype};")
    place = "argument" if probe.kind == Kind.RAW else "offset"
    for argument in described:
        print(f"  {place} {argument.offset:<4} size {argument.size:<4} {argument.type} {argument.name}")
    return 0


def _btf() -> Btf | None:
    """The kernel's BTF; None where there is none: the format files still tell much."""
    try:
        return Btf.running_kernel()
    except NoBtf:
        return None
