"""What is wrong is said with its place, the nearest name and what to change (DESIGN, "keystow.keys")."""

import datetime as dt
import pickle
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from strategies import any_values, unsafe_values

from keystow.keys import (
    AZURE,
    FILE,
    GCS,
    S3,
    Context,
    KeyRuleError,
    MissingValueError,
    Template,
    TemplateError,
    ValueRefusedError,
    check_key,
    object_key,
)

AT = datetime(2023, 9, 26, 14, 5, 30, tzinfo=UTC)
GIVEN = {
    "job_id": "j",
    "execution_id": "e",
    "node_id": "n",
    "at": AT,
    "partition_index": 0,
    "partition_count": 8,
    "labels": {"campaign": "c"},
}
FULL = Context(**GIVEN)
FIELDS = {"jobID": "job_id", "executionID": "execution_id", "nodeID": "node_id"}
NUMBERS = {"partitionIndex": "partition_index", "partitionCount": "partition_count"}


@pytest.mark.parametrize(
    ("text", "position", "says"),
    [
        ("results/{jobId}", 9, ["{jobId}", "did you mean {jobID}?"]),
        ("{job}/x", 1, ["did you mean {jobID}?"]),
        ("{ nodeID }", 1, ["did you mean {nodeID}?"]),
        ("{EXECUTIONID}", 1, ["did you mean {executionID}?"]),
        ("{jobID}/{campain}", 9, ["did you mean {campaign}?"]),
        ("{ID}", 1, ["did you mean {jobID}?"]),
        ("{xyzzy}", 1, ["known are", "jobID", "date", "campaign"]),
        ("{Date:%Y}", 1, ["did you mean {date}?"]),
        ("a/{}", 3, ["literal brace", "'{{'"]),
        ("a/{", 2, ["stray '{'", "'{{'"]),
        ("a}b", 1, ["stray '}'", "'}}'"]),
        ("a{jobID", 1, ["stray '{'"]),
        ("{{jobID}", 7, ["stray '}'"]),
        ("{jobID}}", 7, ["stray '}'"]),
        ("{a{jobID}", 0, ["stray '{'"]),
        ("{jobID:%Y}", 1, ["{jobID} takes no format", "write {jobID}"]),
        ("{campaign:x}", 1, ["{campaign} takes no format"]),
        ("{partition}", 1, ["did you mean {partitionIndex}?"]),
        ("é/{partitionIndex:4}", 18, ["'4'", "{partitionIndex:04}"]),
        ("{partitionIndex:}", 16, ["''", "{partitionIndex:04}"]),
        ("{partitionCount:00}", 16, ["'00'", "{partitionCount:04}"]),
        ("{partitionCount:021}", 16, ["'021'", "1 to 20"]),
        ("{partitionCount:04d}", 16, ["'04d'"]),
        ("{partitionCount:٠٤}", 16, ["'٠٤'"]),
        ("é/{date:%Y%B}", 10, ["'%B'", "%Y %m %d"]),
        ("{date:%-d}", 6, ["'%-'"]),
        ("{date:%Y%%}", 8, ["'%%'"]),
        ("{time:%H%}", 8, ["'%'"]),
        ("{time:%\n}", 6, [r"'%\n'"]),
        ("{date:}", 6, ["no date directive", "%Y%m%d"]),
        ("{time:noon}", 6, ["'noon'"]),
    ],
)
def test_a_bad_template(text, position, says):
    """DESIGN: "a bad template is a `TemplateError` (a `ValueError`) with the position and, for an unknown field, the
    nearest known name"; "A stray brace is an error."
    """
    with pytest.raises(TemplateError) as raised:
        Template(text, labels=["campaign"])
    assert isinstance(raised.value, ValueError)
    assert raised.value.position == position
    for part in [*says, f"position {position}"]:
        assert part in str(raised.value)


@pytest.mark.parametrize(
    ("text", "field", "says"),
    [
        ("{run}", "run", ["known are", "Context(labels={'run': …})", "labels=['run']"]),
        ("{jobId}", "jobId", ["did you mean"]),
        ("{}", None, ["literal brace"]),
        ("{a b}", None, ["unknown field {a b}"]),
        ("{1}", None, ["unknown field {1}"]),
        ("{", None, ["stray"]),
        ("{jobID:x}", None, ["takes no format"]),
    ],
)
def test_an_unknown_field_may_be_a_label(text, field, says):
    """The error carries the name, so that a command can say how its user gives a label."""
    with pytest.raises(TemplateError) as raised:
        Template(text)
    assert raised.value.field == field
    for part in says:
        assert part in str(raised.value)
    assert ("labels=" in str(raised.value)) == (field == "run")


def test_python_is_told_of_arguments():
    """Not of a command's options: whoever wrote the call reads the message."""
    for text in ("{jobID}", "{date}", "{partitionIndex}", "{campaign}", "{run}"):
        with pytest.raises((MissingValueError, TemplateError)) as raised:
            Template(text, labels=["campaign"]).expand(Context())
        assert "--" not in str(raised.value)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"labels": ["jobID"]}, ["'jobID'", "built-in", "choose another", "Context(job_id=…)"]),
        ({"labels": ["partitionIndex"]}, ["built-in", "Context(partition_index=…)"]),
        ({"labels": ["partitionCount"]}, ["built-in"]),
        ({"labels": ["ok", "date"]}, ["'date'", "built-in"]),
        *[
            ({"labels": [bad]}, [repr(bad), "letters"])
            for bad in ("", "1a", "-a", "a b", "a:b", "a/b", "a{", "é", "a\n")
        ],
        ({"dialect": "jinja"}, ["'jinja'", "'keystow'", "'bacalhau'"]),
        ({"values": "quote"}, ["'quote'", "'refuse'", "'percent'"]),
        ({"dialect": "bacalhau", "labels": ["a"]}, ["no labels"]),
        ({"dialect": "bacalhau", "values": "percent"}, ["as they come"]),
    ],
)
def test_a_bad_option(options, says):
    """DESIGN: "A label may not take a built-in's name." """
    with pytest.raises(TemplateError) as raised:
        Template("a", **options)
    assert raised.value.position is None
    for part in says:
        assert part in str(raised.value)


@pytest.mark.parametrize(
    ("field", "says"),
    [
        ("jobID", ["set Context(job_id=…)"]),
        ("executionID", ["set Context(execution_id=…)"]),
        ("nodeID", ["set Context(node_id=…)"]),
        ("date", ["set Context(at=…)"]),
        ("time", ["set Context(at=…)"]),
        ("partitionIndex", ["set Context(partition_index=…)"]),
        ("partitionCount", ["set Context(partition_count=…)"]),
        ("campaign", ["set Context(labels={'campaign': …})"]),
    ],
)
def test_a_missing_value(field, says):
    """DESIGN: "A field whose value is missing is a `MissingValueError` that names it." """
    argument = {**FIELDS, **NUMBERS, "campaign": "labels"}.get(field, "at")
    context = Context(**GIVEN | {argument: {} if argument == "labels" else None})
    template = Template(f"a/{{{field}}}", labels=["campaign"])
    assert template.expand(FULL)
    with pytest.raises(MissingValueError) as raised:
        template.expand(context)
    assert isinstance(raised.value, ValueError)
    assert raised.value.field == field
    for part in [f"{{{field}}}", *says]:
        assert part in str(raised.value)


def refused(field, value, **options):
    template = Template(f"a/{{{field}}}", labels=["campaign"], **options)
    argument = {"labels": {field: value}} if field == "campaign" else {FIELDS[field]: value}
    with pytest.raises(ValueRefusedError) as expanding:
        template.expand(Context(**argument))
    with pytest.raises(ValueRefusedError) as binding:
        template.bind(**{field: value})
    assert isinstance(expanding.value, ValueError)
    assert expanding.value.field == binding.value.field == field
    assert str(expanding.value) == str(binding.value)
    assert f"{{{field}}}" in str(expanding.value)
    return str(expanding.value)


@pytest.mark.parametrize("field", [*FIELDS, "campaign"])
@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("", ["empty"]),
        ("a/b", ["'/'", 'values="percent"']),
        ("a\\b", [repr("\\"), 'values="percent"']),
        ("a\nb", [r"'\n'"]),
        ("a\x00", [r"'\x00'"]),
        ("\x7f", [r"'\x7f'"]),
        ("\x85", [r"'\x85'"]),
        (".", ["'.'", "relative path segment"]),
        ("..", ["'..'", "relative path segment"]),
        ("a\ud800", ["character 1", "UTF-8"]),
    ],
)
def test_a_refused_value(field, value, says):
    """DESIGN: "Values are refused (`ValueError` that names the field) where they would change the shape of a key:
    empty, `/`, `\\`, control characters, `.` or `..`."
    """
    message = refused(field, value)
    for part in says:
        assert part in message


@given(unsafe_values)
def test_every_unsafe_value_is_refused(value):
    """DESIGN: "Values are refused … where they would change the shape of a key" """
    refused("jobID", value)


@pytest.mark.parametrize("value", ["", "\ud800"])
def test_what_cannot_be_encoded_is_refused(value):
    """`values="percent"`: no encoding is a name of no characters, or of a character that UTF-8 lacks."""
    refused("jobID", value, values="percent")


@given(any_values)
def test_percent_refuses_nothing_else(value):
    """DESIGN: "percent-encodes such characters (and `%`) instead" """
    assert Template("{jobID}", values="percent").expand(Context(job_id=value))


@pytest.mark.parametrize(
    ("text", "values", "error", "says"),
    [
        ("{jobID}", {"jobId": "a"}, TemplateError, ["{jobId}", "did you mean {jobID}?"]),
        ("{jobID}", {"nodeID": "a"}, TemplateError, ["{nodeID}"]),
        ("a", {"campaign": "a"}, TemplateError, ["known are none"]),
        ("{date}", {"date": "2023-09-26"}, ValueRefusedError, ["'2023-09-26'", "{date}"]),
        ("{date}", {"date": "20230229"}, ValueRefusedError, ["'20230229'"]),
        ("{time:%H}", {"time": "24"}, ValueRefusedError, ["{time:%H}"]),
        (
            "{date:%Y}/{date:%m}",
            {"date": "2023"},
            TemplateError,
            ["several formats", "'date:%Y'", "'date:%m'", "datetime"],
        ),
        ("{jobID}", {"jobID": AT}, TypeError, ["{jobID}", "as text"]),
        ("{jobID}", {"jobID": 7}, TypeError, ["{jobID}", "as text"]),
        ("{date}", {"date": 20230926}, TypeError, ["{date}", "as text"]),
        ("{partitionIndex}", {"partitionIndex": AT}, TypeError, ["{partitionIndex}", "as text"]),
        ("{partitionIndex}", {"partitionIndex": True}, TypeError, ["{partitionIndex}", "whole number"]),
        ("{partitionIndex}", {"partitionIndex": -1}, ValueError, ["{partitionIndex}", "below 0"]),
        ("{partitionIndex}", {"partitionIndex": "01"}, ValueRefusedError, ["'01'", "{partitionIndex}"]),
        ("{partitionIndex:04}", {"partitionIndex": "12"}, ValueRefusedError, ["'12'", "{partitionIndex:04}"]),
        ("{partitionIndex:04}", {"partitionIndex": "0012\n"}, ValueRefusedError, ["{partitionIndex:04}"]),
        (
            "{partitionIndex}/{partitionIndex:04}",
            {"partitionIndex": "3"},
            TemplateError,
            ["several formats", "'partitionIndex'", "'partitionIndex:04'", "an int"],
        ),
    ],
)
def test_a_bad_binding(text, values, error, says):
    """`.bind(**values)`: "field names as in the template" """
    for method in (Template(text).bind, Template(text).prefix):
        with pytest.raises(error) as raised:
            method(**values)
        for part in says:
            assert part in str(raised.value)
        if error is ValueRefusedError:
            assert [raised.value.field] == list(values)


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"at": AT.replace(tzinfo=None)}, ValueError, ["time zone", "datetime.now(UTC)"]),
        ({"job_id": 7}, TypeError, ["job_id", "7", "as text"]),
        ({"execution_id": b"e"}, TypeError, ["execution_id"]),
        ({"node_id": ["n"]}, TypeError, ["node_id"]),
        ({"labels": {"shard": 3}}, TypeError, ["shard", "3"]),
        ({"partition_index": "3"}, TypeError, ["partition_index", "'3'", "whole number"]),
        ({"partition_index": 3.0}, TypeError, ["partition_index", "3.0", "whole number"]),
        ({"partition_count": False}, TypeError, ["partition_count", "False", "whole number"]),
        ({"partition_index": -1}, ValueError, ["partition_index", "below 0"]),
        ({"partition_count": 10**20}, ValueError, ["partition_count", "too large", "20 digits"]),
    ],
)
def test_a_bad_context(given, error, says):
    """DESIGN: "`at` is an aware `datetime`" """
    with pytest.raises(error) as raised:
        Context(**given)
    for part in says:
        assert part in str(raised.value)


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (lambda: Template("{ nodeID }"), "unknown field { nodeID }: did you mean {nodeID}? (at position 1)"),
        (lambda: Template("a").bind(campaign="a"), "unknown field {campaign}: known are none"),
    ],
)
def test_no_more_is_said_than_helps(act, says):
    with pytest.raises(TemplateError) as raised:
        act()
    assert str(raised.value) == says


def test_templates_have_hashes_of_their_own():
    assert len({hash(Template(f"{number}/{{jobID}}")) for number in range(10)}) > 1


def test_one_label_is_a_label():
    """A text is no collection of letters."""
    assert Template("{run}", labels="run").expand(Context(labels={"run": "7"})) == "7"


def test_a_number_that_python_does_not_print():
    """Not of over 4,300 digits, unless it is told to."""
    with pytest.raises(ValueError, match="the value of partition_count is too large: give a whole number"):
        Context(partition_count=10**5000)


def test_a_context_is_its_instant_and_its_zone():
    """Equal contexts give equal keys: the same instant has another date, or time, in another zone."""
    there = Context(**GIVEN | {"at": AT.astimezone(timezone(timedelta(hours=14)))})
    assert there.at == FULL.at
    assert there != FULL
    assert len({there, FULL, Context(**GIVEN), Context(**GIVEN | {"at": there.at})}) == 2


def test_a_context_is_its_ids_and_its_labels():
    for name in GIVEN:
        other = Context(**{n: value for n, value in GIVEN.items() if n != name})
        assert other != FULL
        assert getattr(other, name) in (None, {})
    assert Context(**GIVEN) == FULL != GIVEN
    assert len({hash(Context(job_id=str(number))) for number in range(10)}) > 1


def test_a_context_is_written_as_it_is_made():
    assert eval(repr(FULL), {"Context": Context, "datetime": dt}) == FULL


def test_a_context_is_frozen():
    """DESIGN: "frozen": neither the context nor its labels change, whoever holds the mapping that they came from."""
    given = {"campaign": "c"}
    context = Context(labels=given)
    given["campaign"] = "other"
    assert context.labels == {"campaign": "c"}
    for name in (*GIVEN, "other"):
        with pytest.raises(AttributeError):
            setattr(context, name, GIVEN.get(name))
    with pytest.raises(TypeError):
        context.labels["campaign"] = "d"


@pytest.mark.parametrize(
    ("key", "rules", "rule", "position", "says"),
    [
        ("", S3, "empty", None, ["empty"]),
        ("é" * 513, S3, "length", None, ["1026 bytes", "1024"]),
        ("é" * 1025, AZURE, "length", None, ["1025 characters", "1024"]),
        ("a/\x00", S3, "characters", 2, [r"'\x00'"]),
        ("é\nb", GCS, "characters", 1, [r"'\n'"]),
        ("a\\b", AZURE, "characters", 1, [repr("\\")]),
        ("ab\ud800", S3, "encoding", 2, ["UTF-8"]),
        (".well-known/acme-challenge/x", GCS, "start", 0, [".well-known/acme-challenge/"]),
        ("a/b/", AZURE, "end", 3, ["'/'"]),
        ("éé/../c", S3, "segment", 3, ["'..'"]),
        ("a/bc/..", S3, "segment", 5, ["'..'"]),
        ("./a", GCS, "segment", 0, ["'.'"]),
        ("a/b./c", AZURE, "segment", 2, ["'b.'"]),
        ("a//b", FILE, "segment", 2, ["''"]),
        ("ab/" + "é" * 128, FILE, "segment", 3, ["256 bytes", "255"]),
        ("/".join("a" * 255), AZURE, "segments", None, ["255 segments", "254"]),
    ],
)
def test_a_key_that_a_provider_cannot_store(key, rules, rule, position, says):
    """DESIGN: "`KeyRuleError` (a `ValueError`) says which rule and where" """
    with pytest.raises(KeyRuleError) as raised:
        check_key(key, rules)
    assert isinstance(raised.value, ValueError)
    assert (raised.value.rule, raised.value.position) == (rule, position)
    for part in [rules.provider, *says, "" if position is None else f"position {position}"]:
        assert part in str(raised.value)


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("a" * 118 + "/.", f"S3 cannot store the key '{'a' * 118}/.': it has the segment '.' (at position 119)"),
        ("a" * 119 + "/.", f"S3 cannot store the key '{'a' * 119}/'…: it has the segment '.' (at position 120)"),
        ("", "S3 cannot store the key '': it is empty"),
    ],
)
def test_the_message_about_a_key(key, said):
    """It shows the key, up to 120 characters of it."""
    with pytest.raises(KeyRuleError) as raised:
        check_key(key, S3)
    assert str(raised.value) == said


def test_a_long_key_is_not_repeated_whole():
    with pytest.raises(KeyRuleError) as raised:
        check_key("k" * 100_000, S3)
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize(
    "cause",
    [
        lambda: Template("{jobId}"),
        lambda: Template("{run}"),
        lambda: Template("{a}{b}{c}{a}{b}!", labels="abc").match("a" * 1024),
        lambda: Template("{jobID}").expand(Context()),
        lambda: Template("{jobID}").expand(Context(job_id="..")),
        lambda: object_key("a/../b", Context(), archive=True),
    ],
    ids=["template", "label", "costly", "missing", "refused", "rule"],
)
def test_errors_cross_processes(cause):
    """An error that a worker raises arrives whole: an exception that cannot be unpickled breaks the pool."""
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        cause()
    arrived = pickle.loads(pickle.dumps(raised.value))
    assert (type(arrived), str(arrived), vars(arrived)) == (type(raised.value), str(raised.value), vars(raised.value))
