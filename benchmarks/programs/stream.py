"""Writes a stream that nothing compresses to a store: stream.py STORE KEY BYTES."""

import os
import sys
from collections.abc import Iterator

from keystow import open_store


def random_bytes(size: int) -> Iterator[bytes]:
    """``size`` bytes, of which each mebibyte is memory of its own."""
    rest = os.urandom((1 << 20) - 8)
    for start in range(0, size, 1 << 20):
        yield (start.to_bytes(8, "big") + rest)[: size - start]


url, key, count = sys.argv[1:]
store = open_store(url)
written = store.write(key, random_bytes(int(count)))
store.close()
if written.size != int(count):
    raise SystemExit(f"{written.size} of {count} bytes were written")
