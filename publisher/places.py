"""What destinations and results name alike: a type of store, a bucket in it, perhaps an endpoint and a region.

Strategy: what each type of store takes stands in one table; whoever names a place has it checked by it, whatever the
place is for.
"""

import os
import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from .backends.endpoints import check_endpoint, check_region
from .backends.errors import raise_alone
from .backends.opening import canonical, is_known
from .keys import AZURE, FILE, GCS, S3, KeyRuleError, KeyRules, check_key
from .params import nearest

ENCODINGS = ("gzip", "plain", "raw")
"""One archive, the files under a prefix, or one file as it is."""

# S3 itself takes 3 to 63 of [a-z0-9.-]; its compatibles have more, and are asked.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
_NAMED = "a name of letters, digits, '.', '_' and '-' that begins with a letter or a digit, of 255 at most"


class Kind(NamedTuple):
    """What stores of one type take: buckets of a form, keys by rules, and parameters of their own."""

    bucket: re.Pattern[str]
    what: str
    rules: KeyRules
    takes: frozenset[str] = frozenset()


KINDS = {
    "s3": Kind(_NAME, _NAMED, S3, frozenset({"endpoint", "region", "engine"})),
    "gs": Kind(_NAME, _NAMED, GCS, frozenset({"endpoint", "engine"})),
    "az": Kind(
        re.compile(r"[a-z0-9-]{3,63}|\$root|\$web|\$logs"),
        "a container's name, 3 to 63 of a-z, 0-9 and '-'",
        AZURE,
        frozenset({"endpoint", "engine"}),
    ),
    "memory": Kind(re.compile(r"[^/]+"), "a name without '/'", S3),
    "file": Kind(re.compile(r"/.*", re.DOTALL), "an absolute directory", FILE),
}
OTHER = Kind(
    re.compile(r".+"),
    "a place and directories, such as user@host/directory",
    FILE._replace(segments=f"{FILE.segments}|.*::.*"),
)
"""A file system of fsspec's, to which ``::`` chains another."""
_PASSWORD = re.compile(r"[^/@:]*:(?![0-9]{1,5}/)[^@]*@")


def kind_of(name: str) -> Kind:
    """What stores of the type ``name`` take."""
    return KINDS.get(name, OTHER)


def check_type(name: str, error: type[ValueError]) -> str:
    """The type that ``name`` means, such as ``gs`` for ``gcs``. Raises ``error`` if there is none."""
    found = canonical(name.lower())
    if found not in KINDS and (found in {"http", "https"} or not is_known(found)):
        raise error(f"there is no publisher type {found!r}: {nearest(found, KINDS)}")
    return found


def check_place(kind: str, bucket: str, given: Mapping[str, str | None], error: type[ValueError]) -> None:
    """Raises ``error`` for a bucket, or for one of the ``given`` parameters, that stores of the type do not have."""
    form, what, _, takes = kind_of(kind)
    _check_text(kind, bucket, error)
    for name, value in given.items():
        if value is not None and name not in takes:
            raise error(f"{'an' if kind[0] in 'aeiou' else 'a'} {kind} destination takes no {name}: leave it out")
    if "::" in bucket:
        raise error(f"the bucket {bucket!r} holds '::', which chains one file system to another: name one place")
    if kind != "memory" and _PASSWORD.match(bucket):
        own = (
            "use the default credentials chain"
            if kind in KINDS
            else f"set FSSPEC_{kind.upper()}_PASSWORD, or use a key"
        )
        raise error(f"the {kind} destination holds a password, which results would repeat: leave it out, and {own}")
    if not form.fullmatch(bucket):
        raise error(f"{bucket!r} is no bucket for {kind}: give {what}")
    endpoint, region = given.get("endpoint"), given.get("region")
    try:
        if endpoint is not None:
            check_endpoint(endpoint)
        if region is not None:
            check_region(region)
    except ValueError as problem:
        raise_alone(error(str(problem)))


def _check_text(kind: str, bucket: str, error: type[ValueError]) -> None:
    """Raises ``error`` for what no system takes as a name, and no URL as a host."""
    try:
        sound = kind == "memory" or b"\0" not in os.fsencode(bucket)
        host_in(kind, bucket)
    except ValueError:
        sound = False
    if not sound:
        raise_alone(error(f"{bucket!r} is no bucket for {kind}: give {kind_of(kind).what}"))


def check_name(kind: str, key: str, *, prefix: bool, error: type[ValueError]) -> None:
    """Raises ``error`` for a key, or a prefix of keys, that stores of the type cannot hold."""
    if kind not in KINDS and "::" in key:
        raise error(f"the key {key!r} holds '::', which chains one file system to another: choose another key")
    try:
        check_key(key, kind_of(kind).rules, names=() if prefix else None)
    except KeyRuleError as problem:
        raise error(str(problem)) from None


def host_in(kind: str, bucket: str) -> str | None:
    """The server that stands in the bucket, as it does with fsspec's own types.

    >>> host_in("sftp", "user@Host.example.com:22/directory")
    'host.example.com'
    """
    return None if kind in KINDS else urlsplit(f"//{bucket}").hostname
