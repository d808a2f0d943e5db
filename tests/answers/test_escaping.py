"""What is shown to eyes cannot steer them."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.output.escaping import shortened, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ü 漢", "plain ü 漢"),
        ("\x1b[31m", r"\x1b[31m"),
        ("a\nb\tc\x9bd\x7f", r"a\x0ab\x09c\x9bd\x7f"),
        ("\u202etxt.exe", r"\u202etxt.exe"),
        ("\u2028", r"\u2028"),
        ("\udcff", r"\udcff"),
        ("\U000e0001", r"\U000e0001"),
    ],
)
def test_control_and_format_characters_are_spelled_out(text, shown):
    assert visible(text) == shown


@given(st.text(st.characters()))
def test_no_control_or_format_character_is_left(text):
    assert not {"Cc", "Cf", "Cs", "Zl", "Zp"} & {unicodedata.category(char) for char in visible(text)}


@given(st.text(), st.integers(0, 40))
def test_shortened_text_fits_and_keeps_both_ends(text, width):
    short = shortened(text, width)
    assert len(short) == min(len(text), width)
    if 4 <= width < len(text):
        assert short[0] == text[0]
        assert short[-1] == text[-1]
