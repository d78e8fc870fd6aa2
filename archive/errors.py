"""What can go wrong on either side: with the source that is packed, or with the archive that is unpacked."""

_MOST_SHOWN = 200


class SourceError(OSError):
    """Something in the source cannot be packed; the message names it."""


class SourceNotFoundError(SourceError, FileNotFoundError):
    """There is nothing at the path of the source."""


class SourceChangedError(SourceError):
    """A file changed, appeared anew or disappeared between the scan and the end of its reading."""


class ArchiveError(ValueError):
    """The archive is refused; nothing of it is left on the disk."""


class CorruptArchiveError(ArchiveError):
    """The bytes are no whole gzip or tar stream."""


class UnsafeArchiveError(ArchiveError):
    """A member would leave the directory, or contradicts another, or is none that results consist of."""


class LimitExceededError(ArchiveError):
    """The archive holds more than the limits, or the disk, allow.

    ``limit`` is the field of ``Limits`` that would have to be raised, or ``"disk"``.
    """

    def __init__(self, message: str, limit: str = "disk") -> None:
        super().__init__(message)
        self.limit = limit


class DestinationExistsError(FileExistsError):
    """The directory to unpack into exists and is not empty."""


class DestinationChangedError(OSError):
    """Somebody moved or replaced the directory while it was filled; what was unpacked is removed again."""


def shown(name: str) -> str:
    """A name for a message: escaped, and cut if it is long."""
    return repr(name) if len(name) <= _MOST_SHOWN else f"{name[:_MOST_SHOWN]!r}…"
