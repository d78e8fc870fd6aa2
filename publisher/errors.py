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
