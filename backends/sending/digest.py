"""SHA-256 of what is stored, computed while it passes."""

import base64
import hashlib
from collections.abc import Iterable, Iterator

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
            if len(chunk) > _SMALL:
                self._hash.update(chunk)
            else:
                for start in range(0, len(chunk), _AT_ONCE):
                    self._hash.update(chunk[start : start + _AT_ONCE])
            self.size += len(chunk)
            yield chunk

    def hexdigest(self) -> str:
        """What has passed, as hex."""
        return self._hash.hexdigest()

    def base64(self) -> str:
        """What has passed, as S3's header wants it."""
        return base64.b64encode(self._hash.digest()).decode()
