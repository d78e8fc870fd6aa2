"""How long a time the digits in a key tell of, a day, an hour or a second, in the time zone where they were written."""

import calendar
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import NamedTuple

_MOMENT = timedelta(microseconds=1)
_CLOCK = {"H": timedelta(hours=1), "M": timedelta(minutes=1), "S": timedelta(seconds=1), "f": _MOMENT}
_CENTURY = 2000
"""Of the years that are written in two digits."""
EVER = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
"""The first and the last instant that a ``datetime`` can be."""


class Span(NamedTuple):
    """From the ``first`` instant to the ``last``, both in UTC and both part of it."""

    first: datetime
    last: datetime

    def meets(self, since: datetime | None, until: datetime | None) -> bool:
        """Whether some of it is not before ``since``, and before ``until``."""
        return (since is None or self.last >= since) and (until is None or self.first < until)


def span(directives: Mapping[str, str], zone: tzinfo) -> Span | None:
    """What these texts of strftime directives tell of, or ``None`` if they do not say in which year.

    An hour that a clock shows twice is one span, and so is one that it leaves out, as somebody may have meant it.

    >>> span({"Y": "2026", "m": "11"}, UTC)[1].isoformat(" ", "seconds")
    '2026-11-30 23:59:59+00:00'
    """
    numbers = {letter: int(text) for letter, text in directives.items()}
    try:
        found = _days(numbers)
    except (ValueError, OverflowError):  # a week 53 that the year does not have, as no instant writes it
        return None
    if found is None:
        return None
    first, last = (datetime.combine(day, time.min) for day in found)
    length = timedelta(days=1)
    if first == last:
        for letter, unit in _CLOCK.items():
            if letter not in numbers:
                break
            first += numbers[letter] * unit
            length = unit
        last = first
    return Span(
        min(_instant(first, zone, fold=fold) for fold in (0, 1)),
        max(_instant(last + (length - _MOMENT), zone, fold=fold) for fold in (0, 1)),
    )


def _days(numbers: Mapping[str, int]) -> tuple[date, date] | None:
    """The first and the last day that they may mean."""
    year = numbers.get("Y", _CENTURY + numbers["y"] if "y" in numbers else None)
    month, day, of_year = (numbers.get(letter) for letter in "mdj")
    week_year, week, weekday = (numbers.get(letter) for letter in "GVu")
    if year is not None and month is not None:
        return date(year, month, day or 1), date(year, month, day or calendar.monthrange(year, month)[1])
    if year is not None and of_year is not None:
        only = date(year, 1, 1) + timedelta(days=of_year - 1)
        return only, only
    if week_year is not None and week is not None:
        return _weekday(week_year, week, weekday or 1), _weekday(week_year, week, weekday or 7)
    if year is not None:
        return date(year, 1, 1), date(year, 12, 31)
    if week_year is not None:
        return _weekday(week_year, 1, 1), _weekday(week_year, weeks_in(week_year), 7)
    return None


def _weekday(year: int, week: int, weekday: int) -> date:
    """That day, or the last that there is. Raises ``ValueError`` for a week that the year does not have."""
    monday = date.fromisocalendar(year, week, 1)
    return date.fromordinal(min(monday.toordinal() + weekday - 1, date.max.toordinal()))


def weeks_in(year: int) -> int:
    """How many weeks ISO 8601 counts in ``year``."""
    return date(year, 12, 28).isocalendar().week


def _instant(wall: datetime, zone: tzinfo, *, fold: int) -> datetime:
    """When clocks in ``zone`` show ``wall``, as near to it as a ``datetime`` comes."""
    try:
        return wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)
    except OverflowError:
        return EVER[wall.year > _CENTURY]
