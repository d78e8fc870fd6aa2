"""The index of an archive, read: one member, or a list of all, without the rest of the archive.

Strategy: no I/O of its own; whoever opens an index says how a range of the object is read. What is read is checked
against what named it (result, root, page, block, member), so nothing is handed out that the root does not prove, and
no number is used before it is found within bounds. The format, and what has to be checked, is docs/format.md.
"""

import re
from array import array
from bisect import bisect_right
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import accumulate, pairwise

from isal import isal_zlib

from .carrier import FOOTER, MOST_CARRIED, PAGE, ROOT, Place, find_index, payload
from .columns import DIGEST, Fields, unpacked
from .errors import CorruptArchiveError, shown
from .indexing import HEADER, MOST_IN_PAGE, RECORD, TRAILER, Whole, padded, sort_key
from .inflating import InSequence
from .page import Block, Member, Page, check_digest, check_order, inflate, unsorted
from .selection import Decided, Selection
from .threads import side_by_side
from .tree import Entry
from .untar import Stream, untar

Read = Callable[[int, int], bytes]
"""Gives the bytes of the object from one place up to another."""
Pieces = Callable[[int, int], Generator[bytes, None, None]]
"""Gives them in pieces, and may ask for more of them ahead."""

_Data = tuple[Block, bytes]
"""A block, and what it is in the object."""

TAIL = 1 << 16
"""What is read first, in bytes, as the root is hardly ever longer."""
_AT_ONCE = 8 << 20  # bytes of a range, if it holds more than one page
_STREAMED = 64 << 20  # bytes of blocks that are read as one stream
_MOST_BLOCKS = 1 << 13  # of one stream, as an index may say of each that it has a single byte
_GAP = 1 << 20  # bytes between two members or pages that are rather read than asked around
_TOGETHER = 2000  # members, which two pages hold
_HELD = 2
_HASH = 8  # bytes that are held of a name
_MOST_HASHES = 1 << 24
_END = 2 * RECORD
_SHA256 = re.compile("[0-9a-f]{64}")
_PAX_SIZE = re.compile(rb"[0-7]{11}")


def open_index(
    read: Read,
    size: int,
    *,
    sha256: str | None = None,
    begin: int = 0,
    stream: Pieces | None = None,
    threads: int = 2,
) -> "Index | None":
    """The index of an archive of ``size`` bytes, or ``None`` if it has none. It takes one range, or two.

    Nothing of it begins before the place ``begin``. What is long is later read by ``stream``, if there is one, and
    inflated by so many ``threads``.

    Raises ``CorruptArchiveError`` for one that is not sound, or not the one whose SHA-256 is ``sha256``.
    """
    if size - begin < FOOTER:
        return None
    start = max(begin, size - TAIL)
    tail = _whole(read, start, size)
    place = find_index(tail, size)
    if place is None:
        return None
    if place.stop - place.start > MOST_CARRIED:
        raise CorruptArchiveError(f"the root of the archive's index has {place.stop - place.start} bytes")
    if place.start < start:
        tail = _whole(read, place.start, start) + tail
    return Index(read, size, tail, place, sha256=sha256, begin=begin, stream=stream, threads=threads)


class Index:
    """What an archive holds, found by as few ranges as that takes.

    ``members`` counts them; ``tar_size`` and ``tar_sha256`` are of the tar stream, ``sha256`` is the index's own;
    ``compressor`` and ``level`` say what made the blocks. ``is_sorted`` says that members are in the order of their
    names, none of which is there twice. ``data`` are the bytes of the archive before its index, and ``whole`` names the
    archive that an index lies beside. In one that ``is_sequential``, a block inflates only after all before it: what is
    read goes on where the last that was read ended, or from the start.

    Each method raises ``CorruptArchiveError`` or ``UnsafeArchiveError`` for what is not as it has to be.
    """

    def __init__(
        self,
        read: Read,
        size: int,
        tail: bytes,
        place: Place,
        *,
        sha256: str | None = None,
        begin: int = 0,
        stream: Pieces | None = None,
        threads: int = 2,
    ) -> None:
        self._read = read
        self._stream = stream or self._in_ranges
        self._threads = threads
        self._tail_at = size - len(tail)
        self._tail = tail
        self._held: dict[int, Page] = {}
        self._hashes = bytearray()  # of all names in the order of the archive, where it is not that of names
        self._sequence = InSequence()
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
        self.data = data = fields.number("data")
        self.whole = _archive(fields)
        self.is_sequential = self.whole is not None and self.whole.is_sequential
        if begin and data != begin:
            raise CorruptArchiveError(f"the index is of another archive, of {data} bytes, and this one has {begin}")
        pages = fields.fields("pages")
        count = pages.length("length")
        lengths = pages.numbers("length", count, MOST_CARRIED, least=1)
        compressed = pages.numbers("compressed", count, least=1)
        sizes = pages.numbers("size", count, least=1)
        self._digests = pages.digests("sha256", count)
        self._blocks = pages.numbers("blocks", count, MOST_IN_PAGE, least=1)
        self._members = pages.numbers("members", count, MOST_IN_PAGE)
        self._first = pages.texts("first", count)
        self._first_members = list(accumulate(self._members, initial=0))
        self._pages = list(accumulate(lengths, initial=data))
        self._data = list(accumulate(compressed, initial=0 if self.is_sequential else HEADER))
        self._tar = list(accumulate(sizes, initial=0))
        if (
            self._pages[-1] != place.start
            or self._data[-1] + (0 if self.is_sequential else TRAILER) != data
            or self._tar[-1] != self.tar_size
            or self._first_members[-1] != self.members
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

    @property
    def page_digests(self) -> Sequence[bytes]:
        """The SHA-256 digest of each page: those that are equal in two indexes have the same members."""
        return [self._digests[at : at + DIGEST] for at in range(0, len(self._digests), DIGEST)]

    @property
    def block_count(self) -> int:
        """How many blocks the index tells of."""
        return sum(self._blocks)

    def find(self, name: str) -> Member | None:
        """The member of that name; of several, the last, as it is the one that is left when all are unpacked.

        Takes one range; in an archive that is not sorted, the first time all pages: 8 bytes of each name are held from
        then on. Of more than 16 million members nothing is held, and all pages are read each time.
        """
        for page in self._pages_with(name):
            if name in page.names:
                return page.member(page.names.index(name))
        return None

    def __iter__(self) -> Iterator[Member]:
        """All members in the order of the archive. Takes a range for each 8 MiB of pages."""
        return self.except_in(frozenset())

    def except_in(self, digests: Collection[bytes]) -> Iterator[Member]:
        """The members in order, but for those in pages that have one of these ``page_digests``, and are not read."""
        end: int | None = 0
        following = 0
        wanted = [number for number, digest in enumerate(self.page_digests) if digest not in digests]
        for number, page in self._some_pages(wanted):
            end = end if number == following else None
            if page.names and end not in {page.at[0], None}:
                raise CorruptArchiveError("a page of the archive's index does not begin where the one before it ends")
            yield from map(page.member, range(len(page.names)))
            end, following = page.end if page.names else end, number + 1

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
        """The tar stream from ``start`` up to ``stop``, block by block, each proved. One range, if it is short.

        If the archive is sequential, all that lies before it is read, too, but for what was read before.
        """
        if self.is_sequential:
            yield from self._in_sequence(start, stop)
            return
        for run in _runs(self.blocks(start, stop)):
            with closing(self._data_of(run)) as blocks, closing(self._inflated(blocks)) as inflated:
                for (block, _), content in inflated:
                    yield content[max(0, start - block.tar_start) : stop - block.tar_start]

    def _inflated(self, blocks: Iterable[_Data]) -> Generator[tuple[_Data, bytes], None, None]:
        """Each block with its content, inflated by threads."""
        return side_by_side(_content, blocks, threads=self._threads, name="keystow-inflate")

    def _in_sequence(self, start: int, stop: int) -> Generator[bytes, None, None]:
        """The same, once all that lies between there and what is held has been inflated."""
        sequence, self._sequence = self._sequence, InSequence()  # which is somebody else's meanwhile
        if start < sequence.at:
            sequence = InSequence()
        try:
            yield sequence.piece(start, stop)
            for run in _runs(self.blocks(sequence.following, stop)) if sequence.end < stop else ():
                with closing(self._data_of(run)) as blocks:
                    for block, data in blocks:
                        if sequence.end >= stop:
                            return  # the one before gave more than its size
                        sequence.take(block, data)
                        yield sequence.piece(start, stop)
        finally:
            self._sequence = sequence

    def contents(self, members: Iterable[Member]) -> Generator[tuple[Entry, Iterator[bytes | memoryview]], None, None]:
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
                    self.check_header(member, read.take(member.content_at - member.at))
                    content = _proved(read.pieces(member.entry.size), member)
                    yield member.entry, content
                    for _ in content:
                        pass
                    at = member.end

    def check_header(self, member: Member, header: bytes) -> None:
        """Raises ``CorruptArchiveError`` for a header that is not the member's."""
        if entry_of(header, alone=not self.is_sequential) != member.entry:
            name = shown(member.entry.name)
            raise CorruptArchiveError(f"the member {name} is not what the archive's index says of it")

    def content(self, member: Member) -> Iterator[bytes | memoryview]:
        """The content of one member, as ``contents`` gives it."""
        for _, content in self.contents([member]):
            yield from content

    def _pages_with(self, name: str) -> Iterator["Page"]:
        """The only pages that can have the member ``find`` looks for, the one that counts first."""
        numbers: Iterable[int]
        if self.is_sorted:
            numbers = self._page_before(name)
        elif self.members > _MOST_HASHES:
            numbers = [number for number, page in self._all_pages() if name in page.names][-1:]
        else:
            numbers = self._pages_of_hash(name)
        return map(self._page, numbers)

    def _page_before(self, name: str) -> Sequence[int]:
        try:
            at = bisect_right(self._keys, sort_key(name)) - 1
        except UnicodeEncodeError:
            return []
        return [] if at < 0 else [self._begun[at]]

    def _pages_of_hash(self, name: str) -> Iterator[int]:
        """The pages that have names of this hash, from the last one on."""
        if not self._hashes:
            hashes = bytearray()
            for _, page in self._all_pages():
                hashes += _hashes(page.names)
            self._hashes = hashes
        sought, stop = _hashes([name]), len(self._hashes)
        while (at := self._hashes.rfind(sought, 0, stop)) >= 0:
            if at % _HASH == 0:
                yield bisect_right(self._first_members, at // _HASH) - 1
            stop = at + _HASH - 1

    def _page(self, number: int) -> "Page":
        page = self._held.get(number)
        if page is None:
            page = self._parsed(number, self._range(self._pages[number], self._pages[number + 1]))
        return page

    def _all_pages(self) -> Iterator[tuple[int, "Page"]]:
        return self._some_pages(range(len(self._blocks)))

    def _some_pages(self, numbers: Sequence[int]) -> Iterator[tuple[int, "Page"]]:
        """Those pages, in ranges of several that lie near each other."""
        while numbers:
            begin = self._pages[numbers[0]]
            count = 1
            for before, number in pairwise(numbers):
                if self._pages[number] - self._pages[before + 1] > _GAP or self._pages[number + 1] - begin > _AT_ONCE:
                    break
                count += 1
            data = memoryview(self._range(begin, self._pages[numbers[count - 1] + 1]))
            for number in numbers[:count]:
                yield number, self._parsed(number, data[self._pages[number] - begin : self._pages[number + 1] - begin])
            numbers = numbers[count:]

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
        behind = bisect_right(self._begun, number)
        if page.last_key and behind < len(self._keys) and page.last_key >= self._keys[behind]:
            raise unsorted()
        self._held.pop(number, None)
        self._held[number] = page
        if len(self._held) > _HELD:
            del self._held[next(iter(self._held))]
        return page

    def _data_of(self, run: Sequence[Block]) -> Generator[_Data, None, None]:
        """Blocks that lie one behind the other, each as it lies in the object."""
        start, stop = run[0].start, run[-1].stop
        chunks = self._in_ranges if start >= self._tail_at else self._stream
        with closing(chunks(start, stop)) as pieces:
            read = Stream(pieces, "archive")
            for block in run:
                yield block, read.take(block.stop - block.start)

    def _in_ranges(self, start: int, stop: int) -> Generator[bytes, None, None]:
        for at in range(start, stop, _AT_ONCE):
            yield self._range(at, min(at + _AT_ONCE, stop))

    def _range(self, start: int, stop: int) -> bytes:
        if start >= self._tail_at:
            return self._tail[start - self._tail_at : stop - self._tail_at]
        return _whole(self._read, start, stop)


def _content(data: _Data) -> bytes:
    return inflate(*data)


def _hashes(names: Iterable[str]) -> bytes:
    return array("q", map(hash, names)).tobytes()


def _whole(read: Read, start: int, stop: int) -> bytes:
    found = read(start, stop)
    if len(found) != stop - start:
        raise CorruptArchiveError(f"{stop - start} bytes of the archive were asked for, and {len(found)} came")
    return found


def _runs(blocks: Iterable[Block]) -> Iterator[list[Block]]:
    """Blocks that lie one behind the other, in runs that are read as one stream."""
    run: list[Block] = []
    for block in blocks:
        if run and (block.stop - run[0].start > _STREAMED or len(run) == _MOST_BLOCKS):
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


def entry_of(header: bytes, *, alone: bool = True) -> Entry | None:
    """What a header says; ``None`` for what is not one, or a pax header and one, and no more.

    If it need not be ``alone``, there may be others before it that hold for it, and that of the archive's root.
    """
    records = iter([header[at : at + RECORD] for at in range(0, len(header), RECORD)])
    members = untar(records)
    found = next(members, None)
    while not alone and found is not None and not found[0].name:
        found = next(members, None)
    is_whole = not alone or len(header) == RECORD + extended(header)
    return found[0] if found is not None and is_whole and next(records, None) is None else None


def extended(header: bytes) -> int:
    """The bytes of the pax header that this begins with; 0 if it does not. Raises ``CorruptArchiveError``."""
    if header[156:157] != b"x":
        return 0
    if not _PAX_SIZE.fullmatch(header, 124, 135):
        raise CorruptArchiveError("a pax header says its size in another way than keystow's")
    return RECORD + padded(int(header[124:135], 8))


def _archive(root: Fields) -> Whole | None:
    """The archive that the index lies beside."""
    is_sequential = root.has("sequential") and root.flag("sequential")
    if not root.has("archive"):
        if is_sequential:
            raise CorruptArchiveError("the archive's index says that no block of it inflates alone")
        return None
    fields = root.fields("archive")
    sha256 = fields.text("sha256")
    if not _SHA256.fullmatch(sha256):
        raise CorruptArchiveError("the root of the archive's index names its archive by no SHA-256")
    return Whole(sha256, fields.number("crc32", (1 << 32) - 1), is_sequential)


def _proved(pieces: Iterator[memoryview], member: Member) -> Iterator[bytes | memoryview]:
    checksum = 0
    for piece in pieces:
        checksum = isal_zlib.crc32(piece, checksum)
        yield piece
    if checksum != member.crc32:
        raise CorruptArchiveError(f"the content of {shown(member.entry.name)} has another CRC-32 than the index says")
