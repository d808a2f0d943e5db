"""Curves in, one SVG out: lines with their points labelled, both axes logarithmic where the values span enough."""

from __future__ import annotations

import math
from html import escape

Points = list[tuple[float, float]]
WIDTH, HEIGHT, MARGIN = 640, 360, 60
COLOURS = ("#1b6ca8", "#c0392b", "#2e8b57", "#8e44ad")
LOGARITHMIC_SPAN = 4.0  # a factor between the smallest and the largest value


def svg(title: str, lines: dict[str, Points]) -> str:
    """The plot as text; x is always logarithmic."""
    axes = _Axes([point for line in lines.values() for point in line])
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"',
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        _text(MARGIN, 24, title, "start"),
    ]
    for number, (name, points) in enumerate(lines.items()):
        parts += _line(axes, points, COLOURS[number % len(COLOURS)])
        parts.append(_text(WIDTH - MARGIN, 44 + 16 * number, name, "end", COLOURS[number % len(COLOURS)]))
    for x in sorted({point[0] for line in lines.values() for point in line}):
        parts.append(_text(axes.place(x, axes.lowest)[0], HEIGHT - 30, f"{x:,.0f}"))
    return "\n".join([*parts, "</svg>", ""])


class _Axes:
    """From values to places on the page."""

    def __init__(self, points: Points) -> None:
        values = [y for _, y in points]
        self.lowest = min(values)
        self.logarithmic = max(values) > LOGARITHMIC_SPAN * self.lowest
        self.bottom = self._scale(self.lowest) if self.logarithmic else 0.0
        self.top = self._scale(max(values)) if self.logarithmic else max(values) * 1.1
        self.left, self.right = (edge(math.log10(x) for x, _ in points) for edge in (min, max))

    def _scale(self, y: float) -> float:
        return math.log10(y) if self.logarithmic else y

    def place(self, x: float, y: float) -> tuple[float, float]:
        across = (math.log10(x) - self.left) / ((self.right - self.left) or 1)
        up = (self._scale(y) - self.bottom) / ((self.top - self.bottom) or 1)
        return round(MARGIN + across * (WIDTH - 2 * MARGIN), 1), round(HEIGHT - MARGIN - up * (HEIGHT - 2 * MARGIN), 1)


def _line(axes: _Axes, points: Points, colour: str) -> list[str]:
    places = [axes.place(*point) for point in points]
    path = " ".join(f"{x},{y}" for x, y in places)
    parts = [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>']
    for (x, y), (_, value) in zip(places, points, strict=True):
        parts.append(f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>')
        parts.append(_text(x, y - 7, f"{value:.0f}" if value >= 10 else f"{value:.2g}"))
    return parts


def _text(x: float, y: float, words: str, anchor: str = "middle", colour: str = "black") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{colour}">{escape(words)}</text>'
