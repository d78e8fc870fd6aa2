"""The way to Azure: a request is sent once and to nobody else, gets on, and what comes back is bounded.

The SDK's own client follows redirects, with the SAS or a new signature for the other host, reads all that it is sent,
and waits for an access token as long as it takes. aiohttp repeats a PUT whose connection broke.
"""

import asyncio
import inspect
import re
import weakref
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import (
    ClientConnectorError,
    ClientError,
    ClientOSError,
    ClientPayloadError,
    ClientRequest,
    ClientResponse,
    ServerDisconnectedError,
)
from azure.core.exceptions import ServiceRequestError, ServiceResponseError
from azure.core.pipeline.transport import AioHttpTransport
from azure.core.rest import _aiohttp  # noqa: F401  or the first answer loads it, with no descriptor left perhaps

from keystow.backends.answers import MOST, Bounded, announced
from keystow.backends.errors import CredentialsError
from keystow.backends.sending.limits import Bounds
from keystow.backends.sending.parts import Body
from keystow.backends.sending.progress import Progressing, progressing
from keystow.backends.texts import keep_secret

from .answers import NOT_AZURES, BrokenError

_RANGE = re.compile(r"bytes=(\d+)-(\d+)")
_BLOCK = 1 << 18


def guarded(service: Any, bounds: Bounds, given: Any = None) -> Any:
    """A client for the same account as ``service``, whose tries keep to ``bounds``.

    What was ``given`` in code gives its access tokens, if anything was.
    """
    credential = service.credential
    if given is not None:
        credential = _Given(given, bounds.still)
    elif hasattr(credential, "get_token"):
        credential = _Asked(credential, bounds.still)
    return type(service)(
        service.url,
        credential=credential,
        transport=OnceTransport(bounds),
        permit_redirects=False,
        retry_total=0,
    )


class _Asked:
    """A credential whose access token comes in time, or not."""

    def __init__(self, credential: Any, still: float) -> None:
        self._credential, self._still = credential, still

    async def get_token(self, *scopes: str, **options: Any) -> Any:
        """A token for ``scopes``. Raises ``TimeoutError``."""
        async with progressing(self._still):
            return await self._credential.get_token(*scopes, **options)

    async def close(self) -> None:
        """Closes the connections."""
        await self._credential.close()


class _Given(_Asked):
    """One that a caller gave, who closes it himself; it need not be one that is awaited."""

    async def get_token(self, *scopes: str, **options: Any) -> Any:
        """A token for ``scopes``. Raises ``TimeoutError``, and ``CredentialsError`` where there is none."""
        ask = self._credential.get_token
        try:
            async with progressing(self._still):
                if inspect.iscoroutinefunction(ask):
                    return await ask(*scopes, **options)
                return await asyncio.to_thread(ask, *scopes, **options)
        except (TimeoutError, ServiceRequestError, ServiceResponseError):
            raise
        except Exception as error:  # noqa: BLE001  it is the caller's own code
            said = f"{type(error).__name__}: {error}".rstrip(": .")
        raise CredentialsError(f"the credentials gave no token: {said}", hint="renew the credentials")

    async def close(self) -> None:
        """Leaves it open."""


class OnceTransport(AioHttpTransport):  # type: ignore[misc]  # which the SDK gives without its type
    """The SDK's transport over aiohttp, with each request and answer watched.

    A try may stand still as long as ``bounds`` say, or the ``read_timeout`` of an operation.
    """

    def __init__(self, bounds: Bounds) -> None:
        super().__init__(connection_timeout=bounds.connect, read_timeout=None, connection_data_block_size=_BLOCK)
        self._still = bounds.still

    async def send(self, request: Any, **config: Any) -> Any:
        """The answer to one request, which the SDK may send again, signed anew."""
        given = request.data
        body = given.anew() if isinstance(given, Body) else Body(given) if given and isinstance(given, bytes) else None
        if body is not None:
            request.data = body
        try:
            async with progressing(config.pop("read_timeout", self._still), body):
                return await super().send(request, middlewares=(self._watched,), **config)
        finally:
            request.data = given

    async def _watched(
        self, request: ClientRequest, handler: Callable[[ClientRequest], Awaitable[ClientResponse]]
    ) -> ClientResponse:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme == "Bearer":
            keep_secret(token)
        request.headers["Accept-Encoding"] = "identity"
        try:
            response = await handler(request)
        except ClientConnectorError:
            raise
        except (ClientOSError, ServerDisconnectedError) as error:
            # Under another name aiohttp does not send it again.
            raise ClientPayloadError(f"the connection was lost: {error}") from error
        try:
            most = _most(request.method, request.headers, response.status, response.headers)
        except ValueError:
            response.close()
            raise ClientPayloadError(NOT_AZURES) from None
        response.content = _Content(response, most, self._still)  # type: ignore[assignment]
        return response


class _Content(Progressing):
    """What an answer of ``most`` bytes has; one that breaks off is closed, which the SDK forgets."""

    def __init__(self, response: ClientResponse, most: int, still: float) -> None:
        super().__init__(Bounded(response.content, most), still)
        self._response = weakref.ref(response)

    async def read(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes, or all. Raises ``BrokenError``."""
        try:
            return await super().read(size)
        except (ClientError, TimeoutError) as error:
            said = str(error)
        if (response := self._response()) is not None:
            response.close()
        raise BrokenError(said)


def _most(method: str, asked: Mapping[str, str], status: int, said: Mapping[str, str]) -> int:
    """The bytes that an answer may have. Raises ``ValueError`` for what is no answer of Azure's to that."""
    ranged = _RANGE.fullmatch(asked.get("x-ms-range", ""))
    if ranged and method == "GET" and status < 300:
        if "Content-Range" not in said:
            raise ValueError("Azure heeds ranges")
        start, stop = int(ranged[1]), int(ranged[2]) + 1
        return announced(status, said.get("Content-Length"), said.get("Content-Range"), start, stop).length
    if "Content-Encoding" in said and method != "HEAD":
        raise ValueError("the SDK would decompress it, to whatever length")
    return MOST
