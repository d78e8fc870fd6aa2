"""The forms in which a published result is printed."""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from keystow.result import PublishedResult

_OUTPUT = "text (default), or a line of JSON for each result, and of errors on stderr (docs/json.md)"
FORMS = ("yaml", "json", "key", "bacalhau-input")


def take_output(parser: "argparse.ArgumentParser") -> None:
    """Declares ``--output`` for a command whose results are words."""
    parser.add_argument("--output", choices=("text", "json"), default="text", help=_OUTPUT)


def print_json(**told: object) -> None:
    """Prints a line of JSON."""
    import json

    print(json.dumps(told), flush=True)


def check_form(form: str, results: "Iterable[PublishedResult]") -> None:
    """Raises ``ResultError`` if one of ``results`` cannot be printed in ``form``."""
    if form == "bacalhau-input":
        for result in results:
            result.to_input_source(_target(0))


def written(result: "PublishedResult", form: str, before: int) -> str:
    """``result`` as text, of which there are ``before`` others before it."""
    wrapped = {"PublishedResult": result.to_mapping()}
    if form == "key":
        return f"{result.key}\n"
    if form == "json":
        import json

        return f"{json.dumps(wrapped)}\n"
    from keystow.yaml_files import dump_mapping

    if form == "bacalhau-input":
        source = result.to_input_source(_target(before))
        text = dump_mapping({"InputSources": [source]})
        return text.partition("\n")[2] if before else text  # one list, however many results
    return "---\n" * bool(before) + dump_mapping(wrapped)


class Printed:
    """Where results go as they come: to stdout, or all of them to the file at ``path``, which is whole at any time.

    Raises ``SpecError`` for a path where there can be no file, before there is any result.
    """

    def __init__(self, form: str, path: str | None) -> None:
        self._form, self._path = form, path
        self._texts: list[str] = []
        if path is not None:
            check_file("--result", path)

    def add(self, result: "PublishedResult") -> None:
        """``result`` is there, too. If it cannot be written to the file, it is printed after all."""
        text = written(result, self._form, len(self._texts))
        self._texts.append(text)
        if self._path is None:
            if self._form == "key" and sys.stdout.isatty():
                from keystow.backends.texts import escaped

                text = f"{escaped(result.key)}\n"
            print(text, end="")
            return
        try:
            write_file(self._path, [text.encode("utf-8", "surrogateescape") for text in self._texts])
        except BaseException:
            print(text, end="", file=sys.stderr if sys.stdout.name == os.devnull else sys.stdout)
            raise


def write_file(path: str, pieces: "Iterable[bytes]") -> None:
    """Puts ``pieces`` into the file at ``path``, which is whole at any time."""
    from keystow.backends.file import FileStore

    directory, name = os.path.split(os.path.realpath(path))
    FileStore(directory).write(name, pieces)


def check_file(option: str, path: str) -> None:
    """Raises ``SpecError`` for a ``path`` behind ``option`` where there can be no file."""
    from keystow.backends import NotFoundError, StoreError
    from keystow.backends.file import FileStore
    from keystow.errors import SpecError

    directory, name = os.path.split(os.path.realpath(path))
    if not path or path.endswith("/") or os.path.isdir(path) or (os.path.exists(path) and not os.path.isfile(path)):
        raise SpecError(f"{option} {path!r} is no file: name one")
    if not os.path.isdir(directory) or not os.access(directory, os.W_OK):
        raise SpecError(f"{option} {path!r}: no file can be made in {directory!r}: name one elsewhere")
    try:
        FileStore(directory).stat(name)
    except NotFoundError:
        return
    except StoreError as error:
        raise SpecError(f"{option} {path!r}: {error}") from None


def _target(printed: int) -> str:
    """Where a Bacalhau job finds its input: at its own default, and each further one beside it."""
    return f"/inputs-{printed + 1}" if printed else "/inputs"
