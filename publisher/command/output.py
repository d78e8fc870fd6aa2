"""The forms in which a published result is printed."""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from keystow.result import PublishedResult

FORMS = ("yaml", "json", "key", "bacalhau-input")


def check_form(form: str, results: "Iterable[PublishedResult]") -> None:
    """Raises ``ResultError`` if one of ``results`` cannot be printed in ``form``."""
    if form == "bacalhau-input":
        for result in results:
            result.to_input_source(_target(0))


def print_result(result: "PublishedResult", form: str, printed: int) -> None:
    """Prints ``result``, of which there are ``printed`` before it on stdout."""
    wrapped = {"PublishedResult": result.to_mapping()}
    if form == "bacalhau-input":
        from keystow.yaml_files import dump_mapping

        source = result.to_input_source(_target(printed))
        written = dump_mapping({"InputSources": [source]})
        print(written.partition("\n")[2] if printed else written, end="")  # one list, however many results
    elif form == "key":
        from keystow.backends.texts import escaped

        print(escaped(result.key) if sys.stdout.isatty() else result.key)
    elif form == "json":
        import json

        print(json.dumps(wrapped))
    else:
        from keystow.yaml_files import dump_mapping

        print("---\n" * bool(printed) + dump_mapping(wrapped), end="")


def _target(printed: int) -> str:
    """Where a Bacalhau job finds its input: at its own default, and each further one beside it."""
    return f"/inputs-{printed + 1}" if printed else "/inputs"
