"""Scans, packs and hashes a tree: pack.py TREE [LEVEL]. Prints the SHA-256 and the size of the archive."""

import hashlib
import sys

from keystow.archive import pack, scan

digest, size = hashlib.sha256(), 0
level = {"level": int(sys.argv[2])} if sys.argv[2:] else {}
for chunk in pack(scan(sys.argv[1]), **level):
    digest.update(chunk)
    size += len(chunk)
print(digest.hexdigest(), size)
