"""An index that ``keystow index`` makes beside an archive without one, and what is read by it."""

import gzip
import hashlib
import io
import json
import os
import tarfile
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import indexed
import pytest
from archive_strategies import END, member, pax, seen
from commands import complaint, keystow
from forged import forged, parts
from lying import Lie, parted
from sample_tree import FILES, PLOT, TREE, tree_of

from keystow import (
    Checksum,
    PublishedResult,
    Publisher,
    ResultError,
    VerificationError,
    fetch,
    open_archive,
    verify,
)
from keystow.archive import CorruptArchiveError, LimitExceededError, Limits, Tree
from keystow.archive.gzip import gzip as gzip_stream
from keystow.archive.selection import Choice
from keystow.backends import NotFoundError, open_store
from keystow.indexed import source_of
from keystow.members import chosen, gzidx_of, index_of, read_member
from keystow.testing import FaultyStore

SIZES = [512] * 8
DATA = indexed.data_and_index(TREE, sizes=SIZES, block=indexed.stored)[0]
SHA256 = hashlib.sha256(DATA).hexdigest()
KEY = "old.tar.gz"


class Published:
    """An archive without an index in a store, its result, and the file with its index."""

    def __init__(self, store, result, index):
        self.store, self.result, self.index = store, result, index


@pytest.fixture(params=["file", "memory", pytest.param("s3", marks=pytest.mark.server)])
def published(request, tmp_path):
    options = {}
    bucket = str(tmp_path / "store") if request.param == "file" else f"beside-{tmp_path.name}"
    if request.param == "s3":
        seaweed = request.getfixturevalue("seaweed")
        request.getfixturevalue("login")(seaweed)
        options = {"endpoint": seaweed.endpoint, "region": "us-east-1"}
        bucket = request.getfixturevalue("bucket")
    elif request.param == "file":
        os.mkdir(bucket)
    with closing(open_store(f"{request.param}://{bucket}", **options)) as store:
        sha256 = store.write(KEY, [DATA]).sha256
        result = PublishedResult(request.param, bucket, KEY, checksum_sha256=sha256, **options)
        yield Published(store, result, made(result, tmp_path / "index"))


def written(path, archive):
    """The index of an archive, in a file."""
    store = open_store(f"memory://{path.parent.name}")
    store.write(path.name, [archive])
    with source_of(PublishedResult("memory", path.parent.name, path.name), allow={"memory"}) as source:
        path.write_bytes(b"".join(index_of(source)[0]))
    return path


def made(result, path):
    with source_of(result) as source:
        found = index_of(source)
        assert (found.checksum, found.is_sequential) == (SHA256, False)
    path.write_bytes(b"".join(found.pieces))
    return path


def test_all_that_is_read_by_it(published, tmp_path):
    result, index = published.result, published.index
    with open_archive(result, index=index) as archive:
        assert archive.verified
        assert list(archive) == [entry.name for entry in TREE.entries]
        for name, content in FILES.items():
            assert archive.open(name).read() == content
    fetched = fetch(result, tmp_path / "out", members=["*.png", "hard"], index=str(index))
    assert fetched.verified
    assert seen(tmp_path / "out", times="").keys() == {"a", "a/plots", "a/plots/large.png", "a/plots/small.png", "hard"}
    verified = verify(result, members=["*.png"], index=index)
    assert (verified.members, verified.size) == (2, len(PLOT) + 5)
    assert verified.sha256 == fetched.sha256 == SHA256


def test_no_more_is_read_than_the_end_and_the_blocks(published):
    with source_of(published.result, store=published.store, index=published.index) as source:
        assert b"".join(read_member(source, "score.txt")) == b"42"
        assert source.bytes_read() <= 1 << 20 < len(DATA) // 3


def test_without_a_checksum_nothing_is_proved(published):
    bare = replace(published.result, checksum_sha256=None)
    with open_archive(bare, index=published.index) as archive:
        assert not archive.verified
        assert archive.open("score.txt").read() == b"42"
    with source_of(published.result, verify=False, index=published.index) as source:
        assert not source.proven
    with pytest.raises(ResultError, match="nothing proves a member of it"):
        verify(bare, members=["*.txt"], index=published.index)
    assert verify(bare, sha256=SHA256, members=["*.txt"], index=published.index).members == 1


def test_the_index_of_another_archive_is_refused(published, tmp_path):
    longer = indexed.data_and_index(Tree.of({"a": b"1"}))[0]
    changed = tree_of(
        {**FILES, "score.txt": b"43"}, *(entry for entry in TREE.entries if entry.name in {"hard", "soft"})
    )
    alike = indexed.data_and_index(changed, sizes=SIZES, block=indexed.stored)[0]
    assert len(alike) == len(DATA)
    others = [written(tmp_path / "longer", longer), written(tmp_path / "alike", alike)]
    for result in (published.result, replace(published.result, checksum_sha256=None)):
        for other in others:
            with pytest.raises(CorruptArchiveError) as raised:
                open_archive(result, index=other)
            assert "the index is of another archive" in str(raised.value)
            assert repr(str(other)) in raised.value.__notes__[0]
    wrong = replace(published.result, checksum_sha256=Checksum("0" * 64))
    with pytest.raises(VerificationError, match=f"an archive with the SHA-256 {SHA256}, and .* published with 000"):
        open_archive(wrong, index=published.index)
    bare = replace(wrong, checksum_sha256=None)
    with pytest.raises(VerificationError, match="published with 000"):
        fetch(bare, tmp_path / "out", members=["*"], sha256="0" * 64, index=published.index)
    assert not (tmp_path / "out").exists()


def test_what_is_in_the_store_now_is_not_what_the_index_is_of(published, tmp_path):
    damaged = bytearray(DATA)
    damaged[len(DATA) // 2] ^= 1
    published.store.write(KEY, [bytes(damaged)])
    result = replace(published.result, version_id=None)
    with pytest.raises(VerificationError, match=r"is not what the index in '.*index' is of: the block"):
        verify(result, members=["*.png"], index=published.index)
    with pytest.raises(VerificationError, match="is not what the index in"):
        fetch(result, tmp_path / "out", members=["*.png"], index=published.index)
    assert not (tmp_path / "out").exists()
    assert verify(result, members=["/score.txt"], index=published.index).members == 1
    published.store.write(KEY, [DATA + DATA])
    with pytest.raises(CorruptArchiveError):
        open_archive(replace(result, size=None), index=published.index)


def test_an_index_that_lies_hands_out_nothing(published, tmp_path):
    _, root, (page,) = parts(DATA + published.index.read_bytes())
    names = page["members"]["name"]
    for change in (
        {"name": [*names[:-1], "z"]},
        {"size": [size + (name == "score.txt") for name, size in zip(names, page["members"]["size"], strict=True)]},
        {"crc32": [0] * len(names)},
        {"mode": [0o755] * len(names)},
    ):
        lying = tmp_path / "lying"
        lying.write_bytes(forged(b"", root, [page | {"members": page["members"] | change}]))
        with pytest.raises(VerificationError, match="is not what the index in"):
            fetch(published.result, tmp_path / "out", members=["*"], index=lying)
        assert not (tmp_path / "out").exists()


def test_what_has_an_index_takes_no_other(tmp_path, published):
    data, index = indexed.data_and_index(TREE)
    published.store.write("own.tar.gz", [data + b"".join(index.pieces)])
    own = replace(published.result, key="own.tar.gz", checksum_sha256=None, version_id=None)
    known = replace(own, index_sha256=Checksum(index.sha256))
    with pytest.raises(ResultError, match="has an index of its own, as its result says"):
        open_archive(known, index=published.index)
    with pytest.raises(CorruptArchiveError):
        open_archive(own, index=published.index)
    whole = replace(own, checksum_sha256=Checksum(hashlib.sha256(data + b"".join(index.pieces)).hexdigest()))
    for result in (known, own, whole):
        with source_of(result) as source, pytest.raises(ResultError, match="it has an index already, behind its data"):
            index_of(source)


def test_limits_hold_where_one_is_made(published):
    for limits in (Limits(members=len(TREE.entries) - 1), Limits(bytes=1000)):
        with source_of(published.result) as source, pytest.raises(LimitExceededError):
            index_of(source, limits)


def test_another_archive_than_the_published_one_has_none_made(published):
    wrong = replace(published.result, checksum_sha256=Checksum("0" * 64))
    with source_of(wrong) as source, pytest.raises(VerificationError):
        index_of(source)
    published.store.write(KEY, [DATA[:-9]])
    with source_of(replace(published.result, version_id=None)) as source, pytest.raises(VerificationError):
        index_of(source)


def test_what_is_no_file_with_an_index(published, tmp_path):
    (tmp_path / "empty").touch()
    with pytest.raises(NotFoundError):
        open_archive(published.result, index=tmp_path / "none")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ResultError, match="no file that is read in parts"):
        open_archive(published.result, index=tmp_path / "pipe")
    with pytest.raises(ResultError, match="named by bytes"):
        open_archive(published.result, index=os.fsencode(published.index))
    for path in (tmp_path / "empty", __file__):
        with pytest.raises(CorruptArchiveError, match="no index that lies beside an archive"):
            open_archive(published.result, index=path)
    for wrong in ({}, {"members": None}):
        with pytest.raises(ResultError, match="index= is for members"):
            fetch(published.result, tmp_path / "out", index=published.index, **wrong)
        with pytest.raises(ResultError, match="index= is for members"):
            verify(published.result, index=published.index, **wrong)
    with pytest.raises(ResultError, match="index= is for members"):
        verify(published.result, index=published.index, against=tmp_path)


def test_by_a_url(liar, tmp_path):
    index = written(tmp_path / "index", DATA)
    server = liar(lambda asked: parted(asked, DATA))
    url = f"{server.url}/bucket/k.tar.gz?X-Amz-Signature=secret"
    with open_archive(url, index=index) as archive:
        assert not archive.verified
        assert archive.open("a/plots/large.png").read() == PLOT
    assert fetch(url, tmp_path / "out", members=["*.txt"], index=index, sha256=SHA256).verified
    with pytest.raises(VerificationError, match="an archive with the SHA-256"):
        fetch(url, tmp_path / "none", members=["*.txt"], index=index, sha256="0" * 64)
    whole = liar(lambda asked: Lie(200, {"ETag": '"1"'}, [DATA]))
    assert fetch(f"{whole.url}/k.tar.gz?X-Amz-Signature=s", tmp_path / "whole", members=["*.txt"], index=index).members


@pytest.mark.slow
def test_by_the_file_system(tmp_path):
    import fsspec

    index = written(tmp_path / "index", DATA)
    result = tmp_path / "result.json"
    (tmp_path / KEY).write_bytes(DATA)
    known = PublishedResult("file", str(tmp_path), KEY, checksum_sha256=Checksum(SHA256))
    result.write_text(json.dumps(known.to_mapping()))
    for fo, more in (
        (result, {}),
        (f"file://{tmp_path}/{KEY}", {}),
        (f"{tmp_path}/{KEY}", {"target_protocol": "file", "target_options": {"auto_mkdir": False}}),
    ):
        files = fsspec.filesystem("keystow", fo=str(fo), index=str(index), **more)
        assert files.cat_file("a/plots/large.png") == PLOT
        files.invalidate_cache()
        with pytest.raises(ResultError, match="cannot be read in parts"):
            fsspec.filesystem("keystow", fo=str(fo), **more).info("score.txt")


def test_by_a_publisher(published, tmp_path):
    result = replace(published.result, claimed=True)
    place = f"{result.type}://{result.bucket}/{{jobID}}"
    with Publisher(place, store=published.store) as publisher:
        assert publisher.fetch(result, tmp_path / "out", members=["*.txt"], index=published.index).verified
        assert publisher.verify(result, members=["*.txt"], index=published.index).members == 1


@pytest.mark.slow
def test_the_commands(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / KEY).write_bytes(DATA)
    result = tmp_path / "result.json"
    known = PublishedResult("file", f"{tmp_path}/store", KEY, checksum_sha256=Checksum(SHA256))
    result.write_text(json.dumps(known.to_mapping()))
    assert "name the file to write: --index FILE" in complaint(keystow("index", result), 2)
    index = tmp_path / "the index"
    ran = keystow("index", result, "--index", index)
    assert ran == (0, "", f"keystow: the index is in {str(index)!r}, of an archive with the SHA-256 {SHA256}\n")
    again = keystow("index", tmp_path / "store" / KEY, "--output", "json")
    beside = Path(f"{tmp_path}/store/{KEY}.index")
    assert json.loads(again.out) == {"file": str(beside), "bytes": len(index.read_bytes()), "sequential": False}
    assert "a result with neither IndexSHA256 nor ChecksumSHA256" in again.err
    assert beside.read_bytes() == index.read_bytes()
    given = ("--index", index)
    assert keystow("ls", result, *given).out.splitlines() == [entry.name for entry in TREE.entries]
    assert keystow("cat", result, "score.txt", *given) == (0, "42", "")
    assert keystow("cat", f"file://{tmp_path}/store/{KEY}", "score.txt", "--index", beside).out == "42"
    ran = keystow("get", result, tmp_path / "out", "--member", "*.txt", *given)
    assert (ran.status, os.listdir(tmp_path / "out")) == (0, ["score.txt"])
    assert "verified 2 members" in keystow("verify", result, "--member", "*.png", *given).err
    assert f", SHA-256 {SHA256}" in keystow("verify", result, "--member", "*.png", *given).err
    assert "--index is for members of an archive: give --member, or" in complaint(keystow("verify", result, *given), 2)
    assert "--index: what for?" in complaint(keystow("ls", f"file://{tmp_path}/store/{{jobID}}", *given), 2)
    assert keystow("index", result, "--index", index, "--gzidx", index).status == 2
    assert "it has no index" in complaint(keystow("index", f"file://{tmp_path}/store/{KEY}", "--gzidx", index), 2)


@pytest.mark.slow
def test_no_file_is_lost_to_an_index(tmp_path):
    archive, notes, link = tmp_path / KEY, tmp_path / "notes", tmp_path / "link"
    archive.write_bytes(DATA)
    notes.write_bytes(b"mine")
    link.symlink_to(archive)
    for asked in (str(archive), f"file://{archive}"):
        for option in ("--index", "--gzidx"):
            for path in (archive, link):
                assert "is the archive itself" in complaint(keystow("index", asked, option, path), 2)
            assert "is there and no index" in complaint(keystow("index", asked, option, notes), 2)
    assert (archive.read_bytes(), notes.read_bytes()) == (DATA, b"mine")
    notes.write_bytes(b"")
    for _ in range(2):
        assert keystow("index", archive, "--index", notes).status == 0
    assert notes.read_bytes() == written(tmp_path / "index", DATA).read_bytes()


NOISE = os.urandom(6 << 20)
OTHER = gzip.compress(NOISE, mtime=0)


def test_what_is_no_archive_of_keystow_is_compared_first(published):
    published.store.write(KEY, [OTHER])
    replaced = replace(published.result, version_id=None)
    with source_of(replaced) as source, pytest.raises(VerificationError, match="was published"):
        index_of(source)
    sound = replace(replaced, checksum_sha256=Checksum(hashlib.sha256(OTHER).hexdigest()))
    with source_of(sound) as source, pytest.raises(CorruptArchiveError, match="a tar header"):
        index_of(source)


def test_no_more_is_compared_than_limits_allow(tmp_path):
    (tmp_path / KEY).write_bytes(OTHER + NOISE * 4)
    result = PublishedResult("file", str(tmp_path), KEY, checksum_sha256=Checksum("0" * 64))
    with source_of(result) as source:
        with pytest.raises(CorruptArchiveError, match="a tar header"):
            index_of(source, Limits(bytes=1 << 20))
        assert source.bytes_read() < 4 * len(NOISE)


def test_no_thread_is_left_while_an_error_is_handled(published):
    published.store.write(KEY, [OTHER])
    with source_of(replace(published.result, checksum_sha256=None, version_id=None)) as source:
        try:
            index_of(source)
        except CorruptArchiveError:
            assert "keystow-sha256" not in str(threading.enumerate())


def others(name="others.tar.gz"):
    """What Python's tarfile packs, in no order, with the directory itself in front."""
    made = io.BytesIO()
    with tarfile.open(name, "w:gz", made) as archive:
        for each, content in {"./": None, "./small": b"42", "./noise": NOISE, "./b": b"of another"}.items():
            header = tarfile.TarInfo(each)
            header.type, header.size = (b"5", 0) if content is None else (b"0", len(content))
            archive.addfile(header, io.BytesIO(content or b""))
    return made.getvalue()


def test_what_another_program_packed_is_read_up_to_what_is_asked_for(published, tmp_path):
    packed = others()
    published.store.write(KEY, [packed])
    sha256 = Checksum(hashlib.sha256(packed).hexdigest())
    result = replace(published.result, version_id=None, checksum_sha256=sha256)
    with source_of(result) as source:
        found = index_of(source)
    assert (found.checksum, found.is_sequential) == (sha256, True)
    index = tmp_path / "others"
    index.write_bytes(b"".join(found.pieces))
    with source_of(result, store=published.store, index=index) as source:
        assert b"".join(read_member(source, "small")) == b"42"
        assert source.bytes_read() < len(packed) // 4
        with pytest.raises(ResultError, match="it inflates only from its start"):
            gzidx_of(source)
    with open_archive(result, index=index) as archive:
        assert archive.verified
        assert list(archive) == ["small", "noise", "b"]
        with archive.open("noise") as noise, archive.open("b") as other:
            assert other.read() == b"of another"
            noise.seek(-100, os.SEEK_END)
            assert noise.read() == NOISE[-100:]
            noise.seek(0)
            assert noise.read() == NOISE
    assert fetch(result, tmp_path / "out", members=["noise"], index=index).verified
    assert (tmp_path / "out" / "noise").read_bytes() == NOISE
    assert verify(result, members=["b", "small"], index=index).sha256 == sha256
    damaged = bytearray(packed)
    damaged[-1500] ^= 1
    published.store.write(KEY, [bytes(damaged)])
    assert verify(result, members=["small"], index=index).members == 1
    with pytest.raises(VerificationError, match="is not what the index in"):
        verify(result, members=["b"], index=index)


def test_hard_links_are_read_in_the_order_of_what_they_lead_to(published, tmp_path):
    """Of a sequential archive, each step back would begin anew."""
    made, files = io.BytesIO(), {f"store/{number:02}": NOISE[number * 100_000 :][:100_000] for number in range(40)}
    with tarfile.open(mode="w:gz", fileobj=made) as archive:
        for name, content in files.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content))
        for name in reversed(files):
            header = tarfile.TarInfo(name.replace("store", "pkg"))
            header.type, header.linkname = b"1", name
            archive.addfile(header)
    published.store.write(KEY, [made.getvalue()])
    index = written(tmp_path / "links", made.getvalue())
    result = replace(published.result, version_id=None, checksum_sha256=None)
    with source_of(result, store=published.store, index=index) as source:
        with chosen(source, Choice(["pkg/*"]), Limits()) as members:
            found = {entry.name: b"".join(content) for entry, content in members}
        assert source.bytes_read() < 1.2 * len(made.getvalue())
    assert found == {name.replace("store", "pkg"): content for name, content in files.items()}


UNLIKE = {
    "a GNU name": member(b"L", b"L", b"n" * 200 + b"\0", magic=b"ustar  \0") + member(b"n", content=b"1"),
    "what holds for all": pax(b"g", comment=b"of git") + member(b"n", content=b"1"),
    "more of pax": pax(comment=b"x") + pax(path=b"m") + member(b"n", content=b"1"),
}


@pytest.mark.parametrize("members", UNLIKE.values(), ids=UNLIKE)
def test_a_tar_of_others_in_blocks_of_keystows(tmp_path, members):
    """What the first look takes for damage is none."""
    index = written(tmp_path / "index", b"".join(gzip_stream([members + END])))
    assert index.read_bytes()


@pytest.mark.slow
def test_the_commands_of_what_another_program_packed(tmp_path):
    archive = tmp_path / "others.tar.gz"
    archive.write_bytes(others())
    ran = keystow("index", archive)
    assert ran.status == 0
    assert "inflates only from its start: what reads a member reads all that lies before it" in ran.err
    given = (f"file://{archive}", "--index", f"{archive}.index")
    assert keystow("ls", *given).out == "small\nnoise\nb\n"
    assert keystow("cat", given[0], "b", *given[1:]).out == "of another"
    ran = keystow("get", given[0], tmp_path / "out", "--member", "b", *given[1:])
    assert (ran.status, os.listdir(tmp_path / "out")) == (0, ["b"])
    assert json.loads(keystow("index", archive, "--output", "json").out)["sequential"] is True


def test_what_is_long_is_read_as_a_stream(published, tmp_path):
    data = indexed.data_and_index(Tree.of({"noise": NOISE}), block=indexed.stored)[0]
    index = written(tmp_path / "long", data)
    published.store.write(KEY, [data])
    bare = replace(published.result, checksum_sha256=None, version_id=None, size=None)
    with source_of(bare, index=index) as source:
        assert source.index._stream == source._ranges.stream
        assert b"".join(read_member(source, "noise")) == NOISE


@pytest.mark.parametrize(
    ("at", "limits", "error"),
    [(0.25, None, CorruptArchiveError), (None, Limits(bytes=1000), LimitExceededError)],
    ids=["damaged", "too long"],
)
def test_a_stream_has_ended_while_it_is_handled_that_a_member_is_not_read(tmp_path, at, limits, error):
    """Whoever reads ahead is told at once, and not when somebody lets go of the error."""
    reading = []

    class Noting(FaultyStore):
        def read(self, key, **options):
            reading.append(options)
            try:
                yield from super().read(key, **options)
            finally:
                reading.remove(options)

    store = Noting(open_store("memory://damaged"))
    data = indexed.data_and_index(Tree.of({"noise": NOISE * 3}), block=indexed.stored)[0]
    index = written(tmp_path / "long", data)
    damaged = bytearray(data)
    if at is not None:
        damaged[int(len(data) * at)] ^= 1
    store.write(KEY, [bytes(damaged)])
    with source_of(PublishedResult("memory", "damaged", KEY), index=index, store=store, allow={"memory"}) as source:
        with pytest.raises(error) as caught:
            b"".join(read_member(source, "noise", limits))
        assert reading == [], caught
