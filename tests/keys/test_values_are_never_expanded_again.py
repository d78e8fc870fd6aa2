"""`.expand(context)`: "one pass over the parsed parts: a value is never expanded again"."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import TEMPLATE_TEXT, any_values, cases, contexts, instants, texts

from keystow.keys import Context, Template, ValueRefusedError

template_text = st.lists(
    st.sampled_from([text for text in TEMPLATE_TEXT if text != "%2F"]) | texts(exclude="/\\.", min_size=1, max_size=2),
    min_size=1,
    max_size=4,
).map("".join)
values = template_text.filter(str.isprintable)


@given(cases(values))
def test_a_key_is_its_literals_and_its_values(case):
    """DESIGN: "one pass over the parsed parts" """
    assert case.template().expand(case.context) == case.key


@given(cases(values))
def test_bound_values_are_never_expanded_again(case):
    """DESIGN: "a value is never expanded again", nor where it was bound before."""
    assert case.template().bind(**case.values).expand(Context()) == case.key


def outcome(options, context):
    try:
        return Template("{jobID}/{date}", **options).expand(context)
    except ValueRefusedError:
        return None


@given(any_values, instants, st.permutations([{}, {"values": "percent"}, {"dialect": "bacalhau"}]))
def test_one_context_serves_many_templates(value, at, order):
    """What a context was used for before changes no key and lets no value through."""
    shared = Context(job_id=value, at=at)
    alone = [outcome(options, Context(job_id=value, at=at)) for options in order]
    assert [outcome(options, shared) for options in order] == alone


def test_one_context_serves_any_number_of_templates():
    """What is kept of them is bounded."""
    context = Context(job_id="abc123")
    for number in range(10_000):
        assert Template(f"{number}/{{jobID}}").expand(context) == f"{number}/abc123"
    assert len(context.rendered) < 2000


@pytest.mark.parametrize("text", ["jobID", "refuse jobID", "text jobID", "text text", "%s", "%%", ""])
def test_text_is_never_taken_for_a_field(text):
    for template in (Template(f"{text}{{jobID}}{text}"), Template(f"{{jobID}}{text}", dialect="bacalhau")):
        context = Context(job_id="abc123")
        assert template.expand(context) == template.expand(context) == template.text.replace("{jobID}", "abc123")


@pytest.mark.parametrize("dialect", ["keystow", "bacalhau"])
@given(context=contexts(values))
def test_both_dialects_take_one_pass(dialect, context):
    """DESIGN: "values taken as they come (still one pass)" """
    template = Template("{nodeID}/{executionID}/{jobID}", dialect=dialect)
    assert template.expand(context) == f"{context.node_id}/{context.execution_id}/{context.job_id}"
