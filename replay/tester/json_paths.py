"""Paths into JSON: text such as `$.items[*].id` in, every place it names out. The part of RFC 9535 that a rule needs.

$            the document           ["a b"]   a member whose name is no word
.name        a member               [0]       an element
[*] or .*    all members, elements  ..name    that member at any depth
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

_STEP: Final = re.compile(r"""(?P<deep>\.\.)?(?:\.?(?P<all>\*)|\[\*\]|\.?(?P<name>[^\W\d][\w-]*)
                              |\["(?P<quoted>[^"]*)"\]|\[(?P<index>\d{1,9})\])""", re.VERBOSE)  # fmt: skip

Container = dict[str, Any] | list[Any]
Place = tuple[Container, Any]  # a container, and the key or index in it


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a path: a member's name, an element's index, or all (None); `deep` looks below as well."""

    key: str | int | None
    deep: bool


def parse(text: str) -> tuple[Step, ...]:
    """The steps of a path; ValueError, with the place, where it is none."""
    if not text.startswith("$"):
        raise ValueError(f"{text!r}: a JSON path begins with $")
    steps, offset = [], 1
    while offset < len(text):
        match = _STEP.match(text, offset)
        if match is None:
            raise ValueError(f"{text!r}: cannot read {text[offset:]!r}")
        index = match["index"]
        name = match["quoted"] if match["quoted"] is not None else match["name"]
        steps.append(Step(int(index) if index is not None else name, bool(match["deep"])))
        offset = match.end()
    if not steps:
        raise ValueError(f"{text!r}: names the whole document")
    return tuple(steps)


def replace(document: Any, steps: tuple[Step, ...], change: Callable[[Any], Any]) -> None:
    """Give every value that the path names to `change` and put the answer in its place."""
    for container, key in list(_places(document, steps)):
        container[key] = change(container[key])


def remove(document: Any, steps: tuple[Step, ...]) -> None:
    """Take away every member and element that the path names."""
    # From the last to the first, so that an element's index still holds when its turn comes.
    for container, key in reversed(list(_places(document, steps))):
        if isinstance(container, list) or key in container:
            del container[key]


def _places(node: Any, steps: tuple[Step, ...]) -> Iterator[Place]:
    step, *rest = steps
    for container, key in _matches(node, step):
        if rest:
            yield from _places(container[key], tuple(rest))
        else:
            yield container, key


def _matches(node: Any, step: Step) -> Iterator[Place]:
    for container in _containers(node) if step.deep else [node]:
        if isinstance(container, dict):
            keys: list[Any] = list(container) if step.key is None else [step.key] if step.key in container else []
            yield from ((container, key) for key in keys)
        elif isinstance(container, list):
            indexes = range(len(container)) if step.key is None else [step.key]
            yield from ((container, i) for i in indexes if isinstance(i, int) and i < len(container))


def _containers(node: Any) -> list[Container]:
    """`node` and every container below it, without recursion."""
    found, waiting = [], [node]
    while waiting:
        container = waiting.pop()
        if isinstance(container, dict | list):
            found.append(container)
            waiting.extend(container.values() if isinstance(container, dict) else container)
    return found
