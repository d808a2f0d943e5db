"""Whose fault it is when replay cannot go on: the user's (here) or the file's (`capfile.errors`), never the peer's."""

from __future__ import annotations


class UsageError(Exception):
    """The user asked for something that cannot be; the message says what to do. Exit status 2."""
