"""Filter text in, tokens out. Knows characters and columns, nothing of fields or grammar.

Every token carries the column of its first character (from 1), so that every later complaint can point at it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from replay.errors import UsageError

TokenKind = Literal["number", "string", "name", "operator", "end"]

# A filter is typed by a person; a longer text is a mistake or an attack on the parser.
MAX_TEXT: Final = 10_000
# Any count of ns or bytes fits, and stays exact within the 28 digits of Python's Decimal.
MAX_DIGITS: Final = 24

_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<number>\d+(?:\.\d+)?[A-Za-zµμ]*)
      | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)
      | (?P<operator>\.\.|[=!<>]=|!~|[<>~(){}\[\],!=])
    )""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_ESCAPE: Final = re.compile(r"\\(x[0-9A-Fa-f]{2}|.)", re.DOTALL)
_ESCAPED: Final = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"', "'": "'"}


@dataclass(frozen=True, slots=True)
class Token:
    """One word of the filter as it was written; `column` counts characters from 1."""

    kind: TokenKind
    text: str
    column: int


class FilterError(UsageError):
    """The filter is wrong at `column`; the message shows the text with a mark under it."""

    def __init__(self, text: str, column: int, message: str) -> None:
        shown = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
        super().__init__(f"filter, column {column}: {message}\n  {shown}\n  {' ' * (column - 1)}^")
        self.column = column
        self.message = message


def tokens(text: str) -> list[Token]:
    """The tokens of `text`, the last one of kind "end"; FilterError where no token can begin."""
    if len(text) > MAX_TEXT:
        raise FilterError(text[:60] + "…", 1, f"a filter has at most {MAX_TEXT} characters")
    found, offset = [], 0
    while match := _TOKEN.match(text, offset):
        kind: TokenKind = match.lastgroup  # type: ignore[assignment]  # the groups are named after the kinds
        start = match.start(match.lastgroup or 0)
        found.append(Token(kind, match[kind], start + 1))
        offset = match.end()
    rest = text[offset:].lstrip()
    column = len(text) - len(rest) + 1
    if rest:
        quote = rest[0] in "\"'"
        raise FilterError(text, column, "the string has no end" if quote else f"no word begins with {rest[0]!r}")
    return [*found, Token("end", "", column)]


def unquoted(token: Token) -> str:
    """A string token's value. `\\\\`, quotes, n, r, t and xNN are escapes; any other backslash stays, so that a regular
    expression such as "\\d+" needs no doubling."""
    return _ESCAPE.sub(_escaped, token.text[1:-1])


def verbatim(token: Token) -> str:
    """A regular expression's text: only an escaped quote loses its backslash."""
    quote = token.text[0]
    return token.text[1:-1].replace(f"\\{quote}", quote)


def _escaped(match: re.Match[str]) -> str:
    code = match[1]
    if code[0] == "x" and len(code) == 3:
        return chr(int(code[1:], 16))
    return _ESCAPED.get(code, match[0])
