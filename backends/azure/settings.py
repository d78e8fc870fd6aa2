"""Which account of Azure's is opened, and with what, by an endpoint and the variables; nothing is asked for.

https://learn.microsoft.com/azure/storage/common/storage-configure-connection-string
"""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple
from urllib.parse import unquote, urlsplit

from keystow.backends.endpoints import check_endpoint, is_loopback, is_provider, is_same, origin
from keystow.backends.errors import CredentialsError
from keystow.backends.texts import keep_secret

CONNECTION = "AZURE_STORAGE_CONNECTION_STRING"
NAME = "AZURE_STORAGE_ACCOUNT_NAME"
KEY = "AZURE_STORAGE_ACCOUNT_KEY"
SAS = "AZURE_STORAGE_SAS_TOKEN"
_NAMED_KEY = "AzureNamedKeyCredential"
_GIVEN_SAS = "AzureSasCredential"
HINT = f"set {CONNECTION}, or {NAME} and a key or SAS, or az login"

_ACCOUNT = re.compile(r"[A-Za-z0-9-]{1,63}")
_SIGNATURE = re.compile(r"\??(?:[!-:<-~]*&)?sig=[!-%'-:<-~]+(?:&[!-:<-~]*)?")
_EMULATOR = "http://127.0.0.1:10000/devstoreaccount1"


class Account(NamedTuple):
    """An account's URL and name, and what it is opened by.

    A SAS and a token are sent, a key signs, with ``"none"`` nobody is named. ``connection`` is a connection string,
    for all but the default credential's token; given that, adlfs heeds no variable. ``credential`` is what gives the
    token, if the caller gave it in code.
    """

    endpoint: str
    name: str
    by: Literal["key", "sas", "token", "none"]
    connection: str | None = None
    credential: Any = None

    def __repr__(self) -> str:
        return f"Account({self.endpoint!r}, {self.name!r}, by={self.by!r})"


def account(endpoint: str | None, environment: Mapping[str, str], given: Any = None) -> Account:
    """The account at ``endpoint``, or the one that the environment names; opened by what was ``given`` in code, if any.

    Raises ``ValueError`` for a variable that is set wrongly, and for what would be sent in the open, and
    ``CredentialsError`` where something is missing.
    """
    found = _found(endpoint, environment) if given is None else _opened_by(given, endpoint, environment)
    if found.by in {"sas", "token"} and origin(found.endpoint)[0] != "https" and not is_loopback(found.endpoint):
        what = "a shared access signature" if found.by == "sas" else "an access token"
        raise ValueError(f"{found.endpoint} is called without TLS, and {what} would go there in the open: use https")
    return found


def configured_endpoints(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The endpoints that the user has set for this store. Raises ``ValueError``.

    >>> configured_endpoints({"AZURE_STORAGE_ACCOUNT_NAME": "results"})
    ('https://results.blob.core.windows.net',)
    """
    connected, name = _connected(environment), _named(environment)
    own = (f"https://{name}.blob.core.windows.net",) if name else ()
    return ((connected.endpoint,) if connected else ()) + own


def _found(endpoint: str | None, environment: Mapping[str, str]) -> Account:
    connected, named = _connected(environment), _named(environment)
    key, sas = _key(environment.get(KEY), KEY), _sas(environment.get(SAS), SAS)
    if endpoint is not None:
        endpoint = check_endpoint(endpoint).rstrip("/")
    if connected is not None and (endpoint is None or is_same(endpoint, connected.endpoint)):
        return connected
    if endpoint is None:
        if named is None:
            raise CredentialsError("no Azure storage account was named", hint=HINT)
        endpoint = f"https://{named}.blob.core.windows.net"
    name = _name_at(endpoint, named, NAME)
    if key or sas:
        secret = f"AccountKey={key}" if key else f"SharedAccessSignature={sas}"
        connection = f"BlobEndpoint={endpoint};AccountName={name};{secret}"
        return Account(endpoint, name, "key" if key else "sas", connection)
    if connected is not None or not is_provider("az", endpoint):
        raise CredentialsError(
            f"there are no credentials for {endpoint}"
            + (f": {CONNECTION} is that of {connected.endpoint}" if connected else ""),
            hint=f"set {CONNECTION}, {KEY} or {SAS}",
        )
    return Account(endpoint, name, "token")


def _opened_by(given: Any, endpoint: str | None, environment: Mapping[str, str]) -> Account:
    """The account that is opened by what was ``given``, and by no secret that the environment holds."""
    by = "token" if hasattr(given, "get_token") else "key" if hasattr(given, "named_key") else "sas"
    source = _NAMED_KEY if by == "key" else NAME
    named = _account_name(given.named_key.name, source) if by == "key" else _named(environment)
    if endpoint is None and by != "key":
        endpoint = next(iter(configured_endpoints(environment)), None)
    if endpoint is None and named is None:
        raise CredentialsError("no Azure storage account was named", hint=f"give its endpoint, or set {NAME}")
    endpoint = check_endpoint(endpoint or f"https://{named}.blob.core.windows.net").rstrip("/")
    name = _name_at(endpoint, named, source)
    at = f"BlobEndpoint={endpoint};AccountName={name}"
    if by == "token":
        if not is_provider("az", endpoint):
            hint = f"give {_NAMED_KEY} or {_GIVEN_SAS}"
            raise CredentialsError(f"there are no credentials for {endpoint}: a token goes to Azure alone", hint=hint)
        return Account(endpoint, name, "token", at, given)
    if by == "key":
        key = _key(given.named_key.key or "-", _NAMED_KEY)
        return Account(endpoint, name, "key", f"{at};AccountKey={key}")
    return Account(endpoint, name, "sas", f"{at};SharedAccessSignature={_sas(given.signature or '-', _GIVEN_SAS)}")


def _name_at(endpoint: str, named: str | None, source: str) -> str:
    """The name of the account at ``endpoint``. Raises ``CredentialsError`` where ``source`` has ``named`` another."""
    owner = _owner(endpoint)
    if named is not None and owner is not None and owner != named:
        raise CredentialsError(
            f"there are no credentials for {endpoint}: {source} names another account, {named}",
            hint=f"unset it, or name {owner}" if source == NAME else f"give those of {owner}",
        )
    return owner or named or (urlsplit(endpoint).hostname or "").partition(".")[0]


def _connected(environment: Mapping[str, str]) -> Account | None:
    """The account of the connection string, read as the SDK reads it. No message repeats its values."""
    text = environment.get(CONNECTION)
    if not text:
        return None
    fields = [field.partition("=") for field in text.strip().rstrip(";").split(";")]
    said = {name.strip().upper(): value for name, _, value in fields}
    if not all(equals for _, equals, _ in fields):
        raise ValueError(f"{CONNECTION}: it is no connection string: write Name=value;Name=value")
    if said.get("USEDEVELOPMENTSTORAGE") == "true":
        return Account(_EMULATOR, "devstoreaccount1", "key", text)
    key = _key(said.get("ACCOUNTKEY"), f"{CONNECTION}, AccountKey")
    sas = _sas(said.get("SHAREDACCESSSIGNATURE"), f"{CONNECTION}, SharedAccessSignature")
    name = _account_name(said.get("ACCOUNTNAME"), f"{CONNECTION}, AccountName")
    if name is None and "BLOBENDPOINT" not in said:
        raise ValueError(f"{CONNECTION}: it names no account: add AccountName or BlobEndpoint")
    protocol, suffix = said.get("DEFAULTENDPOINTSPROTOCOL", "https"), said.get("ENDPOINTSUFFIX", "core.windows.net")
    endpoint = said.get("BLOBENDPOINT") or f"{protocol}://{name}.blob.{suffix}"
    endpoint = check_endpoint(endpoint, CONNECTION).rstrip("/")
    name = name or _owner(endpoint) or (urlsplit(endpoint).hostname or "").partition(".")[0]
    return Account(endpoint, name, "key" if key and said.get("ACCOUNTNAME") else "sas" if sas else "none", text)


def _named(environment: Mapping[str, str]) -> str | None:
    return _account_name(environment.get(NAME), NAME)


def _account_name(name: str | None, source: str) -> str | None:
    if name and not _ACCOUNT.fullmatch(name):
        raise ValueError(f"{source}: {name!r} is no account's name: use letters, digits and '-'")
    return name or None


def _key(key: str | None, source: str) -> str | None:
    if not key:
        return None
    keep_secret(key)
    try:
        base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"{source}: it is no account key, which is base64: copy the whole key") from None
    return key


def _sas(sas: str | None, source: str) -> str | None:
    if not sas:
        return None
    signature = sas.partition("sig=")[2].partition("&")[0]
    keep_secret(sas, sas.lstrip("?"), signature, unquote(signature))
    if not _SIGNATURE.fullmatch(sas):
        raise ValueError(f"{source}: it is no shared access signature: copy all of it, from sv= or se= on")
    return sas.lstrip("?")


def _owner(endpoint: str) -> str | None:
    """The account that an endpoint names: in its host with Azure itself, in its path elsewhere."""
    parts = urlsplit(endpoint)
    if is_provider("az", endpoint):
        return (parts.hostname or "").partition(".")[0]
    return parts.path.strip("/").partition("/")[0] or None
