"""A page of an index: some members, and the blocks in which their headers begin.

Strategy: each column is checked as a whole when the page is read, against the others and against what the root tells;
a member is made of them when it is asked for.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from .columns import DIGEST, MOST, Fields, inflated
from .errors import CorruptArchiveError, UnsafeArchiveError, shown
from .indexing import KINDS, MOST_HEAD, RECORD, padded
from .tree import Entry, Kind
from .untar import name_of

_MOST_BLOCK = 1 << 20
_LONGEST_PATH = 4095
_KINDS: dict[str, Kind] = {letter: kind for kind, letter in KINDS.items()}


class Member(NamedTuple):
    """An entry, the CRC-32 of its content, and where in the tar stream its header and its content begin."""

    entry: Entry
    crc32: int
    at: int
    content_at: int

    @property
    def end(self) -> int:
        """Where its content ends."""
        return self.content_at + self.entry.size


class Block(NamedTuple):
    """Where a block lies in the object, and its content in the tar stream; the SHA-256 digest of the former."""

    start: int
    stop: int
    tar_start: int
    tar_stop: int
    sha256: bytes


class Page:
    """The columns of a page, each of which was checked; ``data`` and ``tar`` are where its blocks begin and end."""

    def __init__(
        self, fields: Fields, data: tuple[int, int], tar: tuple[int, int], counts: tuple[int, int], is_sorted: bool
    ) -> None:
        blocks, members = fields.fields("blocks"), fields.fields("members")
        compressed = blocks.numbers("compressed", counts[0], 2 * _MOST_BLOCK, least=1)
        sizes = blocks.numbers("size", counts[0], _MOST_BLOCK, least=1)
        self._digests = blocks.digests("sha256", counts[0])
        self._data = list(accumulate(compressed, initial=data[0]))
        self._tar = list(accumulate(sizes, initial=tar[0]))
        count = counts[1]
        self.names = members.texts("name", count)
        keys = checked_keys(self.names, is_sorted)
        self.last_key = keys[-1] if is_sorted and keys else b""
        self._kinds = members.letters("kind", count, "0125")
        self._modes = members.numbers("mode", count, 0o7777)
        self._sizes = members.numbers("size", count)
        self._times = members.numbers("time", count, least=-MOST - 1)
        self._crc32 = members.numbers("crc32", count, (1 << 32) - 1)
        links = [at for at, kind in enumerate(self._kinds) if kind in "12"]
        self._targets = members.some("target", links)
        records = members.numbers("head", count, MOST_HEAD, least=1)
        before = fields.number("before")
        lengths = [head * RECORD + padded(size) for head, size in zip(records, self._sizes, strict=True)]
        self.at = list(accumulate(lengths, initial=tar[0] + before))
        """Where each header begins, and behind the last, what follows."""
        self.end = self.at[-1] if count else 0
        self._content_at = [at + head * RECORD for at, head in zip(self.at, records, strict=False)]
        if (
            self._data[-1] != data[1]
            or self._tar[-1] != tar[1]
            or (before if not count or not tar[0] else self.at[0] % RECORD)
            or (count and self.at[count - 1] >= tar[1])
            or (not is_sorted and len(set(self.names)) < count)
            or any(size for kind, size in zip(self._kinds, self._sizes, strict=True) if kind != "0")
        ):
            raise CorruptArchiveError("a page of the archive's index does not agree with itself, or with the root")
        for at in links:
            _check_target(self.names[at], self._kinds[at], self._targets[at])

    def blocks(self, start: int, stop: int) -> Iterator[Block]:
        """Those of the page's blocks that hold any of the tar stream from ``start`` up to ``stop``."""
        number = max(0, bisect_right(self._tar, start) - 1)
        while number + 1 < len(self._tar) and self._tar[number] < stop:
            digest = self._digests[DIGEST * number : DIGEST * (number + 1)]
            (start_at, stop_at), (tar_start, tar_stop) = self._data[number : number + 2], self._tar[number : number + 2]
            yield Block(start_at, stop_at, tar_start, tar_stop, digest)
            number += 1

    def member(self, at: int) -> Member:
        """The member at that place of the columns."""
        entry = Entry(
            self.names[at],
            _KINDS[self._kinds[at]],
            self._sizes[at],
            self._times[at],
            bool(self._modes[at] & 0o100),
            self._targets.get(at, ""),
        )
        return Member(entry, self._crc32[at], self.at[at], self._content_at[at])


def inflate(block: Block, data: bytes | memoryview) -> bytes:
    """The content of a block that lies in the object as ``data``. Raises ``CorruptArchiveError`` if it is not that."""
    check_digest(data, block.sha256, "block of the archive")
    content, ended = inflated(data, block.tar_stop - block.tar_start)
    if ended or len(content) != block.tar_stop - block.tar_start:
        raise CorruptArchiveError("a block of the archive is not as long as its index says")
    return content


def check_digest(data: bytes | memoryview, digest: bytes, what: str) -> None:
    """Raises ``CorruptArchiveError`` unless that is the SHA-256 of ``data``."""
    if hashlib.sha256(data).digest() != digest:
        raise CorruptArchiveError(f"the {what} is damaged: its SHA-256 is another one")


def checked_keys(names: Sequence[str], is_sorted: bool) -> list[bytes]:
    """The sort keys of names. Refuses a name that a tar could not hold so, and names that are not sorted as said."""
    keys = []
    for name in names:
        try:
            written = name.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            written = b""
        if name_of(written) != name:
            raise UnsafeArchiveError(f"the archive's index holds the name {shown(name)}, and no member is named so")
        keys.append(written.replace(b"/", b"\0"))
    if is_sorted:
        check_order(keys)
    return keys


def check_order(keys: Sequence[bytes]) -> None:
    """Raises ``CorruptArchiveError`` unless each key is less than the next one."""
    if any(not before < behind for before, behind in pairwise(keys)):
        raise unsorted()


def unsorted() -> CorruptArchiveError:
    """What is raised where names are not in the order that the root tells of."""
    return CorruptArchiveError("the archive's index says that its members are sorted, and they are not")


def _check_target(name: str, kind: str, target: str) -> None:
    try:
        written = target.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        written = b""
    if not written or len(written) > _LONGEST_PATH or "\0" in target or (kind == "1" and name_of(written) != target):
        raise UnsafeArchiveError(f"the link {shown(name)} has no usable target")
