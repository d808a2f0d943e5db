"""Captures as tests: a recording replayed and compared with what was expected of it (docs/testing.md)."""

from replay.tester.engine import Capture, Outcome, check, find, update
from replay.tester.rules import Rules, rules_for

__all__ = ["Capture", "Outcome", "Rules", "check", "find", "rules_for", "update"]
