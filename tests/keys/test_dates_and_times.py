"""Fields: "`{date}` (YYYYMMDD), `{time}` (HHMMSS) … `{date:…}` and `{time:…}` take those strftime directives whose
output is all digits (`%Y %m %d %H %M %S %f %j %y %V %G %u`), with any other literal text between (`{date:%Y/%m/%d}`)."
"""

import calendar
import itertools
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import DIRECTIVES, Hole, directive, formats, instants, zones

from keystow.keys import Context, Template


@pytest.mark.parametrize("letter", DIRECTIVES)
@given(at=instants)
def test_each_directive_is_strftimes(letter, at):
    """DESIGN: "those strftime directives whose output is all digits" """
    text = Template(f"{{date:%{letter}}}").expand(Context(at=at))
    assert text == directive(at, letter)
    assert text.isascii()
    assert text.isdigit()


@given(st.sampled_from(["date", "time"]), formats(between=st.text("aé/-._ dY\\[(", max_size=3)), instants)
def test_other_text_stands_between(name, form, at):
    """DESIGN: "with any other literal text between" """
    hole = Hole(name, form)
    template, key = Template(hole.written), hole.value(Context(at=at))
    assert template.expand(Context(at=at)) == key
    assert template.match(key) == {name: key}


@given(instants, zones)
def test_one_instant_is_read_in_its_own_zone(at, zone):
    """DESIGN: "one instant gives both date and time": the wall clock of `at`, in the zone that it carries."""
    at = at.replace(tzinfo=zone)
    wall = "".join(directive(at, letter) for letter in "YmdHMS")
    assert Template("{date}{time}").expand(Context(at=at)) == wall
    assert Template("{time}{date}").expand(Context(at=at)) == wall[8:] + wall[:8]


def test_midnight_differs_between_zones():
    """DESIGN: "one instant gives both date and time" """
    at = datetime(2023, 12, 31, 23, 59, 59, 999999, UTC)
    later = at.astimezone(timezone(timedelta(hours=14)))
    template = Template("{date}T{time}")
    assert template.expand(Context(at=at)) == "20231231T235959"
    assert template.expand(Context(at=later)) == "20240101T135959"


def read(text, keys):
    template = Template(text)
    return {key for key in keys if template.match(key) is not None}


def exists(year, month, day):
    return 1 <= month <= 12 and 1 <= day <= calendar.monthrange(year, month)[1]


@pytest.mark.parametrize("year", [1, 4, 1900, 2000, 2023, 2024, 9999])
def test_days_that_do_not_exist_are_not_matched(year):
    """`match`: "the values that give this key", and no instant gives a day that its month does not have."""
    days = {f"{year:04}{m:02}{d:02}": exists(year, m, d) for m, d in itertools.product(range(14), range(33))}
    assert read("{date}", days) == {day for day, real in days.items() if real}


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("{date}", "{:04}0229"),
        ("{date:%d.%m.%Y}", "29.02.{:04}"),
        ("{date:%Y-%j}", "{:04}-366"),
        ("{date:%m}/{time:%d}/{date:%Y}", "02/29/{:04}"),
    ],
)
def test_leap_days_are_matched_in_leap_years(text, key):
    """`match`: "the values that give this key" """
    years = range(10000)
    expected = {key.format(year) for year in years if year and calendar.isleap(year)}
    assert read(text, map(key.format, years)) == expected


@pytest.mark.parametrize(("text", "key"), [("{date:%y%m%d}", "{:02}0229"), ("{date:%j/%y}", "366/{:02}")])
def test_leap_days_of_a_short_year(text, key):
    """`match`: "the values that give this key": any century may be meant."""
    assert read(text, map(key.format, range(100))) == {key.format(year) for year in range(0, 100, 4)}


@pytest.mark.parametrize(
    ("text", "leap", "other"),
    [
        ("{date:%Y}-{jobID}{nodeID}-{date:%m%d}", "2024-ab-0229", "2023-ab-0229"),
        ("{date:%y}-{jobID}{nodeID}-{date:%m%d}", "24-ab-0229", "23-ab-0229"),
        ("{date:%m}-{jobID}{nodeID}-{date:%d%Y}", "02-ab-292024", "02-ab-292023"),
        ("{date:%d}-{jobID}{nodeID}-{date:%m%Y}", "29-ab-022024", "29-ab-022023"),
        ("{date:%j}-{jobID}{nodeID}-{date:%Y}", "366-ab-2024", "366-ab-2023"),
        ("{date:%Y}-{jobID}{nodeID}-{date:%Y%m}", "2023-ab-202301", "2023-ab-202401"),
    ],
)
def test_a_date_in_parts_is_a_day_that_exists(text, leap, other):
    """`match`: "the values that give this key", with values of any length between the parts."""
    assert Template(text).match(leap) is not None
    assert Template(text).match(other) is None


@pytest.mark.parametrize(
    ("letter", "width", "least", "most"),
    [
        ("Y", 4, 1, 9999),
        ("m", 2, 1, 12),
        ("d", 2, 1, 31),
        ("H", 2, 0, 23),
        ("M", 2, 0, 59),
        ("S", 2, 0, 59),
        ("j", 3, 1, 366),
        ("y", 2, 0, 99),
        ("V", 2, 1, 53),
        ("G", 4, 1, 9999),
        ("u", 1, 1, 7),
    ],
)
def test_each_directive_matches_what_it_can_write(letter, width, least, most):
    """`match`: "the values that give this key" """
    every = [f"{number:0{width}}" for number in range(10**width)]
    assert read(f"{{date:%{letter}}}", every) == set(every[least : most + 1])
    assert read(f"{{date:%{letter}}}", [every[least] + "0", " " + every[least][1:], "٣" * width]) == set()


@pytest.mark.parametrize("text", ["{date}", "{time}", "{date:%f}"])
@given(key=st.text("0123456789", min_size=4, max_size=10))
def test_a_matched_text_is_a_day_or_a_time(text, key):
    """A date that is matched can be read by `strptime`."""
    found = Template(text).match(key)
    if found is not None:
        form = {"{date}": "%Y%m%d", "{time}": "%H%M%S", "{date:%f}": "%f"}[text]
        at = datetime.strptime(key, form).replace(tzinfo=UTC)
        assert Template(text).expand(Context(at=at)) == key
