"""What is said of a failure, and the exit status by which a script knows whose it is to mend."""

from .streams import say, say_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeVar

    Item = TypeVar("Item")

_MOST_TRACED = 30_000
_REPORT = "run it again with --debug, and report what it prints"


def tell(error: BaseException, *, debug: bool) -> int:
    """Says what failed, with ``debug`` also where it came from, and gives the exit status."""
    if debug:
        _trace(error)
    status = status_of(error)
    if not status:
        unknown = f"failed in a way that keystow does not know ({type(error).__name__}: {error}): {_REPORT}"
        say_each([unknown], kind="defect", status=1)
        return 1
    complain(error)
    return status


def status_of(error: BaseException) -> int:
    """The exit status for an error that is somebody's to mend; 0 for a defect of ours."""
    from keystow.archive import ArchiveError, DestinationExistsError, SourceNotFoundError
    from keystow.backends import AlreadyExistsError, StoreError
    from keystow.errors import VerificationError, WorkerLostError
    from keystow.several import PartlyPublishedError

    if isinstance(error, AlreadyExistsError | DestinationExistsError):
        return 3
    if isinstance(error, VerificationError):
        return 4
    if isinstance(error, SourceNotFoundError):
        return 2
    if isinstance(error, StoreError | ArchiveError | OSError | ImportError | WorkerLostError | PartlyPublishedError):
        return 1
    return 2 if isinstance(error, ValueError) else 0


def each_of(items: "Sequence[Item]", work: "Callable[[Item], object]") -> int:
    """Does ``work`` with each of ``items``, also after one that failed; gives the first status that is not 0.

    Where nobody reads what is printed any more, there is nothing left to do.
    """
    status = 0
    for item in items:
        try:
            work(item)
        except BrokenPipeError:
            raise
        except Exception as error:
            failed = status_of(error)
            if not failed or len(items) == 1:
                raise
            complain(error)
            status = status or failed
    return status


def complain(error: BaseException) -> None:
    """Says what ``error`` says."""
    kind = getattr(error, "kind", "failed")
    say_each(worded(error), kind=kind, status=status_of(error))


def worded(error: BaseException) -> "list[str]":
    """What ``error`` says, in the words of the command, and each of its notes."""
    from keystow.backends import AlreadyExistsError
    from keystow.stored import AlreadyPublishedError

    from .wording import as_options

    message = str(error)
    if isinstance(error, AlreadyExistsError) and not isinstance(error, AlreadyPublishedError) and not error.hint:
        message += ": publish under another key, or with --if-exists replace or skip"
    elif isinstance(error, OSError) and error.filename is not None:
        message = f"{error.filename!r}: {error.strerror}"
    return [as_options(line) for line in (message, *getattr(error, "__notes__", ()))]


def _trace(error: BaseException) -> None:
    """Where ``error`` comes from, as Python prints it."""
    import traceback

    from keystow.backends.texts import masked

    whole = "".join(traceback.format_exception(error))
    for line in masked(whole[-_MOST_TRACED:]).splitlines():
        say(line, "debug")
