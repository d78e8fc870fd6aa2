"""What is cut short leaves the old object standing and no part of a new one: a source, a process, a server."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from archive_strategies import lay
from commands import KEYSTOW, TESTS, UNHURRIED, run
from reading import while_read

from keystow import publish, verify
from keystow.archive import SourceChangedError
from keystow.backends import StoreUnavailableError
from keystow.testing.servers import FaultProxy, SeaweedFS

pytestmark = pytest.mark.slow

SECONDS = 60


def wait_until(true, process):
    """Waits for a state that the process reaches while it publishes."""
    deadline = time.monotonic() + SECONDS
    while not true():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def stands(old, store, prefix=""):
    """The old object is what it was, and there is no other, hidden or not."""
    assert verify(old).sha256 == old.checksum_sha256
    assert [found.key for found in store.list(prefix)] == [old.key]


def unfinished(seaweed, bucket, key):
    found = seaweed.client().list_multipart_uploads(Bucket=bucket, Prefix=key)
    return found.get("Uploads", [])


# ---------------------------------------------------------------------------------------------------
# A source that raises half-way


def shrink(path):
    os.truncate(path, 1000)


def grow(path):
    with open(path, "ab") as file:
        file.write(b"more")


@pytest.mark.parametrize("change", [shrink, grow, os.unlink], ids=["shrinks", "grows", "disappears"])
@pytest.mark.parametrize("share", [0.1, 0.9])
def test_a_file_that_changes_while_it_is_packed(place, small, noise, stored, share, change, monkeypatch):
    old = publish(small, place("stands"))
    changed = []

    def hook(done, total):
        if done > share * total and not changed:
            changed.append(change(noise / "data"))

    monkeypatch.setattr("keystow.publishing.scan", while_read(hook))
    with pytest.raises(SourceChangedError, match=r"'.*/data' changed while it was packed, so nothing was published"):
        publish(noise, place("stands"))
    assert changed
    store = stored(old)
    stands(old, store, old.key)
    if place.name == "file":
        assert sorted(os.listdir(old.bucket)) == ["stands.tar.gz"]


@pytest.mark.server
def test_parts_that_were_sent_are_removed(seaweed, bucket, s3_place, noise):
    def progress(done, total):
        if done > 0.5 * total:
            raise RuntimeError("the user's own code failed")

    with pytest.raises(RuntimeError, match="the user's own code failed"):
        publish(noise, s3_place("removed"), progress=progress)
    assert unfinished(seaweed, bucket, s3_place("removed").split("/", 3)[3].partition(",")[0]) == []


def test_a_plain_file_that_changes(place, tmp_path, stored, monkeypatch):
    lay(tmp_path / "source", {"a": b"1" * 100, "b": b"2" * (3 << 20)})

    def hook(done, total):
        if done > 1 << 20:
            os.truncate(tmp_path / "source" / "b", 5)

    with monkeypatch.context() as patch:
        patch.setattr("keystow.publishing.scan", while_read(hook))
        with pytest.raises(SourceChangedError, match="/b' changed") as caught:
            publish(tmp_path / "source", place("plain"), archive=False)
    assert "of 2 files had already been sent to" in caught.value.__notes__[0]
    os.truncate(tmp_path / "source" / "b", 3 << 20)
    store = stored(publish(tmp_path / "source", place("after"), archive=False))
    found = {found.key.rpartition("plain/")[2]: found.size for found in store.list() if "plain/" in found.key}
    assert found in ({"a": 100}, {}), "what was not begun when it failed is not published"


# ---------------------------------------------------------------------------------------------------
# A process that is killed


KILLED = """
import os, signal, sys
from keystow import publish, publishing
from reading import while_read

source, destination, share, event = sys.argv[1:]

def read(done, total):
    if done >= float(share) * total:
        os.kill(os.getpid(), signal.SIGKILL)

def hook(name, arguments):
    if name == event:
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(hook)
publishing.scan = while_read(read)
publish(source, destination)
"""


@pytest.mark.parametrize(
    ("share", "event"),
    [(0, ""), (0.3, ""), (0.7, ""), (1, ""), (9, "os.mkdir"), (9, "os.link"), (9, "os.rename")],
)
def test_a_killed_process_on_a_disk(file_place, small, noise, stored, share, event):
    """From the first byte to the step that gives the object its name."""
    old = publish(small, file_place("deep/stands"))
    ran = run(sys.executable, "-c", KILLED, noise, file_place("deep/stands"), str(share), event, PYTHONPATH=TESTS)
    assert ran.status == -signal.SIGKILL, ran.err
    stands(old, stored(old))
    if event != "os.rename":
        assert os.listdir(old.bucket) == ["stands.tar.gz"]
    replaced = publish(noise, file_place("deep/stands"))
    stands(replaced, stored(replaced))


def test_a_process_killed_before_the_first_object(file_place, noise, tmp_path):
    before = sorted(os.listdir(tmp_path))
    ran = run(sys.executable, "-c", KILLED, noise, file_place("new"), "1", "", PYTHONPATH=TESTS)
    assert ran.status == -signal.SIGKILL, ran.err
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.server
@pytest.mark.parametrize(
    "moment",
    [
        lambda method, path: method == "POST" and "uploads" in path,
        lambda method, path: "partNumber=1&" in path or path.endswith("partNumber=1"),
        lambda method, path: "partNumber=3&" in path or path.endswith("partNumber=3"),
        lambda method, path: method == "POST" and "uploadId=" in path,
    ],
    ids=["begin", "first part", "third part", "complete"],
)
def test_a_killed_process_on_s3(seaweed, s3_place, proxy, small, noise, stored, moment):
    old = publish(small, s3_place("stands"))
    proxy.hang(moment)
    with subprocess.Popen(
        [*KEYSTOW, "publish", noise, s3_place("stands").replace(seaweed.endpoint, proxy.url)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        wait_until(lambda: any(seen.fault == "hang" for seen in proxy.requests), process)
        process.kill()
        assert process.communicate() == (b"", b"")
    stands(old, stored(old), old.key)
    assert publish(noise, s3_place("stands")).checksum_sha256 != old.checksum_sha256


@pytest.mark.server
def test_a_killed_process_on_s3_in_one_request(seaweed, s3_place, proxy, small, files, stored):
    old = publish(small, s3_place("stands"))
    proxy.hang(lambda method, path: method == "PUT")
    with subprocess.Popen(
        [*KEYSTOW, "publish", files, s3_place("stands").replace(seaweed.endpoint, proxy.url)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        wait_until(lambda: proxy.requests, process)
        process.kill()
    stands(old, stored(old), old.key)


# ---------------------------------------------------------------------------------------------------
# A user who interrupts


def interrupted(process, number=signal.SIGINT):
    process.send_signal(number)
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 128 + number, err
    assert out == b""
    assert b"Traceback" not in err
    return err.decode()


def start(*arguments, command=UNHURRIED):
    """A command that heeds SIGINT, also where a shell started the tests in its background."""
    call = ["env", "--default-signal=INT", *command, *map(str, arguments)]
    return subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


signals = pytest.mark.parametrize(("number", "word"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")])


@pytest.mark.server
@signals
@pytest.mark.parametrize("engine", ["fsspec", "obstore"])
@pytest.mark.parametrize("source", ["files", "noise"], ids=["one request", "in parts"])
def test_an_interrupt_on_s3(seaweed, bucket, s3_place, proxy, small, request, stored, source, engine, number, word):
    old = publish(small, s3_place("stands"))
    proxy.hang(lambda method, path: method == "PUT" and (source == "files" or "partNumber=2" in path))
    destination = s3_place("stands").replace(seaweed.endpoint, proxy.url) + f",opt=engine={engine}"
    with start("publish", request.getfixturevalue(source), destination) as process:
        wait_until(lambda: any(seen.fault == "hang" for seen in proxy.requests), process)
        said = interrupted(process, number)
    stands(old, stored(old), old.key)
    assert said == f"keystow: {word}; nothing half-written was left\n"
    assert unfinished(seaweed, bucket, old.key) == []


def writes_below(process, directory):
    """Whether the process holds a file open there."""
    descriptors = Path(f"/proc/{process.pid}/fd")
    links = []
    for each in descriptors.iterdir():
        try:
            links.append(os.readlink(each))
        except FileNotFoundError:
            continue
    return any(link.startswith(str(directory)) for link in links)


@pytest.fixture
def long(tmp_path):
    """A tree that takes seconds to pack and no room on the disk."""
    (tmp_path / "long").mkdir()
    with open(tmp_path / "long" / "sparse", "wb") as file:
        file.truncate(30 << 30)
    return tmp_path / "long"


@signals
def test_an_interrupt_on_a_disk(file_place, small, long, stored, number, word):
    old = publish(small, file_place("stands"))
    with start("publish", long, file_place("stands")) as process:
        wait_until(lambda: writes_below(process, old.bucket), process)
        said = interrupted(process, number)
    assert said == f"keystow: {word}; nothing half-written was left\n"
    stands(old, stored(old))
    assert os.listdir(old.bucket) == ["stands.tar.gz"]


PATIENT = (
    sys.executable,
    "-c",
    (
        "import sys; from keystow.backends.sending import workers; workers._GRACE_SECONDS = 60; "
        "from keystow.command import main; sys.exit(main())"
    ),
)
"""The command, which waits for its threads after an interrupt, also where a disk takes its time for what they write."""


def test_an_interrupt_among_plain_files(file_place, long):
    """The file that was being written is given up, and those that are known to have arrived are counted."""
    (long / "a").write_bytes(b"1")
    directory = Path(file_place("plain/a").removeprefix("file://")).parent
    with start("publish", long, file_place("plain"), "--plain", command=PATIENT) as process:
        wait_until((directory / "a").exists, process)
        said = interrupted(process)
    counted = "(at least 1|perhaps some) of 2 files had already been sent to 'plain/', without the manifest .*"
    assert re.fullmatch(f"keystow: interrupted\nkeystow: {counted}\n", said)
    assert os.listdir(directory) == ["a"]


def test_a_process_killed_from_outside_on_a_disk(file_place, small, long, stored):
    old = publish(small, file_place("stands"))
    with start("publish", long, file_place("stands")) as process:
        wait_until(lambda: writes_below(process, old.bucket), process)
        process.kill()
    stands(old, stored(old))
    assert os.listdir(old.bucket) == ["stands.tar.gz"]


@pytest.mark.server
@signals
def test_an_interrupted_get_leaves_no_directory(seaweed, s3_place, proxy, noise, tmp_path, number, word):
    old = publish(noise, s3_place("got"))
    result = tmp_path / "result.yaml"
    import yaml

    mapping = old.to_mapping()
    mapping["Params"]["Endpoint"] = proxy.url
    result.write_text(yaml.safe_dump(mapping))
    proxy.hang(lambda method, path: method == "GET")
    with start("get", result, tmp_path / "back") as process:
        wait_until(lambda: proxy.requests, process)
        assert interrupted(process, number).startswith(f"keystow: {word}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["noise", "result.yaml"]


# ---------------------------------------------------------------------------------------------------
# A server that dies


@pytest.mark.server
@pytest.mark.slow
@pytest.mark.parametrize("moment", ["partNumber=2", "POST uploadId="], ids=["second part", "complete"])
def test_a_server_that_dies_in_the_middle_of_an_upload(tmp_path, login, small, noise, stored, moment):
    with SeaweedFS(tmp_path / "seaweedfs") as server, FaultProxy(server.endpoint) as proxy:
        login(server)
        bucket = server.make_bucket()
        destination = f"s3://{bucket}/stands,opt=endpoint={server.endpoint}"
        old = publish(small, destination)
        died = []

        def dies(method, path):
            if not died and all(word in f"{method} {path}" for word in moment.split()):
                died.append(server.kill())
            return False

        proxy.drop(dies)
        with pytest.raises(StoreUnavailableError, match="check the endpoint and the network"):
            publish(noise, destination.replace(server.endpoint, proxy.url))
        assert died
        server.start()
        stands(old, stored(old))
        published = publish(noise, destination)
        stands(published, stored(published))
