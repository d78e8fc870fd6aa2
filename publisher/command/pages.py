"""Help as text: the first page, the page of a topic, and the examples of a command."""

import textwrap

from .topics import SCHEMES, STATUSES, TOPICS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from .topics import Topic

_WIDTH = 80
_TERM = 24
_FIRST = """\
keystow publishes a directory of results to any object store, under a name you
can predict, and proves it arrived.

usage: keystow COMMAND [ARGUMENT ...]
       keystow COMMAND --help         its arguments, options and examples
       keystow help TOPIC             what stands below
       keystow --version

  keystow publish results 's3://my-bucket/{jobID}' --job-id abc1 > result.yaml
  keystow get result.yaml fetched
"""
_ARGUMENTS = {
    "SOURCE": "the directory or file to publish; with --raw also - (standard input)",
    "DESTINATION": (
        f"where to publish: {', '.join(SCHEMES)}, …; {{jobID}}, {{date}} and the like are filled in. "
        "Default: KEYSTOW_DESTINATION"
    ),
    "RESULT": "what publish printed: a file, or - (standard input); or s3://bucket/key; for get, also a URL",
}


def first_page(groups: "Mapping[str, Mapping[str, str]]") -> str:
    """What ``keystow --help`` prints, with the commands in their ``groups``."""
    topics = {name: topic.summary for name, topic in TOPICS.items()}
    exits = f"exit status: {' · '.join(f'{status} {meaning}' for status, meaning in STATUSES.items())}"
    return "\n".join(
        [
            _FIRST,
            *(f"{title}:\n{table(commands, 16)}" for title, commands in groups.items()),
            f"arguments:\n{table(_ARGUMENTS, 16)}",
            f"topics:\n{table(topics, 16)}",
            f"{_filled(exits)}",
        ]
    )


def topic_page(name: str, topic: "Topic") -> str:
    """What ``keystow help`` prints of that topic."""
    blocks = (_filled(block) if isinstance(block, str) else table(block, _TERM) for block in topic.blocks)
    return "\n".join([f"{name}: {topic.summary}\n", *blocks])


def examples(lines: "Mapping[str, str]") -> str:
    """The examples of a command, which are command lines by what they do."""
    return "\nexamples:\n" + "\n".join(f"  # {what}\n  {line}\n" for what, line in lines.items())


def table(rows: "Mapping[str, str]", column: int) -> str:
    """Each term, and beside it, from that ``column`` on, what it means; below it where the term is too long."""
    return "".join(_row(term, meaning, column) for term, meaning in rows.items())


def _row(term: str, meaning: str, column: int) -> str:
    indent = " " * column
    if len(term) > column - 4:
        return _filled(term, "  ", "  ") + _filled(meaning, indent, indent)
    return _filled(meaning, f"  {term}".ljust(column), indent)


def _filled(text: str, first: str = "", indent: str = "") -> str:
    lines = textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "".join(f"{line}\n" for line in lines)
