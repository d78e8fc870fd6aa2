"""Every class of hostile archive that made news from 2007 to 2026, and is not refused by name elsewhere.

``test_unpack_refuses`` has those of names, links, kinds and numbers. Here are those that work by order, by layers, by
what other programs leave out, or by what is restored: each is refused, or does no harm.
"""

import gzip
import os
import stat

import pytest
from archive_strategies import END, Link, lay, member, pax, seen, zipped

from keystow.archive import (
    ArchiveError,
    CorruptArchiveError,
    LimitExceededError,
    UnsafeArchiveError,
    unpack,
)

A = member(b"a", content=b"x")
GNU = b"ustar  \0"


def link(name, target):
    return member(name, b"2", target=target)


def hard(name, target, **options):
    return member(name, b"1", target=target, **options)


REFUSED = {
    # A link first, and then what is written through it (CVE-2018-12015, CVE-2020-27814, CVE-2021-32803).
    "file through a link to itself": ([link(b"x", b"."), member(b"x/a")], UnsafeArchiveError),
    "file through two links": ([link(b"x", b"y"), link(b"y", b".."), member(b"x/y/a")], UnsafeArchiveError),
    "directory, removed by a link, and a file in it": (
        [member(b"d/", b"5"), link(b"d", b"../outside"), member(b"d/a")],
        UnsafeArchiveError,
    ),
    "link, replaced by a directory, and a file in it": (
        [link(b"d", b"../outside"), member(b"d/", b"5"), member(b"d/a")],
        UnsafeArchiveError,
    ),
    "directory cached under another spelling": (
        [member(b"d/", b"5"), link(b"./d", b"../outside"), member(b"d/a")],
        UnsafeArchiveError,
    ),
    "link swapped by a later member": ([link(b"l", b"a"), A, link(b"l", b"../outside/secret")], UnsafeArchiveError),
    "link with a slash at its end": ([link(b"l/", b".."), member(b"l/a")], UnsafeArchiveError),
    "file that a link replaces": ([A, link(b"a", b"../outside/secret"), A], UnsafeArchiveError),
    # Hard links as zip-slip (CVE-2016-6321, CVE-2025-4517, CVE-2026-23745).
    "hard link to a link that leads out": ([link(b"l", b"../outside/secret"), hard(b"h", b"l")], UnsafeArchiveError),
    "hard link to a link, then a file over it": (
        [link(b"l", b"a"), hard(b"h", b"l"), member(b"h")],
        UnsafeArchiveError,
    ),
    "hard link with dots within": ([member(b"d/a"), hard(b"h", b"d/../../outside/secret")], UnsafeArchiveError),
    "hard link with a null": ([A, pax(linkpath=b"a\0/../x") + hard(b"h", b"a")], UnsafeArchiveError),
    "hard link in a pax header": ([A, pax(linkpath=b"../outside/secret") + hard(b"h", b"a")], UnsafeArchiveError),
    "hard link below a file": ([A, hard(b"a/h", b"a")], UnsafeArchiveError),
    "hard link to a hard link": ([A, hard(b"h", b"a"), hard(b"i", b"h")], UnsafeArchiveError),
    # Links that are longer than a path (CVE-2025-4517, CVE-2025-4330: what cannot be resolved was taken for harmless).
    "link out beyond the longest path": (
        [
            pax(path=b"d/" * 16 + b"s") + link(b"-", b"../" * 17 + b"outside"),
            *(link(b"%d" % i, b"d/" * 16 + b"%d" % (i + 1)) for i in range(16)),
        ],
        UnsafeArchiveError,
    ),
    "link into a link with dots behind it": ([link(b"d/l", b"."), link(b"m", b"d/l/../../x")], UnsafeArchiveError),
    # What two readers read differently (CVE-2019-18276's kin, CVE-2021-37712, CVE-2025-62518).
    "a pax path after a harmless name": ([pax(path=b"../outside/secret") + A], UnsafeArchiveError),
    "a pax path that is given twice": ([pax(path=b"b") + pax(path=b"../b") + A], UnsafeArchiveError),
    "a global header that renames every member": ([pax(b"g", path=b"same"), A, member(b"b")], UnsafeArchiveError),
    "a global header that links every member": (
        [pax(b"g", linkpath=b"../outside/secret"), A, hard(b"h", b"a")],
        UnsafeArchiveError,
    ),
    "a GNU name with a null": ([member(b"L", b"L", b"../a\0b\0"), A], UnsafeArchiveError),
    "a GNU link with a null": ([member(b"K", b"K", b"../..\0b\0"), link(b"l", b"a")], UnsafeArchiveError),
    "a GNU name that is empty": ([member(b"L", b"L", b"\0"), A], UnsafeArchiveError),
    "a GNU name over a pax path": ([pax(path=b"b") + member(b"L", b"L", b"../b\0") + A], UnsafeArchiveError),
    "a prefix that leads up": ([member(b"a", prefix=b"d/../..")], UnsafeArchiveError),
    "a hard link that has content": ([A, hard(b"h", b"a", size=b"00000001000\0", content=b"y" * 512)], ArchiveError),
    "a second archive behind the first": ([A, END, member(b"../b")], UnsafeArchiveError),
    "a base-256 size beyond 64 bits": ([member(b"a", size=b"\x80" + b"\xff" * 11)], ArchiveError),
    "a sum that is signed": ([A[:148] + b"-00001\0 " + A[156:]], CorruptArchiveError),
    "a sum of nothing": ([A[:148] + bytes(8) + A[156:]], CorruptArchiveError),
    # Kinds (CVE-2007-4829 and on): devices, and sparse files by each of their three forms.
    "a sparse file of pax 0.1": ([pax(**{"GNU.sparse.map": b"0,1", "GNU.sparse.size": b"1"}) + A], UnsafeArchiveError),
    "a sparse file by its real name": ([pax(**{"GNU.sparse.name": b"../a"}) + A], UnsafeArchiveError),
    "a device with a long name": ([member(b"L", b"L", b"n" * 300 + b"\0"), member(b"n", b"3")], UnsafeArchiveError),
    "a contiguous file that leads up": ([member(b"../a", b"7")], UnsafeArchiveError),
    "a name of 4,096 bytes": ([pax(path=b"/".join([b"n" * 100] * 41)) + A], UnsafeArchiveError),
    "a name of many levels": ([pax(path=b"d/" * 300 + b"a") + A], LimitExceededError),
}


@pytest.mark.parametrize("attack", REFUSED)
@pytest.mark.parametrize("exists", [False, True])
def test_it_is_refused_and_no_canary_is_touched(tmp_path, attack, exists):
    members, error = REFUSED[attack]
    place = lay(tmp_path / "place", {"outside/secret": b"alive", "a": b"alive"} | ({"target": None} if exists else {}))
    before = seen(place, times="file")
    with pytest.raises(error) as refused:
        unpack([zipped(*members)], f"{place}/target")
    assert str(refused.value).isprintable()
    assert seen(place, times="file") == before


HARMLESS = {
    "setuid, setgid and sticky": ([member(b"a", mode=b"0007777\0"), member(b"d/", b"5", mode=b"0007777\0")], "a d"),
    "no rights at all": (
        [member(b"a", mode=b"0000000\0"), member(b"d/", b"5", mode=b"0000000\0"), member(b"d/b")],
        "a d d/b",
    ),
    "somebody else's": ([pax(uid=b"0", gid=b"0", uname=b"root") + member(b"a")], "a"),
    "capabilities and access lists": (
        [pax(**{"SCHILY.xattr.security.capability": b"\1", "SCHILY.acl.access": b"user::rwx"}) + member(b"a")],
        "a",
    ),
    "our own hidden names": (
        [member(b".target.keystow-0123456789abcdef.partial/", b"5"), member(b".keystow-x/a"), member(b"new")],
        ".keystow-x .keystow-x/a .target.keystow-0123456789abcdef.partial new",
    ),
    "names of what a shell or a program would take": (
        [member(b"-rf"), member(b"~"), member(b"$(id)"), member(b"C:\\x"), member(b"\\\\h\\s"), member(b"a;b")],
        "$(id) -rf C:\\x \\\\h\\s a;b ~",
    ),
    "twins by case": ([member(b"a/x"), member(b"A/x")], "A A/x a a/x"),
    "a link and a directory, twins by case": ([link(b"D", b"e"), member(b"d/", b"5"), member(b"d/a")], "D d d/a"),
    "twins by form of Unicode": ([member("é".encode()), member("e\u0301".encode())], "e\u0301 é"),
    "a directory that is a member twice over by dots": ([member(b"./d/./", b"5"), member(b"d//a")], "d d/a"),
    "content that looks like a header": ([member(b"a", content=member(b"../b", b"2", target=b"/etc"))], "a"),
    "a size in a pax header that takes a member for content": ([pax(size=b"1024") + member(b"a"), A], "a"),
    "gzip members that cut headers": (None, "a b"),
}


@pytest.mark.parametrize("attack", HARMLESS)
def test_it_does_no_harm(tmp_path, attack):
    members, names = HARMLESS[attack]
    place = lay(tmp_path / "place", {"outside/secret": b"alive", "to-target": Link("target")})
    before = seen(place, times="file")
    tar = A + member(b"b") + END
    archive = (
        zipped(*members) if members else b"".join(gzip.compress(tar[at : at + 100]) for at in range(0, len(tar), 100))
    )
    unpack([archive], f"{place}/target")
    found = seen(place, times="file")
    assert {name: what for name, what in found.items() if not f"{name}/".startswith("target/")} == before
    assert sorted(seen(f"{place}/target")) == sorted(names.split())
    for name in seen(f"{place}/target"):
        status = os.lstat(f"{place}/target/{name}")
        assert not status.st_mode & (stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX)
        assert (status.st_uid, status.st_gid) == (os.geteuid(), os.getegid())
        assert stat.S_ISLNK(status.st_mode) or status.st_mode & 0o600 == 0o600


@pytest.mark.parametrize("mtime", [-(1 << 62), -(1 << 40), 1 << 40, (1 << 63) - 1])
def test_times_that_no_disk_can_hold(tmp_path, mtime):
    """They are cut by the disk, as any program's are."""
    unpack([zipped(pax(mtime=b"%d" % mtime) + A)], tmp_path / "target")
    assert (tmp_path / "target" / "a").read_bytes() == b"x"
