"""The specification's own sentences ("Dynamic Naming"), as examples."""

from datetime import UTC, datetime

import pytest

from keystow.keys import Context, Template, object_key

RUN = Context(job_id="abc123", execution_id="e-1", node_id="n-1", at=datetime(2023, 9, 26, 14, 5, 30, tzinfo=UTC))

dialects = pytest.mark.parametrize("dialect", ["keystow", "bacalhau"])


@dialects
@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("results/{jobID}/{date}/{time}/", "results/abc123/20230926/140530/"),
        ("{executionID}", "e-1"),
        ("{jobID}", "abc123"),
        ("{nodeID}", "n-1"),
        ("{date}", "20230926"),
        ("{time}", "140530"),
        ("result-{date}-{jobID}", "result-20230926-abc123"),
        ("task123/result.tar.gz", "task123/result.tar.gz"),
    ],
)
def test_placeholders_are_replaced_with_their_values(dialect, text, key):
    """Specification: "Given a job with ID abc123, executed on 2023-09-26 at 14:05:30, the published object key would
    be: results/abc123/20230926/140530/"
    """
    assert Template(text, dialect=dialect).expand(RUN) == key


@dialects
@pytest.mark.parametrize(
    ("text", "archived", "listed"),
    [
        ("results/{jobID}/{date}/{time}/", "results/abc123/20230926/140530/.tar.gz", "results/abc123/20230926/140530/"),
        ("task123/result.tar.gz", "task123/result.tar.gz", "task123/result.tar.gz/"),
        ("result-{date}-{jobID}", "result-20230926-abc123.tar.gz", "result-20230926-abc123/"),
        ("key", "key.tar.gz", "key/"),
    ],
)
def test_the_suffix_is_appended(dialect, text, archived, listed):
    """Specification: "if you are publishing an archive and the object key does not end with .tar.gz, it will be
    automatically appended. Conversely, if you're not archiving and the key doesn't end with a /, a trailing slash
    will be added."
    """
    template = Template(text, dialect=dialect)
    assert object_key(template, RUN, archive=True) == archived
    assert object_key(template, RUN, archive=False) == listed
