"""Why there was no answer, as far as it can be told from what a client says of it; and what to change."""

import os
import re
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from keystow.backends.errors import StoreUnavailableError

from .answers import CHECK, NOT_S3, STRANGE, TOO_LONG

if TYPE_CHECKING:
    from keystow.backends.reaching import Proxy

_STRANGE = f"{TOO_LONG}|BadStatusLine|chunk size|400, message=|non-ASCII data|can't decode byte"
_REASONS = (
    (
        r"certificate.?verify.?failed",
        "the server's certificate is not trusted",
        "name the file of its authority in AWS_CA_BUNDLE",
    ),
    (
        r"WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST\b",
        "the server does not speak TLS there",
        "try http://, or another port",
    ),
    (_STRANGE, STRANGE, NOT_S3),
)
_DETAIL = r"certificate verify failed: ([^(\"]{1,100})"


def unanswered(
    where: str, endpoint: str | None, said: str, told: str = "", *, arrived: bool = True
) -> StoreUnavailableError:
    """The error for a request to ``endpoint`` without an answer that makes sense.

    ``said`` is all that the client says, and ``told`` what of it may be told, if that is not all. Without ``arrived``,
    the request surely came to nobody.
    """
    error = _told(where, endpoint, said, told)
    error.may_have_arrived = arrived
    return error


def _told(where: str, endpoint: str | None, said: str, told: str) -> StoreUnavailableError:
    at = f" ({endpoint})" if endpoint else ""
    for pattern, reason, hint in _REASONS:
        if re.search(pattern, said, re.IGNORECASE):
            found = re.search(_DETAIL, said)
            detail = f": {found[1].strip()}" if found else ""
            return StoreUnavailableError(f"{where}: {reason}{detail}{at}", hint=hint)
    hint = CHECK
    if variable := proxy_variable(endpoint or "https://s3.amazonaws.com"):
        from keystow.backends.reaching import past

        check = f"check the proxy that {variable} names, the endpoint and the network"
        hint = past(variable) if "connect to proxy" in said.lower() else check
    return StoreUnavailableError(f"{where}: {(told or said).rstrip('.')}{at}", hint=hint)


def proxy_variable(url: str) -> str | None:
    """The variable that names the proxy on the way to ``url``, if there is one; as botocore sees it."""
    if sys.platform == "linux" and not any(name.lower().endswith("_proxy") for name in os.environ):
        return None  # urllib.request would find none either, and takes long to load
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(url)
    proxies = getproxies()
    if not (proxies.get(parts.scheme) or proxies.get("all")) or proxy_bypass(parts.netloc):
        return None
    names = [form for name in (parts.scheme, "all") for form in (f"{name}_proxy", f"{name}_proxy".upper())]
    return next((name for name in names if os.environ.get(name)), f"{parts.scheme}_proxy")


def proxy_to(url: str) -> "Proxy | None":
    """The proxy on the way to ``url``, if there is one."""
    from keystow.backends.reaching import Proxy

    variable = proxy_variable(url)
    if variable is None:
        return None
    from urllib.request import getproxies

    found = getproxies()
    return Proxy(variable, found.get(urlsplit(url).scheme) or found["all"])
