"""Scans, packs and hashes a tree: pack.py TREE. Prints the SHA-256 and the size of the archive."""

import hashlib
import sys

from keystow.archive import pack, scan

digest, size = hashlib.sha256(), 0
for chunk in pack(scan(sys.argv[1])):
    digest.update(chunk)
    size += len(chunk)
print(digest.hexdigest(), size)
