"""Where secrets stand in a direction's bytes, in whatever pieces they come, and what stands for them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capfile.redaction import MAX_VALUE, NAMES, Secret, SecretFinder, Tokens

HEAD = (
    b"GET /?Cookie:not-one HTTP/1.1\r\nHost: h\r\nCookie:  a=b; c=d \r\nX-Cookie: kept\r\nAUTHORIZATION:Bearer xyz\n"
    b"proxy-authorization: Basic\r\n dXNlcg==\r\n\tmore\r\nAccept: Cookie: no\r\ncookie:\r\n"
    b"\r\nbody\r\nSet-Cookie: in body"
)
VALUES = [b"a=b; c=d", b"Bearer xyz", b"Basic\r\n dXNlcg==\r\n\tmore", b"in body"]


def found_in(data: bytes, sizes: list[int]) -> list[Secret]:
    finder, found, at = SecretFinder(), [], 0
    for size in [*sizes, len(data)]:
        found += finder.feed(data[at : at + size], at)
        at = min(len(data), at + size)
    return found + finder.finish()


def test_the_values_of_the_named_headers_are_found_and_no_others() -> None:
    found = found_in(HEAD, [])
    assert [each.value for each in found] == VALUES
    assert all(HEAD[each.position :].startswith(each.value) for each in found)


@given(st.lists(st.integers(1, 30)))
def test_pieces_make_no_difference(sizes: list[int]) -> None:
    assert found_in(HEAD, sizes) == found_in(HEAD, [])
    assert found_in(HEAD, [1] * len(HEAD)) == found_in(HEAD, [])


_LINE = re.compile(rb"(?:^|\n)[ \t\r]*(?:" + b"|".join(name.encode() for name in NAMES) + rb")[ \t\r]*:", re.IGNORECASE)


@given(st.text("cookie: \r\n\tx", max_size=60), st.lists(st.integers(1, 9)))
def test_every_named_line_s_value_is_covered(text: str, sizes: list[int]) -> None:
    """Against a regular expression: what it finds after the colon is in a secret, up to the line's end."""
    data = text.encode()
    hidden = bytearray(data)
    for each in found_in(data, sizes):
        assert data[each.position : each.position + len(each.value)] == each.value
        hidden[each.position : each.position + len(each.value)] = b"#" * len(each.value)
    for match in _LINE.finditer(data):
        end = data.find(b"\n", match.end())
        rest = hidden[match.end() : end if end >= 0 else len(data)]
        if not rest.startswith(b"#"):
            assert not rest.strip(b" \t\r").strip(b"#")


def test_after_missing_bytes_the_search_begins_at_the_next_line() -> None:
    finder = SecretFinder()
    assert finder.feed(b"Cookie: first", 0) == []
    assert finder.feed(b"Cookie: part of something\r\nCookie: second\r\n\r\n", 100) == [
        Secret(8, b"first"),
        Secret(135, b"second"),
    ]


def test_a_value_without_end_is_found_in_parts() -> None:
    data = b"Cookie: " + b"x" * (2 * MAX_VALUE + 10)
    found = found_in(data, [100_000] * 30)
    assert sum(len(each.value) for each in found) == 2 * MAX_VALUE + 10
    assert [each.position for each in found] == [8, 7 + MAX_VALUE, 7 + 2 * MAX_VALUE]


def test_names_can_be_added() -> None:
    finder = SecretFinder(["X-Api-Key"])
    assert finder.feed(b"x-api-key: 1\r\nCookie: 2\r\n\r\n") == [Secret(11, b"1")]


@given(st.binary(min_size=1, max_size=500))
def test_a_token_is_as_long_as_its_secret_and_the_same_each_time(secret: bytes) -> None:
    token = Tokens(b"key").token(secret)
    assert len(token) == len(secret)
    assert token == Tokens(b"key").token(secret)
    assert [at for at, byte in enumerate(token) if byte in b"\r\n"] == [
        at for at, byte in enumerate(secret) if byte in b"\r\n"
    ]


def test_keys_secrets_and_tokens_all_differ() -> None:
    one, other = Tokens(b"one"), Tokens(b"other")
    assert one.token(b"secret-value") != other.token(b"secret-value")
    assert one.token(b"secret-value") != one.token(b"secret-valuf")
    assert b"secret" not in one.token(b"secret-value")


@pytest.mark.parametrize("scheme", [b"Basic ", b"bearer ", b"DIGEST "])
def test_the_authentication_scheme_stays(scheme: bytes) -> None:
    token = Tokens(b"key").token(scheme + b"credentials")
    assert token.startswith(scheme)
    assert not token.endswith(b"credentials")


def test_a_folded_value_stays_one_value() -> None:
    """Without the space behind its line end the next line would be another field."""
    assert re.fullmatch(rb"[a-z2-7]{5}\r\n \t[a-z2-7]{4}\n [a-z2-7]{2}", Tokens(b"key").token(b"FIRST\r\n \tNEXT\n 01"))


def test_a_value_can_be_taken_in_parts_and_goes_on_behind_them() -> None:
    finder = SecretFinder()
    assert finder.part() == []
    assert finder.feed(b"Cookie: one") == []
    assert finder.inside
    assert finder.part() == [Secret(8, b"one")]
    assert finder.feed(b"two\r\n") == []
    assert finder.part() == [Secret(11, b"two")]
    assert finder.feed(b" folded\r\nHost: h\r\n") == [Secret(17, b"folded")]
    assert not finder.inside
