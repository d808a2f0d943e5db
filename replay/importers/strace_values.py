"""The arguments of a system call as strace prints them, as values: strings, words, structures, lists.

Knows strace's notation (strace(1), "Description" and "Output format") and no system call. Everything is linear in the
length of the text; what is not of this notation raises ValueError.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

MAX_DEPTH: Final = 32  # of structures in structures; sendmmsg's control messages have 6


@dataclass(frozen=True, slots=True)
class Text:
    """A string. `cut`: strace printed only its beginning (`"..."...`)."""

    data: bytes
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Word:
    """A number, a name or names or-ed. `note`: what -y or -yy says of a descriptor; `arguments`: those of `name(…)`."""

    text: str
    note: str = ""
    arguments: tuple[Value, ...] = ()

    @property
    def number(self) -> int | None:
        """Its value, decimal, octal or hexadecimal; None when it is a name."""
        try:
            return int(self.text, 16 if self.text.lower().startswith("0x") else 10)
        except ValueError:
            return None

    @property
    def names(self) -> list[str]:
        """`SOCK_STREAM|SOCK_CLOEXEC` in its parts."""
        return self.text.split("|")


@dataclass(frozen=True, slots=True)
class Structure:
    """`{name=value, …}`, and the values without a name in their order."""

    fields: dict[str, Value] = field(default_factory=dict)
    values: tuple[Value, ...] = ()


@dataclass(frozen=True, slots=True)
class Items:
    """`[value, …]`. `cut`: strace printed only the first ones."""

    values: tuple[Value, ...] = ()
    cut: bool = False


Value = Text | Word | Structure | Items

_STRING: Final = re.compile(r'@?"([^"\\]*(?:\\.[^"\\]*)*)"(\.\.\.)?', re.DOTALL)
# A note ends at a ">" that something may follow: "->" between addresses is none, nor is one inside a path. A file that
# has no name any more is noted as `4</tmp/x>(deleted)`.
_WORD: Final = re.compile(r"~?[^\s,{}\[\]()\"<>=]+(?:<(.*?)>(?:\(deleted\))?(?=[\s,)\]}|]|$))?")
_SPACE: Final = re.compile(r"(?:\s+|/\*.*?\*/)*")
_ESCAPE: Final = re.compile(r"\\(?:x([0-9a-fA-F]{2})|([0-7]{1,3})|(.))", re.DOTALL)
# What means the same to Python's own decoder: all that strace writes. It is ten times as fast.
_USUAL: Final = re.compile(r"""[^\\]*+(?:\\(?:[0-3]|[4-7](?![0-7]{2})|x[0-9a-fA-F]{2}|[abfnrtv"'\\])[^\\]*+)*+""")
_LETTERS: Final = {"n": "\n", "t": "\t", "r": "\r", "v": "\v", "f": "\f", "a": "\a", "b": "\b", "e": "\x1b"}
_CLOSING: Final = {"[": "]", "{": "}", "(": ")"}


def unescape(text: str) -> bytes:
    """The bytes of a string in either style: C and octal escapes, or hexadecimal (-x, -xx). ValueError: over 255."""
    if "\\" not in text:
        return text.encode("latin-1")
    if _USUAL.fullmatch(text):
        return text.encode("latin-1").decode("unicode_escape").encode("latin-1")
    return _ESCAPE.sub(_character, text).encode("latin-1")


def _character(match: re.Match[str]) -> str:
    hexadecimal, octal, letter = match.groups()
    if hexadecimal:
        return chr(int(hexadecimal, 16))
    return chr(int(octal, 8)) if octal else _LETTERS.get(letter, letter)


class _Parser:
    def __init__(self, text: str, at: int) -> None:
        self.text = text
        self.at = at

    def _skip(self) -> str:
        """The next character that is neither space nor comment, or nothing."""
        match = _SPACE.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return self.text[self.at : self.at + 1]

    def members(self, closing: str, depth: int) -> tuple[dict[str, Value], list[Value], bool]:
        """Up to `closing`: the named values, the others, and whether strace left some out."""
        if depth > MAX_DEPTH:
            raise ValueError("nested too deeply")
        fields: dict[str, Value] = {}
        values: list[Value] = []
        cut = changed = False
        while (char := self._skip()) != closing:
            if char == "":
                raise ValueError("ends too early")
            if self.text.startswith("...", self.at):
                cut, self.at = True, self.at + 3
            elif self.text.startswith("=>", self.at):  # `before => after`: the call wrote here, the later one counts
                changed, self.at = True, self.at + 2
            elif char in ",=|":
                changed, self.at = False, self.at + 1
            elif changed and values:
                values[-1] = self.value(depth)
            else:
                self._member(fields, values, depth)
        self.at += 1
        return fields, values, cut

    def _member(self, fields: dict[str, Value], values: list[Value], depth: int) -> None:
        value = self.value(depth)
        named = isinstance(value, Word) and self._skip() == "=" and not self.text.startswith("=>", self.at)
        if named and isinstance(value, Word):
            self.at += 1
            self._skip()
            fields[value.text] = self.value(depth)
        else:
            values.append(value)

    def value(self, depth: int) -> Value:
        char = self._skip()
        if char in ("{", "["):
            self.at += 1
            fields, values, cut = self.members(_CLOSING[char], depth + 1)
            return Structure(fields, tuple(values)) if char == "{" else Items(tuple(values), cut)
        match = _STRING.match(self.text, self.at)
        if match:
            self.at = match.end()
            data = unescape(match[1])
            return Text(b"\0" + data if match[0].startswith("@") else data, match[2] is not None)
        match = _WORD.match(self.text, self.at)
        if not match:
            raise ValueError(f"unexpected {char!r}")
        self.at = match.end()
        word = match[0].partition("<")[0]
        if self.text.startswith("(", self.at):
            self.at += 1
            fields, values, _ = self.members(")", depth + 1)
            return Word(word, "", (*values, *fields.values()))
        return Word(word, match[1] or "")


def arguments(text: str, at: int) -> tuple[list[Value], int]:
    """The arguments from behind the opening parenthesis at `at`, and the place behind the closing one. A parameter
    that strace names (`flags=…`) stands for itself."""
    parser = _Parser(text, at)
    fields, values, _ = parser.members(")", 0)
    return [*values, *fields.values()], parser.at
