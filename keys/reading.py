"""How a key is taken apart into the values of a template.

Strategy: a template that has a ``/`` between any two values is one regular expression, which has nothing to try twice.
Any other key is searched for its first reading, earlier values shortest, and no place is tried twice: the time is the
number of fields times the length of the key. Only fields that are repeated, or dates in several parts, add to it, as
a place is then another one for each of their values.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from .fields import Field
from .instants import calendar, exists, letters, pattern, related
from .values import Policy

Parts = Sequence[str | Field]
Reader = Callable[[str], dict[str, str] | None]
"""Gives the texts that stand in a key for the values, by name."""


def reader(parts: Parts, policy: Policy, names: Mapping[Field, str]) -> Reader:
    """The reader of ``parts``; ``names`` holds each placeholder once, with the name under which its value is given."""
    if _has_many_readings(parts, policy):
        return _Search(parts, policy, names)
    whole, groups = _expression(parts, policy, names)

    def read(key: str) -> dict[str, str] | None:
        found = whole.fullmatch(key)
        return found and {name: found[group] for name, group in groups.items()}

    return read


def _expression(parts: Parts, policy: Policy, names: Mapping[Field, str]) -> tuple[re.Pattern[str], dict[str, int]]:
    """The regular expression of all keys, and its group for each name."""
    order = list(names)
    done: set[Field] = set()
    seen: set[str] = set()
    out = []
    for index, part in enumerate(parts):
        if isinstance(part, str):
            out.append(re.escape(part))
            continue
        group = f"_{order.index(part)}"
        if part in done:
            out.append(f"(?P={group})")
            continue
        done.add(part)
        value = policy.whole if _ends_segment(parts, index) else policy.pattern
        out.append(f"(?P<{group}>{pattern(part.format, seen) if part.format else value})")
    whole = re.compile("".join(out) + calendar(seen))
    return whole, {name: whole.groupindex[f"_{index}"] for index, name in enumerate(names.values())}


def _ends_segment(parts: Parts, index: int) -> bool:
    following = parts[index + 1] if index + 1 < len(parts) else "/"
    return isinstance(following, str) and following.startswith("/")


def _has_many_readings(parts: Parts, policy: Policy) -> bool:
    """Whether two values may stand side by side without a ``/`` that parts them."""
    free = False
    for part in parts:
        if isinstance(part, Field) and part.format is None:
            if free:
                return True
            free = True
        elif policy.name != "verbatim":
            text = part if isinstance(part, str) else part.written
            free = free and "/" not in text
    return False


class _Place(NamedTuple):
    """Where the search is: before ``key[at]`` and the part ``step``, or within its value since ``start``."""

    step: int
    at: int
    start: int | None
    known: Mapping[str, str]


class _Search:
    """Depth first: of the places that may follow one, the last is tried first."""

    def __init__(self, parts: Parts, policy: Policy, names: Mapping[Field, str]) -> None:
        self._parts = parts
        self._names = names
        self._alone = policy.alone
        self._first = re.compile(policy.first)
        self._further = re.compile(policy.further)
        self._run = re.compile(f"(?:{policy.further})*+")
        self._whole = [
            _ends_segment(parts, index) and (policy.name != "verbatim" or index + 1 == len(parts))
            for index in range(len(parts))
        ]
        self._dates = [
            re.compile(pattern(part.format, set())) if isinstance(part, Field) and part.format else None
            for part in parts
        ]
        self._needed = [_needed(parts[index:]) for index in range(len(parts) + 1)]

    def __call__(self, key: str) -> dict[str, str] | None:
        pending = [_Place(0, 0, None, {})]
        tried = set()
        while pending:
            place = pending.pop()
            index, at, start, known = place
            if index == len(self._parts):
                if at == len(key):
                    return {name: known[field.written] for field, name in self._names.items()}
                continue
            part = self._parts[index]
            free = isinstance(part, Field) and part.written in self._needed[index + 1]
            begun = start if free else start is not None
            state = (index, at, begun, *map(known.get, self._needed[index]))
            if state not in tried:
                tried.add(state)
                pending += self._following(key, place, part)
        return None

    def _following(self, key: str, place: _Place, part: str | Field) -> Iterator[_Place]:
        index, at, start, known = place
        text = part if isinstance(part, str) else known.get(part.written)
        if text is not None:
            if key.startswith(text, at):
                yield _Place(index + 1, at + len(text), None, known)
        elif isinstance(part, Field) and part.format:
            yield from self._after_date(key, place, part)
        elif isinstance(part, Field) and start is None:
            if found := self._first.match(key, at):
                whole = self._run.match(key, found.end()) if self._whole[index] else None
                yield _Place(index, (whole or found).end(), at, known)
            for alone in reversed(self._alone):
                if key.startswith(alone, at):
                    yield _Place(index + 1, at + len(alone), None, {**known, part.written: alone})
        elif isinstance(part, Field):
            if found := self._further.match(key, at):
                yield _Place(index, found.end(), start, known)
            yield _Place(index + 1, at, None, {**known, part.written: key[start:at]})

    def _after_date(self, key: str, place: _Place, part: Field) -> Iterator[_Place]:
        date = self._dates[place.step]
        if found := date and date.match(key, place.at):
            read = {f"%{letter}": found.group(letter) for letter in _letters(part)}
            known = {**place.known, **read, part.written: found.group()}
            agrees = all(place.known.get(letter, text) == text for letter, text in read.items())
            if agrees and exists({name[1]: text for name, text in known.items() if name.startswith("%")}):
                yield _Place(place.step + 1, found.end(), None, known)


def _letters(part: Field) -> set[str]:
    return letters(part.format) if part.format else set()


def _needed(parts: Parts) -> tuple[str, ...]:
    """Of what is known, that on which the reading of ``parts`` depends."""
    fields = [part for part in parts if isinstance(part, Field)]
    letters = related(set().union(*map(_letters, fields)))
    return (*{field.written for field in fields}, *(f"%{letter}" for letter in letters))
