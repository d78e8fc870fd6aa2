"""What a pre-signed URL says of itself."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

_DATED = (("X-Amz-Date", "X-Amz-Expires"), ("X-Goog-Date", "X-Goog-Expires"))
"""When it was signed, and the seconds that it lasts: S3's signature version 4, and Google's."""
_END = "se"
"""When a shared access signature of Azure's ends."""


def expiry_of(url: str) -> datetime | None:
    """When a pre-signed URL ends, in UTC; ``None`` where it does not say so.

    A URL that temporary credentials signed ends with these, if that is sooner and it was not known.

    Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html,
    https://cloud.google.com/storage/docs/authentication/signatures,
    https://learn.microsoft.com/rest/api/storageservices/create-service-sas#specify-the-access-policy.

    >>> expiry_of("https://b.s3.amazonaws.com/k?X-Amz-Date=20261129T100000Z&X-Amz-Expires=3600")
    datetime.datetime(2026, 11, 29, 11, 0, tzinfo=datetime.timezone.utc)
    """
    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    with suppress(ValueError, OverflowError):
        for signed, lasts in _DATED:
            if signed in query and lasts in query:
                begin = datetime.strptime(query[signed], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
                return begin + timedelta(seconds=int(query[lasts]))
        if _END in query and "sig" in query:
            end = datetime.fromisoformat(query[_END])
            return end.replace(tzinfo=UTC) if end.tzinfo is None else end.astimezone(UTC)
    return None
