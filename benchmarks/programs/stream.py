"""Writes a stream that nothing compresses to a store: stream.py STORE KEY BYTES."""

import os
import sys
from collections.abc import Iterator

from keystow import open_store


def random_bytes(size: int) -> Iterator[bytes]:
    """The same random mebibyte again and again, up to ``size``."""
    piece = os.urandom(1 << 20)
    for start in range(0, size, len(piece)):
        yield piece[: size - start]


url, key, count = sys.argv[1:]
store = open_store(url)
written = store.write(key, random_bytes(int(count)))
store.close()
if written.size != int(count):
    raise SystemExit(f"{written.size} of {count} bytes were written")
