"""Which names go along: patterns in gitignore's language (https://git-scm.com/docs/gitignore), in order.

Not by the library pathspec, as that lets a pattern match all that lies below a name: ``.git`` and then ``!project/``
would take ``project/.git`` along. A name is matched by its characters, where git takes bytes.
"""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import NamedTuple

from .tree import Entry, parents

State = bool | None
"""Whether a name goes along; ``None`` for a directory of which only what a pattern takes does."""

# Text, as most calls have no patterns, and to compile these takes a while.
_TRAILING_SPACES = r"(?<!\\)((?:\\\\)*) +$"
_ESCAPED_SLASH = r"(?<!\\)((?:\\\\)*)\\/"
_BRACKETS = r"\[([!^]?+\]?+(?:\[:[a-z]*:\]|\\.|[^\]\\])*+)\]"
_SEGMENT = rf"(?s:(?:^|(?<=/))((?:{_BRACKETS.replace('(', '(?:', 1)}|\\.|[^/])*+))"
_PIECES = rf"(?s:\\(.?)|(\*+)|(\?)|{_BRACKETS}|(.))"
_MEMBERS = r"(?s:\\(.)(?!-[^]])|\[:([a-z]*):\]|(\\?.)-(\\?.)|(.))"
_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "blank": " \\t",
    "cntrl": "\\x00-\\x1f\\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": " \\t-\\r",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}
_LITERAL = re.compile(r"/?[^/*?\[\\\s]+(?:/[^/*?\[\\\s]+)+|/[^/*?\[\\\s]+")
_SENSITIVE = re.compile(r"\.env(?:\..*)?|.*\.pem|id_[^.]*|\.netrc|\.git|\.aws|\.ssh|\.gnupg|\.kube", re.DOTALL)


class Selection:
    """Patterns of which the last one that matches a name counts: it leaves the name out, or after a ``!`` takes it in.

    As git has it, a pattern matches a name itself, not what lies below it, and nothing is taken in of a directory that
    is left out. ``**`` stands for directories where it is all between two slashes, as git's manual says. ``only`` says
    that nothing goes along but what a pattern takes in. Raises ``ValueError`` for a pattern that is none.

    >>> chosen = Selection(["*.log", "!keep.log"])
    >>> [chosen.state(name, within=chosen.root) for name in ("a.log", "keep.log", "a.txt")]
    [False, True, True]
    """

    def __init__(self, lines: Iterable[str], *, only: bool = False) -> None:
        self.root: State = None if only else True
        self._lines = tuple(lines)
        self._patterns = [found for line in self._lines if (found := _read(line)) is not None][::-1]

    def state(self, name: str, *, within: State, is_directory: bool = False) -> State:
        """What becomes of ``name``, in a directory of which that is what became; ``root`` is the source's own."""
        for pattern in self._patterns:
            if (is_directory or not pattern.is_of_directories) and pattern.matches(name):
                return pattern.takes_in
        return within

    def __reduce__(self) -> tuple[Callable[[], "Selection"], tuple[()]]:
        return partial(Selection, self._lines, only=self.root is None), ()


class Decided:
    """What becomes of names, which are asked for in any order, of what their directories are.

    What is held are the directories of the last name: those of a tree's order are each looked at once.
    """

    def __init__(self, selection: Selection) -> None:
        self._selection = selection
        self._above: dict[str, State] = {}

    def state(self, name: str, *, is_directory: bool) -> State:
        """What becomes of ``name``."""
        within = self._selection.root
        above: dict[str, State] = {}
        for directory in parents(name):
            known = directory in self._above
            within = self._above[directory] if known else self._one(directory, within, is_directory=True)
            above[directory] = within
        self._above = above
        return self._one(name, within, is_directory=is_directory)

    def _one(self, name: str, within: State, *, is_directory: bool) -> State:
        return False if within is False else self._selection.state(name, within=within, is_directory=is_directory)


class Choice:
    """Members that patterns take in, each asked for by its name, in any order; of directories, what they hold, too.

    A pattern is what ``--include`` takes. Raises ``ValueError`` for one that is none, and if there are none.

    >>> choice = Choice(["plots/", "*.csv"])
    >>> [choice.takes(name) for name in ("plots/a.png", "old/a.csv", "notes.txt")]
    [True, True, False]
    >>> choice.unmatched
    []
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        given = (patterns,) if isinstance(patterns, str) else tuple(patterns)
        if not given:
            raise ValueError("no pattern says which members are meant: give one, such as '*.csv'")
        self._each = [(pattern, Decided(Selection([included(pattern)], only=True))) for pattern in given]
        self.unmatched = list(given)
        """The patterns that have taken in nothing so far."""
        names = [pattern.removeprefix("/") for pattern in given if _LITERAL.fullmatch(pattern)]
        self.names = names if len(names) == len(given) else None
        """The only names that are meant, and what lies below them; ``None`` if the patterns say more than that."""

    def takes(self, name: str, *, is_directory: bool = False) -> bool:
        """Whether that member goes along."""
        found = [pattern for pattern, decided in self._each if decided.state(name, is_directory=is_directory)]
        for pattern in found:
            if pattern in self.unmatched:
                self.unmatched.remove(pattern)
        return bool(found)


class _Pattern(NamedTuple):
    matches: Callable[[str], object]
    is_of_directories: bool
    takes_in: bool


def _read(line: str) -> _Pattern | None:
    """The pattern in a line of an ignore file, if there is one."""
    text = re.sub(_ESCAPED_SLASH, r"\1/", re.sub(_TRAILING_SPACES, r"\1", line))
    if not text or text.startswith("#"):
        return None
    takes_in = text.startswith("!")
    text, line = text[takes_in:], line[takes_in:]
    is_of_directories = text.endswith("/")
    text = text.removesuffix("/")
    segments = ["**" if re.fullmatch(r"\*{2,}", each) else each for each in re.findall(_SEGMENT, text)]
    if not any(segments):
        raise ValueError(f"{line!r} is no pattern: write one as in .gitignore, such as *.log or cache/")
    if not segments[0]:
        del segments[0]
    elif "/" not in text:
        segments.insert(0, "**")
    written = "".join(
        ("(?:.*/)?" if more else ".+") if segment == "**" else _glob(segment, line) + "/" * more
        for segment, more in zip(segments, [True] * (len(segments) - 1) + [False], strict=True)
    )
    return _Pattern(re.compile(written, re.DOTALL).fullmatch, is_of_directories, takes_in)


def _glob(segment: str, line: str) -> str:
    """A segment of a pattern as a regular expression, which takes no longer the more stars there are.

    What stands between two stars is matched where it first can be, for good: nothing behind it is the worse for that.
    """
    between = [""]
    for found in re.finditer(_PIECES, segment):
        escaped, stars, any_one, brackets, plain = found.groups()
        if stars:
            between.append("")
        elif any_one:
            between[-1] += "[^/]"
        elif brackets is not None:
            between[-1] += _one_of(brackets, line)
        elif escaped or (plain is not None and plain != "["):
            between[-1] += re.escape(escaped or plain)
        else:
            what = f"{found.group()!r} without what belongs to it"
            raise ValueError(f"the pattern {line!r} has a {what}: write \\{found.group()}")
    first, *rest = between
    return first + "".join(f"(?>[^/]*?{each})" for each in rest[:-1]) + "".join(f"[^/]*{each}" for each in rest[-1:])


def _one_of(brackets: str, line: str) -> str:
    """What stands between ``[`` and ``]`` as a regular expression for one character."""
    negated = brackets[:1] in {"!", "^"}
    out = []
    for escaped, named, first, last, plain in re.findall(_MEMBERS, brackets[negated:]):
        if named:
            if named not in _CLASSES:
                raise ValueError(f"the pattern {line!r} names no class with [:{named}:]: use one such as [:alpha:]")
            out.append(_CLASSES[named])
        elif first:
            out.append(re.escape(first[-1]) + (f"-{re.escape(last[-1])}" if first[-1] <= last[-1] else ""))
        else:
            out.append(re.escape(escaped or plain))
    return f"(?!/)[{'^' if negated else ''}{''.join(out)}]"


def selection(include: Sequence[str] = (), exclude: Sequence[str] = ()) -> Selection | None:
    """What takes in ``include``, if there is any, and nothing else; and of that leaves out ``exclude``.

    Raises ``ValueError`` for a pattern that is none.

    >>> chosen = selection(["*.csv"], ["old/"])
    >>> [chosen.state(name, within=chosen.root) for name in ("a.csv", "a.txt")]
    [True, None]
    >>> chosen.state("old", within=chosen.root, is_directory=True)
    False
    """
    if not include and not exclude:
        return None
    return Selection([*map(included, include), *map(excluded, exclude)], only=bool(include))


def included(pattern: str) -> str:
    """The line that takes in what ``pattern`` matches. Raises ``ValueError``."""
    if pattern.startswith("!"):
        raise ValueError(f"the pattern {pattern!r} leaves out what it names: give {pattern[1:]!r} to exclude")
    return f"!{_checked(pattern)}"


def excluded(pattern: str) -> str:
    """The line that leaves out what ``pattern`` matches; one with ``!`` takes it in. Raises ``ValueError``."""
    checked = _checked(pattern)
    return f"\\{checked}" if checked.startswith("#") else checked


def _checked(pattern: str) -> str:
    if not pattern.strip(" !") or "\n" in pattern:
        raise ValueError(f"{pattern!r} is no pattern: write one as in .gitignore, such as *.log or cache/")
    return pattern


def without_empty(entries: Sequence[Entry], undecided: Collection[str]) -> tuple[Entry, ...]:
    """``entries`` but for the ``undecided`` directories that hold nothing that goes along."""
    if not undecided:
        return tuple(entries)
    held = {parent for entry in entries if entry.name not in undecided for parent in parents(entry.name)}
    return tuple(entry for entry in entries if entry.name not in undecided or entry.name in held)


def sensitive(entries: Iterable[Entry]) -> list[str]:
    """Names that look as if they held secrets: keys, passwords, a repository with its history.

    Of a directory, it is the directory alone, with a ``/``. The entries are in a tree's order.

    >>> kinds = {".env": "file", ".git": "directory", ".git/id_rsa": "file", "env": "file"}
    >>> sensitive(Entry(name, kind) for name, kind in kinds.items())
    ['.env', '.git/']
    """
    found: list[str] = []
    for entry in entries:
        last = entry.name.rpartition("/")[2]
        if last[0] not in ".i" and not last.endswith(".pem"):
            continue
        if _SENSITIVE.fullmatch(last) and not (found and found[-1][-1] == "/" and entry.name.startswith(found[-1])):
            found.append(entry.name + ("/" if entry.kind == "directory" else ""))
    return found
