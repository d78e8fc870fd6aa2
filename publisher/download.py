"""Reading a pre-signed URL, which needs no credentials and no client of any cloud."""

import http.client
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from urllib.parse import urlsplit

from .backends import AccessDeniedError, NotFoundError, StoreError, StoreUnavailableError
from .errors import ResultError

_CHUNK = 1 << 20
_SECONDS = 60
_DENIED = (
    "the URL has expired, or its signer may not read the object, or not the version that it names: ask for a new URL, "
    "or for one that pins no version"
)
_URL = re.compile(r"\s*https?:", re.IGNORECASE)
_SOUND = re.compile(r"https?://[!-~]+", re.IGNORECASE)
_CODE = re.compile(rb"<Code>([^<]{1,80})</Code>")
_MESSAGE = re.compile(rb"<Message>([^<]{1,300})</Message>")


def is_url(text: str) -> bool:
    """Whether ``text`` is meant as something that ``read`` reads."""
    return _URL.match(text) is not None


def read(url: str) -> Iterator[bytes]:
    """The content at ``url``. Raises ``ResultError`` for what is no URL, and ``StoreError``.

    No message repeats the URL's query, which holds the signature.
    """
    url = url.strip()
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
        if isinstance(error, http.client.InvalidURL):
            reason = "it leads to an address that is none"
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
    if error.code >= 500:
        return StoreUnavailableError(message, code=str(error.code), hint="fetch again later")
    return StoreError(message, code=str(error.code))


def _without_query(url: str) -> str:
    """``url`` for people. Raises ``ResultError`` if it is none."""
    try:
        parts = urlsplit(url)
        sound = bool(_SOUND.fullmatch(url) and parts.hostname and parts.port != 0)
    except ValueError:
        sound = False
    if not sound:
        raise ResultError("the URL is none that can be fetched: give it as it was printed, whole and in quotes")
    return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}{parts.path}"
