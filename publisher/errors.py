"""What can be wrong with a destination or a result, beside what keys, archives and stores raise."""


class SpecError(ValueError):
    """The destination is wrong; the message says what to write instead."""


class ResultError(ValueError):
    """What was given as a published result is none, or does not allow what was asked."""


class VerificationError(Exception):
    """What the store holds is not what was published."""
