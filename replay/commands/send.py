"""`ebpf-replay send FILE --to URL`: the recorded requests again, the answers compared with the recorded ones.

Exit status: 0 the same answers; 1 something differs, or could not be sent; 2 usage; 3 not a capture.
"""

from __future__ import annotations

import argparse
import sys

from capfile.words import counted


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `send`."""
    parser.add_argument("file", metavar="FILE", help="a capture")
    parser.add_argument("--to", metavar="URL", required=True, help="the server: http://HOST[:PORT]")
    parser.add_argument("--filter", metavar="EXPR", default="", help="only matching exchanges (see filter-help)")
    parser.add_argument("--rules", metavar="FILE", help="rules (default: replay.toml beside FILE, if it is there)")


def run(arguments: argparse.Namespace) -> int:
    """Send, compare, print."""
    from pathlib import Path

    import msgspec

    import replay
    from replay.diff import rules_beside
    from replay.document import to_document
    from replay.output.escaping import shortened, visible
    from replay.sending import NotSent, Sender, in_order
    from replay.tester import rules as rules_files
    from replay.tester.compare import differences
    from replay.tester.normal import normal_form
    from replay.tester.report import Style, difference_lines

    rules = rules_files.load(Path(arguments.rules)) if arguments.rules else rules_beside(arguments.file)
    sender, style, counts = Sender(arguments.to), Style(sys.stdout.isatty()), [0, 0, 0]
    for exchange in in_order(replay.open(arguments.file).where(arguments.filter)):
        request = exchange.request
        title = f"{exchange.id}  {request.method} {shortened(request.target, 100)}" if request else exchange.id
        try:
            again = sender.send(exchange)
        except NotSent as error:
            counts[2] += 1
            print(f"{visible(title)}: not sent, or no answer: {visible(str(error))}")
            continue
        before, after = (normal_form([msgspec.to_builtins(to_document(each))], rules)[0] for each in (exchange, again))
        found = [each for each in differences(before, after) if each.path.startswith("response")]
        counts[1 if found else 0] += 1
        if found:
            print(visible(title))
            for difference in found:
                for line in difference_lines(difference, style, ("recorded", "answered")):
                    print(line[2:])
    asked = counted(sum(counts), "request")
    print(f"{asked}: {counts[0]} answered as recorded, {counts[1]} otherwise, {counts[2]} not at all")
    return 1 if counts[1] or counts[2] else 0
