"""The specification's own examples, each under its own words, on a real server where something is published."""

import hashlib
from datetime import UTC, datetime

import pytest
import yaml
from commands import keystow

from keystow import Context, PublishedResult, PublisherSpec, fetch, open_store, publish
from keystow.archive.manifest import NAME

pytestmark = pytest.mark.server

RUN = Context(job_id="abc123", at=datetime(2023, 9, 26, 14, 5, 30, tzinfo=UTC))

DECLARATIVE = """\
Publisher:
  Type: "s3"
  Params:
    Bucket: "my-task-results"
    Key: "task123/result.tar.gz"
    Endpoint: "https://s3.us-west-2.amazonaws.com"
"""

PUBLISHED = """\
PublishedResult:
  Type: "s3"
  Params:
    Bucket: "my-task-results"
    Key: "task123/result.tar.gz"
    Endpoint: "https://s3.us-west-2.amazonaws.com"
    Region: "us-west-2"
    ChecksumSHA256: "0x9a3a{}"
    VersionID: "3/L4kqtJlcpXroDTDmJ+rmDbwQaHWyOb..."
""".format("0" * 60)


@pytest.fixture(scope="module")
def example_buckets(seaweed):
    """The buckets that the examples name."""
    return seaweed.make_bucket("my-task-results", versioned=True), seaweed.make_bucket("bucket")


@pytest.fixture
def defaults(seaweed, example_buckets, login, monkeypatch):
    """Default credentials, and a default endpoint that is not AWS's own."""
    login(seaweed)
    monkeypatch.setenv("AWS_ENDPOINT_URL", seaweed.endpoint)


def keys(seaweed, bucket, prefix):
    found = seaweed.client().list_objects_v2(Bucket=bucket, Prefix=prefix)
    return {each["Key"] for each in found.get("Contents", [])}


def test_the_dynamic_naming_example(seaweed, defaults, files):
    """'Imagine you've specified the following object key pattern for publishing: results/{jobID}/{date}/{time}/ Given
    a job with ID abc123, executed on 2023-09-26 at 14:05:30, the published object key would be:
    results/abc123/20230926/140530/'
    """
    published = publish(files, "s3://bucket/results/{jobID}/{date}/{time}/", RUN, archive=False)
    assert published.key == "results/abc123/20230926/140530/"
    names = {path.relative_to(files).as_posix() for path in files.rglob("*") if path.is_file()}
    there = keys(seaweed, "bucket", "results/abc123/")
    assert there == {f"results/abc123/20230926/140530/{name}" for name in (*names, NAME)}


@pytest.mark.parametrize(("given", "published"), [("a/named", "a/named.tar.gz"), ("a/whole.tar.gz", "a/whole.tar.gz")])
def test_the_suffix_of_an_archive(seaweed, defaults, small, given, published):
    """'if you are publishing an archive and the object key does not end with .tar.gz, it will be automatically
    appended.'
    """
    assert publish(small, f"s3://bucket/{given}", RUN).key == published
    assert keys(seaweed, "bucket", given) == {published}


@pytest.mark.parametrize("given", ["plain/open", "plain/closed/"])
def test_the_trailing_slash_of_a_prefix(seaweed, defaults, files, given):
    """'Conversely, if you're not archiving and the key doesn't end with a /, a trailing slash will be added.'"""
    prefix = given.rstrip("/") + "/"
    assert publish(files, f"s3://bucket/{given}", RUN, archive=False).key == prefix
    found = keys(seaweed, "bucket", given)
    assert f"{prefix}score.txt" in found
    assert all(key.startswith(prefix) for key in found)


def test_the_declarative_example_is_read(defaults, monkeypatch):
    """'In this configuration, task results will be published to the specified S3 bucket and object key.'"""
    assert PublisherSpec.from_mapping(yaml.safe_load(DECLARATIVE)) == PublisherSpec(
        "s3", "my-task-results", "task123/result.tar.gz", endpoint="https://s3.us-west-2.amazonaws.com"
    )
    store = open_store("s3://my-task-results", endpoint="https://s3.us-west-2.amazonaws.com")
    assert store.region == "us-west-2"
    store.close()


def test_the_declarative_example_and_what_it_prints(small, tmp_path):
    """'the published result specification will look like:' Bucket, Key, Endpoint and Region as in the example."""
    (tmp_path / "publisher.yaml").write_text(DECLARATIVE)
    ran = keystow("publish", small, "--spec", tmp_path / "publisher.yaml", "--dry-run")
    expected = yaml.safe_load(PUBLISHED)
    for later in ("ChecksumSHA256", "VersionID"):
        del expected["PublishedResult"]["Params"][later]
    assert ran.status == 0, ran.err
    assert yaml.safe_load(ran.out) == expected


def test_the_declarative_example_really_published(seaweed, example_buckets, login, small, tmp_path):
    """'If you're using an S3-compatible service, simply update the Endpoint parameter with the appropriate URL. The
    results will be compressed into a single object, and the published result specification will look like:'
    """
    login(seaweed)
    text = DECLARATIVE.replace("https://s3.us-west-2.amazonaws.com", seaweed.endpoint)
    (tmp_path / "publisher.yaml").write_text(text + '    Region: "us-west-2"\n')
    ran = keystow("publish", small, "--spec", tmp_path / "publisher.yaml")
    assert ran.status == 0, ran.err
    printed = yaml.safe_load(ran.out)

    stored = seaweed.client().get_object(Bucket="my-task-results", Key="task123/result.tar.gz")
    digest = hashlib.sha256(stored["Body"].read()).hexdigest()
    assert list(printed) == ["PublishedResult"]
    assert printed["PublishedResult"]["Type"] == "s3"
    more = {"Size", "TarSHA256", "IndexSHA256"}
    specified = set(yaml.safe_load(PUBLISHED)["PublishedResult"]["Params"])
    assert set(printed["PublishedResult"]["Params"]) == specified | more
    published = PublishedResult.from_mapping(printed)
    assert (published.bucket, published.key) == ("my-task-results", "task123/result.tar.gz")
    assert (published.endpoint, published.region) == (seaweed.endpoint, "us-west-2")
    assert published.version_id == stored["VersionId"]
    assert printed["PublishedResult"]["Params"]["ChecksumSHA256"] == f"0x{digest}"


def test_the_published_result_example_is_read_and_written_as_it_stands():
    """'The published result specification includes the following parameters: Bucket, Key, Region, Endpoint, VersionID,
    ChecksumSHA256.'
    """
    mapping = yaml.safe_load(PUBLISHED)
    result = PublishedResult.from_mapping(mapping)
    assert result.bucket == "my-task-results"
    assert result.key == "task123/result.tar.gz"
    assert result.region == "us-west-2"
    assert result.endpoint == "https://s3.us-west-2.amazonaws.com"
    assert result.version_id == "3/L4kqtJlcpXroDTDmJ+rmDbwQaHWyOb..."
    assert result.checksum_sha256.hex == "9a3a" + "0" * 60
    assert {"PublishedResult": result.to_mapping()} == mapping


def test_the_first_imperative_example(seaweed, defaults, small):
    """'bacalhau docker run -p s3://bucket/key ubuntu ... This command writes to the S3 bucket using default endpoint
    and region settings.'
    """
    assert PublisherSpec.parse("s3://bucket/key") == PublisherSpec("s3", "bucket", "key")
    published = publish(small, "s3://bucket/key")
    assert (published.endpoint, published.region) == (seaweed.endpoint, "us-east-1")
    assert keys(seaweed, "bucket", "key") == {"key.tar.gz"}


def test_the_default_region_is_the_environments(seaweed, defaults, small, monkeypatch):
    """'using default endpoint and region settings'"""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    assert publish(small, "s3://bucket/default-region").region == "eu-central-1"


def test_the_second_imperative_example(seaweed, example_buckets, login, small):
    """'bacalhau docker run -p s3://bucket/key,opt=endpoint=http://s3.example.com,opt=region=us-east-1 ubuntu ... This
    command specifies a unique endpoint and region for the S3 bucket.'
    """
    example = "s3://bucket/key,opt=endpoint=http://s3.example.com,opt=region=us-east-1"
    assert PublisherSpec.parse(example) == PublisherSpec(
        "s3", "bucket", "key", endpoint="http://s3.example.com", region="us-east-1"
    )
    login(seaweed)
    published = publish(small, example.replace("http://s3.example.com", seaweed.endpoint).replace("/key", "/second"))
    assert (published.endpoint, published.region) == (seaweed.endpoint, "us-east-1")
    assert keys(seaweed, "bucket", "second") == {"second.tar.gz"}


def test_the_third_imperative_example(seaweed, defaults, small, tmp_path):
    """'bacalhau docker run -p s3://bucket/result-{date}-{jobID} ubuntu ... Dynamic naming placeholders like {date} and
    {jobID} allow for organized naming structures, automatically replacing these placeholders with appropriate values
    upon execution.'
    """
    published = publish(small, "s3://bucket/result-{date}-{jobID}", RUN)
    assert published.key == "result-20230926-abc123.tar.gz"
    assert keys(seaweed, "bucket", "result-") == {"result-20230926-abc123.tar.gz"}
    assert fetch(published, tmp_path / "back").verified
