"""SHA-256 of what is stored, computed while it passes."""

import base64
import hashlib
from collections.abc import Iterable, Iterator


class Digest:
    """Passes chunks through, and counts and hashes them."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self._hash = hashlib.sha256()
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self._hash.update(chunk)
            self.size += len(chunk)
            yield chunk

    def hexdigest(self) -> str:
        """What has passed, as hex."""
        return self._hash.hexdigest()

    def base64(self) -> str:
        """What has passed, as S3's header wants it."""
        return base64.b64encode(self._hash.digest()).decode()
