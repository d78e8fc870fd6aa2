"""Time by the distance as a drawing: one small chart for each job, to be read on a light and on a dark background."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from benchmarks.chart import number, styled, text
from benchmarks.section import Curves, Section

_STYLE = """
path.ours, path.theirs { fill: none; stroke-width: 2 }
path.ours { stroke: #1a7f5a }
path.theirs { stroke: #818b96; stroke-dasharray: 5 3 }
circle.theirs { fill: #818b96 }
.grid { stroke: #59636e; stroke-opacity: 0.25 }
@media (prefers-color-scheme: dark) {
  path.ours { stroke: #3fb68b }
  path.theirs { stroke: #8b939d }
  circle.theirs { fill: #8b939d }
  .grid { stroke: #9198a1 }
}
"""
_COLUMNS = 2
_WIDTH, _HEIGHT, _GAP, _TOP = 440, 150, 24, 48
_LEFT, _HEAD, _FOOT = 44, 40, 20
_STEPS = (1, 2, 2.5, 5, 10)
_LINES = 3


def draw(sections: Sequence[Section], path: Path) -> None:
    """Writes the charts of the sections that have curves, if there are any."""
    drawn = [curves for section in sections for curves in section.curves]
    if not drawn:
        return
    width = _COLUMNS * _WIDTH + (_COLUMNS + 1) * _GAP
    height = _TOP + math.ceil(len(drawn) / _COLUMNS) * (_HEIGHT + _GAP)
    image = styled("Time by the round trip", width, height, _STYLE)
    text(image, _GAP, 20, "Seconds by the round trip in milliseconds: lower is faster")
    for place, curves in enumerate(drawn):
        row, column = divmod(place, _COLUMNS)
        _chart(image, curves, _GAP + column * (_WIDTH + _GAP), _TOP + row * (_HEIGHT + _GAP))
    ET.indent(image)
    path.write_text(ET.tostring(image, encoding="unicode") + "\n", encoding="utf-8")


def _chart(image: ET.Element, curves: Curves, left: float, top: float) -> None:
    text(image, left, top + 10, curves.title, **{"class": "title"})
    points = [point for line in curves.lines.values() for point in line]
    furthest = max(trip for trip, _ in points)
    step = _step(max(taken for _, taken in points))
    floor, room = top + _HEIGHT - _FOOT, _HEIGHT - _HEAD - _FOOT

    def across(trip: float) -> float:
        return left + _LEFT + trip / furthest * (_WIDTH - _LEFT - 12)

    def up(taken: float) -> float:
        return floor - taken / (step * _LINES) * room

    for times in range(_LINES + 1):
        height = number(up(times * step))
        ends = {"x1": number(left + _LEFT), "x2": number(left + _WIDTH), "y1": height, "y2": height}
        ET.SubElement(image, "line", {"class": "grid", **ends})
        text(image, left + _LEFT - 6, up(times * step) + 4, f"{times * step:g}", **{"text-anchor": "end"})
    for trip in sorted({trip for trip, _ in points}):
        text(image, across(trip), floor + 16, f"{trip * 1000:g}", **{"text-anchor": "middle"})
    for kind, (name, line), beside in zip(("ours", "theirs"), curves.lines.items(), _legends(left), strict=True):
        sample = f"M{number(beside)} {number(top + 22)}h22"
        ET.SubElement(image, "path", {"class": kind, "d": sample})
        text(image, beside + 28, top + 26, name)
        _line(image, kind, [(across(trip), up(taken)) for trip, taken in line])


def _line(image: ET.Element, kind: str, points: Sequence[tuple[float, float]]) -> None:
    joined = "L".join(f"{number(x)} {number(y)}" for x, y in points)
    ET.SubElement(image, "path", {"class": kind, "d": f"M{joined}"})
    for x, y in points:
        ET.SubElement(image, "circle", {"class": kind, "cx": number(x), "cy": number(y), "r": "3"})


def _legends(left: float) -> Iterator[float]:
    """Where the names of the two lines begin."""
    yield left + _LEFT
    yield left + _LEFT + 120


def _step(most: float) -> float:
    """A round number, a few times which is just enough.

    >>> _step(2.8), _step(5.9), _step(0.31)
    (1.0, 2.0, 0.2)
    """
    unit = 10.0 ** math.floor(math.log10(most / _LINES))
    return next(step * unit for step in _STEPS if step * unit * _LINES >= most)
