"""Fetches an archive as one stream, hashed as it is read, inflated by one thread: one_stream.py URL RESULT DIR."""

import hashlib
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from keystow.archive import unpack

url, result, directory = sys.argv[1:]


def chunks() -> Iterator[bytes]:
    """The archive. It ends with an error if it is not the one that was published."""
    digest = hashlib.sha256()
    with urllib.request.urlopen(url) as answer:
        while chunk := answer.read(1 << 18):
            digest.update(chunk)
            yield chunk
    if digest.hexdigest() not in Path(result).read_text("utf-8"):
        raise SystemExit("that is not what was published")


unpack(chunks(), directory)
