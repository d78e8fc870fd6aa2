"""The call, taken apart.

Strategy: each command is a module beside this one, which is loaded once it is called; its ``USAGE``, ``DESCRIPTION``
and ``EXAMPLES`` (command lines by what they do) are for its help, ``take_arguments(parser)`` declares what it takes,
and ``run(options)`` carries it out and gives the exit status.
"""

import argparse
from functools import partial
from importlib import import_module

from .streams import say_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from typing import Any, NoReturn

GROUPS = {
    "publish": {
        "publish": "publish a directory",
        "publish-many": "publish many directories at once",
    },
    "look and fetch": {
        "ls": "list what was published, the newest last; or the members of one of these",
        "get": "fetch what was published, or some members of it, and verify it",
        "cat": "print a file of what was published",
        "manifest": "print the files of a published prefix, each with its SHA-256",
        "verify": "read what was published and compare its SHA-256",
        "agree": "compare what several executions published, without reading it",
        "index": "write the index of a published archive for rapidgzip and indexed_gzip",
        "url": "print a pre-signed URL of what was published, or of each of its files",
    },
    "prepare": {
        "key": "print a key as publish would use it",
        "policy": "print the least that a publisher or a requester has to be allowed",
        "ticket": "let somebody publish who has no credentials",
        "doctor": "find out why a publish fails, or would",
    },
    "learn": {
        "help": "explain a topic or a command",
    },
}
"""Every command and what it does, by what somebody wants."""

COMMANDS = tuple(name for group in GROUPS.values() for name in group)

_VERBOSE = "name what is left out; say every 5 s how far it is, where there is no terminal to show it on"
_READ = {
    "result": "name the file with the published result",
    "jobs": "name the file with the publications",
    "destination": "name the file with the published result",
    "source": "give it what is to be published, or name a file",
}
"""What is read from a file or, for ``-``, from stdin: what to do where that is closed."""


def read_call(arguments: "Sequence[str]", *, closed: "Collection[str]") -> argparse.Namespace:
    """The options of the call, of which ``run`` carries it out.

    One without arguments asks for help. What cannot be carried out ends here, with exit status 2; so does what needs a
    standard stream that is ``closed``.
    """
    options, unknown = _parser(arguments[0] if arguments else None).parse_known_args(arguments or ["--help"])
    if options.repeated and not any(len(argument) > 1 and argument[0] == "-" for argument in unknown):
        vars(options)[options.repeated] += unknown  # argparse takes no more positionals once an option stood between
    elif unknown:
        options.refuse(f"unrecognized arguments: {' '.join(unknown)}")
    prints = options.prints or getattr(options, "output", None) == "json"
    if "stdout" in closed and prints and not getattr(options, "file", None):
        options.refuse("standard output is closed, and the result goes there: give it a file or a pipe")
    read = getattr(options, options.read) if options.read else None
    if "stdin" in closed and "-" in (read if isinstance(read, list) else [read]):
        options.refuse(f"standard input is closed: {_READ[options.read]}")
    return options


def parser_of(command: str) -> argparse.ArgumentParser:
    """The parser of ``command``, with all that it takes."""
    parser = _CommandParser(command=command, prog=f"keystow {command}")
    parser.load()
    return parser


def _parser(command: str | None) -> argparse.ArgumentParser:
    """The parser of ``command`` alone, or, where there is no such command, that of all; to set one up takes a while."""
    unmeasured = partial(argparse.HelpFormatter, width=80)  # to ask the terminal for its width takes a while, too
    parser = _PageParser(prog="keystow", formatter_class=unmeasured)
    parser.add_argument("-V", "--version", action=_Version)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", prog="keystow", parser_class=_CommandParser)
    for name in (command,) if command in COMMANDS else COMMANDS:
        commands.add_parser(name, command=name, formatter_class=unmeasured)
    return parser


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> "NoReturn":
        say_each([f"{message} (see {self.prog} --help)"], kind="usage", status=2)
        raise SystemExit(2)


class _PageParser(_Parser):
    """The parser of the words before the command, whose help is a page of its own."""

    def format_help(self) -> str:
        from .pages import first_page

        return first_page(GROUPS)


class _CommandParser(_Parser):
    """The parser of one command, which loads it, and learns what it takes, once it is called.

    A command says by ``set_defaults`` if it ``prints`` a result to stdout, that it makes no ``requests``, which of its
    arguments may be ``repeated``, also after an option, and which is a file that is ``read``, or ``-`` for stdin.
    """

    def __init__(self, *, command: str, **options: "Any") -> None:  # noqa: ANN401
        super().__init__(**options)
        self._command = command
        self.examples: dict[str, str] = {}

    def load(self) -> None:
        """Declares what the command takes."""
        command = import_module(f"{__package__}.{self._command.replace('-', '_')}")
        self.usage = f"%(prog)s [OPTION ...] {command.USAGE}"
        self.description, self.examples = command.DESCRIPTION, command.EXAMPLES
        self.set_defaults(run=command.run, refuse=self.error, prints=False, requests=True, repeated=None, read=None)
        command.take_arguments(self)
        talking = self.add_argument_group("what is said")
        amount = talking.add_mutually_exclusive_group()
        amount.add_argument("-q", "--quiet", action="store_true", help="say nothing but errors, and print the results")
        amount.add_argument("-v", "--verbose", action="store_true", help=_VERBOSE)
        talking.add_argument("--debug", action="store_true", help="on a failure, say where it came from")
        talking.add_argument("-V", "--version", action=_Version)

    def parse_known_args(self, args: "Any" = None, namespace: "Any" = None) -> "Any":  # noqa: ANN401
        self.load()
        return super().parse_known_args(args, namespace)

    def format_help(self) -> str:
        from .pages import examples

        self.formatter_class = argparse.HelpFormatter  # as wide as the terminal
        return super().format_help() + examples(self.examples)


class _Version(argparse.Action):
    def __init__(self, option_strings: "Sequence[str]", dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="print the version")

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"keystow {version('keystow')}")
        parser.exit()
