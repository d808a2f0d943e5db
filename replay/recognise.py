"""The first bytes of a direction in, the name of the protocol they look like out. A pure function and its table.

The dispatch asks it which layer reads a connection. It claims a name only on a protocol's own mark; what has none is
"unknown".
"""

from __future__ import annotations

import re
from typing import Final

HTTP1: Final = "http/1"
UNKNOWN: Final = "unknown"
UNDECIDED: Final = "undecided"  # too few bytes to say
EMPTY: Final = "empty"

HTTP2_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # RFC 9113 §3.4
PROXY_V2: Final = b"\r\n\r\n\0\r\nQUIT\n"  # PROXY protocol, section 2.2

# (protocol, what its first bytes match), the first that matches wins.
_MARKS: Final[tuple[tuple[str, re.Pattern[bytes]], ...]] = tuple(
    (protocol, re.compile(pattern, re.DOTALL))
    for protocol, pattern in (
        ("http/2", rb"PRI \* HTTP/2\.0\r\n"),
        # RFC 8446 §5.1: a record of a known type, version 3.x, a length below 2^14 + 2^8.
        ("tls", rb"[\x14-\x18]\x03[\x00-\x04][\x00-\x41]"),
        ("proxy-protocol", rb"\r\n\r\n\0\r\nQUIT\n|PROXY (?:TCP4|TCP6|UNKNOWN)[ \r]"),
        ("ssh", rb"SSH-(?:1\.|2\.)"),  # RFC 4253 §4.2
        ("smtp", rb"220[ -][^\r\n]*SMTP|(?:EHLO|HELO) [^/\s]+\r?\n"),  # RFC 5321 §4.2, §3.1
        ("ftp", rb"220[ -]|(?:USER|PASS) [^/\s]+\r?\n"),
        ("pop3", rb"\+OK[ \r]"),
        ("imap", rb"\* OK "),
        (
            "memcached",
            rb"(?:gets?|gats?|delete|incr|decr|touch) [^/ \r\n][^ \r\n]*(?: [^\r\n]*)?\r\n"
            rb"|(?:set|add|replace|append|prepend|cas) [^ \r\n]+ \d+ -?\d+ \d+"
            rb"|stats\r\n|version\r\n|\x80[\x00-\x40]\x00",
        ),
        ("redis", rb"\*[1-9]\d*\r\n\$\d+\r\n"),
        ("rtsp", rb"(?:[A-Z_]+ [^ \r\n]+ )?RTSP/1\.0"),
        ("sip", rb"(?:[A-Z]+ sips?:[^ \r\n]+ )?SIP/2\.0"),
        ("http/1", rb"HTTP/1\.[01] [0-9]{3}"),
        ("http/1", rb"[\r\n]*[!#$%&'*+\-.^_`|~0-9A-Za-z]+[ \t]+[^\r\n]*?[ \t]HTTP/[0-9]\.[0-9]\s*?\r?\n"),
        ("http/1", rb"[\r\n]*(?:GET|HEAD|POST|PUT|DELETE|OPTIONS|PATCH|TRACE) (?:/|\*|https?://)[^\r\n]*\r?\n"),  # 0.9
    )
)
# What may still become one of the above when more bytes come.
_OPEN: Final = re.compile(
    rb"[\r\n]{0,4}(?:\0?\r?\n?Q?U?I?T?|[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}(?:[ \t][^\r\n\0]*)?\r?)?|\*[^\r\n\0]*\r?"
    rb"|HTTP/[^\r\n\0]*\r?"
    rb"|[\x14-\x18]\x03?.?|\x80.?",
    re.DOTALL,
)

# Bytes looked at: a request line that a server would accept, and the start of the next line.
LOOKED_AT: Final = 8192


def recognise(first_bytes: bytes) -> str:
    """Name the protocol whose first bytes these are: "http/1", "http/2", "tls", "proxy-protocol", "ssh", "smtp", …;
    "empty" for none, "undecided" for too few, "unknown" for anything else."""
    if not first_bytes:
        return EMPTY
    seen = first_bytes[:LOOKED_AT]
    for protocol, pattern in _MARKS:
        if pattern.match(seen):
            return protocol
    return UNDECIDED if len(seen) < LOOKED_AT and _OPEN.fullmatch(seen) else UNKNOWN
