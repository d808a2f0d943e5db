"""The filter language of every `--filter`: text in, a predicate over exchanges out (docs/filters.md)."""

from replay.filter.evaluator import Predicate, compile

__all__ = ["Predicate", "compile"]
