"""Where the blocks of a compressed tar stream begin: a rule that looks at the members nearby, and at nothing else.

Strategy: a block that two archives share need not be sent twice, so a change must not move the cuts behind it. The
content of a large file has blocks of its own. Of the small members between two such files, one begins a block if its
name has the lowest checksum of all that begin near it. See docs/design/007-grid.md.
"""

import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import repeat

MOST = 1 << 20
"""The bytes of the longest block."""
LARGE = 1 << 17
"""From this size on, with its padding, the content of a file has blocks of its own."""
NEAR = 96 << 10
"""Of two members that begin less than this apart, one at the most begins a block."""

Member = tuple[bytes, int, int]
"""A member's name, and the bytes of its header and of its content, padding included; plain, as there are many."""
_Candidate = tuple[int, int, bool]
"""Where a member begins, the checksum of its name, and whether none that begins near before it has a lower one."""


def lengths(members: Iterable[Member]) -> Iterator[int]:
    """The length of each block, for ever: what stands behind the members is cut at the longest.

    >>> from itertools import islice
    >>> list(islice(lengths([(b"a", 512, 512), (b"b", 512, 3 << 19), (b"c", 512, 0)]), 4))
    [1536, 1048576, 524288, 1048576]
    """
    start = 0
    for cut in cuts(members):
        while cut - start > MOST:
            yield MOST
            start += MOST
        yield cut - start
        start = cut
    yield from repeat(MOST)


def cuts(members: Iterable[Member]) -> Iterator[int]:
    """Where blocks begin, but for the first, and for those that what is longer than a block is cut into."""
    at = begin = 0
    window: deque[_Candidate] = deque()  # none of them has one with a lower checksum behind it
    for name, header, content in members:
        if window and at - window[0][0] >= NEAR:
            yield from _decided(window, at)
        checksum = zlib.crc32(name)
        while window and window[-1][1] > checksum:
            window.pop()
        window.append((at, checksum, not window and at - begin >= NEAR))
        at += header
        if content < LARGE:
            at += content
            continue
        yield from _decided(window, at)
        window.clear()
        yield at
        at = begin = at + content
        yield at
    yield from _decided(window, at)


def _decided(window: deque[_Candidate], end: int) -> Iterator[int]:
    """Takes away those near which nothing begins any more before ``end``, and gives where the lowest begin."""
    while window and end - window[0][0] >= NEAR:
        at, _, lowest = window.popleft()
        if lowest:
            yield at
