"""Publishing by a ticket, which says where to, and as what."""

import os

from .written import given_writing

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from keystow.manner import Manner
    from keystow.several import Way
    from keystow.ticket import Ticket

_TICKET = "a file of keystow ticket's: it says where to publish and lets you, without credentials"
_DECIDED = {
    "DESTINATION": "destination",
    "--spec": "spec",
    "--plain": "plain",
    "--raw": "raw",
    "--label": "label",
    "--allow": "allow",
    "--check": "check",
    **{
        f"--{name.replace('_', '-')}": name
        for name in (
            *("job_id", "execution_id", "node_id", "partition_index", "partition_count", "at", "timezone"),
            *("profile", "customer_key", "requester_pays"),
        )
    },
}
"""What a ticket's issuer has said already: by the words of the command, the names among the options."""


def take_ticket(parser: "argparse.ArgumentParser") -> None:
    """Declares ``--ticket``."""
    parser.add_argument("--ticket", metavar="FILE", help=_TICKET)


def given_way(options: "argparse.Namespace", manner: "Manner") -> "Way":
    """Where the ticket leads, and what it lets one do there.

    Raises ``SpecError`` for what the ticket says otherwise, and ``TicketError`` for what is none.
    """
    from dataclasses import replace

    from keystow.backends.sending.budget import Budget
    from keystow.errors import SpecError
    from keystow.keys import Context
    from keystow.several import Way
    from keystow.stored import Access
    from keystow.surroundings import trust
    from keystow.tickets import Ticketed

    given = [words for words, name in _DECIDED.items() if _is_given(getattr(options, name))]
    given += [f"--{name.replace('_', '-')}" for name in given_writing(options)]
    if given:
        raise SpecError(f"--ticket FILE says where to publish, and as what: leave {' and '.join(given)} out")
    if options.if_exists not in {None, "error"}:
        raise SpecError(f"a ticket never replaces anything: leave --if-exists {options.if_exists} out")
    access = Access(options.timeout, budget=Budget(options.concurrency, options.memory))
    to = Ticketed(_read(options.ticket), trust=trust((), options.allow_endpoint), access=access)
    if options.source == "-" and to.encoding != "raw":
        raise SpecError("- is standard input, and the ticket is for an archive: ask for one that is issued with --raw")
    return Way(to, to.foreseen(Context()), to.fitted(replace(manner, if_exists="error")))


def _is_given(value: object) -> bool:
    """Whether an option was; 0 is a number that was given."""
    return bool(value) or (value == 0 and value is not False)


def _read(path: str) -> "Ticket":
    from keystow.errors import TicketError
    from keystow.ticket import MOST_BYTES, Ticket

    try:
        with open(os.path.expanduser(path), "rb") as file:
            text = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise TicketError(f"{path!r} cannot be read ({error.strerror}): name the file of a ticket") from None
    try:
        return Ticket.from_json(text)
    except TicketError as error:
        raise TicketError(f"{path!r}: {error}") from None
