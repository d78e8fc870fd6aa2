"""Where S3 is and who asks: what the environment and the configuration files of AWS say, as botocore reads them."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from .aws import region_of
from .errors import CredentialsError

DEFAULT_REGION = "us-east-1"
_METADATA_SECONDS = 0.5


def configured(session: Any) -> Any:
    """``session``, of botocore or aiobotocore, with a short wait for instance metadata."""
    from botocore.configprovider import ConstantProvider

    if session.get_config_variable("metadata_service_timeout") == 1:
        # As a config variable it would be cut to whole seconds, and 0 is no limit at all.
        provider = ConstantProvider(_METADATA_SECONDS)
        session.get_component("config_store").set_config_provider("metadata_service_timeout", provider)
    return session


def endpoint_of(session: Any) -> str | None:
    """The endpoint that is configured for S3; ``None`` for AWS's own."""
    from botocore.configprovider import ConfiguredEndpointProvider

    if session.get_config_variable("ignore_configured_endpoint_urls"):
        return None
    found: str | None = ConfiguredEndpointProvider(
        full_config=session.full_config, scoped_config=session.get_scoped_config(), client_name="s3"
    ).provide()
    return found


def region_for(given: str | None, endpoint: str | None, session: Any) -> str | None:
    """The region to sign for, if anybody names it: the ``given`` one, the endpoint's, or the configured one."""
    region: str | None = given or region_of(endpoint) or os.environ.get("AWS_REGION")
    return region or session.get_config_variable("region") or None


def no_credentials() -> CredentialsError:
    """The error for a chain that ends without credentials."""
    return CredentialsError(
        "no AWS credentials were found",
        hint="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, "
        "or fill ~/.aws/credentials, or give this machine an instance role",
    )


@contextlib.contextmanager
def credential_errors() -> Iterator[None]:
    """Within this, what botocore says of credentials becomes a ``CredentialsError``."""
    from botocore import exceptions as botocore

    try:
        yield
    except (botocore.NoCredentialsError, botocore.PartialCredentialsError, botocore.ProfileNotFound) as error:
        raise CredentialsError(str(error).rstrip("."), hint="correct the profile, or the credentials") from error
    except (botocore.CredentialRetrievalError, botocore.TokenRetrievalError, botocore.MetadataRetrievalError) as error:
        raise CredentialsError(str(error).rstrip("."), hint="renew the credentials") from error
