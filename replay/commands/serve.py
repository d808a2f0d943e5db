"""`ebpf-replay serve FILE`: answer from the recording, on the loopback interface, until interrupted."""

from __future__ import annotations

import argparse
import sys

from capfile.words import counted


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `serve`."""
    parser.add_argument("file", metavar="FILE", help="a capture")
    parser.add_argument("--port", type=int, default=0, help="to listen on, at 127.0.0.1 (default: any free one)")
    parser.add_argument("--filter", metavar="EXPR", default="", help="only matching exchanges (see filter-help)")


def run(arguments: argparse.Namespace) -> int:
    """Serve."""
    import replay
    from replay import serving

    if not 0 <= arguments.port <= 65_535:
        raise replay.UsageError(f"--port {arguments.port}: ports are 0 to 65535")
    answers = serving.Answers(replay.open(arguments.file).where(arguments.filter))
    if not len(answers):
        raise replay.UsageError(f"{arguments.file} holds no answer to serve")
    with serving.server(answers, arguments.port) as server:
        print(
            f"http://127.0.0.1:{server.server_port} answers {counted(len(answers), 'recorded request')}",
            file=sys.stderr,
        )
        try:
            server.serve_forever(0.1)
        except KeyboardInterrupt:
            return 0
    return 0
