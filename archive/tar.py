"""From a tree to a tar stream: POSIX.1-2001 pax interchange format, with nothing in it that the tree does not say.

Strategy: a header is one bytes format, not an object. What ustar cannot say (long and non-ASCII names, sizes past
8 GiB, times before 1970) goes into a pax header in front; bytes that are not UTF-8 are announced by
``hdrcharset=BINARY``.
Owner 0/0 and no names, modes 0644/0755, whole seconds: the same tree gives the same bytes anywhere.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import tee

from isal import isal_zlib

from .grid import Member, lengths
from .tree import Entry, Kind, Tree

Told = Callable[[Entry, bytes, int], object]
"""Is told of a member that has passed: its entry, its header as it was written, and the CRC-32 of its content."""

BLOCK = 512
_RECORD = 20 * BLOCK
_MOST_OCTAL = 0o77777777777
_HEADER = (
    b"%b%07o\x000000000\x000000000\x00%011o\x00%011o\x00        %b%bustar\x0000"
    + bytes(64)
    + b"0000000\x000000000\x00%b"
    + bytes(12)
)
_TYPES: dict[Kind, bytes] = {"file": b"0", "hardlink": b"1", "symlink": b"2", "directory": b"5"}
_MODES: dict[Kind, int] = {"file": 0o644, "hardlink": 0o644, "symlink": 0o777, "directory": 0o755}


def tar(tree: Tree, *, mtime: int | None = None, told: Told | None = None) -> Iterator[bytes]:
    """The tar stream of ``tree``. ``mtime`` (seconds since 1970) stands in for the time of every entry.

    ``told`` hears of each member once it has passed.

    Raises what reading the tree raises, and ``ValueError`` if a file's content is not as long as its entry says.
    """
    return _stream(tree, _headers(tree, mtime), told)


def tar_in_blocks(
    tree: Tree, *, mtime: int | None = None, told: Told | None = None
) -> tuple[Iterator[bytes], Iterator[int]]:
    """``tar``, and the lengths of the blocks that its grid cuts it into; ``told`` hears of each member."""
    headers, ahead = tee(_headers(tree, mtime))
    return _stream(tree, headers, told), lengths(_members(ahead))


def _headers(tree: Tree, mtime: int | None) -> Iterator[tuple[Entry, bytes]]:
    return ((entry, _member(entry, entry.mtime if mtime is None else mtime)) for entry in tree.entries)


def _members(headers: Iterable[tuple[Entry, bytes]]) -> Iterator[Member]:
    for entry, header in headers:
        size = entry.size if entry.kind == "file" else 0
        yield _encoded(entry.name), len(header), size + -size % BLOCK


def _stream(tree: Tree, headers: Iterable[tuple[Entry, bytes]], told: Told | None = None) -> Iterator[bytes]:
    written = 0
    padding = b""
    for entry, header in headers:
        written += len(padding) + len(header)
        yield padding + header
        padding = b""
        length = checksum = 0
        if entry.kind == "file":
            for chunk in tree.read(entry):
                length += len(chunk)
                if told is not None:
                    checksum = isal_zlib.crc32(chunk, checksum)
                yield chunk
            if length != entry.size:
                raise ValueError(f"{entry.name!r} gave {length} bytes where {entry.size} were announced")
            written += length
            padding = bytes(-length % BLOCK)
        if told is not None:
            told(entry, header, checksum)
    end = padding + bytes(2 * BLOCK)
    yield end + bytes(-(written + len(end)) % _RECORD)


def _member(entry: Entry, mtime: int) -> bytes:
    records: list[tuple[bytes, bytes]] = []
    name = _encoded(entry.name) + (b"/" if entry.kind == "directory" else b"")
    prefix, base = _split(name)
    if base is None:
        records.append((b"path", name))
        prefix, base = b"", name[:100].decode("ascii", "replace").encode("ascii", "replace")[:100]
    target = _encoded(entry.target)
    if len(target) > 100 or not target.isascii():
        records.append((b"linkpath", target))
        target = b""
    size = entry.size
    if size > _MOST_OCTAL:
        records.append((b"size", b"%d" % size))
        size = 0
    if not 0 <= mtime <= _MOST_OCTAL:
        records.append((b"mtime", b"%d" % mtime))
        mtime = 0
    mode = 0o755 if entry.executable else _MODES[entry.kind]
    header = _header(base, mode=mode, size=size, mtime=mtime, kind=_TYPES[entry.kind], target=target, prefix=prefix)
    return _pax(records) + header if records else header


def _encoded(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def _split(name: bytes) -> tuple[bytes, bytes | None]:
    """The ustar prefix and name fields for ``name``, or ``None`` for the latter if it does not fit them."""
    if not name.isascii():
        return b"", None
    if len(name) <= 100:
        return b"", name
    cut = name.find(b"/", len(name) - 101, 156)
    if cut <= 0 or cut == len(name) - 1:
        return b"", None
    return name[:cut], name[cut + 1 :]


def _header(
    base: bytes, *, mode: int, size: int, kind: bytes, mtime: int = 0, target: bytes = b"", prefix: bytes = b""
) -> bytes:
    header = _HEADER % (
        base.ljust(100, b"\0"),
        mode,
        size,
        mtime,
        kind,
        target.ljust(100, b"\0"),
        prefix.ljust(155, b"\0"),
    )
    # Adler-32 begun at 0 keeps the plain sum of the bytes in its low half, and the sum of an ASCII header is below
    # its modulus of 65521.
    return header[:148] + b"%06o\0 " % (zlib.adler32(header, 0) & 0xFFFF) + header[156:]


def _pax(records: list[tuple[bytes, bytes]]) -> bytes:
    if not all(_is_utf8(value) for _, value in records):
        records = [(b"hdrcharset", b"BINARY"), *records]
    body = b"".join(_record(keyword, value) for keyword, value in records)
    return _header(b"PaxHeader", mode=0o644, size=len(body), kind=b"x") + body + bytes(-len(body) % BLOCK)


def _record(keyword: bytes, value: bytes) -> bytes:
    rest = b" %b=%b\n" % (keyword, value)
    length = len(rest) + len(b"%d" % len(rest))
    if len(b"%d" % length) + len(rest) > length:
        length += 1
    return b"%d%b" % (length, rest)


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
