"""A bucket of a cloud: what the stores for S3, Google Cloud Storage and Azure do alike, over the requests that differ.

Strategy: the order of things stands here: what is checked first, what goes in one request and what in parts, how
reading goes on, what is no error. Each cloud brings what makes one request, repeats it by its own rules, and
understands its answer.

What a listing or a look has named is remembered of large objects until they are read, so that all their ranges are
asked for at once. It is a hint alone: what is read is what is there then.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import lru_cache, partial
from typing import Protocol

from .answers import Pages, Stored
from .arguments import check_options, is_empty, signature_seconds
from .contract import Arrived, Capabilities, Stat, Written
from .errors import (
    AlreadyExistsError,
    BucketNotFoundError,
    ConflictError,
    InvalidKeyError,
    NotFoundError,
    StoreError,
    UnsupportedError,
)
from .options import ObjectOptions
from .permits import Permit, Terms
from .sending import ranges
from .sending.budget import Budget
from .sending.continuing import Content
from .sending.digest import Digest
from .sending.in_flight import ahead
from .sending.known import Known, Version
from .sending.limits import Bounds
from .sending.parts import alone, part_size, parts
from .sending.ranges import NEAR, in_ranges

_PAST_THE_END = {"InvalidRange", "416"}


class Upload(Protocol):
    """One write of one key, in the one way or the other."""

    def single(self, body: bytes, sha256: str, /) -> Stored:
        """What the cloud says of the object, after one request with all of it."""

    def in_parts(self, pieces: Iterator[bytes], arrived: Arrived | None, /) -> Stored:
        """The same, after one request for each piece, of which ``arrived`` is told."""


class CloudStore(ABC):
    """One bucket, which has the ``name`` for people; ``kind`` is its column in the table of options.

    A single request writes up to ``largest`` bytes, and one that is signed beforehand up to ``largest_permitted``, the
    cloud's own limit. ``tells_of_absence`` says whether the cloud refuses to delete what is not there; of one that does
    not, a 404 is not believed. What ``streams`` hands on content as it comes. What is ``keyed`` was opened with a
    customer's key.
    """

    kind: str
    capabilities = Capabilities(versions=True, presign=True, metadata=True, options=True, arrivals=True)
    largest = part_size(1)
    largest_permitted: int
    tells_of_absence = True
    streams = True

    def __init__(self, name: str, bounds: Bounds, *, keyed: bool) -> None:
        self._name, self._bounds, self._is_keyed = name, bounds, keyed
        self._reading = ranges.pace(bounds.budget)
        self._known = Known()

    @property
    def budget(self) -> Budget:
        """How much may be under way at once."""
        return self._bounds.budget

    def write(
        self,
        key: str,
        chunks: Iterable[bytes],
        *,
        if_absent: bool = False,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        options: ObjectOptions | None = None,
        arrived: Arrived | None = None,
    ) -> Written:
        self._check(key)
        check_options(options, self.kind, keyed=self._is_keyed)
        upload = self._upload(key, if_absent, self._described(options, content_type, metadata))
        if if_absent and not self.capabilities.if_absent:
            raise UnsupportedError(
                f"{self._name}: this endpoint ignores conditions: write unconditionally, under a unique key"
            )
        digest = Digest(chunks)
        only, pieces = alone(parts(digest, self._part_size))
        try:
            if only is None or len(only) > self.largest:
                stored = upload.in_parts(pieces, arrived)
            else:
                stored = upload.single(only, digest.hexdigest())
        finally:
            self._known.drop(key)
        return Written(digest.size, digest.hexdigest(), **stored._asdict())

    def _part_size(self, number: int) -> int:
        """The bytes of part ``number``, counted from 1, of what is more than one request writes."""
        return part_size(number)

    def _described(
        self, options: ObjectOptions | None, content_type: str | None, metadata: Mapping[str, str] | None
    ) -> ObjectOptions:
        """``options``, with the type and the metadata that stand below them. Raises ``StoreError`` for what is none."""
        try:
            if options is None and not metadata and isinstance(content_type, str | None):
                return _of_type(content_type or None)
            options = options or ObjectOptions()
            return replace(
                options,
                content_type=options.content_type or content_type or None,
                metadata={**(metadata or {}), **options.metadata},
            )
        except ValueError as error:
            raise StoreError(f"{self._name}: {error}") from None

    def read(
        self, key: str, *, version_id: str | None = None, start: int = 0, stop: int | None = None
    ) -> Iterator[bytes]:
        self._check(key)
        if is_empty(start, stop):
            self.stat(key, version_id=version_id)
            return iter(())
        opened = partial(self._opened, key, version_id)
        return in_ranges(
            opened,
            start,
            stop,
            pace=self._reading,
            patience=self._bounds.patience,
            near=NEAR if self.streams else 0.0,
            held=self.budget.held,
            known=None if stop is not None and stop - start <= ranges.RANGE else self._known.take(key, version_id),
            proved=self._known.proved,
        )

    def _opened(self, key: str, version_id: str | None, start: int, stop: int | None, tag: str | None) -> Content:
        if tag is not None and is_empty(start, stop):
            return Content(_nothing(), tag)
        try:
            content = self._content(key, version_id, stop, start, tag)
        except (AlreadyExistsError, NotFoundError) as error:
            if tag is None or isinstance(error, BucketNotFoundError):
                raise
            raise self._replaced(key, error.code) from None
        except StoreError as error:
            if tag is not None or error.code not in _PAST_THE_END:
                raise
            if not start and self._found(key, version_id).size:
                raise
            return Content(_nothing(), None)
        if tag not in {None, content.tag}:
            content.pieces.close()
            raise self._replaced(key)
        return content

    def _replaced(self, key: str, code: str = "") -> ConflictError:
        return ConflictError(f"{self._name}/{key}: it was replaced while it was read", code=code)

    def stat(self, key: str, *, version_id: str | None = None) -> Stat:
        self._check(key)
        return self.noted(self._found(key, version_id), version_id)

    def noted(self, found: Stat, version_id: str | None = None) -> Stat:
        """``found``, as somebody was told that the object is: what is read next of it is read faster, if that is so."""
        if found.size > ranges.RANGE:
            self._known.add(found.key, version_id, Version(found.size, self._tag(found)))
        return found

    def list(self, prefix: str = "") -> Iterator[Stat]:
        check_text(prefix)
        pages, process = Pages(), os.getpid()
        objects, token = self._page(prefix, None, pages)
        while token is not None:
            following = partial(self._page, prefix, token, pages)
            came = following if self.budget.concurrency == 1 else ahead(following)
            yield from map(self.noted, objects)
            if process == os.getpid():
                objects, token = came()
            else:  # this process was forked, and the thread is not here
                pages, process = Pages(), os.getpid()
                objects, token = self._page(prefix, token, pages)
        yield from map(self.noted, objects)

    def delete(self, key: str) -> None:
        self._check(key)
        try:
            self._deleted(key)
        except NotFoundError as error:
            if isinstance(error, BucketNotFoundError) or not self.tells_of_absence:
                raise
        finally:
            self._known.drop(key)

    def presign(
        self, key: str, *, expires: timedelta | float, method: str = "GET", version_id: str | None = None
    ) -> str:
        seconds = signature_seconds(expires, method, version_id)
        self._check(key)
        return self._signed(key, seconds, method, version_id)

    def permit(
        self,
        key: str,
        *,
        expires: timedelta | float,
        most: int | None = None,
        sha256: str | None = None,
        options: ObjectOptions | None = None,
    ) -> Permit:
        """What lets anybody write the object until ``expires`` is over, if it is not there: ``presign`` has the words.

        It is for ``most`` bytes, or for as many as one request can write; and, given their ``sha256`` in hex, for these
        alone, as far as the cloud looks at that. Raises ``UnsupportedError`` for what the cloud cannot sign.
        """
        seconds = signature_seconds(expires, "PUT", None)
        self._check(key)
        check_options(options, self.kind, keyed=self._is_keyed)
        if self._is_keyed:
            raise UnsupportedError(f"{self._name}: a ticket would hold the customer_key itself: leave it out")
        if not self.capabilities.if_absent:
            raise UnsupportedError(f"{self._name}: this endpoint ignores conditions, and a ticket never replaces")
        return self._permitted(key, Terms(seconds, most, sha256, options or ObjectOptions()))

    @abstractmethod
    def close(self) -> None:
        """Ends what is under way, and closes the connections."""

    @abstractmethod
    def _check(self, key: str) -> None:
        """Raises ``InvalidKeyError`` for what cannot be a key there."""

    @abstractmethod
    def _upload(self, key: str, if_absent: bool, options: ObjectOptions) -> Upload:
        """A write that is to begin."""

    @abstractmethod
    def _content(self, key: str, version_id: str | None, stop: int | None, start: int, tag: str | None) -> Content:
        """The content of an object from ``start`` on, asked for once; with a ``tag``, of that object alone."""

    @abstractmethod
    def _tag(self, found: Stat) -> str | None:
        """What tells the version that was ``found`` from others, as ``Content.tag`` does; ``None`` if nothing does."""

    @abstractmethod
    def _found(self, key: str, version_id: str | None) -> Stat:
        """What is known of an object."""

    @abstractmethod
    def _page(self, prefix: str, token: str | None, pages: Pages) -> tuple[Sequence[Stat], str | None]:
        """The objects of the page that ``token`` leads to, and the token of the next, which ``pages`` has admitted."""

    @abstractmethod
    def _deleted(self, key: str) -> None:
        """Removes an object."""

    @abstractmethod
    def _signed(self, key: str, seconds: int, method: str, version_id: str | None) -> str:
        """A URL for one request, good for so many ``seconds``."""

    @abstractmethod
    def _permitted(self, key: str, terms: Terms) -> Permit:
        """What lets anybody write an object that is not there."""

    def _most(self, terms: Terms) -> int:
        """The bytes of one request. Raises ``UnsupportedError`` for more than there may be."""
        if terms.most is not None and terms.most > self.largest_permitted:
            limit = f"{self.largest_permitted} bytes"
            raise UnsupportedError(f"{self._name}: a ticket writes up to {limit}: ask for a smaller max_size")
        return self.largest_permitted if terms.most is None else terms.most


@lru_cache
def _of_type(content_type: str | None) -> ObjectOptions:
    """What most objects are written with: to look at it anew would take a tenth of a small one's processor time."""
    return ObjectOptions(content_type=content_type)


def check_text(text: str) -> None:
    """Raises ``InvalidKeyError`` for what UTF-8 has no bytes for."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidKeyError(f"the key {text!r} holds half a character") from None


def _nothing() -> Generator[bytes, None, None]:
    yield from ()
