"""What `object_key` gives is found again: by its prefix, with its fields, at its time."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import cases

from keystow.keys import FILE, S3, Context, KeyRuleError, Template, object_key
from keystow.keys.listing import Listing
from keystow.keys.narrowing import MOST_PREFIXES

ENCODINGS = ["gzip", "plain", "raw"]
MOVING = [ZoneInfo(name) for name in ("Europe/Berlin", "Australia/Lord_Howe", "Antarctica/Troll", "Pacific/Apia")]
DATED = [
    "{date:%Y/%m/%d}/{jobID}",
    "{date}{time}",
    "a/{date:%Y%j}/{time:%H%M%S%f}/{date:%d}",
    "{date:%G-W%V}/{date:%u}/{time:%H}",
    "{date:%Y}/{date:%Y-%m}/{date:%Y-%m-%d}T{time}",
    "{date:%d.%m.%Y}",
    "{date:%y%m%d}",
]
windows = st.tuples(
    st.timedeltas(timedelta(0), timedelta(days=800)) | st.timedeltas(timedelta(0), timedelta(hours=30)) | st.none(),
    st.timedeltas(timedelta(microseconds=1), timedelta(days=800))
    | st.timedeltas(timedelta(microseconds=1), timedelta(hours=30))
    | st.none(),
)
"""How long before an instant a window begins, and how long after it it ends."""


def drawn(data, encoding):
    """A case that can be read in one way, and whose key is one of the encoding."""
    case = data.draw(cases(unambiguous=True))
    return replace(case, pieces=(*case.pieces, "x")) if encoding == "raw" else case


def published(template, context, encoding):
    try:
        return object_key(template, context, archive=encoding == "gzip", raw=encoding == "raw")
    except KeyRuleError:
        assume(False)


def moved(at, by):
    try:
        return at.astimezone(UTC) + by
    except OverflowError:
        assume(False)


def is_dated(template, at):
    """Whether UTC has such an instant, and two digits are enough for its year."""
    return 1 < at.year < 9999 and ("%y" not in template.text or 2000 <= at.year < 2100)


def begins(key, prefixes):
    return [prefix for prefix in prefixes if key.startswith(prefix)]


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(data=st.data())
def test_what_is_published_is_found_with_its_fields_whatever_is_known_of_them(encoding, data):
    case = drawn(data, encoding)
    template = case.template()
    key = published(template, case.context, encoding)
    named = {hole.name: hole for hole in case.holes if not hole.form}
    known = {name: case.values[name] for name in data.draw(st.sets(st.sampled_from([*named] or [""]))) if name}
    listing = Listing(template, encoding, known=known, zone=case.context.at.tzinfo)
    assert begins(key, listing.prefixes(since=None, until=None))
    if encoding == "plain":
        assert {listing.whole(key + name) for name in ("a", "a/b", "a//b", "/")} == {key}
        assert listing.whole(key) is None
    else:
        assert listing.whole(key) == key
    reading = listing.read(key)
    assert reading is not None
    forms = Counter(hole.name for hole in dict.fromkeys(case.holes))
    if not (encoding == "gzip" and case.key.endswith(".tar.gz")):
        assert reading.fields == {
            hole.name if forms[hole.name] == 1 else hole.written[1:-1]: hole.value(case.context) for hole in case.holes
        }
    assert [*reading.fields] == [*Listing(template, encoding).read(key).fields]
    at = case.context.at
    if is_dated(template, at):
        assert reading.span is None or reading.span.first <= at <= reading.span.last


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(data=st.data())
def test_however_a_key_can_be_read_its_fields_give_it_again(encoding, data):
    case = data.draw(cases())
    template = case.template()
    key = published(template, case.context, encoding)
    named = [hole.name for hole in case.holes if not hole.form]
    known = {name: case.values[name] for name in named[: data.draw(st.integers(0, len(named)))]}
    reading = Listing(template, encoding, known=known).read(key)
    assert reading is not None
    assert published(template.bind(**reading.fields), Context(), encoding) == key
    assert {name: reading.fields.get(name, value) for name, value in known.items() if isinstance(value, str)} == {
        name: value for name, value in known.items() if isinstance(value, str)
    }


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(data=st.data())
def test_what_was_published_in_a_window_lies_under_its_prefixes(encoding, data):
    if data.draw(st.booleans()):
        case = drawn(data, encoding)
        template, context = case.template(), case.context
    else:
        template = Template(data.draw(st.sampled_from(DATED)))
        at = data.draw(st.datetimes(timezones=st.sampled_from([UTC, *MOVING])))
        context = Context(job_id="7", at=at)
    key = published(template, context, encoding)
    before, after = data.draw(windows)
    since = None if before is None else moved(context.at, -before)
    until = None if after is None else moved(context.at, after)
    listing = Listing(template, encoding, zone=context.at.tzinfo)
    prefixes = listing.prefixes(since=since, until=until)
    assert len(begins(key, prefixes)) == 1
    assert len(prefixes) <= MOST_PREFIXES
    assert [one for one in prefixes for other in prefixes if one is not other and one.startswith(other)] == []
    if is_dated(template, context.at):
        span = listing.read(key).span
        assert span is None or span.meets(since, until)


def utc(*numbers):
    return datetime(*numbers, tzinfo=UTC)


DAYS = [f"r/2026/11/{day}/" for day in (27, 28, 29, 30)]


@pytest.mark.parametrize(
    ("text", "since", "until", "prefixes"),
    [
        ("r/{jobID}/{date}", None, None, ["r/"]),
        ("r/{date:%Y/%m/%d}/{jobID}", None, None, ["r/"]),
        ("r/{date:%Y/%m/%d}/{jobID}", utc(2026, 11, 28, 9), utc(2026, 11, 28, 9, 0, 1), ["r/2026/11/28/"]),
        ("r/{date:%Y/%m/%d}/{jobID}", utc(2026, 11, 28), utc(2026, 11, 29), ["r/2026/11/28/"]),
        (
            "r/{date:%Y/%m/%d}/{jobID}",
            utc(2026, 11, 27),
            utc(2026, 12, 1, 5),
            [*DAYS[:3], "r/2026/11/3", "r/2026/12/01/"],
        ),
        ("r/{date:%Y/%m/%d}/{jobID}", utc(2026, 11, 1), utc(2026, 12, 1), ["r/2026/11/"]),
        ("r/{date:%Y/%m/%d}/{jobID}", utc(2026, 2, 1), utc(2026, 3, 1), ["r/2026/02/"]),
        ("r/{date:%Y/%m/%d}/{jobID}", utc(2025, 12, 31), utc(2026, 2, 1), ["r/2025/12/31/", "r/2026/01/"]),
        ("r/{date:%Y/%j}/", utc(2026, 1, 1), utc(2027, 1, 1), ["r/2026/"]),
        ("r/{date:%G-W%V}/", utc(2026, 11, 23), utc(2026, 12, 7), ["r/2026-W48/", "r/2026-W49/"]),
        ("r/{date}-{time}/{jobID}", utc(2026, 11, 28, 9), utc(2026, 11, 28, 11), ["r/20261128-09", "r/20261128-10"]),
        ("r/{date:%Y}/{date}", utc(2026, 11, 28), utc(2026, 11, 30), ["r/2026/20261128", "r/2026/20261129"]),
        ("r/{date:%d-%m-%Y}/", utc(2026, 11, 28), utc(2026, 11, 30), ["r/"]),
        ("r/{jobID}/{date}", utc(2026, 11, 28), utc(2026, 11, 30), ["r/"]),
    ],
)
def test_the_narrowest_prefixes(text, since, until, prefixes):
    assert Listing(Template(text), "raw").prefixes(since=since, until=until) == prefixes


def test_without_an_end_what_lies_ahead_is_looked_for_in_as_few():
    listing = Listing(Template("{date:%Y/%m/%d}/{jobID}"), "gzip")
    ahead = listing.prefixes(since=utc(2026, 11, 28), until=None)
    assert ahead[:6] == ["2026/11/28/", "2026/11/29/", "2026/11/3", "2026/12/", "2027/", "2028/"]
    assert begins("2026/11/27/", ahead) == begins("2026/10/30/", ahead) == begins("2025/12/31/", ahead) == []


@pytest.mark.parametrize(
    ("text", "encoding", "known", "prefix"),
    [
        ("r/{jobID}", "gzip", {}, "r/"),
        ("r/{jobID}", "gzip", {"jobID": "1"}, "r/1.tar.gz"),
        ("r/{jobID}.tar.gz", "gzip", {"jobID": "1"}, "r/1.tar.gz"),
        ("r/{jobID}", "plain", {"jobID": "1"}, "r/1/"),
        ("r/{jobID}", "raw", {"jobID": "1"}, "r/1"),
        ("r/{jobID}/{nodeID}", "gzip", {"nodeID": "n"}, "r/"),
        ("r/{jobID}/{nodeID}", "gzip", {"jobID": "1"}, "r/1/"),
        ("r/{partitionIndex:04}/{jobID}", "gzip", {"partitionIndex": 7}, "r/0007/"),
    ],
)
def test_what_is_known_narrows(text, encoding, known, prefix):
    assert Listing(Template(text), encoding, known=known).prefixes(since=None, until=None) == [prefix]


@pytest.mark.parametrize(
    ("text", "encoding", "key", "fields"),
    [
        ("r/{jobID}", "gzip", "r/a.tar.gz", {"jobID": "a"}),
        ("r/{jobID}", "gzip", "r/a.tar.gz.tar.gz", {"jobID": "a.tar.gz.tar.gz"}),
        ("r/{jobID}", "gzip", "r/a", None),
        ("r/{jobID}", "gzip", "r/.tar.gz", {"jobID": ".tar.gz"}),
        ("r/{jobID}.gz", "gzip", "r/a.tar.gz", {"jobID": "a.tar"}),
        ("r/{jobID}.gz", "gzip", "r/a.gz.tar.gz", {"jobID": "a"}),
        ("r/{jobID}", "gzip", "r/a/b.tar.gz", None),
        ("r/{date}", "gzip", "r/20260230.tar.gz", None),
        ("r/{jobID}", "plain", "r/a/", {"jobID": "a"}),
        ("r/{jobID}//", "plain", "r/a//", {"jobID": "a"}),
        ("r/{jobID}", "raw", "r/a/", None),
        ("r/{partitionIndex}", "raw", "r/07", None),
    ],
)
def test_which_keys_are_of_the_template(text, encoding, key, fields):
    reading = Listing(Template(text), encoding).read(key)
    assert (reading and reading.fields) == fields


def test_a_key_that_the_provider_does_not_take_was_not_published():
    template = Template("{jobID}/{nodeID}")
    assert Listing(template, "raw", rules=FILE).read("a/" + "b" * 256) is None
    assert Listing(template, "raw", rules=S3).read("a/" + "b" * 256) is not None


@pytest.mark.parametrize(
    ("text", "key", "first", "last"),
    [
        ("{date}", "20261128", utc(2026, 11, 28), utc(2026, 11, 28, 23, 59, 59, 999999)),
        ("{date}{time}", "20261128140530", utc(2026, 11, 28, 14, 5, 30), utc(2026, 11, 28, 14, 5, 30, 999999)),
        ("{date}{time:%H}", "2026112814", utc(2026, 11, 28, 14), utc(2026, 11, 28, 14, 59, 59, 999999)),
        ("{date}{time:%M}", "2026112805", utc(2026, 11, 28), utc(2026, 11, 28, 23, 59, 59, 999999)),
        ("{date:%Y-%m}{time}", "2026-11140530", utc(2026, 11, 1), utc(2026, 11, 30, 23, 59, 59, 999999)),
        ("{date:%G%V}", "202648", utc(2026, 11, 23), utc(2026, 11, 29, 23, 59, 59, 999999)),
        ("{date:%y%j}", "26332", utc(2026, 11, 28), utc(2026, 11, 28, 23, 59, 59, 999999)),
        ("{date:%Y}", "9999", utc(9999, 1, 1), datetime.max.replace(tzinfo=UTC)),
    ],
)
def test_how_long_a_time_a_key_tells_of(text, key, first, last):
    assert Listing(Template(text), "raw").read(key).span == (first, last)


@pytest.mark.parametrize(("text", "key"), [("{jobID}", "a"), ("{date:%m%d}", "1128"), ("{time}", "140530")])
def test_a_key_without_a_year_tells_no_time(text, key):
    assert Listing(Template(text), "raw").read(key).span is None


def test_a_week_that_the_year_does_not_have_tells_no_time():
    assert Listing(Template("{date:%G%V}"), "raw").read("202553").span is None


def test_an_hour_that_a_clock_shows_twice_is_one():
    listing = Listing(Template("{date}{time:%H}"), "raw", zone=ZoneInfo("Europe/Berlin"))
    assert listing.read("2026102502").span == (utc(2026, 10, 25, 0), utc(2026, 10, 25, 1, 59, 59, 999999))


def test_an_hour_that_clocks_leave_out_is_where_either_reading_of_it_is():
    """As ``datetime`` has it: with either offset, one of which gives an instant before the other's beginning."""
    berlin = ZoneInfo("Europe/Berlin")
    template = Template("{date}{time}/{jobID}")
    for fold in (0, 1):
        at = datetime(2016, 3, 27, 2, 0, tzinfo=berlin, fold=fold)
        key = published(template, Context(job_id="7", at=at), "raw")
        span = Listing(template, "raw", zone=berlin).read(key).span
        assert span.first <= at.astimezone(UTC) <= span.last
