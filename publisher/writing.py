"""How objects are written, as publishers say it: in keywords, in ``Params`` and in ``opt=``, by one table of names."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple, TypedDict
from urllib.parse import parse_qsl, urlencode

from .backends import ObjectOptions
from .backends.options import check_payer, refused, unfit

_EXAMPLE = "2027-01-31T00:00:00+00:00"


class Writing(TypedDict, total=False):
    """The keywords of ``publish`` and ``Publisher`` that say how objects are written: ``ObjectOptions``'s."""

    encryption: str | None
    kms_key: str | None
    encryption_context: Mapping[str, str]
    encryption_scope: str | None
    storage_class: str | None
    tags: Mapping[str, str]
    metadata: Mapping[str, str]
    content_type: str | None
    cache_control: str | None
    content_disposition: str | None
    lock_mode: str | None
    retain_until: datetime | None
    legal_hold: bool


def _pairs(text: str) -> dict[str, str]:
    try:
        found = parse_qsl(text, keep_blank_values=True, strict_parsing=True)
    except ValueError:
        found = []
    pairs = dict(found)
    if not pairs or len(pairs) < len(found):
        raise ValueError(f"{text!r} has no name=value pairs: write name=value&name=value, each name once")
    return pairs


def _instant(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no ISO 8601 time: write one such as {_EXAMPLE}") from None


def flag(text: str) -> bool:
    """Whether it is ``true``. Raises ``ValueError`` for what is neither that nor ``false``."""
    if text.lower() not in {"true", "false"}:
        raise ValueError(f"{text!r} is neither true nor false: write one of them")
    return text.lower() == "true"


def payer(text: str) -> bool | str:
    """Whether who asks pays, or the project that does.

    >>> payer("true"), payer("my-project")
    (True, 'my-project')
    """
    return flag(text) if text.lower() in {"true", "false"} else text


class Param(NamedTuple):
    """The name of an option among the keywords, how its text is read, and how it is written."""

    keyword: str
    read: Callable[[str], Any] = str
    write: Callable[[Any], str] = str


PARAMS = {
    "Encryption": Param("encryption"),
    "KMSKeyID": Param("kms_key"),
    "EncryptionContext": Param("encryption_context", _pairs, urlencode),
    "EncryptionScope": Param("encryption_scope"),
    "StorageClass": Param("storage_class"),
    "Tags": Param("tags", _pairs, urlencode),
    "Metadata": Param("metadata", _pairs, urlencode),
    "ContentType": Param("content_type"),
    "CacheControl": Param("cache_control"),
    "ContentDisposition": Param("content_disposition"),
    "LockMode": Param("lock_mode", str.lower),
    "RetainUntil": Param("retain_until", _instant, datetime.isoformat),
    "LegalHold": Param("legal_hold", flag, lambda value: str(value).lower()),
    "RequesterPays": Param("requester_pays", payer, lambda value: value if isinstance(value, str) else "true"),
}
"""By the names of ``Params``, which are those of ``opt=`` in any case."""


def read_params_of_writing(values: Mapping[str, str]) -> dict[str, Any]:
    """The keywords that ``values`` of ``Params`` say. Raises ``ValueError``, which names the parameter."""
    found = {}
    for name, param in PARAMS.items():
        if name in values:
            try:
                found[param.keyword] = param.read(values[name])
            except ValueError as problem:
                raise ValueError(f"{name}: {problem}") from None
    return found


def written_params(options: ObjectOptions, requester_pays: bool | str) -> dict[str, str]:
    """The ``Params`` that say ``options``, as ``read_params_of_writing`` reads them."""
    values = {name: getattr(options, name) for name in options.named()} | {"requester_pays": requester_pays}
    return {name: param.write(values[param.keyword]) for name, param in PARAMS.items() if values.get(param.keyword)}


def check_writing(kind: str, options: ObjectOptions, requester_pays: bool | str) -> None:
    """Raises ``ValueError`` for what stores of the type ``kind`` do not take."""
    refusal = unfit(options, kind) or refused(["requester_pays"] if requester_pays else [], kind)
    if refusal is not None:
        raise ValueError(refusal)
    check_payer(requester_pays, kind)
