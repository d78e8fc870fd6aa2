"""How what was published lies in its store: whoever publishes and whoever fetches must see it alike."""

import hashlib
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

from .backends import (
    AccessDeniedError,
    AlreadyExistsError,
    Credentials,
    NotFoundError,
    Store,
    UnsupportedError,
    open_store,
)
from .backends.credentials import check_credentials
from .backends.endpoints import region_of
from .backends.options import CustomerKey, customer_key_for
from .backends.sending.budget import USUAL, Budget
from .backends.sending.forks import tell_in_children
from .backends.sending.workers import under_way
from .checksum import Checksum
from .ending import held
from .result import PublishedResult
from .spec import PublisherSpec

NO_VERSION = (AccessDeniedError, NotFoundError, UnsupportedError)
"""Why a version that is named is not to be had: it may not be read, is gone, or the store keeps none, as for a copy.
The current object will do then, if a digest shows that it is the same."""


class AlreadyPublishedError(AlreadyExistsError):
    """There is an object of that name, and it holds what would have been published: ``result`` is its own."""

    kind = "already_published"

    result: PublishedResult


@dataclass(frozen=True, slots=True)
class Access:
    """What the caller says of how a store is opened, beside the place itself; each is ``open_store``'s.

    Raises ``ValueError`` for a key that is none.

    >>> Access(30, lambda: None, customer_key=bytes(32))
    Access(timeout=30, profile=None, requester_pays=None, budget=Budget(concurrency=None, memory=None))
    """

    timeout: timedelta | float | None = None
    credentials: Credentials | None = field(default=None, repr=False)
    profile: str | None = None
    customer_key: bytes | str | CustomerKey | None = field(default=None, repr=False)
    requester_pays: bool | str | None = None
    budget: Budget = USUAL

    def __post_init__(self) -> None:
        if self.customer_key is not None:
            object.__setattr__(self, "customer_key", customer_key_for(self.customer_key))

    def check(self, store: Store | None, error: type[ValueError]) -> None:
        """Raises ``error`` for a ``store`` that is open already, where this says how to open one."""
        about = ("credentials", "profile", "customer_key", "requester_pays")
        if store is not None and (given := [f"{name}=" for name in about if getattr(self, name)]):
            raise error(f"store= is open already: leave {' and '.join(given)} out, or store=")


PLAIN_ACCESS = Access()


def open_place(place: PublishedResult | PublisherSpec, access: Access = PLAIN_ACCESS) -> Store:
    """The store of ``place``'s bucket."""
    check_credentials(place.type, access.credentials, access.profile)
    given = {
        "endpoint": place.endpoint,
        "region": place.region or region_of(place.endpoint),
        "engine": getattr(place, "engine", None),
        "timeout": access.timeout,
        "concurrency": access.budget.concurrency,
        "memory": access.budget.memory,
        "credentials": access.credentials,
        "profile": access.profile,
        "customer_key": access.customer_key,
        "requester_pays": access.requester_pays or None,
    }
    options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    return open_store(f"{place.type}://{place.bucket}", **options)


class Opened:
    """A store that is ``given``, and stays open; or one that ``make`` opens once it is needed, closed with this.

    It is opened in another thread: to load a cloud's client takes as long as to pack many files.
    """

    def __init__(self, make: Callable[[], Store], given: Store | None = None) -> None:
        self._make = lambda: held(make(), given=False)
        self._lock = threading.Lock()
        self._is_closed = False
        self._is_given = given is not None
        self._opening: Future[Store] | None = None
        if given is not None:
            self._opening = Future()
            self._opening.set_result(held(given, given=True))
        tell_in_children(self)

    def forked(self) -> None:
        """This process was forked, and a thread that was opening the store is not here."""
        self._lock = threading.Lock()
        if self._opening is not None and not self._opening.done():
            self._opening = None

    def check(self) -> None:
        """Raises ``ValueError`` once this is closed."""
        if self._is_closed:
            raise ValueError("this publisher is closed: make another one")

    def begin(self) -> "Future[Store]":
        """The store, being opened; again if that failed. Raises ``ValueError`` once this is closed."""
        with self._lock:
            self.check()
            if self._opening is None or (self._opening.done() and self._opening.exception() is not None):
                self._opening = under_way(partial(copy_context().run, self._make), "keystow-open")
            return self._opening

    def close(self) -> None:
        """Closes what was opened here."""
        with self._lock:
            opening, self._opening, self._is_closed = self._opening, None, True
        if opening is None or self._is_given:
            return
        if opening.done():
            _close(opening)
        else:
            opening.add_done_callback(_close)


def _close(opening: "Future[Store]") -> None:
    if opening.exception() is None:
        opening.result().close()


class ListingHash:
    """The SHA-256 of what ``sha256sum -z`` prints of files, which are added in the order of their names' bytes."""

    def __init__(self) -> None:
        self._listing = hashlib.sha256()

    def add(self, name: bytes, digest: str) -> None:
        """One more file, and its SHA-256 in hex."""
        self._listing.update(b"%b  %b\0" % (digest.encode(), name))

    def checksum(self) -> Checksum:
        """That of the files so far."""
        return Checksum(self._listing.hexdigest())


def listing_checksum(digests: Mapping[str, str]) -> Checksum:
    """The SHA-256 of what ``sha256sum -z`` prints of files (name → hex digest), in the order of their names' bytes.

    >>> listing_checksum({"b": "1" * 64, "a": "0" * 64}).hex[:8]
    'cf0db2d9'
    """
    listing = ListingHash()
    for name, digest in sorted((name.encode("utf-8", "surrogateescape"), digest) for name, digest in digests.items()):
        listing.add(name, digest)
    return listing.checksum()
