"""A request on which nothing moves is over in the time that was given for it, whoever carries it, and for URLs."""

import base64
import contextlib
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import timedelta

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import _registry
from hypothesis import given
from hypothesis import strategies as st
from lying import Liar, Lie

from keystow import Context, SpecError, fetch, publish
from keystow.backends import (
    StoreError,
    StoreUnavailableError,
    UnknownOutcomeError,
    UnsupportedError,
    open_store,
)
from keystow.backends.opening import timeout_for
from keystow.backends.sending import lines
from keystow.backends.sending.limits import Bounds, bounds, check_timeout
from keystow.command import main
from keystow.testing.servers.proxy import Loopback, QuietHandler

pytestmark = pytest.mark.slow

KEY = base64.b64encode(b"the key of an account, 32 bytes!").decode()


@pytest.fixture
def silent():
    """The URL of a server that takes connections, and says nothing."""
    ended = threading.Event()
    with Loopback(type("Handler", (QuietHandler,), {"handle_one_request": lambda _: ended.wait(60)})) as server:
        yield server.url
        ended.set()


@pytest.fixture(autouse=True)
def environment(clean_environment, monkeypatch):
    for name, value in (("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "secret"), ("AWS_REGION", "us-east-1")):
        monkeypatch.setenv(name, value)
    for name in ("CONNECTION_STRING", "ACCOUNT_NAME", "SAS_TOKEN"):
        monkeypatch.delenv(f"AZURE_STORAGE_{name}", raising=False)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", KEY)
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)


@given(st.floats(1, 86_400))
def test_the_bounds_keep_the_timeout(seconds):
    found = bounds(seconds)
    assert found.still + found.patience == pytest.approx(seconds)
    assert found.completion == pytest.approx(4 * seconds)
    assert found.connect < found.still
    assert 0 < found.brief <= found.still <= min(bounds().still, seconds)


def test_without_a_timeout_it_is_150_seconds():
    assert bounds() == Bounds(60, 90, 600, 10, 10)
    assert bounds(150) == bounds()


@pytest.mark.parametrize("seconds", [0, 0.999, -5, 86_401, float("nan"), float("inf"), timedelta(0), timedelta(days=2)])
def test_what_is_no_timeout(seconds, tmp_path):
    with pytest.raises(ValueError, match="give 1 second to 1 day"):
        open_store("memory://results", timeout=seconds)
    with pytest.raises(SpecError, match="give 1 second to 1 day"):
        publish(tmp_path / "absent", "memory://results/k", timeout=seconds)
    with pytest.raises(ValueError, match="give 1 second to 1 day"):
        fetch(tmp_path / "absent", tmp_path / "there", timeout=seconds)


@pytest.mark.parametrize("timeout", [1, 1.5, 86_400, timedelta(minutes=2)])
def test_every_store_takes_one(timeout, tmp_path):
    for url in (f"file://{tmp_path}", "memory://results", "s3://bucket", "gs://bucket", "az://account-less"):
        endpoint = {"endpoint": "http://127.0.0.1:1/account"} if url.startswith(("s3", "gs", "az")) else {}
        with contextlib.closing(open_store(url, timeout=timeout, **endpoint)) as store:
            if endpoint:
                assert store._bounds == bounds(check_timeout(timeout))


def test_one_that_fsspec_carries_has_its_own(monkeypatch):
    """It is passed on, if it is given: an FTP server that is silent is waited for no longer."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"ftp://127.0.0.1:{listening.getsockname()[1]}/directory"
        monkeypatch.setenv("KEYSTOW_TIMEOUT", "3600")
        with pytest.raises(StoreUnavailableError, match="timed out"):
            open_store(url, timeout=1)


def test_the_variable(monkeypatch):
    assert timeout_for(None) is None
    monkeypatch.setenv("KEYSTOW_TIMEOUT", "")
    assert timeout_for(None) is None
    monkeypatch.setenv("KEYSTOW_TIMEOUT", "2.5")
    assert timeout_for(None) == 2.5
    assert timeout_for(timedelta(seconds=7)) == 7
    for text in ("soon", "30s", "0", "nan"):
        monkeypatch.setenv("KEYSTOW_TIMEOUT", text)
        with pytest.raises(ValueError, match=r"KEYSTOW_TIMEOUT is .*: set it to seconds, from 1 to 86400"):
            open_store("s3://bucket")


STORES = {
    "s3": ("s3://bucket", {"engine": "auto"}),
    "s3, fsspec": ("s3://bucket", {"engine": "fsspec"}),
    "gs": ("gs://bucket", {}),
    "az": ("az://container", {}),
}
OPERATIONS = {
    "write": lambda store: store.write("key", [b"x"]),
    "read": lambda store: list(store.read("key")),
    "stat": lambda store: store.stat("key"),
}


@pytest.mark.parametrize("operation", list(OPERATIONS))
@pytest.mark.parametrize("kind", list(STORES))
def test_a_silent_server(silent, kind, operation):
    """0.4 s of the one second are each try's, and after 0.6 there is no other."""
    url, options = STORES[kind]
    endpoint = f"{silent}/account" if kind == "az" else silent
    with (
        contextlib.closing(open_store(url, endpoint=endpoint, timeout=1, **options)) as store,
        pytest.raises(StoreError, match=r"nothing moved for 0\.4 s") as failed,
    ):
        OPERATIONS[operation](store)
    if operation != "write":
        assert failed.value.tries <= 2


def test_a_silent_url(silent, tmp_path):
    with pytest.raises(StoreUnavailableError, match=r"less than 1024 bytes in 0\.4 s"):
        fetch(f"{silent}/results.tar.gz", tmp_path / "there", timeout=1)


@pytest.mark.parametrize("arguments", [["get", "{url}", "there"], ["verify", "result.json"], ["publish", "source"]])
def test_the_command_takes_one(silent, tmp_path, monkeypatch, capfd, arguments):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "source").write_text("x")
    params = {"Bucket": "b", "Key": "k", "Endpoint": silent, "ChecksumSHA256": "0" * 64}
    (tmp_path / "result.json").write_text(json.dumps({"Type": "s3", "Params": params}))
    there = [argument.format(url=f"{silent}/results.tar.gz") for argument in arguments]
    if arguments[0] == "publish":
        there.append(f"s3://b/k,opt=endpoint={silent}")
    for wrong in ("0", "0s", "2d", "soon"):
        with pytest.raises(SystemExit, match="2"):
            main([*there, "--timeout", wrong])
    assert "1 second to 1 day" in capfd.readouterr().err
    assert main([*there, "--timeout", "1s"]) == 1
    said = capfd.readouterr().err
    assert "nothing moved for 0.4 s" in said or "in 0.4 s" in said


SLOWLY = 3
PIECE = 1 << 20


@pytest.mark.parametrize("kind", ["s3", "s3, fsspec", "gs"])
@pytest.mark.parametrize("size", [100, SLOWLY * PIECE])
def test_who_reads_may_take_any_time(kind, size, monkeypatch):
    """It is not the other side that is waited for meanwhile, and what is all there is not asked for again."""
    monkeypatch.setattr(lines, "_TICK", 0.05)
    url, options = STORES[kind]
    headers = {"ETag": '"e"', "Content-Length": str(size), "X-Goog-Generation": "7"}
    with Liar(
        lambda asked: Lie(headers=headers, body=iter([bytes(PIECE)] * SLOWLY if size > 100 else [bytes(100)]))
    ) as liar:
        with contextlib.closing(open_store(url, endpoint=liar.url, timeout=3, **options)) as store:
            assert store._bounds.still < 1.4
            got = 0
            for piece in store.read("key"):
                got += len(piece)
                time.sleep(1.4)
        assert got == size
        assert len(liar.asked) == 1


READS = """
import sys
from keystow.backends import open_store

store = open_store("s3://bucket", endpoint=sys.argv[1], engine=sys.argv[2], timeout=10)
print(b"".join(store.read("key")).decode())
"""


@pytest.mark.parametrize("engine", ["obstore", "fsspec"])
def test_who_was_stopped_blames_nobody(engine):
    """A job that its scheduler suspends is no server that is silent, however long it lasts: here, beyond its 4 s."""
    begun = threading.Event()

    def answer(asked):
        begun.wait()
        reader.send_signal(signal.SIGSTOP)
        time.sleep(5)
        reader.send_signal(signal.SIGCONT)
        time.sleep(0.5)
        return Lie(headers={"ETag": '"e"'}, body=b"found")

    with Liar(answer) as liar:
        reader = subprocess.Popen([sys.executable, "-c", READS, liar.url, engine], stdout=subprocess.PIPE, text=True)
        begun.set()
        assert reader.communicate()[0] == "found\n"
    assert len(liar.asked) == 1


@pytest.fixture
def unreachable():
    """The URL of an endpoint that answers no SYN: Linux drops it where a listener's queue is full."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        with socket.create_connection(listening.getsockname()):
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.parametrize("kind", list(STORES))
def test_what_never_left_has_not_arrived(unreachable, kind):
    url, options = STORES[kind]
    endpoint = f"{unreachable}/account" if kind == "az" else unreachable
    with (
        contextlib.closing(open_store(url, endpoint=endpoint, timeout=1, **options)) as store,
        pytest.raises(StoreUnavailableError) as failed,
    ):
        store.write("key", [b"x"])
    assert not isinstance(failed.value, UnknownOutcomeError)


class Timeless(MemoryFileSystem):
    """A file system that takes no timeout."""

    protocol = "hdfs"

    def __init__(self, **options):
        if "timeout" in options:
            raise TypeError("unexpected keyword argument 'timeout'")
        super().__init__(**options)


def test_the_variable_is_not_passed_on(monkeypatch, tmp_path):
    monkeypatch.setitem(_registry, "hdfs", Timeless)
    (tmp_path / "a").write_text("x")
    monkeypatch.setenv("KEYSTOW_TIMEOUT", "30")
    with contextlib.suppress(UnsupportedError):  # of which nothing more than an opened store is wanted
        publish(tmp_path / "a", "hdfs://place/{jobID}", Context(job_id="1"))
    with pytest.raises(UnsupportedError, match="hdfs:// may take no timeout"):
        publish(tmp_path / "a", "hdfs://place/{jobID}", Context(job_id="1"), timeout=30)
