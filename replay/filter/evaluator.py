"""A syntax tree in, a predicate out: names resolved, types checked and literals read once, before the first exchange.

Truth: a comparison holds if any of the field's values satisfies it, so one with a fact that is not known is false;
`!=`, `!~`, `not in` and `not` are plain negations of `==`, `~`, `in` and what follows.
"""

from __future__ import annotations

import difflib
import operator
from collections.abc import Callable
from typing import Final, NoReturn, assert_never

from replay.filter.fields import FIELDS, FieldRow, Subject
from replay.filter.lexer import FilterError, Token, unquoted, verbatim
from replay.filter.parser import And, Comparison, Field, Membership, Node, Not, Or, Presence, Range, parse
from replay.filter.values import BadValue, Value, value
from replay.patterns import Pattern, PatternError

Predicate = Callable[[Subject], bool]
Test = Callable[[Value], bool]

_ORDERED: Final = frozenset({"integer", "duration", "size", "time"})
_COMPARE: Final[dict[str, Callable[[Value, Value], bool]]] = {
    "==": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_NEGATED: Final = {"!=": "==", "!~": "~"}


def compile(text: str) -> Predicate:
    """The predicate that `text` describes; FilterError (a UsageError) with the column where it is wrong."""
    return _Compiler(text).predicate(parse(text))


class _Compiler:
    def __init__(self, text: str) -> None:
        self._text = text

    def predicate(self, node: Node) -> Predicate:
        match node:
            case And():
                parts = [self.predicate(operand) for operand in node.operands]
                return lambda subject: all(part(subject) for part in parts)
            case Or():
                parts = [self.predicate(operand) for operand in node.operands]
                return lambda subject: any(part(subject) for part in parts)
            case Not():
                part = self.predicate(node.operand)
                return lambda subject: not part(subject)
            case Presence():
                return self._any(node.field, bool)
            case Comparison():
                return self._comparison(node)
            case Membership():
                return self._membership(node)
            case _:
                assert_never(node)

    def _comparison(self, node: Comparison) -> Predicate:
        row = self._row(node.field)
        symbol = _NEGATED.get(node.operator.text, node.operator.text)
        part = self._any(node.field, self._test(row, symbol, node))
        if node.operator.text in _NEGATED:
            return lambda subject: not part(subject)
        return part

    def _test(self, row: FieldRow, symbol: str, node: Comparison) -> Test:
        if symbol in ("~", "contains"):
            if row.type != "text":
                self._fail(node.operator, f"`{symbol}` is for text, `{row.name}` is {_article(row.type)}")
            return self._matching(node.value) if symbol == "~" else self._containing(node.value)
        if symbol != "==" and row.type not in _ORDERED:
            self._fail(node.operator, f"`{symbol}` needs an order, `{row.name}` is {_article(row.type)}")
        wanted, compare = self._value(row, node.value), _COMPARE[symbol]
        return lambda found: compare(found, wanted)

    def _matching(self, token: Token) -> Test:
        if token.kind != "string":
            self._fail(token, "expected a regular expression in quotes")
        try:
            pattern = Pattern(verbatim(token))
        except PatternError as error:
            self._fail(token, f"not a regular expression: {error}")
        return lambda found: pattern.search(str(found))

    def _containing(self, token: Token) -> Test:
        if token.kind != "string":
            self._fail(token, "expected text in quotes")
        part = unquoted(token)
        return lambda found: part in str(found)

    def _membership(self, node: Membership) -> Predicate:
        row = self._row(node.field)
        single: set[Value] = set()
        ranges: list[tuple[Value, Value]] = []
        for choice in node.choices:
            if isinstance(choice, Range):
                ranges.append(self._range(row, choice))
            else:
                single.add(self._value(row, choice))
        return self._any(node.field, lambda found: found in single or any(low <= found <= high for low, high in ranges))  # type: ignore[operator]  # ends and field have one type

    def _range(self, row: FieldRow, node: Range) -> tuple[Value, Value]:
        if row.type not in _ORDERED:
            self._fail(node.low, f"a range needs an order, `{row.name}` is {_article(row.type)}")
        low, high = self._value(row, node.low), self._value(row, node.high)
        if low > high:  # type: ignore[operator]  # both are of one ordered type
            self._fail(node.low, "the range ends before it begins")
        return low, high

    def _any(self, field: Field, test: Test) -> Predicate:
        row = self._row(field)
        get, argument = row.get, "" if field.argument is None else unquoted(field.argument)
        return lambda subject: any(test(found) for found in get(subject, argument))

    def _row(self, field: Field) -> FieldRow:
        row = FIELDS.get(field.token.text)
        if row is None:
            near = difflib.get_close_matches(field.token.text, FIELDS, 1)
            hint = f"; did you mean `{near[0]}`?" if near else "; `ebpf-replay filter-help` lists them"
            self._fail(field.token, f"no field is called `{field.token.text}`{hint}")
        if row.argument and field.argument is None:
            self._fail(field.token, f'`{row.name}` needs a name: {row.name}["Content-Type"]')
        if field.argument is not None and not row.argument:
            self._fail(field.argument, f"`{row.name}` takes no name in brackets")
        return row

    def _value(self, row: FieldRow, token: Token) -> Value:
        try:
            return value(row.type, token)
        except BadValue as error:
            self._fail(token, f"`{row.name}` is {_article(row.type)}: {error}")

    def _fail(self, token: Token, message: str) -> NoReturn:
        raise FilterError(self._text, token.column, message)


def _article(kind: str) -> str:
    return f"an {kind}" if kind == "integer" else kind if kind == "text" else f"a {kind}"
