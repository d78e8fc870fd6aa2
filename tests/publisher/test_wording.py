"""What Python says with arguments, the command says with options."""

import pytest

from keystow.command.wording import as_options, counted


@pytest.mark.parametrize(
    ("said", "worded"),
    [
        ('remove it, or choose symlinks="skip"', "remove it, or choose --symlinks skip"),
        ('or choose symlinks="follow" or "skip"', "or choose --symlinks follow or skip"),
        ("or choose another symlinks=", "or choose another --symlinks"),
        ('remove it, or choose special="skip"', "remove it, or choose --special skip"),
        ("allow it with allow={'sftp'}", "allow it with --allow sftp"),
        ("allow it with allow_endpoints={'https://h:1/a'}", "allow it with --allow-endpoint https://h:1/a"),
        ("allow_endpoints: 'x' is no endpoint", "--allow-endpoint: 'x' is no endpoint"),
        ("more than 3 members: raise Limits(members=…)", "more than 3 members: raise --max-members"),
        ("a value for {jobID}: set Context(job_id=…)", "a value for {jobID}: give --job-id"),
        ("a value for {executionID}: set Context(execution_id=…)", "a value for {executionID}: give --execution-id"),
        ("choose another, or give Context(partition_index=…)", "choose another, or give --partition-index"),
        ("a value for {date}: set Context(at=…)", "a value for {date}: give --at"),
        ("a value for {run}: set Context(labels={'run': …})", "a value for {run}: give --label run=…"),
        (
            "for a label, give labels=['run'] to the Template, or Context(labels={'run': …}) (at position 1)",
            "for a label, give --label run=… (at position 1)",
        ),
        ('take it out (or, with a Template of your own, choose values="percent")', "take it out"),
        ("manifest=False takes whatever lies there", "--no-manifest takes whatever lies there"),
        ("or publish with manifest=False", "or publish with --no-manifest"),
        (
            "index= is for members of an archive: give members=, or leave it out",
            "--index is for members of an archive: give --member, or leave it out",
        ),
        ("index= is of an archive", "--index is of an archive"),
        ("strict=True is for a prefix", "--strict is for a prefix"),
        ("s3://bucket/symlinks=x/special=y", "s3://bucket/symlinks=x/special=y"),
        ("nothing of Python's", "nothing of Python's"),
    ],
)
def test_arguments_become_options(said, worded):
    assert as_options(said) == worded
    assert as_options(worded) == worded


def test_one_is_no_plural():
    assert [counted(number, "byte") for number in (0, 1, 2)] == ["0 bytes", "1 byte", "2 bytes"]
