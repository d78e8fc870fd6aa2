"""Bytes that every reader of gzip passes over: in the extra fields of empty members (RFC 1952, section 2.3.1.1).

Strategy: there is one way to write each part, so that a reader compares instead of interpreting. See docs/format.md.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from .errors import CorruptArchiveError

PAGE, ROOT = b"P", b"R"
_FOOTER = b"F"
_FORMAT = b"keystow\x01"
_MOST = (1 << 14) - 4
"""The longest payload of one member: busybox reads no extra field of more than 32 KiB."""
MOST_CARRIED = 1 << 23
"""The bytes of the longest page or root, with its framing."""
_HEAD = struct.Struct("<10sHccH")
BEGIN = b"\x1f\x8b\x08\x04\x00\x00\x00\x00\x00\xff"
"""What each of these members begins with, and no other gzip member that keystow writes."""
_END = b"\x03\x00" + bytes(8)
_AROUND = _HEAD.size + len(_END)
_PLACE = struct.Struct("<8sQ32s")
FOOTER = _AROUND + _PLACE.size
"""The bytes of a footer, which are the last of the object."""


class Place(NamedTuple):
    """Where in the object the root lies, as the footer says, and the SHA-256 digest of its payload."""

    start: int
    stop: int
    sha256: bytes


def carried(kind: bytes, payload: bytes) -> bytes:
    """The gzip members that carry ``payload``; all but the last are as long as one can be."""
    pieces = (payload[at : at + _MOST] for at in range(0, len(payload), _MOST))
    return b"".join(_carrier(kind, piece) for piece in pieces)


def _carrier(kind: bytes, piece: bytes) -> bytes:
    return b"".join((_HEAD.pack(BEGIN, 4 + len(piece), b"K", kind, len(piece)), piece, _END))


def payload(kind: bytes, members: bytes) -> bytes:
    """What ``members`` carry. Raises ``CorruptArchiveError`` for what ``carried`` does not make."""
    found = b"".join(_pieces(members))
    if not found or carried(kind, found) != members:
        raise CorruptArchiveError("the index of the archive is damaged: what carries it is not as it has to be")
    return found


def _pieces(members: bytes) -> Iterator[bytes]:
    for at in range(0, len(members), _AROUND + _MOST):
        yield members[at : at + _AROUND + _MOST][_HEAD.size : -len(_END)]


def footer(root: int, sha256: bytes) -> bytes:
    """The last member: ``root`` are the bytes of the members before it that carry the root."""
    return _carrier(_FOOTER, _PLACE.pack(_FORMAT, root, sha256))


def find_index(tail: bytes, size: int) -> Place | None:
    """What the footer says, from the last bytes of an object of ``size`` bytes; ``None`` if there is none.

    Raises ``CorruptArchiveError`` for a footer that names a place outside of the object.
    """
    found = tail[-FOOTER:]
    if len(found) < FOOTER:
        return None
    name, length, sha256 = _PLACE.unpack_from(found, FOOTER - len(_END) - _PLACE.size)
    if name != _FORMAT or found != footer(length, sha256):
        return None
    stop = size - FOOTER
    if not 0 < length <= stop:
        raise CorruptArchiveError(f"the archive ends with an index of {length} bytes, and is no longer than {size}")
    return Place(stop - length, stop, sha256)
