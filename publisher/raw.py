"""What is published as it is: one file, or a stream, which is read once and whose length nobody knows beforehand."""

import io
import os
from collections.abc import Iterator
from os import PathLike
from typing import Protocol

from .archive import Entry, SourceError, Tree
from .errors import SpecError

_CHUNK = 1 << 20


class Readable(Protocol):
    """A binary stream, such as a file that is open for reading: ``read(size)`` gives nothing at its end."""

    def read(self, size: int, /) -> bytes:
        """Up to ``size`` bytes."""
        ...


def check_file(source: str | PathLike[str]) -> None:
    """Raises ``SpecError`` for a directory."""
    if os.path.isdir(source):
        raise SpecError(
            f"raw=True publishes one file, and {os.fspath(source)!r} is a directory: name a file in it, "
            "or publish it as an archive, or as files under a prefix"
        )


def streamed(stream: Readable) -> Tree:
    """A tree of one nameless file, which is what is left of ``stream``; its size, 0, says nothing.

    Raises ``SpecError`` for what gives no bytes.
    """
    if isinstance(stream, io.TextIOBase):
        raise SpecError('the source is a stream of text: open it with "rb", or give its .buffer')
    if not callable(getattr(stream, "read", None)):
        raise SpecError(f"a {type(stream).__name__} is no source: give a path, or a binary stream")
    if getattr(stream, "closed", False):
        raise SpecError("the source is a stream that is closed: give one that is open")
    return Tree((Entry("", "file"),), lambda _: _pieces(stream))


def is_stream(tree: Tree) -> bool:
    """Whether it is ``streamed``: no file has an empty name."""
    return len(tree.entries) == 1 and not tree.entries[0].name


def _pieces(stream: Readable) -> Iterator[bytes]:
    while True:
        piece = stream.read(_CHUNK)
        if piece is None:
            raise SourceError("the stream has nothing yet, and does not wait for more: give one that blocks")
        if not isinstance(piece, bytes | bytearray | memoryview):
            raise SourceError(f"the stream gives {type(piece).__name__}, and bytes are published: open it with 'rb'")
        if not piece:
            return
        yield bytes(piece)
