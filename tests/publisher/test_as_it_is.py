"""One file, or one stream, under exactly the key that was given: `--raw`, `raw=True`, `Encoding: raw`."""

import asyncio
import contextlib
import fcntl
import hashlib
import io
import os
import signal
import subprocess
import sys
import termios
import time
import urllib.request
from dataclasses import replace

import pytest
import yaml
from commands import KEYSTOW, UNHURRIED, complaint, keystow
from hypothesis import given, settings
from hypothesis import strategies as st

from keystow import (
    AlreadyExistsError,
    AlreadyPublishedError,
    Context,
    PublishedResult,
    Publisher,
    ResultError,
    SourceError,
    SpecError,
    StoreError,
    VerificationError,
    apublish,
    fetch,
    open_store,
    presign,
    publish,
    verify,
)
from keystow.archive import LimitExceededError, Limits, SourceChangedError
from keystow.backends import AccessDeniedError, NotFoundError, StoreUnavailableError
from keystow.keys import KeyRuleError
from keystow.testing import Fault, FaultyStore

pytestmark = pytest.mark.slow

DATA = bytes(range(256)) * 5
LARGE = 20 << 20  # several parts


class Stream:
    """Nothing but ``read``, which gives what it has piece by piece, and then raises ``failure``, if there is one."""

    def __init__(self, *pieces, failure=None):
        self._pieces = [*pieces]
        self._failure = failure

    def read(self, size):
        if self._pieces:
            return self._pieces.pop(0)
        if self._failure is not None:
            raise self._failure
        return b""


class LostError(Exception):
    """A producer's own."""


def told(ran):
    assert ran.status == 0, ran
    return [line.removeprefix("keystow: ") for line in ran.err.splitlines()]


def unread(pipe):
    """The bytes in a pipe (FIONREAD, ioctl_pipe(2))."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


@pytest.fixture
def file(tmp_path):
    """One file of bytes that are no text."""
    (tmp_path / "data.bin").write_bytes(DATA)
    return tmp_path / "data.bin"


# ---------------------------------------------------------------------------------------------------
# There and back


@pytest.mark.parametrize("source", ["a file", "a stream", "an open file"])
def test_there_and_back(place, file, tmp_path, stored, source):
    with file.open("rb") as opened:
        given_source = {"a file": file, "a stream": io.BytesIO(DATA), "an open file": opened}[source]
        published = publish(given_source, place("{jobID}/key.bin"), Context(job_id="abc123"), raw=True)
        assert not opened.closed
    assert published.key.endswith("abc123/key.bin")
    assert published.encoding == "raw"
    assert b"".join(stored(published).read(published.key)) == DATA
    assert published.checksum_sha256 == hashlib.sha256(DATA).hexdigest()
    assert verify(published).objects == 1
    assert verify(published).size == len(DATA)
    back = fetch(published, tmp_path / "back")
    assert (back.members, back.bytes, back.verified) == (1, len(DATA), True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "back").iterdir()} == {"key.bin": DATA}


@pytest.mark.parametrize("name", ["key", "key.tar.gz", "KEY.TXT", "a b", "文件.bin", "-"])
def test_the_key_is_the_one_that_was_given(place, file, tmp_path, name):
    published = publish(file, place(f"exact/{name}"), raw=True)
    assert published.key.endswith(name)
    fetch(published, tmp_path / "back")
    assert os.listdir(tmp_path / "back") == [name]


@settings(max_examples=30)
@given(pieces=st.lists(st.binary(min_size=1, max_size=1 << 12), max_size=6))
def test_any_stream_is_stored_byte_for_byte(tmp_path_factory, pieces):
    base = tmp_path_factory.mktemp("any")
    whole = b"".join(pieces)
    for number, root in enumerate((f"file://{base}/out", f"memory://{base.name}")):
        published = publish(Stream(*pieces), f"{root}/a/x.bin", raw=True)
        assert published.checksum_sha256 == hashlib.sha256(whole).hexdigest()
        fetch(published, base / f"back-{number}")
        assert (base / f"back-{number}" / "x.bin").read_bytes() == whole


def test_a_stream_of_many_parts(place, noise, tmp_path):
    with (noise / "data").open("rb") as stream:
        stream.seek(5)
        published = publish(stream, place("large"), raw=True)
    expected = (noise / "data").read_bytes()[5:]
    assert published.checksum_sha256 == hashlib.sha256(expected).hexdigest()
    fetch(published, tmp_path / "back")
    assert (tmp_path / "back" / "large").read_bytes() == expected


@pytest.mark.parametrize(
    "destination",
    [
        "memory://{0}/k.bin,opt=encoding=raw",
        {"Type": "memory", "Params": {"Bucket": "{0}", "Key": "k.bin", "Encoding": "Raw"}},
    ],
    ids=["imperative", "declarative"],
)
def test_the_destination_may_say_so(file, tmp_path, stored, destination):
    if isinstance(destination, dict):
        destination["Params"]["Bucket"] = tmp_path.name
    else:
        destination = destination.format(tmp_path.name)
    published = publish(file, destination, allow=["memory"])
    assert (published.key, published.encoding) == ("k.bin", "raw")
    assert b"".join(stored(published).read(published.key)) == DATA


def test_a_publisher_and_a_loop_publish_so_too(file, tmp_path):
    with Publisher(f"memory://{tmp_path.name}/{{jobID}}.bin", raw=True) as publisher:
        one = publisher.publish(io.BytesIO(b"1"), Context(job_id="a"))
        other = publisher.publish(file, Context(job_id="b"))
        assert publisher.verify(one).size == 1
        publisher.fetch(other, tmp_path / "back")
    assert (tmp_path / "back" / "b.bin").read_bytes() == DATA
    awaited = asyncio.run(apublish(io.BytesIO(b"1"), f"memory://{tmp_path.name}/c", raw=True))
    assert awaited.checksum_sha256 == one.checksum_sha256


def test_progress_counts_what_has_arrived(file, tmp_path):
    seen = []
    publish(Stream(b"12", b"3"), f"memory://{tmp_path.name}/k", raw=True, progress=lambda *done: seen.append(done))
    assert seen == [(3, 3)]
    seen.clear()
    publish(file, f"memory://{tmp_path.name}/k", raw=True, progress=lambda *done: seen.append(done))
    assert seen == [(0, len(DATA)), (len(DATA), len(DATA))]


@pytest.mark.server
def test_a_url_serves_the_very_bytes_with_the_type_of_the_name(s3_place, tmp_path):
    (tmp_path / "page.html").write_bytes(b"<p>")
    for source, expected in ((tmp_path / "page.html", "text/html"), (io.BytesIO(b"<p>"), "application/octet-stream")):
        published = publish(source, s3_place("page"), raw=True)
        with urllib.request.urlopen(presign(published, expires=60)) as answer:
            assert (answer.read(), answer.headers["Content-Type"]) == (b"<p>", expected)


@pytest.mark.server
def test_the_version_is_fetched_after_it_was_overwritten(seaweed, versioned_bucket, login, tmp_path):
    login(seaweed)
    where = f"s3://{versioned_bucket}/raw.bin,opt=endpoint={seaweed.endpoint}"
    old = publish(io.BytesIO(b"old"), where, raw=True)
    publish(io.BytesIO(b"newer"), where, raw=True)
    assert fetch(old, tmp_path / "back").verified
    assert (tmp_path / "back" / "raw.bin").read_bytes() == b"old"


# ---------------------------------------------------------------------------------------------------
# The result


def test_a_result_is_read_as_it_was_written(file, tmp_path):
    published = publish(file, f"memory://{tmp_path.name}/k.bin", raw=True)
    assert published.to_mapping()["Params"]["Encoding"] == "raw"
    assert PublishedResult.from_mapping(published.to_mapping()) == published
    assert verify(published.to_mapping()).sha256 == published.checksum_sha256


def test_where_it_lies_is_an_archive_unless_it_is_said(file, tmp_path):
    published = publish(file, f"file://{tmp_path}/out/k.bin", raw=True)
    assert PublishedResult.parse("s3://bucket/k.bin").encoding == "gzip"
    back = fetch(f"{published.url},opt=encoding=raw", tmp_path / "back", sha256=published.checksum_sha256)
    assert back.verified
    assert (tmp_path / "back" / "k.bin").read_bytes() == DATA


def test_it_can_be_the_input_of_a_job():
    entry = PublishedResult("s3", "b", "a/k.bin", encoding="raw").to_input_source("/inputs")
    assert entry["Source"]["Params"]["Key"] == "a/k.bin"


@pytest.mark.parametrize(("key", "said"), [("a/", "ends with '/'"), ("a/..", "the segment '..'")])
def test_a_key_that_names_no_file_is_no_result(key, said):
    with pytest.raises(ResultError, match=said):
        PublishedResult("s3", "b", key, encoding="raw")
    with pytest.raises(ResultError, match=said):
        PublishedResult.parse(f"s3://b/{key},opt=encoding=raw")


def test_a_name_that_no_disk_can_hold_leaves_nothing(file, tmp_path):
    published = publish(file, f"memory://{tmp_path.name}/a/{'n' * 256}", raw=True)
    with pytest.raises(LimitExceededError, match="the disk cannot hold the member"):
        fetch(published, tmp_path / "back")
    assert sorted(os.listdir(tmp_path)) == ["data.bin"]


def test_limits_bound_it(file, tmp_path):
    published = publish(file, f"memory://{tmp_path.name}/k", raw=True)
    for check in (
        lambda limits: fetch(published, tmp_path / "back", limits=limits),
        lambda limits: verify(published, limits=limits),
    ):
        with pytest.raises(LimitExceededError):
            check(Limits(bytes=len(DATA) - 1))
        assert check(Limits(bytes=len(DATA)))


@pytest.mark.parametrize("tampered", [DATA[:-1], DATA + b"\0", b"", bytes(len(DATA))])
def test_what_is_not_as_it_was_published(place, file, tmp_path, stored, tampered):
    published = publish(file, place("k.bin"), raw=True)
    stored(published).write(published.key, [tampered])
    for check in (lambda: verify(published), lambda: fetch(published, tmp_path / "back")):
        with pytest.raises(VerificationError, match=str(published.checksum_sha256)):
            check()
    assert not (tmp_path / "back").exists()
    assert not fetch(published, tmp_path / "unchecked", verify=False).verified
    assert (tmp_path / "unchecked" / "k.bin").read_bytes() == tampered


@pytest.mark.parametrize(("difference", "what"), [(1, "fewer"), (-1, "more")])
def test_content_of_another_length_than_was_announced(file, tmp_path, difference, what):
    class Lying(FaultyStore):
        def stat(self, key, *, version_id=None):
            found = super().stat(key, version_id=version_id)
            return replace(found, size=found.size + difference)

    published = publish(file, f"memory://{tmp_path.name}/k", raw=True)
    with pytest.raises(StoreError, match=f"bytes were announced, and {what} came"):
        fetch(published, tmp_path / "back", store=Lying(open_store(f"memory://{tmp_path.name}")))
    assert not (tmp_path / "back").exists()


# ---------------------------------------------------------------------------------------------------
# All or nothing


@pytest.mark.parametrize("size", [1, LARGE], ids=["one request", "in parts"])
@pytest.mark.parametrize(
    "failure", [LostError("the producer died"), KeyboardInterrupt()], ids=["failed", "interrupted"]
)
def test_a_stream_that_fails_publishes_nothing(place, stored, size, failure):
    before = publish(io.BytesIO(b"before"), place("k"), raw=True)
    pieces = [bytes(1 << 20)] * (size >> 20) or [b"1"]
    with pytest.raises(type(failure)) as caught:
        publish(Stream(*pieces, failure=failure), place("k"), raw=True)
    assert caught.value is failure
    with pytest.raises(type(failure)):
        publish(Stream(*pieces, failure=failure), place("absent"), raw=True)
    assert verify(before)
    assert [found.key for found in stored(before).list(before.key[:-1])] == [before.key]


def test_a_store_that_fails_publishes_nothing(tmp_path):
    store = FaultyStore(open_store(f"memory://{tmp_path.name}"), Fault("write"))
    with pytest.raises(StoreError, match="as it was ordered to"):
        publish(io.BytesIO(DATA), f"memory://{tmp_path.name}/k", store=store, raw=True)
    assert list(store.list()) == []


def test_a_file_that_changes_meanwhile_is_not_published(file, tmp_path):
    file.write_bytes(bytes(1 << 20))
    with pytest.raises(SourceChangedError, match=r"data\.bin' changed"):
        publish(file, f"memory://{tmp_path.name}/k", raw=True, progress=lambda *_: file.write_bytes(b"2"))
    assert list(open_store(f"memory://{tmp_path.name}").list()) == []


# ---------------------------------------------------------------------------------------------------
# What stands there already


@pytest.mark.parametrize("size", [len(DATA), LARGE], ids=["one request", "in parts"])
def test_a_stream_is_compared_with_what_stands_there(place, size):
    data = (DATA * (size // len(DATA) + 1))[:size]
    first = publish(io.BytesIO(data), place("k"), raw=True, if_exists="skip")
    assert publish(io.BytesIO(data), place("k"), raw=True, if_exists="skip") == first
    with pytest.raises(AlreadyPublishedError) as caught:
        publish(io.BytesIO(data), place("k"), raw=True, if_exists="error")
    assert caught.value.result == first
    for other in (data[:-1] + b"x", data + b"x", b""):
        with pytest.raises(AlreadyExistsError, match="differs from what would have been published"):
            publish(io.BytesIO(other), place("k"), raw=True, if_exists="skip")
        with pytest.raises(AlreadyExistsError) as caught:
            publish(io.BytesIO(other), place("k"), raw=True, if_exists="error")
        assert not isinstance(caught.value, AlreadyPublishedError)
    assert verify(first)


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_what_a_store_refuses_before_it_has_read_all_is_read_on(tmp_path, nth):
    """It may refuse at the first byte, or in the middle."""

    class Hasty(FaultyStore):
        def write(self, key, chunks, **options):
            for number, _ in enumerate(chunks, 1):
                if number == nth:
                    raise AlreadyExistsError(f"{key} already exists")

    url = f"memory://{tmp_path.name}/k"
    pieces = b"123", b"45", b"6"
    first = publish(Stream(*pieces), url, raw=True)
    store = Hasty(open_store(f"memory://{tmp_path.name}"))
    assert publish(Stream(*pieces), url, store=store, raw=True, if_exists="skip") == first
    with pytest.raises(AlreadyExistsError, match="differs"):
        publish(Stream(b"123", b"45", b"7"), url, store=store, raw=True, if_exists="skip")


# ---------------------------------------------------------------------------------------------------
# Calls that are wrong


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"level": 3}, "level=3 is for directories"),
        ({"symlinks": "follow"}, 'symlinks="follow" is for directories'),
        ({"special": "skip"}, 'special="skip" is for directories'),
        ({"include": ["a"]}, "a choice by patterns is for directories"),
        ({"exclude": ["a"]}, "a choice by patterns is for directories"),
        ({"archive": True}, "raw=True and archive=True are two ways to publish"),
        ({"archive": False}, "raw=True and archive=False are two ways to publish"),
    ],
)
def test_what_is_about_directories_is_refused(options, said):
    stream = io.BytesIO(DATA)
    with pytest.raises(SpecError, match=said):
        publish(stream, "memory://b/k", raw=True, **options)
    with pytest.raises(SpecError, match=said):
        Publisher("memory://b/k", raw=True, **options)
    assert stream.tell() == 0


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (io.StringIO("text"), 'a stream of text: open it with "rb"'),
        (b"bytes", "a bytes is no source: give a path, or a binary stream"),
        (None, "a NoneType is no source"),
        (Stream(), None),
    ],
)
def test_what_is_no_source(source, said):
    with pytest.raises(SpecError, match="can only be published as it is: give raw=True"):
        publish(source, "memory://never/k")
    if said is not None:
        with pytest.raises(SpecError, match=said):
            publish(source, "memory://never/k", raw=True)
    assert list(open_store("memory://never").list()) == []


def test_a_stream_that_is_closed_or_gives_no_bytes(tmp_path):
    closed = io.BytesIO(DATA)
    closed.close()
    with pytest.raises(SpecError, match="a stream that is closed"):
        publish(closed, "memory://never/k", raw=True)
    with pytest.raises(SourceError, match="the stream gives str"):
        publish(Stream("text"), "memory://never/k", raw=True)
    assert list(open_store("memory://never").list()) == []


def test_a_directory_is_no_file(tmp_path):
    with pytest.raises(SpecError, match=r"raw=True publishes one file, and .* is a directory: name a file in it"):
        publish(tmp_path, "memory://never/k", raw=True)


def test_a_key_that_ends_with_a_slash_names_no_file(file):
    with pytest.raises(KeyRuleError, match=r"the key 'a/' ends with '/', and one file has a name of its own"):
        publish(file, "memory://never/a/", raw=True)


def test_a_file_is_not_published_onto_itself(file, tmp_path):
    with pytest.raises(SpecError, match="lies inside the source"):
        publish(file, f"file://{file}", raw=True)
    assert file.read_bytes() == DATA


# ---------------------------------------------------------------------------------------------------
# The command


def test_the_command_takes_standard_input(place, tmp_path):
    ran = keystow("publish", "-", place("a/out.txt"), "--raw", stdin="42\n")
    if place.name == "memory":
        assert told(ran)[-1].startswith("published standard input of 3 bytes to memory://")
        return
    (line,) = told(ran)
    assert line.startswith("published standard input of 3 bytes to ")
    params = yaml.safe_load(ran.out)["PublishedResult"]["Params"]
    assert params["Encoding"] == "raw"
    assert params["ChecksumSHA256"] == f"0x{hashlib.sha256(b'42' + bytes([10])).hexdigest()}"
    (tmp_path / "result.yaml").write_text(ran.out)
    assert "verified 1 object of 3 bytes" in told(keystow("verify", tmp_path / "result.yaml"))[0]
    told(keystow("get", tmp_path / "result.yaml", tmp_path / "back"))
    assert (tmp_path / "back" / "out.txt").read_text() == "42\n"
    again = keystow("publish", "-", place("a/out.txt"), "--raw", "--if-exists", "skip", stdin="42\n")
    assert told(again)[0].startswith("already there, with the same content: ")
    assert again.out == ran.out
    assert "differs" in complaint(keystow("publish", "-", place("a/out.txt"), "--raw", "--if-exists", "skip"), 3)
    if place.name == "s3":
        url = keystow("url", tmp_path / "result.yaml", "--expires", "60").out.strip()
        with urllib.request.urlopen(url) as answer:
            assert answer.read() == b"42\n"


def test_the_command_takes_a_file(file, file_place, tmp_path):
    ran = keystow("publish", file, file_place("k.bin"), "--raw", "--result", tmp_path / "r.yaml", SOURCE_DATE_EPOCH="7")
    assert told(ran) == [f"published 1 file of {len(DATA)} bytes to {file_place('k.bin')}"]
    assert ran.out == ""
    assert verify(tmp_path / "r.yaml").size == len(DATA)
    assert (tmp_path / "published" / "k.bin").read_bytes() == DATA
    as_key = keystow("publish", file, f"{file_place('k.bin')},opt=encoding=raw", "--output", "key")
    assert as_key.out == "k.bin\n"


def test_a_dry_run_reads_no_standard_input():
    read, write = os.pipe()
    try:
        done = subprocess.run(
            [*KEYSTOW, "publish", "-", "s3://b/k.bin", "--raw", "--dry-run", "--output", "key"],
            stdin=read,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    finally:
        os.close(read)
        os.close(write)
    assert done.stdout == "k.bin\n"
    assert done.stderr.startswith("keystow: dry run: standard input would be published to s3://b/k.bin\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-", "memory://b/k"], "- is standard input, which can only be published as it is: give --raw"),
        (["-", "memory://b/k", "--plain"], "give --raw"),
        (["-", "memory://b/k", "--raw", "--plain"], "argument --plain: not allowed with argument --raw"),
        (["-", "memory://b/k/", "--raw"], "the key 'k/' ends with '/'"),
        (["-", "memory://b/k", "--raw", "--level", "3"], "--level 3 is for directories, and what is raw is one file"),
        (["-", "memory://b/k", "--raw", "--symlinks", "skip"], "--symlinks skip is for directories"),
        (["-", "memory://b/k", "--raw", "--exclude", "a"], "a choice by patterns is for directories"),
        ([".", "memory://b/k", "--raw"], "--raw publishes one file, and '.' is a directory"),
    ],
)
def test_a_wrong_call_reads_nothing(arguments, said):
    assert said in complaint(keystow("publish", *arguments), 2)


def test_standard_input_that_is_closed_or_a_terminal(tmp_path):
    closed = ["sh", "-c", 'exec "$@" <&-', "sh", *KEYSTOW, "publish", "-", f"file://{tmp_path}/k", "--raw"]
    done = subprocess.run(closed, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "standard input is closed: give it what is to be published" in done.stderr
    master, slave = os.openpty()
    done = subprocess.run(closed[4:], stdin=slave, capture_output=True, text=True, check=False)
    os.close(master)
    os.close(slave)
    assert done.returncode == 2
    assert "standard input is a terminal: give it a pipe or a file" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("size", [3, LARGE], ids=["one request", "in parts"])
@pytest.mark.parametrize("kind", ["file", pytest.param("s3", marks=pytest.mark.server)])
def test_an_interrupt_while_standard_input_is_awaited_publishes_nothing(request, stored, kind, size, sent):
    place = request.getfixturevalue(f"{kind}_place")
    before = publish(io.BytesIO(b"before"), place("k"), raw=True)
    call = [*UNHURRIED, "publish", "-", place("k"), "--raw"]
    with subprocess.Popen(call, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdin.write(bytes(size))
        process.stdin.flush()
        while unread(process.stdin):
            time.sleep(0.05)
        process.send_signal(sent)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == ({signal.SIGINT: 130, signal.SIGTERM: 143}[sent], b"")
    assert b"nothing half-written was left" in err
    assert verify(before)
    assert [found.key for found in stored(before).list(before.key)] == [before.key]


@pytest.mark.parametrize(
    ("arguments", "key"),
    [(["results/{jobID}.bin", "--raw"], "results/a.bin"), (["s3://b/{jobID},opt=encoding=raw"], "a")],
)
def test_the_key_command_says_the_key(arguments, key):
    assert keystow("key", *arguments, "--job-id", "a").out == f"{key}\n"


@pytest.mark.parametrize(
    ("pieces", "says"),
    [([b"part 1", None, b"part 2", b""], "does not wait"), ([b"part 1", ""], "the stream gives str")],
    ids=["one that does not wait", "text"],
)
def test_a_stream_that_is_not_at_its_end_is_not_taken_for_a_whole_one(pieces, says) -> None:
    class Stream:
        def read(self, _):
            return pieces.pop(0)

    with contextlib.closing(open_store("memory://not-at-its-end")) as store:
        with pytest.raises(SourceError, match=says):
            publish(Stream(), "memory://not-at-its-end/k", raw=True)
        assert list(store.list()) == []


class Looking:
    """A store that shows what stands there as it is told to."""

    def __init__(self, store, **looks):
        self._store = store
        vars(self).update(looks)

    def __getattr__(self, name):
        return getattr(self._store, name)


def denied(*_, **__):
    raise AccessDeniedError("no")
    yield


def test_who_may_read_the_current_object_alone_compares_that(small) -> None:
    store = open_store("memory://current")

    def stat(key, *, version_id=None):
        return replace(store.stat(key), version_id="v1")

    def read(key, *, version_id=None, **slices):
        return store.read(key, **slices) if version_id is None else denied()

    with contextlib.closing(store):
        looking = Looking(store, stat=stat, read=read)
        first = publish(small, "memory://current/k", store=store)
        again = publish(small, "memory://current/k", store=looking, if_exists="skip")
        assert (again.checksum_sha256, again.version_id) == (first.checksum_sha256, None)


@pytest.mark.parametrize("error", [NotFoundError, StoreUnavailableError])
def test_what_could_not_be_compared_for_another_reason_is_an_error(small, error) -> None:
    def stat(key, *, version_id=None):
        raise error("ask later")

    with contextlib.closing(open_store("memory://later")) as store:
        looking = Looking(store, stat=stat)
        publish(small, "memory://later/k", store=store)
        with pytest.raises(error, match="ask later"):
            publish(small, "memory://later/k", store=looking, if_exists="skip")
        with pytest.raises(AlreadyExistsError, match="already exists"):
            publish(small, "memory://later/k", store=looking, if_exists="error")
