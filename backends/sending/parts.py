"""A stream cut into parts of a multipart upload (S3 "Multipart upload limits": 10,000 parts of 5 MiB to 5 GiB)."""

import io
import itertools
from collections.abc import Callable, Iterable, Iterator

MIB = 1 << 20
MOST_PARTS = 10_000
FEW = 4
"""So many parts of one upload are sent at once, however large they are."""
HELD = 64 * MIB
"""The bytes of so many more."""
_SMALLEST = 8
_CONSTANT = 2_000
_GROWTH = 6


class Body(io.BytesIO):
    """What is sent: ``content`` from ``start`` on.

    aiohttp asks for its length by way of its buffer, and ``BytesIO`` would make a copy for that.

    ``moved`` is called whenever more of it is asked for, as what was read before has been sent.
    """

    def __init__(self, content: bytes, start: int = 0) -> None:
        super().__init__(content)
        self.seek(start)
        self._content, self._start = content, start
        self.moved: Callable[[], object] = bool

    def read(self, size: int | None = -1, /) -> bytes:
        """Up to ``size`` bytes."""
        self.moved()
        return super().read(size)

    def anew(self) -> "Body":
        """The same as it was in the beginning: who sends it closes it."""
        return Body(self._content, self._start)

    def getbuffer(self) -> memoryview:
        """The content itself, also before the start."""
        return memoryview(self._content)


def part_size(number: int) -> int:
    """The bytes of part ``number``, counted from 1: 8 MiB up to 16 GiB, then growing so that 10,000 hold 5 TiB.

    >>> part_size(1) // MIB, part_size(10_000) // MIB
    (8, 1341)
    >>> sum(part_size(number) for number in range(1, 10_001)) >= 5 << 40
    True
    """
    return (_SMALLEST + max(0, number - _CONSTANT) // _GROWTH) * MIB


def parts(chunks: Iterable[bytes], length: Callable[[int], int] = part_size) -> Iterator[bytes]:
    """``chunks`` joined and cut into parts, each as long as ``length`` says, the last one up to that; none if empty."""
    number = 1
    missing = size = length(number)
    pending = io.BytesIO()
    for chunk in chunks:
        rest = memoryview(chunk)
        while len(rest) >= missing:
            pending.write(rest[:missing])
            rest = rest[missing:]
            yield pending.getvalue()
            pending = io.BytesIO()
            number += 1
            missing = size = length(number)
        if missing > size // 2 >= missing - len(rest):
            _extend(pending, size)
        missing -= pending.write(rest)
    if pending.tell():
        pending.truncate()
        yield pending.getvalue()


def roomy(size: int) -> io.BytesIO:
    """A buffer with ``size`` bytes of room, which can be filled where they are, and taken out without a copy."""
    buffer = io.BytesIO()
    if size:
        _extend(buffer, size)
    return buffer


def _extend(buffer: io.BytesIO, size: int) -> None:
    """Gives ``buffer`` all of its room: while it grew bit by bit, it would be moved many times."""
    position = buffer.tell()
    buffer.seek(size - 1)
    buffer.write(b"\0")
    buffer.seek(position)


def alone(pieces: Iterator[bytes]) -> tuple[bytes | None, Iterator[bytes]]:
    """The only one of ``pieces`` (nothing, if there is none), or ``None`` if there are more; and all of them."""
    head = list(itertools.islice(pieces, 2))
    return b"".join(head) if len(head) < 2 else None, _rejoined(head, pieces)


def begun(chunks: Iterable[bytes], enough: Callable[[int], bool]) -> tuple[list[bytes], Iterator[bytes]]:
    """The first of ``chunks``, until their bytes are ``enough``, and all of them; taking those empties the first."""
    rest = iter(chunks)
    head: list[bytes] = []
    size = 0
    for chunk in rest:
        head.append(bytes(chunk))
        size += len(chunk)
        if enough(size):
            break
    return head, _rejoined(head, rest)


def _rejoined(head: list[bytes], rest: Iterator[bytes]) -> Iterator[bytes]:
    """What was taken off the front, and the rest; nobody holds what has passed."""
    head.reverse()
    while head:
        yield head.pop()
    yield from rest
