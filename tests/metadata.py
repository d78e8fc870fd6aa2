"""EC2's instance metadata service, as a role's keys come from it, and as it is where nobody answers."""

import json
import socketserver
import threading
import uuid
from datetime import UTC, datetime, timedelta

from keystow.testing.servers import Credentials
from keystow.testing.servers.proxy import Loopback, QuietHandler


class InstanceMetadata(Loopback):
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


class _MetadataHandler(QuietHandler):
    server: InstanceMetadata
    ROLES = "/latest/meta-data/iam/security-credentials/"

    def do_PUT(self) -> None:  # noqa: N802
        self.server.requests.append(f"PUT {self.path}")
        lifetime = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds")
        if self.path != "/latest/api/token":
            self.reply(404, b"")
        elif lifetime is None:
            self.reply(400, b"")
        else:
            self.reply(200, self.server.session.encode(), {"X-aws-ec2-metadata-token-ttl-seconds": lifetime})

    def do_GET(self) -> None:  # noqa: N802
        self.server.requests.append(f"GET {self.path}")
        if self.headers.get("X-aws-ec2-metadata-token") != self.server.session:
            self.reply(401, b"")
        elif self.path == self.ROLES:
            self.reply(200, self.server.ROLE.encode())
        elif self.path == self.ROLES + self.server.ROLE:
            self.reply(200, self.server.role_document().encode(), {"Content-Type": "application/json"})
        else:
            self.reply(404, b"")


class SilentMetadata(Loopback):
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
