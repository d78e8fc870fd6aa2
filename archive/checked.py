"""The members of an archive seen so far, and the refusal of one that contradicts them.

Strategy: names are checked before anything is made of them: relative, no ``..``, no two members of one name, none below
a file or a link. They are kept as a tree of segments, so that memory is linear in what the archive holds. What links
lead to is checked once all are known.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .errors import UnsafeArchiveError, shown
from .links import Links
from .tree import Entry, Kind

_NO_SEGMENTS = {"", ".", ".."}


class Directory:
    """A directory of the archive: what lies in it, by segment.

    ``mtime`` is ``None`` for one that names imply, until a member says it. ``inode`` is for whoever makes it.
    """

    __slots__ = ("children", "inode", "mtime", "name", "parent")

    def __init__(self, name: bytes = b"", parent: "Directory | None" = None) -> None:
        self.name = name
        self.parent = parent
        self.children: dict[bytes, Directory | Kind] = {}
        self.mtime: int | None = None
        self.inode = 0


class Link(NamedTuple):
    """A symbolic link of the archive, and the directory it lies in."""

    directory: Directory
    name: bytes
    target: str
    mtime: int


class Placed(NamedTuple):
    """Where a member belongs.

    ``missing`` are the directories that have to be made for it, outermost first: those that it implies, and itself if
    it is one. ``size`` is in bytes of names that were not there before. ``source`` is the file that a hard link names.
    """

    directory: Directory
    name: bytes
    missing: Sequence[Directory]
    size: int
    source: tuple[Directory, bytes] | None = None


class Checked:
    """The members seen so far; ``directories`` are those that were members themselves."""

    def __init__(self) -> None:
        self.root = Directory()
        self.links: list[Link] = []
        self.directories: list[Directory] = []
        self._last = "", self.root

    def admit(self, entry: Entry) -> Placed:
        """Where ``entry`` belongs; raises ``UnsafeArchiveError`` if it contradicts the members before it."""
        above, _, last = entry.name.rpartition("/")
        known, directory = self._last
        missing: Sequence[Directory] = ()
        size = 0
        if above != known:
            directory, missing, size = self._reach(entry.name, above)
        name = _segment(last, entry.name)
        there = directory.children.get(name)
        if there is not None:
            _check_implied(entry, there)
        if entry.kind == "directory":
            if not isinstance(there, Directory):
                there = directory.children[name] = Directory(name, directory)
                missing = (*missing, there)
                size += len(name)
            there.mtime = entry.mtime
            self.directories.append(there)
            return Placed(directory, name, missing, size)
        source = self._source(entry) if entry.kind == "hardlink" else None
        if entry.kind == "symlink":
            self.links.append(Link(directory, name, entry.target, entry.mtime))
            size += len(_encoded(entry.target, entry.name))
        directory.children[name] = entry.kind
        return Placed(directory, name, missing, size + len(name), source)

    def _reach(self, name: str, above: str) -> tuple[Directory, Sequence[Directory], int]:
        """The directory ``above``, those of it and its parents that are new, and the bytes of their names."""
        directory = self.root
        missing = []
        size = 0
        for text in above.split("/") if above else ():
            segment = _segment(text, name)
            found = directory.children.get(segment)
            if found is None:
                found = directory.children[segment] = Directory(segment, directory)
                missing.append(found)
                size += len(segment)
            elif not isinstance(found, Directory):
                parent = path(directory, segment)
                raise UnsafeArchiveError(f"the member {shown(name)} lies below {shown(parent)}, which is a {found}")
            directory = found
        self._last = above, directory
        return directory, missing, size

    def _source(self, entry: Entry) -> tuple[Directory, bytes]:
        """The earlier file that a hard link names, whose segments are those of members and of nothing else."""
        *above, name = _encoded(entry.target, entry.name).split(b"/")
        directory: Directory | Kind | None = self.root
        for segment in above:
            directory = directory.children.get(segment) if isinstance(directory, Directory) else None
        if not isinstance(directory, Directory) or directory.children.get(name) != "file":
            raise UnsafeArchiveError(
                f"the hard link {shown(entry.name)} -> {shown(entry.target)} leads to no earlier file of the archive"
            )
        return directory, name

    def check_links(self) -> None:
        """Raises ``UnsafeArchiveError`` for a symbolic link that leads out of the archive."""
        links = Links(self._pairs())
        for name, target in self._pairs():
            if links.leads_out(name, target):
                raise UnsafeArchiveError(
                    f"the link {shown(name)} -> {shown(target)} leads out of the archive, or winds too long to tell"
                )

    def _pairs(self) -> Iterator[tuple[str, str]]:
        return ((path(link.directory, link.name), link.target) for link in self.links)


def _check_implied(entry: Entry, there: Directory | Kind) -> None:
    if not isinstance(there, Directory) or there.mtime is not None:
        raise UnsafeArchiveError(f"there are two members {shown(entry.name)}")
    if entry.kind != "directory":
        raise UnsafeArchiveError(f"the member {shown(entry.name)} is a {entry.kind}, and others lie below it")


def _segment(text: str, name: str) -> bytes:
    if text in _NO_SEGMENTS or "\0" in text:
        raise UnsafeArchiveError(f"the member {shown(name)} would leave the directory")
    return text.encode() if text.isascii() else _encoded(text, name)


def _encoded(text: str, name: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise UnsafeArchiveError(f"the member {shown(name)} holds a name that no disk can hold") from None


def path(directory: Directory, name: bytes) -> str:
    """The name of what lies in ``directory`` as ``name``, from the root of the archive."""
    segments = [name]
    while directory.parent is not None:
        segments.append(directory.name)
        directory = directory.parent
    return b"/".join(reversed(segments)).decode("utf-8", "surrogateescape")
