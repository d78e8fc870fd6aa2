"""The connection to one Azure Blob container: adlfs's service client and loop, and its errors translated.

Requests are made on that client, because adlfs drops the metadata or the precondition on its way to it. Its own
retries, and those of the HTTP library below, are off: a conditional write must know whether it was sent before.
"""

import contextlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from .errors import (
    AccessDeniedError,
    AlreadyExistsError,
    BucketNotFoundError,
    ConflictError,
    CredentialsError,
    MissingExtraError,
    NotFoundError,
    StoreError,
    StoreUnavailableError,
)
from .loop import Loop

_CREDENTIALS = "set AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT_NAME and a key or SAS, or az login"
_ERRORS: dict[str, tuple[type[StoreError], str]] = {
    "BlobAlreadyExists": (AlreadyExistsError, ""),
    "ConditionNotMet": (AlreadyExistsError, ""),
    "412": (AlreadyExistsError, ""),
    "ContainerNotFound": (BucketNotFoundError, "create the container, or correct its name"),
    "InvalidResourceName": (BucketNotFoundError, "correct the container's name"),
    "BlobNotFound": (NotFoundError, ""),
    "404": (NotFoundError, ""),
    "InvalidBlockList": (ConflictError, "another writer wrote the same key at the same time: publish again"),
    "AuthenticationFailed": (CredentialsError, _CREDENTIALS),
    "AuthorizationFailure": (CredentialsError, _CREDENTIALS),
    "401": (CredentialsError, _CREDENTIALS),
    "403": (AccessDeniedError, "allow it to these credentials (Storage Blob Data Contributor), or use others"),
    "408": (StoreUnavailableError, "try again later"),
    "429": (StoreUnavailableError, "try again later"),
}


class Container:
    """An open client for one container; ``endpoint`` is the account's URL."""

    def __init__(self, name: str, *, endpoint: str | None) -> None:
        self.name = name
        self._files = _file_system(endpoint)
        self._service = self._files.service_client
        self._client = self._service.get_container_client(name)
        self.loop = Loop(self._files.loop)
        self.once: dict[str, Any] = {"retry_total": 0, "middlewares": (_send_once,)}

    @property
    def endpoint(self) -> str:
        """The account's URL; the SDK's own has the SAS in it."""
        return str(self._service.url).partition("?")[0].rstrip("/")

    @property
    def account_key(self) -> str | None:
        """The key that can sign URLs, if that is what the account was opened with."""
        return getattr(self._service.credential, "account_key", None)

    @property
    def account_name(self) -> str:
        """The account's name."""
        return str(self._service.account_name)

    @property
    def secret(self) -> dict[str, Any]:
        """What the account was opened with: an ``access_key``, a ``sas_token``, or a ``token`` of this moment."""
        if self.account_key is not None:
            return {"access_key": self.account_key, "expires_at": None}
        credential = self._service.credential
        if hasattr(credential, "get_token"):
            token = self.loop.run(credential.get_token("https://storage.azure.com/.default"))
            return {"token": token.token, "expires_at": datetime.fromtimestamp(token.expires_on, UTC)}
        signed = getattr(credential, "signature", None) or str(self._service.url).partition("?")[2]
        return {"sas_token": signed.lstrip("?"), "expires_at": None}

    def blob(self, key: str) -> Any:
        """The client of one blob."""
        return self._client.get_blob_client(key)

    def pages(self, prefix: str, size: int) -> Any:
        """The listing, page by page."""
        return self._client.list_blobs(name_starts_with=prefix, results_per_page=size, **self.once).by_page()

    def where(self, key: str) -> str:
        """The blob's name for people."""
        return f"az://{self.name}/{key}"

    @contextlib.contextmanager
    def errors(self, key: str) -> Iterator[None]:
        """Within this, the client's errors become the store's."""
        from azure.core import exceptions as azure

        try:
            yield
        except azure.HttpResponseError as error:
            if error.status_code is None:
                raise StoreUnavailableError(f"{self.where(key)}: the answer was cut short") from error
            raise self._refused(error, key) from error
        except azure.ClientAuthenticationError as error:
            raise CredentialsError(f"{self.where(key)}: {error.message}", hint=_CREDENTIALS) from error
        except (azure.ServiceRequestError, azure.ServiceResponseError, azure.IncompleteReadError) as error:
            said = str(error).split("?", 1)[0]
            raise StoreUnavailableError(f"{self.where(key)}: {said}", hint="check the endpoint and network") from error

    def _refused(self, error: Any, key: str) -> StoreError:
        status = str(error.status_code)
        code = str(getattr(error.error_code, "value", error.error_code) or "")
        request_id = error.response.headers.get("x-ms-request-id", "") if error.response is not None else ""
        return self.refused(status, code, code or (error.reason or "").strip(), request_id, key)

    def refused(self, status: str, code: str, said: str, request_id: str, key: str) -> StoreError:
        """The error for an answer that refused."""
        kind, hint = _ERRORS.get(code) or _ERRORS.get(status) or (StoreError, "")
        if status.startswith("5"):
            kind, hint = StoreUnavailableError, "try again later"
        what = "already exists" if kind is AlreadyExistsError else f"{status}: {said}"
        return kind(f"{self.where(key)}: {what}", code=code or status, request_id=request_id, hint=hint)

    def close(self) -> None:
        """Closes the connections."""
        self.loop.run(self._service.close())


async def _send_once(request: Any, handler: Any) -> Any:
    """Aiohttp repeats a PUT whose connection broke; here it learns another name for that, and does not."""
    from aiohttp import ClientConnectorError, ClientOSError, ClientPayloadError, ServerDisconnectedError

    try:
        return await handler(request)
    except ClientConnectorError:
        raise
    except (ClientOSError, ServerDisconnectedError) as error:
        raise ClientPayloadError(f"the connection was lost: {error}") from error


def _file_system(endpoint: str | None) -> Any:
    try:
        from adlfs import AzureBlobFileSystem
    except ImportError as error:
        raise MissingExtraError("Azure Blob Storage needs the extra azure: pip install 'keystow[azure]'") from error
    try:
        return AzureBlobFileSystem(
            **_account(endpoint), skip_instance_cache=True, use_listings_cache=False, max_concurrency=1
        )
    except ValueError as error:
        raise CredentialsError(f"Azure Blob Storage cannot be opened: {error}", hint=_CREDENTIALS) from error


def _account(endpoint: str | None) -> dict[str, Any]:
    """The options with which adlfs opens the account at ``endpoint``, or the one that the environment names."""
    connection = os.environ.get("AZURE_STORAGE_CONNECTION_STRING")
    if endpoint is None or (connection and endpoint.rstrip("/") in connection):
        return {}
    host = urlsplit(endpoint).hostname or ""
    name = host.partition(".")[0]
    if host.endswith(".blob.core.windows.net"):
        return {"account_name": name, "anon": False}
    name = urlsplit(endpoint).path.strip("/") or name
    key, sas = os.environ.get("AZURE_STORAGE_ACCOUNT_KEY"), os.environ.get("AZURE_STORAGE_SAS_TOKEN")
    secret = f"AccountKey={key}" if key else f"SharedAccessSignature={sas}" if sas else ""
    if not secret:
        raise CredentialsError(
            f"there are no credentials for {endpoint}",
            hint="set AZURE_STORAGE_CONNECTION_STRING, AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN",
        )
    return {"connection_string": f"BlobEndpoint={endpoint};AccountName={name};{secret}"}
