"""What can be wrong with a destination or a result, beside what keys, archives and stores raise."""

from .backends.texts import presentable


class SpecError(ValueError):
    """The destination is wrong; the message says what to write instead."""

    def __init__(self, message: str) -> None:
        super().__init__(presentable(message))


class ResultError(ValueError):
    """What was given as a published result is none, or does not allow what was asked."""

    def __init__(self, message: str) -> None:
        super().__init__(presentable(message))


class VerificationError(Exception):
    """What the store holds is not what was published."""

    def __init__(self, message: str) -> None:
        super().__init__(presentable(message))
