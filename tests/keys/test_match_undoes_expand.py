"""`.match(key)`: "the values that give this key; repeated fields must agree"."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import any_values, cases, safe_values, texts

from keystow.keys import Context, Template

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
        ("{{{jobID}}}", "{a}", {"jobID": "a"}),
        ("a/{jobID}", "a/b/c", None),
        ("a/{jobID}", "a/..", None),
        ("a/{jobID}", "a/", None),
        ("a/{jobID}", "b/a", None),
        ("a", "a", {}),
        ("a.b", "axb", None),
        ("", "", {}),
    ],
)
def test_repeated_fields_must_agree(text, key, found):
    """DESIGN: "repeated fields must agree" """
    assert Template(text).match(key) == found


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
