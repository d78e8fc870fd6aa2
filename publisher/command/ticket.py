"""``keystow ticket``: what lets somebody without credentials publish one object."""

import contextlib
import os

from . import typed
from .claimed import given_trust, take_trust
from .context import given_context, take_context
from .destination import given_destinations, take_destination
from .output import take_output
from .streams import note
from .written import given_writing, take_opening, take_writing

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator
    from typing import Any

    from keystow.ticket import Ticket

USAGE = "--expires 1h [DESTINATION]"
DESCRIPTION = (
    "Print a ticket: with it, keystow publish SOURCE --ticket FILE publishes one archive, or one raw file, to "
    "DESTINATION, where there are no credentials. It creates the object, and replaces none. It is a secret."
)
EXAMPLES = {
    "for one archive, in the next hour": (
        "keystow ticket 's3://my-bucket/by-ticket/{jobID}' --job-id abc123 --expires 1h --file ticket.json"
    ),
    "for one file of known content": (
        "keystow ticket s3://my-bucket/exact/model.bin --raw --expires 2d --file ticket.json "
        "--sha256 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
    ),
}
_FILE = "write the ticket to FILE, which nobody else may read, and not to stdout"
_SIZE = "the most bytes to publish, such as 20GB; default: what one request takes (S3: 5 GiB)"
_SHA256 = "of the only content that may be published; S3 and Google refuse another one"

_BEGUN = "an upload was begun for it; if it is not used, a lifecycle rule of the bucket has to clear that"


def take_arguments(parser: "argparse.ArgumentParser") -> None:
    """Declares what the command takes."""
    take_destination(parser, "?")
    parser.add_argument("--expires", type=typed.duration, required=True, metavar="1h", help="90s, 30m, 12h, 7d at most")
    parser.add_argument("--max-size", metavar="SIZE", type=typed.size, help=_SIZE)
    parser.add_argument("--sha256", metavar="HEX", help=_SHA256)
    parser.add_argument("--file", metavar="FILE", help=_FILE)
    take_output(parser)
    take_context(parser.add_argument_group("the key, and what it names"))
    take_trust(parser.add_argument_group("what the author of a job file may ask for"))
    asking = parser.add_argument_group("who asks, and for how long")
    typed.take_timeout(asking)
    take_opening(asking)
    take_writing(parser)
    parser.set_defaults(prints=True)


def run(options: "argparse.Namespace") -> int:
    """Issues the ticket, and says what it allows."""
    from datetime import UTC, datetime
    from functools import partial

    from keystow.backends.permits import InParts
    from keystow.tickets import issue_ticket

    names = ("expires", "raw", "max_size", "sha256", "timeout", "profile", "requester_pays")
    given: dict[str, Any] = {name: getattr(options, name) for name in names}
    given |= given_trust(options) | {**given_writing(options)}
    given |= {"context": given_context(options), "archive": False if options.plain else None}
    made = partial(issue_ticket, **given)
    with _written(options.file) as write:
        began = datetime.now(UTC).replace(microsecond=0)
        typed_one = [options.destination] if options.destination else []
        (ticket,) = given_destinations(typed_one, options.spec, made)
        try:
            write(f"{ticket.to_json()}\n")
        except BaseException as error:
            if isinstance(ticket.permit.way, InParts):
                error.add_note(_BEGUN)
            raise
    _tell(ticket, ticket.expires < began + options.expires)
    return 0


def _tell(ticket: "Ticket", ends_sooner: bool) -> None:
    from keystow.backends.permits import InParts

    from .wording import counted, until

    what = "an archive" if ticket.result.encoding == "gzip" else "a file"
    most = counted(ticket.max_size, "byte")
    end = until("the ticket", ticket.expires, ticket.permit.requests[0].url, ends_sooner=ends_sooner)
    note(f"{end}; it is for {what} of up to {most} as {ticket.result.url}")
    if ticket.permit.sha256 is not None and not ticket.is_bound:
        note("the store does not look at the content's SHA-256: keystow publish --ticket alone does")
    if isinstance(ticket.permit.way, InParts):
        note(_BEGUN)


@contextlib.contextmanager
def _written(path: str | None) -> "Iterator[Callable[[str], object]]":
    """Writes what it is given to stdout, or to a file of the user's alone, which is whole at any time.

    Raises ``SpecError`` where there can be no file, before there is anything to write.
    """
    if path is None:
        yield lambda text: print(text, end="")
        return
    import tempfile

    from keystow.errors import SpecError

    directory, name = os.path.split(os.path.realpath(path))
    if not path or path.endswith("/") or (os.path.exists(path) and not os.path.isfile(path)):
        raise SpecError(f"--file {path!r} is no file: name one")
    try:
        number, beside = tempfile.mkstemp(prefix=f".{name[:80]}.", dir=directory)  # which makes it 0600
    except OSError as error:
        raise SpecError(f"--file {path!r}: no file can be made in {directory!r} ({error.strerror})") from None
    try:
        with open(number, "w", encoding="utf-8") as file:
            yield file.write
        os.replace(beside, os.path.join(directory, name))
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise
