"""A directory as a value: sorted, immutable entries, and a way to read the content of each file."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

Kind = Literal["file", "directory", "symlink", "hardlink"]


class Origin(NamedTuple):
    """Where a file's content was when it was scanned: enough to notice that it is no longer the same."""

    path: str
    device: int
    inode: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One member of a tree.

    ``name`` is relative, with ``/`` between segments; bytes that are not UTF-8 stand in it as lone surrogates
    (PEP 383). ``size`` is in bytes, ``mtime`` in whole seconds since 1970, ``target`` is what a link points to.
    """

    name: str
    kind: Kind
    size: int = 0
    mtime: int = 0
    executable: bool = False
    target: str = ""
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class Tree:
    """Entries sorted by name, byte by byte within each directory, parents before what they hold.

    ``read`` gives the content of a file entry in pieces. ``skipped`` names the links and special files that the scan
    was told to leave out, ``excluded`` what its selection did; of a directory, the directory alone, with a ``/``.
    """

    entries: tuple[Entry, ...]
    read: Callable[[Entry], Iterator[bytes]]
    skipped: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()

    @classmethod
    def of(cls, files: Mapping[str, bytes], *, mtime: int = 0) -> "Tree":
        """A tree of ``files`` held in memory; the directories that the names imply are entries too.

        >>> [entry.name for entry in Tree.of({"a/b": b"x", "c": b""}).entries]
        ['a', 'a/b', 'c']
        """
        entries = {name: Entry(name, "file", len(data), mtime) for name, data in files.items()}
        for name in files:
            for parent in parents(name):
                entries.setdefault(parent, Entry(parent, "directory", mtime=mtime))
        ordered = sorted(entries.values(), key=lambda entry: order(entry.name))
        return cls(tuple(ordered), lambda entry: iter([files[entry.name]]))

    @property
    def files(self) -> list[Entry]:
        """The entries that are files."""
        return [entry for entry in self.entries if entry.kind == "file"]

    @property
    def size(self) -> int:
        """The bytes of all files together."""
        return sum(entry.size for entry in self.entries if entry.kind == "file")


def order(name: str) -> list[bytes]:
    """The sort key of a name: its segments, as bytes."""
    return name.encode("utf-8", "surrogateescape").split(b"/")


def parents(name: str) -> Iterator[str]:
    """The directories that ``name`` lies in, outermost first.

    >>> list(parents("a/b/c"))
    ['a', 'a/b']
    """
    end = name.find("/")
    while end != -1:
        yield name[:end]
        end = name.find("/", end + 1)
