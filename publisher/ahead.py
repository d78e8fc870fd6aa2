"""The blocks of an archive that is fetched whole, asked for while its first bytes are: then they inflate side by side.

Strategy: the end of the archive, where its index lies, is one more request, for which hardly anybody waits. It is worth
it for what is large and compressed, and holds few members for its size: of many small files, to make them takes longer
than to inflate them. Whatever speaks against it, the archive is inflated as one stream.
"""

import logging
import secrets
from collections.abc import Callable, Generator, Iterable, Sequence
from contextvars import copy_context
from functools import partial
from itertools import chain

from .archive import CorruptArchiveError
from .archive.apart import gunzip_apart
from .archive.errors import ArchiveError
from .archive.gzip import gunzip_ahead
from .archive.index import TAIL, open_index
from .archive.page import Block
from .backends import Store, StoreError
from .backends.sending.budget import budget_of
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
_SECRET = 32

_log = logging.getLogger("keystow")

Blocks = Callable[[], Sequence[Block] | None]
"""Gives the blocks of an archive, if they are known by now."""


def blocks_ahead(store: Store, published: PublishedResult) -> Blocks:
    """The blocks of what is ``published``, being asked for, if that is of use."""
    size = published.size
    if size is None or size < _LEAST or published.index_sha256 is None or inflaters() == 1:
        return lambda: None
    if budget_of(store).concurrency == 1:
        return lambda: None
    found = under_way(partial(copy_context().run, _blocks, store, published, size), "keystow-index")

    def blocks() -> Sequence[Block] | None:
        try:
            return found.result(_PATIENCE)
        except TimeoutError:
            why = "its end has not come yet"
        except (StoreError, ArchiveError) as error:
            why = str(error)
        _log.info("%s is inflated as one stream: %s", published.url, why)
        return None

    return blocks


def _blocks(store: Store, published: PublishedResult, size: int) -> Sequence[Block] | None:
    begin = size - min(max(TAIL, size // _INDEX_IN), _MOST_INDEX)
    end = b"".join(store.read(published.key, version_id=published.version_id, start=begin, stop=size))

    def read(start: int, stop: int) -> bytes:
        if start < begin:
            raise CorruptArchiveError("its index is larger than was asked for")
        return end[start - begin : stop - begin]

    index = open_index(read, size, sha256=published.index_sha256)
    if index is None or index.data < begin:
        return None
    is_of_use = index.tar_size >= index.members * _LARGE and index.data < _SHRUNK * index.tar_size
    return list(index.all_blocks()) if is_of_use else None


def inflated(chunks: Iterable[bytes], blocks: Blocks) -> Generator[bytes, None, None]:
    """The tar stream of an archive, by all processors, if its ``blocks`` are known once its first bytes are there."""
    content = iter(chunks)
    some = next(content, b"")
    known = blocks()
    whole = chain([some], content)
    if known is None:
        yield from gunzip_ahead(whole)
    else:
        yield from gunzip_apart(whole, known, secret=secrets.token_bytes(_SECRET), threads=inflaters())
