"""aiobotocore's way over HTTP, made careful: what it must not follow, repeat, take in or read.

Strategy: it is held where each request and each answer passes, before botocore's parsers see it.
"""

import functools
from typing import Any

from keystow.backends.answers import MOST

from .answers import TOO_LONG, is_error
from .requests import Answer

ANSWER = "KeystowAnswer"
"""Where botocore's own answer holds the whole."""


@functools.cache
def careful_session() -> Any:
    """The class that aiobotocore makes its connections with."""
    from aiobotocore.httpsession import AIOHTTPSession
    from aiohttp import ClientPayloadError, ClientResponse

    class Bounded(ClientResponse):
        """Reads no more than S3 would send, where all is read at once; an object's content is not."""

        async def read(self) -> bytes:
            if self._body is None:
                body = bytearray()
                try:
                    async for piece in self.content.iter_any():
                        body += piece
                        if len(body) > MOST:
                            raise ClientPayloadError(TOO_LONG)  # noqa: TRY301  as whatever else ends it
                except BaseException:
                    self.close()
                    raise
                self.release()
                self._body = bytes(body)
            return self._body

    class Careful(AIOHTTPSession):  # type: ignore[misc]
        """Sends each request once, and to nobody else.

        aiohttp repeats a PUT on its own, and a lost answer would go unnoticed. It follows redirects, and a session
        token and the content go along.
        """

        async def _get_session(self, proxy_url: str | None) -> Any:
            session = await super()._get_session(proxy_url)
            session._retry_connection = False  # noqa: SLF001
            session._response_class = Bounded  # noqa: SLF001
            return _Straight(session)

    return Careful


class _Straight:
    """A session of aiohttp's that follows no redirect: it is an answer like others."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def request(self, method: str, **options: Any) -> Any:
        return self._session.request(method, allow_redirects=False, **options)


def hand_on(client: Any) -> None:
    """Has ``client`` put the whole answer, as it came, beside what botocore makes of it, under ``ANSWER``.

    What botocore parses is left empty, but for the content of an object, and for errors: of those it reads where a
    bucket is. Of the handlers of an event, it calls those of the least definite name first.
    """

    def keep(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
        status, body = response_dict["status_code"], response_dict["body"]
        headers = {str(name).lower(): str(value) for name, value in response_dict["headers"].items()}
        customized_response_dict[ANSWER] = Answer(status, headers, body if isinstance(body, bytes) else b"")
        if status < 300:
            response_dict["headers"] = {}
        if isinstance(body, bytes) and not (status >= 300 and is_error(body)):
            response_dict["body"] = b""

    def stay(context: dict[str, Any], **_: Any) -> None:
        context["s3_redirect"]["redirected"] = True

    client.meta.events.register_first("before-parse.*.*", keep)
    # To follow a redirect to another region, botocore asks for the bucket's; were that redirected too, without end.
    client.meta.events.register("before-call.s3.HeadBucket", stay)
