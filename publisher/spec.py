"""Where to publish: the specification's publisher parameters, in its imperative and its declarative syntax."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from .backends import ObjectOptions
from .backends.errors import UnknownStoreError
from .backends.opening import ENGINES, located
from .errors import SpecError
from .keys import KeyRules
from .params import named, near_to, nearest, read_params
from .places import ENCODINGS, KINDS, check_place, check_type, kind_of
from .writing import PARAMS, check_writing, flag, read_params_of_writing, written_params

_PLACE = ("Bucket", "Key", "Endpoint", "Region", "Encoding", "Engine")
_NAMES = (*_PLACE, "Manifest", *PARAMS)
_OPTION = re.compile(r"([A-Za-z][A-Za-z0-9_-]*)=(.*)", re.DOTALL)
_COMMA = re.compile(r",(?=\s*[A-Za-z][A-Za-z0-9_-]*=)")
_QUOTED = re.compile(r'(?:^|,)"')
_PATH = re.compile("[~./]")
_BRACES = re.compile(r"\{\{|\}\}|\{")
_EXAMPLE = "s3://bucket/results/{jobID}"


@dataclass(frozen=True, slots=True)
class PublisherSpec:
    """A bucket and a key template in it (specification, "Publisher Parameters").

    ``encoding`` is ``"gzip"`` for one archive, ``"plain"`` for the files under a prefix, or ``"raw"`` for one file or
    stream under exactly that key. ``engine`` is what carries the requests: ``"auto"``, ``"fsspec"`` or ``"obstore"``,
    as ``open_store`` has it. ``options`` say how objects are written, and ``requester_pays`` who pays, as
    ``open_store`` has it. ``manifest`` says whether files under a prefix get one (docs/format.md, 10). ``claimed`` says
    that a mapping was read, a job's perhaps, whose author may be anybody: what it names is used only as far as
    ``keystow.trust`` admits it. Raises ``SpecError`` for values that cannot be.

    >>> PublisherSpec.parse("s3://bucket/key,opt=endpoint=http://s3.example.com,opt=region=us-east-1").region
    'us-east-1'
    """

    type: str
    bucket: str
    key: str
    endpoint: str | None = None
    region: str | None = None
    encoding: str = "gzip"
    engine: str | None = None
    options: ObjectOptions = field(default_factory=ObjectOptions, hash=False)
    requester_pays: bool | str = False
    manifest: bool = True
    claimed: bool = field(default=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "type", check_type(self.type, SpecError))
        given = {"endpoint": self.endpoint, "region": self.region, "engine": self.engine}
        check_place(self.type, self.bucket, given, SpecError)
        if not self.key:
            raise SpecError(f"the destination needs a key: write s3://bucket/key, such as {_EXAMPLE}")
        if self.type not in KINDS and "::" in self.key:
            raise SpecError(f"the key {self.key!r} holds '::', which chains one file system to another: choose another")
        if self.encoding not in ENCODINGS:
            known = "gzip (one archive) or plain (a prefix), or raw (one file as it is)"
            raise SpecError(f"there is no encoding {self.encoding!r}: use {known}")
        if self.engine is not None and self.engine not in ENGINES:
            raise SpecError(f"there is no engine {self.engine!r}: use one of {', '.join(ENGINES)}")
        try:
            check_writing(self.type, self.options, self.requester_pays)
        except ValueError as error:
            raise SpecError(str(error)) from None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads ``s3://bucket/key,opt=endpoint=…``; also ``dst=s3://…`` and ``s3,opt=bucket=…,opt=key=…``.

        A comma belongs to the key unless ``name=`` follows it. A text with quoted fields is read as CSV (RFC 4180).
        For ``file://`` and what fsspec adds, the bucket is the directories before the segment with the first field, or
        before the last segment.
        """
        destination, options = _taken_apart(text)
        kind, place = _located(destination)
        for name, value in place.items():
            if options.setdefault(name, value) != value:
                raise SpecError(f"the {name.lower()} is given twice, as {value!r} and as {options[name]!r}: give one")
        if _PATH.match(destination):
            raise SpecError(f"{destination!r} is a path: write file://{_absolute(destination)} for a local directory")
        for name in ("Bucket", "Key"):
            if name not in options:
                raise SpecError(f"{text!r} names no {name.lower()}: write s3://bucket/key, such as {_EXAMPLE}")
        return cls._read({"Type": kind, "Params": options}, claimed=False)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, object]) -> Self:
        """Reads ``{"Type": "s3", "Params": {…}}``, bare, under ``Publisher``, or in the first of a job's ``Tasks``.

        >>> PublisherSpec.from_mapping({"Type": "s3", "Params": {"Bucket": "b", "Key": "k"}}).bucket
        'b'
        """
        if not isinstance(mapping, Mapping):
            raise SpecError(f"{mapping!r} is no destination: give a mapping with Type and Params")
        publisher = named(mapping, "Publisher")
        tasks = named(mapping, "Tasks")
        if publisher is None and tasks is not None:
            first = tasks[0] if isinstance(tasks, list) and tasks else None
            publisher = named(first, "Publisher") if isinstance(first, Mapping) else None
            if publisher is None:
                raise SpecError("the first of the job's Tasks has no Publisher: give it one, with Type and Params")
        names = {str(name).casefold() for name in mapping} - {"type"}
        if publisher is None and names and not any(near_to(name, ("Publisher", "Params")) for name in names):
            raise SpecError("it has no Publisher: give it one, with Type and Params")
        return cls._read(mapping if publisher is None else {"Publisher": publisher}, claimed=True)

    @classmethod
    def _read(cls, mapping: Mapping[str, object], *, claimed: bool) -> Self:
        kind, values = read_params(
            mapping, wrapper="Publisher", names=_NAMES, required=("Bucket", "Key"), error=SpecError
        )
        try:
            writing = read_params_of_writing(values)
            requester_pays = writing.pop("requester_pays", False)
            options = ObjectOptions(**writing)
            manifest = flag(values["Manifest"]) if "Manifest" in values else True
        except ValueError as error:
            raise SpecError(str(error)) from None
        return cls(
            kind,
            values["Bucket"],
            values["Key"],
            values.get("Endpoint"),
            values.get("Region"),
            values.get("Encoding", "gzip").lower(),
            values["Engine"].lower() if "Engine" in values else None,
            options,
            requester_pays,
            manifest,
            claimed,
        )

    def to_mapping(self) -> dict[str, object]:
        """The declarative form, which ``from_mapping`` reads."""
        encoding = None if self.encoding == "gzip" else self.encoding
        values = (self.bucket, self.key, self.endpoint, self.region, encoding, self.engine)
        params = {name: value for name, value in zip(_PLACE, values, strict=True) if value is not None}
        if not self.manifest:
            params["Manifest"] = "false"
        return {"Type": self.type, "Params": params | written_params(self.options, self.requester_pays)}

    @property
    def rules(self) -> KeyRules:
        """What the provider accepts as a key."""
        return kind_of(self.type).rules


def _absolute(path: str) -> str:
    """``path`` as the shell would take it: from the home, or from the directory where we are."""
    return os.path.join(os.getcwd(), os.path.expanduser(path).removeprefix("./"))


def _taken_apart(text: str) -> tuple[str, dict[str, object]]:
    destinations = []
    options: dict[str, object] = {}
    line = text.lstrip().rstrip("\r\n")
    if line != line.rstrip():
        raise SpecError(f"a space stands behind {line.rstrip()!r}: take it out, or quote the key if it belongs to it")
    for index, written in enumerate(_fields(line)):
        if index and written[:1].isspace():
            raise SpecError(
                f"a space stands before {written.strip()!r}: take it out, or quote the key if it belongs to it"
            )
        found = _OPTION.fullmatch(written)
        name = found[1].lower() if found else ""
        if found is None or (index == 0 and "://" in written.partition("=")[0]):
            if index:
                raise SpecError(f"{written!r} is no option: write opt=name=value")
            destinations.append(written)
        elif name in {"dst", "destination", "target"}:
            destinations.append(found[2])
        elif name in {"opt", "option"}:
            _add_option(options, found[2])
        else:
            raise SpecError(_misplaced(found[1], written))
    if len(destinations) > 1:
        raise SpecError(f"the destination is given twice, as {destinations[0]!r} and as {destinations[1]!r}: give one")
    if not any(destinations):
        raise SpecError(f"{text!r} names no destination: write s3://bucket/key")
    return destinations[0], options


def _fields(text: str) -> list[str]:
    if not _QUOTED.search(text):
        return _COMMA.split(text)
    import csv

    try:
        return next(csv.reader([text], strict=True), [])
    except csv.Error as error:
        raise SpecError(f"{text!r} is no CSV ({error}): quote whole fields, double the quotes in them") from None


def _add_option(options: dict[str, object], text: str) -> None:
    name, equals, value = text.partition("=")
    known = {candidate.lower(): candidate for candidate in _NAMES}.get(name.lower())
    if known is not None and not equals:
        raise SpecError(f"the option {name} has no value: write opt={name}=VALUE")
    if known is None:
        raise SpecError(f"there is no option {name!r}: {nearest(name, [candidate.lower() for candidate in _NAMES])}")
    if options.setdefault(known, value) != value:
        raise SpecError(f"the option {name} is given twice, as {options[known]!r} and as {value!r}: give one")


def _misplaced(name: str, field: str) -> str:
    if name.lower() in {candidate.lower() for candidate in _NAMES}:
        return f"an option is written with opt=: write opt={field}"
    return f"there is no {name}= here: write opt=name=value, or quote the key if the comma belongs to it"


def _located(destination: str) -> tuple[str, dict[str, str]]:
    kind, separator, rest = destination.partition("://")
    if not separator:
        return kind, {}
    kind = check_type(kind, SpecError)
    if kind not in KINDS or kind == "file":
        return kind, _located_in_directories(kind, rest)
    try:
        _, rest, endpoint = located(f"{kind}://{rest}")
    except UnknownStoreError as error:
        raise SpecError(str(error)) from None
    bucket, _, key = rest.partition("/")
    return kind, {name: value for name, value in (("Bucket", bucket), ("Key", key), ("Endpoint", endpoint)) if value}


def _located_in_directories(kind: str, path: str) -> dict[str, str]:
    """The bucket is what stands before the segment with the first field, or before the last segment."""
    if kind == "file" and not path.startswith("/"):
        meant = _absolute(path) if _PATH.match(path) else f"/{path}"
        raise SpecError(f"'file://{path}' is no absolute path: write file://{meant}")
    field = next((found.start() for found in _BRACES.finditer(path) if found.group() == "{"), None)
    cut = path.rstrip("/").rfind("/") if field is None else path.rfind("/", 0, field)
    bucket = path[: max(cut, 0)].replace("{{", "{").replace("}}", "}") or ("/" if kind == "file" else "")
    return {name: value for name, value in (("Bucket", bucket), ("Key", path[cut + 1 :])) if value}
