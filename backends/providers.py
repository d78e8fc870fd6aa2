"""What is known of those who speak S3's protocol: data, with sources for each row.

``measured`` rows are compared with what the servers do whenever the tests run; the others say what somebody else says.
``docs/doctor.md`` holds the same table, which a test compares.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from .endpoints import is_aws


class Provider(NamedTuple):
    """One of them: how its ``host`` or its ``Server`` header is recognised (patterns), and what is known.

    ``promises`` are words of ``promises.PROMISES``, each ``"kept"``, ``"ignored"`` or ``"refused"``; what is not in it
    is not known. ``note`` says what else there is to know.
    """

    name: str
    host: str | None
    server: str | None
    promises: Mapping[str, str]
    note: str
    sources: tuple[str, ...]
    measured: bool = False

    @property
    def told(self) -> str:
        """What is known, and from where, in one line.

        >>> recognised("https://s3.eu-central-003.backblazeb2.com", "").told[:37]
        'Backblaze B2: if absent refused; publ'
        """
        hows = {how: [name for name, found in self.promises.items() if found == how] for how in _HOWS}
        parts = [f"{', '.join(names)} {how}" for how, names in hows.items() if names]
        said = "measured" if self.measured else " ".join(self.sources)
        return f"{self.name}: {'; '.join((*parts, self.note) if self.note else parts)} ({said})"


_TESTS = ("tests/publisher/test_doctor.py",)
_HOWS = ("kept", "ignored", "refused")
_ALL = dict.fromkeys(("if absent", "if absent in parts", "checksums", "ranges", "odd keys"), "kept")
PROVIDERS = (
    Provider(
        "AWS",
        None,
        None,
        dict.fromkeys(("if absent", "if absent in parts"), "kept"),
        "10,000 parts of 5 MiB to 5 GiB",
        (
            "https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html",
            "https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html",
        ),
    ),
    Provider(
        "Cloudflare R2",
        r"r2\.cloudflarestorage\.com",
        None,
        {},
        "all parts but the last have to be of one size; keystow's are larger beyond 16,000 MiB",
        ("https://developers.cloudflare.com/r2/objects/multipart-objects",),
    ),
    Provider(
        "Backblaze B2",
        r"backblazeb2\.com",
        None,
        {"if absent": "refused"},
        "publish with --if-exists replace, to keys that are different each time",
        ("https://github.com/sathinduga/obsidian-s3-sync-and-backup/pull/84",),
    ),
    Provider(
        "MinIO",
        None,
        "MinIO",
        {"if absent": "kept"},
        "keys with //, or with . or .. between slashes, are refused",
        (
            "https://blog.min.io/leading-the-way-minios-conditional-write-feature-for-modern-data-workloads/",
            "https://github.com/minio/minio/issues/5874",
        ),
    ),
    Provider(
        "Ceph",
        None,
        "Ceph",
        {},
        "its own tests do not look at conditional writes: ask with --write-probe",
        ("https://github.com/ceph/s3-tests/issues/583",),
    ),
    Provider("SeaweedFS", None, "SeaweedFS", _ALL, "", _TESTS, measured=True),
    Provider(
        "moto",
        None,
        None,
        _ALL | {"checksums": "ignored"},
        "it checks neither signatures nor permissions",
        _TESTS,
        measured=True,
    ),
    Provider(
        "rclone serve s3",
        None,
        None,
        _ALL | {"if absent": "ignored", "if absent in parts": "ignored"},
        "it keeps no versions",
        _TESTS,
        measured=True,
    ),
)


def recognised(endpoint: str | None, server: str) -> Provider | None:
    """Whose ``endpoint`` it is (``None`` for AWS's own), by its host, or else by what it says in ``Server``.

    >>> recognised("https://0123.r2.cloudflarestorage.com", "cloudflare").name
    'Cloudflare R2'
    """
    if is_aws(endpoint):
        return PROVIDERS[0]
    host = urlsplit(endpoint or "").hostname or ""
    for row in PROVIDERS:
        if row.host and re.search(rf"(?:^|\.){row.host}$", host):
            return row
    return next((row for row in PROVIDERS if row.server and server.startswith(row.server)), None)
