"""From a URL to a store."""

import os
import re
from collections.abc import Callable
from datetime import timedelta
from importlib.util import find_spec
from typing import Any, NamedTuple

from .contract import Store
from .credentials import Credentials, check_credentials
from .endpoints import is_provider
from .errors import MissingExtraError, UnknownStoreError, UnsupportedError
from .options import CustomerKey, check_payer, customer_key_for, refused
from .sending.budget import Budget
from .sending.limits import check_timeout

_FORMS = {
    "s3": "s3://bucket",
    "gs": "gs://bucket",
    "az": "az://container",
    "file": "file:///directory",
    "memory": "memory://name",
}
ALIASES = {
    "gcs": "gs",
    "s3a": "s3",
    "s3n": "s3",
    "azure": "az",
    "abfs": "az",
    "abfss": "az",
    "wasb": "az",
    "wasbs": "az",
    "local": "file",
}
"""What other tools call these protocols."""
_AT_ACCOUNT = r"([^@/]+)@([^/]*)((?s:.*))"
_ACCOUNT = r"(?i:([a-z0-9-]+)\.(?:dfs|blob)\.(.+))"
ENGINES = ("auto", "fsspec", "obstore")
"""What can carry requests to S3; to Google Cloud Storage and Azure the first two are the same."""


def open_store(
    url: str,
    *,
    engine: str | None = None,
    timeout: timedelta | float | None = None,
    concurrency: int | None = None,
    memory: int | None = None,
    credentials: Credentials | None = None,
    customer_key: bytes | str | CustomerKey | None = None,
    requester_pays: bool | str = False,
    **options: Any,
) -> Store:
    """The store that ``url`` names. Nothing is written.

    The protocol may have the name that other tools have for it (``ALIASES``), and Azure's URLs the account in them
    (``abfss://container@account.dfs.core.windows.net``).

    ``s3://bucket`` takes ``endpoint``, ``region``, ``profile``, ``ca_file``, ``addressing`` and ``conditions``;
    ``gs://bucket`` and ``az://container`` take ``endpoint``; ``file:///directory`` and ``memory://name`` take nothing.
    Any other protocol that fsspec has (``sftp://user@host/directory``) takes fsspec's own options for it, and
    ``whole_puts``.

    ``engine`` (default: ``KEYSTOW_ENGINE``, else ``"auto"``) carries the requests to S3: ``"fsspec"`` (its client), or
    ``"auto"``: signed requests of keystow's own, which do what fsspec's client would wherever they can, and else that
    client. ``"obstore"``, which did that before, asks for the signed requests. Those to Google Cloud Storage and Azure
    are carried by fsspec's clients.

    ``timeout`` (a timedelta or seconds; default: ``KEYSTOW_TIMEOUT``, in seconds, else 150) is when a request is over
    on which nothing moves, with all of its tries. Directories and memory need none; to another protocol of fsspec's it
    is passed on, if it is given.

    ``concurrency`` is the most requests for objects that one call has under way at once (default: 128 for small
    objects, and of a large one as many parts or ranges as the memory allows), and ``memory`` the most bytes that it
    holds of what is under way (default: 64 MiB); a part has at least 8 MiB, a range 4 MiB, and one of them there always
    is. Directories, memory and other protocols of fsspec's have no use for either.

    ``credentials`` are used and no others: of the environment, of files and of this machine's role none is looked for.
    For S3: ``S3Credentials``; or a function that gives them, which is called from any thread, and again before they
    end (``expires_at``); or botocore's, which renew themselves. For Google Cloud Storage: google-auth's. For Azure:
    what has ``get_token``, as azure.identity's credentials have, ``AzureNamedKeyCredential``, or
    ``AzureSasCredential``. They stay the caller's, and open; a ``get_token`` that is awaited runs on a loop of the
    store's own.

    ``customer_key`` (32 bytes, or base64 of them) is a key of yours by which S3, Google Cloud Storage or Azure encrypts
    what is written and decrypts what is read, and which it does not keep; it goes out over TLS alone, or to this
    machine. ``requester_pays`` has whoever opens the store pay for the requests: ``True`` for S3, the id of a project
    for Google.

    After ``os.fork()``, files, memory and signed requests go on in the child; in it, other stores have to be opened
    anew, and raise ``StoreError`` until they are.

    Raises ``UnknownStoreError`` for another kind of URL, and for a file system that needs more than its URL says;
    ``MissingExtraError`` where an extra is not installed; ``UnsupportedError`` for an engine that does not carry
    requests there; ``ValueError`` for one that there is not, for credentials or a profile that are not for this store,
    for a bound that cannot be kept, and for an endpoint or a variable that is set wrongly; ``CredentialsError`` where
    credentials are given and end, or cannot be had; and ``TypeError`` for an option that the store does not have.

    >>> store = open_store("memory://results")
    >>> store.write("a.txt", [b"hello"]).size
    5
    """
    protocol, separator, rest = url.partition("://")
    form = _FORMS.get(canonical(protocol))
    if not separator or (form is None and not is_known(protocol)):
        raise UnknownStoreError(
            f"{url!r} names no store: use one of {', '.join(_FORMS.values())}, or a protocol of fsspec's"
        )
    if (not rest.strip("/") and canonical(protocol) != "file") or not rest:
        raise UnknownStoreError(f"{url!r} names no bucket: write {form or f'{protocol}://place/directory'}")
    seconds, budget = timeout_for(timeout), Budget(concurrency, memory)
    protocol, rest, endpoint = located(url)
    options |= _terms(protocol, customer_key, requester_pays)
    if endpoint is not None and options.setdefault("endpoint", endpoint) != endpoint:
        raise ValueError(f"{url!r} and the endpoint {options['endpoint']!r} name two places: leave one out")
    check_credentials(protocol, credentials, options.get("profile") if form is not None else None)
    if credentials is not None:
        options["credentials"] = credentials
    if protocol in {"s3", *_CLOUDS}:
        return _open_cloud(url, protocol, rest.rstrip("/"), engine, timeout=seconds, budget=budget, **options)
    if engine is not None:
        raise TypeError(f"{protocol}:// has no choice of engines: leave engine out")
    if form is None:
        from .generic import GenericStore

        if timeout is not None:
            options["timeout"] = seconds
        return GenericStore(url, **options)
    return _LOCAL[protocol](rest, **options)


def _terms(protocol: str, customer_key: bytes | str | CustomerKey | None, pays: bool | str) -> dict[str, Any]:
    """What is said of the key and of who pays. Raises ``UnsupportedError`` where there is no such thing."""
    terms: dict[str, Any] = {}
    if customer_key is not None:
        terms["customer_key"] = customer_key_for(customer_key)
    if pays:
        terms["requester_pays"] = pays
    refusal = refused(terms, protocol)
    if refusal is not None:
        raise UnsupportedError(refusal)
    check_payer(pays, protocol)
    return terms


def engine_for(given: str | None) -> str:
    """The engine to use: the ``given`` one, that of ``KEYSTOW_ENGINE``, or ``"auto"``. Raises ``ValueError``."""
    name = given or os.environ.get("KEYSTOW_ENGINE") or "auto"
    if name not in ENGINES:
        source = "" if given else " (from KEYSTOW_ENGINE)"
        raise ValueError(f"there is no engine {name!r}{source}: use one of {', '.join(ENGINES)}")
    return name


def timeout_for(given: timedelta | float | None) -> float | None:
    """The seconds to use: the ``given`` ones, those of ``KEYSTOW_TIMEOUT``, or none. Raises ``ValueError``."""
    if given is not None:
        return check_timeout(given)
    text = os.environ.get("KEYSTOW_TIMEOUT", "")
    if not text:
        return None
    try:
        return check_timeout(float(text))
    except ValueError:
        raise ValueError(f"KEYSTOW_TIMEOUT is {text!r}: set it to seconds, from 1 to 86400") from None


def canonical(protocol: str) -> str:
    """The protocol that is meant: ``protocol`` itself, if it is no other name of one.

    >>> canonical("gcs"), canonical("abfss"), canonical("sftp")
    ('gs', 'az', 'sftp')
    """
    return ALIASES.get(protocol, protocol)


def is_known(protocol: str) -> bool:
    """Whether there is a store for URLs that start with ``protocol``."""
    if canonical(protocol) in _FORMS:
        return True
    from fsspec import available_protocols

    return protocol in available_protocols()


class Located(NamedTuple):
    """What a URL says: the protocol, what stands behind it, and the endpoint, if it has one in it."""

    protocol: str
    rest: str
    endpoint: str | None


def located(url: str) -> Located:
    """Takes a URL of a store, or of an object in one, apart.

    Azure's own form has the account behind the container
    (https://learn.microsoft.com/azure/storage/blobs/data-lake-storage-introduction-abfs-uri). Raises
    ``UnknownStoreError`` for an account that is none of Azure's.

    >>> located("abfss://results@account.dfs.core.windows.net/a/b")
    Located(protocol='az', rest='results/a/b', endpoint='https://account.blob.core.windows.net')
    """
    protocol, _, rest = url.partition("://")
    protocol = canonical(protocol)
    found = re.fullmatch(_AT_ACCOUNT, rest) if protocol == "az" else None
    if found is None:
        return Located(protocol, rest, None)
    container, host, path = found.groups()
    account = re.fullmatch(_ACCOUNT, host)
    endpoint = f"https://{account[1]}.blob.{account[2]}".lower() if account else ""
    if not is_provider("az", endpoint):
        raise UnknownStoreError(f"{host!r} is no account of Azure's: write CONTAINER@ACCOUNT.dfs.core.windows.net")
    return Located(protocol, container + path, endpoint)


def _open_file(rest: str) -> Store:
    from .file import FileStore

    if not rest.startswith("/"):
        here = os.path.abspath(os.path.expanduser(rest))
        other = "" if rest.startswith("~") else f", or file:///{rest}"
        raise UnknownStoreError(f"'file://{rest}' is no absolute path: write file://{here}{other}")
    return FileStore(rest)


def _open_memory(rest: str) -> Store:
    from .memory import MemoryStore

    return MemoryStore(rest.strip("/"))


def _open_cloud(url: str, protocol: str, bucket: str, engine: str | None, **options: Any) -> Store:
    if "/" in bucket and not bucket.startswith("arn:"):
        raise UnknownStoreError(f"{url!r} names more than a bucket: write {protocol}://{bucket.partition('/')[0]}")
    carrier = engine_for(engine)
    if protocol == "s3":
        return _open_s3(bucket, carrier, **options)
    if engine == "obstore":
        raise UnsupportedError(f"{url}: obstore carries requests to S3 only", hint="use engine=fsspec, or leave it out")
    return _CLOUDS[protocol](bucket, **options)


def _open_s3(bucket: str, engine: str, **options: Any) -> Store:
    if any(find_spec(name) is None for name in ("s3fs", "aiobotocore", "botocore")):
        raise MissingExtraError("S3 needs the extra s3: pip install 'keystow[s3]'")

    from .s3.store import S3Store

    return S3Store(bucket, engine=engine, **options)


def _open_gcs(bucket: str, **options: Any) -> Store:
    from .gcs.store import GCSStore

    return GCSStore(bucket, **options)


def _open_azure(container: str, **options: Any) -> Store:
    from .azure.store import AzureStore

    return AzureStore(container, **options)


_LOCAL: dict[str, Callable[..., Store]] = {"file": _open_file, "memory": _open_memory}
_CLOUDS: dict[str, Callable[..., Store]] = {"gs": _open_gcs, "az": _open_azure}
