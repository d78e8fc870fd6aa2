"""What an archive may cost, counted before the disk pays for it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from .checked import Placed
from .errors import CorruptArchiveError, LimitExceededError, shown
from .tree import Entry

_FREE_COST = 100_000_000  # bytes of disk, whatever the size of the archive
_IMPLIED = 4096
_DIRECTORY = 2048
_OTHER = 256


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that an archive may hold or cost; ``None`` leaves it to the disk, whose free space is always a limit.

    Attributes:
        members: Files, directories and links, with the directories that names imply.
        bytes: Content of all files together.
        ratio: Bytes of disk for each byte of the compressed archive, once it costs more than 100 MB. A directory that
            only names imply costs 4096 bytes, as it takes two in an archive; another one 2048, as a regular tree is
            packed well; any other member 256 and its content. ``extract`` has to be told what was read of the archive.
        depth: Segments of a name.
        names: Bytes of all segments of names, each directory's once, and of the targets of links: they are what takes
            memory. The default keeps that below 300 MB.
    """

    members: int | None = 1_000_000
    bytes: int | None = None
    ratio: int | None = 100
    depth: int | None = 256
    names: int | None = 64_000_000


class Room(NamedTuple):
    """What the disk has room for: ``bytes``, ``members`` if it counts them, and ``path``, the bytes of a name."""

    bytes: int
    members: int | None
    path: int


class _Cost:
    """What an archive costs in bytes of disk, or would, beside what was read of it: ``compressed`` gives that."""

    def __init__(self, limits: Limits, compressed: Callable[[], int] | None) -> None:
        self.members = 0
        self.bytes = 0
        self._cost = 0
        self._limits = limits
        self._compressed = compressed
        self._most_cost = math.inf if limits.ratio is None or compressed is None else _FREE_COST

    def spend(self, cost: int) -> None:
        """Refuses what would cost more bytes of disk than so small an archive may."""
        self._cost += cost
        if self._cost > self._most_cost:
            self._read_on()

    def _read_on(self) -> None:
        """Allows for what was read since; raises ``LimitExceededError`` if that is not enough."""
        ratio = self._limits.ratio or 0
        read = self._compressed() if self._compressed else 0
        self._most_cost = max(_FREE_COST, ratio * read)
        if self._cost > self._most_cost:
            raise LimitExceededError(
                f"the archive takes more than {ratio} bytes of disk for each of the {read} that were read of it: "
                "raise Limits(ratio=…) if you trust who made it",
                "ratio",
            )


class Passing(_Cost):
    """Counts members that are read and need not be made, and refuses what is too much."""

    def take(self, entry: Entry) -> None:
        """Refuses a member with which there are too many, or that holds too much; its content is to be spent."""
        self.members += 1
        self.bytes += entry.size
        if self.members > _least(self._limits.members):
            raise _more_than("members", "members", self._limits.members, None)
        if self.bytes > _least(self._limits.bytes):
            raise _more_than("bytes", "bytes", self._limits.bytes, None)
        self.spend(_OTHER + len(entry.name) + len(entry.target))


class Budget(_Cost):
    """Counts what an archive costs, and refuses what is too much before it is made.

    ``compressed`` gives the bytes that were read of the archive so far, if anybody knows.
    """

    def __init__(self, limits: Limits, room: Room, compressed: Callable[[], int] | None = None) -> None:
        super().__init__(limits, compressed)
        self._names = 0
        self._room = room
        # A name that is no longer is neither too deep (a level takes two characters) nor too long (one, four bytes).
        self._surely_good = _least(2 * limits.depth if limits.depth is not None else None, room.path // 4)
        self._most_members = _least(limits.members, room.members)
        self._most_bytes = _least(limits.bytes, room.bytes)
        self._most_names = _least(limits.names)

    def check_name(self, name: str) -> None:
        """Refuses a name that is too deep, or too long to be reached by its path."""
        if len(name) <= self._surely_good:
            return
        deepest = self._limits.depth
        if deepest is not None and name.count("/") >= deepest:
            raise LimitExceededError(
                f"the member {shown(name)} lies {name.count('/') + 1} levels deep, and {deepest} are allowed: "
                "raise Limits(depth=…)",
                "depth",
            )
        if len(name.encode("utf-8", "surrogatepass")) > self._room.path:
            raise LimitExceededError(
                f"the disk cannot hold the member {shown(name)}: its path would be longer than a path can be"
            )

    def take(self, entry: Entry, placed: Placed) -> None:
        """Refuses a member with which there are too many, or that holds too much."""
        if entry.size < 0:
            raise CorruptArchiveError(f"the member {shown(entry.name)} announces {entry.size} bytes")
        is_directory = entry.kind == "directory"
        made = len(placed.missing)
        self.members += made if is_directory else made + 1
        self.bytes += entry.size
        self._names += placed.size
        if self.members > self._most_members:
            raise _more_than("members", "members", self._limits.members, self._room.members)
        if self.bytes > self._most_bytes:
            raise _more_than("bytes", "bytes", self._limits.bytes, self._room.bytes)
        if self._names > self._most_names:
            raise _more_than("names", "bytes of names", self._limits.names, None)
        # One that was implied before, and counted as such, costs less now that it is a member.
        self.spend((made - 1) * _IMPLIED + _DIRECTORY if is_directory else made * _IMPLIED + _OTHER)


def _least(*limits: int | None) -> float:
    return min((limit for limit in limits if limit is not None), default=math.inf)


def _more_than(field: str, what: str, limit: int | None, free: int | None) -> LimitExceededError:
    if limit is not None and (free is None or limit <= free):
        return LimitExceededError(f"the archive holds more than {limit} {what}: raise Limits({field}=…)", field)
    return LimitExceededError(f"the archive holds more than the {free} {what} that the disk has room for")
