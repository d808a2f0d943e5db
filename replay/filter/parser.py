r"""Tokens in, a syntax tree out: recursive descent, one function per line of the grammar.

    expression = conjunction { "or" conjunction }
    conjunction = negation { "and" negation }
    negation   = "not" negation | test
    test       = "(" expression ")" | field [ operator value | [ "not" ] "in" ( set | range ) ]
    field      = name [ "[" string "]" ]
    set        = "{" ( value | range ) { "," ( value | range ) } "}"
    range      = value ".." value            (both ends belong to it)
    operator   = "==" | "!=" | "<" | "<=" | ">" | ">=" | "~" | "!~" | "contains"

Own and small (a parser library would be larger than this file, and its messages would not be ours). Knows no field:
whether a name exists and what may be compared with it is the evaluator's to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NoReturn

from replay.filter.lexer import FilterError, Token, tokens

# Python's own recursion limit is 1000 frames and one level takes four: deeper nesting is refused with a column.
MAX_DEPTH: Final = 100
OPERATORS: Final = frozenset({"==", "!=", "<", "<=", ">", ">=", "~", "!~", "contains"})
KEYWORDS: Final = frozenset({"and", "or", "not", "in", "contains", "true", "false"})


@dataclass(frozen=True, slots=True)
class Field:
    """A name, with the argument of `header["Host"]` where one is given."""

    token: Token
    argument: Token | None = None


@dataclass(frozen=True, slots=True)
class Range:
    """Both ends included."""

    low: Token
    high: Token


@dataclass(frozen=True, slots=True)
class Comparison:
    """`field operator value`."""

    field: Field
    operator: Token
    value: Token


@dataclass(frozen=True, slots=True)
class Membership:
    """`field in {…}` or `field in low..high`."""

    field: Field
    operator: Token
    choices: tuple[Token | Range, ...]


@dataclass(frozen=True, slots=True)
class Presence:
    """A field alone: a boolean's value; of any other, whether there is one."""

    field: Field


@dataclass(frozen=True, slots=True)
class Not:
    """`not operand`."""

    operand: Node


@dataclass(frozen=True, slots=True)
class And:
    """All operands."""

    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Any operand."""

    operands: tuple[Node, ...]


Node = Comparison | Membership | Presence | Not | And | Or


def parse(text: str) -> Node:
    """The tree of `text`; FilterError, with the column, where it does not follow the grammar."""
    return _Parser(text).whole()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokens(text)
        self._next = 0
        self._depth = 0

    def whole(self) -> Node:
        node = self._expression()
        if self._token.kind != "end":
            self._fail("expected `and`, `or` or the end")
        return node

    @property
    def _token(self) -> Token:
        return self._tokens[self._next]

    def _take(self) -> Token:
        token = self._token
        self._next += 1
        return token

    def _accept(self, *texts: str) -> Token | None:
        if self._token.kind in ("name", "operator") and self._token.text in texts:
            return self._take()
        return None

    def _expect(self, text: str) -> None:
        if not self._accept(text):
            self._fail(f"expected `{text}`")

    def _fail(self, expected: str) -> NoReturn:
        token = self._token
        found = "the filter ends here" if token.kind == "end" else f"found `{token.text}`"
        raise FilterError(self._text, token.column, f"{expected}, {found}")

    def _expression(self) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self._fail(f"at most {MAX_DEPTH} levels")
        operands = [self._conjunction()]
        while self._accept("or"):
            operands.append(self._conjunction())
        self._depth -= 1
        return operands[0] if len(operands) == 1 else Or(tuple(operands))

    def _conjunction(self) -> Node:
        operands = [self._negation()]
        while self._accept("and"):
            operands.append(self._negation())
        return operands[0] if len(operands) == 1 else And(tuple(operands))

    def _negation(self) -> Node:
        negations = 0
        while self._accept("not", "!"):
            negations += 1
        node = self._test()
        return Not(node) if negations % 2 else node

    def _test(self) -> Node:
        if self._accept("("):
            node = self._expression()
            self._expect(")")
            return node
        field = self._field()
        if (negation := self._accept("not")) or self._token.text == "in":
            operator = self._token
            self._expect("in")
            member = Membership(field, operator, self._choices())
            return Not(member) if negation else member
        if self._token.text in OPERATORS:
            return Comparison(field, self._take(), self._value())
        if self._token.text == "=":
            self._fail("equality is written `==`")
        return Presence(field)

    def _field(self) -> Field:
        if self._token.kind != "name" or self._token.text in KEYWORDS:
            self._fail("expected a field")
        name, argument = self._take(), None
        if self._accept("["):
            argument = self._name_in_quotes()
            self._expect("]")
        return Field(name, argument)

    def _name_in_quotes(self) -> Token:
        if self._token.kind != "string":
            self._fail("expected a name in quotes")
        return self._take()

    def _choices(self) -> tuple[Token | Range, ...]:
        if not self._accept("{"):
            choice = self._choice()
            if isinstance(choice, Token):
                self._fail("a set is written {1, 2}, a range 1..2; expected `..`")
            return (choice,)
        choices = [self._choice()]
        while self._accept(","):
            choices.append(self._choice())
        self._expect("}")
        return tuple(choices)

    def _choice(self) -> Token | Range:
        low = self._value()
        return Range(low, self._value()) if self._accept("..") else low

    def _value(self) -> Token:
        token = self._token
        if token.kind == "name" and token.text not in ("true", "false"):
            self._fail(f'expected a value; text is written in quotes, "{token.text}"')
        if token.kind in ("operator", "end"):
            self._fail("expected a value")
        return self._take()
