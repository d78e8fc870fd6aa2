"""What each provider accepts as an object's name, as data, and the one function that reads it.

Sources: S3 "Naming Amazon S3 objects"; Google Cloud Storage "Objects: object names"; Azure "Naming and referencing
containers, blobs, and metadata"; POSIX path limits as Linux has them (limits.h). The segments ``.`` and ``..`` are
refused for all of them, because HTTP clients resolve them away (RFC 3986, section 5.2.4) and what is read back under
such a key would be another object.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple, NewType

from .errors import KeyRuleError

Key = NewType("Key", str)
"""A key that has passed ``check_key``."""


class KeyRules(NamedTuple):
    """The limits of one provider; lengths are in ``unit``, ``max_segment`` is in bytes."""

    provider: str
    max_length: int
    characters: str
    unit: Literal["bytes", "characters"] = "bytes"
    max_segments: int | None = None
    max_segment: int | None = None
    segments: str = r"\.\.?"
    starts: tuple[str, ...] = ()
    ends: tuple[str, ...] = ()
    any_bytes: bool = False


S3 = KeyRules("S3", 1024, characters=r"\x00")
GCS = KeyRules("Google Cloud Storage", 1024, characters=r"\x00\r\n", starts=(".well-known/acme-challenge/",))
AZURE = KeyRules(
    "Azure Blob Storage",
    1024,
    unit="characters",
    max_segments=254,
    characters=r"\\\x00-\x1f\x7f-\x9f\ue000\ufffe\uffff",
    segments=r".*\.",
    ends=("/",),
)
FILE = KeyRules(
    "a file system",
    4095,
    max_segment=255,
    characters=r"\x00",
    segments=r"\.{0,2}",
    any_bytes=True,
)
LONGEST = max(rules.max_length for rules in (S3, GCS, AZURE, FILE))
"""More characters than this has no key of any provider."""


def check_key(key: str, rules: KeyRules, *, names: Iterable[str] | None = None) -> Key:
    """Gives ``key`` back if an object of that name can be stored under ``rules``.

    With ``names``, ``key`` is a prefix: each name is checked together with it, and with no names at all there must be
    room for one of one character. Raises ``KeyRuleError`` with the rule and the place.

    >>> check_key("results/abc123.tar.gz", S3)
    'results/abc123.tar.gz'
    """
    if names is None:
        _check(key, rules)
    else:
        for name in list(names) or ["x"]:
            _check(key + name, rules)
    return Key(key)


def _check(key: str, rules: KeyRules) -> None:
    if not key:
        raise _broken(key, rules, _Fault("empty", "it is empty"))
    try:
        encoded = key.encode("utf-8", "surrogateescape" if rules.any_bytes else "strict")
    except UnicodeEncodeError as error:
        raise _broken(key, rules, _Fault("encoding", "a character cannot be written as UTF-8", error.start)) from None
    for fault in (*_faults(key, len(encoded), rules), *_segment_faults(key, rules)):
        raise _broken(key, rules, fault)


class _Fault(NamedTuple):
    rule: str
    what: str
    position: int | None = None


def _faults(key: str, size: int, rules: KeyRules) -> Iterator[_Fault]:
    length = size if rules.unit == "bytes" else len(key)
    if length > rules.max_length:
        yield _Fault("length", f"it is {length} {rules.unit} long, and {rules.max_length} is the most")
    if found := re.search(f"[{rules.characters}]", key):
        yield _Fault("characters", f"it holds {found.group()!r}", found.start())
    for start in rules.starts:
        if key.startswith(start):
            yield _Fault("start", f"it starts with {start!r}", 0)
    for end in rules.ends:
        if key.endswith(end):
            yield _Fault("end", f"it ends with {end!r}", len(key) - len(end))


def _segment_faults(key: str, rules: KeyRules) -> Iterator[_Fault]:
    segments = key.split("/")
    if rules.max_segments is not None and len(segments) > rules.max_segments:
        yield _Fault("segments", f"it has {len(segments)} segments, and {rules.max_segments} is the most")
    position = 0
    for segment in segments:
        size = len(segment.encode("utf-8", "surrogateescape"))
        if re.fullmatch(rules.segments, segment, re.DOTALL):
            yield _Fault("segment", f"it has the segment {segment!r}", position)
        if rules.max_segment is not None and size > rules.max_segment:
            yield _Fault("segment", f"it has a segment of {size} bytes, and {rules.max_segment} is the most", position)
        position += len(segment) + 1


def _broken(key: str, rules: KeyRules, fault: _Fault) -> KeyRuleError:
    shown = repr(key) if len(key) <= 120 else f"{key[:120]!r}…"
    place = "" if fault.position is None else f" (at position {fault.position})"
    return KeyRuleError(
        f"{rules.provider} cannot store the key {shown}: {fault.what}{place}", fault.rule, fault.position
    )
