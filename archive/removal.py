"""Removing what lies in a directory: by descriptors, so nothing outside of it; at any depth, with few of them open."""

import os

OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

Identity = tuple[int, int]


def empty(directory: int) -> None:
    """Removes all that lies in ``directory``, an open one, and follows no link.

    Raises ``OSError`` if somebody moves directories of it about, or adds to it, meanwhile.
    """
    here = directory
    above: list[tuple[Identity, list[str]]] = []
    pending = _directories_left(here)
    try:
        while pending or above:
            if pending:
                above.append((identity(here), pending))
                inner = os.open(pending[-1], OPEN_DIRECTORY, dir_fd=here)
                here = _replaced(here, inner, directory)
                pending = _directories_left(here)
                continue
            expected, pending = above.pop()
            outer = os.open("..", OPEN_DIRECTORY, dir_fd=here) if above else directory
            here = _replaced(here, outer, directory)
            if identity(here) != expected:
                raise OSError("somebody moves directories about while they are removed")
            os.rmdir(pending.pop(), dir_fd=here)
    finally:
        _replaced(here, directory, directory)


def _replaced(old: int, new: int, kept: int) -> int:
    if old != kept:
        os.close(old)
    return new


def _directories_left(directory: int) -> list[str]:
    """The directories in ``directory``, once all else in it is removed."""
    with os.scandir(directory) as listing:
        found = [(child.name, child.is_dir(follow_symlinks=False)) for child in listing]
    for name, is_directory in found:
        if not is_directory:
            os.unlink(name, dir_fd=directory)
    return [name for name, is_directory in found if is_directory]


def identity(directory: int) -> Identity:
    """What tells an open file or directory from every other one."""
    return _identity(os.fstat(directory))


def is_there(name: str, directory: int, expected: Identity) -> bool:
    """Whether ``name`` in the open ``directory`` is the very file or directory that is ``expected``."""
    try:
        return _identity(os.stat(name, dir_fd=directory, follow_symlinks=False)) == expected
    except (FileNotFoundError, NotADirectoryError):
        return False


def _identity(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino
