"""The servers that live tests record, over every family of addresses that each can listen on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fixtures import record, running


def at(start: Callable[[Path, str], running.Running], address: str) -> Callable[[Path], running.Running]:
    """A server that listens there; {folder} is the test's own."""
    return lambda folder: start(folder, address.format(folder=folder))


V4, V6, UNIX = "127.0.0.1:0", "[::1]:0", "{folder}/socket"
SERVERS: dict[str, Callable[[Path], running.Running]] = {
    "gin on IPv4": at(running.gin, V4),
    "gin on IPv6": at(running.gin, V6),
    "gin on a Unix socket": at(running.gin, UNIX),
    "python on IPv4": at(running.python, V4),
    "python on IPv6": at(running.python, V6),
    "python on a Unix socket": at(running.python, UNIX),
    "node on IPv4": at(running.node, V4),
    "node on IPv6": at(running.node, V6),
    "node on a Unix socket": at(running.node, UNIX),
    "uvicorn": running.uvicorn,
    "gunicorn's forked workers": lambda folder: running.gunicorn(folder, running.free_address()),
    "gunicorn's forked workers on a Unix socket": record.unix_gunicorn,
}
