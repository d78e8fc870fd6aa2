"""Credentials for S3 that were given in code, as the carriers ask for them: those of the moment, from any thread.

Strategy: a provider is asked by whoever sends next once credentials are about to end, and by one thread alone. Others
go on with what still holds; where nothing does, they wait for him.
"""

import inspect
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from keystow.backends.credentials import S3Credentials
from keystow.backends.errors import CredentialsError, raise_alone
from keystow.backends.sending.forks import tell_in_children
from keystow.backends.texts import MASK, keep_secret

_AHEAD = timedelta(minutes=5)
"""How long before their end credentials are renewed; if they last less than twice as long, half-way to it."""


class _Held(NamedTuple):
    """The keys, by the names of ``settings.KEYS``; when to ask for others, and when these end, if they do."""

    keys: Mapping[str, Any]
    renewal: datetime | None
    end: datetime | None

    def __repr__(self) -> str:
        return f"_Held({MASK}, {self.renewal}, {self.end})"

    def is_over(self) -> bool:
        return self.end is not None and datetime.now(UTC) >= self.end


class Provided:
    """Gives the keys of the moment, by the names of ``settings.KEYS``.

    Raises ``CredentialsError`` where there are none, also when it is made; then ``ValueError``, too, for a provider
    that has to be awaited.
    """

    def __init__(self, given: Any) -> None:
        self._ask = getattr(given, "get_frozen_credentials", given)
        self._is_fixed = isinstance(given, S3Credentials)
        self._is_botocores = self._ask is not given
        if inspect.iscoroutinefunction(self._ask) or inspect.iscoroutinefunction(type(self._ask).__call__):
            raise ValueError("the provider of credentials has to be awaited: give one that does not")
        self.forked()
        tell_in_children(self)
        self._held = _held(given if self._is_fixed else self._asked())
        self()

    def forked(self) -> None:
        """This process was forked, and a thread that was asking is not here."""
        self._lock = threading.Lock()

    def __call__(self) -> Mapping[str, Any]:
        """The keys of this moment, which are masked from now on wherever they would be shown."""
        if self._is_botocores:
            self._held = _held(self._asked())  # it knows by itself when to renew them
        elif self._held.renewal is not None and datetime.now(UTC) >= self._held.renewal:
            self._renew(self._held)
        keys = self._held.keys
        keep_secret(keys["secret_access_key"], keys["token"])
        return keys

    @property
    def latest(self) -> Mapping[str, Any]:
        """The keys that were given last; nobody is asked."""
        return self._held.keys

    @property
    def end(self) -> datetime | None:
        """When the keys that were given last end, if that is known."""
        return end_of(self._ask.__self__) if self._is_botocores else self._held.end

    def _renew(self, before: _Held) -> None:
        if not self._lock.acquire(blocking=before.is_over()):
            return
        try:
            if self._held is before and not self._is_fixed:
                self._held = _held(self._asked())
        except CredentialsError:
            if before.is_over():
                raise
        finally:
            self._lock.release()
        if self._held.is_over():
            hint = "give a function that gives others" if self._is_fixed else "have the provider give others"
            raise CredentialsError(f"the credentials ended at {self._held.end:%Y-%m-%dT%H:%M:%SZ}", hint=hint)

    def _asked(self) -> S3Credentials:
        """What the provider gives. No error of its own is kept, which may hold what it was about to give."""
        try:
            found = self._ask()
            if self._is_botocores:
                return S3Credentials(found.access_key, found.secret_key, found.token or None)
        except Exception as error:  # noqa: BLE001  it is the caller's own code
            said = f"{type(error).__name__}: {error}".rstrip(": .")
            raise_alone(CredentialsError(f"the provider of credentials failed: {said}", hint="renew the credentials"))
        if not isinstance(found, S3Credentials):
            what = type(found).__qualname__
            raise CredentialsError(f"the provider of credentials gave {what}", hint="have it give S3Credentials")
        return found


def end_of(credentials: Any) -> datetime | None:
    """When botocore's ``credentials`` end, if they do, and it knows."""
    end: datetime | None = getattr(credentials, "_expiry_time", None)
    return end


def _held(found: S3Credentials) -> _Held:
    keys = {
        "access_key_id": found.access_key_id,
        "secret_access_key": found.secret_access_key,
        "token": found.session_token,
    }
    if found.expires_at is None:
        return _Held(keys, None, None)
    end = found.expires_at.astimezone(UTC)
    left = max(end - datetime.now(UTC), timedelta())
    return _Held(keys, end - min(_AHEAD, left / 2), end)
