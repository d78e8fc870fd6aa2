"""The races as a drawing: bars in units of ours, to be read on a light and on a dark background."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from textwrap import wrap
from xml.etree import ElementTree as ET

from benchmarks.section import Bar, Section

_STYLE = """
text { font: 12px system-ui, sans-serif; fill: #59636e }
.title { font-weight: 600; fill: #1f2328 }
.ours { fill: #1a7f5a }
.theirs { fill: #9aa4af }
.one { stroke: #1a7f5a; stroke-dasharray: 3 3 }
@media (prefers-color-scheme: dark) {
  text { fill: #9198a1 }
  .title { fill: #f0f6fc }
  .ours { fill: #3fb68b }
  .theirs { fill: #656c76 }
  .one { stroke: #3fb68b }
}
"""
_COLUMNS = 2
_COLUMN, _LABEL, _VALUE, _GAP = 440, 180, 60, 24
_BAR, _LINE, _TITLE = 12, 18, 16
_CLIP = 8.0
_CHARACTERS = 62


def draw(sections: Sequence[Section], path: Path) -> None:
    """Writes the chart of the sections that have bars."""
    drawn = [section for section in sections if section.bars]
    columns = _balanced(drawn)
    height = 40 + max((sum(map(_height, column)) for column in columns), default=0)
    width = _COLUMNS * _COLUMN + (_COLUMNS + 1) * _GAP
    image = styled("keystow beside its peers", width, height)
    text(image, _GAP, 20, "Time in units of keystow's: shorter is faster")
    for place, column in enumerate(columns):
        left, top = _GAP + place * (_COLUMN + _GAP), 40
        for section in column:
            _group(image, section, left, top)
            top += _height(section)
    ET.indent(image)
    path.write_text(ET.tostring(image, encoding="unicode") + "\n", encoding="utf-8")


def styled(title: str, width: float, height: float, further: str = "") -> ET.Element:
    """An empty drawing with the colours of all, and with further rules of its own."""
    size = {"width": str(width), "height": str(height), "viewBox": f"0 0 {width} {height}"}
    image = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "role": "img", **size})
    ET.SubElement(image, "title").text = title
    ET.SubElement(image, "style").text = _STYLE + further
    return image


def _balanced(sections: Sequence[Section]) -> list[list[Section]]:
    """The sections in their order, in columns of about the same height."""
    share = sum(map(_height, sections)) / _COLUMNS
    columns: list[list[Section]] = [[] for _ in range(_COLUMNS)]
    filled = 0
    for section in sections:
        middle = filled + _height(section) / 2
        columns[min(_COLUMNS - 1, int(middle / share))].append(section)
        filled += _height(section)
    return columns


def _height(section: Section) -> int:
    return _TITLE * len(_titles(section)) + _LINE * len(section.bars) + _GAP


def _titles(section: Section) -> list[str]:
    return wrap(section.title, _CHARACTERS)


def _group(image: ET.Element, section: Section, left: float, top: float) -> None:
    for line in _titles(section):
        text(image, left, top + _BAR, line, **{"class": "title"})
        top += _TITLE
    unit = (_COLUMN - _LABEL - _VALUE) / _CLIP
    zero = left + _LABEL
    for row, bar in enumerate(section.bars):
        _bar(image, bar, zero, top + row * _LINE, unit)
    ends = {"y1": number(top), "y2": number(top + len(section.bars) * _LINE)}
    ET.SubElement(image, "line", {"class": "one", "x1": number(zero + unit), "x2": number(zero + unit), **ends})


def _bar(image: ET.Element, bar: Bar, zero: float, top: float, unit: float) -> None:
    """One bar; what is longer than the column ends in a gap and a stub."""
    kind = "ours" if bar.name.startswith("keystow") else "theirs"
    text(image, zero - 6, top + _BAR, bar.name, **{"text-anchor": "end"})
    for start, end in _pieces(bar.ratio):
        place = {"x": number(zero + start * unit), "width": number((end - start) * unit)}
        ET.SubElement(image, "rect", {"class": kind, "y": number(top + 3), "height": str(_BAR - 2), "rx": "1", **place})
    text(
        image,
        zero + min(max(bar.ratio, 1), _CLIP) * unit + 6,
        top + _BAR,
        f"{bar.ratio:.2f}" if bar.ratio < 10 else f"{bar.ratio:.0f}",
    )


def _pieces(ratio: float) -> Iterator[tuple[float, float]]:
    if ratio <= _CLIP:
        yield 0, ratio
    else:
        yield 0, _CLIP - 0.5
        yield _CLIP - 0.35, _CLIP


def text(image: ET.Element, x: float, y: float, content: str, **attributes: str) -> None:
    """Adds a text that begins at a point, unless an attribute says otherwise."""
    ET.SubElement(image, "text", {"x": number(x), "y": number(y), **attributes}).text = content


def number(value: float) -> str:
    """A length to a tenth."""
    return f"{value:.1f}".removesuffix(".0")
