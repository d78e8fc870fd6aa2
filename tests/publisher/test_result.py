"""Published results as mappings, YAML and JSON, and their checksums."""

import base64
import hashlib
import json
import string
import subprocess
from dataclasses import replace

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from keystow import Checksum, PublishedResult, ResultError
from keystow.reading import read_result
from keystow.yaml_files import dump_mapping, load_mapping

few = settings(deadline=None, database=None, max_examples=50)

DIGEST = hashlib.sha256(b"keystow").hexdigest()
BASE64 = base64.b64encode(bytes.fromhex(DIGEST)).decode()
MAPPING = {"Type": "s3", "Params": {"Bucket": "b", "Key": "k.tar.gz"}}
RESULT = PublishedResult("s3", "b", "k.tar.gz")


def params(**more):
    return {"Type": "s3", "Params": MAPPING["Params"] | more}


@pytest.mark.parametrize(
    ("mapping", "result"),
    [
        (MAPPING, RESULT),
        ({"PublishedResult": MAPPING}, RESULT),
        ({"publishedresult": {"TYPE": "S3", "params": {"bucket": "b", "KEY": "k.tar.gz"}}}, RESULT),
        (params(VersionID=None), RESULT),
        (params(Encoding="GZIP"), RESULT),
        (
            params(
                Endpoint="https://h", Region="r", VersionID="3/L4kqt+", ChecksumSHA256=f"0x{DIGEST}", Encoding="plain"
            ),
            PublishedResult("s3", "b", "k.tar.gz", "https://h", "r", "3/L4kqt+", Checksum(DIGEST), "plain"),
        ),
        (
            params(Size="1048576", TarSHA256=DIGEST.upper(), IndexSHA256=BASE64),
            PublishedResult("s3", "b", "k.tar.gz", size=1 << 20, tar_sha256=DIGEST, index_sha256=DIGEST),
        ),
    ],
)
def test_with_and_without_the_wrapper_and_in_any_case(mapping, result):
    assert PublishedResult.from_mapping(mapping) == result


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        ([], "PublishedResult is []: it must be a mapping"),
        ({}, "PublishedResult needs a Type"),
        ({"PublishedResult": None}, "PublishedResult needs a Type"),
        ({"Type": "s3", "Params": {"Bucket": "b"}}, "PublishedResult.Params needs Key"),
        ({"Type": "s3", "Params": {"Key": "b"}}, "PublishedResult.Params needs Bucket"),
        (params(Etag="x"), "unknown name 'Etag'"),
        (params(VersionId="x", VersionID="y"), "VersionID twice"),
        (params(Checksum="x"), "unknown name 'Checksum': did you mean ChecksumSHA256?"),
        (params(VersionID=3), "PublishedResult.Params.VersionID is 3: write it as text, in quotes"),
        (params(ChecksumSHA256=int(DIGEST, 16)), "write it as text, in quotes"),
        (params(Size=3), "PublishedResult.Params.Size is 3: write it as text, in quotes"),
        (params(Size="-1"), "PublishedResult.Params.Size is '-1': write a number of bytes"),
        (params(Size="1e3"), "PublishedResult.Params.Size is '1e3': write a number of bytes"),
        (params(Size="٣"), "PublishedResult.Params.Size is '٣': write a number of bytes"),
        (params(Size="9" * 5000), "write a number of bytes"),
        (params(TarSHA256="etag"), "'etag' is no SHA-256"),
        (params(IndexSHA256="etag"), "'etag' is no SHA-256"),
        (params(Encoding="zip"), "PublishedResult.Params.Encoding is 'zip': write gzip or plain, or raw"),
        ({"Publisher": MAPPING}, "unknown name 'Publisher'"),
        ({"Type": "file", "Params": {"Bucket": "/b", "Key": "k", "Region": "r"}}, "a file destination takes no region"),
        ({"Type": "az", "Params": {"Bucket": "b", "Key": "k", "Region": "r"}}, "an az destination takes no region"),
    ],
)
def test_what_is_no_result(mapping, said):
    with pytest.raises(ResultError) as caught:
        PublishedResult.from_mapping(mapping)
    assert said in str(caught.value)


@pytest.mark.parametrize("written", [DIGEST, DIGEST.upper(), f"0x{DIGEST}", f"0X{DIGEST.upper()}", BASE64])
def test_a_checksum_is_read_in_three_forms(written):
    checksum = Checksum(written)
    assert checksum == checksum.hex == DIGEST
    assert checksum.base64 == BASE64
    assert PublishedResult.from_mapping(params(ChecksumSHA256=written)).checksum_sha256 == DIGEST
    made = PublishedResult("s3", "b", "k", checksum_sha256=written)
    assert isinstance(made.checksum_sha256, Checksum)
    assert made.to_mapping()["Params"]["ChecksumSHA256"] == f"0x{DIGEST}"


@pytest.mark.parametrize("version", ["", "a\nb", "1&x=\x1b[2J", "\ud800", "v" * 1025])
def test_a_version_that_no_store_gives(version):
    """It goes into requests and URLs, and a result may be a stranger's."""
    with pytest.raises(ResultError, match=r"VersionID is .*, which no store gives"):
        PublishedResult("s3", "b", "k", version_id=version)
    assert PublishedResult("s3", "b", "k", version_id="v" * 1024).version_id == "v" * 1024


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("checksum_sha256", "etag"),
        ("tar_sha256", "etag"),
        ("index_sha256", "etag"),
        ("size", -1),
        ("size", True),
        ("size", 1.5),
        ("encoding", "zip"),
        ("type", "memory"),
    ],
)
def test_a_result_that_cannot_be(name, value):
    with pytest.raises(ResultError):
        PublishedResult(**{"type": "s3", "bucket": "b", "key": "k", "region": "r"} | {name: value})


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("", "is empty"),
        ("0x", "is no SHA-256: give 64 hex digits, with or without 0x, or base64"),
        ("0x9a3a...", "is no SHA-256"),
        (DIGEST[:-1], "is no SHA-256"),
        (f"{DIGEST}0", "is no SHA-256"),
        (f"x{DIGEST}", "is no SHA-256"),
        (BASE64[:-1], "is no SHA-256"),
        (f"{BASE64}-3", "perhaps the composite of a multipart upload"),
        (f" {DIGEST}", "is no SHA-256"),
        (f"{DIGEST}\n", "is no SHA-256"),
        (base64.b64encode(bytes(31)).decode(), "is no SHA-256"),
        ("é" * 64, "is no SHA-256"),
    ],
)
def test_what_is_no_checksum(written, said):
    with pytest.raises(ResultError) as caught:
        PublishedResult.from_mapping(params(ChecksumSHA256=written))
    assert said in str(caught.value)


@few
@given(st.binary())
def test_the_forms_are_those_of_the_tools(data):
    digest = hashlib.sha256(data)
    assert Checksum(digest.hexdigest()).hex == digest.hexdigest()
    assert base64.b64decode(Checksum(digest.hexdigest()).base64) == digest.digest()


def test_base64_is_what_coreutils_makes():
    done = subprocess.run(["base64"], input=bytes.fromhex(DIGEST), capture_output=True, check=True)
    assert Checksum(DIGEST).base64 == done.stdout.decode().strip()


names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,30}", fullmatch=True)
keys = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30).filter(
    lambda key: {".", ".."}.isdisjoint(key.split("/"))
)
results = st.builds(
    PublishedResult,
    type=st.just("s3"),
    bucket=names,
    key=keys,
    endpoint=st.none() | names.map(lambda host: f"https://{host}a:9000/path"),
    region=st.none() | st.from_regex(r"[A-Za-z0-9_-]{1,30}", fullmatch=True),
    version_id=st.none()
    | keys.filter(str.isprintable)
    | st.sampled_from(["null", "1", "0x1F", "yes", "2023-09-26", "~", "1e3", "- a", "a: b", "#"]),
    checksum_sha256=st.none() | st.text(string.hexdigits, min_size=64, max_size=64).map(Checksum),
    encoding=st.sampled_from(["gzip", "plain"]),
)
raw_results = results.filter(lambda result: not result.key.endswith("/")).map(
    lambda result: replace(result, encoding="raw")
)


@few
@given(results | raw_results)
def test_what_is_written_is_read_back(result):
    mapping = result.to_mapping()
    wrapped = {"PublishedResult": mapping}
    assert PublishedResult.from_mapping(mapping) == result
    assert PublishedResult.from_mapping(wrapped) == result
    assert yaml.safe_load(dump_mapping(wrapped)) == wrapped
    for written in (dump_mapping(wrapped), json.dumps(wrapped), json.dumps(wrapped, ensure_ascii=False)):
        assert PublishedResult.from_mapping(load_mapping(written.encode(), "it", ResultError)) == result


def test_what_is_not_known_is_not_written():
    assert RESULT.to_mapping() == MAPPING
    assert list(RESULT.to_mapping()["Params"]) == ["Bucket", "Key"]


@pytest.mark.parametrize(
    "written",
    [
        "PublishedResult:\n  Type: s3\n  Params: {Bucket: b, Key: k.tar.gz}\n",
        "Type: s3\nParams:\n  Bucket: b\n  Key: k.tar.gz\n",
        json.dumps(MAPPING),
        json.dumps({"PublishedResult": MAPPING}, indent=1),
        f"\ufeff{json.dumps(MAPPING)}",
        f"---\n{json.dumps(MAPPING)}\n---\n",
    ],
    ids=["yaml", "bare yaml", "json", "indented json", "byte order mark", "one document"],
)
def test_a_file_of_yaml_or_json(tmp_path, written):
    (tmp_path / "result").write_text(written, encoding="utf-8")
    assert read_result(tmp_path / "result") == read_result(str(tmp_path / "result")) == RESULT


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (b"", "is empty"),
        (b"- a\n- b\n", "holds no mapping with Type and Params"),
        (b"just text", "holds no mapping"),
        (b"a: b: c", "is no YAML"),
        (b"\xff\xfe\xff", "is no YAML"),
        (b"\x1f\x8b\x08\x00", "is no YAML"),
        (b"!!python/object/apply:os.system [ls]", "is no YAML"),
        (b"Type: s3\n", "needs Bucket"),
        (b"Type: s3\n---\nType: s3\n", "holds several results (2 documents): give each in a file of its own"),
        (b"Type: s3\nType: gs\n", "holds several results ('Type' stands twice)"),
        (b"Type: s3\nParams: {Key: a, Key: b}\n", "holds several results ('Key' stands twice)"),
        (b'{"Type": "s3",\t"Type": "gs"}', "holds several results ('Type' stands twice)"),
        (b'{"Type": "s3"}\n{"Type": "gs"}\n', "holds several results (2 documents)"),
    ],
)
def test_a_file_that_holds_no_result(tmp_path, written, said):
    (tmp_path / "result").write_bytes(written)
    with pytest.raises(ResultError) as caught:
        read_result(tmp_path / "result")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", ["absent", "."])
def test_no_file_at_all(tmp_path, path):
    with pytest.raises(ResultError, match="is no file with a published result, and no URL: give one of them"):
        read_result(tmp_path / path)


SOURCE = {
    "Source": {"Type": "s3", "Params": {"Bucket": "b", "Key": "k.tar.gz", "Region": "eu-1", "Endpoint": "https://h"}},
    "Target": "/inputs",
}


@pytest.mark.parametrize("mapping", [MAPPING, {"PublishedResult": MAPPING}, SOURCE, {"InputSources": [SOURCE]}])
def test_what_is_read_is_claimed(mapping):
    """Its author may be anybody."""
    assert PublishedResult.from_mapping(mapping).claimed is True
    assert RESULT.claimed is False


def test_a_result_is_written_by_the_names_of_the_specification():
    archive = PublishedResult("s3", "b", "k", size=0, tar_sha256=DIGEST, index_sha256=DIGEST)
    assert archive.to_mapping()["Params"] == {
        "Bucket": "b",
        "Key": "k",
        "Size": "0",
        "TarSHA256": f"0x{DIGEST}",
        "IndexSHA256": f"0x{DIGEST}",
    }
    whole = PublishedResult("s3", "b", "k/", "https://h", "eu-1", "v", Checksum(DIGEST), "plain")
    assert whole.to_mapping() == {
        "Type": "s3",
        "Params": {
            "Bucket": "b",
            "Key": "k/",
            "Endpoint": "https://h",
            "Region": "eu-1",
            "ChecksumSHA256": f"0x{DIGEST}",
            "VersionID": "v",
            "Encoding": "plain",
        },
    }


def test_an_input_source_says_where_it_is():
    assert PublishedResult.from_mapping(SOURCE) == PublishedResult("s3", "b", "k.tar.gz", "https://h", "eu-1")
