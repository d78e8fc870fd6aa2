"""The options about what becomes of what is found, in the source and in the store."""

import os
import re

from . import typed

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from keystow.archive import Selection, Tree
    from keystow.manner import Manner

_IF_EXISTS = (
    "what becomes of an object that is there: replace (default), error (exit status 3), or skip, which leaves it, "
    "and is an error where it is seen to differ"
)
_SYMLINKS = "keep those that stay inside (default), follow, skip them all, or take any as an error"
_SPECIAL = "what becomes of sockets, FIFOs and devices: error (default), or skip them"
_LEVEL = "of compression, from 0 (stored) to 9 (small, and slow); default: 2"
_NO_MANIFEST = "files under a prefix get no manifest, so nothing tells when all are there (docs/publishing.md)"
_PATTERNS = (
    ("include", "PATTERN", "take in what this pattern of gitignore's matches; given first, nothing else goes along"),
    ("exclude", "PATTERN", "leave out what it matches; of all patterns the last one that matches counts"),
    ("ignore-file", "FILE", "leave out what the patterns in FILE match, such as .gitignore"),
)
_MOST_SECONDS = 1 << 63  # as many as keystow.archive restores


def take_manner(group: "argparse._ActionsContainer") -> None:
    """Declares the options that ``given_manner`` reads."""
    group.add_argument("--if-exists", choices=("replace", "error", "skip"), help=_IF_EXISTS)
    group.add_argument("--level", metavar="0-9", type=typed.level, help=_LEVEL)
    group.add_argument("--no-manifest", action="store_const", const=False, dest="manifest", help=_NO_MANIFEST)
    take_choice(group)


def take_choice(group: "argparse._ActionsContainer") -> None:
    """Declares the options that ``given_tree`` reads."""
    group.add_argument("--symlinks", choices=("inside", "follow", "skip", "error"), default="inside", help=_SYMLINKS)
    group.add_argument("--special", choices=("error", "skip"), default="error", help=_SPECIAL)
    for name, metavar, text in _PATTERNS:
        group.add_argument(
            f"--{name}", dest="patterns", metavar=metavar, action="append", type=typed.named(name), help=text
        )


def given_manner(options: "argparse.Namespace") -> "Manner":
    """What was typed, and ``SOURCE_DATE_EPOCH``. Raises ``ValueError``."""
    from keystow.manner import Manner

    chosen = _selection(options.patterns or ())
    epoch = _source_date_epoch()
    manifest = options.manifest
    return Manner(
        options.if_exists or "replace", options.symlinks, options.special, epoch, options.level, chosen, manifest
    )


def given_tree(options: "argparse.Namespace", directory: str) -> "tuple[Tree, int | None]":
    """What ``publish`` would pack, and the time of all that, if it is set. Raises ``SourceError``, ``ValueError``."""
    from keystow.archive import scan

    chosen = _selection(options.patterns or ())
    tree = scan(directory, symlinks=options.symlinks, special=options.special, selection=chosen)
    return tree, _source_date_epoch()


def _selection(patterns: "Sequence[tuple[str, str]]") -> "Selection | None":
    """What the patterns choose, in the order in which they were given."""
    if not patterns:
        return None
    from keystow.archive.selection import Selection, excluded, included

    lines: list[str] = []
    for kind, value in patterns:
        if kind == "ignore-file":
            lines += _lines(value)
        else:
            lines.append((included if kind == "include" else excluded)(value))
    return Selection(lines, only=patterns[0][0] == "include")


def _lines(path: str) -> list[str]:
    from keystow.archive import Selection
    from keystow.errors import SpecError

    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape") as file:
            lines = file.read().split("\n")
        Selection(lines)
    except OSError as error:
        raise SpecError(f"{path!r} cannot be read ({error.strerror}): name a file with patterns") from None
    except ValueError as error:
        raise SpecError(f"{path!r}: {error}") from None
    return lines


def _source_date_epoch() -> int | None:
    """https://reproducible-builds.org/specs/source-date-epoch: whole seconds since 1970."""
    text = os.environ.get("SOURCE_DATE_EPOCH")
    if text is None:
        return None
    if not re.fullmatch("[0-9]{1,19}", text) or int(text) >= _MOST_SECONDS:
        raise ValueError(f"SOURCE_DATE_EPOCH is {text!r}: set it to whole seconds since 1970, or unset it")
    return int(text)
