"""How the command words what the library says: by its options, where Python has arguments; and numbers for people."""

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime

    from keystow.backends.findings import Finding

_OPTIONS = (
    (r'\bsymlinks="(\w+)" or "(\w+)"', r"--symlinks \1 or \2"),
    (r'\b(symlinks|special)="(\w+)"', r"--\1 \2"),
    (r"\b(symlinks|special)=(?!\S)", r"--\1"),
    (r'\bif_exists="(\w+)"', r"--if-exists \1"),
    (r"\braw=True\b", "--raw"),
    (r"\bwith_(abort|versions)=True\b", r"--with-\1"),
    (r"\bwrite_probe=True\b", "keystow doctor --write-probe"),
    (r"\bpin_version=False\b", "--no-pin-version"),
    (r"\bmanifest=False\b", "--no-manifest"),
    (r"\bstrict=True\b", "--strict"),
    (r"\b(?:open_archive|list_files)\(result\) lists it", "keystow ls lists it"),
    (r"\blifecycle\(\)", "--lifecycle"),
    (r"\ballow=\{'([^']*)'\}", r"--allow \1"),
    (r"\ballow_endpoints=\{'([^']*)'\}", r"--allow-endpoint \1"),
    (r"^allow_endpoints\b", "--allow-endpoint"),
    (r"give sha256=$", "give --sha256"),
    (r"^level=(\d)", r"--level \1"),
    (r"^processes=(\d)", r"--processes \1"),
    (r"^require=(\d)", r"--require \1"),
    (r"^against= (.*): leave sha256= and members= out", r"--against \1: leave --sha256 and --member out"),
    (r"^index= is for members of an archive: give members=", "--index is for members of an archive: give --member"),
    (r"^index= ", "--index "),
    (r"^quorum=(?=\d)", "--quorum "),
    (r"(give '.*') to exclude$", r"\1 to --exclude"),
    (r"\bLimits\((\w+)=…\)", r"--max-\1"),
    (r"\bgive labels=\['([^']*)'\] to the Template, or Context\(labels=[^)]*\)", r"give --label \1=…"),
    (r"\b(?:set |give )?Context\(labels=\{'([^']*)': …\}\)", r"give --label \1=…"),
    (r"\b(?:set |give )?Context\(at=…\)", "give --at"),
    (r"\b(?:set |give )?Context\(([a-z]+)_([a-z]+)=…\)", r"give --\1-\2"),
    (r"^(since|until)(?= )", r"--\1"),
    (r"\bleave since, until out", "leave --since and --until out"),
    (r"\bleave (?:credentials= and )?profile=? out", "leave --profile out"),
    (r' \(or, with a Template of your own, choose values="percent"\)', ""),
)
"""Patterns, which are compiled when there is something to word, and what stands in their place."""
_KEYWORD = (
    r"(?<![\w/'\"=.-])(?:(encryption_context|encryption_scope|kms_key|customer_key|storage_class|content_type|cache_control"
    r"|content_disposition|lock_mode|retain_until|legal_hold|requester_pays)\b|(encryption|tags|metadata)(?==|: ))"
    r"(?:=(?:'([^']*)'|(True)))?"
)
"""A keyword that says how an object is written, perhaps with its value."""
_MARKS = {"ok": "ok", "failed": "FAILED", "unknown": "?"}


def as_options(message: str) -> str:
    """``message`` in the words of the command.

    >>> as_options('the link leads nowhere: remove it, or choose symlinks="skip"')
    'the link leads nowhere: remove it, or choose --symlinks skip'
    """
    for pattern, option in _OPTIONS:
        message = re.sub(pattern, option, message)
    return re.sub(_KEYWORD, _as_option, message)


def _as_option(found: re.Match[str]) -> str:
    name = (found[1] or found[2]).replace("_", "-").replace("tags", "tag")
    value = found[3] or (found[4] or "").lower()
    return f"--{name} {value}" if value else f"--{name}"


def row_of(finding: "Finding") -> str:
    """A row of ``keystow doctor``'s table, and below it what to do."""
    row = f"{finding.name:<20}{_MARKS[finding.outcome]:<8}{finding.found}"
    return f"{row}\n{'':<28}-> {as_options(finding.advice)}" if finding.advice else row


def counted(number: int, thing: str) -> str:
    """``number`` of the thing, whose plural takes an s.

    >>> counted(1, "file"), counted(2, "file")
    ('1 file', '2 files')
    """
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def until(what: str, end: "datetime", url: str, *, ends_sooner: bool) -> str:
    """When ``what`` holds the signed ``url`` ends, in words; ``ends_sooner`` than was asked for."""
    told = f"{what} ends at {end:%Y-%m-%d %H:%M:%S} UTC"
    if ends_sooner:
        return f"{told}, with the credentials that signed it"
    return f"{told}, or with the temporary credentials that signed it" if "X-Amz-Security-Token" in url else told


def sized(number: float) -> str:
    """So many bytes, for people.

    >>> sized(999), sized(12_345_678)
    ('999 B', '12.3 MB')
    """
    size, units = float(number), iter(("B", "kB", "MB", "GB", "TB", "PB"))
    unit = next(units)
    while size >= 999.95 and unit != "PB":
        size, unit = size / 1000, next(units)
    return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
