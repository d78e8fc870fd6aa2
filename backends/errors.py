"""What a store can answer, each error also the builtin that a user would catch."""

from typing import NoReturn, Self

from keystow.root import KeystowError

from .texts import presentable


class StoreError(KeystowError, OSError):
    """A store refused or failed.

    ``code`` and ``request_id`` are the store's own, as far as it gave them; ``hint`` says what to change. All of it has
    been through ``texts.presentable``: no message holds a secret or a signed query string. ``retry_after`` are the
    seconds to wait for before another try, if the store named any. ``tries`` says how often the request was made, as
    far as that is known, and so does the message of more than one. ``may_have_arrived`` says whether the store may have
    done what it was asked for, without our being told so.
    """

    kind = "store_failed"
    retry_after: float | None = None
    tries = 1
    may_have_arrived = True

    def __init__(self, message: str, *, code: str = "", request_id: str = "", hint: str = "") -> None:
        identified = f"{message} (request {request_id})" if request_id else message
        super().__init__(presentable(f"{identified}: {hint}" if hint else identified))
        self.code = presentable(code)
        self.request_id = presentable(request_id)
        self.hint = presentable(hint)

    def tried(self, times: int, seconds: float | None = None) -> Self:
        """This error, whose message says how often the request was made, and for how long; once needs no telling."""
        self.tries = times
        if times > 1:
            lasted = "" if seconds is None else f" in {seconds:.0f} s" if seconds >= 1 else " within a second"
            self.args = (f"{self.args[0]} ({times} tries{lasted})",)
        return self


class AlreadyExistsError(StoreError, FileExistsError):
    """``if_absent`` was asked for, and there is an object of that name, which stands unchanged."""

    kind = "already_exists"


class NotFoundError(StoreError, FileNotFoundError):
    """There is no such object, or no such version of it."""

    kind = "no_such_object"


class BucketNotFoundError(NotFoundError):
    """There is no such bucket."""

    kind = "no_such_bucket"


class AccessDeniedError(StoreError, PermissionError):
    """The credentials are valid and do not permit this."""

    kind = "access_denied"


class CredentialsError(StoreError, PermissionError):
    """There are no credentials, or the store does not accept them."""

    kind = "credentials_refused"


class StoreUnavailableError(StoreError, ConnectionError):
    """The store did not answer, or not soundly, within a bounded number of tries."""

    kind = "store_unavailable"


class UnknownOutcomeError(StoreUnavailableError):
    """The answer to a write was lost, and the store may not be asked whether it was done."""

    kind = "outcome_unknown"


class ConflictError(StoreError):
    """Another writer wrote the same key at the same time; nothing of ours was stored.

    ``passes`` says whether the same request may succeed once the other writer is done.
    """

    kind = "conflict"

    passes = True


class InvalidKeyError(StoreError, ValueError):
    """The store has no way to hold an object of that name."""

    kind = "invalid_key"


class UnsupportedError(StoreError, NotImplementedError):
    """The store cannot promise this, and has done nothing."""

    kind = "unsupported"


class UnknownStoreError(KeystowError, ValueError):
    """The URL names no kind of store that there is."""

    kind = "unknown_store"

    def __init__(self, message: str) -> None:
        super().__init__(presentable(message))


class MissingExtraError(KeystowError, ImportError):
    """The store needs an optional dependency that is not installed; the message names the extra."""

    kind = "missing_extra"

    def __init__(self, message: str) -> None:
        super().__init__(presentable(message))


def raise_alone(error: Exception) -> NoReturn:
    """Raises ``error`` without what is being handled, which may hold a request, and in it credentials.

    ``from None`` would only hide that: it stays in ``__context__``, for whoever walks the chain.
    """
    try:
        raise error
    finally:
        error.__cause__ = error.__context__ = None
