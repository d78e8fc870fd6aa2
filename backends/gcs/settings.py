"""Where Google Cloud Storage is, by its variables, and whether what they name can be used; nothing is asked for."""

import json
from collections.abc import Mapping

from keystow.backends.endpoints import check_endpoint

EMULATOR = "STORAGE_EMULATOR_HOST"
CREDENTIALS = "GOOGLE_APPLICATION_CREDENTIALS"


def emulator(environment: Mapping[str, str]) -> str | None:
    """The URL of the emulator that the environment names, if it names one. Raises ``ValueError``."""
    host = environment.get(EMULATOR)
    if not host or host == "default":
        return None
    return check_endpoint(host if "://" in host else f"http://{host}", EMULATOR)


def configured_endpoints(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The endpoints that the user has set for this store. Raises ``ValueError``.

    >>> configured_endpoints({"STORAGE_EMULATOR_HOST": "localhost:4443"})
    ('http://localhost:4443',)
    """
    found = emulator(environment)
    return () if found is None else (found,)


def credentials_file(environment: Mapping[str, str]) -> str | None:
    """The file of credentials that the environment names. Raises ``ValueError`` for one that can be none."""
    file = environment.get(CREDENTIALS)
    if not file:
        return None
    try:
        with open(file, encoding="utf-8") as opened:
            found = json.load(opened)
    except OSError as error:
        raise ValueError(f"{CREDENTIALS}: {file!r} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise ValueError(f"{CREDENTIALS}: {file!r} is no JSON: name a key file of Google's") from None
    if not isinstance(found, dict) or "type" not in found:
        raise ValueError(f"{CREDENTIALS}: {file!r} says no type of credentials: name a key file of Google's")
    return file
