"""How an object is written, beside its bytes: encryption, class, tags, headers, locks; and what each cloud makes of it.

Strategy: one table says what every option becomes in S3, Google Cloud Storage and Azure, or why it is refused there. It
is checked before anything is sent; a directory, memory and fsspec's other file systems have none of them.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Literal, NamedTuple, get_args

from .endpoints import is_loopback, origin
from .texts import keep_secret

Encryption = Literal["AES256", "aws:kms", "aws:kms:dsse"]
LockMode = Literal["governance", "compliance"]
ENCRYPTIONS: tuple[str, ...] = get_args(Encryption)
LOCK_MODES: tuple[str, ...] = get_args(LockMode)
CLOUDS = {"s3": "S3", "gs": "Google Cloud Storage", "az": "Azure"}


class Instead(NamedTuple):
    """Why a cloud has no such option, and what to do instead."""

    why: str


class Row(NamedTuple):
    """What an option becomes in each cloud."""

    s3: str | Instead
    gs: str | Instead
    az: str | Instead


_NO_CONTEXT = Instead("only S3 has it: leave it out")
_NO_SCOPE = Instead("only Azure has it: name a key with kms_key")
_NO_KMS = Instead("Azure encrypts always, and names keys by encryption_scope")

TABLE = {
    "encryption": Row(
        "x-amz-server-side-encryption",
        Instead("Google encrypts always: name a key of yours with kms_key"),
        Instead("Azure encrypts always: name a key of yours by encryption_scope"),
    ),
    "kms_key": Row("x-amz-server-side-encryption-aws-kms-key-id", "kmsKeyName", _NO_KMS),
    "encryption_context": Row("x-amz-server-side-encryption-context", _NO_CONTEXT, _NO_CONTEXT),
    "encryption_scope": Row(_NO_SCOPE, _NO_SCOPE, "x-ms-encryption-scope"),
    "customer_key": Row("x-amz-server-side-encryption-customer-key", "x-goog-encryption-key", "x-ms-encryption-key"),
    "storage_class": Row("x-amz-storage-class", "storageClass", "x-ms-access-tier"),
    "tags": Row("x-amz-tagging", Instead("Google has none: use metadata"), "x-ms-tags"),
    "metadata": Row("x-amz-meta-*", "metadata", "x-ms-meta-*"),
    "content_type": Row("Content-Type", "contentType", "x-ms-blob-content-type"),
    "cache_control": Row("Cache-Control", "cacheControl", "x-ms-blob-cache-control"),
    "content_disposition": Row("Content-Disposition", "contentDisposition", "x-ms-blob-content-disposition"),
    "lock_mode": Row("x-amz-object-lock-mode", "retention.mode", "x-ms-immutability-policy-mode"),
    "retain_until": Row(
        "x-amz-object-lock-retain-until-date", "retention.retainUntilTime", "x-ms-immutability-policy-until-date"
    ),
    "legal_hold": Row("x-amz-object-lock-legal-hold", "temporaryHold", "x-ms-legal-hold"),
    "requester_pays": Row(
        "x-amz-request-payer", "userProject", Instead("Azure always has the owner pay: leave it out")
    ),
}
"""By the names of Python's arguments: the header or field of each cloud's API."""

_TEXTS = ("kms_key", "encryption_scope", "storage_class", "content_type", "cache_control", "content_disposition")
_TIERS = ("Hot", "Cool", "Cold", "Archive")
"""https://learn.microsoft.com/azure/storage/blobs/access-tiers-overview"""
_PAIRS = ("encryption_context", "tags", "metadata")
_RESERVED = re.compile("keystow[-_]write", re.IGNORECASE)
"""The metadata by which a write knows its own object (``sending/settling.py``)."""
_MOST_TAGS = 10
_TAG = re.compile(r"[\w +\-./:=@]{1,128}")
_TAG_VALUE = re.compile(r"[\w +\-./:=@]{0,256}")
_KEY_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectOptions:
    """How an object is written. What is ``None``, or empty, is left to the bucket.

    ``encryption`` is S3's: ``"AES256"``, ``"aws:kms"`` (which ``kms_key`` and ``encryption_context`` imply) or
    ``"aws:kms:dsse"``. ``kms_key`` is the id or ARN of a key of AWS's KMS, or the resource name of one of Google's;
    ``encryption_scope`` is Azure's. ``storage_class`` is the cloud's own name of one, or of Azure's tier. Of ``tags``
    there may be 10. ``lock_mode`` (``"governance"``, which Google and Azure call unlocked, or ``"compliance"``, their
    locked) and ``retain_until`` (an aware datetime) belong together; ``legal_hold`` stands alone. Raises ``ValueError``
    for values that no cloud takes.

    >>> ObjectOptions(encryption="aws:kms", tags={"project": "apollo"}).named()
    ('encryption', 'tags')
    """

    encryption: str | None = None
    kms_key: str | None = None
    encryption_context: Mapping[str, str] = field(default_factory=dict, hash=False)
    encryption_scope: str | None = None
    storage_class: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)
    content_type: str | None = None
    cache_control: str | None = None
    content_disposition: str | None = None
    lock_mode: str | None = None
    retain_until: datetime | None = None
    legal_hold: bool = False

    def __post_init__(self) -> None:
        for name in _PAIRS:
            if getattr(self, name) is None:
                object.__setattr__(self, name, {})
        for problem in _problems(self):
            raise ValueError(problem)

    def named(self) -> tuple[str, ...]:
        """The names of the options that are given."""
        return tuple(each.name for each in fields(self) if getattr(self, each.name))


def _problems(options: ObjectOptions) -> Iterator[str]:
    """What is wrong, each with what to change; the types come first, as the rest relies on them."""
    for name in ("encryption", "lock_mode", *_TEXTS):
        if not isinstance(getattr(options, name), str | None):
            yield f"{name}={getattr(options, name)!r} is no text: give a text"
    for name in _PAIRS:
        pairs = getattr(options, name)
        if not isinstance(pairs, Mapping) or not all(isinstance(text, str) for pair in pairs.items() for text in pair):
            yield f"{name}={pairs!r} is no mapping of texts: give one, such as {{'project': 'apollo'}}"
    if not isinstance(options.retain_until, datetime | None):
        yield f"retain_until={options.retain_until!r} is no time: give a datetime with a zone"
    yield from _problems_of_values(options)


def _problems_of_values(options: ObjectOptions) -> Iterator[str]:
    for name, known in (("encryption", ENCRYPTIONS), ("lock_mode", LOCK_MODES)):
        value = getattr(options, name)
        if value is not None and value not in known:
            yield f"{name}={value!r} is none: use {', '.join(known[:-1])} or {known[-1]}"
    for name in _TEXTS:
        value = getattr(options, name)
        if value is not None and not (value and value.isprintable() and value == value.strip()):
            yield f"{name}={value!r} cannot stand in a header: give printable text, without spaces around it"
    yield from _problems_of_pairs(options)
    if options.encryption == "AES256" and (options.kms_key or options.encryption_context):
        yield "encryption='AES256' is S3's own key: leave kms_key and encryption_context out, or use aws:kms"
    if (options.lock_mode is None) != (options.retain_until is None):
        yield "lock_mode and retain_until belong together: give both"
    if options.retain_until is not None and options.retain_until.tzinfo is None:
        yield f"retain_until={options.retain_until.isoformat()} has no zone: add one, such as +00:00"


def _problems_of_pairs(options: ObjectOptions) -> Iterator[str]:
    if len(options.tags) > _MOST_TAGS:
        yield f"there are {len(options.tags)} tags: an object has {_MOST_TAGS} at most"
    for name, value in options.tags.items():
        if not _TAG.fullmatch(name) or not _TAG_VALUE.fullmatch(value):
            yield (
                f"the tag {name!r}={value!r} is none: use letters, digits, spaces and + - . / : = _ @, "
                "128 of them in the name and 256 in the value"
            )
    if len({name.casefold() for name in options.metadata}) < len(options.metadata):
        yield "two names of the metadata differ in case alone, which headers do not tell apart: rename one"
    for name, value in options.metadata.items():
        if _RESERVED.fullmatch(name):
            yield f"the metadata {name!r} is keystow's own, by which it knows what it wrote: choose another name"
        if not name or not f"{name}{value}".isprintable():
            yield f"the metadata {name!r}={value!r} cannot stand in a header: use printable text"


def refused(names: Collection[str], kind: str) -> str | None:
    """What to say of the first of ``names`` that stores of the type ``kind`` do not take; ``None`` if they take all.

    >>> refused(["tags"], "gs")
    'tags: Google has none: use metadata'
    """
    for name in names:
        if kind not in CLOUDS:
            return f"{name}: only S3, Google Cloud Storage and Azure have it: leave it out"
        cell = getattr(TABLE[name], kind)
        if isinstance(cell, Instead):
            return f"{name}: {cell.why}"
    return None


def unfit(options: ObjectOptions, kind: str) -> str | None:
    """What to say of the first option that stores of the type ``kind`` do not take; ``None`` if they take all.

    >>> unfit(ObjectOptions(storage_class="GLACIER"), "az")
    'storage_class: Azure has no tier GLACIER: use Hot, Cool, Cold or Archive'
    """
    refusal = refused(options.named(), kind)
    if refusal is None and kind == "az" and (options.storage_class or _TIERS[0]).title() not in _TIERS:
        tiers = f"{', '.join(_TIERS[:-1])} or {_TIERS[-1]}"
        return f"storage_class: Azure has no tier {options.storage_class}: use {tiers}"
    return refusal


def check_keyed(options: ObjectOptions, *, keyed: bool) -> None:
    """Raises ``ValueError`` where a customer's key is to encrypt, and the options name another way."""
    others = ("encryption", "kms_key", "encryption_context", "encryption_scope")
    if keyed and (named := [name for name in options.named() if name in others]):
        raise ValueError(f"customer_key is one way to encrypt, and {named[0]} another: give one of them")


def check_payer(given: bool | str, kind: str) -> None:
    """Raises ``ValueError`` for a ``requester_pays`` that does not say what stores of the type ``kind`` ask."""
    if kind == "gs" and given is True:
        raise ValueError("requester_pays=True names nobody, and with Google a project pays: give its id")
    if kind == "s3" and given is not True and given is not False:
        raise ValueError(f"requester_pays={given!r} is for Google, where a project pays: give requester_pays=True")


class CustomerKey:
    """A key of the caller's own, of 256 bits, by which the cloud encrypts and which it does not keep. Never printed."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key
        keep_secret(self.text)

    @property
    def text(self) -> str:
        """The key in base64."""
        return base64.b64encode(self._key).decode()

    @property
    def md5(self) -> str:
        """The MD5 of the key in base64, by which S3 sees that it arrived."""
        return base64.b64encode(hashlib.md5(self._key, usedforsecurity=False).digest()).decode()

    @property
    def sha256(self) -> str:
        """Its SHA-256 in base64, which Google and Azure want."""
        return base64.b64encode(hashlib.sha256(self._key).digest()).decode()

    def __repr__(self) -> str:
        return "CustomerKey(…)"

    def __reduce__(self) -> str:
        raise TypeError("a customer key is not pickled: have the other side get it by itself")


def customer_key_for(given: "bytes | str | CustomerKey") -> CustomerKey:
    """The key that is given, as 32 bytes or as base64 of them. Raises ``ValueError``, which does not repeat it.

    >>> customer_key_for(bytes(32))
    CustomerKey(…)
    """
    if isinstance(given, CustomerKey):
        return given
    try:
        key = base64.b64decode(given.strip(), validate=True) if isinstance(given, str) else bytes(given)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != _KEY_BYTES:
        raise ValueError(f"customer_key is no key: give {_KEY_BYTES} bytes, or base64 of them")
    return CustomerKey(key)


def check_way(endpoint: str, key: CustomerKey | None, *, also_here: bool = False) -> None:
    """Raises ``ValueError`` where a customer's key would go out in the open; on this machine ``also_here``."""
    if key is not None and origin(endpoint)[0] != "https" and (also_here or not is_loopback(endpoint)):
        raise ValueError(f"{endpoint} is called without TLS, and customer_key would go there in the open: use https")
