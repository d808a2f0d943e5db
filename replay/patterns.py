"""Regular expressions that cannot hang: RE2's syntax and its time linear in the input, whatever the pattern.

Patterns come from a command line or a `replay.toml`, the text they search from a recorded stranger; Python's `re`
backtracks, and a pair such as `(a+)+$` and thirty letters would stop it for minutes. RE2 has neither back-references
nor look-around, which is the price. Text is searched as UTF-8 bytes, because recorded names may hold lone surrogates.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import re2

# Bytes for one compiled pattern and its automata: RE2's own default is 8 MiB; beyond it the pattern is refused.
MAX_PATTERN_MEMORY: Final = 8 << 20


class PatternError(ValueError):
    """The text is not a regular expression of RE2's syntax; the message is RE2's own."""


class Pattern:
    """A compiled expression. `search` tells whether it matches anywhere, `sub` replaces each match by ."""

    __slots__ = ("_compiled", "text")

    def __init__(self, text: str) -> None:
        options = re2.Options()
        options.max_mem = MAX_PATTERN_MEMORY
        options.log_errors = False
        self.text = text
        try:
            self._compiled = re2.compile(_encoded(text), options)
        except re2.error as error:
            raise PatternError(_message(error)) from None

    def search(self, text: str | bytes) -> bool:
        """Whether the expression matches somewhere in `text`."""
        return self._compiled.search(_encoded(text)) is not None

    def fullmatch(self, text: str | bytes) -> bool:
        """Whether the expression matches the whole of `text`."""
        return self._compiled.fullmatch(_encoded(text)) is not None

    def map(self, change: Callable[[str], str], text: str) -> str:
        """`text` with every match replaced by what `change` makes of it."""
        changed = self._compiled.sub(lambda match: _encoded(change(_decoded(match.group(0)))), _encoded(text))
        return _decoded(changed)


def _decoded(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _encoded(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")


def _message(error: Exception) -> str:
    raw = error.args[0] if error.args else ""
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)
