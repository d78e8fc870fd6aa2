"""The index of an archive for other readers of gzip: GZIDX, which indexed_gzip made, and rapidgzip reads, too.

Strategy: each block inflates alone, so where blocks begin is all that there is to say; no point has a window.
"""

import struct
from collections.abc import Collection

from .page import Block

MAGIC = b"GZIDX"
_VERSION = 1
_HEADER = struct.Struct("<5sBBQQIII")
_POINT = struct.Struct("<QQBB")
_SPACING = 1 << 20  # bytes of tar from point to point, at most
_WINDOW = 1 << 15  # that of deflate, which readers want to see


def gzidx(size: int, tar_size: int, blocks: Collection[Block]) -> bytes:
    """The index of an archive of ``size`` bytes, with its own, which holds ``tar_size`` of tar in all these ``blocks``.

    Of version 1: ``zran_export_index`` in indexed_gzip's ``zran.c``.
    """
    header = _HEADER.pack(MAGIC, _VERSION, 0, size, tar_size, _SPACING, _WINDOW, len(blocks))
    return header + b"".join(_POINT.pack(block.start, block.tar_start, 0, 0) for block in blocks)
