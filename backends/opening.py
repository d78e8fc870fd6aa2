"""From a URL to a store."""

from collections.abc import Callable
from typing import Any

from .contract import Store
from .errors import UnknownStoreError

_FORMS = {"s3": "s3://bucket", "file": "file:///directory", "memory": "memory://name"}


def open_store(url: str, **options: Any) -> Store:
    """The store that ``url`` names: ``s3://bucket``, ``file:///directory`` or ``memory://name``.

    ``options`` for ``s3``: ``endpoint``, ``region``, ``profile``, ``ca_file``. Nothing is sent yet.

    Raises ``UnknownStoreError`` for another kind of URL, ``MissingExtraError`` where an extra is not installed, and
    ``TypeError`` for an option that the store does not have.

    >>> store = open_store("memory://results")
    >>> store.write("a.txt", [b"hello"]).size
    5
    """
    protocol, separator, rest = url.partition("://")
    opener = _OPENERS.get(protocol)
    if not separator or opener is None:
        raise UnknownStoreError(f"{url!r} names no store: use one of {', '.join(_FORMS.values())}")
    if (not rest.strip("/") and protocol != "file") or not rest:
        raise UnknownStoreError(f"{url!r} names no bucket: write {_FORMS[protocol]}")
    return opener(rest, **options)


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


_OPENERS: dict[str, Callable[..., Store]] = {"s3": _open_s3, "file": _open_file, "memory": _open_memory}
