"""YAML and JSON of strangers: read for what results and jobs are made of, or refused with the place; never dear."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystow import PublishedResult, PublisherSpec, ResultError, SpecError
from keystow.yaml_files import load_mapping, load_mapping_file

RESULT = "PublishedResult: {Type: s3, Params: {Bucket: b, Key: k.tar.gz}}\n"


def refused(text):
    with pytest.raises(ResultError) as caught:
        load_mapping(text if isinstance(text, bytes) else text.encode(), "it", ResultError)
    said = str(caught.value)
    assert "\n" not in said
    assert len(said) < 6001
    return said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &x 1\nb: *x\n", "it holds an anchor or an alias (line 1, column 4): write the value out"),
        ("a: *x\n", "it holds an anchor or an alias (line 1, column 4)"),
        ("<<: {a: 1}\nb: &y [*y]\n", "it holds an anchor or an alias (line 2, column 4)"),
        ("a: !!python/object/apply:os.system [ls]\n", "it holds the tag 'tag:yaml.org,2002:python/object/apply:os"),
        ("a: !!binary aGk=\n", "it holds the tag 'tag:yaml.org,2002:binary' (line 1, column 4): leave it out"),
        ("a: !mine 3\n", "it holds the tag '!mine'"),
        ("? [a, b]\n: c\n", "a name must be text"),
        ("? {a: b}\n: c\n", "a name must be text"),
        ("{a: 1, a: 2}\n", "'a' stands twice"),
        ("a: [\n", "is no YAML: "),
        ("\x00", "is no YAML"),
        (b"\xc3\x28: 1", "is no YAML"),
        (b"\xff\xfe\x00", "is no YAML"),
        ("%YAML 9.9\n---\na: 1\n", "is no YAML"),
    ],
)
def test_what_no_result_is_made_of(text, said):
    assert said in refused(text)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 250_000,
        '{"a":' * 50_000,
        "a: " + "[" * 100 + "]" * 100,
        "- " * 120_000,
        "? " * 120_000,
        "\n".join(" " * depth + "a:" for depth in range(600)),
        '{"a": ' * 100 + "1" + "}" * 100,
        json.dumps({"a": [[[[[[]]]]]]}).replace("[[[[[[]]]]]]", "[" * 900 + "]" * 900),
    ],
    ids=len,
)
def test_what_stands_too_deep(text):
    assert "more than 64 mappings and lists stand one within the other" in refused(text)


def test_bombs_of_aliases_are_refused_before_they_are_large():
    bomb = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    assert "an anchor or an alias (line 1, column 4)" in refused(bomb)


def test_what_is_too_long_is_not_read(tmp_path):
    assert "'it' is longer than the 256 KiB that are read" in refused(b"a: " + b"x" * (256 << 10))
    with pytest.raises(SpecError, match="is longer than the 256 KiB that are read"):
        load_mapping_file("/dev/zero", SpecError, "is no file")


@pytest.mark.parametrize("path", ["absent", ".", "a/b/../c", "nul\0"])
def test_no_file(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").write_text("")
    with pytest.raises(ResultError, match="is no file here"):
        load_mapping_file(path, ResultError, "is no file here")


@pytest.mark.parametrize("written", ["2023-09-26", "0x1F", "190:20:30", "1e3", "yes", "3", "1_000", "=", ".inf", "-0"])
def test_a_scalar_is_the_text_that_is_written(written):
    text = f"Type: s3\nParams:\n  Bucket: {'b' + written if not written[0].isalnum() else written}\n  Key: {written}\n"
    if not written.startswith(("=", ".", "-", "1_")) and ":" not in written:
        assert PublisherSpec.from_mapping(load_mapping(text.encode(), "it", SpecError)).bucket == written
    assert load_mapping(text.encode(), "it", SpecError)["Params"]["Key"] == written
    assert load_mapping(f'{{"Key": "{written}"}}'.encode(), "it", SpecError) == {"Key": written}


def test_a_number_in_json_is_text_too():
    found = load_mapping(b'{"Key": 12345678901234567890, "a": -1.50, "b": 1e400}', "it", ResultError)
    assert found == {"Key": "12345678901234567890", "a": "-1.50", "b": "1e400"}


def test_a_long_number_costs_nothing():
    digits = "1" * 250_000
    assert load_mapping(f'{{"Key": {digits}}}'.encode(), "it", ResultError) == {"Key": digits}
    assert load_mapping(f"Key: {'1:' * 100_000}1".encode(), "it", ResultError) == {"Key": "1:" * 100_000 + "1"}


@pytest.mark.parametrize("nothing", ["", "~", "null", "NULL"])
def test_what_is_not_written_is_not_there(nothing):
    found = load_mapping(f"Type: s3\nParams: {{Bucket: b, Key: k, Region: {nothing}}}\n".encode(), "it", ResultError)
    assert PublishedResult.from_mapping(found).region is None
    assert load_mapping(b"a: 'null'\nb: \"~\"\n", "it", ResultError) == {"a": "null", "b": "~"}


def test_a_long_value_is_cut_in_the_message():
    with pytest.raises(ResultError) as caught:
        PublishedResult.from_mapping({"Type": "s3", "Params": [["x" * 1000] * 1000] * 100})
    assert len(str(caught.value)) < 6001


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_nothing_else_is_raised(text):
    try:
        loaded = load_mapping(text, "it", ResultError)
        PublishedResult.from_mapping(loaded)
    except ResultError as error:
        assert "\n" not in str(error)  # noqa: PT017  most texts are none


@given(st.recursive(st.none() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_the_checks_of_a_mapping_raise_nothing_else(value):
    for error, read in ((ResultError, PublishedResult.from_mapping), (SpecError, PublisherSpec.from_mapping)):
        for mapping in (value, {"Type": value, "Params": {}}, {"Type": "s3", "Params": value}, {"Tasks": value}):
            try:
                read(mapping)
            except error as problem:
                assert str(problem)  # noqa: PT017  most are none
