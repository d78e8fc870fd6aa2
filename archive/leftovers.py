"""What killed runs left behind: hidden directories that were to become a certain other one.

Strategy: one is known by its name, which tells the target's; by its owner and a mode that nothing else has, and that
nobody else can give to a directory of ours; and by its lock, which ends with the process that held it.
"""

import errno
import fcntl
import hashlib
import os
import re
import stat
from collections.abc import Iterator

from .removal import OPEN_DIRECTORY, empty, identity, is_there

PRIVATE = stat.S_ISVTX | stat.S_IRWXU  # a sticky bit makes no sense on a directory of one user
_MODE = stat.S_ISVTX | stat.S_IRWXU | stat.S_IRWXG | stat.S_IRWXO
_LONGEST = 100  # bytes of the target's name: some disks take names of no more than 143
_HELD = {errno.EWOULDBLOCK, errno.EAGAIN}


def hidden_name(target: str) -> str:
    """A new name, for what is to become ``target`` beside it or inside it."""
    return f".{_stem(target)}.keystow-{os.urandom(8).hex()}.partial"


def _stem(target: str) -> str:
    raw = os.fsencode(target)
    if len(raw) <= _LONGEST:
        return target
    return f"{os.fsdecode(raw[: _LONGEST // 2])}~{hashlib.sha256(raw).hexdigest()[:16]}"


def is_private(status: os.stat_result) -> bool:
    """Whether it is a directory of ours as none but an unfinished one is."""
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and status.st_mode & _MODE == PRIVATE


def lock(directory: int) -> bool:
    """Locks an open directory for as long as it is open; false if another process clears it just now.

    A disk without locks has none, and then nothing on it is ever cleared.
    """
    try:
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in _HELD
    return True


def abandoned(place: int, target: str) -> Iterator[tuple[str, int]]:
    """The leftovers for ``target`` in the directory that is open as ``place``, each locked and open while it is given.

    Those that a live process fills, or that may not be looked for, are none.
    """
    form = re.compile(re.escape(f".{_stem(target)}.keystow-") + r"[0-9a-f]{16}\.partial")
    try:
        listing = os.open(".", OPEN_DIRECTORY, dir_fd=place)
    except PermissionError:
        return
    try:
        names = [name for name in os.listdir(listing) if form.fullmatch(name)]
    finally:
        os.close(listing)
    for name in sorted(names):
        try:
            found = os.open(name, OPEN_DIRECTORY, dir_fd=place)
        except OSError:
            continue  # gone, no directory, or not ours to open
        try:
            if is_private(os.fstat(found)) and _is_dead(found) and is_there(name, place, identity(found)):
                yield name, found
        finally:
            os.close(found)


def clear(place: int, target: str) -> Iterator[str]:
    """Removes the leftovers for ``target`` in the directory that is open as ``place``, and names them."""
    for name, found in abandoned(place, target):
        empty(found)
        if is_there(name, place, identity(found)):
            os.rmdir(name, dir_fd=place)
            yield name


def _is_dead(directory: int) -> bool:
    """Whether no process holds the lock; a disk without locks cannot tell."""
    try:
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
