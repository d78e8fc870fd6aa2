"""The command's reference and the exit statuses, as pages of the site."""

from collections.abc import Iterable

from keystow.command.topics import KINDS, STATUSES, TOPICS

from .calls import Argument, Call


def command(calls: list[Call]) -> str:
    """Every command with its options and examples, and every topic of ``keystow help``."""
    lines = ["# The command", "", "What `keystow COMMAND --help` and `keystow help TOPIC` print.", ""]
    for call in calls:
        lines += [f"## keystow {call.name}", "", _text(call.description), "", "```text", call.usage, "```", ""]
        for what, line in call.examples.items():
            lines += [f"{_text(what[0].upper() + what[1:])}:", "", "```sh", line, "```", ""]
        for group in call.groups:
            if group.arguments:
                lines += [f"**{_text(group.title)}**", ""]
                lines += _terms({_head(argument): argument.help for argument in group.arguments})
    for name, topic in TOPICS.items():
        if name != "exit-status":  # a page of its own
            lines += [f"## Help on {name}", "", *_blocks(topic.blocks)]
    return "\n".join(lines)


def exit_status() -> str:
    """How a call ends, and which kinds of errors end so."""
    lines = [
        "# Exit status",
        "",
        (
            "Where several things are done, the first status that is not 0 counts. What each kind of error means is on "
            "the page of [errors](errors.md). Neither a status nor a kind is given to something else."
        ),
        "",
        "| status | means | kinds of errors |",
        "| --- | --- | --- |",
    ]
    for status, meaning in STATUSES.items():
        kinds = KINDS.get(status, "")
        named = " ".join(f"`{kind}`" for kind in kinds.split(", ") if kind)
        lines.append(f"| {status} | {_text(meaning)} | {named} |")
    return "\n".join([*lines, ""])


def _head(argument: Argument) -> str:
    return " ".join(filter(None, (", ".join(argument.names), argument.metavar)))


def _blocks(blocks: Iterable[str | dict[str, str]]) -> list[str]:
    return [line for block in blocks for line in ([_text(block), ""] if isinstance(block, str) else _terms(block))]


def _terms(terms: dict[str, str]) -> list[str]:
    return [line for term, meaning in terms.items() for line in (f"`` {term} ``", f":   {_text(meaning)}", "")]


def _text(text: str) -> str:
    """Text in which Markdown finds nothing to do."""
    for mark in "\\`*_{}[]<>#|":
        text = text.replace(mark, f"\\{mark}")
    return text
