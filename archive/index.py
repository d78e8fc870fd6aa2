"""The index of an archive, read: one member, or a list of all, without the rest of the archive.

Strategy: no I/O of its own; whoever opens an index says how a range of the object is read. What is read is checked
against what named it (result, root, page, block, member), so nothing is handed out that the root does not prove, and
no number is used before it is found within bounds. The format, and what has to be checked, is docs/format.md.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import accumulate

from isal import isal_zlib

from .carrier import FOOTER, MOST_CARRIED, PAGE, ROOT, Place, find_index, payload
from .columns import DIGEST, unpacked
from .errors import CorruptArchiveError, shown
from .indexing import HEADER, MOST_IN_PAGE, RECORD, TRAILER, padded, sort_key
from .page import Block, Member, Page, check_digest, check_order, inflate, unsorted
from .selection import Decided, Selection
from .tree import Entry
from .untar import Stream, untar

Read = Callable[[int, int], bytes]
"""Gives the bytes of the object from one place up to another."""
Pieces = Callable[[int, int], Iterator[bytes]]
"""Gives them in pieces, and may ask for more of them ahead."""

TAIL = 1 << 16
"""What is read first, in bytes, as the root is hardly ever longer."""
_AT_ONCE = 8 << 20  # bytes of a range, if it holds more than one page
_STREAMED = 64 << 20  # bytes of blocks that are read as one stream
_GAP = 1 << 20  # bytes of tar between two members that are rather read than asked around
_TOGETHER = 2000  # members, which two pages hold
_HELD = 2
_END = 2 * RECORD
_SHA256 = re.compile("[0-9a-f]{64}")
_PAX_SIZE = re.compile(rb"[0-7]{11}")


def open_index(read: Read, size: int, *, sha256: str | None = None, stream: Pieces | None = None) -> "Index | None":
    """The index of an archive of ``size`` bytes, or ``None`` if it has none. It takes one range, or two.

    What is long is later read by ``stream``, if there is one.

    Raises ``CorruptArchiveError`` for one that is not sound, or not the one whose SHA-256 is ``sha256``.
    """
    if size < FOOTER:
        return None
    start = max(0, size - TAIL)
    tail = _whole(read, start, size)
    place = find_index(tail, size)
    if place is None:
        return None
    if place.stop - place.start > MOST_CARRIED:
        raise CorruptArchiveError(f"the root of the archive's index has {place.stop - place.start} bytes")
    if place.start < start:
        tail = _whole(read, place.start, start) + tail
    return Index(read, size, tail, place, sha256=sha256, stream=stream)


class Index:
    """What an archive holds, found by as few ranges as that takes.

    ``members`` counts them; ``tar_size`` and ``tar_sha256`` are of the tar stream, ``sha256`` is the index's own;
    ``compressor`` and ``level`` say what made the blocks. ``is_sorted`` says that members are in the order of their
    names, none of which is there twice. Each method raises ``CorruptArchiveError`` or ``UnsafeArchiveError`` for what
    is not as it has to be.
    """

    def __init__(
        self,
        read: Read,
        size: int,
        tail: bytes,
        place: Place,
        *,
        sha256: str | None = None,
        stream: Pieces | None = None,
    ) -> None:
        self._read = read
        self._stream = stream or self._in_ranges
        self._tail_at = size - len(tail)
        self._tail = tail
        self._held: dict[int, Page] = {}
        root = payload(ROOT, tail[place.start - self._tail_at : -FOOTER])
        check_digest(root, place.sha256, "root of the archive's index")
        self.sha256 = place.sha256.hex()
        if sha256 is not None and self.sha256 != sha256:
            raise CorruptArchiveError("the archive's index is sound, and not the one that was published")
        fields = unpacked(root, "root")
        if fields.number("format") != 1:
            raise CorruptArchiveError("the archive's index is of another format than its footer says")
        self.compressor = fields.text("compressor")
        self.level = fields.number("level", 9)
        self.is_sorted = fields.flag("sorted")
        self.members = fields.number("members")
        self.tar_size = fields.fields("tar").number("size")
        self.tar_sha256 = fields.fields("tar").text("sha256")
        data = fields.number("data")
        pages = fields.fields("pages")
        count = pages.length("length")
        lengths = pages.numbers("length", count, MOST_CARRIED, least=1)
        compressed = pages.numbers("compressed", count, least=1)
        sizes = pages.numbers("size", count, least=1)
        self._digests = pages.digests("sha256", count)
        self._blocks = pages.numbers("blocks", count, MOST_IN_PAGE, least=1)
        self._members = pages.numbers("members", count, MOST_IN_PAGE)
        self._first = pages.texts("first", count)
        self._pages = list(accumulate(lengths, initial=data))
        self._data = list(accumulate(compressed, initial=HEADER))
        self._tar = list(accumulate(sizes, initial=0))
        if (
            self._pages[-1] != place.start
            or self._data[-1] + TRAILER != data
            or self._tar[-1] != self.tar_size
            or sum(self._members) != self.members
            or not _SHA256.fullmatch(self.tar_sha256)
        ):
            raise CorruptArchiveError("the root of the archive's index does not fit the archive")
        self._begun = [page for page in range(count) if self._members[page]]
        try:
            self._keys = [sort_key(self._first[page]) for page in self._begun]
        except UnicodeEncodeError:
            raise CorruptArchiveError("the root of the archive's index tells of a name that is no text") from None
        if self.is_sorted:
            check_order(self._keys)

    def find(self, name: str) -> Member | None:
        """The member of that name; of several, the last, as it is the one that is left when all are unpacked.

        Takes one range; or all pages, if the archive is not sorted.
        """
        if not self.is_sorted:
            found = None
            for _, page in self._all_pages():
                for at, known in enumerate(page.names):
                    found = page.member(at) if known == name else found
            return found
        try:
            key = sort_key(name)
        except UnicodeEncodeError:
            return None
        at = bisect_right(self._keys, key) - 1
        if at < 0:
            return None
        page = self._page(self._begun[at])
        return page.member(page.names.index(name)) if name in page.names else None

    def __iter__(self) -> Iterator[Member]:
        """All members in the order of the archive. Takes a range for each 8 MiB of pages."""
        end = 0
        for number, page in self._all_pages():
            if page.names and page.at[0] != end:
                raise CorruptArchiveError("a page of the archive's index does not begin where the one before it ends")
            yield from map(page.member, range(len(page.names)))
            end = page.end if page.names else end
            following = bisect_right(self._begun, number)
            if page.last_key and following < len(self._keys) and page.last_key >= self._keys[following]:
                raise unsorted()

    def matching(self, selection: Selection) -> Iterator[Member]:
        """The members that go along, in order; not the directories of which only what they hold does."""
        decided = Decided(selection)
        for member in self:
            if decided.state(member.entry.name, is_directory=member.entry.kind == "directory"):
                yield member

    def blocks(self, start: int, stop: int) -> Iterator[Block]:
        """The blocks that hold the tar stream from ``start`` up to ``stop``."""
        if not 0 <= start <= stop <= self.tar_size:
            raise ValueError(f"the tar stream has {self.tar_size} bytes, and not those from {start} to {stop}")
        number = bisect_right(self._tar, start) - 1
        while start < stop and number < len(self._blocks) and self._tar[number] < stop:
            yield from self._page(number).blocks(start, stop)
            number += 1

    def all_blocks(self) -> Iterator[Block]:
        """All blocks in the order of the archive. Takes a range for each 8 MiB of pages."""
        for number, page in self._all_pages():
            yield from page.blocks(self._tar[number], self._tar[number + 1])

    def read(self, start: int, stop: int) -> Generator[bytes, None, None]:
        """The tar stream from ``start`` up to ``stop``, block by block, each proved. One range, if it is short."""
        for run in _runs(self.blocks(start, stop)):
            with closing(self._data_of(run)) as blocks:
                for block, data in blocks:
                    content = inflate(block, data)
                    yield content[max(0, start - block.tar_start) : stop - block.tar_start]

    def contents(self, members: Iterable[Member]) -> Iterator[tuple[Entry, Iterator[bytes | memoryview]]]:
        """Each of ``members`` with its content, which is to be read before the next is asked for: for ``extract``.

        What lies near each other is read together. Raises also if a header is not what the index says of it, and once
        a content is read if its CRC-32 is not.
        """
        for run in _near(members):
            with closing(self.read(run[0].at, run[-1].end)) as tar:
                read = Stream(tar)
                at = run[0].at
                for member in run:
                    for _ in read.pieces(member.at - at):
                        pass
                    check_header(member, read.take(member.content_at - member.at))
                    content = _proved(read.pieces(member.entry.size), member)
                    yield member.entry, content
                    for _ in content:
                        pass
                    at = member.end

    def content(self, member: Member) -> Iterator[bytes | memoryview]:
        """The content of one member, as ``contents`` gives it."""
        for _, content in self.contents([member]):
            yield from content

    def _page(self, number: int) -> "Page":
        page = self._held.get(number)
        if page is None:
            page = self._parsed(number, self._range(self._pages[number], self._pages[number + 1]))
        return page

    def _all_pages(self) -> Iterator[tuple[int, "Page"]]:
        start = 0
        while start < len(self._blocks):
            stop = max(start + 1, bisect_right(self._pages, self._pages[start] + _AT_ONCE) - 1)
            begin = self._pages[start]
            data = memoryview(self._range(begin, self._pages[stop]))
            for number in range(start, stop):
                yield number, self._parsed(number, data[self._pages[number] - begin : self._pages[number + 1] - begin])
            start = stop

    def _parsed(self, number: int, members: bytes | memoryview) -> "Page":
        found = payload(PAGE, bytes(members))
        check_digest(found, self._digests[DIGEST * number : DIGEST * (number + 1)], "page of the archive's index")
        page = Page(
            unpacked(found, "page"),
            (self._data[number], self._data[number + 1]),
            (self._tar[number], self._tar[number + 1]),
            (self._blocks[number], self._members[number]),
            self.is_sorted,
        )
        first = self._first[number]
        begins = first != "" and page.names[0].startswith(first) if page.names else first == ""
        if not begins or page.end > self.tar_size - _END:
            raise CorruptArchiveError("a page of the archive's index does not fit its root")
        self._held.pop(number, None)
        self._held[number] = page
        if len(self._held) > _HELD:
            del self._held[next(iter(self._held))]
        return page

    def _data_of(self, run: Sequence[Block]) -> Generator[tuple[Block, bytes], None, None]:
        """Blocks that lie one behind the other, each as it lies in the object."""
        start, stop = run[0].start, run[-1].stop
        chunks = self._in_ranges if start >= self._tail_at else self._stream
        read = Stream(chunks(start, stop), "archive")
        for block in run:
            yield block, read.take(block.stop - block.start)

    def _in_ranges(self, start: int, stop: int) -> Iterator[bytes]:
        for at in range(start, stop, _AT_ONCE):
            yield self._range(at, min(at + _AT_ONCE, stop))

    def _range(self, start: int, stop: int) -> bytes:
        if start >= self._tail_at:
            return self._tail[start - self._tail_at : stop - self._tail_at]
        return _whole(self._read, start, stop)


def _whole(read: Read, start: int, stop: int) -> bytes:
    found = read(start, stop)
    if len(found) != stop - start:
        raise CorruptArchiveError(f"{stop - start} bytes of the archive were asked for, and {len(found)} came")
    return found


def _runs(blocks: Iterable[Block]) -> Iterator[list[Block]]:
    """Blocks that lie one behind the other, in runs that are read as one stream."""
    run: list[Block] = []
    for block in blocks:
        if run and block.stop - run[0].start > _STREAMED:
            yield run
            run = []
        run.append(block)
    if run:
        yield run


def _near(members: Iterable[Member]) -> Iterator[list[Member]]:
    """Members in runs of which each begins soon behind the one before it."""
    run: list[Member] = []
    for member in members:
        if run and (not 0 <= member.at - run[-1].end <= _GAP or len(run) == _TOGETHER):
            yield run
            run = []
        run.append(member)
    if run:
        yield run


def check_header(member: Member, header: bytes) -> None:
    """Raises ``CorruptArchiveError`` for a header that is not the member's: one, or a pax header and one, no more."""
    entry = member.entry
    records = iter([header[at : at + RECORD] for at in range(0, len(header), RECORD)])
    found = next(untar(records), None)
    is_alone = len(header) == RECORD or (
        header[156:157] == b"x"
        and _PAX_SIZE.fullmatch(header, 124, 135)
        and len(header) == 2 * RECORD + padded(int(header[124:135], 8))
    )
    if found is None or not is_alone or next(records, None) is not None or found[0] != entry:
        raise CorruptArchiveError(f"the member {shown(entry.name)} is not what the archive's index says of it")


def _proved(pieces: Iterator[memoryview], member: Member) -> Iterator[bytes | memoryview]:
    checksum = 0
    for piece in pieces:
        checksum = isal_zlib.crc32(piece, checksum)
        yield piece
    if checksum != member.crc32:
        raise CorruptArchiveError(f"the content of {shown(member.entry.name)} has another CRC-32 than the index says")
