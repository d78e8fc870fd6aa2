"""What is written for people: messages, notes, log records. Secrets are masked, and nothing in it moves a terminal.

Strategy: one function prepares every text, and preparing it twice changes nothing. A secret is known by where it stands
(a URL's user or query, a header, a named parameter), by its own form (JWT), or because a store said that it uses it
(``keep_secret``), and is then masked wherever it stands, as a server may repeat it in any place.
"""

import base64
import functools
import re
from collections.abc import Iterator, Sequence
from urllib.parse import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from logging import LogRecord

MASK = "…"
_MOST_READ = 8000
_MOST_SHOWN = 6000
_MOST_SECRETS = 256
_SHORTEST_SECRET = 8
SOME = 5

_HEADER = (
    r"(?:proxy-)?authorization|x-(?:amz|goog|ms|auth)[a-z-]*(?:token|signature|authorization|encryption-key|customer-key)"
    r"|(?:set-)?cookie|x-(?:goog-)?api-key"
)
_PARAMETER = (
    r"(?:sig|[\w-]*(?:signature|secret|token|passwo?r?d|passphrase|account_?key|accesskey|api_?key|private_?key"
    r"|customer-?key)[\w-]*)"
)
_NAMED = r"(?:pass(?:word|wd|phrase)|secret(?:_?(?:access)?_?key)?|(?:session|access|refresh|id)?_?token|api_?key)"
_QUOTE = r"\\*['\"]"
_PORT = r"(?!\d{0,5}(?:[/?#\s]|\Z))"


@functools.cache
def _masks() -> tuple[tuple[re.Pattern[str], str], ...]:
    """What to look for, and what to put in its place; made when there is something to say, as it takes a while."""
    patterns = (
        (r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z ]*-----|\Z)", MASK),
        # A password, or with HTTP the user too, which may be a token; a port is none.
        (r"\b(https?:/{1,2})[^\s/?#'\"<>]*@", rf"\1{MASK}@"),
        (rf"\b(https?:/{{1,2}})[^\s/:@'\"<>]*:{_PORT}[^\s@'\"<>]*@", rf"\1{MASK}@"),
        (rf"\b(?!https?:)([a-z][a-z0-9+.-]*:/{{1,2}}[^\s/:@'\"<>]*:){_PORT}[^\s'\"<>]*@", rf"\1{MASK}@"),
        (r"\b(https?:[^\s?'\"<>]*\?)[^\s\"<>]*", rf"\1{MASK}"),
        (rf"\b({_HEADER})((?:{_QUOTE}|\s){{0,2}}[:=,]\s*\[?(?-i:b)?(?:{_QUOTE})?)[^\r\n<>\\\]']+", rf"\1\2{MASK}"),
        (rf"(?<![\w-])({_PARAMETER})({_QUOTE}\s*:\s*\[?(?-i:b)?{_QUOTE})[^'\"<>\\]+", rf"\1\2{MASK}"),
        (rf"(?<![\w-])({_PARAMETER})(\s{{0,2}}(?:=|%3D)\s{{0,2}}['\"]?)[^\s&;,'\"<>\\]+", rf"\1\2{MASK}"),
        (rf"(?<![\w-])({_NAMED})(: ['\"]?)(?=[^\s'\"]*[\d+/=_])[^\s,;'\"<>]{{6,}}", rf"\1\2{MASK}"),
        (rf"((?:<|&lt;)(?:\w+:)?{_PARAMETER}(?:>|&gt;))[^<&]+", rf"\1{MASK}"),
        (r"\b(signature:\s+)[0-9a-f]{64}\b", rf"\1{MASK}"),
        (r"\b(bearer|basic)(\s+)(?=[\w.~+/-]*(?-i:[\dA-Z+/=]))[\w.~+/=-]{8,}", rf"\1\2{MASK}"),
        (r"\b(sharedkey(?:lite)?)(\s+)[^\s:]+:\S+", rf"\1\2{MASK}"),
        (r"\b(?:eyJ[\w-]{8,}\.[\w-]+\.[\w-]*|ya29\.[\w.-]+|gh[pousr]_\w{20,})", MASK),
    )
    return tuple((re.compile(pattern, re.IGNORECASE | re.DOTALL), mask) for pattern, mask in patterns)


# Control characters, those that turn the direction of writing, line breaks of Unicode, and halves of characters.
_RAW = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

_secrets: dict[str, tuple[str, ...]] = {}
"""The secrets that are known, each with the spellings in which it may stand."""


def presentable(text: str) -> str:
    r"""``text`` as it may be shown: secrets masked, control and bidirectional characters escaped; one line.

    A very long one is cut.

    >>> presentable("no answer from https://user:pass@host/?X-Amz-Signature=0a1b \x1b[2J")
    'no answer from https://…@host/?… \\x1b[2J'
    """
    shown = escaped(masked(text[:_MOST_READ]))
    if len(text) > _MOST_READ or len(shown) > _MOST_SHOWN:
        # Where not all was read, a secret that was cut in two, and so not masked, may stand at the end.
        whole = len(shown) if len(text) <= _MOST_READ else max(0, len(shown) - 1000)
        shown = f"{shown[: min(_MOST_SHOWN - 100, whole)]}… ({len(text)} characters)"
    return shown


def some_of(names: Sequence[str], *, further: int = 0) -> str:
    """The first five of ``names``, and how many more there are, with ``further`` ones that are not among them.

    >>> some_of(["a", "b"]), some_of("abcdefg")
    ("'a', 'b'", "'a', 'b', 'c', 'd', 'e' and 2 more")
    """
    first = ", ".join(map(repr, names[:SOME]))
    more = len(names) - SOME + further
    return f"{first} and {more} more" if more > 0 else first


def masked(text: str) -> str:
    """``text`` without its secrets; to be used where lines are to stay lines."""
    for spellings in tuple(_secrets.values()):
        for spelling in spellings:
            text = text.replace(spelling, MASK)
    for pattern, mask in _masks():
        text = pattern.sub(mask, text)
    return text


def escaped(text: str) -> str:
    r"""``text`` with its control and bidirectional characters escaped.

    >>> print(escaped("a\x1bb"))
    a\x1bb
    """
    return _RAW.sub(lambda found: found.group().encode("unicode_escape").decode(), text)


def keep_secret(*values: str | None) -> None:
    """From now on ``presentable`` masks these, in whatever place; the oldest of many are forgotten."""
    for value in values:
        if value is not None and len(value) >= _SHORTEST_SECRET:
            known = _secrets.pop(value, None)
            _secrets[value] = known or tuple(dict.fromkeys(_spellings(value)))
    for oldest in list(_secrets)[:-_MOST_SECRETS]:
        _secrets.pop(oldest, None)


def guard_logs(*loggers: str) -> None:
    """Has ``presentable`` prepare what these loggers, and those below them that there are, record."""
    import logging

    # A filter is asked for what its own logger records, and not for what comes from those below.
    below = [
        name for name in list(logging.root.manager.loggerDict) if name.startswith(tuple(f"{top}." for top in loggers))
    ]
    for logger in map(logging.getLogger, (*loggers, *below)):
        if _prepare_record not in logger.filters:
            logger.addFilter(_prepare_record)


def _prepare_record(record: "LogRecord") -> bool:
    record.msg, record.args = presentable(record.getMessage()), ()
    if record.exc_info and record.exc_info[1] is not None:
        record.exc_text, record.exc_info = presentable(repr(record.exc_info[1])), None
    return True


def _spellings(secret: str) -> Iterator[str]:
    """The forms in which a server may say a secret again: as it is, in a URL, in JSON, as base64."""
    yield secret
    for safe in ("", "/"):
        found = quote(secret, safe=safe)
        yield found
        yield re.sub("%..", lambda escape: escape.group().lower(), found)
    yield secret.replace("/", "\\/")
    yield base64.b64encode(secret.encode("utf-8", "replace")).decode()
