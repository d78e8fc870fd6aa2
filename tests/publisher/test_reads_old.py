"""What older versions published, as it was published, is read by every version after them."""

import gzip
import hashlib
import json
import os
import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from archive_strategies import lay, seen, shape
from commands import keystow
from golden_results import BUCKET, FEW, FILES, LEVELS, LOG, NODES, TIME

from keystow import PublishedResult, ResultError, agree, fetch, open_archive, open_store, publish, verify
from keystow.indexed import source_of
from keystow.members import index_of, list_members, read_member
from keystow.reading import read_result, read_results

DATA = Path(__file__).parents[1] / "data"
ARCHIVES = [f"level-{level}" for level in LEVELS]
NAMES = [*ARCHIVES, "plain", "raw"]
MADE = {
    "0.1": "0c9f6952a30b390d5dfd52edb5e3ee5ac730ae1f635138b2090f4503acce924a",
    "0.2": "c58b6c7d58fbb5b7b8f7b61d287e43c2fde7826e243d8861f4cdc5570c3fe2fc",
}
"""The SHA-256 of a list of all files, each with its own."""
PLAIN = "bfaf058319e68aa22cce68704ce36f89a31dbfe793eddc2c85a83c1e7cd3766a"
MANIFEST = "fb17b0095a2560180bafde6f76b8a78eea627c804d5ba98a523009546759b2e2"
RAW = "e96760a87768717bcebcfd25ddc7d46b4dbc95a4b0014def080c08539f7d90d0"
FEW_TAR = "c31b3253233d252f0e365dbcad56b58f6d40ad1a8e7ff4cdf2bfe548186c434e"
TAR = "33035e137eff89988be2b7198acdc96bdce45aeac36735e72b16de0985a21ec8"
RESULTS = {
    "0.1": {
        "level-0": {"checksum_sha256": "5b7ed6e9ea6629389f8d39f8def1a67ef5df0201083e092af50e965cf9275f58"},
        "level-2": {"checksum_sha256": "9421b3c955c9dff8559d713dc3560e933600eb9ba50f858b71a5103f255aaf9c"},
        "level-3": {"checksum_sha256": "710f03e149e7e108aa11f4ca2011fddc02bc63a13569b4da7de4f4ca44c5f902"},
        "level-6": {"checksum_sha256": "777f0752f12e7bbe2351f21702735ec03af291a10149bbfd10455f97fc80f40e"},
        "plain": {"checksum_sha256": PLAIN},
        "raw": {"checksum_sha256": RAW},
    },
    "0.2": {
        "level-0": {
            "checksum_sha256": "33334050410bbc8949ce501396e2f2acdb260591bfb121c804aa2d3f16a0e935",
            "size": 21702,
            "tar_sha256": FEW_TAR,
            "index_sha256": "e060b93b320e06e4470a7a070405468bc68fb17872b76ec6b21339462344f28d",
        },
        "level-2": {
            "checksum_sha256": "b503e35bac9b10d3b9cf6a0dd2c97816588cf9584563c37ed890453183555e61",
            "size": 39033,
            "tar_sha256": TAR,
            "index_sha256": "aa8c47bc0e62dc7df66b0b18003a3f333c28392d14fd469fe759bfb9d5b33502",
        },
        "level-3": {
            "checksum_sha256": "36b36f4b6caa0f69b9127899ba58a1551e53cec9a458e16199143bac0f98aeea",
            "size": 46374,
            "tar_sha256": TAR,
            "index_sha256": "4658caf51f3c49984b38ef1268f9713409eddf50f932a41b141f26c4bf199871",
        },
        "level-6": {
            "checksum_sha256": "ca9a48f305503fd9fa5c292b1d1f7a215aa705e7811c8eb4e2265054609fb5af",
            "size": 30405,
            "tar_sha256": TAR,
            "index_sha256": "d506c37260a8d47e2c07e029c7bd71de1619666e7d38859a258ca9f6fea02932",
        },
        "plain": {"checksum_sha256": PLAIN, "index_sha256": MANIFEST},
        "raw": {"checksum_sha256": RAW, "size": 10240},
    },
}
KEYS = {"plain": ("plain/", "plain"), "raw": ("raw.bin", "raw")} | {
    name: (f"{name}.tar.gz", "gzip") for name in ARCHIVES
}
IN_S3 = {
    "0.1": ("http://127.0.0.1:44509", "56612292-e76d-4f8d-b5e6-21ff368971ce", "73bfa537-c5ed-4fe6-a6d2-a70ef04b1fab"),
    "0.2": ("http://127.0.0.1:33057", "bb8bf325-2145-4feb-a893-ce7059189627", "6121d207-954f-40dc-bb1d-8a1e0986bee9"),
}
"""The server, and the versions of the result and of the input source."""


@pytest.fixture(params=RESULTS)
def version(request):
    """Each version that there was."""
    return request.param


@pytest.fixture
def old(version, tmp_path):
    """The directory of a version's results, which name the objects in it."""
    return moved(version, tmp_path)


def moved(version, tmp_path):
    directory = Path(shutil.copytree(DATA / version, tmp_path / version))
    for result in [*directory.glob("*.yaml"), *directory.glob("*.json")]:
        result.write_text(result.read_text("utf-8").replace(BUCKET, f"{directory}/objects"), "utf-8")
    return directory


def nodes_of(name, *, executable=False):
    if name == "raw":
        return {"raw.bin": FILES["model/weights.bin"]}
    if name == "plain":
        return {name: node if executable else bytes(node) for name, node in FILES.items() if name != LOG}
    return FEW if name == "level-0" else NODES


def files_of(name):
    return {name: bytes(node) for name, node in nodes_of(name).items() if isinstance(node, bytes)}


def test_nothing_of_it_was_changed(version):
    paths = sorted(path for path in (DATA / version).rglob("*") if path.is_file())
    listing = hashlib.sha256()
    for path in paths:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        listing.update(b"%b  %b\0" % (digest.encode(), os.fsencode(path.relative_to(DATA / version))))
    assert listing.hexdigest() == MADE[version]


@pytest.mark.parametrize("form", ["yaml", "json"])
@pytest.mark.parametrize("name", NAMES)
def test_a_result_is_read_to_the_values_that_it_had(version, name, form):
    key, encoding = KEYS[name]
    expected = PublishedResult("file", BUCKET, key, encoding=encoding, **RESULTS[version][name])
    assert read_result(DATA / version / f"{name}.{form}") == expected


def test_what_went_to_s3_is_read_to_the_values_that_it_had(version):
    endpoint, published, again = IN_S3[version]
    place = ("s3", "results", "level-2.tar.gz", endpoint, "us-east-1")
    found = read_result(DATA / version / "s3.yaml")
    assert found == PublishedResult(*place, version_id=published, **RESULTS[version]["level-2"])
    assert read_result(DATA / version / "input-source.yaml") == PublishedResult(*place, version_id=again)


def test_a_checksum_is_read_in_the_three_ways_in_which_it_is_written(version):
    for result in read_results(str(DATA / version / "checksums.yaml")):
        assert result == read_result(DATA / version / "level-2.yaml")


@pytest.mark.parametrize("name", NAMES)
def test_it_is_fetched_and_verified(old, version, name, tmp_path):
    result = str(old / f"{name}.yaml")
    fetched = fetch(result, tmp_path / "fetched")
    assert fetched.verified
    assert fetched.sha256 == verify(result).sha256 == RESULTS[version][name]["checksum_sha256"]
    if name in ARCHIVES:
        laid = lay(tmp_path / "expected", nodes_of(name), mtime=TIME)
        assert seen(tmp_path / "fetched") == seen(laid)
    else:
        assert seen(tmp_path / "fetched", times="") == shape(nodes_of(name, executable=version != "0.1"))


def test_a_manifest_is_read_by_whoever_has_zcat_and_sha256sum():
    prefix = DATA / "0.2" / "objects" / "plain"
    head, *lines = map(json.loads, gzip.decompress((prefix / ".keystow.manifest.jsonl.gz").read_bytes()).splitlines())
    assert head == {"format": 1, "files": len(lines), "size": sum(line["size"] for line in lines)}
    listing = hashlib.sha256()
    for line in lines:
        digest = hashlib.sha256((prefix / line["name"]).read_bytes()).hexdigest()
        assert (line["sha256"], line["time"]) == (digest, TIME)
        listing.update(f"{digest}  {line['name']}\0".encode())
    assert listing.hexdigest() == PLAIN


def test_it_is_fetched_from_a_store_that_is_given(old, version, tmp_path):
    with closing(open_store(f"file://{old}/objects")) as store:
        for name in ("s3", "input-source"):
            result = replace(read_result(old / f"{name}.yaml"), version_id=None)
            fetched = fetch(result, tmp_path / name, store=store)
            assert fetched.verified == (name == "s3")
            assert fetched.sha256 == RESULTS[version]["level-2"]["checksum_sha256"]


@pytest.mark.parametrize("name", ARCHIVES)
def test_its_members_are_read(old, name, tmp_path):
    result = str(old / f"{name}.yaml")
    with source_of(result) as source:
        assert source.proven
        assert {entry.name for entry in list_members(source)} == set(shape(nodes_of(name)))
        for member, content in files_of(name).items():
            assert b"".join(read_member(source, member)) == content
    fetched = fetch(result, tmp_path / "part", members=["model/", "*.json"])
    assert fetched.verified
    part = {member: node for member, node in nodes_of(name).items() if member.startswith(("model/", "Übersicht/"))}
    assert seen(tmp_path / "part", times="") == shape(part)
    assert verify(result, members=["*.json"]).members == 1


@pytest.mark.slow
def test_its_members_are_read_by_the_commands(old, tmp_path):
    result = str(old / "level-2.yaml")
    assert set(keystow("ls", result).out.splitlines()) == set(shape(NODES))
    assert keystow("cat", result, LOG).out.encode() == NODES[LOG]
    done = keystow("get", result, tmp_path / "part", "--member", "/empty")
    assert (done.status, "not verified" in done.err, os.listdir(tmp_path / "part")) == (0, False, ["empty"])
    assert keystow("verify", result).status == 0


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_with_an_index_is_read_in_parts_and_one_without_is_not(old, version, name):
    result = str(old / f"{name}.yaml")
    if version == "0.1":
        with pytest.raises(ResultError, match="its result proves only all of it: fetch it"):
            open_archive(result)
        with pytest.raises(ResultError, match="it has no index: fetch it"):
            open_archive(result, verify=False, allow={"file"})
        return
    with open_archive(result) as archive:
        assert archive.verified
        assert set(archive) == set(shape(nodes_of(name)))
        for member, content in files_of(name).items():
            with archive.open(member) as file:
                assert file.read() == content


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_index_is_made_of_what_has_none(old, version, name, tmp_path):
    result = str(old / f"{name}.yaml")
    index = tmp_path / "index"
    with source_of(result) as source:
        if version != "0.1":
            with pytest.raises(ResultError, match="it has an index already"):
                index_of(source)
            return
        made = index_of(source)
    assert (made.checksum, made.is_sequential) == (RESULTS[version][name]["checksum_sha256"], False)
    index.write_bytes(b"".join(made.pieces))
    with open_archive(result, index=index) as archive:
        assert archive.verified
        assert set(archive) == set(shape(nodes_of(name)))
        for member, content in files_of(name).items():
            with archive.open(member) as file:
                assert file.read() == content
    assert verify(result, members=["*"], index=index).members == len(shape(nodes_of(name)))


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_directory_is_compared_with_it_if_it_says_of_which_tar_stream_it_is(old, version, name, tmp_path):
    result = str(old / f"{name}.yaml")
    laid = lay(tmp_path / "laid", nodes_of(name), mtime=TIME)
    if version == "0.1":
        with pytest.raises(ResultError, match="the result holds no TarSHA256 and no IndexSHA256"):
            verify(result, against=laid)
    else:
        assert verify(result, against=laid).sha256 == RESULTS[version][name]["tar_sha256"]


def test_results_of_two_versions_are_compared_as_far_as_they_say_a_digest(tmp_path):
    first, second = (moved(version, tmp_path) for version in ("0.1", "0.2"))
    for name in ("plain", "raw"):
        assert agree([str(first / f"{name}.yaml"), str(second / f"{name}.yaml")]).agreed
    with pytest.raises(ResultError, match=r"level-2\.tar\.gz' has no index, and its result no TarSHA256"):
        agree([str(first / "level-2.yaml"), str(second / "level-2.yaml")], allow={"file"})
    levels = [str(second / f"level-{level}.yaml") for level in (2, 3, 6)]
    assert agree(levels).agreed


def test_the_tar_stream_is_that_of_all_versions(old, version, tmp_path):
    for name in ARCHIVES:
        stream = gzip.decompress((old / "objects" / f"{name}.tar.gz").read_bytes())
        assert hashlib.sha256(stream).hexdigest() == (FEW_TAR if name == "level-0" else TAR)
    laid = lay(tmp_path / "laid", NODES, mtime=TIME)
    assert publish(laid, f"file://{tmp_path}/now/k").tar_sha256 == TAR
