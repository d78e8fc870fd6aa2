"""The connection to one Azure Blob container: adlfs's account and loop, a client of our own, and its errors translated.

Requests are made on the SDK's client, because adlfs drops the metadata or the precondition on its way to it. Its own
retries are off: a conditional write must know whether it was sent before.
"""

import logging
import os
from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

from keystow.backends.answers import redirect
from keystow.backends.errors import (
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
from keystow.backends.loop import Loop
from keystow.backends.texts import guard_logs, keep_secret

from .settings import HINT, Account, account

_ERRORS: dict[str, tuple[type[StoreError], str]] = {
    "BlobAlreadyExists": (AlreadyExistsError, ""),
    "ConditionNotMet": (AlreadyExistsError, ""),
    "412": (AlreadyExistsError, ""),
    "ContainerNotFound": (BucketNotFoundError, "create the container, or correct its name"),
    "InvalidResourceName": (BucketNotFoundError, "correct the container's name"),
    "BlobNotFound": (NotFoundError, ""),
    "404": (NotFoundError, ""),
    "InvalidBlockList": (ConflictError, "another writer wrote the same key at the same time: publish again"),
    "AuthenticationFailed": (CredentialsError, HINT),
    "AuthorizationFailure": (CredentialsError, HINT),
    "401": (CredentialsError, HINT),
    "403": (AccessDeniedError, "allow it to these credentials (Storage Blob Data Contributor), or use others"),
    "408": (StoreUnavailableError, "try again later"),
    "429": (StoreUnavailableError, "try again later"),
}
_LOGGERS = ("azure", "adlfs", "msal", "fsspec", "aiohttp", "urllib3")

Result = TypeVar("Result")


class Container:
    """An open client for one container; ``endpoint`` is the account's URL."""

    def __init__(self, name: str, *, endpoint: str | None) -> None:
        self.name = name
        file_system, guarded = _clients()
        self.account = account(endpoint, os.environ)
        self._files = _opened(file_system, self.account)
        self._service = guarded(self._files.service_client)
        self._files.service_client = self._service  # which adlfs closes at the end, if nobody did
        self._client = self._service.get_container_client(name)
        self.loop = Loop(self._files.loop)
        guard_logs(*_LOGGERS)

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
        """What the account was opened with, if it is not sent in URLs: an ``access_key``, or a ``token`` of now."""
        if self.account_key is not None:
            return {"access_key": self.account_key, "expires_at": None}
        asked = self._service.credential.get_token("https://storage.azure.com/.default")
        token = self.run("", asked)
        keep_secret(token.token)
        return {"token": token.token, "expires_at": datetime.fromtimestamp(token.expires_on, UTC)}

    def blob(self, key: str) -> Any:
        """The client of one blob."""
        return self._client.get_blob_client(key)

    def pages(self, prefix: str, size: int) -> Any:
        """The listing, page by page."""
        return self._client.list_blobs(name_starts_with=prefix, results_per_page=size).by_page()

    def where(self, key: str) -> str:
        """The blob's name for people."""
        return f"az://{self.name}/{key}"

    async def sound(self, key: str, work: Awaitable[Result]) -> Result:
        """What ``work`` gives, and the client's errors as the store's.

        They are not kept, not even as context: they hold the request, and that its credentials. What an answer that
        is not Azure's makes the client raise has no common class.
        """
        from azure.core.exceptions import AzureError

        try:
            return await work
        except StoreError:
            raise
        except AzureError as error:
            failure = self._translated(error, key)
        except (ValueError, LookupError, AttributeError, TypeError, RecursionError):
            failure = self.not_understood(key)
        raise failure

    def run(self, key: str, work: Awaitable[Result]) -> Result:
        """``sound``, waited for."""
        return self.loop.run(self.sound(key, work))

    def _translated(self, error: Any, key: str) -> StoreError:
        from aiohttp import ClientResponseError
        from azure.core import exceptions as azure

        if isinstance(getattr(error, "inner_exception", None), ClientResponseError):
            return self.not_understood(key)
        response = getattr(error, "response", None)
        if isinstance(error, azure.HttpResponseError) and response is not None:
            return self._refused(error, response, key)
        if isinstance(error, azure.ClientAuthenticationError):
            return CredentialsError(f"{self.where(key)}: no Azure credential was found", hint=HINT)
        if isinstance(error, azure.HttpResponseError):
            return StoreUnavailableError(f"{self.where(key)}: the answer was cut short")
        said = str(error).split("?", 1)[0]
        return StoreUnavailableError(f"{self.where(key)}: {said}", hint="check the endpoint and network")

    def _refused(self, error: Any, response: Any, key: str) -> StoreError:
        if response.status_code < 300:
            return self.not_understood(key)
        if response.status_code < 400:
            said = redirect(response.headers.get("Location", ""), self.endpoint)
            return StoreError(f"{self.where(key)}: {response.status_code}: {said}", code=str(response.status_code))
        given = getattr(error, "error_code", None)
        code = str(getattr(given, "value", given) or "")
        request_id = response.headers.get("x-ms-request-id", "")
        return self.refused(str(response.status_code), code, code or (error.reason or "").strip(), request_id, key)

    def refused(self, status: str, code: str, said: str, request_id: str, key: str) -> StoreError:
        """The error for an answer that refused."""
        kind, hint = _ERRORS.get(code) or _ERRORS.get(status) or (StoreError, "")
        if status.startswith("5"):
            kind, hint = StoreUnavailableError, "try again later"
        what = "already exists" if kind is AlreadyExistsError else f"{status}: {said}"
        return kind(f"{self.where(key)}: {what}", code=code or status, request_id=request_id, hint=hint)

    def not_understood(self, key: str) -> StoreUnavailableError:
        """The error for an answer that Azure would not give."""
        from .transport import NOT_AZURES

        return StoreUnavailableError(f"{self.where(key)}: {NOT_AZURES}", hint=f"check the endpoint {self.endpoint}")

    def close(self) -> None:
        """Closes the connections."""
        self.loop.run(self._service.close())


def _clients() -> tuple[Any, Any]:
    """Adlfs's file system, and what makes a client of its account's safe."""
    try:
        from adlfs import AzureBlobFileSystem

        from .transport import guarded
    except ImportError as error:
        raise MissingExtraError("Azure Blob Storage needs the extra azure: pip install 'keystow[azure]'") from error
    return AzureBlobFileSystem, guarded


def _opened(file_system: Any, opened: Account) -> Any:
    # Without a handler anywhere, Python prints the warnings of a library that has not said otherwise.
    if not (logger := logging.getLogger("azure")).handlers:
        logger.addHandler(logging.NullHandler())
    options: dict[str, Any] = (
        {"connection_string": opened.connection}
        if opened.connection is not None
        else {"account_name": opened.name, "account_host": urlsplit(opened.endpoint).netloc}
    )
    try:
        return file_system(**options, skip_instance_cache=True, use_listings_cache=False, max_concurrency=1)
    except ValueError as error:
        said = str(error)
    raise CredentialsError(f"Azure Blob Storage cannot be opened: {said}", hint=HINT)
