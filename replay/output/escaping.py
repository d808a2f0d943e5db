"""Recorded text made safe for eyes: nothing in it can move a cursor, change a colour or reorder a line.

Letters of any language stay; control characters (C0, DEL, C1), line and paragraph separators, bidirectional and other
format characters, private and unassigned code points and lone surrogates become `\\xNN`, `\\uNNNN` or `\\UNNNNNNNN`.
"""

from __future__ import annotations


def visible(text: str) -> str:
    """`text` on one line, as a terminal may show it; text that is printable comes back as it is."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(ord(char)) for char in text)


def shortened(text: str, width: int) -> str:
    """`text` in at most `width` characters, its middle replaced by an ellipsis: both ends of a path tell most."""
    if len(text) <= width:
        return text
    if width < 2:
        return "…"[:width]
    head = width // 2
    return f"{text[:head]}…{text[len(text) - (width - head - 1) :]}"


def _escape(code: int) -> str:
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
