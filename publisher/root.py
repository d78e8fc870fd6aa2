"""The root of all of keystow's errors, below everything else, so that each room can have it."""


class KeystowError(Exception):
    """keystow refuses, or failed; the message says what to change.

    ``kind`` names what it is for programs, in JSON and logs. Names are added and never changed or given to something
    else; ``docs/errors.md`` lists them. Each error is also the builtin that it is closest to, such as ``ValueError``.
    """

    kind = "failed"
