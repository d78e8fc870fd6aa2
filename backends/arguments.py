"""What callers hand to every store, checked in one place."""

from datetime import timedelta

from .errors import UnsupportedError
from .options import ObjectOptions, check_keyed, unfit

_LONGEST = timedelta(days=7)


def signature_seconds(expires: timedelta | float, method: str, version_id: str | None) -> int:
    """The whole seconds that a signed URL lasts. Raises ``ValueError`` for what no cloud signs."""
    try:
        duration = expires if isinstance(expires, timedelta) else timedelta(seconds=expires)
    except OverflowError:
        raise ValueError(f"a signed URL cannot last {expires} seconds: ask for 1 second to 7 days") from None
    if not timedelta(seconds=1) <= duration <= _LONGEST:
        seconds = f"{duration.total_seconds():.9g}"
        raise ValueError(f"a signed URL cannot last {seconds} seconds: ask for 1 second to 7 days")
    if method not in {"GET", "PUT"}:
        raise ValueError(f"method={method!r} cannot be signed: use GET or PUT")
    if method == "PUT" and version_id is not None:
        raise ValueError("a PUT makes a new version: leave version_id out")
    return int(duration.total_seconds())


def check_options(options: ObjectOptions | None, kind: str, *, keyed: bool = False) -> None:
    """Raises ``UnsupportedError`` for options that stores of the type ``kind`` do not have.

    Raises ``ValueError`` for those that are another way to encrypt than by a customer's key, where there is one.
    """
    if options is None:
        return
    refusal = unfit(options, kind)
    if refusal is not None:
        raise UnsupportedError(refusal)
    check_keyed(options, keyed=keyed)


def range_header(start: int, stop: int | None) -> str | None:
    """The HTTP range (RFC 9110, section 14.1.2) of a slice that is not empty; ``None`` for the whole object."""
    if not start and stop is None:
        return None
    return f"bytes={start}-{'' if stop is None else stop - 1}"


def is_empty(start: int, stop: int | None) -> bool:
    """Whether the slice holds nothing of any object. Raises ``ValueError`` for a negative bound."""
    if start < 0 or (stop is not None and stop < 0):
        raise ValueError(f"start={start}, stop={stop}: count from the beginning of the object")
    return stop is not None and stop <= start
