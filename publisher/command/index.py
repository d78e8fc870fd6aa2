"""``keystow index``: the index of an archive, made where it has none, or written for other tools."""

import os

from .claimed import given_limits, given_results, take_result
from .failures import each_of
from .members import given_source, take_asking, tell_unproven
from .output import check_file, print_json, take_output, write_file
from .streams import note

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from keystow.result import PublishedResult

USAGE = "RESULT|URL|ARCHIVE [--index FILE | --gzidx FILE]"
DESCRIPTION = (
    "Make the index of an archive that has none, as of keystow 0.1 or of another program: all of it is read, and then "
    "ls, cat, get and verify find a member by that file without the rest, or if another program packed it, without "
    "what lies behind. Or with --gzidx, write the index that an archive "
    "has in the form that rapidgzip and indexed_gzip read, so that they find a place in it without reading what lies "
    "before; no more is read than that index. Either fits the archive and each copy of it."
)
EXAMPLES = {
    "of an archive of keystow 0.1, to read members by it": "keystow index old.yaml --index old.index",
    "of an archive here that tar made, to list it": "keystow index others.tar.gz",
    "for rapidgzip and indexed_gzip, of what publish printed": "keystow index published.yaml --gzidx published.gzidx",
    "of an archive by its name": "keystow index s3://my-bucket/of-help/abc123.tar.gz --gzidx abc123.gzidx",
}
_ARCHIVE = (".tar.gz", ".tgz")
_INDEX = "write the index that is made to FILE, whole or not at all; default: beside an ARCHIVE here, ARCHIVE.index"
_GZIDX = "write it to FILE, whole or not at all"


def take_arguments(parser: "argparse.ArgumentParser") -> None:
    """Declares what the command takes."""
    take_result(parser, "RESULT|URL|ARCHIVE", "- for stdin, a URL, or an archive here, whose name ends in .tar.gz")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--index", metavar="FILE", help=_INDEX)
    form.add_argument("--gzidx", metavar="FILE", help=_GZIDX)
    take_output(parser)
    take_asking(parser)


def run(options: "argparse.Namespace") -> int:
    """Writes the file."""
    from keystow.errors import ResultError

    option, path = _file(options)
    check_file(option, path)
    results = _results(options)
    for result in results:
        _check_not_lost(option, path, result)
    if len(results) > 1:
        raise ResultError(f"{options.result!r} holds {len(results)} results, and one file is written: --select one")

    def work(result: "str | PublishedResult") -> None:
        from keystow.members import gzidx_of, index_of

        with given_source(options, result) as source:
            made = None if options.gzidx else index_of(source, given_limits(options))
            pieces: Sequence[bytes] = [gzidx_of(source)] if made is None else made.pieces
            write_file(path, pieces)
            size = sum(map(len, pieces))
            if options.output == "json":
                more = {} if made is None else {"sequential": made.is_sequential}
                print_json(file=path, bytes=size, **more)
            elif made is None:
                note(f"the index is in {path!r}")
            else:
                note(f"the index is in {path!r}, of an archive with the SHA-256 {made.checksum}")
            if made is not None and made.is_sequential:
                note("this archive inflates only from its start: what reads a member reads all that lies before it")
            tell_unproven(source)

    return each_of(results, work)


def _file(options: "argparse.Namespace") -> tuple[str, str]:
    """The option that names the file to write, and its path."""
    if options.gzidx is not None:
        return "--gzidx", options.gzidx
    if options.index is None and not _is_here(options.result):
        options.refuse("name the file to write: --index FILE, or --gzidx FILE for other tools")
    return "--index", options.index if options.index is not None else f"{options.result}.index"


def _check_not_lost(option: str, path: str, result: "str | PublishedResult") -> None:
    """Raises ``SpecError`` if the file at ``path`` is the archive, or anything else than an index, and not empty."""
    from keystow.errors import SpecError
    from keystow.reading import read_result
    from keystow.trust import is_url

    if not os.path.exists(path):
        return
    published = None if isinstance(result, str) and is_url(result) else read_result(result)
    if published is not None and published.type == "file" and _is_same(path, f"{published.bucket}/{published.key}"):
        raise SpecError(f"{option} {path!r} is the archive itself: name another file")
    if not _is_index(path):
        raise SpecError(f"{option} {path!r} is there and no index: name another file, or remove it")


def _is_same(path: str, other: str) -> bool:
    try:
        return os.path.samefile(path, other)
    except (OSError, ValueError):
        return False


def _is_index(path: str) -> bool:
    """Whether a file begins as an index beside an archive does, in one form or the other, or is empty."""
    from keystow.archive.carrier import BEGIN
    from keystow.archive.gzidx import MAGIC

    with open(path, "rb") as file:
        begin = file.read(len(BEGIN))
    return not begin or begin == BEGIN or begin.startswith(MAGIC)


def _is_here(named: str) -> bool:
    return "://" not in named and named.endswith(_ARCHIVE)


def _results(options: "argparse.Namespace") -> "list[str | PublishedResult]":
    named: str = options.result
    if not _is_here(named):
        return given_results(options)
    from keystow.result import PublishedResult

    directory, name = os.path.split(os.path.abspath(named))
    return [PublishedResult("file", directory, name)]
