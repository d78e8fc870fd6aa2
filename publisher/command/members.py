"""What commands share that read members of what was published: who is asked for them, and what is said of them."""

from . import typed
from .claimed import given_limits, given_trust, take_checksum, take_limits, take_trust
from .streams import note
from .written import given_access, take_access

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from contextlib import AbstractContextManager
    from typing import Any

    from keystow.archive import Entry
    from keystow.files import Files
    from keystow.indexed import Source
    from keystow.result import PublishedResult

_MEMBER = "only the members that this pattern matches, as --include does (keystow help patterns); again for more"
LIMITS = ("members", "bytes", "ratio")
"""What bounds an archive of which nothing is made."""
_STRICT = "of a prefix: fail if there are objects that were not published, and name them"
_NO_MANIFEST = "take all that lies under a prefix, whatever its manifest lists"
_INDEX = "the index of an archive without its own, which keystow index made; it is your word, as RESULT is"
_UNPROVEN = (
    "not verified: a URL, or a result with neither IndexSHA256 nor ChecksumSHA256, holds nothing to compare with"
)


def take_member(parser: "argparse._ActionsContainer") -> None:
    """Declares ``--member``."""
    parser.add_argument("--member", metavar="GLOB", action="append", help=_MEMBER)


def take_no_manifest(parser: "argparse._ActionsContainer") -> None:
    """Declares ``--no-manifest``, for who reads."""
    parser.add_argument("--no-manifest", action="store_const", const=False, dest="manifest", help=_NO_MANIFEST)


def take_strict(parser: "argparse._ActionsContainer") -> None:
    """Declares ``--strict``."""
    parser.add_argument("--strict", action="store_true", help=_STRICT)


def take_index(parser: "argparse._ActionsContainer") -> None:
    """Declares ``--index``."""
    parser.add_argument("--index", metavar="FILE", help=_INDEX)


def take_asking(parser: "argparse.ArgumentParser") -> None:
    """Declares what ``given_source`` and ``given_limits`` read."""
    trusted = parser.add_argument_group("what a result of others may be")
    take_checksum(trusted)
    take_trust(trusted)
    take_limits(trusted, *LIMITS)
    asking = parser.add_argument_group("who asks, for how long, and how much at once")
    typed.take_timeout(asking)
    typed.take_budget(asking)
    take_access(asking)


def given_source(
    options: "argparse.Namespace", result: "str | PublishedResult", index: str | None = None
) -> "AbstractContextManager[Source]":
    """The archive, opened by whom the options name, with the index in that file."""
    from keystow.indexed import source_of

    return source_of(result, index=index, **_given(options))


def given_members(
    options: "argparse.Namespace", result: "str | PublishedResult"
) -> "AbstractContextManager[Files | Source]":
    """An archive, with the index that ``--index`` names, or the files of a prefix."""
    from keystow.errors import ResultError
    from keystow.reading import is_prefix

    if not is_prefix(result):
        return given_source(options, result, options.index)
    if options.index is not None:
        raise ResultError("index= is of an archive, and this is a prefix: leave it out")
    return given_files(options, result)


def given_files(options: "argparse.Namespace", result: "str | PublishedResult") -> "AbstractContextManager[Files]":
    """The files of a prefix with a manifest, opened likewise."""
    from keystow.files import files_of

    return files_of(result, limits=given_limits(options), **_given(options))


def _given(options: "argparse.Namespace") -> "dict[str, Any]":
    names = ("sha256", "timeout", "concurrency", "memory")
    return {name: getattr(options, name, None) for name in names} | given_trust(options) | given_access(options)


def tell_unproven(source: "Files | Source") -> None:
    """Notes that nothing proves what was read, if that is so."""
    if not source.proven:
        note(_UNPROVEN)


def as_row(entry: "Entry", *, is_long: bool) -> str:
    """A member as ``ls`` has it: its name, and before that what it is; a name is escaped for a terminal alone."""
    import sys

    from keystow.backends.texts import escaped

    shown = escaped if sys.stdout.isatty() else str
    if not is_long:
        return shown(entry.name)
    import stat

    target = {"symlink": f" -> {shown(entry.target)}", "hardlink": f" link to {shown(entry.target)}"}
    kind = {"directory": stat.S_IFDIR, "symlink": stat.S_IFLNK}.get(entry.kind, stat.S_IFREG)
    is_open = entry.executable or entry.kind == "directory"
    mode = stat.filemode(kind | (0o777 if entry.kind == "symlink" else 0o755 if is_open else 0o644))
    return f"{mode} {entry.size:>12} {_written(entry.mtime)} {shown(entry.name)}{target.get(entry.kind, '')}"


def _written(seconds: int) -> str:
    """The time in ISO 8601 and UTC; seconds where that has no words for it."""
    from datetime import UTC, datetime

    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (OverflowError, ValueError, OSError):
        return f"{seconds:>20}"
