"""A published result as another job's input: what Bacalhau reads of it, and what is read of Bacalhau's own."""

import base64
import hashlib

import pytest
import yaml
from commands import complaint, keystow
from hypothesis import given, settings
from hypothesis import strategies as st

from keystow import Context, PublishedResult, ResultError, fetch, publish, verify
from keystow.archive.manifest import NAME
from keystow.publishing import Destination
from keystow.reading import read_result
from keystow.surroundings import job_context, with_instant
from keystow.testing.servers import Moto
from keystow.yaml_files import dump_mapping, load_mapping

DIGEST = hashlib.sha256(b"keystow")
BASE64 = base64.b64encode(DIGEST.digest()).decode()
COMPOSITE = f"{BASE64}-3"
RESULT = PublishedResult("s3", "b", "k.tar.gz", checksum_sha256=DIGEST.hexdigest())
PREFIX = PublishedResult("s3", "b", "k/", checksum_sha256=DIGEST.hexdigest(), encoding="plain", version_id="v")


def params(result):
    return result.to_input_source("/inputs")["Source"]["Params"]


def entry(**params):
    return {"Source": {"Type": "s3", "Params": {"Bucket": "b", "Key": "k.tar.gz"} | params}, "Target": "/inputs"}


# What pkg/storage/s3/storage.go of Bacalhau does with a source, on a client of botocore's.


def exploded(client, source):
    """Its ``explodeKey``: the keys that the job gets."""
    bucket, key = source["Bucket"], source.get("Key", "")
    if key and not key.endswith("*") and not key.endswith("/"):
        request = {"Bucket": bucket, "Key": key}
        if source.get("VersionID"):
            request["VersionId"] = source["VersionID"]
        if source.get("ChecksumSHA256"):
            request["ChecksumMode"] = "ENABLED"
        head = client.head_object(**request)
        if source.get("ChecksumSHA256") and source["ChecksumSHA256"] != head.get("ChecksumSHA256", ""):
            raise AssertionError(f"checksum mismatch: {source['ChecksumSHA256']}, {head.get('ChecksumSHA256')}")
        if not head["ContentType"].startswith("application/x-directory"):
            return [key]
    found = client.list_objects_v2(Bucket=bucket, Prefix=key.strip().removesuffix("*"))
    return [each["Key"] for each in found.get("Contents", [])]


@pytest.fixture(params=["fsspec", "obstore"])
def engine(request, monkeypatch):
    monkeypatch.setenv("KEYSTOW_ENGINE", request.param)


@pytest.fixture
def as_aws(monkeypatch):
    """The endpoint is taken for AWS, and asked to verify and to keep checksums."""
    monkeypatch.setattr("keystow.backends.s3.bucket.is_aws", lambda endpoint: True)


@pytest.fixture
def large(tmp_path):
    """What gzip makes over two parts of."""
    directory = tmp_path / "large"
    directory.mkdir()
    (directory / "noise").write_bytes(hashlib.shake_256(b"keystow").digest(20 << 20))
    return directory


@pytest.mark.server
@pytest.mark.parametrize("source", ["files", "large"])
def test_bacalhau_finds_what_it_compares(request, as_aws, engine, seaweed, versioned_bucket, login, source):
    """Its comparison holds for a single request and for a multipart upload, whoever carried the requests."""
    login(seaweed)
    published = publish(request.getfixturevalue(source), f"s3://{versioned_bucket}/in,opt=endpoint={seaweed.endpoint}")
    given = params(published)
    assert given["ChecksumSHA256"].endswith("-3") == (source == "large")
    assert exploded(seaweed.client(), given) == [published.key]
    again = PublishedResult.from_mapping(published.to_input_source("/inputs"))
    assert params(again) == given
    assert again.checksum_sha256 == (published.checksum_sha256 if source == "files" else None)
    if source == "files":
        verify(again)


@pytest.mark.server
def test_where_no_checksum_is_kept_none_is_compared(engine, login, files):
    """moto says no checksum again: an entry that had one would be refused by Bacalhau."""
    with Moto() as moto:
        login(moto)
        published = publish(files, f"s3://{moto.make_bucket()}/in,opt=endpoint={moto.endpoint}")
        assert published.checksum_sha256 is not None
        assert "ChecksumSHA256" not in params(published)
        assert exploded(moto.client(), params(published)) == [published.key]


@pytest.mark.server
def test_a_prefix_is_every_object_under_it(as_aws, seaweed, versioned_bucket, login, files, tmp_path):
    login(seaweed)
    where = f"s3://{versioned_bucket}/files,opt=endpoint={seaweed.endpoint}"
    published = publish(files, where, archive=False)
    assert {"VersionID", "ChecksumSHA256"}.isdisjoint(params(published))
    names = {path.relative_to(files).as_posix() for path in files.rglob("*") if path.is_file()}
    assert set(exploded(seaweed.client(), params(published))) == {f"files/{name}" for name in (*names, NAME)}
    again = PublishedResult.from_mapping(published.to_input_source("/inputs"))
    assert fetch(again, tmp_path / "again").sha256 == published.checksum_sha256


def test_an_entry_is_what_bacalhau_reads():
    """The names of ``InputSource``, ``SpecConfig`` and ``SourceSpec``."""
    result = PublishedResult("s3", "b", "k.tar.gz", "https://h", "r", "v", DIGEST.hexdigest(), store_checksum=BASE64)
    assert result.to_input_source("/in") == {
        "Source": {
            "Type": "s3",
            "Params": {
                "Bucket": "b",
                "Key": "k.tar.gz",
                "Endpoint": "https://h",
                "Region": "r",
                "VersionID": "v",
                "ChecksumSHA256": BASE64,
            },
        },
        "Target": "/in",
    }
    assert params(PREFIX) == {"Bucket": "b", "Key": "k/"}
    assert params(RESULT) == {"Bucket": "b", "Key": "k.tar.gz"}


@pytest.mark.parametrize(
    ("result", "target", "said"),
    [
        (PublishedResult("gs", "b", "k.tar.gz"), "/inputs", "takes its input from s3, and this result is of gs"),
        (PublishedResult("file", "/b", "k.tar.gz"), "/inputs", "this result is of file"),
        (PublishedResult("s3", "b", "k/"), "/inputs", "reads the key 'k/' as a prefix"),
        (PublishedResult("s3", "b", "k*"), "/inputs", "reads the key 'k*' as a prefix"),
        (PublishedResult("s3", "b", " k/", encoding="plain"), "/inputs", "blanks around the prefix ' k/'"),
        (RESULT, "", "the target is empty"),
        (RESULT, " ", "the target is empty"),
    ],
)
def test_what_bacalhau_would_not_read_as_it_is(result, target, said):
    with pytest.raises(ResultError) as caught:
        result.to_input_source(target)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "wrapped", [lambda one: one, lambda one: {"InputSources": [one]}, lambda one: {"inputsources": [one]}]
)
@pytest.mark.parametrize(
    ("mapping", "result", "kept"),
    [
        (entry(), PublishedResult("s3", "b", "k.tar.gz"), None),
        (entry(ChecksumSHA256=BASE64), RESULT, BASE64),
        (entry(ChecksumSHA256=COMPOSITE), PublishedResult("s3", "b", "k.tar.gz"), COMPOSITE),
        (entry(ChecksumSHA256=f"0x{DIGEST.hexdigest()}"), RESULT, None),
        (entry(Key="k/", VersionID="v", ChecksumSHA256="x"), PublishedResult("s3", "b", "k/", encoding="plain"), None),
        (entry(Key=" k* "), PublishedResult("s3", "b", " k* "), None),
        (entry(Key=" k*"), PublishedResult("s3", "b", "k", encoding="plain"), None),
        (entry(Key="k**"), PublishedResult("s3", "b", "k*", encoding="plain"), None),
        (
            entry(
                Filter="",
                Region="",
                Endpoint="",
                VersionID="v",
                ChecksumSHA256="",
                Partition={"Type": "", "EndIndex": 0},
            ),
            PublishedResult("s3", "b", "k.tar.gz", version_id="v"),
            None,
        ),
        (
            {"source": {"type": "S3", "params": {"bucket": "b", "KEY": "k.tar.gz"}}},
            PublishedResult("s3", "b", "k.tar.gz"),
            None,
        ),
    ],
)
def test_an_entry_is_read(wrapped, mapping, result, kept):
    found = PublishedResult.from_mapping(wrapped(mapping))
    assert (found, found.store_checksum) == (result, kept)


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        ({"InputSources": []}, "InputSources holds 0 sources"),
        ({"InputSources": [entry(), entry()]}, "InputSources holds 2 sources: give it the one that you mean"),
        ({"InputSources": "x"}, "InputSources holds no list of sources"),
        ({"InputSources": {}}, "InputSources holds no list of sources"),
        ({"InputSources": ["x"]}, "needs a Source, with Type and Params"),
        ({"InputSources": [{"Target": "/inputs"}]}, "needs a Source"),
        ({"Source": None}, "needs a Source"),
        ({"Source": {}}, "Source needs a Type"),
        ({"Source": {"Type": "s3"}}, "Source.Params needs Bucket"),
        ({"Source": {"Type": "s3", "Params": [1]}}, "Source.Params is [1]: it must be a mapping"),
        ({"Source": {"Type": "ipfs", "Params": {"Bucket": "b", "Key": "k"}}}, "of the type 'ipfs'"),
        (entry(Key=""), "Source.Params needs Key"),
        (entry(Filter="a.*"), "Source.Params.Filter chooses among objects"),
        (entry(Partition={"Type": "object"}), "Source.Params.Partition chooses among objects"),
        (entry(ChecksumSHA256="x"), "'x' is no SHA-256"),
        (entry(Etag="x"), "unknown name 'Etag'"),
    ],
)
def test_an_entry_that_is_none(mapping, said):
    with pytest.raises(ResultError) as caught:
        PublishedResult.from_mapping(mapping)
    assert said in str(caught.value)


@pytest.mark.parametrize("empty", ["{Type: none, Index: 0}", '{"Type": "none", "Index": 0}', "null"])
def test_what_bacalhau_writes_is_read_from_a_file(empty):
    text = f"Source: {{Type: s3, Params: {{Bucket: b, Key: none, Partition: {empty}, Filter: ''}}}}\nTarget: /inputs\n"
    found = PublishedResult.from_mapping(load_mapping(text.encode(), "it", ResultError))
    assert (found.bucket, found.key) == ("b", "none")


def test_a_whole_bucket_is_no_result():
    with pytest.raises(ResultError, match="which is the whole bucket: give the prefix of one result"):
        PublishedResult.from_mapping(entry(Key="*"))


def test_a_composite_is_a_checksum_in_an_entry_alone():
    with pytest.raises(ResultError, match="perhaps the composite of a multipart upload"):
        PublishedResult.from_mapping({"Type": "s3", "Params": {"Bucket": "b", "Key": "k", "ChecksumSHA256": COMPOSITE}})


text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20).filter(
    lambda key: {".", ".."}.isdisjoint(key.split("/"))
)


@settings(deadline=None, database=None)
@given(
    key=text,
    plain=st.booleans(),
    endpoint=st.none() | st.integers(1, 65535).map(lambda port: f"https://h:{port}"),
    version=st.none() | text.filter(str.isprintable),
    kept=st.sampled_from([None, BASE64, COMPOSITE]),
)
def test_what_is_written_is_read_back(key, plain, endpoint, version, kept):
    """Each result that can be an input is read as itself, but for what no entry holds."""
    encoding = "plain" if plain else "gzip"
    result = PublishedResult("s3", "b", key, endpoint, None, version, encoding=encoding, store_checksum=kept)
    try:
        written = result.to_input_source("/inputs")
    except ResultError:
        return
    found = PublishedResult.from_mapping(yaml.safe_load(dump_mapping({"InputSources": [written]})))
    assert (found.key, found.encoding, found.endpoint) == (key, encoding, endpoint)
    assert (found.version_id, found.store_checksum) == ((None, None) if plain else (version, kept))
    assert found.to_input_source("/inputs") == written


def test_what_the_store_keeps_makes_no_other_result():
    """It is of the object, and stands in no mapping but an entry's."""
    known = PublishedResult("s3", "b", "k.tar.gz", checksum_sha256=DIGEST.hexdigest(), store_checksum=BASE64)
    assert (known, hash(known), known.to_mapping()) == (RESULT, hash(RESULT), RESULT.to_mapping())


# -- the command


def test_the_command_prints_one_list(files, tmp_path):
    """The entries of all results are one list, as a job has it, each with a target of its own."""
    done = keystow("publish", files, "s3://b/one", "s3://b/two/", "--dry-run", "--output", "bacalhau-input")
    assert yaml.safe_load(done.out) == {
        "InputSources": [
            {"Source": {"Type": "s3", "Params": {"Bucket": "b", "Key": "one.tar.gz"}}, "Target": "/inputs"},
            {"Source": {"Type": "s3", "Params": {"Bucket": "b", "Key": "two/.tar.gz"}}, "Target": "/inputs-2"},
        ]
    }
    one = keystow("publish", files, "s3://b/one", "--dry-run", "--output", "bacalhau-input")
    (tmp_path / "input.yaml").write_text(one.out)
    assert read_result(tmp_path / "input.yaml") == PublishedResult("s3", "b", "one.tar.gz")


def test_nothing_is_published_that_cannot_be_an_input(files, tmp_path):
    """What is wrong with the call is said before anything is read or sent."""
    done = keystow("publish", files, f"file://{tmp_path}/store/k", "--output", "bacalhau-input")
    assert "a Bacalhau job takes its input from s3, and this result is of file" in complaint(done, 2)
    assert not (tmp_path / "store").exists()


# -- the partition


def test_the_partition_is_the_jobs(monkeypatch):
    """``pkg/compute/envvars.go`` sets both in decimal."""
    assert (job_context().partition_index, job_context().partition_count) == (None, None)
    monkeypatch.setenv("BACALHAU_PARTITION_INDEX", "3")
    monkeypatch.setenv("BACALHAU_PARTITION_COUNT", "12")
    context = with_instant(job_context())
    assert (context.partition_index, context.partition_count) == (3, 12)
    assert (
        Destination("memory://b/{partitionIndex:04}-of-{partitionCount}").foreseen(context).key == "0003-of-12.tar.gz"
    )
    assert with_instant(Context(partition_index=1)).partition_index == 1


@pytest.mark.parametrize("value", ["", "-1", "1.0", " 1", "٣", "1" * 21])
@pytest.mark.parametrize("name", ["BACALHAU_PARTITION_INDEX", "BACALHAU_PARTITION_COUNT"])
def test_a_variable_that_is_no_number(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=f"{name} is .*: set it to a whole number from 0 on, or unset it"):
        job_context()


def test_options_before_variables(monkeypatch):
    monkeypatch.setenv("BACALHAU_PARTITION_INDEX", "3")
    monkeypatch.setenv("BACALHAU_PARTITION_COUNT", "12")
    template = "{partitionIndex:02}-of-{partitionCount}"
    assert keystow("key", template).out == "03-of-12.tar.gz\n"
    assert keystow("key", template, "--partition-index", "0").out == "00-of-12.tar.gz\n"
    assert keystow("key", template, "--partition-count", "4").out == "03-of-4.tar.gz\n"
    assert "--partition-index" in complaint(keystow("key", template, "--partition-index", "-1"), 2)
    said = complaint(keystow("key", template, "--partition-count", "one"), 2)
    assert "argument --partition-count: 'one' is no whole number from 0 on" in said
