"""Archives that inflate only from their start, as other programs make them: the index beside one, made.

Strategy: the gzip stream is cut wherever half a MiB of tar has come, and each block has its digest. Who wants a member
inflates all blocks before it and none behind it, each once its digest held; who goes on from there begins anew only if
he goes back. See docs/format.md, section 12.
"""

import hashlib
import zlib
from collections.abc import Generator, Iterable, Iterator

from .beside import MOST_COMPRESSED, Content, NotInBlocksError, check_zeros
from .carrier import find_index
from .errors import UnsafeArchiveError
from .grid import MOST
from .gzip import LEVEL
from .index import entry_of
from .indexing import ENDING, KINDS, MOST_HEAD, RECORD, Indexed, IndexWriter, Whole, padded
from .inflating import Inflater
from .tree import Entry
from .untar import Stream, members_of

_ENOUGH = MOST // 2
_STEP = 1 << 16


class SequentialBeside:
    """Makes the index of the archive that ``chunks`` are, whatever wrote it, as ``Beside`` does of keystow's.

    Some MiB are held, and the compressed pages. Reading raises ``NotInBlocksError`` for what no index can tell of,
    ``CorruptArchiveError`` and ``UnsafeArchiveError``.
    """

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self._writer = IndexWriter(LEVEL)
        self._sha256, self._tar_sha256 = hashlib.sha256(), hashlib.sha256()
        self._size = self._tar_size = 0
        self._end = b""
        self._holds_nothing = False
        self._contents = self._inflated()

    def members(self) -> Generator[tuple[Entry, Iterator[bytes | memoryview]], None, None]:
        """Each member with its content, which is to be read before the next is asked for."""
        stream = _Noting(self._contents)
        at = 0
        for entry, pieces in members_of(stream):
            if not entry.name:
                if entry.kind != "directory":
                    raise UnsafeArchiveError("the archive holds a file without a name")
                continue
            head = stream.noted()
            if entry_of(head, alone=False) != entry:
                raise NotInBlocksError("a header of it holds for members further on")
            content = Content(pieces)
            yield entry, content
            for _ in content:
                pass
            mode = 0o755 if entry.executable else 0o644
            self._writer.add(entry, KINDS[entry.kind], mode, len(head) // RECORD, content.crc32)
            at += len(head) + padded(entry.size)
            stream.skips(padded(entry.size) - entry.size)
        check_zeros(self._tar_size - at)

    def close(self) -> None:
        """Reads no more of the archive."""
        self._contents.close()

    def finish(self) -> Indexed | None:
        """The index, once all members were read; ``None`` if it would be too long to be read."""
        whole = Whole(self._sha256.hexdigest(), zlib.crc32(self._end), is_sequential=True)
        return self._writer.finish(self._size, self._tar_sha256.hexdigest(), whole)

    def _inflated(self) -> Generator[bytes, None, None]:
        """The tar stream; of each block, the writer has been told once the next one begins."""
        inflater, block = Inflater(), _Block()
        for piece in _even(self._chunks):
            self._sha256.update(piece)
            self._size += len(piece)
            self._end = (self._end + piece)[-ENDING:]
            left = memoryview(piece)
            while left:
                content, taken = inflater.step(left, MOST - (0 if block.is_full else block.size))
                if content and block.is_full:
                    self._tell(block)
                    block = _Block()
                block.add(left[:taken], len(content))
                left = left[taken:]
                if content:
                    self._tar_sha256.update(content)
                    self._tar_size += len(content)
                    yield content
        inflater.check_end()
        if block.size:
            self._tell(block)
        if find_index(self._end, self._size) is not None:
            raise NotInBlocksError("it has an index already, behind its data")
        if self._holds_nothing:
            raise NotInBlocksError("more than 1 MiB of it holds nothing")

    def _tell(self, block: "_Block") -> None:
        self._holds_nothing = self._holds_nothing or block.compressed > MOST_COMPRESSED
        self._writer.block(block.compressed, block.size, block.sha256.digest())


def _even(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """``chunks`` in pieces of one length, so that the blocks do not depend on what came together."""
    held = bytearray()
    for chunk in chunks:
        held += chunk
        whole = len(held) - len(held) % _STEP
        yield from (bytes(held[at : at + _STEP]) for at in range(0, whole, _STEP))
        del held[:whole]
    if held:
        yield bytes(held)


class _Block:
    """What is told of a block, while it grows."""

    def __init__(self) -> None:
        self.size = self.compressed = 0
        self.sha256 = hashlib.sha256()

    @property
    def is_full(self) -> bool:
        """Whether what comes next is another block's, if it is not without content."""
        return self.size >= _ENOUGH or (self.size > 0 and self.compressed >= MOST)

    def add(self, data: memoryview, size: int) -> None:
        """Some more of the archive, which gave ``size`` bytes."""
        self.compressed += len(data)
        self.size += size
        self.sha256.update(data)


class _Noting(Stream):
    """Remembers what was taken at once, which are headers, and behind each content what fills it up."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        super().__init__(chunks)
        self._taken = bytearray()
        self._skipped = 0

    def take(self, length: int) -> bytes:
        """``length`` bytes at once."""
        found = super().take(length)
        self._taken += found
        if len(self._taken) - self._skipped > MOST_HEAD * RECORD:
            raise NotInBlocksError("a member of it has longer headers than an index can tell of")
        return found

    def skips(self, length: int) -> None:
        """Of what is taken next, so many bytes are none of a header."""
        self._skipped = length

    def noted(self) -> bytes:
        """The headers that came since this was last asked."""
        found = bytes(self._taken[self._skipped :])
        self._taken.clear()
        self._skipped = 0
        return found
