"""What was published, and where: enough for anybody to fetch and verify it (specification, "Published Result Spec")."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from .bacalhau import Source, is_input, read_input, written_input
from .checksum import Checksum
from .errors import ResultError, SpecError
from .keys import KeyRuleError
from .keys.naming import file_key
from .params import read_params
from .places import ENCODINGS, check_name, check_place, check_type

WRAPPER = "PublishedResult"
_LONGEST_VERSION = 1024  # https://docs.aws.amazon.com/AmazonS3/latest/userguide/versioning-workflows.html
_SIZE = re.compile(r"[0-9]{1,19}")
_NAMES = {
    "Bucket": "bucket",
    "Key": "key",
    "Endpoint": "endpoint",
    "Region": "region",
    "ChecksumSHA256": "checksum_sha256",
    "VersionID": "version_id",
    "Encoding": "encoding",
    "Size": "size",
    "TarSHA256": "tar_sha256",
    "IndexSHA256": "index_sha256",
}
_CHECKSUMS = {"ChecksumSHA256", "TarSHA256", "IndexSHA256"}


@dataclass(frozen=True, slots=True)
class PublishedResult:
    """An object, or the objects under a prefix, in a store.

    ``encoding`` is ``"gzip"`` for an archive, ``"plain"`` for a prefix, and ``"raw"`` for one file as it is.
    ``checksum_sha256`` is the SHA-256 of the whole object, also where the store reports a composite. For a prefix
    (``encoding="plain"``) it is that of the list which ``sha256sum -z`` prints of the files, in the order of their
    names' bytes, ``index_sha256`` is that of its manifest, and ``version_id`` is the manifest's. A checksum may be
    given as hex, as hex after ``0x``, or as base64. ``version_id`` is ``None`` where the store keeps no versions.
    ``store_checksum`` is the SHA-256 that S3 keeps of the object, as it reports it; it is known of what was just
    published, stands in no mapping but an input source's, and makes no difference between results.
    ``size`` are the bytes of an object. Of an archive, ``tar_sha256`` is the SHA-256 of its tar stream, which is the
    same whatever compressed it, and ``index_sha256`` that of its index, which proves each part of it (docs/format.md).
    ``claimed`` says that a mapping was read, whose author may be anybody: what it names is used only as far as
    ``keystow.trust`` admits it. Raises ``ResultError`` for values that cannot be.
    """

    type: str
    bucket: str
    key: str
    endpoint: str | None = None
    region: str | None = None
    version_id: str | None = None
    checksum_sha256: Checksum | None = None
    encoding: str = "gzip"
    store_checksum: str | None = field(default=None, compare=False)
    claimed: bool = field(default=False, compare=False, repr=False)
    size: int | None = None
    tar_sha256: Checksum | None = None
    index_sha256: Checksum | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "type", check_type(self.type, ResultError))
        if self.encoding not in ENCODINGS:
            raise ResultError(f"{WRAPPER}.Params.Encoding is {self.encoding!r}: write gzip or plain, or raw")
        given = {"endpoint": self.endpoint, "region": self.region}
        check_place(self.type, self.bucket, given, ResultError)
        check_name(self.type, self.key, prefix=self.encoding == "plain", error=ResultError)
        if self.encoding == "raw":
            _check_file(self.key)
        if self.version_id is not None and not _is_version(self.version_id):
            raise ResultError(
                f"{WRAPPER}.Params.VersionID is {self.version_id[:80]!r}, which no store gives: "
                f"it has 1 to {_LONGEST_VERSION} characters that can be printed"
            )
        for name in ("checksum_sha256", "tar_sha256", "index_sha256"):
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, Checksum(value))
        if self.size is not None and (type(self.size) is not int or self.size < 0):
            raise ResultError(f"{WRAPPER}.Params.Size is {self.size!r}: write a number of bytes")

    @property
    def url(self) -> str:
        """The object's name, or the prefix's, for people: ``s3://bucket/key``."""
        return f"{self.type}://{self.bucket}/{self.key}"

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, object]) -> Self:
        """Reads what ``to_mapping`` gives, with or without the wrapper ``PublishedResult``, and ``to_input_source``.

        An input source may stand alone, or as the only one under ``InputSources``. Raises ``ResultError``.

        >>> PublishedResult.from_mapping({"Type": "s3", "Params": {"Bucket": "b", "Key": "k.tar.gz"}}).key
        'k.tar.gz'
        """
        if is_input(mapping):
            return cls._from_source(read_input(mapping))
        kind, values = read_params(
            mapping, wrapper=WRAPPER, names=_NAMES, required=("Bucket", "Key"), error=ResultError
        )
        said: dict[str, Any] = {_NAMES[name]: value for name, value in values.items()}
        said["encoding"] = said.get("encoding", "gzip").lower()
        if "size" in said:
            said["size"] = _size(said["size"])
        return cls(type=kind, **said, claimed=True)

    @classmethod
    def parse(cls, text: str) -> Self:
        """What lies at ``s3://bucket/key``, perhaps with ``,opt=endpoint=…``, of which no checksum is known.

        A key that ends with ``/`` is a prefix, another one an archive, unless ``opt=encoding=`` says ``plain`` or
        ``raw``. Raises ``ResultError``.

        >>> PublishedResult.parse("s3://bucket/results/a.tar.gz").key
        'results/a.tar.gz'
        """
        from .spec import PublisherSpec

        try:
            place = PublisherSpec.parse(text)
        except SpecError as error:
            raise ResultError(str(error)) from None
        if place.engine is not None:
            raise ResultError(f"{text!r} names an engine, and what is published has none: set KEYSTOW_ENGINE")
        if place.requester_pays:
            raise ResultError(f"{text!r} says who pays, which whoever reads it says himself: give requester_pays=")
        if not place.manifest:
            raise ResultError(f"{text!r} says that there is no manifest, which is said as manifest=False: leave it out")
        if place.options.named():
            raise ResultError(f"{text!r} says how objects are written, and it is written: leave these options out")
        encoding = "plain" if place.key.endswith("/") and place.encoding == "gzip" else place.encoding
        return cls(place.type, place.bucket, place.key, place.endpoint, place.region, encoding=encoding)

    @classmethod
    def _from_source(cls, source: Source) -> Self:
        whole = source.whole_checksum
        return cls(
            type="s3",
            bucket=source.bucket,
            key=source.key,
            endpoint=source.endpoint,
            region=source.region,
            version_id=source.version_id,
            checksum_sha256=None if whole is None else Checksum(whole),
            encoding="plain" if source.is_prefix else "gzip",
            store_checksum=source.kept_checksum,
            claimed=True,
        )

    def to_input_source(self, target: str) -> dict[str, object]:
        """The entry of a Bacalhau job's ``InputSources`` that mounts what was published at the path ``target``.

        It holds the checksum that S3 keeps, with which Bacalhau compares, where that is known: of a result that was
        just published to AWS, or read from such an entry. Of a prefix, Bacalhau looks at no version and no checksum.
        Raises ``ResultError`` for what is not in S3, and for a key that Bacalhau would read as another.

        >>> PublishedResult("s3", "b", "k.tar.gz").to_input_source("/inputs")["Target"]
        '/inputs'
        """
        if self.type != "s3":
            raise ResultError(f"a Bacalhau job takes its input from s3, and this result is of {self.type}")
        source = Source(
            bucket=self.bucket,
            key=self.key,
            is_prefix=self.encoding == "plain",
            endpoint=self.endpoint,
            region=self.region,
            version_id=None if self.encoding == "plain" else self.version_id,
            checksum=self.store_checksum,
        )
        return written_input(source, target)

    def to_mapping(self) -> dict[str, object]:
        """``{"Type": …, "Params": {…}}`` as in the specification, without what is not known."""
        params = {}
        for name, attribute in _NAMES.items():
            value = getattr(self, attribute)
            if name in _CHECKSUMS and value is not None:
                value = f"0x{value}"
            if value is not None and (name, value) != ("Encoding", "gzip"):
                params[name] = str(value)
        return {"Type": self.type, "Params": params}


def _check_file(key: str) -> None:
    try:
        file_key(key)
    except KeyRuleError as error:
        raise ResultError(str(error)) from None


def _size(text: str) -> int:
    if not _SIZE.fullmatch(text):
        raise ResultError(f"{WRAPPER}.Params.Size is {text[:80]!r}: write a number of bytes")
    return int(text)


def _is_version(text: str) -> bool:
    return 0 < len(text) <= _LONGEST_VERSION and text.isprintable()
