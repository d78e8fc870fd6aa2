"""``keystow manifest``: the files of a published prefix, as its manifest has them."""

from .claimed import given_results, take_result
from .failures import each_of
from .members import as_row, given_files, take_asking, tell_unproven

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from keystow.archive.manifest import Item
    from keystow.files import Files
    from keystow.result import PublishedResult

USAGE = "RESULT"
DESCRIPTION = (
    "Print the files of a published prefix, each with its SHA-256. The manifest alone is read, and nothing is printed "
    "of one that is not what the result says."
)
EXAMPLES = {
    "what was published as files under a prefix": "keystow manifest files.yaml",
    "whether a directory holds these files, by sha256sum": (
        "cd results && keystow manifest ../files.yaml --output sha256sum | sha256sum --check"
    ),
}
_OUTPUT = "a table (default), a line of JSON for each file (docs/members.md), or what sha256sum -c takes"
_ESCAPED = str.maketrans({"\\": r"\\", "\n": r"\n", "\r": r"\r"})


def take_arguments(parser: "argparse.ArgumentParser") -> None:
    """Declares what the command takes."""
    take_result(parser)
    parser.add_argument("--output", choices=("table", "json", "sha256sum"), default="table", help=_OUTPUT)
    take_asking(parser)
    parser.set_defaults(prints=True)


def run(options: "argparse.Namespace") -> int:
    """Prints a line for each file."""
    line = {"table": _as_row, "json": _as_json, "sha256sum": _as_sum}[options.output]

    def work(result: "str | PublishedResult") -> None:
        with given_files(options, result) as files:
            for item in files.items():
                print(line(files, item))
            tell_unproven(files)

    return each_of(given_results(options), work)


def _as_row(_: "Files", item: "Item") -> str:
    return f"{item.sha256} {as_row(item.entry, is_long=True)}"


def _as_json(files: "Files", item: "Item") -> str:
    import json

    return json.dumps(item.fields | {"version": item.version_id, "etag": item.etag, "url": f"{files.url}{item.name}"})


def _as_sum(_: "Files", item: "Item") -> str:
    """As GNU's sha256sum prints it, which marks a line in whose name characters are escaped; ``-`` is its stdin."""
    name = "./-" if item.name == "-" else item.name
    escaped = name.translate(_ESCAPED)
    return f"{'' if escaped == name else chr(92)}{item.sha256}  {escaped}"
