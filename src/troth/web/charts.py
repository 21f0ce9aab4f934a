"""Small charts in SVG, drawn by hand: lines over rounds, grouped bars, and an interval on a scale.

Colours come from the page's style by class, so they follow the reader's colour scheme. Each mark carries its value as
a title, and every chart is accompanied by a table on the page: nothing is said by colour alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from troth.web.page import text

WIDTH, WIDE, HEIGHT = 460, 560, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 14, 16, 34


def ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Round values that cover low to high: steps of 1, 2 or 5 times a power of ten. A flat range gets one step."""
    size = max(1.0, abs(low), abs(high))
    span = high - low if high - low > 1e-9 * size else size
    raw = span / wanted
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [at * step for at in range(first, max(last, first + 1) + 1)]


class _Frame:
    """Axes: maps values to the drawing, and draws ticks."""

    def __init__(self, values: Sequence[float], rounds: Sequence[int], show: Callable[[float], str],
                 width: int = WIDTH) -> None:
        self.marks = ticks(min(values), max(values))
        self.low, self.high = self.marks[0], self.marks[-1]
        self.rounds, self._show = rounds, show
        self.end = width - _RIGHT
        self.slot = (self.end - _LEFT) / max(1, len(rounds))

    def x(self, at: int) -> float:
        """Middle of the round at this index."""
        return _LEFT + (at + 0.5) * self.slot

    def y(self, value: float) -> float:
        return _TOP + (self.high - value) / (self.high - self.low) * (HEIGHT - _TOP - _BOTTOM)

    def axes(self) -> str:
        """Lines and numbers of both axes, as SVG."""
        lines = []
        for mark in self.marks:
            y = self.y(mark)
            lines.append(f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{self.end}" y2="{y:.1f}"/>'
                         f'<text class="tick" x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">'
                         f"{text(self._show(mark))}</text>")
        for at, number in enumerate(self.rounds):
            lines.append(f'<text class="tick" x="{self.x(at):.1f}" y="{HEIGHT - 14}" text-anchor="middle">'
                         f"{text(number)}</text>")
        return "".join(lines)


def _svg(label: str, body: str, width: int = WIDTH, height: int = HEIGHT) -> str:
    return (f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{text(label)}">'
            f"<title>{text(label)}</title>{body}</svg>")


def line(label: str, rounds: Sequence[int], values: Sequence[float], show: Callable[[float], str],
         flagged: Sequence[int] = ()) -> str:
    """One value a round. show: a value as text. flagged: rounds drawn with a ring, because something happened."""
    if not values:
        return ""
    frame = _Frame(values, rounds, show)
    points = [(frame.x(at), frame.y(value)) for at, value in enumerate(values)]
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    marks = []
    for number, value, (x, y) in zip(rounds, values, points, strict=True):
        ring = f'<circle class="flag" cx="{x:.1f}" cy="{y:.1f}" r="9"/>' if number in flagged else ""
        marks.append(f'{ring}<circle class="point" cx="{x:.1f}" cy="{y:.1f}" r="4">'
                     f"<title>round {number}: {text(show(value))}</title></circle>")
    return _svg(label, frame.axes() + f'<path class="curve" d="{path}"/>' + "".join(marks))


def bars(label: str, rounds: Sequence[int], series: Mapping[str, Sequence[float]],
         show: Callable[[float], str]) -> str:
    """Grouped bars, one group a round, one bar a name; below zero where negative. Colours s0, s1, … in order."""
    every = [value for values in series.values() for value in values]
    if not every:
        return ""
    frame = _Frame([*every, 0.0], rounds, show, WIDE)
    width = frame.slot * 0.8 / max(1, len(series))
    zero = frame.y(0.0)
    shapes = []
    for number, (name, values) in enumerate(series.items()):
        for at, value in enumerate(values):
            x = frame.x(at) - frame.slot * 0.4 + number * width
            y = frame.y(value)
            shapes.append(f'<rect class="bar s{number % 8}" x="{x:.1f}" y="{min(y, zero):.1f}" '
                          f'width="{max(1.0, width - 1):.1f}" height="{max(1.0, abs(y - zero)):.1f}">'
                          f"<title>{text(name)}, round {rounds[at]}: {text(show(value))}</title></rect>")
    axis = f'<line class="zero" x1="{_LEFT}" y1="{zero:.1f}" x2="{frame.end}" y2="{zero:.1f}"/>'
    return _svg(label, frame.axes() + "".join(shapes) + axis, WIDE)


def interval(low: int, mean: int, high: int, scale: tuple[int, int], label: str, strong: bool) -> str:
    """A dot with its interval on a common scale (low end, high end), for a table's cell."""
    first, last = scale
    span = max(1, last - first)

    def x(value: int) -> float:
        return 6 + (value - first) / span * 168

    style = "strong" if strong else "plain"
    return _svg(label, f'<line class="grid" x1="6" y1="12" x2="174" y2="12"/><line class="range {style}" '
                f'x1="{x(low):.1f}" y1="12" x2="{x(high):.1f}" y2="12"/><circle class="dot {style}" '
                f'cx="{x(mean):.1f}" cy="12" r="5"/>', 180, 24).replace('class="chart"', 'class="inline"')


def legend(names: Sequence[str]) -> str:
    """The names of ``bars``' colours."""
    return "<p class=legend>" + "".join(
        f'<span><svg viewBox="0 0 12 12" class="swatch" aria-hidden="true"><rect class="bar s{number % 8}" width="12" '
        f'height="12"/></svg> {text(name)}</span>' for number, name in enumerate(names)) + "</p>"
