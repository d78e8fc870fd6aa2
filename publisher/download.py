"""Reading a pre-signed URL, which needs no credentials and no client of any cloud."""

import http.client
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from urllib.parse import urlsplit

from .backends import AccessDeniedError, NotFoundError, StoreError, StoreUnavailableError

_CHUNK = 1 << 20
_SECONDS = 60
_DENIED = (
    "the URL has expired, or its signer may not read the object, or not the version that it names: ask for a new URL, "
    "or for one that pins no version"
)
_CODE = re.compile(rb"<Code>([^<]{1,80})</Code>")
_MESSAGE = re.compile(rb"<Message>([^<]{1,300})</Message>")


def is_url(text: str) -> bool:
    """Whether ``text`` is something that ``read`` reads."""
    return text.startswith(("http://", "https://"))


def read(url: str) -> Iterator[bytes]:
    """The content at ``url``. Raises ``StoreError``; no message repeats the URL's signature."""
    shown = _without_query(url)
    try:
        with urllib.request.urlopen(url, timeout=_SECONDS) as answer:  # noqa: S310  is_url admits http and https only
            while chunk := answer.read(_CHUNK):
                yield chunk
            if answer.length:
                raise StoreUnavailableError(f"{shown}: the answer was cut short", hint="fetch again")
    except urllib.error.HTTPError as error:
        raise _refused(error, shown) from None
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        if isinstance(error, StoreError):
            raise
        reason = getattr(error, "reason", error)
        raise StoreUnavailableError(f"{shown}: {reason}", hint="check the address and the network") from None


def _refused(error: urllib.error.HTTPError, shown: str) -> StoreError:
    body = error.read(1 << 16)
    code = _CODE.search(body)
    said = _MESSAGE.search(body)
    what = (
        ": ".join(part[1].decode("utf-8", "replace").rstrip(".") for part in (code, said) if part)
        or f"HTTP {error.code}"
    )
    message = f"{shown}: {what}"
    if error.code == 403:
        return AccessDeniedError(message, code="403", hint=_DENIED)
    if error.code == 404:
        return NotFoundError(message, code="404")
    return StoreError(message, code=str(error.code))


def _without_query(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}{parts.path}"
