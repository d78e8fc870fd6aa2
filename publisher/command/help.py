"""``keystow help``: the page of a topic, or the help of a command."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

USAGE = "[TOPIC|COMMAND]"
DESCRIPTION = "Explain a topic or a command; without one, print the first page."
EXAMPLES = {
    "what a destination may be": "keystow help destinations",
    "which exit status stands for what": "keystow help exit-status",
}


def take_arguments(parser: "argparse.ArgumentParser") -> None:
    """Declares what the command takes."""
    parser.add_argument("topic", metavar="TOPIC|COMMAND", nargs="?", help="such as destinations, or publish")
    parser.set_defaults(prints=True, requests=False)


def run(options: "argparse.Namespace") -> int:
    """Prints the page."""
    from keystow.params import nearest

    from .pages import first_page, topic_page
    from .parsing import COMMANDS, GROUPS, parser_of
    from .topics import TOPICS

    name: str | None = options.topic
    if name is None:
        page = first_page(GROUPS)
    elif name in TOPICS:
        page = topic_page(name, TOPICS[name])
    elif name in COMMANDS:
        page = parser_of(name).format_help()
    else:
        raise ValueError(f"there is no topic or command {name!r}: {nearest(name, (*TOPICS, *COMMANDS))}")
    print(page, end="")
    return 0
