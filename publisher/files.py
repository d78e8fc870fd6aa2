"""The files of a published prefix, by its manifest: listed, read one at a time, and signed for others.

Strategy: the manifest is proved by what the result says before any of it is believed, and a file by what that says of
it. No key is listed.
"""

from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from tempfile import SpooledTemporaryFile

from .archive import Limits
from .archive.errors import shown
from .archive.manifest import Item, Manifest
from .archive.selection import Choice
from .backends import Credentials, Store
from .backends.options import CustomerKey
from .backends.sending.budget import Budget
from .checksum import Checksum
from .errors import MemberIsDirectoryError, MemberNotFoundError, ResultError
from .prefixes import chosen_items, committed, content_of_object, object_of
from .reading import Result, admissible, as_expected, check_limit, is_proven, opened_store, trusted
from .result import PublishedResult
from .stored import Access
from .trust import Trust

_PIECE = 1 << 20
_IN_MEMORY = 4 << 20


class Files:
    """What a manifest lists; ``proven`` says that a published digest proves it."""

    def __init__(
        self, store: Store, published: PublishedResult, manifest: Manifest, limits: Limits, *, proven: bool
    ) -> None:
        self._store, self._prefix, self._manifest, self._limits = store, published.key, manifest, limits
        self.url, self.proven = published.url, proven

    def items(self, choice: Choice | None = None) -> Iterator[Item]:
        """The files, or those that go along, in the order of the manifest. Raises ``MemberNotFoundError``."""
        return chosen_items(self._manifest, choice, self.url)

    def read(self, name: str) -> Iterator[bytes]:
        """The content of a file, in pieces, none of which is given before its SHA-256 was compared.

        Raises ``MemberError``, ``VerificationError``.
        """
        item = self._find(name)
        check_limit("bytes", item.size, self._limits.bytes)
        with SpooledTemporaryFile(_IN_MEMORY) as held:
            for chunk in content_of_object(self._store, self._prefix, self.url, object_of(item)):
                held.write(chunk)
            held.seek(0)
            yield from iter(partial(held.read, _PIECE), b"")

    def urls(self, *, expires: timedelta | float, pin_version: bool) -> Iterator[tuple[Item, str]]:
        """Each file, and a URL of it that is signed when it is asked for."""
        for item in self.items():
            version_id = item.version_id if pin_version else None
            yield item, self._store.presign(self._prefix + item.name, expires=expires, version_id=version_id)

    def _find(self, name: str) -> Item:
        is_directory = False
        for item in self.items():
            if item.name == name:
                return item
            is_directory = is_directory or item.name.startswith(f"{name}/")
        if is_directory:
            raise MemberIsDirectoryError(f"{shown(name)} is a directory: name a file in it")
        raise MemberNotFoundError(f"{self.url!r} has no member {shown(name)}")


def files_of(
    result: Result,
    *,
    store: Store | None = None,
    sha256: str | None = None,
    limits: Limits | None = None,
    allow: Collection[str] = (),
    allow_endpoints: Collection[str] | None = None,
    timeout: timedelta | float | None = None,
    concurrency: int | None = None,
    memory: int | None = None,
    credentials: Credentials | None = None,
    profile: str | None = None,
    customer_key: bytes | str | CustomerKey | None = None,
    requester_pays: bool | str | None = None,
) -> AbstractContextManager[Files]:
    """What ``result`` says, to be opened as the caller allows it, whose arguments are those of ``fetch``.

    Raises ``ResultError`` for what is no prefix; when it is opened, for one without a manifest of what was published.
    """
    access = Access(timeout, credentials, profile, customer_key, requester_pays, Budget(concurrency, memory))
    trust = trusted(allow, allow_endpoints, access, store)
    published = as_expected(admissible(result, trust), None if sha256 is None else Checksum(sha256))
    if published.encoding == "gzip":
        raise ResultError(f"{published.url!r} is an archive, which has no manifest: open_archive(result) lists it")
    if published.encoding == "raw":
        raise ResultError(f"{published.url!r} is one file as it is, which has no manifest: give a prefix")
    return _opened(published, store, trust, access, limits or Limits())


@contextmanager
def _opened(
    published: PublishedResult, given: Store | None, trust: Trust, access: Access, limits: Limits
) -> Iterator[Files]:
    proven = is_proven(published)
    with opened_store(published, given, trust, proven=proven, access=access) as store:
        found = committed(store, published, replace(limits, bytes=None))
        if found is None:
            raise ResultError(f"there is no manifest of what was published under {published.url!r}: fetch all of it")
        yield Files(store, published, found.manifest, limits, proven=proven)


def list_files(
    result: Result,
    *,
    store: Store | None = None,
    sha256: str | None = None,
    limits: Limits | None = None,
    allow: Collection[str] = (),
    allow_endpoints: Collection[str] | None = None,
    timeout: timedelta | float | None = None,
    credentials: Credentials | None = None,
    profile: str | None = None,
    customer_key: bytes | str | CustomerKey | None = None,
    requester_pays: bool | str | None = None,
) -> Iterator[Item]:
    """The files of a published prefix, as its manifest has them, in the order of their names' bytes.

    Each has its ``name``, ``size``, ``sha256`` (in hex), ``mtime``, ``executable`` and ``version_id``
    (``keystow.archive.Item``). The manifest alone is read, once the first is asked for, and has to be the one that
    ``result`` or ``sha256`` proves; where neither holds a digest, it is taken as it is. ``limits`` bound the members.
    The other arguments are those of ``fetch``.

    Raises ``ResultError`` for an archive or a raw file, and for a prefix without a manifest; ``VerificationError``,
    ``ArchiveError`` and ``StoreError``, the last of which is a ``NotFoundError`` where nothing was published.

    >>> import pathlib, tempfile
    >>> from keystow import publish
    >>> results = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (results / "score.txt").write_text("42")
    >>> [(file.name, file.size) for file in list_files(publish(results, "memory://bucket/listed", archive=False))]
    [('score.txt', 2)]
    """
    opening = files_of(
        result,
        store=store,
        sha256=sha256,
        limits=limits,
        allow=allow,
        allow_endpoints=allow_endpoints,
        timeout=timeout,
        credentials=credentials,
        profile=profile,
        customer_key=customer_key,
        requester_pays=requester_pays,
    )
    return _items(opening)


def _items(opening: AbstractContextManager[Files]) -> Iterator[Item]:
    with opening as files:
        yield from files.items()


def presign_each(
    result: Result,
    *,
    expires: timedelta | float,
    store: Store | None = None,
    pin_version: bool = True,
    allow: Collection[str] = (),
    allow_endpoints: Collection[str] | None = None,
    credentials: Credentials | None = None,
    profile: str | None = None,
    customer_key: bytes | str | CustomerKey | None = None,
    requester_pays: bool | str | None = None,
) -> Iterator[tuple[str, str]]:
    """The name of each file of a published prefix, and a URL from which anybody can fetch it until ``expires``.

    They are the files of ``list_files``, which says what is read and raised, in its order. A URL names the version that
    was published, where the manifest has one, unless ``pin_version`` is false, and is signed when it is asked for. The
    arguments are those of ``presign``.
    """
    opening = files_of(
        result,
        store=store,
        allow=allow,
        allow_endpoints=allow_endpoints,
        credentials=credentials,
        profile=profile,
        customer_key=customer_key,
        requester_pays=requester_pays,
    )
    return _urls(opening, expires, pin_version=pin_version)


def _urls(
    opening: AbstractContextManager[Files], expires: timedelta | float, *, pin_version: bool
) -> Iterator[tuple[str, str]]:
    with opening as files:
        for item, url in files.urls(expires=expires, pin_version=pin_version):
            yield item.name, url
