"""How the command words what the library says: by its options, where Python has arguments; and numbers for people."""

import re

_OPTIONS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), option)
    for pattern, option in (
        (r'\bsymlinks="(\w+)" or "(\w+)"', r"--symlinks \1 or \2"),
        (r'\b(symlinks|special)="(\w+)"', r"--\1 \2"),
        (r"\b(symlinks|special)=(?!\S)", r"--\1"),
        (r"\ballow=\{'([^']*)'\}", r"--allow \1"),
        (r"\ballow_endpoints=\{'([^']*)'\}", r"--allow-endpoint \1"),
        (r"^allow_endpoints\b", "--allow-endpoint"),
        (r"\bLimits\((\w+)=…\)", r"--max-\1"),
        (r"\bset Context\((job|execution|node)_id=…\)", r"give --\1-id"),
        (r"\bset Context\(partition_(index|count)=…\)", r"give --partition-\1"),
        (r"\bset Context\(at=…\)", "give --at"),
        (r"\b(?:set )?Context\(labels=\{'([^']*)': …\}\)", r"--label \1=…"),
        (r' \(or, with a Template of your own, choose values="percent"\)', ""),
    )
)


def as_options(message: str) -> str:
    """``message`` in the words of the command.

    >>> as_options('the link leads nowhere: remove it, or choose symlinks="skip"')
    'the link leads nowhere: remove it, or choose --symlinks skip'
    """
    for pattern, option in _OPTIONS:
        message = pattern.sub(option, message)
    return message


def counted(number: int, thing: str) -> str:
    """``number`` of the thing, whose plural takes an s.

    >>> counted(1, "file"), counted(2, "file")
    ('1 file', '2 files')
    """
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
