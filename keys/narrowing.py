"""Under which prefixes the keys lie that a template gives for the instants of a stretch of time.

Strategy: where a date follows the known text, from the year on to ever smaller parts, the texts of a later instant are
the later ones, and the digits between the first and the last are covered by a few prefixes. Where these are too many,
the smallest parts of the date are given up, one after the other.
"""

import calendar
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, tzinfo
from typing import NamedTuple

from .fields import Field
from .instants import InstantFormat, render, tokens
from .spans import EVER, weeks_in

MOST_PREFIXES = 64
_MOMENT = timedelta(microseconds=1)
_SHIFT = timedelta(days=1)
"""By no more than this a clock was ever set back."""
_RANGES = {
    "Y": (1, 9999),
    "m": (1, 12),
    "d": (1, 31),
    "j": (1, 366),
    "G": (1, 9999),
    "V": (1, 53),
    "u": (1, 7),
    "H": (0, 23),
    "M": (0, 59),
    "S": (0, 59),
    "f": (0, 999_999),
}
_SMALLER = {
    "": "YG",
    "Y": "mj",
    "m": "d",
    "G": "V",
    "V": "u",
    "d": "H",
    "j": "H",
    "u": "H",
    "H": "M",
    "M": "S",
    "S": "f",
}
"""What may follow each directive, so that a later instant has a later text."""


class _Step(NamedTuple):
    """A directive, and the text behind it."""

    letter: str
    behind: str = ""


class _Bounds(NamedTuple):
    """The first and the last instant, as the clocks show them that wrote the keys."""

    low: datetime
    high: datetime

    def numbers(self, letter: str) -> tuple[int, int]:
        """What the directive writes for both."""
        low, high = (int(render(InstantFormat(f"%{letter}"), at)) for at in self)
        return low, high

    def most(self, letter: str) -> int:
        """The largest number that the directive writes within the last month, or year."""
        if letter == "d":
            return calendar.monthrange(self.high.year, self.high.month)[1]
        if letter == "j":
            return 365 + calendar.isleap(self.high.year)
        return weeks_in(self.high.isocalendar().year) if letter == "V" else _RANGES[letter][1]


_EVER = _Bounds(*(at.replace(tzinfo=None) for at in EVER))


def narrowed(
    parts: Sequence[str | Field], *, since: datetime | None, until: datetime | None, zone: tzinfo
) -> list[str]:
    """The prefixes of the keys of ``parts`` for the instants from ``since`` on and before ``until``.

    None is a prefix of another. ``zone`` is where the keys' dates were read off.

    >>> from datetime import UTC
    >>> from keystow.keys import Template
    >>> parts = Template("results/{date:%Y/%m/%d}/{jobID}").parts
    >>> narrowed(parts, since=datetime(2026, 10, 31, tzinfo=UTC), until=datetime(2026, 12, 1, tzinfo=UTC), zone=UTC)
    ['results/2026/10/31/', 'results/2026/11/']
    """
    moves = zone.utcoffset(None) is None
    bounds = _Bounds(
        _EVER.low if since is None else _wall(since, zone, -_SHIFT if moves else timedelta()),
        _EVER.high if until is None else _wall(until, zone, _SHIFT if moves else -_MOMENT),
    )
    before, steps = _steps(parts, bounds)
    while True:
        covered = list(_covered(steps, bounds, is_low=True, is_high=True))
        if len(covered) <= MOST_PREFIXES:
            return [before + prefix for prefix in covered]
        steps = steps[:-1]


def _wall(at: datetime, zone: tzinfo, shift: timedelta) -> datetime:
    """What clocks in ``zone`` show ``at`` that instant and so much later, as near as a ``datetime`` comes to it."""
    try:
        return at.astimezone(zone).replace(tzinfo=None) + shift
    except OverflowError:
        return _EVER.low if at.year < _EVER.high.year else _EVER.high


def _steps(parts: Sequence[str | Field], bounds: _Bounds) -> tuple[str, list[_Step]]:
    """The text at the beginning, and the directives behind it by which keys are told apart, up to what is not known."""
    before, steps = "", list[_Step]()
    for token, is_directive in _known(parts):
        text = token
        if is_directive and token in _SMALLER.get(steps[-1].letter if steps else "", ""):
            steps.append(_Step(token))
            continue
        if is_directive:
            if not (any(step.letter == token for step in steps) and _is_one(steps, bounds)):
                break
            text = render(InstantFormat(f"%{token}"), bounds.low)
        if steps:
            steps[-1] = _Step(steps[-1].letter, steps[-1].behind + text)
        else:
            before += text
    return before, steps


def _known(parts: Sequence[str | Field]) -> Iterator[tuple[str, bool]]:
    """Literal text and directives, in order, up to the first other placeholder."""
    for part in parts:
        if isinstance(part, str):
            yield part, False
        elif part.format is not None:
            yield from tokens(part.format)
        else:
            return


def _is_one(steps: Sequence[_Step], bounds: _Bounds) -> bool:
    return all(low == high for low, high in (bounds.numbers(step.letter) for step in steps))


def _covered(steps: Sequence[_Step], bounds: _Bounds, *, is_low: bool, is_high: bool) -> Iterator[str]:
    """The prefixes of all texts from that of the lower bound, if ``is_low``, to that of the upper, if ``is_high``."""
    if not steps:
        yield ""
        return
    (letter, behind), further = steps[0], steps[1:]
    least, most = _RANGES[letter][0], bounds.most(letter) if is_high else _RANGES[letter][1]
    low, high = bounds.numbers(letter)
    first, last = low if is_low else least, high if is_high else most
    width = len(str(_RANGES[letter][1]))
    low_is_cut = is_low and any(bounds.numbers(step.letter)[0] > _RANGES[step.letter][0] for step in further)
    high_is_cut = is_high and any(bounds.numbers(step.letter)[1] < bounds.most(step.letter) for step in further)
    is_alone = first == last and (low_is_cut or high_is_cut)
    if low_is_cut or is_alone:
        rest = _covered(further, bounds, is_low=low_is_cut, is_high=is_alone and high_is_cut)
        yield from (f"{first:0{width}}{behind}{each}" for each in rest)
    if is_alone:
        return
    middle = range(first + low_is_cut, last + 1 - high_is_cut)
    for digits in _digits(middle, range(least, most + 1), width):
        yield digits + behind if len(digits) == width else digits
    if high_is_cut:
        rest = _covered(further, bounds, is_low=False, is_high=True)
        yield from (f"{last:0{width}}{behind}{each}" for each in rest)


def _digits(wanted: range, possible: range, width: int, head: str = "") -> Iterator[str]:
    """The shortest beginnings of the ``wanted`` numbers' digits that no other ``possible`` number has."""
    unit = 10 ** (width - len(head))
    begun = int(head or "0") * unit
    these = range(max(begun, possible.start), min(begun + unit, possible.stop))
    if not these or these.stop <= wanted.start or these.start >= wanted.stop:
        return
    if these.start in wanted and these[-1] in wanted:
        yield head
    else:
        for digit in "0123456789":
            yield from _digits(wanted, possible, width, head + digit)
