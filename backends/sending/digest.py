"""SHA-256 of what is stored, computed while it passes."""

import base64
import hashlib
from collections.abc import Iterable, Iterator

from .parts import part_size

_AT_ONCE = 2047
"""For more, ``hashlib`` lets go of Python's lock: where small files are under way in many threads, to get it back takes
longer than to hash them."""
_SMALL = 1 << 15


class Digest:
    """Passes chunks through, and counts and hashes them."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self._hash = hashlib.sha256()
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self.add(chunk)
            yield chunk

    def add(self, chunk: bytes | memoryview) -> None:
        """Counts and hashes a chunk that has passed elsewhere."""
        if len(chunk) > _SMALL:
            self._hash.update(chunk)
        else:
            for start in range(0, len(chunk), _AT_ONCE):
                self._hash.update(chunk[start : start + _AT_ONCE])
        self.size += len(chunk)

    def copy(self) -> "Digest":
        """A digest of what has passed so far, which goes on by itself."""
        other = Digest(())
        other._hash, other.size = self._hash.copy(), self.size
        return other

    def hexdigest(self) -> str:
        """What has passed, as hex."""
        return self._hash.hexdigest()

    def base64(self) -> str:
        """What has passed, as S3's header wants it."""
        return _base64(self._hash.digest())


class PartsDigest(Digest):
    """A digest that also knows what S3 reports of the same bytes once they were sent in parts as ``parts`` cuts them.

    What fits into the first part is hashed but once, as the whole begins with it.
    """

    def __init__(self, chunks: Iterable[bytes]) -> None:
        super().__init__(chunks)
        self._part = self._hash
        self._missing = part_size(1)
        self._full: list[bytes] = []

    def add(self, chunk: bytes | memoryview) -> None:
        """As ``Digest.add``; and as of the parts that it lies in."""
        rest = memoryview(chunk)
        while len(rest) > self._missing:
            head, rest = rest[: self._missing], rest[self._missing :]
            self._extend(head)
            self._full.append(self._part.digest())
            self._part = hashlib.sha256()
            self._missing = part_size(len(self._full) + 1)
        self._extend(rest)

    def _extend(self, piece: memoryview) -> None:
        """More of the part that is not full yet."""
        super().add(piece)
        if self._full:
            self._part.update(piece)
        self._missing -= len(piece)

    def parts_base64(self) -> str:
        """The SHA-256 of the parts' own, with ``-`` and their number behind it; of a single part, ``base64``."""
        if not self._full:
            return self.base64()
        parts = [*self._full, self._part.digest()]
        return f"{_base64(hashlib.sha256(b''.join(parts)).digest())}-{len(parts)}"


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
