"""Body bytes and their header fields in, text out where the bytes are text. Pure; never guesses a charset.

UTF-8 is recognised by itself (no other text in use passes for it); any other charset must be declared.
"""

from __future__ import annotations

import codecs
import re
from functools import lru_cache
from typing import Final

from replay.exchange import Headers

# RFC 9110 §8.3.2: charset is a parameter of the media type. Only codecs that turn bytes into text are used: Python has
# others under the same roof (base64, zip, idna, punycode, unicode_escape).
_CHARSET: Final = re.compile(r""";\s*charset\s*=\s*["']?([^\s"';,]{1,40})""", re.IGNORECASE)
_SAFE: Final = re.compile(
    r"utf-?(8|16|32)(-?[bl]e)?|ascii|iso8859-\d+|cp\d+|koi8-[rtu]|mac-?\w+|shift_jis\w*|euc_(jp|kr|jis)\w*"
    r"|iso2022_\w+|gb\w+|hz|big5\w*|tis-?620|ptcp154|johab"
)


def text_of(data: bytes, headers: Headers) -> tuple[str | None, str]:
    """(the text, the charset it is in), or (None, "") where the bytes are not text or their charset is unknown."""
    if not data:
        return "", "utf-8"
    try:
        return data.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        pass
    charset = declared_charset(headers)
    if charset:
        try:
            return data.decode(charset), charset
        except (UnicodeError, ValueError):
            pass
    return None, ""


def declared_charset(headers: Headers) -> str:
    """The charset that Content-Type names, as Python calls it; "" for none, or one that cannot be used."""
    for name, value in headers:
        if name.lower() == "content-type":
            return _charset(value)
    return ""


@lru_cache(maxsize=256)
def _charset(content_type: str) -> str:
    match = _CHARSET.search(content_type)
    if match is None:
        return ""
    try:
        name = codecs.lookup(match[1]).name
    except (LookupError, ValueError):
        return ""
    return name if _SAFE.fullmatch(name) else ""
