"""`.bind(**values)`: "fills some fields and leaves the rest; field names as in the template (`jobID=…`)"."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import Hole, any_values, cases, safe_values

from keystow.keys import Context, Template

policies = pytest.mark.parametrize(
    ("values", "policy"), [(safe_values, {}), (any_values, {"values": "percent"})], ids=["refuse", "percent"]
)


def some(data, case):
    known = data.draw(st.sets(st.sampled_from(sorted(case.values)))) if case.values else set()
    return {name: case.values[name] for name in known}


@policies
@given(data=st.data())
def test_binding_changes_no_key(values, policy, data):
    """DESIGN: "fills some fields": the bound template gives the key that the whole one gives."""
    case = data.draw(cases(values))
    template = case.template(**policy)
    assert template.bind(**some(data, case)).expand(case.context) == template.expand(case.context)


@policies
@given(data=st.data())
def test_binding_leaves_the_rest(values, policy, data):
    """DESIGN: "leaves the rest", in order of first use; the template that was bound stays as it was."""
    case = data.draw(cases(values))
    template = case.template(**policy)
    known = some(data, case)
    rest = tuple(dict.fromkeys(hole.name for hole in case.holes if hole.name not in known))
    assert template.bind(**known).fields == rest
    assert template == case.template(**policy)


@policies
@given(data=st.data())
def test_the_order_of_binding_does_not_matter(values, policy, data):
    """DESIGN: "fills some fields and leaves the rest" """
    case = data.draw(cases(values))
    template = case.template(**policy)
    one_by_one = template
    for name in data.draw(st.permutations(sorted(case.values))):
        one_by_one = one_by_one.bind(**{name: case.values[name]})
    assert one_by_one == template.bind(**case.values)
    assert hash(one_by_one) == hash(template.bind(**case.values))


@policies
@given(data=st.data())
def test_the_text_of_a_template_is_a_template(values, policy, data):
    """`.text`: what was bound is filled in, and reads as literal text."""
    case = data.draw(cases(values))
    bound = case.template(**policy).bind(**some(data, case))
    assert Template(bound.text, labels=case.context.labels, **policy) == bound


@given(cases())
def test_fields_are_in_order_of_first_use(case):
    """`.fields`: "the field names in order of first use" """
    assert case.template().fields == tuple(dict.fromkeys(p.name for p in case.pieces if isinstance(p, Hole)))


AT = datetime(2023, 9, 26, 14, 5, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "values", "bound"),
    [
        ("{jobID}/{date}", {"jobID": "abc123"}, "abc123/{date}"),
        ("{jobID}/{jobID}", {"jobID": "{nodeID}"}, "{{nodeID}}/{{nodeID}}"),
        ("{date}/{time}", {"date": "20230926"}, "20230926/{time}"),
        ("{date}/{time}", {"date": AT}, "20230926/{time}"),
        ("{date:%Y}/{date:%m}/{time:%H}", {"date": AT}, "2023/09/{time:%H}"),
        ("{date:%Y}/{date:%m}", {"date:%Y": "2023"}, "2023/{date:%m}"),
        ("{date:%Y}/{date:%Y}", {"date": "2023"}, "2023/2023"),
        ("{jobID}", {}, "{jobID}"),
        ("{partitionIndex}-of-{partitionCount:04}", {"partitionIndex": 3}, "3-of-{partitionCount:04}"),
        ("{partitionIndex}/{partitionIndex:04}", {"partitionIndex": 3}, "3/0003"),
        ("{partitionIndex}/{partitionIndex:04}", {"partitionIndex:04": "0003"}, "{partitionIndex}/0003"),
        ("{partitionIndex:02}", {"partitionIndex": 123}, "123"),
        ("{partitionIndex:02}", {"partitionIndex": "00"}, "00"),
    ],
)
def test_field_names_are_as_in_the_template(text, values, bound):
    """DESIGN: "field names as in the template (`jobID=…`)" """
    assert Template(text).bind(**values).text == bound


@given(cases(), st.data())
def test_a_template_with_nothing_left_needs_no_context(case, data):
    """DESIGN: "fills some fields": once all are filled, the key stands there."""
    bound = case.template().bind(**case.values)
    assert (bound.expand(Context()), bound.literal_prefix, bound.fields) == (case.key, case.key, ())
