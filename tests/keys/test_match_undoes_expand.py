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
