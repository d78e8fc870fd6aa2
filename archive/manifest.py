"""The manifest of a prefix: which files were published under it, and the SHA-256 of each (docs/format.md, 10).

Strategy: it is text, a line for each file, so that whoever has ``zcat`` can read it. It is written last, so it is what
makes files published; and it is read as if a stranger had written it, line by line, each checked before it is given.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from .columns import MOST, once
from .errors import CorruptArchiveError, UnsafeArchiveError, shown
from .gzip import LEVEL, gunzip, gzip
from .tree import Entry
from .untar import name_of

NAME = ".keystow.manifest.jsonl.gz"
"""Behind the prefix, its key. Hive, Spark and shells pass over what begins with a dot."""
MAGIC = b"\x1f\x8b"
"""So it begins, as all that is gzip."""
MOST_BYTES = 1 << 28
"""So long it may be."""
_FORMAT = 1
_LONGEST_LINE = 1 << 16
_SAID = re.compile("[ -~]{1,1024}")
_SHA256 = re.compile("[0-9a-f]{64}")
_PIECE = 1 << 16
_MOST_HELD = 1 << 24  # bytes of lines
_DECODER = json.JSONDecoder(object_pairs_hook=once)


class Item(NamedTuple):
    """A file: its name behind the prefix, its bytes, their SHA-256 in hex, and the version that was written, if any.

    ``mtime`` is in whole seconds since 1970. ``etag`` is the object's; whoever reads a large one is faster by it.
    """

    name: str
    size: int
    sha256: str
    mtime: int = 0
    executable: bool = False
    version_id: str | None = None
    etag: str | None = None

    @property
    def entry(self) -> Entry:
        """The file as a member of a tree."""
        return Entry(self.name, "file", self.size, self.mtime, self.executable)

    @property
    def fields(self) -> dict[str, str | int]:
        """What a line of the manifest says of it."""
        mode = 0o755 if self.executable else 0o644
        fields: dict[str, str | int] = {"name": self.name, "size": self.size, "time": self.mtime, "mode": mode}
        fields["sha256"] = self.sha256
        if self.version_id is not None:
            fields["version"] = self.version_id
        if self.etag is not None:
            fields["etag"] = self.etag
        return fields

    @property
    def order(self) -> bytes:
        """By which items stand in a manifest: the bytes of the name."""
        return self.name.encode("utf-8", "surrogateescape")


def written_manifest(items: Iterable[Item]) -> bytes:
    """The manifest of ``items``, the same for the same ones in whatever order.

    >>> [item.name for item in Manifest(written_manifest([Item("b", 0, "0" * 64), Item("a", 0, "0" * 64)]))]
    ['a', 'b']
    """
    ordered = sorted(items, key=lambda item: item.order)
    size = sum(item.size for item in ordered)
    head = {"format": _FORMAT, "files": len(ordered), "size": size}
    return b"".join(gzip(_pieces(_lines(head, ordered)), level=LEVEL, threads=1))


def _lines(head: Mapping[str, object], items: Iterable[Item]) -> Iterator[str]:
    yield json.dumps(head, separators=(",", ":"))
    for item in items:
        yield json.dumps(item.fields, separators=(",", ":"))


def _pieces(lines: Iterable[str]) -> Iterator[bytes]:
    held = bytearray()
    for line in lines:
        held += line.encode("ascii") + b"\n"
        if len(held) >= _PIECE:
            yield bytes(held)
            held.clear()
    yield bytes(held)


class Manifest:
    """What ``written_manifest`` gives, to be read: ``files`` and ``size``, in bytes, and each ``Item`` in order.

    Raises ``CorruptArchiveError`` for what is none, or does not agree with itself, and ``UnsafeArchiveError`` for a
    name that would leave the prefix; a reader sees that when it gets there.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        head = _fields(next(self._lines(), b""))
        form = head.get("format")
        if type(form) is not int or form < 1:
            raise CorruptArchiveError("the manifest does not begin as a manifest does")
        if form != _FORMAT:
            raise CorruptArchiveError(f"the manifest has the format {form}: use a later version of keystow")
        self.files, self.size = _number(head, "files"), _number(head, "size")
        self._held: list[Item] | None = None
        """All of them, once they were read, if they are not too many."""

    def __iter__(self) -> Iterator[Item]:
        return self._read() if self._held is None else iter(self._held)

    def _read(self) -> Iterator[Item]:
        held: list[Item] = []
        lines = self._lines()
        next(lines)
        files = size = length = 0
        last = None
        for line in lines:
            item = _item(line)
            order = item.order
            if last is not None and last >= order:
                raise CorruptArchiveError(f"the manifest is not sorted, or has {shown(item.name)} twice")
            last = order
            files, size = files + 1, size + item.size
            if files > self.files or size > self.size:
                break
            length += len(line)
            if length <= _MOST_HELD:
                held.append(item)
            else:
                held.clear()
            yield item
        if (files, size) != (self.files, self.size):
            raise CorruptArchiveError("the manifest does not list the files that it announces")
        if length <= _MOST_HELD:
            self._held = held

    def _lines(self) -> Iterator[bytes]:
        left = b""
        for chunk in gunzip([self._data]):
            *lines, left = (left + chunk).split(b"\n")
            yield from lines
            if len(left) > _LONGEST_LINE:
                raise CorruptArchiveError("a line of the manifest is too long")
        if left:
            raise CorruptArchiveError("the manifest is cut short")


def _fields(line: bytes) -> Mapping[str, object]:
    if len(line) > _LONGEST_LINE:
        raise CorruptArchiveError("a line of the manifest is too long")
    try:
        found = _DECODER.decode(line.decode("ascii"))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise CorruptArchiveError("a line of the manifest is no object of JSON")
    return found


def _item(line: bytes) -> Item:
    fields = _fields(line)
    name, sha256 = fields.get("name"), fields.get("sha256")
    if not isinstance(name, str) or not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        raise CorruptArchiveError("a line of the manifest names no file with its SHA-256")
    if not _is_name(name):
        raise UnsafeArchiveError(f"the manifest holds the name {shown(name)}, and no file is named so")
    mtime, mode = _number(fields, "time", least=-MOST - 1), _number(fields, "mode", most=0o7777)
    return Item(
        name,
        _number(fields, "size"),
        sha256,
        mtime,
        bool(mode & 0o100),
        _said(fields, "version"),
        _said(fields, "etag"),
    )


def _said(fields: Mapping[str, object], key: str) -> str | None:
    text = fields.get(key)
    if text is None or (isinstance(text, str) and _SAID.fullmatch(text)):
        return text
    raise CorruptArchiveError(f"{key!r} in the manifest is what no store gives")


def _is_name(name: str) -> bool:
    try:
        return name_of(name.encode("utf-8", "surrogateescape")) == name != NAME
    except UnicodeEncodeError:
        return False


def _number(fields: Mapping[str, object], key: str, *, least: int = 0, most: int = MOST) -> int:
    number = fields.get(key)
    if type(number) is not int or not least <= number <= most:
        raise CorruptArchiveError(f"{key!r} in the manifest is not what it can be")
    return number
