"""The way to Azure: a request is sent once and to nobody else, and what comes back is bounded.

The SDK's own client follows redirects, with the SAS or a new signature for the other host, and reads all that it is
sent. aiohttp repeats a PUT whose connection broke.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import (
    ClientConnectorError,
    ClientOSError,
    ClientPayloadError,
    ClientRequest,
    ClientResponse,
    ServerDisconnectedError,
)
from azure.core.pipeline.transport import AioHttpTransport

from keystow.backends.answers import MOST, Bounded, announced
from keystow.backends.texts import keep_secret

NOT_AZURES = "the answer is not Azure's"
_RANGE = re.compile(r"bytes=(\d+)-(\d+)")


def guarded(service: Any) -> Any:
    """A client for the same account as ``service``, with the same credential."""
    return type(service)(
        service.url,
        credential=service.credential,
        transport=OnceTransport(),
        permit_redirects=False,
        retry_total=0,
    )


class OnceTransport(AioHttpTransport):  # type: ignore[misc]  # which the SDK gives without its type
    """The SDK's transport over aiohttp, with each request and answer watched."""

    async def send(self, request: Any, **config: Any) -> Any:
        """The answer to one request."""
        return await super().send(request, middlewares=(_watched,), **config)


async def _watched(
    request: ClientRequest, handler: Callable[[ClientRequest], Awaitable[ClientResponse]]
) -> ClientResponse:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme == "Bearer":
        keep_secret(token)
    try:
        response = await handler(request)
    except ClientConnectorError:
        raise
    except (ClientOSError, ServerDisconnectedError) as error:
        # Under another name aiohttp does not send it again.
        raise ClientPayloadError(f"the connection was lost: {error}") from error
    most = MOST
    asked = _RANGE.fullmatch(request.headers.get("x-ms-range", ""))
    if asked and request.method == "GET" and response.status < 300:
        said = response.headers
        start, stop = int(asked[1]), int(asked[2]) + 1
        try:
            most = announced(response.status, said.get("Content-Length"), said.get("Content-Range"), start, stop)
        except ValueError:
            response.close()
            raise ClientPayloadError(NOT_AZURES) from None
    response.content = Bounded(response.content, most)  # type: ignore[assignment]
    return response
