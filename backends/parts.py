"""A stream cut into parts of a multipart upload (S3 "Multipart upload limits": 10,000 parts of 5 MiB to 5 GiB)."""

from collections.abc import Iterable, Iterator

MIB = 1 << 20
MOST_PARTS = 10_000
CONCURRENCY = 4
"""How many parts of one upload are under way at once."""
_SMALLEST = 8
_CONSTANT = 2_000
_GROWTH = 6


def part_size(number: int) -> int:
    """The bytes of part ``number``, counted from 1: 8 MiB up to 16 GiB, then growing so that 10,000 hold 5 TiB.

    >>> part_size(1) // MIB, part_size(10_000) // MIB
    (8, 1341)
    >>> sum(part_size(number) for number in range(1, 10_001)) >= 5 << 40
    True
    """
    return (_SMALLEST + max(0, number - _CONSTANT) // _GROWTH) * MIB


def parts(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """``chunks`` joined and cut into parts, each as long as ``part_size`` says, the last one shorter; none if empty."""
    number = 1
    size = part_size(number)
    pending = bytearray()
    for chunk in chunks:
        rest = memoryview(chunk)
        while len(pending) + len(rest) >= size:
            cut = size - len(pending)
            pending += rest[:cut]
            rest = rest[cut:]
            yield bytes(pending)
            pending.clear()
            number += 1
            size = part_size(number)
        pending += rest
    if pending:
        yield bytes(pending)
