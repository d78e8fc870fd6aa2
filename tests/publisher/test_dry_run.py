"""A dry run says what a publication needs and, if it is asked to, what is missing for it; it writes nothing."""

import json

import pytest
from commands import complaint, keystow

from keystow import policy
from keystow.testing.servers import COMPUTE_NODE_POLICY, FakeGCS

pytestmark = pytest.mark.slow


@pytest.fixture
def to(seaweed, bucket, login):
    """A destination in the shared bucket, as the administrator."""
    login(seaweed)
    return f"s3://{bucket}/rehearsed/{{jobID}},opt=endpoint={seaweed.endpoint}"


def rehearsed(source, *arguments, **environment):
    return keystow("publish", source, *arguments, "--job-id", "abc123", "--dry-run", **environment)


def needs(ran):
    return [line.removeprefix("keystow: needs ") for line in ran.err.splitlines() if line.startswith("keystow: needs ")]


@pytest.mark.parametrize(
    ("where", "options"),
    [
        ("s3://bucket/results/{jobID}", {}),
        ("s3://bucket/results/{jobID},opt=kmskeyid=alias/results", {"--if-exists": "skip", "--tag": "project=apollo"}),
        ("gs://bucket/results/{jobID}", {}),
        ("gs://bucket/results/{jobID}", {"--if-exists": "error"}),
        ("az://container/results/{jobID}", {"--legal-hold": None}),
    ],
)
def test_the_permissions_are_those_of_the_policy(small, where, options):
    """No store is opened, so that none of these buckets has to be there."""
    typed = [part for pair in options.items() for part in pair if part is not None]
    ran = rehearsed(small, where, *typed)
    given = {"tags": {"project": "apollo"}} if "--tag" in options else {}
    given |= {"legal_hold": True} if "--legal-hold" in options else {}
    made = policy(where, role="publisher", if_exists=options.get("--if-exists", "replace"), **given)
    assert ran.status == 0
    assert [need.partition(":")[0] for need in map(_unspaced, needs(ran))] == [
        _unspaced(grant.permission).partition(":")[0] for grant in made.grants
    ]
    assert len(needs(ran)) == len(made.grants) > 0


def _unspaced(text):
    """A permission, whose own colon is none of the line's."""
    return text.replace("s3:", "s3.").replace("kms:", "kms.")


def test_a_directory_has_no_policy(small, tmp_path):
    ran = rehearsed(small, f"file://{tmp_path}/store/{{jobID}}")
    assert needs(ran) == [f"leave to make files in '{tmp_path}/store'"]
    assert not (tmp_path / "store").exists()


def test_several_destinations_say_what_each_needs(small, to):
    ran = rehearsed(small, to, "gs://bucket/results/{jobID}", "memory://here/{jobID}")
    assert [need.partition(": ")[0] for need in needs(ran)] == [
        "s3:PutObject",
        "storage.objects.create",
        "storage.objects.delete",
    ]


def test_nothing_is_missing_and_nothing_is_written(small, to, seaweed, proxy):
    there = to.replace(seaweed.endpoint, proxy.url)
    ran = rehearsed(small, there, "--check", "--output", "key")
    assert (ran.status, ran.out) == (0, "rehearsed/abc123.tar.gz\n")
    assert {sent.method for sent in proxy.requests} == {"GET", "HEAD"}
    assert "keystow: signature           ok      it is accepted" in ran.err
    assert "-> keystow doctor --write-probe writes beside the key" in ran.err


@pytest.mark.parametrize("source", ["directory", "stdin"])
def test_what_is_missing_is_an_error_that_says_what_to_do(small, to, seaweed, source):
    what = [small] if source == "directory" else ["-", "--raw"]
    ran = rehearsed(*what, f"s3://there-is-none/a,opt=endpoint={seaweed.endpoint}", "--check", "--quiet")
    assert complaint(ran, 1).startswith("bucket: there is no bucket there-is-none: create the bucket")


def test_to_several_of_which_one_lacks_something(small, to, seaweed):
    lacking = f"s3://there-is-none/a,opt=endpoint={seaweed.endpoint}"
    ran = rehearsed(small, lacking, to, "--check", "--output", "key", "--quiet")
    assert (ran.status, ran.out) == (1, "rehearsed/abc123.tar.gz\n")
    assert ran.err.count("keystow: ") == 1


def test_who_may_only_write_lacks_nothing_unless_it_has_to_compare(small, to, seaweed, bucket, login):
    login(seaweed.user(COMPUTE_NODE_POLICY(bucket)))
    for if_exists, role in (("replace", "--role requester"), ("skip", "--role publisher --if-exists skip")):
        ran = rehearsed(small, to, "--check", "--if-exists", if_exists)
        assert ran.status == 0
        assert (
            f"-> whoever only publishes needs none; for who fetches: keystow policy DESTINATION {role}" in ran.err
            or (f"-> keystow policy DESTINATION {role} says what to allow" in ran.err)
        )


def test_a_wrong_secret_for_a_program(small, to):
    ran = rehearsed(small, to, "--check", "--output", "json", AWS_SECRET_ACCESS_KEY="sesame-open-42")
    *notes, error = map(json.loads, ran.err.splitlines())
    assert (ran.status, ran.out, error["level"], error["kind"], error["status"]) == (1, "", "error", "store_failed", 1)
    assert "SignatureDoesNotMatch" in error["message"]
    assert {line["level"] for line in notes} == {"note"}


def test_google(small, tmp_path, monkeypatch):
    with FakeGCS(tmp_path) as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        assert rehearsed(small, f"gs://{server.make_bucket()}/a", "--check").status == 0
    ran = rehearsed(small, "gs://there-is-none/a", "--check", "--quiet")
    assert complaint(ran, 1).endswith("refuses connections: start the server, or correct the endpoint's host and port")


def test_a_directory_that_cannot_be_made(small, tmp_path):
    (tmp_path / "file").write_text("")
    ran = rehearsed(small, f"file://{tmp_path}/file/below/{{jobID}}", "--check", "--quiet")
    assert complaint(ran, 1).endswith("is no directory: name another one, or move it away")


def test_without_a_dry_run_nothing_is_checked(small, tmp_path):
    ran = keystow("publish", small, f"file://{tmp_path}/store/a", "--check")
    assert "add --dry-run" in complaint(ran, 2)
    assert not (tmp_path / "store").exists()
