"""A stream cut into parts of a multipart upload (S3 "Multipart upload limits": 10,000 parts of 5 MiB to 5 GiB)."""

import io
from collections.abc import Iterable, Iterator

MIB = 1 << 20
MOST_PARTS = 10_000
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
    missing = part_size(number)
    pending = io.BytesIO()
    for chunk in chunks:
        rest = memoryview(chunk)
        while len(rest) >= missing:
            pending.write(rest[:missing])
            rest = rest[missing:]
            yield pending.getvalue()
            pending = io.BytesIO()
            number += 1
            missing = part_size(number)
        missing -= pending.write(rest)
    if pending.tell():
        yield pending.getvalue()
