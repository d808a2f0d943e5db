"""All field lines at once are what each is by itself, and a request line is what its grammar says."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from replay.http1.heads import strict_fields, strict_request_line

# RFC 9110 §5.1, §5.5: a token, a colon, optional whitespace, and no control character but HTAB
LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([\t -~\x80-\xff]*)")

# RFC 9112 §3, of the versions that are HTTP/1: token, one space, a target without whitespace or control characters
REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([!-~]+) (HTTP/1\.[01])")


def one_by_one(lines: bytes) -> tuple[tuple[str, str], ...] | None:
    matches = [LINE.fullmatch(line) for line in lines.split(b"\r\n")[:-1]]
    if not lines.endswith(b"\r\n") or None in matches:
        return None
    return tuple((m[1].decode(), m[2].strip(b" \t").decode("latin-1")) for m in matches if m)


PARTS = [b"Host", b":", b" ", b"\t", b"\r\n", b"\n", b"\r", b"a", b"\0", b"\x7f", b"\xff", b"("]


@given(st.lists(st.sampled_from(PARTS)))
@example([b"A: b\nC: d\r\n"])
@example([b"A: b\rC: d\r\n"])
@example([b"(A: b\r\n"])
@example([b"A: b\r\n\r\nC: d\r\n"])
@example([b"A:  \t b c\t \r\nB: \r\nC:\r\n"])
def test_any_lines_are_read_or_refused_as_each_by_itself(parts: list[bytes]) -> None:
    lines = b"".join(parts) + b"\r\n"
    assert strict_fields(lines) == one_by_one(lines)


@pytest.mark.parametrize("byte", range(256))
def test_each_byte_in_a_name_and_in_a_value(byte: int) -> None:
    for lines in (b"a%cb: v\r\n" % byte, b"a: v%cw\r\n" % byte, b"%ca: v\r\n" % byte, b"a: v%c\r\nb: c\r\n" % byte):
        assert strict_fields(lines) == one_by_one(lines)


def test_no_lines_are_no_fields() -> None:
    assert strict_fields(b"") == ()


@pytest.mark.parametrize("byte", range(256))
def test_each_byte_in_each_part_of_a_request_line(byte: int) -> None:
    lines = (b"%cET / HTTP/1.1", b"GET%c/ HTTP/1.1", b"GET /%c HTTP/1.1", b"GET %c HTTP/1.0", b"GET / HTTP/1.%c")
    for line in [each % byte for each in lines] + [b"GET / HTTP/1.1%c" % byte, b"%c" % byte]:
        match = REQUEST_LINE.fullmatch(line)
        assert strict_request_line(line) == (match and tuple(part.decode() for part in match.groups()))
