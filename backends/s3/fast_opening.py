"""The obstore engine on S3: the same credentials, endpoint, region and checksums as the fsspec engine has."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from keystow.backends.contract import Store
from keystow.backends.endpoints import check_endpoint, check_region, is_aws, is_provider, region_of
from keystow.backends.errors import StoreError, UnsupportedError, raise_alone
from keystow.backends.fast import Cloud, Late, Refusal, no_panic
from keystow.backends.texts import keep_secret

from .answers import strangers
from .failures import proxy_variable, unanswered
from .fast_store import FastS3Store
from .refusals import translated
from .settings import (
    CA_BUNDLES,
    DEFAULT_REGION,
    ENDPOINTS,
    KEYS,
    REGIONS,
    ca_file_for,
    check_addressing,
    check_bucket,
    check_ca_file,
    check_keys,
    configuration_files,
    configured,
    endpoint_of,
    guard,
    no_credentials,
    region_for,
    renewal_errors,
    set_in,
    setting_errors,
)

if TYPE_CHECKING:
    from .signed import Requests

_FRESH = timedelta(minutes=10)
_TRUE = {"1", "true", "yes", "on"}
_TAKES_BOTOCORE = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SECURITY_TOKEN",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
)
_HEEDED_BY_OBSTORE_ALONE = (
    "AWS_TOKEN",
    "AWS_CHECKSUM_ALGORITHM",
    "AWS_SERVER_SIDE_ENCRYPTION",
    "AWS_SSE_KMS_KEY_ID",
    "AWS_SSE_BUCKET_KEY_ENABLED",
    "AWS_SSE_CUSTOMER_KEY_BASE64",
    "AWS_PROXY_URL",
    "AWS_PROXY_EXCLUDES",
    "AWS_DEFAULT_HEADERS",
    "AWS_CONDITIONAL_PUT",
    "AWS_COPY_IF_NOT_EXISTS",
)
_REGIONS = re.compile(r"(?:af|ap|ca|eu|il|me|mx|sa|us)-(?!iso)")
"""Those in the domain ``amazonaws.com``."""
_NAMES = re.compile(r"[A-Za-z0-9._-]{1,255}")
_BODY = re.compile(r"\A(?:Server returned non-2xx status code: [^:]{1,100}:)?(.*)\Z", re.DOTALL)
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


@dataclass(frozen=True, slots=True)
class _Settings:
    """Where the bucket is, and who asks.

    ``assumed`` says that nobody named the region. ``credentials`` gives them as obstore wants them, ``lasting`` says
    that they never change, and ``hindrance`` what obstore cannot do.
    """

    endpoint: str | None
    region: str
    assumed: bool
    ca_file: str | None
    credentials: Callable[[], dict[str, Any]]
    lasting: bool
    hindrance: str


def open_s3(
    bucket: str,
    *,
    open_rest: Callable[[], Store],
    forced: bool,
    endpoint: str | None = None,
    region: str | None = None,
    profile: str | None = None,
    ca_file: str | None = None,
    addressing: str | None = None,
    conditions: bool = True,
) -> Store:
    """The store; unless ``forced``, that of ``open_rest`` where obstore would do anything otherwise than it."""
    check_bucket(bucket)
    check_addressing(addressing)
    guard()
    simple = _from_environment(endpoint, region) if profile is None and ca_file is None else None
    settings = simple or _from_botocore(endpoint, region, profile, ca_file)
    hindrance = settings.hindrance or _hindrance(bucket, settings)
    if hindrance and forced:
        raise UnsupportedError(f"s3://{bucket}: obstore cannot do {hindrance}: use engine=fsspec")
    others_trusted = settings.ca_file and _is_encrypted(settings.endpoint)
    region_unknown = settings.assumed and is_aws(settings.endpoint)
    if hindrance or ((others_trusted or region_unknown) and not forced):
        # obstore trusts the system's certificates as well, and does not ask for the bucket's region.
        return open_rest()

    virtual, url = _address(bucket, settings, addressing)

    def refused(refusal: Refusal, key: str, operation: str) -> StoreError:
        return _refused(bucket, settings.endpoint, refusal, key, operation)

    connect = _connector(bucket, settings, url, virtual=virtual)
    cloud = Cloud(f"s3://{bucket}", settings.endpoint, connect, refused, unanswered)

    def open_requests() -> "Requests | None":
        if proxy_variable(url):
            return None
        from .signed import Requests

        place = url if virtual else f"{url}/{bucket}"
        return Requests(place, settings.region, settings.ca_file, settings.credentials, cloud)

    from obstore.exceptions import BaseError

    try:
        with no_panic(f"s3://{bucket}"):
            return FastS3Store(
                cloud,
                Late(open_rest),
                name=bucket,
                region=settings.region,
                conditions=conditions,
                verified=is_aws(settings.endpoint),
                open_requests=open_requests,
            )
    except BaseError as error:
        if not forced:
            return open_rest()
        said = str(error).partition("\n")[0]
        raise_alone(StoreError(f"s3://{bucket}: obstore cannot be started: {said}", hint="use engine=fsspec"))


def _connector(
    bucket: str, settings: _Settings, url: str, *, virtual: bool
) -> Callable[[Mapping[str, Any], Mapping[str, Any]], Any]:
    trusted = {"root_certificate": Path(settings.ca_file).read_bytes()} if settings.ca_file else {}

    def connect(client_options: Mapping[str, Any], retry_config: Mapping[str, Any]) -> Any:
        from obstore.store import S3Store

        return S3Store(
            bucket,
            config=_config(settings, url, virtual=virtual),
            client_options={**client_options, **trusted, "allow_http": url.startswith("http:")},
            retry_config=retry_config,
            credential_provider=None if settings.lasting else settings.credentials,
        )

    return connect


def _refused(bucket: str, endpoint: str | None, refusal: Refusal, key: str, operation: str) -> StoreError:
    message = refusal.message
    if not refusal.code:
        body = _BODY.search(message)
        message = _phrase(refusal.status) if body and not body[1].strip() else strangers(endpoint)
    response = {
        "Error": {"Code": refusal.code or refusal.status, "Message": message},
        "ResponseMetadata": {
            "HTTPStatusCode": refusal.status,
            "HTTPHeaders": {"location": refusal.location},
            "RequestId": refusal.request_id,
        },
    }
    return translated(response, operation, bucket, key)


def _phrase(status: str) -> str:
    from http import HTTPStatus

    return next((known.phrase for known in HTTPStatus if str(known.value) == status), "")


def _address(bucket: str, settings: _Settings, addressing: str | None) -> tuple[bool, str]:
    """Whether the bucket is in the host name; and the URL, with it or without."""
    usual = settings.endpoint is None and "." not in bucket
    virtual = addressing == "virtual" or (addressing is None and usual)
    base = urlsplit(settings.endpoint or f"https://s3.{settings.region}.amazonaws.com")
    return virtual, f"{base.scheme}://{f'{bucket}.' if virtual else ''}{base.netloc}{base.path.rstrip('/')}"


def _config(settings: _Settings, url: str, *, virtual: bool) -> dict[str, Any]:
    return {
        "endpoint": url,
        "aws_endpoint_url_s3": url,
        "region": settings.region,
        "virtual_hosted_style_request": virtual,
        "skip_signature": False,
        "unsigned_payload": False,
        "request_payer": False,
        "s3_express": False,
        **({"checksum_algorithm": "SHA256"} if is_aws(settings.endpoint) else {}),
        **(_keys(settings.credentials()) if settings.lasting else {}),
    }


def _keys(credentials: Mapping[str, Any]) -> dict[str, str]:
    """Credentials for the configuration: to be asked for them, obstore loads ``asyncio``."""
    names = {"access_key_id": "access_key_id", "secret_access_key": "secret_access_key", "token": "session_token"}
    return {name: credentials[given] for given, name in names.items() if credentials[given]}


def _from_environment(endpoint: str | None, region: str | None) -> _Settings | None:
    """The settings, if the environment has them all: botocore, which would find the same, takes long to load."""
    environment = {name: value for name, value in os.environ.items() if value}
    if any(map(environment.get, _TAKES_BOTOCORE)) or configuration_files(environment):
        return None
    keys = {name: environment.get(variable) for name, variable in KEYS.items()} | {"expires_at": None}
    if not keys["access_key_id"] or not keys["secret_access_key"]:
        return None
    check_keys(keys)
    where = check_endpoint(endpoint) if endpoint else _checked(set_in(environment, ENDPOINTS), check_endpoint)
    named = region or region_of(where)
    named = check_region(named) if named else _checked(set_in(environment, REGIONS), check_region)
    special = [name for name in ("fips", "dualstack") if _is_true(environment.get(f"AWS_USE_{name}_ENDPOINT".upper()))]
    return _Settings(
        where,
        named or DEFAULT_REGION,
        named is None,
        _checked(set_in(environment, CA_BUNDLES), check_ca_file),
        credentials=lambda: keys,
        lasting=True,
        hindrance=f"{special[0]} endpoints" if special else "",
    )


def _checked(found: tuple[str, str] | None, check: Callable[[str, str], str | None]) -> str | None:
    """The value of a variable, if it is set, ``check``-ed under the variable's name."""
    return check(found[1], found[0]) if found else None


def _from_botocore(endpoint: str | None, region: str | None, profile: str | None, ca_file: str | None) -> _Settings:
    from botocore.session import Session

    with setting_errors():
        session = configured(Session(profile=profile))
        where = endpoint_of(endpoint, session)
        named = region_for(region, where, session)
        trusted = ca_file_for(ca_file, session)
        found = session.get_credentials()
        if found is None:
            raise no_credentials()
        check_keys(_frozen(found), found.method)
        s3 = session.get_scoped_config().get("s3")
        special = [name for name in ("fips", "dualstack") if session.get_config_variable(f"use_{name}_endpoint")]
        if isinstance(s3, dict):
            special += [
                f"use_{name}_endpoint"
                for name in ("accelerate", "dualstack")
                if _is_true(s3.get(f"use_{name}_endpoint"))
            ]
        return _Settings(
            where,
            named or DEFAULT_REGION,
            named is None,
            trusted,
            credentials=lambda: _frozen(found),
            lasting=False,
            hindrance=f"{special[0]} endpoints" if special else "",
        )


def _frozen(credentials: Any) -> dict[str, Any]:
    """The credentials of this moment; botocore renews them ahead of time, so they are asked for again before long."""
    with renewal_errors():
        frozen = credentials.get_frozen_credentials()
    keep_secret(frozen.secret_key, frozen.token)
    return {
        "access_key_id": frozen.access_key,
        "secret_access_key": frozen.secret_key,
        "token": frozen.token or None,
        "expires_at": datetime.now(UTC) + _FRESH,
    }


def _hindrance(bucket: str, settings: _Settings) -> str:
    if heeded := set_in(os.environ, _HEEDED_BY_OBSTORE_ALONE):
        return f"without {heeded[0]}, which it alone heeds"
    if bucket.endswith("--x-s3"):
        return "directory buckets"
    if settings.credentials()["token"] and not is_provider("s3", settings.endpoint or "https://s3.amazonaws.com"):
        return f"a session token at {settings.endpoint}, which it would carry along a redirect"
    if settings.endpoint is None and not _REGIONS.match(settings.region):
        return f"the region {settings.region}"
    on_aws = is_aws(settings.endpoint) and (bucket.endswith(".mrap") or not _BUCKET.fullmatch(bucket))
    if on_aws or not _NAMES.fullmatch(bucket):
        return f"the bucket {bucket}"
    return ""


def _is_encrypted(endpoint: str | None) -> bool:
    return endpoint is None or endpoint.startswith("https:")


def _is_true(value: str | None) -> bool:
    return (value or "").lower() in _TRUE
