"""Directories as archives: tree → tar → gzip and back, as streams of bytes.

Strategy: ``scan`` and ``unpack`` are the two edges that touch the disk. Between them are pure functions over immutable
values and iterators of bytes, so the same tree gives the same bytes, and memory does not grow with the tree's files.
"""

from .dereference import dereference
from .errors import (
    ArchiveError,
    CorruptArchiveError,
    DestinationChangedError,
    DestinationExistsError,
    LimitExceededError,
    SourceChangedError,
    SourceError,
    SourceNotFoundError,
    UnsafeArchiveError,
)
from .gzip import gunzip, gzip
from .limits import Limits
from .manifest import Item
from .pack import Packed, Proof, pack, packed
from .scan import scan
from .selection import Selection, selection
from .tar import tar
from .tree import Entry, Tree
from .unpack import Unpacked, check_destination, extract, unpack

__all__ = [
    "ArchiveError",
    "CorruptArchiveError",
    "DestinationChangedError",
    "DestinationExistsError",
    "Entry",
    "Item",
    "LimitExceededError",
    "Limits",
    "Packed",
    "Proof",
    "Selection",
    "SourceChangedError",
    "SourceError",
    "SourceNotFoundError",
    "Tree",
    "Unpacked",
    "UnsafeArchiveError",
    "check_destination",
    "dereference",
    "extract",
    "gunzip",
    "gzip",
    "pack",
    "packed",
    "scan",
    "selection",
    "tar",
    "unpack",
]
