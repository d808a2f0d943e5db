"""The field table in, its manual out: plain text for the terminal, Markdown for docs/filters.md."""

from __future__ import annotations

from typing import Final

from replay.filter.fields import FIELDS

_INTRODUCTION: Final = """\
A filter is a condition on one exchange. Every command that shows exchanges takes one with `--filter`:

    ebpf-replay show checkout.cap --filter 'status >= 500 and path ~ "^/api" and duration > 200ms'
"""

_LANGUAGE: Final = (
    ("a == b, a != b", "equal, not equal"),
    ("a < b, <=, >, >=", "order, for numbers, durations, sizes and times"),
    ('a ~ "expression"', "the regular expression (RE2's syntax) matches somewhere; `!~` is its negation"),
    ('a contains "text"', "the text occurs, taken literally"),
    ("a in {1, 2, 5..9}", "one of a set of values and ranges; `not in` is its negation"),
    ("a in 200..299", "a range; both ends belong to it"),
    ("a", "alone: a boolean's value; of any other field, whether it is known and not empty or zero"),
    ("not, and, or, ( )", "in this order of strength"),
    ("200ms, 1.5s", "durations have a unit: ns, us (µs), ms, s, min, h"),
    ("4KiB, 1MB", "sizes: B, kB, MB, GB (powers of ten), KiB, MiB, GiB (of two); none is bytes"),
    ("\"text\", 'text'", r"text is in quotes; \" \' \\ \n \r \t \xNN are escapes, any other backslash stays"),
)

_TRUTH: Final = """\
A comparison with a fact that is not known (the status of an exchange without a response) is false; `!=`, `!~`,
`not in` and `not` are plain negations, so `status != 200` holds there. Of a field with several values (headers of
one name, problems) one that fits is enough. Header names are compared without case. Regular expressions take time
linear in the text they search; they have no back-references and no look-around.
"""


def text() -> str:
    """The manual as `ebpf-replay filter-help` prints it: undecorated lines."""
    name = max(len(row.name) for row in FIELDS.values()) + len('["…"]')
    kind = max(len(row.type) for row in FIELDS.values())
    meaning = max(len(row.help) for row in FIELDS.values())
    written = max(len(left) for left, _ in _LANGUAGE)
    lines = [_INTRODUCTION, "Fields", ""]
    for row in FIELDS.values():
        shown = row.name + ('["…"]' if row.argument else "")
        lines.append(f"  {shown:{name}}  {row.type:{kind}}  {row.help:{meaning}}  {row.example}")
    lines += ["", "Language", "", *(f"  {left:{written}}  {right}" for left, right in _LANGUAGE), "", _TRUTH]
    return "\n".join(lines)


def markdown() -> str:
    """The manual as docs/filters.md carries it."""
    lines = ["# Filters", "", "<!-- written by `ebpf-replay filter-help --markdown`; a test compares -->", ""]
    lines += [_INTRODUCTION, "## Fields", "", "| field | type | what it is | example |", "|---|---|---|---|"]
    for row in FIELDS.values():
        shown = row.name + ('["…"]' if row.argument else "")
        lines.append(f"| `{shown}` | {row.type} | {row.help} | {_code(row.example)} |")
    lines += ["", "## Language", "", "| written | meaning |", "|---|---|"]
    lines += [f"| {_code(left)} | {right.replace('|', chr(92) + '|')} |" for left, right in _LANGUAGE]
    return "\n".join([*lines, "", _TRUTH])


def _code(words: str) -> str:
    return f"`{words.replace('|', chr(92) + '|')}`"
