"""`dialect="bacalhau"`: "On every key without other braces, and values without braces that do not end in the suffix, it
gives byte for byte what Bacalhau 1.6 gives: five replacements, plus the suffix."
"""

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import IDS, contexts, directive, instants, texts

from keystow.keys import Context, KeyRules, Template, object_key

ANYTHING = KeyRules("no store", 10**6, characters="\ud800", segments="(?!)")
AT = datetime(2023, 9, 26, 14, 5, 30, tzinfo=UTC)
FIELDS = [f"{{{name}}}" for name in (*IDS, "date", "time")]

plain = texts(exclude="{}", max_size=4) | st.sampled_from(["a", ".tar", ".gz", ".tar.gz", "/", "//", "..", "%s", "\\"])
templates = st.lists(plain | st.sampled_from(FIELDS), max_size=8).map("".join)


def replaced(key, context):
    """The five replacements, in Bacalhau's order."""
    key = key.replace("{nodeID}", context.node_id)
    key = key.replace("{executionID}", context.execution_id)
    key = key.replace("{jobID}", context.job_id)
    key = key.replace("{date}", "".join(directive(context.at, letter) for letter in "Ymd"))
    return key.replace("{time}", "".join(directive(context.at, letter) for letter in "HMS"))


def published(key, context, *, archive):
    """Bacalhau adds the suffix before it expands."""
    suffix = ".tar.gz" if archive else "/"
    return replaced(key if key.endswith(suffix) else key + suffix, context)


@given(templates, contexts(plain))
def test_expand_is_five_replacements(text, context):
    """DESIGN: "the five fields, no format specs, no escapes, … values taken as they come" """
    assert Template(text, dialect="bacalhau").expand(context) == replaced(text, context)


@pytest.mark.parametrize("archive", [True, False])
@given(text=templates, node=plain, execution=plain, job=plain, at=instants)
@example(text="results/", node="", execution="", job="", at=AT)
@example(text="x.tgz", node="", execution="", job="", at=AT)
@example(text="x.tar.gz", node="", execution="", job="", at=AT)
@example(text="{jobID}.gz", node="", execution="", job="a.tar", at=AT)
@example(text="results/{jobID}", node="", execution="", job="", at=AT)
def test_object_key_is_byte_for_byte_bacalhaus(archive, text, node, execution, job, at):
    """DESIGN: "five replacements, plus the suffix" """
    suffix = ".tar.gz" if archive else "/"
    node, execution, job = (value + "-" if value.endswith(suffix) else value for value in (node, execution, job))
    context = Context(node_id=node, execution_id=execution, job_id=job, at=at)
    template = Template(text, dialect="bacalhau")
    key = object_key(template, context, archive=archive, rules=ANYTHING)
    assert key == published(text, context, archive=archive)


def test_the_last_part_is_of_the_same_dialect():
    assert Template("a/{jobID}", dialect="bacalhau").last == Template("{jobID}", dialect="bacalhau")


def test_a_value_that_ends_in_the_suffix_brings_it():
    """DESIGN: "values … that do not end in the suffix" are Bacalhau's; of the others, the suffix is not doubled."""
    template = Template("results/{jobID}", dialect="bacalhau")
    assert object_key(template, Context(job_id="a.tar.gz"), archive=True) == "results/a.tar.gz"
    assert object_key(template, Context(job_id="a/"), archive=False) == "results/a/"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("{foo}/{jobID}", "{foo}/j"),
        ("{{jobID}}", "{j}"),
        ("{date:%Y}-{nodeID}", "{date:%Y}-n"),
        ("{ jobID }{jobid}{}", "{ jobID }{jobid}{}"),
        ("}{jobID}{", "}j{"),
        ("{partitionIndex}-{partitionCount:04}", "{partitionIndex}-{partitionCount:04}"),
    ],
)
def test_anything_else_in_braces_stays_as_it_is(text, key):
    """DESIGN: "anything else in braces stays as it is" """
    template = Template(text, dialect="bacalhau")
    context = Context(job_id="j", node_id="n", partition_index=3, partition_count=8)
    assert template.text == text
    assert template.expand(context) == key
    assert template.bind(**template.match(key)).expand(Context()) == key
