"""`.match(key)`: "the values that give this key; repeated fields must agree"."""

import re
import tracemalloc
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import any_values, cases, safe_values, texts

from keystow.keys import Context, MatchTooCostlyError, Template, reading
from keystow.keys.reading import _Reading
from keystow.keys.rules import LONGEST

policies = pytest.mark.parametrize(
    ("values", "policy"),
    [(safe_values, {}), (any_values, {"values": "percent"})],
    ids=["refuse", "percent"],
)


@policies
@given(data=st.data())
def test_unambiguous_values_come_back(values, policy, data):
    """DESIGN: "the values that give this key" """
    case = data.draw(cases(values, unambiguous=True))
    forms = Counter(hole.name for hole in dict.fromkeys(case.holes))
    expected = {
        hole.name if forms[hole.name] == 1 else hole.written[1:-1]: hole.value(case.context) for hole in case.holes
    }
    template = case.template(**policy)
    assert template.match(template.expand(case.context)) == expected


@policies
@given(data=st.data())
def test_every_expanded_key_is_matched_and_bound_again(values, policy, data):
    """`bind(**match(key))` gives the key again, however many readings it has."""
    case = data.draw(cases(values))
    template = case.template(**policy)
    key = template.expand(case.context)
    found = template.match(key)
    assert found is not None
    assert template.bind(**found).expand(Context()) == key


@policies
@given(data=st.data())
def test_a_match_is_a_key_of_the_template(values, policy, data):
    """DESIGN: "the values that give this key": other keys give `None`, and what is matched can be bound."""
    case = data.draw(cases(values))
    template = case.template(**policy)
    key = template.expand(case.context)
    cut, length = data.draw(st.tuples(st.integers(0, len(key)), st.integers(0, 2)))
    other = key[:cut] + data.draw(texts(max_size=2) | st.sampled_from(["/", "%2E", "%2e", "0"])) + key[cut + length :]
    found = template.match(other)
    assert found is None or template.bind(**found).expand(Context()) == other


@pytest.mark.parametrize(
    ("text", "key", "found"),
    [
        ("{jobID}/{jobID}", "a/a", {"jobID": "a"}),
        ("{jobID}/{jobID}", "a/b", None),
        ("{date}/{date:%Y}", "20230926/2023", {"date": "20230926", "date:%Y": "2023"}),
        ("{date}/{date:%Y}", "20230926/2024", None),
        ("{date:%Y-%m}/{time:%Y%d}", "2023-02/202328", {"date": "2023-02", "time": "202328"}),
        ("{date:%Y-%m}/{time:%Y%d}", "2023-02/202329", None),
        ("{jobID}-{nodeID}", "a-b-c", {"jobID": "a", "nodeID": "b-c"}),
        ("{jobID}-{nodeID}-{executionID}", "a-b-c-d", {"jobID": "a", "nodeID": "b", "executionID": "c-d"}),
        ("{jobID}-{nodeID}/{jobID}", "a-b-c/a-b", {"jobID": "a-b", "nodeID": "c"}),
        ("{jobID}-{nodeID}/{nodeID}", "a-b-c/a-b", None),
        (
            "{jobID}-{date:%m}-{nodeID}-{time:%d}-{executionID}",
            "a-02-03-x-30-b",
            {"jobID": "a-02", "date": "03", "nodeID": "x", "time": "30", "executionID": "b"},
        ),
        ("{jobID}-{date:%m}-{nodeID}-{time:%d}-{executionID}", "a-02-x-30-b", None),
        ("{jobID}{nodeID}", "..a.", None),
        ("{jobID}{nodeID}", "..ab", {"jobID": "..a", "nodeID": "b"}),
        ("{partitionIndex}/{partitionIndex:04}", "7/0007", {"partitionIndex": "7", "partitionIndex:04": "0007"}),
        ("{partitionIndex}/{partitionIndex:04}", "7/0008", None),
        ("{partitionIndex:04}-{partitionIndex}", "0012-12", {"partitionIndex:04": "0012", "partitionIndex": "12"}),
        ("{partitionIndex:04}-{partitionIndex}", "0012-012", None),
        ("{jobID}-{partitionIndex}", "a-1-12", {"jobID": "a-1", "partitionIndex": "12"}),
        ("{jobID}{partitionIndex}", "a012", {"jobID": "a0", "partitionIndex": "12"}),
        ("{partitionIndex}{partitionCount}", "0012", None),
        ("{partitionIndex}{partitionCount}", "1200", {"partitionIndex": "1", "partitionCount": "200"}),
        ("{partitionIndex}{partitionCount}", "100", {"partitionIndex": "10", "partitionCount": "0"}),
        ("{partitionIndex}.{partitionIndex}{jobID}", "7.70", {"partitionIndex": "7", "jobID": "0"}),
        ("{jobID}{jobID}", "abab", {"jobID": "ab"}),
        ("{jobID}{jobID}", "ababa", None),
        ("{jobID}-{jobID}/{nodeID}{jobID}", "a-a/ba", {"jobID": "a", "nodeID": "b"}),
        ("{jobID}-{jobID}/{nodeID}{jobID}", "a-a/a", None),
        ("{{{jobID}}}", "{a}", {"jobID": "a"}),
        ("a/{jobID}", "a/b/c", None),
        ("a/{jobID}", "a/..", None),
        ("a/{jobID}", "a/", None),
        ("a/{jobID}", "b/a", None),
        ("a", "a", {}),
        ("a.b", "axb", None),
        ("{nodeID}/{jobID}-end", "n/j-end", {"nodeID": "n", "jobID": "j"}),
        ("{nodeID}-{jobID}{jobID}{jobID}", "n-ababab", {"nodeID": "n", "jobID": "ab"}),
        ("", "", {}),
    ],
)
def test_repeated_fields_must_agree(text, key, found):
    """DESIGN: "repeated fields must agree" """
    assert Template(text).match(key) == found


@pytest.mark.parametrize("width", [1, 2, 19, 20])
@pytest.mark.parametrize("beside", ["", "{jobID}"])
def test_a_number_is_matched_by_what_it_is_written_as(width, beside):
    """`match`: "the values that give this key": one number has one text."""
    template = Template(f"{{partitionIndex:0{width}}}{beside}/{beside}")
    other = "x" if beside else ""
    numbers = {str(10**places + digit) for places in range(20) for digit in (0, 1, 9)} | {"0", "9" * 20}
    texts = numbers | {text.zfill(places) for text in numbers for places in range(22)} | {"1" + "0" * 20, "", "-1", "٣"}
    read = {text for text in texts if template.match(f"{text}{other}/{other}") is not None}
    assert read == {text.zfill(width) for text in numbers}


def test_a_key_that_no_provider_takes_is_no_match():
    """A listing gives no longer one, and it is not read at all."""
    template = Template("{jobID}")
    assert template.match("a" * LONGEST) == {"jobID": "a" * LONGEST}
    assert template.match("a" * (LONGEST + 1)) is None


def steps(template, key, monkeypatch):
    """The steps that reading a key takes, as the reader counts them."""
    spent = 0

    def spend(reading, steps):
        nonlocal spent
        spent += steps

    with monkeypatch.context() as patched:
        patched.setattr(_Reading, "_spend", spend)
        template.match(key)
    return spent


SAME = "{jobID}-{executionID}-{nodeID}"


@pytest.mark.parametrize(
    ("text", "key", "most"),
    [
        (f"{SAME}.tar.gz", "-" * 1017 + ".tar.gz", 40),
        (f"{SAME}.tar.gz", "-" * 1024, 4 * 3 * 1024),
        (f"{SAME}.tar.gz", "ab-" * 341, 3 * 3 * 1024),
        (f"{SAME}.tar.gz", "\\" * 1017 + ".tar.gz", 10),
        (f"{SAME}/{SAME}.tar.gz", f"{'a-b' * 168}/{'a-b' * 168}.tar.gz", 50),
        ("{jobID}{jobID}/{jobID}", "a" * 600 + "/" + "a" * 300, 10),
        ("{jobID}{nodeID}{executionID}{jobID}{nodeID}!", "a" * 200, 5 * 200 * 200),
        ("{jobID}-{partitionIndex:04}.tar.gz", "1-" * 512, 2 * 3 * 1024),
    ],
)
def test_a_value_ends_where_the_rest_has_room(text, key, most, monkeypatch):
    """What stands behind a value is often of a known length, and then there is one end to try."""
    assert steps(Template(text), key, monkeypatch) <= most


@pytest.mark.parametrize(
    ("text", "searched"),
    [
        ("{jobID}", False),
        ("{jobID}/{nodeID}-{date}/{partitionIndex}.tar.gz", False),
        ("{jobID}{date:%Y/%m}{nodeID}", False),
        ("{jobID}-{nodeID}", True),
        ("{jobID}{date}{nodeID}", True),
        ("{jobID}{partitionIndex}", True),
        ("{partitionIndex}/{partitionIndex:04}", True),
    ],
)
def test_values_with_a_slash_between_them_are_not_searched_for(text, searched, monkeypatch):
    """One regular expression reads them, which has nothing to try twice; but not where a value may hold a ``/``."""
    assert steps(Template("{jobID}/{nodeID}", dialect="bacalhau"), "a/b", monkeypatch) > 0
    assert (steps(Template(text), "a/b", monkeypatch) > 0) == searched


COSTLY = [
    ("{a}{b}{c}{a}{b}!", "a" * 1024),
    ("{a}{b}{c}{d}{a}{b}{c}!", "a" * 1024),
    (f"{SAME}/{SAME}.tar.gz", "-" * 508 + "/" + "-" * 507 + "a.tar.gz"),
    ("{a}{date:%H}{b}{date:%M}{c}{date:%S}{d}{time:%H}!", "0102030405060708091011121314151617181920" * 25 + "1" * 24),
    ("{a}{partitionIndex}{b}{partitionCount}{c}{partitionIndex}{d}{partitionCount}!", "1" * 1024),
    ("".join(f"{{{first}{second}}}" for first in "abcdefghij" for second in "abcdefghijklmnopqrst") + "!", "a" * 1024),
    ("{a}{b}{a}{b}" * 60 + "{c}{d}{c}!", "a" * 1024),
]


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["refuse", pytest.param("percent", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("text", "key"),
    [COSTLY[0], *(pytest.param(*costly, marks=pytest.mark.slow) for costly in COSTLY[1:])],
    ids=range(len(COSTLY)),
)
def test_a_reading_takes_no_more_than_so_many_steps(text, key, policy):
    """To match patterns with variables takes time without bound, and a key may be a stranger's."""
    labels = re.findall(r"\{([a-z]{1,2})\}", text)
    template = Template(text, labels=labels, values=policy)
    tracemalloc.start()
    try:
        with pytest.raises(MatchTooCostlyError) as raised:
            template.match(key)
        held = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(raised.value, ValueError)
    assert "a key of 1024 characters" in str(raised.value)
    assert "put a '/' between the fields, or do not repeat them" in str(raised.value)
    assert held < 50 << 20


@pytest.mark.parametrize(
    ("text", "key", "options", "count"),
    [
        ("{jobID}-{nodeID}/x", "a-b-c-d/x", {}, 7),
        ("{jobID}{nodeID}", "abcdefgh", {}, 5),
        ("{jobID}{nodeID}/{executionID}-end", "abcd/efg-end", {}, 9),
        ("{jobID}-{nodeID}-{jobID}", "ab-cd-ef-ab", {}, 11),
        ("{jobID}-{nodeID}.{jobID}.{jobID}/{executionID}", "ab-c.ab.ab/" + "e" * 30, {}, 17),
        ("{jobID}-{date}-{nodeID}", "a-20230926-b-20230926-c", {}, 11),
        ("{date:%Y}{jobID}{nodeID}{date:%m%d}", "2024ab0229", {}, 13),
        ("{partitionIndex}{partitionCount}-{jobID}", "1234-a", {}, 12),
        ("{partitionIndex}-{jobID}{partitionIndex:04}", "12-a0012", {}, 10),
        ("{jobID}{nodeID}-{time:%H}/{jobID}", "ab-07/a", {}, 11),
        ("{jobID}-{nodeID}/x", "a%2Fb-c/x", {"values": "percent"}, 11),
        ("{jobID}{nodeID}", "%2E%2Ea%25", {"values": "percent"}, 6),
        ("{jobID}-{nodeID}/x", "a/b-c/d/x", {"dialect": "bacalhau"}, 13),
        ("{jobID}{nodeID}{jobID}", "abcab", {"dialect": "bacalhau"}, 7),
        ("{jobID}-{nodeID}", "a" * 1000 + "-" + "b" * 20, {}, 2004),
        ("{jobID}{nodeID}{jobID}", "x" * 300, {}, 9),
        ("{jobID}-{nodeID}/{executionID}", "a-b/c/d", {}, 13),
        ("{jobID}{nodeID}{executionID}", "ab", {}, 11),
        ("{jobID}{nodeID}/{date}", "ab/2023092", {}, 12),
    ],
)
def test_how_many_steps_a_reading_takes(text, key, options, count, monkeypatch):
    """No place is tried twice, none that cannot lead on, and each that is tried is counted once."""
    template = Template(text, **options)
    assert steps(template, key, monkeypatch) == count
    monkeypatch.setattr(reading, "MOST_STEPS", count)
    template.match(key)
    monkeypatch.setattr(reading, "MOST_STEPS", count - 1)
    with pytest.raises(MatchTooCostlyError):
        template.match(key)


def test_an_escaped_dot_is_a_value_wherever_it_stands():
    found = Template("{jobID}{nodeID}{executionID}", values="percent").match("a%2Eb")
    assert found == {"jobID": "a", "nodeID": ".", "executionID": "b"}


def test_every_part_that_is_passed_is_a_step(monkeypatch):
    """So that a place with many parts behind it costs no more for each step than another."""
    template = Template("{jobID}{nodeID}-" + "{jobID}-" * 300)
    assert steps(template, "ab-" + "a-" * 300, monkeypatch) > 2 * 300


@pytest.mark.timeout(20)
@pytest.mark.parametrize("piece", ["a-", "a", "-20230926", "%2E-", "..-", "-.log", "%2F"])
@pytest.mark.parametrize(
    "text",
    [
        "{jobID}-{nodeID}-{executionID}-{a}-{b}.log",
        "{jobID}{nodeID}{executionID}{a}{b}!",
        "{jobID}-{nodeID}-{date}-{executionID}-{a}.log",
        "{jobID}-{nodeID}-{executionID}-{a}/{b}!",
    ],
)
def test_no_key_keeps_a_reader_busy(text, piece):
    """Keys come from listings that others write to: 1,024 characters take the time of fields times length."""
    key = (piece * 1024)[:1024]
    for template in (
        Template(text, labels=["a", "b"]),
        Template(text, labels=["a", "b"], values="percent"),
        Template(text.replace("{a}", "{time}").replace("{b}", "{date}"), dialect="bacalhau"),
    ):
        for other in (f"{key[:-1]}?", f"{key[:512]}/{key[513:-1]}?"):
            assert template.match(other) is None


def first_reading(pieces, key, known, admitted):
    """By trying every end of every value, the shortest first."""
    if not pieces:
        return None if key else known
    piece, *rest = pieces
    text = known.get(piece) if piece.startswith("{") else piece
    for end in range(len(key) + 1):
        if key[:end] == text if text is not None else admitted(piece, key[:end]):
            more = {} if text is not None else {piece: key[:end]}
            found = first_reading(rest, key[end:], known | more, admitted)
            if found is not None:
                return found
    return None


@policies
@given(data=st.data())
def test_earlier_values_are_as_short_as_they_can_be(values, policy, data):
    """`match`: "Where a key can be read in several ways, earlier values are as short as they can be"."""
    some = st.sampled_from([*["{jobID}"] * 2, "{nodeID}", "{executionID}", "{date:%u}", "", "-", ".", "%", "%2", "a"])
    pieces = data.draw(st.lists(some, min_size=2, max_size=6))
    key = data.draw(st.lists(st.sampled_from(["-", ".", "a", "%2E", "%25", "1"]), max_size=8).map("".join))
    template = Template("".join(pieces), **policy)
    expected = first_reading(pieces, key, {}, lambda piece, text: Template(piece, **policy).match(text) is not None)
    found = template.match(key)
    assert (found is None) == (expected is None)
    for name in found or ():
        piece = "{date:%u}" if name == "date" else f"{{{name}}}"
        assert found[name] == Template(piece, **policy).match(expected[piece])[name]
