"""What the directory TREE is packed to, as SHA-256 by level: sums_run.py TREE PATH…, where the packages lie.

It is run by an emulated processor, which is slow, and so it imports little and writes its table by itself.
"""

import sys

tree, *places = sys.argv[1:]
sys.path[:0] = places

from hashlib import sha256  # noqa: E402

from isal import isal_zlib  # noqa: E402

from keystow.archive import pack, scan, tar  # noqa: E402

for level in (0, 1, 2, 3, 6):
    print(level, sha256(b"".join(pack(scan(tree), level=level))).hexdigest())
compressor = isal_zlib.compressobj(3)
packed = b"".join([*map(compressor.compress, tar(scan(tree))), compressor.flush()])
print("ISA-L's 3", sha256(packed).hexdigest())
