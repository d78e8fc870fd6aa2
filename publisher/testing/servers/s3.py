"""What the servers that speak S3 have in common: keys, a plain client, buckets."""

import contextlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from .process import unique

if TYPE_CHECKING:
    from botocore.session import Session

REGION = "us-east-1"


class Credentials(NamedTuple):
    """A static key pair; there is no session token."""

    access_key: str
    secret_key: str


class S3Server(ABC):
    """The S3 side of a server, which has an ``endpoint`` and an administrator's keys."""

    access_key: str
    secret_key: str

    @property
    @abstractmethod
    def endpoint(self) -> str:
        """Where the server answers HTTP."""

    def environment(self, endpoint: str | None = None) -> dict[str, str]:  # noqa: ARG002
        """The administrator's keys for default clients, which then look for no other beyond loopback.

        The endpoint is not among them: a store is opened with it.
        """
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self, access_key: str | None = None, secret_key: str | None = None, endpoint: str | None = None) -> Any:
        """A plain botocore S3 client that never retries; a proxy's ``url`` may be its endpoint.

        It is the administrator's unless keys are given.
        """
        keys = Credentials(access_key or self.access_key, secret_key or self.secret_key)
        return self._client("s3", keys, endpoint)

    def make_bucket(self, name: str | None = None, versioned: bool = False) -> str:
        """Create a bucket, with a name of its own unless one is given, and return its name."""
        bucket, client = name or unique("bucket"), self.client()
        client.create_bucket(Bucket=bucket)
        if versioned:
            client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        return bucket

    @cached_property
    def _session(self) -> "Session":
        return isolated_session()

    def _client(self, service: str, keys: Credentials, endpoint: str | None = None) -> Any:
        from botocore.config import Config

        return self._session.create_client(
            service,
            region_name=REGION,
            endpoint_url=endpoint or self.endpoint,
            aws_access_key_id=keys.access_key,
            aws_secret_access_key=keys.secret_key,
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


def isolated_session() -> "Session":
    """A botocore session that sees neither the machine's AWS files nor a profile from the environment."""
    from botocore.session import Session

    nothing = (None, None, os.devnull, None)
    return Session(
        session_vars={
            "profile": (None, None, None, None),
            "config_file": nothing,
            "credentials_file": nothing,
        }
    )


@contextlib.contextmanager
def refusals_as_os_errors() -> Iterator[None]:
    """For a readiness probe: what botocore raises becomes a ``ConnectionError``."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise ConnectionError(str(error)) from error
