"""The blocks of an archive that is fetched whole, asked for while its first bytes are: then they inflate side by side.

Strategy: the end of the archive, where its index lies, is one more request, for which hardly anybody waits. It is worth
it for what is large and compressed, and holds few members for its size: of many small files, to make them takes longer
than to inflate them. Whatever keeps it from coming, or speaks against the index that came, the archive is inflated as
one stream; if that was what was published, and the index was damaged or another one, there is a note. Only one that is
the published one, and is not true, is an error.
"""

import logging
import secrets
import threading
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from itertools import chain
from typing import Self

from .archive import ArchiveError
from .archive.apart import gunzip_apart
from .archive.columns import DIGEST
from .archive.gzip import gunzip_ahead
from .archive.index import TAIL, Index, open_index
from .archive.page import Block
from .backends import Store
from .backends.sending.budget import USUAL, budget_of
from .backends.sending.workers import under_way
from .result import PublishedResult
from .surroundings import inflaters

_LEAST = 16 << 20
"""The bytes of an archive that is inflated in less time than it takes to find out how."""
_MOST_INDEX = 1 << 20
_INDEX_IN = 1 << 11
"""Of so many bytes of an archive, one is asked for: an index of large members takes less."""
_LARGE = 1 << 18
"""The bytes of members that are large, on average."""
_SHRUNK = 0.9
_PATIENCE = 0.05
"""The seconds that are waited for the end of the archive, once its beginning is there."""
_GRACE = 1.0
"""The seconds in which what is asked for may end, once nobody has any use for it."""
_SECRET = 32

_log = logging.getLogger("keystow")


class Ahead:
    """What is asked for of an archive that is ``published``, beside its beginning, as long as this is not closed."""

    def __init__(self, store: Store, published: PublishedResult) -> None:
        self._url = published.url
        self._is_over = threading.Event()
        self._found: Future[Sequence[Block] | None] | None = None
        self._unsound: str | None = None
        size = published.size
        if size is None or size < _LEAST or published.index_sha256 is None:
            return
        if inflaters() > 1 and budget_of(store) == USUAL:
            with suppress(RuntimeError):  # there may be no more threads
                self._found = under_way(
                    partial(copy_context().run, self._asked, store, published, size), "keystow-index"
                )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._is_over.set()
        if kind is None and self._unsound is not None:
            _log.warning("the index of %s is not sound, and was not needed: %s", self._url, self._unsound)
        if self._found is not None:
            with suppress(TimeoutError):
                self._found.exception(_GRACE)

    def inflated(self, chunks: Iterable[bytes]) -> Generator[bytes, None, None]:
        """The tar stream of the archive, by all processors, if its blocks are known once its first bytes are there."""
        content = iter(chunks)
        some = next(content, b"")
        known = self._blocks()
        whole = chain([some], content)
        if known is None:
            yield from gunzip_ahead(whole)
        else:
            yield from gunzip_apart(whole, known, secret=secrets.token_bytes(_SECRET), threads=inflaters())

    def _blocks(self) -> Sequence[Block] | None:
        if self._found is None:
            return None
        try:
            return self._found.result(_PATIENCE)
        except TimeoutError:
            why = "its end has not come yet"
        except ArchiveError as error:
            self._unsound = why = str(error)
        except Exception as error:  # noqa: BLE001  a store may be anybody's, and what matters comes again
            why = f"{type(error).__name__}: {error}"
        _log.debug("%s is inflated as one stream: %s", self._url, why)
        return None

    def _asked(self, store: Store, published: PublishedResult, size: int) -> Sequence[Block] | None:
        begin = size - min(max(TAIL, size // _INDEX_IN), _MOST_INDEX)
        version = {} if published.version_id is None else {"version_id": published.version_id}
        came: list[bytes] = []
        for piece in store.read(published.key, start=begin, stop=size, **version):
            self._check()
            came.append(piece)
        end = b"".join(came)

        def read(start: int, stop: int) -> bytes:
            self._check()
            if start < begin:
                raise EOFError("its index is larger than was asked for")
            return end[start - begin : stop - begin]

        index = open_index(read, size, sha256=published.index_sha256)
        return list(index.all_blocks()) if index is not None and _is_of_use(index, begin, len(end)) else None

    def _check(self) -> None:
        if self._is_over.is_set():
            raise CancelledError


def _is_of_use(index: Index, begin: int, size: int) -> bool:
    """Whether the blocks are worth knowing; of the archive, ``size`` bytes have come, from ``begin`` on."""
    return (
        index.data >= begin
        and index.block_count <= size // DIGEST  # nothing shortens a digest, but a stranger's may be alike
        and index.tar_size >= index.members * _LARGE
        and index.data < _SHRUNK * index.tar_size
    )
