"""What is written for people: messages, notes, log records. Secrets are masked, and nothing in it moves a terminal.

Strategy: one function prepares every text, and preparing it twice changes nothing. A secret is known by where it stands
(a URL's user or query, a header, a named parameter), by its own form (JWT), or because a store said that it uses it
(``keep_secret``), and is then masked wherever it stands, as a server may repeat it in any place.
"""

import re
from urllib.parse import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from logging import LogRecord

MASK = "…"
_MOST_READ = 8000
_MOST_SHOWN = 6000
_MOST_SECRETS = 256
_SHORTEST_SECRET = 8

_HEADER = (
    r"(?:proxy-)?authorization|x-(?:amz|goog|ms|auth)[a-z-]*(?:token|signature|authorization|encryption-key)"
    r"|(?:set-)?cookie|x-api-key"
)
_PARAMETER = r"sig|[\w-]*(?:signature|secret|token|passwo?r?d|account_?key|accesskey|private_?key)[\w-]*"
_MASKS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), masked)
    for pattern, masked in (
        # A password, or with HTTP the user too, which may be a token; a port is none.
        (r"\b(https?://)[^\s/?#@'\"<>]*@", rf"\1{MASK}@"),
        (r"\b(https?://)[^\s/:@'\"<>]*:(?!\d{0,5}(?:[/?#\s]|\Z))[^\s@'\"<>]*@", rf"\1{MASK}@"),
        (r"\b(?!https?:)([a-z][a-z0-9+.-]*://[^\s/:@'\"<>]*:)(?!\d{0,5}(?:[/?#\s]|\Z))[^\s@'\"<>]*@", rf"\1{MASK}@"),
        (r"\b(https?:[^\s?'\"<>]*\?)[^\s'\"<>]*", rf"\1{MASK}"),
        (rf"\b({_HEADER})(['\"\s]{{0,2}}[:=,]\s?b?['\"]?)[^\r\n'\"<>\\]+", rf"\1\2{MASK}"),
        (rf"(?<![\w-])({_PARAMETER})(\s?=\s?['\"]?|['\"]\s?:\s?b?['\"])[^\s&;,'\"<>\\]+", rf"\1\2{MASK}"),
        (rf"<({_PARAMETER})>[^<]+", rf"<\1>{MASK}"),
        (r"\b(signature:\s+)[0-9a-f]{64}\b", rf"\1{MASK}"),
        (r"\b(bearer|basic)(\s+)[\w.~+/=-]{12,}", rf"\1\2{MASK}"),
        (r"\b(sharedkey(?:lite)?)(\s+)[^\s:]+:\S+", rf"\1\2{MASK}"),
        (r"\b(?:eyJ[\w-]{8,}\.[\w-]+\.[\w-]*|ya29\.[\w.-]+|gh[pousr]_\w{20,})", MASK),
        (r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*-----|\Z)", MASK),
    )
)
# Control characters, those that turn the direction of writing, line breaks of Unicode, and halves of characters.
_RAW = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

_secrets: dict[str, None] = {}


def presentable(text: str) -> str:
    r"""``text`` as it may be shown: secrets masked, control and bidirectional characters escaped; one line.

    A very long one is cut.

    >>> presentable("no answer from https://user:pass@host/?X-Amz-Signature=0a1b \x1b[2J")
    'no answer from https://…@host/?… \\x1b[2J'
    """
    shown = text[:_MOST_READ]
    for secret in tuple(_secrets):
        shown = shown.replace(secret, MASK)
    for pattern, masked in _MASKS:
        shown = pattern.sub(masked, shown)
    shown = _RAW.sub(_escaped, shown)
    if len(text) > _MOST_READ or len(shown) > _MOST_SHOWN:
        shown = f"{shown[: _MOST_SHOWN - 100]}… ({len(text)} characters)"
    return shown


def keep_secret(*values: str | None) -> None:
    """From now on ``presentable`` masks these, in whatever place; the oldest of many are forgotten."""
    for value in values:
        if value is not None and len(value) >= _SHORTEST_SECRET:
            for form in (value, quote(value, safe="")):
                _secrets.pop(form, None)
                _secrets[form] = None
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


def _escaped(found: re.Match[str]) -> str:
    return found.group().encode("unicode_escape").decode()
