"""What was published, and where: enough for anybody to fetch and verify it (specification, "Published Result Spec")."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from .checksum import Checksum
from .errors import ResultError
from .params import read_params
from .places import check_name, check_place, check_type

WRAPPER = "PublishedResult"
_NAMES = {
    "Bucket": "bucket",
    "Key": "key",
    "Endpoint": "endpoint",
    "Region": "region",
    "ChecksumSHA256": "checksum_sha256",
    "VersionID": "version_id",
    "Encoding": "encoding",
}


@dataclass(frozen=True, slots=True)
class PublishedResult:
    """An object, or the objects under a prefix, in a store.

    ``checksum_sha256`` is the SHA-256 of the whole object, also where the store reports a composite. For a prefix
    (``encoding="plain"``) it is that of the list which ``sha256sum -z`` prints of the files, in the order of their
    names' bytes. It may be given as hex, as hex after ``0x``, or as base64. ``version_id`` is ``None`` where the store
    keeps no versions. ``claimed`` says that a mapping was read, whose author may be anybody: what it names is used only
    as far as ``keystow.trust`` admits it. Raises ``ResultError`` for values that cannot be.
    """

    type: str
    bucket: str
    key: str
    endpoint: str | None = None
    region: str | None = None
    version_id: str | None = None
    checksum_sha256: Checksum | None = None
    encoding: str = "gzip"
    claimed: bool = field(default=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "type", check_type(self.type, ResultError))
        if self.encoding not in {"gzip", "plain"}:
            raise ResultError(f"{WRAPPER}.Params.Encoding is {self.encoding!r}: write gzip or plain")
        given = {"endpoint": self.endpoint, "region": self.region}
        check_place(self.type, self.bucket, given, ResultError)
        check_name(self.type, self.key, prefix=self.encoding == "plain", error=ResultError)
        if self.checksum_sha256 is not None:
            object.__setattr__(self, "checksum_sha256", Checksum(self.checksum_sha256))

    @property
    def url(self) -> str:
        """The object's name, or the prefix's, for people: ``s3://bucket/key``."""
        return f"{self.type}://{self.bucket}/{self.key}"

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, object]) -> Self:
        """Reads what ``to_mapping`` gives, with or without the wrapper ``PublishedResult``.

        Raises ``ResultError``.

        >>> PublishedResult.from_mapping({"Type": "s3", "Params": {"Bucket": "b", "Key": "k.tar.gz"}}).key
        'k.tar.gz'
        """
        kind, values = read_params(
            mapping, wrapper=WRAPPER, names=_NAMES, required=("Bucket", "Key"), error=ResultError
        )
        checksum = values.pop("ChecksumSHA256", None)
        encoding = values.pop("Encoding", "gzip").lower()
        return cls(
            type=kind,
            **{_NAMES[name]: value for name, value in values.items()},
            encoding=encoding,
            checksum_sha256=None if checksum is None else Checksum(checksum),
            claimed=True,
        )

    def to_mapping(self) -> dict[str, object]:
        """``{"Type": …, "Params": {…}}`` as in the specification, without what is not known."""
        params = {}
        for name, attribute in _NAMES.items():
            value = getattr(self, attribute)
            if name == "ChecksumSHA256" and value is not None:
                value = f"0x{value}"
            if value is not None and (name, value) != ("Encoding", "gzip"):
                params[name] = str(value)
        return {"Type": self.type, "Params": params}
