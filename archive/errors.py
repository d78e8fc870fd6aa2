"""What can go wrong on either side: with the source that is packed, or with the archive that is unpacked."""

from keystow.root import KeystowError

_MOST_SHOWN = 200


class SourceError(KeystowError, OSError):
    """Something in the source cannot be packed; the message names it."""

    kind = "source_unpackable"


class SourceNotFoundError(SourceError, FileNotFoundError):
    """There is nothing at the path of the source."""

    kind = "no_such_source"


class SourceChangedError(SourceError):
    """A file changed, appeared anew or disappeared between the scan and the end of its reading."""

    kind = "source_changed"


class ArchiveError(KeystowError, ValueError):
    """The archive is refused; nothing of it is left on the disk."""

    kind = "archive_refused"


class CorruptArchiveError(ArchiveError):
    """The bytes are no whole gzip or tar stream."""

    kind = "corrupt_archive"


class UnsafeArchiveError(ArchiveError):
    """A member would leave the directory, or contradicts another, or is none that results consist of."""

    kind = "unsafe_archive"


class LimitExceededError(ArchiveError):
    """The archive holds more than the limits, or the disk, allow.

    ``limit`` is the field of ``Limits`` that would have to be raised, or ``"disk"``.
    """

    kind = "limit_exceeded"

    def __init__(self, message: str, limit: str = "disk") -> None:
        super().__init__(message)
        self.limit = limit


class DestinationExistsError(KeystowError, FileExistsError):
    """The directory to unpack into exists and is not empty."""

    kind = "destination_exists"


class DestinationChangedError(KeystowError, OSError):
    """Somebody moved or replaced the directory while it was filled; what was unpacked is removed again."""

    kind = "destination_changed"


def shown(name: str) -> str:
    """A name for a message: escaped, and cut if it is long."""
    return repr(name) if len(name) <= _MOST_SHOWN else f"{name[:_MOST_SHOWN]!r}…"
