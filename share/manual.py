"""The manual page, in the macros of man(7)."""

from collections.abc import Iterable

from keystow.command.topics import TOPICS

from .calls import Argument, Call


def page(calls: list[Call]) -> str:
    """The text of the file."""
    lines = [
        '.\\" made by `make help-files`',
        '.TH KEYSTOW 1 "" keystow "User Commands"',
        ".SH NAME",
        "keystow \\- publish a directory of results under a name you can predict",
        ".SH SYNOPSIS",
        *(line for call in calls for line in (f".B {_text('keystow ' + call.name)}", _text(_rest(call)), ".br")),
        ".SH DESCRIPTION",
        _text(
            "keystow publishes a directory of results to any object store, under a name you can predict, and proves it "
            "arrived. Results go to standard output and nothing else does; people are talked to on standard error."
        ),
        ".SH COMMANDS",
        *(line for call in calls for line in _command(call)),
    ]
    for name, topic in TOPICS.items():
        lines += [f".SH {_text(name.replace('-', ' ').upper())}", *_blocks(topic.blocks)]
    return "\n".join([*lines, ""])


def _rest(call: Call) -> str:
    return call.usage.removeprefix(f"keystow {call.name}").strip()


def _command(call: Call) -> Iterable[str]:
    yield f".SS {_text(call.name)}"
    yield _text(call.description)
    for group in call.groups:
        if group.arguments:
            yield from (".PP", f".I {_text(group.title)}:")
        for argument in group.arguments:
            yield from (".TP", _head(argument), _text(argument.help))
    for what, line in call.examples.items():
        yield from (".PP", _text(f"Example: {what}"), ".PP", ".nf", ".RS", _text(line), ".RE", ".fi")


def _head(argument: Argument) -> str:
    if not argument.names:
        return f".I {_text(argument.metavar)}"
    names = ", ".join(argument.names)
    return f".B {_text(names)}" if not argument.metavar else f'.BI "{_text(names)} " "{_text(argument.metavar)}"'


def _blocks(blocks: Iterable[str | dict[str, str]]) -> Iterable[str]:
    for block in blocks:
        if isinstance(block, str):
            yield from (".PP", _text(block))
            continue
        for term, meaning in block.items():
            yield from (".TP", f".B {_text(term)}", _text(meaning))


def _text(text: str) -> str:
    """Text that troff takes for nothing else, in ASCII."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    text = (
        text.replace("^", "\\(ha")
        .replace("~", "\\(ti")
        .replace('"', "\\(dq")
        .replace("…", "\\&...")
        .replace("·", "\\(bu")
    )
    return f"\\&{text}" if text.startswith(".") else text
