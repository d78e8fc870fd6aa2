"""What a fault does to a server's process and to a client's, and by which names requests are known."""

import errno
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from keystow.testing.faults import ClientLimit, FaultyWire, WireFault, client_events, operation, server_events
from keystow.testing.servers import FakeGCS
from keystow.testing.servers.process import request

from .times import nowhere

LISTING = "storage/v1/b?project=keystow"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with FakeGCS(tmp_path_factory.mktemp("gcs")) as running:
        yield running


@pytest.mark.server
@pytest.mark.parametrize("place", ["head", "answer-head", "answer-body"])
def test_a_server_is_paused_and_goes_on(server, place):
    fault = WireFault("pause", place, seconds=0.2)
    with FaultyWire(server.endpoint, fault, events=server_events(server)) as wire:
        assert b"storage#buckets" in request("GET", f"{wire.url}/{LISTING}")
        assert b"storage#buckets" in request("GET", f"{server.endpoint}/{LISTING}")
        assert wire.passed[0].fault == str(fault)


@pytest.mark.server
def test_a_server_is_killed_and_started_again(server):
    before = server.pid
    with FaultyWire(server.endpoint, WireFault("crash", "answer-head"), events=server_events(server)) as wire:
        assert b"storage#buckets" in request("GET", f"{wire.url}/{LISTING}")
    assert server.pid != before
    assert request("GET", f"{server.endpoint}/{LISTING}")


@pytest.mark.server
@pytest.mark.parametrize(("kind", "number"), [("interrupt", signal.SIGINT), ("terminate", signal.SIGTERM)])
def test_a_client_is_sent_a_signal(server, kind, number):
    program = "import signal; signal.signal(signal.SIGINT, signal.SIG_DFL); print(flush=True); signal.pause()"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as client:
        client.stdout.readline()
        events = client_events(lambda: client.pid)
        with FaultyWire(server.endpoint, WireFault(kind, "head", seconds=0.01), events=events) as wire:
            request("GET", f"{wire.url}/{LISTING}")
            assert client.wait(60) == -number


@pytest.mark.parametrize(
    ("limit", "does", "number"),
    [
        (
            "disk+1000",
            "open('x', 'wb', 0).write(bytes(999)); open('y', 'wb', 0).write(bytes(9999)) == 1000 or quit(1)",
            0,
        ),
        ("disk+1000", "file = open('x', 'wb', 0); file.write(bytes(1000)); file.write(b'x')", errno.EFBIG),
        ("files+20", "held = [open('x', 'wb') for _ in range(20)]", errno.EMFILE),
    ],
)
def test_a_client_runs_short(limit, does, number, tmp_path):
    program = (
        "import sys\nfrom keystow.testing.faults import ClientLimit\n"
        f"ClientLimit.parse({limit!r}).hold()\n"
        f"try:\n    {does}\nexcept OSError as error:\n    sys.exit(error.errno)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=False).returncode == number


def test_what_a_client_compiles_without_room_is_not_kept(tmp_path):
    """Python would keep the beginning of it, and read that the next time."""
    (tmp_path / "large.py").write_text(f"text = {'x' * 5000!r}\n")
    program = "from keystow.testing.faults import ClientLimit\nClientLimit('disk', 1000).hold()\nimport large\n"
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for _ in range(2):
        subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=kept, check=True)
    assert not (tmp_path / "__pycache__").exists()


def test_there_is_no_other_limit():
    with pytest.raises(ValueError, match="use one of disk, files"):
        ClientLimit.parse("memory+1")


def test_nobody_is_there():
    with nowhere("refused") as endpoint, pytest.raises(ConnectionRefusedError):
        connect(endpoint, 5)
    with nowhere("silent") as endpoint, pytest.raises(TimeoutError):
        connect(endpoint, 0.3)


def connect(endpoint, seconds):
    host, port = endpoint.removeprefix("http://").split(":")
    begun = time.monotonic()
    with socket.create_connection((host, int(port)), timeout=seconds):
        raise AssertionError(f"connected after {time.monotonic() - begun} s")


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("PUT /b/k", "put"),
        ("PUT /b/k?partNumber=2&uploadId=x", "part"),
        ("POST /b/k?uploads", "begin"),
        ("POST /b/k?uploads=", "begin"),
        ("POST /b/k?uploadId=x", "complete"),
        ("DELETE /b/k?uploadId=x", "abort"),
        ("DELETE /b/k", "delete"),
        ("GET /b?list-type=2&prefix=p", "list"),
        ("GET /b/k?versionId=1", "get"),
        ("HEAD /b/k", "stat"),
        ("POST /upload/storage/v1/b/b/o?uploadType=multipart&ifGenerationMatch=0", "put"),
        ("POST /upload/storage/v1/b/b/o?uploadType=resumable&name=k", "begin"),
        ("POST /upload/storage/v1/b/b/o?uploadType=resumable&name=k&upload_id=x", "part"),
        ("DELETE /upload/storage/v1/b/b/o?uploadType=resumable&upload_id=x", "abort"),
        ("GET /storage/v1/b/b/o/k?alt=media", "get"),
        ("GET /download/storage/v1/b/b/o/k?alt=media", "get"),
        ("GET /storage/v1/b/b/o/k", "stat"),
        ("GET /storage/v1/b/b/o?prefix=p", "list"),
        ("DELETE /storage/v1/b/b/o/k", "delete"),
        ("PUT /account/c/k?comp=block&blockid=x", "part"),
        ("PUT /account/c/k?comp=blocklist", "complete"),
        ("GET /account/c?restype=container&comp=list", "list"),
        ("PATCH /b/k", "other"),
    ],
)
def test_a_request_is_known_by_its_operation(asked, name):
    assert operation(*asked.split()) == name
