"""What can be typed, read off the command's own parsers."""

import argparse
from collections.abc import Iterator
from typing import NamedTuple

from keystow.command.parsing import COMMANDS, GROUPS, parser_of
from keystow.command.topics import TOPICS

_VALUES = {
    "FILE": "file",
    "RESULT": "file",
    "RESULT|URL": "file",
    "SOURCE": "file",
    "JOBS": "file",
    "DIRECTORY": "directory",
}
_SUMMARIES = {name: summary for group in GROUPS.values() for name, summary in group.items()}


class Argument(NamedTuple):
    """An option by its names, or without names what stands at its place."""

    names: tuple[str, ...]
    help: str
    metavar: str
    """Empty where it takes no value."""
    kind: str
    """What its value is: ``file``, ``directory``, ``choice`` or ``text``."""
    choices: tuple[str, ...] = ()
    many: bool = False
    repeated: bool = False


class Group(NamedTuple):
    """Arguments that belong together, under their title."""

    title: str
    arguments: tuple[Argument, ...]


class Call(NamedTuple):
    """A command."""

    name: str
    summary: str
    usage: str
    description: str
    examples: dict[str, str]
    groups: tuple[Group, ...]

    @property
    def options(self) -> tuple[Argument, ...]:
        """Those with names."""
        return tuple(each for group in self.groups for each in group.arguments if each.names)

    @property
    def places(self) -> tuple[Argument, ...]:
        """Those without names, in order."""
        return tuple(each for group in self.groups for each in group.arguments if not each.names)


def calls() -> list[Call]:
    """Every command."""
    return [_call(name) for name in COMMANDS]


def _call(name: str) -> Call:
    parser = parser_of(name)
    usage = " ".join(parser.format_usage().removeprefix("usage: ").split())
    groups = tuple(Group(group.title, tuple(_arguments(group))) for group in parser._action_groups)
    return Call(name, _SUMMARIES[name], usage, parser.description, parser.examples, groups)


def _arguments(group: argparse._ArgumentGroup) -> Iterator[Argument]:
    for action in group._group_actions:
        choices = tuple(map(str, action.choices or ()))
        metavar = "" if action.nargs == 0 else action.metavar or "|".join(choices)
        if metavar == "TOPIC|COMMAND":
            choices = (*TOPICS, *COMMANDS)
        yield Argument(
            tuple(action.option_strings),
            action.help,
            metavar,
            "choice" if choices else _VALUES.get(metavar, "text"),
            choices,
            many=action.nargs in {"*", "+"},
            repeated=isinstance(action, argparse._AppendAction),
        )
