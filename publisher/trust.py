"""What a stranger may name. Results, job files and URLs are handed on, so what they name is admitted, or refused, here.

Strategy: two tables, of types of stores and of their endpoints, and pure functions that read them. What the caller
wrote himself (a destination on the command line, a spec or a result made in code) does not come here; what was read
from a mapping does, and says so (``claimed``).
"""

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
"""Types whose requests are of no use at another host than the one that they are signed for (AWS Signature Version 4).

What goes to Google and Azure (a bearer token, a SAS, a SharedKey signature, which leaves the host out) works elsewhere
too, so it goes to the provider's own hosts, to this machine and to what the caller configured, and to no other.
"""


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
    proven: bool,
    trust: Trust,
    configured: Collection[str],
    error: type[ValueError],
) -> None:
    """Raises ``error`` for a store, of this type and at this endpoint, that a stranger may not name.

    ``proven`` says that a checksum came along, which will have to hold. ``configured`` are the endpoints that the
    caller's environment holds for stores of the type.
    """
    _admit_type(kind, proven=proven, trust=trust, error=error)
    _admit_endpoint(kind, endpoint, trust=trust, configured=configured, error=error)


def _admit_type(kind: str, *, proven: bool, trust: Trust, error: type[ValueError]) -> None:
    admitted = _TYPES.get(kind)
    if kind in trust.types or admitted == "always" or (admitted is not None and proven):
        return
    what = f"a store of the type {kind!r} is not used{' without a checksum' if admitted else ''} on somebody's word"
    raise error(f"{what}: allow it with allow={{{kind!r}}}")


def _admit_endpoint(
    kind: str, endpoint: str | None, *, trust: Trust, configured: Collection[str], error: type[ValueError]
) -> None:
    if endpoint is None or _is_among(endpoint, trust.endpoints or ()):
        return
    if trust.endpoints is None:
        if kind in _BOUND or is_provider(kind, endpoint) or is_loopback(endpoint) or _is_among(endpoint, configured):
            return
        why = "the credentials that it would get work elsewhere too"
    else:
        why = "it is none of those that are allowed"
    raise error(f"the endpoint {endpoint!r} is not called on somebody's word, as {why}: {_allowing(endpoint)}")


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


def _is_among(endpoint: str, known: Collection[str]) -> bool:
    return origin(endpoint) in set(map(origin, known))


def _allowing(endpoint: str) -> str:
    return f"allow it with allow_endpoints={{{endpoint!r}}}"
