"""The form of endpoints and regions, and whose host an endpoint names; text alone is looked at."""

import ipaddress
import re
from urllib.parse import urlsplit

_SOUND = re.compile(
    r"(?i:https?)://(?:[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\.?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?:/[^;\\?#\s]*)?"
)
_REGION = re.compile(r"[A-Za-z0-9_-]+")
_AWS_REGION = r"[a-z]{2}(?:-[a-z]+){1,3}-\d"
_AWS_HOST = re.compile(r"(?:^|\.)amazonaws\.com(?:\.cn)?$")
_REGION_IN_HOST = re.compile(
    r"(?:^|\.)s3(?:-fips)?[.-](?:dualstack\.)?([a-z]{2}(?:-[a-z]+)+-\d+)(?:\.vpce)?\.amazonaws\.com(?:\.cn)?$"
)
_EXAMPLE = "https://s3.us-west-2.amazonaws.com"
_PORTS = {"http": 80, "https": 443}
_PROVIDERS = {
    "s3": (
        rf"(?:[a-z0-9.-]+\.)?(?:s3(?:-fips|-accelerate)?(?:[.-](?:dualstack(?:\.|(?=\.amazonaws)))?(?:{_AWS_REGION})?)?"
        rf"|vpce-[a-z0-9-]+\.s3\.{_AWS_REGION}\.vpce)\.amazonaws\.com(?:\.cn)?"
    ),
    "gs": r"storage[a-z0-9-]*(?:\.[a-z0-9-]+)*\.googleapis\.com",
    "az": r"[a-z0-9-]+\.blob\.core\.(?:windows\.net|chinacloudapi\.cn|usgovcloudapi\.net)",
}
"""The hosts that answer for a provider and for nobody else: other hosts below amazonaws.com are its customers'."""


def check_endpoint(endpoint: str, source: str = "") -> str:
    """Gives ``endpoint`` back if it is the URL of a server, without credentials in it.

    ``source`` names where it comes from, such as the variable that holds it. Raises ``ValueError``.

    >>> check_endpoint("http://127.0.0.1:9000")
    'http://127.0.0.1:9000'
    """
    where = f"{source}: " if source else ""
    try:
        parts = urlsplit(endpoint)
        sound = bool(parts.hostname) and parts.port != 0 and endpoint.isascii() and endpoint.isprintable()
    except ValueError:
        sound = False
        parts = urlsplit("")
    if "@" in endpoint and "\\" in endpoint:
        raise ValueError(f"{where}what holds '@' and '\\' is no endpoint: write a URL such as {_EXAMPLE}")
    if "@" in endpoint:
        raise ValueError(
            f"{where}the endpoint holds credentials, which results would repeat: use the default credentials chain"
        )
    if not sound or not _SOUND.fullmatch(endpoint):
        raise ValueError(f"{where}{endpoint!r} is no endpoint: write a URL such as {_EXAMPLE}")
    return endpoint


def is_region(name: str) -> bool:
    """Whether ``name`` can be that of a region."""
    return _REGION.fullmatch(name) is not None


def check_region(region: str, source: str = "") -> str:
    """Gives ``region`` back if it can be the name of one. Raises ``ValueError``."""
    if not is_region(region):
        where = f"{source}: " if source else ""
        raise ValueError(f"{where}{region!r} is no region: use a name such as us-east-1")
    return region


def origin(url: str) -> tuple[str, str, int]:
    """The scheme, the host and the port of a URL: what tells servers apart (RFC 6454, section 4).

    >>> origin("HTTPS://S3.example.com/path")
    ('https', 's3.example.com', 443)
    """
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    return scheme, (parts.hostname or "").rstrip("."), parts.port or _PORTS.get(scheme, 0)


def is_same(url: str, other: str) -> bool:
    """Whether two URLs of servers are one.

    >>> is_same("https://a.example.com:443/", "https://A.example.com")
    True
    """
    return (origin(url), urlsplit(url).path.rstrip("/")) == (origin(other), urlsplit(other).path.rstrip("/"))


def is_loopback(url: str) -> bool:
    """Whether the host of ``url`` is this machine."""
    host = origin(url)[1]
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_provider(kind: str, url: str) -> bool:
    """Whether ``url`` is reached by TLS at a host of the provider itself; ``kind`` is ``s3``, ``gs`` or ``az``."""
    scheme, host, _ = origin(url)
    hosts = _PROVIDERS.get(kind)
    return scheme == "https" and hosts is not None and re.fullmatch(hosts, host) is not None


def is_aws(endpoint: str | None) -> bool:
    """Whether requests to ``endpoint`` reach AWS itself; ``None`` is its default endpoint."""
    return endpoint is None or bool(_AWS_HOST.search(urlsplit(endpoint).hostname or ""))


def region_of(endpoint: str | None) -> str | None:
    """The region that an AWS endpoint's host name states.

    >>> region_of("https://s3.us-west-2.amazonaws.com")
    'us-west-2'
    """
    host = urlsplit(endpoint).hostname or "" if endpoint else ""
    found = _REGION_IN_HOST.search(host)
    if found:
        return found[1]
    return "us-east-1" if host == "s3.amazonaws.com" or host.endswith(".s3.amazonaws.com") else None
