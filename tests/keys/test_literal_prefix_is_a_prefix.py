"""`.literal_prefix`: "the text before the first field: a prefix of every key the template can give"."""

import os
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import any_values, cases, safe_values

from keystow.keys import Context, Template

policies = pytest.mark.parametrize(
    ("values", "policy"), [(safe_values, {}), (any_values, {"values": "percent"})], ids=["refuse", "percent"]
)


@policies
@given(data=st.data())
def test_literal_prefix_begins_every_key(values, policy, data):
    """DESIGN: "a prefix of every key the template can give" """
    case = data.draw(cases(values))
    template = case.template(**policy)
    assert template.expand(case.context).startswith(template.literal_prefix)


@given(cases())
def test_literal_prefix_is_the_text_before_the_first_field(case):
    """DESIGN: "the text before the first field" """
    first = next((index for index, piece in enumerate(case.pieces) if not isinstance(piece, str)), None)
    assert case.template().literal_prefix == "".join(case.pieces[:first])


@policies
@given(data=st.data())
def test_prefix_begins_every_key_with_these_values(values, policy, data):
    """`.prefix(**values)`: "the longest listing prefix once these fields are known": it begins the key."""
    case = data.draw(cases(values))
    template = case.template(**policy)
    known = data.draw(st.sets(st.sampled_from(sorted(case.values)))) if case.values else set()
    prefix = template.prefix(**{name: case.values[name] for name in known})
    key = template.expand(case.context)
    assert key.startswith(prefix)
    assert known != set(case.values) or prefix == key


_ONE = Context(
    job_id="a",
    execution_id="a",
    node_id="a",
    at=datetime(1111, 11, 11, 11, 11, 11, 111111, UTC),
    partition_index=1111,
    labels={"run": "a"},
)
_OTHER = Context(
    job_id="b",
    execution_id="b",
    node_id="b",
    at=datetime(2222, 2, 3, 2, 2, 2, 222222, UTC),
    partition_index=2222,
    labels={"run": "b"},
)
_FIELDS = [
    "{partitionIndex}",
    "{partitionIndex:04}",
    "{jobID}",
    "{nodeID}",
    "{executionID}",
    "{run}",
    "{date}",
    "{time}",
    "{date:%Y/%m/%d}",
    "{time:%H}",
    "a/",
]


@given(st.lists(st.sampled_from(_FIELDS), max_size=6), st.sets(st.sampled_from(["jobID", "nodeID", "run"])))
def test_prefix_is_the_longest(pieces, known):
    """DESIGN: "the longest listing prefix": two keys with these values have no longer one in common."""
    template = Template("".join(pieces), labels=["run"])
    values = {name: "a" for name in known if name in template.fields}
    one, other = (template.bind(**values).expand(context) for context in (_ONE, _OTHER))
    assert template.prefix(**values) == os.path.commonprefix([one, other])  # noqa: RUF071
