"""`archive_key(key)`, `prefix_key(key)`: "append `.tar.gz` / `/` where it is missing, and change nothing else"."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import cases, keys, texts

from keystow.keys import S3, Context, KeyRuleError, KeyRules, archive_key, check_key, object_key, prefix_key

rules = pytest.mark.parametrize(("rule", "suffix"), [(archive_key, ".tar.gz"), (prefix_key, "/")])
tails = st.sampled_from(["", "/", ".tar.gz", ".tar.gz/", ".TAR.GZ", ".tgz", ".tar", "tar.gz", "//", "\n"])
names = st.builds("".join, st.tuples(keys | texts(), tails))

ANYTHING = KeyRules("no store", 10**6, characters="\ud800", segments="(?!)")


@rules
@given(key=names)
def test_suffix_rules_are_idempotent(rule, suffix, key):
    """DESIGN: "idempotent" """
    assert rule(rule(key)) == rule(key)


@rules
@given(key=names)
def test_suffix_rules_change_nothing_else(rule, suffix, key):
    """DESIGN: "append … where it is missing, and change nothing else" """
    assert rule(key) == (key if key[-len(suffix) :] == suffix else key + suffix)


@pytest.mark.parametrize(("archive", "rule"), [(True, archive_key), (False, prefix_key)])
@given(case=cases(), tail=tails)
def test_object_key_has_the_suffix_of_the_expanded_key(archive, rule, case, tail):
    """`object_key`: "expand, then the suffix rule on the expanded key" """
    key = object_key(case.text + tail, case.context, archive=archive, rules=ANYTHING)
    assert key == rule(case.key + tail)


@given(case=cases(), tail=tails)
def test_a_raw_key_is_the_expanded_key_and_nothing_else(case, tail):
    """`object_key`: "exactly as the template says, and may not end with `/`" """
    expanded = case.key + tail
    try:
        key = object_key(case.text + tail, case.context, archive=False, raw=True, rules=ANYTHING)
    except KeyRuleError:
        key = None
    assert key == (expanded if expanded and expanded[-1] != "/" else None)


def test_a_raw_key_that_ends_with_a_slash_says_so():
    with pytest.raises(KeyRuleError, match="the key 'j/' ends with '/'") as caught:
        object_key("{jobID}/", Context(job_id="j"), archive=False, raw=True)
    assert (caught.value.rule, caught.value.position) == ("end", 1)


def test_a_suffix_may_come_from_several_parts():
    """It is looked for in the expanded key, not in what stands last in the template."""
    context = Context(job_id="j", labels={"end": ".gz"})
    assert object_key("{jobID}.tar{end}", context, archive=True) == "j.tar.gz"


def test_an_archive_needs_no_room_for_names_below_it():
    longest = "a" * (1024 - len(".tar.gz")) + ".tar.gz"
    assert object_key(longest, Context(), archive=True) == check_key(longest, S3)
