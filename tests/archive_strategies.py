"""Trees as dicts, tar members as bytes, and Hypothesis strategies for both."""

import gzip
import os
from collections.abc import Iterable, Iterator, Mapping

from hypothesis import settings
from hypothesis import strategies as st

OLD = 1_000_000_000
BLOCK = 512
END = bytes(2 * BLOCK)


NOBODY = 65534
"""A user who owns nothing here."""


def examples(count: int) -> settings:
    """So many examples of a law; where the profile asks for fewer than a hundred of each, as many percent of them."""
    return settings(max_examples=max(1, count * settings.default.max_examples // 100))


class Link(str):
    """A symbolic link's target."""

    __slots__ = ()


class Program(bytes):
    """The content of an executable file."""

    __slots__ = ()


Nodes = Mapping[str, bytes | Link | None]


def lay(root: os.PathLike[str] | str, nodes: Nodes, *, mtime: int = OLD) -> str:
    """Makes ``nodes`` (name → content, link, or ``None`` for a directory) below ``root``, all of one time."""
    root = os.fspath(root)
    made = {root}
    os.makedirs(root, exist_ok=True)
    for name, node in nodes.items():
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if node is None:
            os.makedirs(path, exist_ok=True)
        elif isinstance(node, Link):
            os.symlink(node, path)
        else:
            with open(path, "wb") as file:
                file.write(node)
            os.chmod(path, 0o755 if isinstance(node, Program) else 0o644)
        while path not in made:
            made.add(path)
            path = os.path.dirname(path)
    for path in made:
        os.utime(path, (mtime, mtime), follow_symlinks=False)
    return root


def seen(root: os.PathLike[str] | str, *, times: str = "file symlink directory") -> dict[str, tuple[object, ...]]:
    """What stands below ``root``: name → kind, content or target, executable, and the time of those kinds."""
    found: dict[str, tuple[object, ...]] = {}
    pending = [os.fspath(root)]
    while pending:
        for child in os.scandir(pending.pop()):
            status = child.stat(follow_symlinks=False)
            if child.is_symlink():
                kind, what = "symlink", (os.readlink(child.path),)
            elif child.is_dir():
                kind, what = "directory", ()
                pending.append(child.path)
            else:
                with open(child.path, "rb") as file:
                    kind, what = "file", (file.read(), bool(status.st_mode & 0o100))
            time = (status.st_mtime_ns // 10**9,) if kind in times else ()
            found[os.path.relpath(child.path, root)] = (kind, *what, *time)
    return found


def shape(nodes: Nodes) -> dict[str, tuple[object, ...]]:
    """What ``seen(…, times="")`` gives once ``nodes`` are laid out."""
    found: dict[str, tuple[object, ...]] = {}
    for name, node in nodes.items():
        for end in [at for at, letter in enumerate(name) if letter == "/"]:
            found[name[:end]] = ("directory",)
        if node is None:
            found[name] = ("directory",)
        elif isinstance(node, Link):
            found[name] = ("symlink", str(node))
        else:
            found[name] = ("file", bytes(node), isinstance(node, Program))
    return found


def member(
    name: bytes,
    kind: bytes = b"0",
    content: bytes = b"",
    *,
    target: bytes = b"",
    size: bytes | None = None,
    mode: bytes = b"0000644\0",
    mtime: bytes = b"00000000000\0",
    magic: bytes = b"ustar\x0000",
    prefix: bytes = b"",
) -> bytes:
    """One tar member, with whatever is written in its fields, and a right checksum."""
    fields = (name.ljust(100, b"\0"), mode, bytes(16), size or b"%011o\0" % len(content), mtime, b" " * 8, kind)
    block = b"".join((*fields, target.ljust(100, b"\0"), magic, bytes(80), prefix.ljust(155, b"\0"), bytes(12)))
    assert len(block) == BLOCK
    return block[:148] + b"%06o\0 " % sum(block) + block[156:] + content + bytes(-len(content) % BLOCK)


def record(keyword: bytes, value: bytes) -> bytes:
    rest = b" %b=%b\n" % (keyword, value)
    length = next(length for length in range(len(rest), len(rest) + 9) if length == len(b"%d" % length) + len(rest))
    return b"%d%b" % (length, rest)


def pax(kind: bytes = b"x", /, **records: bytes) -> bytes:
    return member(b"pax", kind, b"".join(record(key.encode(), value) for key, value in records.items()))


def zipped(*members: bytes, end: bytes = END) -> bytes:
    """The members as a ``.tar.gz``, made by Python."""
    return gzip.compress(b"".join(members) + end, 1, mtime=0)


def cut(data: bytes, sizes: Iterable[int]) -> Iterator[bytes]:
    """``data`` in chunks of ``sizes``, and then the rest."""
    at = 0
    for size in sizes:
        yield data[at : at + size]
        at += size
    yield data[at:]


segments = st.one_of(
    st.sampled_from(["a", "b", "c", "a b", "-x", "...", ".hidden", "ä", "文件", "\udcff", "a\n", "\\", "*", "e" * 120]),
    st.binary(min_size=1, max_size=12)
    .map(lambda raw: os.fsdecode(raw.replace(b"/", b"_").replace(b"\0", b"_")))
    .filter(lambda name: name not in {".", ".."}),
)
names = st.lists(segments, min_size=1, max_size=4).map("/".join)
contents = st.one_of(st.binary(max_size=40), st.sampled_from([bytes(511), b"x" * 512, b"y" * 1025, bytes(40_000)]))
chunkings = st.lists(st.integers(0, 700), max_size=30)


@st.composite
def trees(draw: st.DrawFn) -> dict[str, bytes | Link | None]:
    """Directories of files and of links that stay inside, none of which stands in another's way."""
    nodes: dict[str, bytes | Link | None] = {}
    for name in draw(st.lists(names, max_size=12, unique=True)):
        above = [name[:end] for end, letter in enumerate(name) if letter == "/"]
        if name in shape(nodes) or any(nodes.get(parent) is not None for parent in above):
            continue
        inside = st.one_of(names, st.just("."), names.map(lambda target, name=name: "../" * name.count("/") + target))
        nodes[name] = draw(
            st.one_of(contents, contents.map(Program), st.none(), inside.map(lambda target: Link(f"./{target}")))
        )
    return nodes


hostile_segments = st.sampled_from(["..", ".", "", "a", "b", "l", "m", "outside", "secret", "e" * 300])
hostile_paths = st.builds(
    lambda start, parts: start + "/".join(parts),
    st.sampled_from(["", "", "", "/", "./"]),
    st.lists(hostile_segments, min_size=1, max_size=4),
)


@st.composite
def hostile_members(draw: st.DrawFn) -> bytes:
    """A member that stands, or leads, anywhere; its name in the header, or in a pax or GNU record before it."""
    name, target = (draw(hostile_paths).encode() for _ in range(2))
    kind = draw(st.sampled_from([b"0", b"0", b"5", b"2", b"2", b"1", b"7", b"\0"]))
    content = draw(st.sampled_from([b"", b"overwritten"])) if kind == b"0" else b""
    form = draw(st.sampled_from(["pax", "gnu", "ustar"]))
    if form == "pax":
        return pax(path=name, linkpath=target) + member(b"n", kind, content, target=b"t")
    if form == "gnu":
        long = member(b"L", b"L", name + b"\0") + member(b"K", b"K", target + b"\0")
        return long + member(b"n", kind, content, magic=b"ustar  \0")
    return member(name[:100], kind, content, target=target[:100], prefix=draw(st.sampled_from([b"", b"..", b"/a"])))
