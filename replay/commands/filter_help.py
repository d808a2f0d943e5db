"""`ebpf-replay filter-help`: the filter language and every field, generated from the field table."""

from __future__ import annotations

import argparse
import sys


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("--markdown", action="store_true", help="as Markdown (docs/filters.md)")


def run(arguments: argparse.Namespace) -> int:
    """Print the manual."""
    from replay.filter import manual

    sys.stdout.write(manual.markdown() if arguments.markdown else manual.text())
    return 0
