"""What can be wrong with a destination or a result, beside what keys, archives and stores raise."""

from .backends.texts import presentable
from .root import KeystowError


class SpecError(KeystowError, ValueError):
    """The destination is wrong; the message says what to write instead."""

    kind = "invalid_destination"

    def __init__(self, message: str) -> None:
        super().__init__(presentable(message))


class ResultError(KeystowError, ValueError):
    """What was given as a published result is none, or does not allow what was asked."""

    kind = "invalid_result"

    def __init__(self, message: str) -> None:
        super().__init__(presentable(message))


class TicketError(KeystowError, ValueError):
    """The ticket has ended, is none, or is not for what was to be published by it."""

    kind = "invalid_ticket"

    def __init__(self, message: str) -> None:
        super().__init__(presentable(message))


class VerificationError(KeystowError):
    """What the store holds is not what was published."""

    kind = "checksum_mismatch"

    def __init__(self, message: str) -> None:
        super().__init__(presentable(message))


class WorkerLostError(KeystowError, RuntimeError):
    """The worker that a publication was sent to ended without an answer, each time; it may have been published."""

    kind = "worker_lost"

    def __init__(self, message: str) -> None:
        super().__init__(presentable(message))


class MemberError(KeystowError, OSError):
    """The member of an archive is no file that could be opened: a directory, or a link."""

    kind = "no_file"

    def __init__(self, message: str) -> None:
        super().__init__(presentable(message))


class MemberNotFoundError(MemberError, FileNotFoundError):
    """The archive has no member of that name, or none that the pattern matches."""

    kind = "no_such_member"


class MemberIsDirectoryError(MemberError, IsADirectoryError):
    """The member of an archive is a directory, which cannot be opened."""

    kind = "member_is_directory"
