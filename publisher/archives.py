"""An archive that was published, as a mapping of names to entries, and its files to read from.

Strategy: what is asked for is read in ranges and held for a while, so that what lies near is not asked for again. Of a
file, more is read ahead the longer it is read on, and nothing is handed out before its block is proved.
"""

import io
import threading
from bisect import bisect_right, insort
from collections import OrderedDict
from collections.abc import Callable, Collection, ItemsView, Iterable, Iterator, Mapping, ValuesView
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from itertools import islice
from os import PathLike
from typing import TYPE_CHECKING, Self
from weakref import WeakSet

from isal import isal_zlib

from .archive import CorruptArchiveError, Entry
from .archive.errors import shown
from .archive.index import Index
from .archive.page import Block, Member
from .backends import Credentials, Store
from .backends.options import CustomerKey
from .checksum import Checksum
from .errors import ResultError
from .indexed import Source, source_of
from .members import entries, file_of
from .reading import Result

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_FIRST, _MOST = 1 << 20, 8 << 20  # bytes of tar that are read ahead
_HELD = 16 << 20
_BUFFER = 1 << 16
_AT_ONCE = 1000


def open_archive(
    result: Result,
    *,
    store: Store | None = None,
    verify: bool = True,
    allow: Collection[str] = (),
    allow_endpoints: Collection[str] | None = None,
    timeout: timedelta | float | None = None,
    concurrency: int | None = None,
    memory: int | None = None,
    credentials: Credentials | None = None,
    profile: str | None = None,
    customer_key: bytes | str | CustomerKey | None = None,
    requester_pays: bool | str | None = None,
    index: str | PathLike[str] | None = None,
) -> "Archive":
    """An archive that was published, of which its members can be read without the rest.

    It takes an archive with an index (docs/format.md), and a few ranges of it. The arguments are those of ``fetch``.
    What is read is proved by the digest of the index in ``result``; where that holds no digest, as a URL, all that is
    shown is that the archive is not damaged (``Archive.verified``). ``verify=False`` is content with that.

    ``index`` is the path of one that ``keystow index`` made of an archive without its own. It is your word, as the
    result is: what proves the archive then is the SHA-256 of all of it, which has to be the same in both. Of an archive
    of another program, all that lies before a member is read, too, and once more by whoever goes back.

    Raises ``ResultError`` for an archive without an index, and for a result that proves only the whole object: what
    ``fetch(result, directory, members=…)`` reads from its start. Raises ``VerificationError`` if another archive is in
    the store, ``ArchiveError`` and ``StoreError``.
    """
    with ExitStack() as closing:
        source = closing.enter_context(
            source_of(
                result,
                store=store,
                verify=verify,
                allow=allow,
                allow_endpoints=allow_endpoints,
                timeout=timeout,
                concurrency=concurrency,
                memory=memory,
                credentials=credentials,
                profile=profile,
                customer_key=customer_key,
                requester_pays=requester_pays,
                index=index,
            )
        )
        if source.index is None:
            why = "its result proves only all of it" if source.proven else source.lack
            raise ResultError(f"{source.url!r} cannot be read in parts, as {why}: fetch it, with members=")
        return Archive(source, source.index, closing.pop_all())


class Archive(Mapping[str, Entry]):
    """The members of an archive by their names, each an ``Entry``: what ``open_archive`` gives.

    It is used in a ``with``, or until ``close``. ``len`` is known at once, a name is looked up by a range at most, and
    to list them takes few. ``verified`` says whether a published digest proves what is read; ``index_sha256`` is the
    digest of the archive's index. It may be used from several threads, which wait for each other.

    Methods raise ``VerificationError`` for what is not what was published, or was replaced meanwhile; otherwise
    ``ArchiveError`` for what is damaged, and ``StoreError``.
    """

    def __init__(self, source: Source, index: Index, closing: ExitStack) -> None:
        self._source = source
        self._index = index
        self._closing = closing
        self._is_closed = False
        self._lock = threading.RLock()
        self._files: WeakSet[io.BufferedReader] = WeakSet()
        self._held: OrderedDict[int, bytes] = OrderedDict()
        """By where it begins, what is known of the tar stream, the oldest first; no two overlap."""
        self._starts: list[int] = []
        self._size = 0
        self.verified = source.proven
        self.index_sha256 = Checksum(index.sha256)

    def __len__(self) -> int:
        return self._index.members

    def __getitem__(self, name: str) -> Entry:
        member = self._find(name)
        if member is None:
            raise KeyError(name)
        return member.entry

    def __iter__(self) -> Iterator[str]:
        return (entry.name for entry in self._entries())

    def items(self) -> ItemsView[str, Entry]:
        """Names and entries, in the order of the archive."""
        return _Items(self)

    def values(self) -> ValuesView[Entry]:
        """The entries, in the order of the archive."""
        return _Values(self)

    def open(self, name: str) -> io.BufferedReader:
        """The content of a file, to read from and to seek in; of a hard link, that of the file it is a name of.

        Each block is proved before any of it is handed out, and once the content is read from its start to its end,
        its CRC-32 is compared. Raises ``FileNotFoundError`` if there is no such member, ``IsADirectoryError``, and
        ``OSError`` for a symbolic link, which is not followed.
        """
        with self._lock, self._source.explained():
            self._check()
            raw = _File(file_of(self._source, self._index, name), self._tar, self._index.check_header)
            file: io.BufferedReader = io.BufferedReader(raw, _BUFFER)
            self._files.add(file)
            return file

    def close(self) -> None:
        """Closes what was opened to read the archive; files of it cannot be read any more."""
        with self._lock:
            self._is_closed = True
            files = list(self._files)
        for file in files:
            file.close()
        self._closing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _entries(self) -> Iterator[Entry]:
        found = entries(self._index)
        while True:
            with self._lock, self._source.explained():
                self._check()
                some = list(islice(found, _AT_ONCE))
            if not some:
                return
            yield from some

    def _find(self, name: object) -> Member | None:
        with self._lock, self._source.explained():
            self._check()
            return self._index.find(name) if isinstance(name, str) else None

    def _check(self) -> None:
        if self._is_closed:
            raise ValueError("this archive is closed: open it again")

    def _tar(self, at: int, ahead: int) -> memoryview:
        """The tar stream from ``at``, as far as it is held. If it is not, it is read, up to the block of ``ahead``."""
        with self._lock:
            self._check()
            piece = self._known(at)
            if piece is None:
                self._read(at, ahead)
                piece = self._known(at)
            if piece is None:
                raise CorruptArchiveError("the archive's index leaves out a part of it")
            return piece

    def _known(self, at: int) -> memoryview | None:
        number = bisect_right(self._starts, at)
        start = self._starts[number - 1] if number else 0
        content = self._held.get(start, b"")
        return memoryview(content)[at - start :] if at < start + len(content) else None

    def _read(self, at: int, ahead: int) -> None:
        number = bisect_right(self._starts, at)
        ahead = min([ahead, *self._starts[number : number + 1]])
        with self._source.explained():
            start, stop = _span(self._index.blocks(at, ahead))
            content = b"".join(self._index.read(start, stop))
        self._held[start] = content
        insort(self._starts, start)
        self._size += len(content)
        while self._size > _HELD:
            start, content = self._held.popitem(last=False)
            del self._starts[bisect_right(self._starts, start) - 1]
            self._size -= len(content)


def _span(blocks: Iterable[Block]) -> tuple[int, int]:
    """Where the first of the blocks, which follow each other, begins in the tar stream, and where the last ends."""
    following = iter(blocks)
    first = next(following)
    return first.tar_start, max((block.tar_stop for block in following), default=first.tar_stop)


class _Items(ItemsView[str, Entry]):
    def __init__(self, archive: Archive) -> None:
        super().__init__(archive)
        self._entries = archive._entries  # noqa: SLF001

    def __iter__(self) -> Iterator[tuple[str, Entry]]:
        return ((entry.name, entry) for entry in self._entries())


class _Values(ValuesView[Entry]):
    def __init__(self, archive: Archive) -> None:
        super().__init__(archive)
        self._entries = archive._entries  # noqa: SLF001

    def __iter__(self) -> Iterator[Entry]:
        return self._entries()


class _File(io.RawIOBase):
    """The content of a member, of which ``tar(at, ahead)`` gives what the tar stream has at a place.

    ``check(member, header)`` raises if its header there is not the member's.
    """

    def __init__(
        self, member: Member, tar: Callable[[int, int], memoryview], check: Callable[[Member, bytes], object]
    ) -> None:
        self.name = member.entry.name
        self._member = member
        self._size = member.entry.size
        self._tar = tar
        self._at = self._since = self._checked = self._checksum = 0
        header = b""
        while left := member.content_at - member.at - len(header):
            header += tar(member.at + len(header), min(member.end, member.content_at + _FIRST))[:left]
        check(member, header)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if self.closed:
            raise ValueError("seek of a closed file")
        begin = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if begin + offset < 0:
            raise ValueError(f"there is nothing {-begin - offset} bytes before the beginning of a file")
        if begin + offset != self._at:
            self._at = self._since = begin + offset
        return self._at

    def readall(self) -> bytes:
        return b"".join(iter(partial(self.read, _FIRST), b""))

    def readinto(self, buffer: "WriteableBuffer") -> int:
        if self.closed:
            raise ValueError("read of a closed file")
        view = memoryview(buffer).cast("B")
        self._check_whole()
        most = min(len(view), self._size - self._at)
        if most <= 0:
            return 0
        at = self._member.content_at + self._at
        ahead = min(_MOST, max(_FIRST, self._at - self._since))
        piece = self._tar(at, min(self._member.end, at + ahead))[:most]
        self._count(piece)
        self._check_whole()
        view[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def _count(self, piece: memoryview) -> None:
        """Has ``piece``, which is read now, in the CRC-32, if all before it is."""
        new = self._checked - self._at
        if not 0 <= new < len(piece):
            return
        self._checksum = isal_zlib.crc32(piece[new:], self._checksum)
        self._checked += len(piece) - new

    def _check_whole(self) -> None:
        """Raises ``CorruptArchiveError`` once all was read, if its CRC-32 is another one."""
        if self._checked == self._size and self._checksum != self._member.crc32:
            raise CorruptArchiveError(f"the content of {shown(self.name)} has another CRC-32 than the index says")
