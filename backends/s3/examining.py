"""What stands between this process and a bucket of S3's, found out in the order in which a person would look.

Strategy: first what is set, which asks nobody; then one request without a signature, which tells of the server and its
clock; then two signed ones, whose answers tell of the credentials, the bucket and its region. Nothing is written.
"""

import base64
import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, NamedTuple

from keystow.backends.endpoints import region_of
from keystow.backends.errors import (
    AccessDeniedError,
    BucketNotFoundError,
    CredentialsError,
    NotFoundError,
    StoreError,
    StoreUnavailableError,
)
from keystow.backends.findings import Finding
from keystow.backends.providers import recognised
from keystow.backends.reaching import Heard, Proxy, clock, reached
from keystow.backends.sending.lines import Lines

from .answers import NOT_S3, is_error
from .carriers import Carriers
from .failures import proxy_to
from .options import Terms
from .place import Options, Place, address, frozen_keys
from .provided import end_of
from .refusals import ELSEWHERE, bucket_region, refused
from .requests import Answer, Request
from .settings import (
    DEFAULT_REGION,
    ENDPOINTS,
    REGIONS,
    ca_file_for,
    check_keys,
    configured,
    endpoint_of,
    no_credentials,
    region_for,
    setting_errors,
    source_of,
)
from .signed import trusting

_CARRIERS = {"signed": "signed requests of keystow's own", "client": "fsspec's client"}
_METHODS = {
    "env": "the environment",
    "shared-credentials-file": "the credentials file",
    "config-file": "the configuration file",
    "custom-process": "a process that the profile names",
    "assume-role": "a role that the profile takes",
    "assume-role-with-web-identity": "a role, taken with a web identity",
    "sso": "single sign-on",
    "container-role": "the container's role",
    "iam-role": "the instance's role",
}
"""How botocore calls the places where it finds credentials."""
_SHOWN = 4
_LEAST_MASKED = 12
_PLAIN_BUCKET = re.compile(r"(?!.*--x-s3$)[A-Za-z0-9._-]+")
_ROOTS = re.compile(rb"\s*(?:<\?xml[^>]{0,200}>\s*)?<ListBucketResult[\s>]")


class Asked(NamedTuple):
    """A bucket that is examined: the ``engine`` and the ``options`` to open it with, and the ``terms`` of requests."""

    bucket: str
    engine: str
    options: Options
    terms: Terms
    still: float


def examined(asked: Asked) -> Iterator[Finding]:
    """What is found, one thing after another; what depends on something that has failed is not looked at.

    A server's clock is looked at, even without credentials.
    """
    options = asked.options
    try:
        with setting_errors():
            session = _session(options)
    except (ValueError, StoreError) as error:
        yield Finding.of("credentials", error)
        return
    settings = {name: _set(name, find, options, session) for name, find in _SETTINGS.items()}
    yield from filter(None, settings.values())
    wrong = {name for name, finding in settings.items() if finding is not None and finding.outcome == "failed"}
    if wrong - {"credentials"}:
        return
    where = _place(options, session)
    if wrong:
        yield from _heard(asked, where)
        return
    try:
        carriers = Carriers(asked.bucket, asked.engine, options)
    except (ValueError, StoreError) as error:
        yield Finding.of("carrier", error)
        return
    with closing(carriers):
        yield Finding("carrier", "ok", f"{_CARRIERS[carriers.usual.carrier]}: {carriers.usual.why}")
        for finding in _heard(asked, where):
            yield finding
            if finding.outcome == "failed" and finding.name != "clock":
                return
        yield from _answered(asked, carriers, is_assumed=where.assumed)


def _session(options: Options) -> Any:
    from botocore.session import Session

    session = configured(Session(profile=options.profile))
    session.get_scoped_config()
    return session


def _set(name: str, find: Callable[[Options, Any], Finding | None], options: Options, session: Any) -> Finding | None:
    """What is found of a setting, or what is wrong with it."""
    try:
        with setting_errors():
            return find(options, session)
    except (ValueError, StoreError) as error:
        return Finding.of(name, error)


def _endpoint(options: Options, session: Any) -> Finding:
    where = endpoint_of(options.endpoint, session)
    if where is None:
        return Finding("endpoint", "ok", "AWS's own, as none is set")
    source = "the destination" if options.endpoint else source_of(where, ENDPOINTS, "endpoint_url", session)
    return Finding("endpoint", "ok", f"{where}, of {source}")


def _region(options: Options, session: Any) -> Finding:
    endpoint = endpoint_of(options.endpoint, session)
    region = region_for(options.region, endpoint, session)
    if region is None:
        return Finding("region", "ok", f"{DEFAULT_REGION}, as none is set")
    if options.region and region_of(options.endpoint) != options.region:
        source = "the destination"
    elif region_of(endpoint):
        source = "the endpoint's name"
    else:
        source = source_of(region, REGIONS, "region", session)
    return Finding("region", "ok", f"{region}, of {source}")


def _certificates(options: Options, session: Any) -> Finding | None:
    trusted = ca_file_for(options.ca_file, session)
    return None if trusted is None else Finding("certificates", "ok", f"those in {trusted} are trusted")


def _credentials(options: Options, session: Any) -> Finding:
    if options.credentials is not None:
        keys, source, end = options.credentials(), "the caller", options.credentials.end
    else:
        found = session.get_credentials()
        if found is None:
            raise no_credentials()
        keys, source, end = frozen_keys(found), _METHODS.get(found.method, str(found.method)), end_of(found)
        check_keys(keys, source)
        if found.method != "env" and (profile := session.profile):
            source = f"{source}, profile {profile}"
    temporary = ", temporary" if keys.get("token") else ""
    until = f", until {end:%Y-%m-%dT%H:%M:%SZ}" if end else ""
    return Finding("credentials", "ok", f"{masked(keys['access_key_id'])}, of {source}{temporary}{until}")


_SETTINGS: dict[str, Callable[[Options, Any], Finding | None]] = {
    "endpoint": _endpoint,
    "region": _region,
    "certificates": _certificates,
    "credentials": _credentials,
}
"""What is set, in the order in which it is told."""


def masked(key_id: str) -> str:
    """What may be shown of the id of a key: its end, if it is long enough to hide the rest.

    >>> masked("AKIAIOSFODNN7EXAMPLE"), masked("short")
    ('****MPLE', '****')
    """
    return f"****{key_id[-_SHOWN:]}" if len(key_id) >= _LEAST_MASKED else "****"


def _place(options: Options, session: Any) -> Place:
    """Where requests go, of which no credentials are needed."""
    endpoint = endpoint_of(options.endpoint, session)
    region = region_for(options.region, endpoint, session)
    trusted = ca_file_for(options.ca_file, session)
    return Place(endpoint, region or DEFAULT_REGION, region is None, trusted, dict, "")


def _heard(asked: Asked, where: Place) -> Iterator[Finding]:
    """What a server says to who is unknown to it: of its kind and its clock. Its kind is last if it is another one."""
    url = where.endpoint or f"https://s3.{where.region}.amazonaws.com"
    if _PLAIN_BUCKET.fullmatch(asked.bucket):
        url = address(asked.bucket, where, asked.options.addressing)
    proxy = proxy_to(url)
    tls = trusting(where.ca_file) if url.startswith("https") else None
    heard, finding = reached(f"{url}/?list-type=2&max-keys=0", tls=tls, proxy=proxy, seconds=asked.options.connect)
    yield finding
    if heard is None:
        return
    yield _kind(heard, proxy)
    row = recognised(where.endpoint, heard.headers.get("server", ""))
    if row is not None:
        yield Finding("provider", "ok", row.told)
    yield clock(heard)


def _kind(heard: Heard, proxy: Proxy | None) -> Finding:
    """Whether the server speaks S3, as far as its answer to a stranger tells."""
    headers = heard.headers
    speaks = is_error(heard.body) or _ROOTS.match(heard.body) or "x-amz-request-id" in headers
    if speaks:
        return Finding("server", "ok", "it speaks S3")
    named = headers.get("server", "")[:60]
    what = f"it does not speak S3: status {heard.status}{f', server {named}' if named else ''}"
    instead = f"; or see whether the proxy of {proxy.variable} answers in its place" if proxy else ""
    return Finding("server", "failed", what, f"{NOT_S3}{instead}")


def _answered(asked: Asked, carriers: Carriers, *, is_assumed: bool) -> Iterator[Finding]:
    """What signed requests tell of the credentials, of the bucket and of its region."""
    answers = []
    for operation in ("get_bucket_versioning", "head_bucket"):
        try:
            answers.append(_sent(asked, carriers, operation))
        except StoreError as error:
            yield Finding.of("answer", error)
            return
    refusals = [
        refused(answer, operation, asked.bucket, "", carriers.endpoint) if answer.status >= 300 else None
        for answer, operation in zip(answers, ("get_bucket_versioning", "head_bucket"), strict=True)
    ]
    told = refusals[0]
    region = next(filter(None, map(bucket_region, answers)), None)
    if isinstance(told, CredentialsError):
        yield Finding.of("signature", told)
        return
    if any(error is not None and error.code in ELSEWHERE for error in refusals):
        yield _elsewhere(asked.options, carriers.region, region)
        return
    if isinstance(told, StoreUnavailableError):
        yield Finding.of("answer", told)
        return
    if told is None or refusals[1] is None or isinstance(told, AccessDeniedError | NotFoundError):
        yield Finding("signature", "ok", "it is accepted")
    if region is not None and region != carriers.region and not is_assumed:
        yield _elsewhere(asked.options, carriers.region, region)
        return
    yield _bucket(asked.bucket, told, refusals[1], region)
    if told is None or not isinstance(told, BucketNotFoundError):
        yield _versioning(answers[0], told)


def _sent(asked: Asked, carriers: Carriers, operation: str) -> Answer:
    with Lines(asked.still).line() as line:
        line.begins()
        request = asked.terms.on(Request(operation))
        return carriers.carrier_of(operation).send(request, line)


def _elsewhere(options: Options, here: str, there: str | None) -> Finding:
    if there is None or there == here:
        found = f"the bucket is in another region than {here}, which the server does not name"
        return Finding("bucket region", "failed", found, "find the region where the bucket is, and write opt=region=")
    mend = f"write opt=region={there} in the destination"
    if region_of(options.endpoint):
        mend = f"name the endpoint of {there}, or leave it out and {mend}"
    elif options.region is None:
        mend = f"{mend}, or set AWS_REGION={there}"
    return Finding("bucket region", "failed", f"the bucket is in {there}, and requests are signed for {here}", mend)


def _bucket(name: str, told: StoreError | None, head: StoreError | None, region: str | None) -> Finding:
    for error in (told, head):
        if isinstance(error, NotFoundError):
            hint = error.hint or "create the bucket, or correct its name, endpoint or region"
            return Finding("bucket", "failed", f"there is no bucket {name}", hint)
    at = f" in {region}" if region else ""
    if told is None or head is None:
        return Finding("bucket", "ok", f"it is there{at}")
    if isinstance(head, AccessDeniedError):
        return Finding("bucket", "unknown", "it may not be asked after, as who only publishes need not")
    return Finding.of("bucket", head, "unknown")


def _versioning(answer: Answer, told: StoreError | None) -> Finding:
    if told is not None:
        why = "it may not be asked" if isinstance(told, AccessDeniedError) else f"the server says {told.code}"
        return Finding("versioning", "unknown", why)
    found = re.search(rb"<Status>(Enabled|Suspended)</Status>", answer.body)
    if found is None:
        return Finding("versioning", "ok", "off: what is published again replaces what was there")
    on = found[1] == b"Enabled"
    return Finding("versioning", "ok", "on: each publication keeps its version" if on else "suspended")


def takes_wrong_checksums(asked: Asked, key: str) -> dict[str, bool]:
    """By the name of each kind of checksum: whether content is taken that does not have it.

    What is taken is stored under ``key``. Raises ``StoreError``.
    """
    wrong = hashlib.sha256(b"something else"), hashlib.md5(b"something else", usedforsecurity=False)
    sent = dict(zip(("SHA-256", "Content-MD5"), wrong, strict=True))
    names = {"SHA-256": "ChecksumSHA256", "Content-MD5": "ContentMD5"}
    found = {}
    with closing(Carriers(asked.bucket, asked.engine, asked.options)) as carriers, Lines(asked.still).line() as line:
        for name, digest in sent.items():
            line.begins()
            value = base64.b64encode(digest.digest()).decode()
            request = asked.terms.on(Request("put_object", key, {names[name]: value}, b"content"))
            found[name] = carriers.carrier_of("put_object").send(request, line).status < 300
    return found
