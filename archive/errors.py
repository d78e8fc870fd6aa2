"""What can go wrong on either side: with the source that is packed, or with the archive that is unpacked."""


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
    """The archive holds more than the limits, or the disk, allow."""


class DestinationExistsError(FileExistsError):
    """The directory to unpack into exists and is not empty."""
