"""Azurite: Azure Blob Storage, with signatures."""

import sys
import urllib.error
from collections.abc import Mapping
from pathlib import Path

from .process import LOOPBACK, Server, find_program, has_modules, program, request, unique


class Azurite(Server):
    """Azurite's blob service, which holds everything in memory; it checks signatures, and keeps no versions.

    It is taken from ``azurite/`` in the virtual environment, or as ``azurite-blob`` from PATH.
    """

    account_name = "keystow"
    account_key = "a2V5c3Rvdy1henVyaXRlLXRlc3RzLWtleS0zMi1ieXRlcyE="

    @classmethod
    def installed(cls) -> bool:
        """Whether Azurite, Node and the blob client are there."""
        found = find_program("azurite-blob") or (_script().exists() and find_program("node"))
        return bool(found) and has_modules("azure.storage.blob")

    @property
    def account_url(self) -> str:
        """Where the account's containers are."""
        return f"{self.endpoint}/{self.account_name}"

    @property
    def connection_string(self) -> str:
        """All that a client needs; it holds the account's key."""
        return self.connection_string_at(self.endpoint)

    def connection_string_at(self, endpoint: str) -> str:
        """The same through a proxy, whose ``url`` is the endpoint."""
        return (
            f"DefaultEndpointsProtocol=http;AccountName={self.account_name};AccountKey={self.account_key};"
            f"BlobEndpoint={endpoint}/{self.account_name};"
        )

    def environment(self, endpoint: str | None = None) -> dict[str, str]:
        """What makes default clients use this server, or a proxy's ``url``."""
        return {"AZURE_STORAGE_CONNECTION_STRING": self.connection_string_at(endpoint or self.endpoint)}

    def make_container(self, name: str | None = None, versioned: bool = False) -> str:
        """Create a container, with a name of its own unless one is given, and return its name.

        ``ValueError`` when it is to keep versions: Azurite has none.
        """
        if versioned:
            raise ValueError("Azurite keeps no versions")
        from azure.storage.blob import BlobServiceClient

        container = name or unique("container")
        with BlobServiceClient.from_connection_string(self.connection_string, retry_total=0) as client:
            client.create_container(container)
        return container

    make_bucket = make_container

    def _settings(self) -> Mapping[str, str]:
        return {"AZURITE_ACCOUNTS": f"{self.account_name}:{self.account_key}"}

    def _command(self) -> list[str]:
        """Without ``--disableTelemetry`` it would report to Microsoft."""
        how = f"npm install --prefix {sys.prefix}/azurite azurite"
        started = (
            [program("node", "install Node.js 20 or later"), str(_script())]
            if _script().exists()
            else [program("azurite-blob", how)]
        )
        return [
            *started, "--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent",
            "--blobHost", LOOPBACK, "--blobPort", str(self.port),
        ]  # fmt: skip

    def _probe(self) -> None:
        """An anonymous listing is refused, but by the service itself."""
        try:
            request("GET", f"{self.account_url}?comp=list")
        except urllib.error.HTTPError as refused:
            refused.close()


def _script() -> Path:
    return Path(sys.prefix) / "azurite/node_modules/azurite/dist/src/blob/main.js"
