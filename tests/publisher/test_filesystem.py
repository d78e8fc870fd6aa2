"""keystow:// in fsspec: members of a published archive, by whatever opens URLs."""

import csv
import errno
import json
import os
import pickle
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime

import fsspec
import indexed
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from sample_tree import FILES, PLOT, TREE, tree_of
from upath import UPath

from keystow import (
    Checksum,
    KeystowError,
    MemberNotFoundError,
    PublishedResult,
    ResultError,
    StoreError,
    VerificationError,
    open_store,
)
from keystow.archive import Entry, Tree
from keystow.filesystem import ArchiveFileSystem

pytestmark = pytest.mark.slow


def written(tmp_path, tree=TREE, name="published.json", **known):
    """The file with the result of an archive of ``tree``, which lies in ``store`` beside it."""
    data, index = indexed.data_and_index(tree)
    (tmp_path / "store").mkdir(exist_ok=True)
    sha256 = open_store(f"file://{tmp_path}/store").write("k.tar.gz", [data + b"".join(index.pieces)]).sha256
    proof = {"checksum_sha256": sha256, "index_sha256": Checksum(index.sha256)} | known
    result = PublishedResult("file", f"{tmp_path}/store", "k.tar.gz", **proof)
    (tmp_path / name).write_text(json.dumps({"PublishedResult": result.to_mapping()}))
    return tmp_path / name


@pytest.fixture(autouse=True)
def fresh():
    yield
    for files in list(ArchiveFileSystem._cache.values()):
        files.invalidate_cache()
    ArchiveFileSystem.clear_instance_cache()


@pytest.fixture
def result(tmp_path):
    return written(tmp_path)


@pytest.fixture
def files(result):
    return fsspec.filesystem("keystow", fo=str(result))


def test_a_member_is_opened_by_its_url(result):
    for url in (f"keystow://a/first.csv::{result}", f"keystow:///a/first.csv::file://{result}"):
        with fsspec.open(url, "rt", newline="") as file:
            assert list(csv.reader(file)) == [["a", "b"], ["1", "2"]]
    with fsspec.open("keystow://a/first.csv", fo=str(result)) as file:
        assert file.read() == FILES["a/first.csv"]


def test_an_archive_stands_in_a_url_by_its_name(result):
    with fsspec.open(f"keystow://score.txt::file://{result.parent}/store/k.tar.gz") as file:
        assert file.read() == b"42"
    name = f"bucket-{result.parent.name}"
    open_store(f"memory://{name}").write("k.tgz", [indexed.archive(TREE)])
    with fsspec.open(f"keystow://score.txt::memory://{name}/k.tgz") as file:
        assert file.read() == b"42"


def test_an_archive_is_read_through_other_file_systems_of_fsspec(result, tmp_path):
    archive = f"file://{result.parent}/store/k.tar.gz"
    with fsspec.open(f"keystow://a/plots/large.png::simplecache::{archive}") as file:
        assert file.read() == PLOT
    with fsspec.open(f"keystow://score.txt::simplecache::file://{result}") as file:
        assert file.read() == b"42"
    (tmp_path / "plain.tar.gz").write_bytes(indexed.data_and_index(TREE)[0])
    with pytest.raises(ResultError, match="has no index"):
        fsspec.open(f"keystow://score.txt::simplecache::file://{tmp_path}/plain.tar.gz").open()


@pytest.mark.server
def test_an_archive_in_s3_by_its_name_and_with_options_of_its_file_system(seaweed, login, bucket, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    login(seaweed)
    with closing(open_store(f"s3://{bucket}", endpoint=seaweed.endpoint, region="us-east-1")) as store:
        store.write("k.tar.gz", [indexed.archive(TREE)])
    options = {"key": seaweed.access_key, "secret": seaweed.secret_key, "endpoint_url": seaweed.endpoint}
    with fsspec.open(f"keystow://score.txt::s3://{bucket}/k.tar.gz", s3=options) as file:
        assert file.read() == b"42"
    monkeypatch.setenv("AWS_ENDPOINT_URL", seaweed.endpoint)
    with fsspec.open(f"keystow://a/plots/large.png::s3://{bucket}/k.tar.gz") as file:
        assert file.read() == PLOT


def test_what_a_result_names_is_its_authors_word(result, tmp_path):
    unproven = written(tmp_path, name="unproven.json", checksum_sha256=None, index_sha256=None)
    with pytest.raises(ResultError, match="allow"):
        fsspec.open(f"keystow://score.txt::{unproven}").open()
    with fsspec.open(f"keystow://score.txt::{unproven}", allow=("file",)) as file:
        assert file.read() == b"42"
    elsewhere = tmp_path / "elsewhere.json"
    place = PublishedResult("s3", "bucket", "k.tar.gz", endpoint="https://s3.example.com", index_sha256="0" * 64)
    elsewhere.write_text(json.dumps(place.to_mapping()))
    with pytest.raises(ResultError, match=r"s3\.example\.com"):
        fsspec.open(f"keystow://score.txt::{elsewhere}", allow_endpoints=("https://store.example.org",)).open()


def test_where_servers_are_listed_fsspec_calls_no_other(result, monkeypatch):
    called = []
    monkeypatch.setattr(urllib.request, "urlopen", called.append)
    monkeypatch.setenv("KEYSTOW_ALLOW_ENDPOINTS", "https://store.example.org")
    with pytest.raises(ResultError, match="which servers"):
        fsspec.open(f"keystow://score.txt::simplecache::{result}").open()
    with pytest.raises(ResultError, match="which servers"):
        fsspec.open("keystow://score.txt::github://owner:repo@main/published.json").open()
    assert not called
    with fsspec.open(f"keystow://score.txt::{result}", allow=("file",)) as file:
        assert file.read() == b"42"


def test_what_is_not_what_was_published_is_not_opened(result):
    open_store(f"file://{result.parent}/store").write("k.tar.gz", [indexed.archive(Tree.of({"score.txt": b"43"}))])
    with pytest.raises(VerificationError):
        fsspec.open(f"keystow://score.txt::{result}").open()


def test_a_url_without_an_archive():
    with pytest.raises(ResultError, match=r"keystow://MEMBER::published\.yaml"):
        fsspec.open("keystow://score.txt")


def test_what_is_told_of_members(files):
    assert files.info("/a/first.csv") == {
        "name": "a/first.csv",
        "size": 8,
        "type": "file",
        "mtime": 1_700_000_000,
        "islink": False,
    }
    assert files.info("hard")["size"] == len(b"small")
    assert files.info("soft")["type"] == "link"
    assert files.info("soft")["destination"] == "a/first.csv"
    assert files.info("a/")["type"] == "directory"
    assert files.info("")["type"] == "directory"
    assert files.modified("score.txt") == datetime.fromtimestamp(1_700_000_000, UTC)
    assert files.size("a/plots/large.png") == len(PLOT)
    before = [files.info(name) for name in FILES]
    files.find("")
    assert [files.info(name) for name in FILES] == before


def test_listing_by_what_fsspec_offers(files):
    assert files.ls("", detail=False) == ["a", "empty", "hard", "score.txt", "soft"]
    assert [each["name"] for each in files.ls("keystow://a")] == ["a/first.csv", "a/plots"]
    assert files.ls("score.txt", detail=False) == ["score.txt"]
    assert files.find("") == sorted([*FILES, "hard", "soft"])
    assert files.find("a/plots", withdirs=True) == ["a/plots", "a/plots/large.png", "a/plots/small.png"]
    assert files.glob("**/*.png") == ["a/plots/large.png", "a/plots/small.png"]
    assert [(where, sorted(names)) for where, _, names in files.walk("a")] == [
        ("a", ["first.csv"]),
        ("a/plots", ["large.png", "small.png"]),
    ]
    assert files.du("a/plots") == len(PLOT) + 5
    with pytest.raises(FileNotFoundError):
        files.ls("nothing")


def test_directories_that_are_no_members(tmp_path):
    names = ("deep/down/here.txt", "top.txt")
    entries = tuple(Entry(name, "file", 2, 0) for name in names)
    files = fsspec.filesystem("keystow", fo=str(written(tmp_path, Tree(entries, lambda _: iter([b"42"])))))
    assert files.isdir("deep")
    assert files.ls("deep", detail=False) == ["deep/down"]
    assert files.find("") == [*names]
    assert files.info("deep/down")["type"] == "directory"


def test_what_is_there_and_what_is_not(files):
    assert all(files.exists(name) for name in ("", "a", "a/plots/small.png", "soft"))
    assert files.isfile("hard")
    assert not files.isfile("soft")
    assert not files.isfile("a")
    for name in ("nothing", "a/plots/small", "a/plot", "score.txt/x", "\ud800"):
        assert not files.exists(name)
        with pytest.raises(MemberNotFoundError):
            files.info(name)
        with pytest.raises(FileNotFoundError):
            files.cat_file(name)
    with pytest.raises(IsADirectoryError):
        files.open("a/plots")


@pytest.mark.parametrize(
    ("start", "end"),
    [(None, None), (5, 9), (-7, None), (None, -3), (-9, -2), (1 << 20, 3 << 20), (9, 5), (-1 << 40, 3)],
)
def test_parts_of_a_file(files, start, end):
    assert files.cat_file("a/plots/large.png", start, end) == PLOT[start:end]


def test_many_files_at_once(files, tmp_path):
    assert files.cat(["score.txt", "a/first.csv"]) == {"score.txt": b"42", "a/first.csv": b"a,b\n1,2\n"}
    files.get("a", str(tmp_path / "out"), recursive=True)
    assert (tmp_path / "out" / "plots" / "large.png").read_bytes() == PLOT


@pytest.mark.parametrize(
    "write",
    [
        lambda files: files.open("new", "wb"),
        lambda files: files.open("score.txt", "ab"),
        lambda files: files.pipe_file("new", b"x"),
        lambda files: files.touch("new"),
        lambda files: files.mkdir("new"),
        lambda files: files.makedirs("new/er"),
        lambda files: files.rm("score.txt"),
        lambda files: files.rm_file("score.txt"),
        lambda files: files.rmdir("a"),
        lambda files: files.cp_file("score.txt", "new"),
        lambda files: files.mv("score.txt", "new"),
        lambda files: files.put_file(__file__, "new/test.py"),
    ],
)
def test_nothing_is_written(files, write):
    with pytest.raises(OSError, match="Read-only") as raised:
        write(files)
    assert raised.value.errno == errno.EROFS


def test_it_is_pickled_by_its_arguments_and_kept_by_them(result):
    files = fsspec.filesystem("keystow", fo=str(result))
    assert files.cat_file("score.txt") == b"42"
    assert fsspec.filesystem("keystow", fo=str(result)) is files
    assert fsspec.filesystem("keystow", fo=str(result), verify=False) is not files
    assert fsspec.filesystem("keystow", fo=str(result), skip_instance_cache=True) is not files
    ArchiveFileSystem.clear_instance_cache()
    again = pickle.loads(pickle.dumps(files))
    assert again is not files
    assert again.cat_file("score.txt") == b"42"
    file = pickle.loads(pickle.dumps(fsspec.open(f"keystow://score.txt::{result}")))
    with file as opened:
        assert opened.read() == b"42"


def test_another_result_is_read_once_the_cache_is_forgotten(tmp_path):
    files = fsspec.filesystem("keystow", fo=str(written(tmp_path)))
    key = files.ukey("score.txt")
    written(tmp_path, tree_of({"score.txt": b"43"}))
    assert files.exists("a")
    files.invalidate_cache()
    assert files.cat_file("score.txt") == b"43"
    assert files.find("") == ["score.txt"]
    assert files.ukey("score.txt") != key


def test_several_threads(files):
    names = sorted(FILES) * 20
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(files.cat_file, names))
        assert found == [FILES[name] for name in names]
        assert set(map(tuple, pool.map(lambda _: files.find("a"), range(8)))) == {tuple(files.find("a"))}


class Counted(MemoryFileSystem):
    """fsspec's memory, which counts what is read of it."""

    protocol = "counted"
    asked = 0

    def cat_file(self, path, start=None, end=None, **options):
        Counted.asked += 1
        return super().cat_file(path, start, end, **options)


@pytest.fixture
def counted():
    fsspec.register_implementation("counted", Counted, clobber=True)
    Counted.asked = 0
    path = "/counted/k.tar.gz"
    files = {f"d{number % 100:02}/f{number:05}": os.urandom(2000) for number in range(3000)}
    Counted().pipe_file(path, indexed.archive(Tree.of(files)))
    yield path
    Counted().rm(path)


@pytest.mark.slow
def test_it_is_listed_once_and_a_name_looked_up(counted):
    files = fsspec.filesystem(
        "keystow", fo=counted, target_protocol="counted", target_options={"use_listings_cache": 0}
    )
    assert files.info("d07/f01207")["size"] == 2000
    assert len(files.cat_file("d07/f01207")) == 2000
    assert Counted.asked <= 3
    assert len(files.find("")) == 3000
    before = Counted.asked
    assert len(files.glob("d*/*7")) == 300
    assert not files.exists("d07/f99999")
    assert files.isdir("d07")
    assert Counted.asked == before


def test_an_archive_that_is_gone_is_not_a_member_that_is_not_there(counted):
    files = fsspec.filesystem(
        "keystow", fo=counted, target_protocol="counted", target_options={"use_listings_cache": 0}
    )
    assert files.exists("d00/f00000")
    content = Counted().cat_file(counted)
    Counted().rm(counted)
    try:
        with pytest.raises(StoreError, match="not there") as raised:
            files.cat_file("d00/f00000")
        assert not isinstance(raised.value, FileNotFoundError)
    finally:
        Counted().pipe_file(counted, content)


def test_an_absent_archive_is_no_empty_one(result):
    os.remove(result.parent / "store" / "k.tar.gz")
    files = fsspec.filesystem("keystow", fo=str(result))
    for ask in (files.exists, files.isfile, files.cat_file, files.ls):
        with pytest.raises(KeystowError) as raised:
            ask("score.txt")
        assert not isinstance(raised.value, FileNotFoundError)


@pytest.mark.slow
def test_pandas_reads_a_table(result):
    import pandas as pd

    table = pd.read_csv(f"keystow://a/first.csv::{result}")
    assert table.to_dict("list") == {"a": [1], "b": [2]}
    table = pd.read_csv("keystow://a/first.csv", storage_options={"fo": str(result)})
    assert table.to_dict("list") == {"a": [1], "b": [2]}


def laid_array(root, values, zarr_format):
    """The files of an array of bytes, in two chunks that nothing compresses, by their names in an archive."""
    import zarr

    zarr.create_array(root, data=values, chunks=(len(values) // 2,), compressors=None, zarr_format=zarr_format)
    return {f"made.zarr/{path.relative_to(root)}": path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.slow
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_zarr_reads_an_array_and_takes_no_loss_for_zeros(tmp_path, zarr_format):
    import numpy as np
    import zarr

    values = np.frombuffer(os.urandom(6 << 20), "u1")
    result = written(tmp_path, tree_of(laid_array(tmp_path / "made.zarr", values, zarr_format)))
    for url in (f"keystow://made.zarr::{result}", f"keystow://made.zarr::file://{tmp_path}/store/k.tar.gz"):
        array = zarr.open_array(url, mode="r")
        assert np.array_equal(array[:], values)
        assert np.array_equal(array[10:13], values[10:13])
    array = zarr.open_array(f"keystow://made.zarr::{result}", mode="r", storage_options={"timeout": 10})
    os.remove(tmp_path / "store" / "k.tar.gz")
    with pytest.raises(StoreError):
        array[:]


def test_upath_walks_through_it(result):
    path = UPath("keystow://a", fo=str(result))
    assert sorted(each.name for each in path.iterdir()) == ["first.csv", "plots"]
    assert (path / "first.csv").read_text() == "a,b\n1,2\n"
    assert (path / "plots").is_dir()
    assert not (path / "none").exists()
    assert sorted(each.path for each in path.glob("**/*.png")) == ["a/plots/large.png", "a/plots/small.png"]
    assert (path / "first.csv").stat().st_size == 8
    assert UPath(f"keystow://score.txt::file://{result}").read_bytes() == b"42"


def test_a_result_in_hand(result):
    mapping = json.loads(result.read_text())
    for fo in (mapping, result, PublishedResult.from_mapping(mapping)):
        assert fsspec.filesystem("keystow", fo=fo).cat_file("score.txt") == b"42"
