"""A directory, and what was published: whether the one gives the other.

Strategy: the tar stream is made anew and hashed, which takes nothing of the store but, where the result does not hold
the digest of that stream, the index. Who compressed it, and at which level, makes no difference.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from os import PathLike

from .agreement import Told, What, digest_of, first_differences, opened_archive, walked
from .archive import Tree, scan, tar
from .backends import Store, StoreError
from .checksum import Checksum
from .errors import ResultError, VerificationError
from .progress import Meter, Tell
from .result import PublishedResult
from .stored import Access
from .trust import Trust

_MOST_TOLD = 10
_WORDS: dict[What, str] = {
    "missing": "is not in the directory",
    "added": "is in the directory alone",
    "kind": "is of another kind in the directory",
    "content": "has another content in the directory",
    "target": "leads elsewhere in the directory",
    "mode": "may be executed in one of them alone",
    "time": "has another time in the directory",
}


def compared(
    published: PublishedResult,
    against: str | PathLike[str] | Tree,
    mtime: int | None,
    *,
    store: Store | None,
    trust: Trust,
    access: Access,
    told: Tell | None,
) -> tuple[int, int, Checksum]:
    """How many members the directory has, the bytes of their content, and the SHA-256 of the tar stream of both.

    Raises ``VerificationError`` if they differ, with a note for each of the first members that do.
    """
    if published.encoding != "gzip":
        raise ResultError(f"{published.url!r} is no archive, and a directory is compared with an archive")
    if published.tar_sha256 is None and published.index_sha256 is None:
        raise ResultError("the result holds no TarSHA256 and no IndexSHA256, so there is nothing to compare with")
    tree = against if isinstance(against, Tree) else scan(against)
    expected = digest_of(published, trust, access, store)
    meter = Meter(told, tree.size, 1)
    meter.begin()
    measured = replace(tree, read=lambda entry: iter(meter.passing(tree.read(entry))))
    checksums: list[int] = []
    digest = hashlib.sha256()
    for piece in tar(measured, mtime=mtime, told=lambda _, __, crc32: checksums.append(crc32)):
        digest.update(piece)
    meter.end()
    found = Checksum(digest.hexdigest())
    if found == expected:
        return len(tree.entries), tree.size, found
    error = VerificationError(
        f"the directory is not what was published as {published.url!r}: its tar stream has the SHA-256 {found}, and "
        f"{expected} was published"
    )
    try:
        with opened_archive(published, trust, access, store) as source:
            walk = walked(source)
            members = _members(tree, mtime, checksums)
            differing = [] if walk is None else first_differences(walk, members, _MOST_TOLD)
        for name, how in differing:
            error.add_note(f"{name!r} {_WORDS[how]}")
        if not differing:
            error.add_note("which members differ, no index tells")
    except StoreError as failure:
        error.add_note(f"which members differ, could not be read: {failure}")
    raise error


def _members(tree: Tree, mtime: int | None, checksums: list[int]) -> Iterator[Told]:
    for entry, crc32 in zip(tree.entries, checksums, strict=True):
        yield entry if mtime is None else replace(entry, mtime=mtime), crc32
