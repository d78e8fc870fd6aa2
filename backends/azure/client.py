"""The connection to one Azure Blob container: adlfs's account and loop, a client of our own, and its errors translated.

Requests are made on the SDK's client, because adlfs drops the metadata or the precondition on its way to it. Its own
retries are off: a conditional write must know whether it was sent before.
"""

import logging
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from keystow.backends.answers import redirect
from keystow.backends.errors import CredentialsError, MissingExtraError, StoreError, StoreUnavailableError
from keystow.backends.loop import Loop
from keystow.backends.options import CustomerKey, check_way
from keystow.backends.sending.in_flight import parts_pace
from keystow.backends.sending.limits import Bounds
from keystow.backends.sending.progress import may_have_left
from keystow.backends.sending.repeating import retry_after
from keystow.backends.texts import guard_logs

from . import answers
from .answers import NOT_AZURES, BrokenError
from .settings import HINT, Account, account

_LOGGERS = ("azure", "adlfs", "msal", "fsspec", "aiohttp", "urllib3")

Result = TypeVar("Result")


class Container:
    """An open client for one container; ``endpoint`` is the account's URL, ``given`` what the caller opens it with.

    ``keyed`` is what the SDK takes with requests for a blob that has a customer's key
    (https://learn.microsoft.com/azure/storage/blobs/encryption-customer-provided-keys).
    """

    def __init__(
        self,
        name: str,
        *,
        endpoint: str | None,
        bounds: Bounds,
        given: Any = None,
        customer_key: CustomerKey | None = None,
    ) -> None:
        self.name, self.bounds = name, bounds
        self.pace = parts_pace(bounds.budget)
        file_system, guarded = _clients()
        self.account = account(endpoint, os.environ, given)
        check_way(self.account.endpoint, customer_key, also_here=True)  # the SDK sends none without
        self.keyed = _keyed(customer_key)
        self._files = _opened(file_system, self.account)
        self._service = guarded(self._files.service_client, bounds, self.account.credential)
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

    def blob(self, key: str) -> Any:
        """The client of one blob."""
        return self._client.get_blob_client(key)

    def pages(self, prefix: str, size: int, token: str | None) -> Any:
        """The listing, page by page, from the one on that ``token`` leads to."""
        return self._client.list_blobs(name_starts_with=prefix, results_per_page=size).by_page(token)

    def where(self, key: str) -> str:
        """The blob's name for people."""
        return f"az://{self.name}/{key}"

    def run(self, key: str, work: Awaitable[Result]) -> Result:
        """``sound``, waited for."""
        return self.loop.run(self.sound(key, work))

    def told(self, key: str, work: Awaitable[Any], understand: Callable[..., Result], *more: Any) -> Result:
        """``understand(answer, *more)`` of what ``work`` gives."""
        return self.understood(key, understand, self.run(key, work), *more)

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
        except (BrokenError, TimeoutError) as error:
            failure = self._unanswered(key, error)
        except (ValueError, LookupError, AttributeError, TypeError, RecursionError):
            failure = self.not_understood(key)
        raise failure

    def _translated(self, error: Any, key: str) -> StoreError:
        """The error for one of the SDK's, which may hold one of aiohttp's."""
        from aiohttp import ClientResponseError
        from azure.core import exceptions as azure

        inner = getattr(error, "inner_exception", None)
        if isinstance(inner, ClientResponseError):
            return self.not_understood(key)
        response = getattr(error, "response", None)
        if isinstance(error, azure.HttpResponseError) and response is not None:
            return self._refused(error, response, key)
        if isinstance(error, azure.ClientAuthenticationError):
            return CredentialsError(f"{self.where(key)}: no Azure credential was found", hint=HINT)
        if isinstance(error, azure.HttpResponseError):
            return self.cut_short(key)
        failure = self._unanswered(key, error)
        failure.may_have_arrived = inner is None or may_have_left(inner)
        return failure

    def _refused(self, error: Any, response: Any, key: str) -> StoreError:
        status, headers = response.status_code, response.headers
        if status < 300:
            return self.not_understood(key)
        if status < 400:
            said = redirect(headers.get("Location", ""), self.endpoint)
            return StoreError(f"{self.where(key)}: {status}: {said}", code=str(status))
        given = getattr(error, "error_code", None)
        code = str(getattr(given, "value", given) or "")
        request_id = headers.get("x-ms-request-id", "")
        failure = answers.refused(self.where(key), status, code, error.reason or "", request_id)
        failure.retry_after = retry_after(headers.get("Retry-After"), time.time())
        return failure

    def _unanswered(self, key: str, error: Exception) -> StoreUnavailableError:
        said = str(error).split("?", 1)[0] or type(error).__name__
        return StoreUnavailableError(f"{self.where(key)}: {said}", hint="check the endpoint and the network")

    def cut_short(self, key: str) -> StoreUnavailableError:
        """The error for an answer that ends too early."""
        return StoreUnavailableError(f"{self.where(key)}: the answer was cut short")

    def understood(self, key: str, understand: Callable[..., Result], *said: Any) -> Result:
        """``understand(*said)``. Raises ``StoreUnavailableError`` where that finds what Azure would not say."""
        try:
            return understand(*said)
        except (ValueError, TypeError, AttributeError):
            raise self.not_understood(key) from None

    def not_understood(self, key: str) -> StoreUnavailableError:
        """The error for an answer that Azure would not give."""
        return StoreUnavailableError(f"{self.where(key)}: {NOT_AZURES}", hint=f"check the endpoint {self.endpoint}")

    def close(self) -> None:
        """Closes the connections."""
        self.loop.end(self._service.close())


def _keyed(key: CustomerKey | None) -> dict[str, Any]:
    if key is None:
        return {}
    from azure.storage.blob import CustomerProvidedEncryptionKey

    return {"cpk": CustomerProvidedEncryptionKey(key_value=key.text, key_hash=key.sha256)}


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
