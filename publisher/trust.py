"""What a stranger may name. Results, job files and URLs are handed on, so what they name is admitted, or refused, here.

Strategy: two tables, of types of stores and of their endpoints, and pure functions that read them. What the caller
wrote himself (a destination on the command line, a spec or a result made in code) does not come here; what was read
from a mapping does, and says so (``claimed``).
"""

import re
from collections.abc import Collection
from typing import Literal, NamedTuple

from .backends.endpoints import is_loopback, is_provider, origin

Admitted = Literal["always", "with a checksum"]
_TYPES: dict[str, Admitted] = {
    "s3": "always",
    "gs": "always",
    "az": "always",
    "file": "with a checksum",  # which proves that its author knew the content
    "memory": "with a checksum",
}
"""Every other type only when the caller allows it."""

_BOUND = {"s3"}
"""Types whose requests are signed for one host (AWS Signature Version 4), and so may go to a stranger's.

Not where the environment, or the profile that is named, configures an endpoint: the credentials are that server's
then, and one that looks at no host takes what was signed for another. What goes to Google and Azure (a bearer token, a
SAS, a SharedKey signature, which leaves the host out) works elsewhere always, so it goes to the provider's own hosts,
to this machine and to what the caller configured, and to no other.
"""


USUAL = {
    "s3": "https://s3.amazonaws.com",
    "gs": "https://storage.googleapis.com",
    "az": "https://blob.core.windows.net",
}
"""Where a store is that names no endpoint, and for which the environment names none."""


_URL = re.compile(r"\s*https?:", re.IGNORECASE)


class Trust(NamedTuple):
    """What the caller allows.

    ``types`` are types of stores beyond the table. ``endpoints`` are URLs of servers that may be called; with any given
    (``None`` is none given), no other server that a stranger names is called.
    """

    types: frozenset[str] = frozenset()
    endpoints: frozenset[str] | None = None


def admit(
    kind: str,
    endpoint: str | None,
    *,
    host: str | None = None,
    proven: bool | None,
    trust: Trust,
    configured: Collection[str],
    keyed: bool = False,
    error: type[ValueError],
) -> None:
    """Raises ``error`` for a store, of this type and at this endpoint, that a stranger may not name.

    ``proven`` says that a checksum came along, which will have to hold; ``None``, that none could. ``configured`` are
    the endpoints that the caller's environment, or the profile that he names, holds for stores of the type. ``host``
    is the server that stands in the place itself, as it does with fsspec's other types. ``keyed`` says that a
    customer's key would go there, too.
    """
    _admit_type(kind, proven=proven, trust=trust, error=error)
    if trust.endpoints is not None and kind not in _TYPES and host not in {origin(url)[1] for url in trust.endpoints}:
        advice = f": {_allowing(f'https://{host}')}" if host else ""
        raise error(f"the server {host or kind!r} is not called, as it is none of those that are allowed{advice}")
    _admit_endpoint(kind, endpoint, trust=trust, configured=configured, keyed=keyed, error=error)


def _admit_type(kind: str, *, proven: bool | None, trust: Trust, error: type[ValueError]) -> None:
    admitted = _TYPES.get(kind)
    if kind in trust.types or admitted == "always" or (admitted is not None and proven):
        return
    without = " without a checksum" if admitted and proven is not None else ""
    what = f"a store of the type {kind!r} is not used{without} on somebody's word"
    raise error(f"{what}: allow it with allow={{{kind!r}}}")


def _admit_endpoint(
    kind: str,
    endpoint: str | None,
    *,
    trust: Trust,
    configured: Collection[str],
    keyed: bool,
    error: type[ValueError],
) -> None:
    if trust.endpoints is not None:
        _admit_listed(kind, endpoint, trust.endpoints, configured, error)
    elif endpoint is not None:
        foreign = kind not in _BOUND or configured or keyed
        if foreign and not (is_provider(kind, endpoint) or is_loopback(endpoint) or _is_among(endpoint, configured)):
            why = "the credentials that it would get work elsewhere too"
            raise error(f"the endpoint {endpoint!r} is not called on somebody's word, as {why}: {_allowing(endpoint)}")


def _admit_listed(
    kind: str, endpoint: str | None, listed: Collection[str], configured: Collection[str], error: type[ValueError]
) -> None:
    """With a list, the server that would be called has to be in it; without an endpoint, that is the usual one."""
    if endpoint is None:
        if configured or kind not in USUAL or any(is_provider(kind, url) for url in listed):
            return
        called = USUAL[kind]
    else:
        called = endpoint
    if not _is_among(called, listed):
        why = "it is none of those that are allowed"
        raise error(f"the endpoint {called!r} is not called on somebody's word, as {why}: {_allowing(called)}")


def admit_url(url: str, *, trust: Trust, error: type[ValueError]) -> None:
    """Raises ``error`` for a URL that is none of the allowed servers', or of a host below one, where any are given."""
    if trust.endpoints is None:
        return
    scheme, host, port = origin(url)
    for allowed in map(origin, trust.endpoints):
        if (scheme, port) == (allowed[0], allowed[2]) and (host == allowed[1] or host.endswith(f".{allowed[1]}")):
            return
    server = f"{scheme}://{host}:{port}"
    raise error(f"the server {server!r} is not called, as it is none of those that are allowed: {_allowing(server)}")


def is_url(text: str) -> bool:
    """Whether ``text`` is meant as something that is downloaded."""
    return _URL.match(text) is not None


def _is_among(endpoint: str, known: Collection[str]) -> bool:
    return origin(endpoint) in set(map(origin, known))


def _allowing(endpoint: str) -> str:
    return f"allow it with allow_endpoints={{{endpoint!r}}}"
