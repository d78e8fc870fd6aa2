"""Where S3 is and who asks: what the environment and the configuration files of AWS say, as botocore reads them.

What is set is checked before anything is sent; an error names the variable, or the file and the profile.
"""

import binascii
import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from keystow.backends.endpoints import check_endpoint, check_region, region_of
from keystow.backends.errors import CredentialsError, StoreError, raise_alone
from keystow.backends.texts import guard_logs, keep_secret, presentable

from .profile import configuration_files, simple_profile

DEFAULT_REGION = "us-east-1"
ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")
CA_BUNDLES = ("AWS_CA_BUNDLE",)
KEYS = {
    "access_key_id": "AWS_ACCESS_KEY_ID",
    "secret_access_key": "AWS_SECRET_ACCESS_KEY",
    "token": "AWS_SESSION_TOKEN",
}
"""The variables that hold credentials, by the names that the code has for them."""
_IGNORED = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"
_TAKES_BOTOCORE = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SECURITY_TOKEN",
    "AWS_CREDENTIAL_EXPIRATION",
    _IGNORED,
)
_METADATA_SECONDS = 0.5
_MOST_CERTIFICATES = 64 << 20
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)
_DER_SEQUENCE = b"\x30"
_BUCKET = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,255}|arn:aws[a-z0-9-]*:[a-z0-9-]+:[A-Za-z0-9:/._-]{1,500}")
_LOGGERS = (
    "aiobotocore.credentials",
    "aiobotocore.regions",
    "aiobotocore.tokens",
    "aiobotocore.utils",
    "aiohttp.client",
    "aiohttp.internal",
    "asyncio",
    "botocore",
    "botocore.args",
    "botocore.auth",
    "botocore.awsrequest",
    "botocore.client",
    "botocore.compat",
    "botocore.configprovider",
    "botocore.credentials",
    "botocore.endpoint",
    "botocore.endpoint_provider",
    "botocore.handlers",
    "botocore.history",
    "botocore.hooks",
    "botocore.httpchecksum",
    "botocore.httpsession",
    "botocore.loaders",
    "botocore.parsers",
    "botocore.regions",
    "botocore.response",
    "botocore.retries.adaptive",
    "botocore.retries.special",
    "botocore.retries.standard",
    "botocore.retryhandler",
    "botocore.session",
    "botocore.tokens",
    "botocore.useragent",
    "botocore.utils",
    "fsspec",
    "fsspec.asyn",
    "s3fs",
    "urllib3.connection",
    "urllib3.connectionpool",
    "urllib3.poolmanager",
    "urllib3.response",
    "urllib3.util.retry",
)
"""All that record while a store works: requests with their headers, what is signed, answers, credentials."""


def check_bucket(name: str) -> str:
    """Gives ``name`` back if it can be a bucket's, or the ARN of an access point. Raises ``ValueError``."""
    if "@" in name:
        raise ValueError(
            "what holds '@' is no name of a bucket; it has no credentials either: use the default credentials chain"
        )
    if not _BUCKET.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a bucket: use letters, digits, dots and hyphens")
    return name


def check_addressing(style: str | None) -> None:
    """Raises ``ValueError`` for a way to address a bucket that there is not."""
    if style not in {None, "path", "virtual"}:
        raise ValueError(f"addressing={style!r} is unknown: use 'path' or 'virtual'")


def check_ca_file(path: str, source: str) -> str:
    """Gives ``path`` back if certificates can be read from it. Raises ``ValueError``, which names ``source``."""
    wrong = ""
    try:
        if not os.path.isfile(path):
            wrong = "is no file" if os.path.exists(path) else "is not there"
        else:
            with open(path, "rb") as file:
                certificates = _CERTIFICATE.findall(file.read(_MOST_CERTIFICATES))
            if not certificates:
                wrong = "holds no certificate"
            elif not all(binascii.a2b_base64(one).startswith(_DER_SEQUENCE) for one in certificates):
                wrong = "holds a broken certificate"
    except OSError as error:
        wrong = f"cannot be read ({error.strerror})"
    except binascii.Error:
        wrong = "holds a broken certificate"
    if wrong:
        raise ValueError(f"{source}: {path!r} {wrong}: name a file of certificates in PEM form")
    return path


def guard() -> None:
    """Has what S3's clients log prepared, so that it may be shown."""
    guard_logs(*_LOGGERS)


def check_keys(keys: Mapping[str, Any], source: str = "env") -> None:
    """Has these credentials masked wherever they would be shown. Raises ``ValueError`` if no header can hold them.

    ``source`` is botocore's name for the place where they come from; ``env`` are the variables of ``KEYS``.
    """
    keep_secret(keys["secret_access_key"], keys["token"])
    for name, variable in KEYS.items():
        value = keys[name] or ""
        if not (value.isascii() and value.isprintable()):
            what = variable if source == "env" else f"the {name} ({source})"
            raise ValueError(f"{what} holds a line break, or a character that is not ASCII: correct it")


def set_in(environment: Mapping[str, str], variables: tuple[str, ...]) -> tuple[str, str] | None:
    """The first of ``variables`` that is set, and its value."""
    return next(((name, environment[name]) for name in variables if environment.get(name)), None)


def configured(session: Any) -> Any:
    """``session``, of botocore or aiobotocore, with a short wait for instance metadata. Raises ``ValueError``.

    It has the description of S3's interface from where the others have it, as to read that takes a quarter of a second.
    """
    from botocore.configprovider import ConstantProvider

    if not isinstance(session.get_scoped_config().get("s3", {}), dict):
        where = source_of("", (), "s3", session)
        raise ValueError(f"{where}: write the settings of s3 below it, indented")  # noqa: TRY004  as for others
    if session.get_config_variable("metadata_service_timeout") == 1:
        # As a config variable it would be cut to whole seconds, and 0 is no limit at all.
        provider = ConstantProvider(_METADATA_SECONDS)
        session.get_component("config_store").set_config_provider("metadata_service_timeout", provider)
    session.register_component("data_loader", _descriptions(session.get_config_variable("data_path")))
    return session


@lru_cache(maxsize=4)
def _descriptions(path: str | None) -> Any:
    """What reads descriptions of services, along ``path`` too, and keeps them."""
    from botocore.loaders import create_loader

    return create_loader(path)


def endpoint_of(given: str | None, session: Any) -> str | None:
    """The ``given`` endpoint, or the one that is configured for S3; ``None`` for AWS's own. Raises ``ValueError``."""
    from botocore.configprovider import ConfiguredEndpointProvider

    if given:
        return check_endpoint(given)
    if session.get_config_variable("ignore_configured_endpoint_urls"):
        return None
    found: str | None = ConfiguredEndpointProvider(
        full_config=session.full_config, scoped_config=session.get_scoped_config(), client_name="s3"
    ).provide()
    return check_endpoint(found, source_of(found, ENDPOINTS, "endpoint_url", session)) if found else None


def configured_endpoints(environment: Mapping[str, str], profile: str | None = None) -> tuple[str, ...]:
    """The endpoints that the user has set for this store: in ``environment``, or else in AWS's configuration file.

    There, it is that of the ``profile``, or else of the one that the environment names.

    Raises ``ValueError`` for one that can be none. A file that cannot be read is told when the store is opened.

    >>> configured_endpoints({"AWS_ENDPOINT_URL": "http://127.0.0.1:9000"})
    ('http://127.0.0.1:9000',)
    """
    found = set_in(environment, ENDPOINTS)
    named = (check_endpoint(found[1], found[0]),) if found else ()
    is_simple = not profile and not takes_botocore(environment) and simple_profile(environment) is not None
    if is_simple or not (configuration_files(environment) or environment.get(_IGNORED)):
        return named
    try:
        from botocore.exceptions import BotoCoreError
        from botocore.session import Session
    except ImportError:
        return named
    try:
        used = endpoint_of(None, Session(profile=profile))
    except BotoCoreError:
        return named
    return (used,) if used else ()


def takes_botocore(environment: Mapping[str, str]) -> bool:
    """Whether a variable is set of which botocore has to make something."""
    return any(map(environment.get, _TAKES_BOTOCORE))


def region_for(given: str | None, endpoint: str | None, session: Any) -> str | None:
    """The region to sign for, if anybody names it: the ``given`` one, the endpoint's, or the configured one.

    Raises ``ValueError`` if that can be none.
    """
    if named := given or region_of(endpoint):
        return check_region(named)
    region: str | None = os.environ.get("AWS_REGION") or session.get_config_variable("region")
    return check_region(region, source_of(region, REGIONS, "region", session)) if region else None


def ca_file_for(given: str | None, session: Any) -> str | None:
    """The file of the certificates to trust, if one is ``given`` or configured. Raises ``ValueError`` as it must."""
    if given:
        return check_ca_file(given, "ca_file")
    found: str | None = session.get_config_variable("ca_bundle") or None
    return check_ca_file(found, source_of(found, CA_BUNDLES, "ca_bundle", session)) if found else None


def source_of(value: str, variables: tuple[str, ...], setting: str, session: Any) -> str:
    """Where ``value`` was set: the variable, or the file."""
    for name in variables:
        if os.environ.get(name) == value:
            return name
    return f"{setting} of the profile {session.profile or 'default'} in {session.get_config_variable('config_file')}"


def no_credentials() -> CredentialsError:
    """The error for a chain that ends without credentials."""
    return CredentialsError(
        "no AWS credentials were found",
        hint="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, "
        "or fill ~/.aws/credentials, or give this machine an instance role",
    )


@contextlib.contextmanager
def setting_errors() -> Iterator[None]:
    """Within this, what botocore says of settings becomes a ``ValueError``, and of credentials a ``CredentialsError``.

    For the time before anything is sent to S3.
    """
    from botocore import exceptions as botocore

    try:
        with credential_errors():
            yield
    except StoreError:
        raise
    except (botocore.ClientError, botocore.ConnectionError, botocore.HTTPClientError, botocore.SSOError) as error:
        raise_alone(CredentialsError(str(error).rstrip("."), hint="renew the credentials"))
    except botocore.BotoCoreError as error:
        raise_alone(ValueError(presentable(f"the settings for AWS cannot be used: {error}")))
    except OSError as error:
        raise_alone(ValueError(f"the settings for AWS cannot be used: {error.filename}: {error.strerror}"))


@contextlib.contextmanager
def credential_errors() -> Iterator[None]:
    """Within this, what botocore says of credentials becomes a ``CredentialsError``."""
    from botocore import exceptions as botocore

    try:
        yield
    except (botocore.NoCredentialsError, botocore.PartialCredentialsError, botocore.ProfileNotFound) as error:
        raise_alone(CredentialsError(str(error).rstrip("."), hint="correct the profile, or the credentials"))
    except (botocore.CredentialRetrievalError, botocore.TokenRetrievalError, botocore.MetadataRetrievalError) as error:
        raise_alone(CredentialsError(str(error).rstrip("."), hint="renew the credentials"))


@contextlib.contextmanager
def renewal_errors() -> Iterator[None]:
    """Within this, whatever keeps credentials from being renewed becomes a ``CredentialsError``."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        with credential_errors():
            yield
    except CredentialsError:
        raise
    except (BotoCoreError, ClientError, OSError, ValueError) as error:
        raise_alone(CredentialsError(str(error).rstrip("."), hint="renew the credentials"))
