"""`Template(…, values="percent")`: "percent-encodes such characters (and `%`) instead, and `match` gives the original
value back".
"""

import re
import string
from urllib.parse import unquote

import pytest
from hypothesis import assume, given
from strategies import any_values, contexts, safe_values

from keystow.keys import S3, Context, Template, archive_key, check_key

TEMPLATE = Template("a/{jobID}/{date}-{nodeID}.tar.gz", values="percent")


@given(contexts(any_values))
def test_match_gives_the_original_value_back(context):
    """DESIGN: "`match` gives the original value back" """
    found = TEMPLATE.match(TEMPLATE.expand(context))
    assert (found["jobID"], found["nodeID"]) == (context.job_id, context.node_id)


@given(contexts(any_values))
def test_encoded_values_keep_the_shape_of_the_key(context):
    """Values are encoded "where they would change the shape of a key"."""
    key = TEMPLATE.expand(context)
    assert key.count("/") == 2
    assert not re.search(r"[\\\x00-\x1f\x7f-\x9f]", key)
    assert not {"", ".", ".."} & set(key.split("/"))
    assume(len(key.encode()) <= 1024)
    assert check_key(archive_key(key), S3) == key


@given(any_values)
def test_any_decoder_reads_the_value(value):
    """The encoding is that of RFC 3986, section 2.1."""
    encoded = Template("{jobID}", values="percent").expand(Context(job_id=value))
    assert unquote(encoded, errors="strict") == value
    assert re.findall("%(?![0-9A-F]{2})", encoded) == []


@given(safe_values.filter(lambda value: "%" not in value))
def test_other_values_stand_as_they_are(value):
    """DESIGN: "percent-encodes *such* characters (and `%`)": no others."""
    assert Template("{jobID}", values="percent").expand(Context(job_id=value)) == value


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        ("a/b", "a%2Fb"),
        ("a\\b", "a%5Cb"),
        ("100%", "100%25"),
        ("%2F", "%252F"),
        (".", "%2E"),
        ("..", "%2E%2E"),
        ("...", "..."),
        ("\x00\n\x7f", "%00%0A%7F"),
        ("\x85", "%C2%85"),
        ("é 界", "é 界"),
    ],
)
def test_percent_encoding(value, encoded):
    template = Template("{jobID}", values="percent")
    assert template.expand(Context(job_id=value)) == encoded
    assert template.match(encoded) == {"jobID": value}


@pytest.mark.parametrize("key", ["a%2fb", "%41", "%", "%2", "a%2E", "%2E%2E%2E", "%C3%A9", "%C2%A0", "%80", ".", ".."])
def test_what_is_never_written_is_not_read(key):
    assert Template("{jobID}", values="percent").match(key) is None


@pytest.mark.parametrize("values", ["refuse", "percent"])
@pytest.mark.parametrize("text", ["{jobID}", "{jobID}/x", "{jobID}-x", "{jobID}-{nodeID}"])
@pytest.mark.parametrize("form", ["{}", ".{}", "..{}", "a{}b"])
def test_every_letter_and_sign_comes_back(values, text, form):
    """Whichever way the template is read, and wherever in a value the character stands."""
    template = Template(text, values=values)
    for character in [*string.ascii_letters, *string.digits, *"!#$&'()*+,:;<=>?@[]^_`{|}~ é界", "-"]:
        context = Context(job_id=form.format(character), node_id="n")
        found = template.match(template.expand(context))
        assert found is not None, character
        if (character, text) != ("-", "{jobID}-{nodeID}"):  # there the first value is as short as it can be
            assert found["jobID"] == context.job_id, character


@pytest.mark.parametrize("value", ["%41", "100%25", "%2F"])
def test_only_what_was_encoded_is_decoded(value):
    assert Template("{jobID}").match(value) == {"jobID": value}
    assert Template("{jobID}", dialect="bacalhau").match(value) == {"jobID": value}
