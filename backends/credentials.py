"""Credentials that a caller gives in code: for which store which kind is, and S3's, which show themselves to nobody.

Strategy: what is given is looked at by its form alone, so that no cloud's library is loaded for it, and refused before
anything is sent. No message repeats more of it than the name of its type.
"""

import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple, NoReturn, Protocol, TypeAlias

from .texts import keep_secret


class S3Credentials:
    """A key of S3's, perhaps with the token of a session, and the instant at which they end, if they do.

    It cannot be changed, shows no secret, and is neither pickled nor copied. Raises ``ValueError``, which names the
    argument and not its value, for what no request can hold, and for an ``expires_at`` without a time zone.

    >>> S3Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    S3Credentials('…MPLE')
    """

    __slots__ = ("access_key_id", "expires_at", "secret_access_key", "session_token")

    access_key_id: str
    secret_access_key: str
    session_token: str | None
    expires_at: datetime | None

    def __init__(
        self,
        access_key_id: str,
        secret_access_key: str,
        session_token: str | None = None,
        *,
        expires_at: datetime | None = None,
    ) -> None:
        texts: dict[str, object] = {"access_key_id": access_key_id, "secret_access_key": secret_access_key}
        if session_token is not None:
            texts["session_token"] = session_token
        for name, text in texts.items():
            if not (isinstance(text, str) and text and text.isascii() and text.isprintable()):
                raise ValueError(f"{name} is no text that a request can hold: give all of it, and nothing else")
        keep_secret(secret_access_key, session_token)
        if expires_at is not None and expires_at.utcoffset() is None:
            raise ValueError("expires_at has no time zone: give a datetime that has one")
        given = {"session_token": None, **texts, "expires_at": expires_at}
        for name, value in given.items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        shown = f"'…{self.access_key_id[-4:]}'" if len(self.access_key_id) >= 16 else "…"
        return f"{type(self).__name__}({shown})"

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("credentials do not change: make others")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("credentials do not change: make others")

    def __reduce__(self) -> NoReturn:
        raise TypeError("credentials are neither pickled nor copied: have the other process find its own")


class _OfBotocore(Protocol):
    def get_frozen_credentials(self) -> Any: ...


class _OfGoogle(Protocol):
    def refresh(self, request: Any, /) -> Any: ...


class _OfAzure(Protocol):
    def get_token(self, *scopes: str, **options: Any) -> Any: ...


class _KeyOfAzure(Protocol):
    @property
    def named_key(self) -> Any: ...


class _SasOfAzure(Protocol):
    @property
    def signature(self) -> str: ...


Provider: TypeAlias = Callable[[], S3Credentials]
"""Gives the credentials of the moment; it is called from any thread, and by no two of one store's at once."""
Credentials: TypeAlias = S3Credentials | Provider | _OfBotocore | _OfGoogle | _OfAzure | _KeyOfAzure | _SasOfAzure
"""What ``open_store`` takes."""


def _is_of_s3(given: object) -> bool:
    if isinstance(given, type):
        return False
    return isinstance(given, S3Credentials) or hasattr(given, "get_frozen_credentials") or callable(given)


def _is_of_google(given: object) -> bool:
    loaded = sys.modules.get("google.auth.credentials")  # or there is none of its objects
    return loaded is not None and isinstance(given, loaded.Credentials)


def _is_of_azure(given: object) -> bool:
    return not isinstance(given, type) and any(hasattr(given, name) for name in ("get_token", "named_key", "signature"))


class _Kind(NamedTuple):
    fits: Callable[[object], bool]
    what: str


_KINDS = {
    "s3": _Kind(_is_of_s3, "S3Credentials, a function that gives them, or botocore's credentials"),
    "gs": _Kind(_is_of_google, "google.auth.credentials.Credentials"),
    "az": _Kind(
        _is_of_azure, "what has get_token, as azure.identity's have, AzureNamedKeyCredential or AzureSasCredential"
    ),
}


def check_credentials(protocol: str, credentials: object, profile: str | None) -> None:
    """Raises ``ValueError`` for ``credentials`` and a ``profile`` that a store of this protocol does not take."""
    if profile is not None and protocol != "s3":
        raise ValueError(f"{protocol}:// has no profiles, which are AWS's: leave profile out")
    if credentials is None:
        return
    if profile is not None:
        raise ValueError("credentials and a profile name somebody each: leave one of them out")
    kind = _KINDS.get(protocol)
    if kind is None:
        raise ValueError(f"{protocol}:// takes no credentials of keystow's: leave credentials out")
    if not kind.fits(credentials):
        name = credentials.__name__ if isinstance(credentials, type) else f"{type(credentials).__qualname__} object"
        raise ValueError(f"{protocol}:// takes {kind.what} as credentials, and was given {name}")
