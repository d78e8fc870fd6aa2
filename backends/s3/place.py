"""Where the bucket is, and who asks: found in the environment and in simple files if these have it all, or by botocore.

botocore, which would find the same, takes long to load.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from keystow.backends.endpoints import check_endpoint, check_region, is_region, region_of
from keystow.backends.sending.limits import CONNECT
from keystow.backends.texts import keep_secret

from .profile import simple_profile
from .provided import Provided
from .settings import (
    CA_BUNDLES,
    DEFAULT_REGION,
    ENDPOINTS,
    KEYS,
    REGIONS,
    ca_file_for,
    check_ca_file,
    check_keys,
    configured,
    endpoint_of,
    no_credentials,
    region_for,
    renewal_errors,
    set_in,
    setting_errors,
    takes_botocore,
)

_ROLE = ("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN")
"""The variables of a role that comes before the keys in a file."""


class Options(NamedTuple):
    """What a caller may say of the way to a bucket; ``connect`` are the seconds in which a connection has to stand.

    With ``credentials``, no others are looked for.
    """

    endpoint: str | None
    region: str | None
    profile: str | None
    ca_file: str | None
    addressing: str | None
    connect: float = CONNECT
    credentials: Provided | None = None


class Place(NamedTuple):
    """Where the bucket is, and who asks.

    ``assumed`` says that nobody named the region. ``credentials`` gives those of the moment, by the names of ``KEYS``.
    ``special`` is the kind of AWS endpoint that is configured, if it is not the usual one.
    """

    endpoint: str | None
    region: str
    assumed: bool
    ca_file: str | None
    credentials: Callable[[], Mapping[str, Any]]
    special: str


def place(options: Options) -> Place:
    """The place that these options and the surroundings name. Raises ``ValueError`` for what is set wrongly."""
    simple = from_environment(options) if options.profile is None and options.ca_file is None else None
    return simple or from_botocore(options)


def address(bucket: str, where: Place, addressing: str | None) -> str:
    """The URL of the bucket, which is in the path or the host name."""
    usual = where.endpoint is None and "." not in bucket
    virtual = addressing == "virtual" or (addressing is None and usual)
    base = urlsplit(where.endpoint or f"https://s3.{where.region}.amazonaws.com")
    path = base.path.rstrip("/")
    place = f"{bucket}.{base.netloc}{path}" if virtual else f"{base.netloc}{path}/{bucket}"
    return f"{base.scheme}://{place}"


def from_environment(options: Options) -> Place | None:
    """The settings, if the environment and simple files have them all: botocore, which would find the same, is slow."""
    environment = {name: value for name, value in os.environ.items() if value}
    profile = None if takes_botocore(environment) else simple_profile(os.environ)
    if profile is None or (profile.region and not is_region(profile.region)):
        return None
    keys: Mapping[str, Any] = {name: environment.get(variable) for name, variable in KEYS.items()}
    if options.credentials is None:
        if not keys["access_key_id"] and profile.keys and not any(map(environment.get, _ROLE)):
            keys = profile.keys
        if not keys["access_key_id"] or not keys["secret_access_key"]:
            return None
        check_keys(keys)
    given = options.endpoint
    where = check_endpoint(given) if given else _checked(set_in(environment, ENDPOINTS), check_endpoint)
    named = options.region or region_of(where)
    named = check_region(named) if named else _checked(set_in(environment, REGIONS), check_region) or profile.region
    special = [name for name in ("fips", "dualstack") if _is_true(environment.get(f"AWS_USE_{name}_ENDPOINT".upper()))]
    return Place(
        where,
        named or DEFAULT_REGION,
        named is None,
        _checked(set_in(environment, CA_BUNDLES), check_ca_file),
        credentials=options.credentials or (lambda: keys),
        special=special[0] if special else "",
    )


def _checked(found: tuple[str, str] | None, check: Callable[[str, str], str | None]) -> str | None:
    """The value of a variable, if it is set, ``check``-ed under the variable's name."""
    return check(found[1], found[0]) if found else None


def from_botocore(options: Options) -> Place:
    """The same, as botocore finds it."""
    from botocore.session import Session

    with setting_errors():
        session = configured(Session(profile=options.profile))
        where = endpoint_of(options.endpoint, session)
        named = region_for(options.region, where, session)
        trusted = ca_file_for(options.ca_file, session)
        credentials = options.credentials or _found_by(session)
        s3 = session.get_scoped_config().get("s3")
        special = [name for name in ("fips", "dualstack") if session.get_config_variable(f"use_{name}_endpoint")]
        if isinstance(s3, dict):
            special += [
                f"use_{name}_endpoint"
                for name in ("accelerate", "dualstack")
                if _is_true(s3.get(f"use_{name}_endpoint"))
            ]
        return Place(
            where,
            named or DEFAULT_REGION,
            named is None,
            trusted,
            credentials=credentials,
            special=special[0] if special else "",
        )


def _found_by(session: Any) -> Callable[[], Mapping[str, Any]]:
    """The credentials at the end of botocore's chain."""
    found = session.get_credentials()
    if found is None:
        raise no_credentials()
    check_keys(frozen_keys(found), found.method)
    return lambda: frozen_keys(found)


def frozen_keys(credentials: Any) -> dict[str, Any]:
    """The credentials of this moment, which botocore renews ahead of time."""
    with renewal_errors():
        frozen = credentials.get_frozen_credentials()
    keep_secret(frozen.secret_key, frozen.token)
    return {
        "access_key_id": frozen.access_key,
        "secret_access_key": frozen.secret_key,
        "token": frozen.token or None,
    }


def _is_true(value: str | None) -> bool:
    """As botocore takes it."""
    return (value or "").lower() == "true"
