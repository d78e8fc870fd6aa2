"""From a URL to a store."""

from collections.abc import Callable
from typing import Any

from .contract import Store
from .errors import UnknownStoreError

_FORMS = {
    "s3": "s3://bucket",
    "gs": "gs://bucket",
    "az": "az://container",
    "file": "file:///directory",
    "memory": "memory://name",
}


def open_store(url: str, **options: Any) -> Store:
    """The store that ``url`` names. Nothing is written.

    ``s3://bucket`` takes ``endpoint``, ``region``, ``profile``, ``ca_file``, ``addressing`` and ``conditions``;
    ``gs://bucket`` and ``az://container`` take ``endpoint``; ``file:///directory`` and ``memory://name`` take nothing.
    Any other protocol that fsspec has (``sftp://user@host/directory``) takes fsspec's own options for it, and
    ``whole_puts``.

    Raises ``UnknownStoreError`` for another kind of URL, ``MissingExtraError`` where an extra is not installed, and
    ``TypeError`` for an option that the store does not have.

    >>> store = open_store("memory://results")
    >>> store.write("a.txt", [b"hello"]).size
    5
    """
    protocol, separator, rest = url.partition("://")
    form = _FORMS.get(protocol)
    if not separator or (form is None and not is_known(protocol)):
        raise UnknownStoreError(
            f"{url!r} names no store: use one of {', '.join(_FORMS.values())}, or a protocol of fsspec's"
        )
    if (not rest.strip("/") and protocol != "file") or not rest:
        raise UnknownStoreError(f"{url!r} names no bucket: write {form or f'{protocol}://place/directory'}")
    if form is None:
        from .generic import GenericStore

        return GenericStore(url, **options)
    return _OPENERS[protocol](rest, **options)


def is_known(protocol: str) -> bool:
    """Whether there is a store for URLs that start with ``protocol``."""
    if protocol in _FORMS:
        return True
    from fsspec import available_protocols

    return protocol in available_protocols()


def _open_file(rest: str) -> Store:
    from .file import FileStore

    if not rest.startswith("/"):
        raise UnknownStoreError(f"'file://{rest}' is no absolute path: write file:///{rest}")
    return FileStore(rest)


def _open_memory(rest: str) -> Store:
    from .memory import MemoryStore

    return MemoryStore(rest.strip("/"))


def _open_s3(rest: str, **options: Any) -> Store:
    from .s3 import S3Store

    return S3Store(rest.rstrip("/"), **options)


def _open_gcs(rest: str, **options: Any) -> Store:
    from .gcs import GCSStore

    return GCSStore(rest.rstrip("/"), **options)


def _open_azure(rest: str, **options: Any) -> Store:
    from .azure import AzureStore

    return AzureStore(rest.rstrip("/"), **options)


_OPENERS: dict[str, Callable[..., Store]] = {
    "s3": _open_s3,
    "gs": _open_gcs,
    "az": _open_azure,
    "file": _open_file,
    "memory": _open_memory,
}
