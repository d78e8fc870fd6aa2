"""How a key is taken apart into the values of a template.

Strategy: a template that has a ``/`` between any two values is one regular expression, which has nothing to try twice.
Any other key is searched for its first reading, earlier values shortest, and no place is tried twice: the time is the
number of fields times the length of the key. Only fields that are repeated, or dates in several parts, add to it, as
a place is then another one for each of their values. To find such a reading can take time without bound (it is the
matching of patterns with variables, which is NP-complete), so the steps are counted, and there is a most of them.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple, TypeAlias

from .errors import MatchTooCostlyError
from .fields import Field
from .instants import calendar, exists, letters, pattern, related, render
from .numbers import digits, ends
from .numbers import pattern as number_pattern
from .values import Policy

MOST_STEPS = 250_000
"""Each takes a few microseconds, and at most some 100 bytes."""
_CHARACTERS = 100
"""As many are looked at in the time of a step."""
_ANY_INSTANT = datetime(2000, 1, 1, tzinfo=UTC)

Parts = Sequence[str | Field]
Reader = Callable[[str], dict[str, str] | None]
"""Gives the texts that stand in a key for the values, by name."""
_Tail = tuple[int, int, tuple[str, ...]]
_Read: TypeAlias = "tuple[str, str, _Read] | None"
"""What was read last, as a field is written and its text, and what was read before."""


def reader(parts: Parts, policy: Policy, names: Mapping[Field, str]) -> Reader:
    """The reader of ``parts``; ``names`` holds each placeholder once, with the name under which its value is given."""
    if _has_many_readings(parts, policy):
        search = _Search(parts, policy, names)
        return lambda key: _Reading(search, key).values()
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
        if part.format is not None:
            text = pattern(part.format, seen)
        elif part.width is not None:
            text = number_pattern(part.width)
        else:
            text = policy.whole if _ends_segment(parts, index) else policy.pattern
        out.append(f"(?P<{group}>{text})")
    whole = re.compile("".join(out) + calendar(seen))
    return whole, {name: whole.groupindex[f"_{index}"] for index, name in enumerate(names.values())}


def _ends_segment(parts: Parts, index: int) -> bool:
    following = parts[index + 1] if index + 1 < len(parts) else "/"
    return isinstance(following, str) and following.startswith("/")


def _has_many_readings(parts: Parts, policy: Policy) -> bool:
    """Whether two values may stand side by side without a ``/`` that parts them, or a number in several widths."""
    numbers = {part for part in parts if isinstance(part, Field) and part.width is not None}
    if len({part.name for part in numbers}) < len(numbers):
        return True
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


class _Search:
    """What is known of a template before there is a key; each list has an item for each part, and perhaps the end."""

    def __init__(self, parts: Parts, policy: Policy, names: Mapping[Field, str]) -> None:
        self.parts = parts
        self.names = names
        self.ends_at_slash = policy.name != "verbatim"
        self.alone = policy.alone
        self.first = re.compile(policy.first)
        self.further = re.compile(policy.further)
        self.value = re.compile("|".join((*policy.alone, f"(?:{policy.first})(?:{policy.further})*+")))
        self.letters = [_letters(part) for part in parts]
        self.dates = [_date(part) for part in parts]
        self.asked = [tuple(_given(parts[:index]) & _needed(parts[index:])) for index in range(len(parts) + 1)]
        self.tails = [self._tail(index) for index in range(len(parts))]

    def _tail(self, index: int) -> _Tail | None:
        """What stands behind a value up to the next ``/``, or the end, if only that value is not known in length.

        It is how often the value itself is repeated there, how many characters stand there in any case, and the
        earlier values that do.
        """
        own, fixed, known = 0, 0, []
        for part in self.parts[index + 1 :]:
            if isinstance(part, Field) and part.format is None:
                if part == self.parts[index]:
                    own += 1
                elif part in self.parts[:index] and part.width is None:
                    known.append(part.written)
                else:
                    return None
                continue
            text = part if isinstance(part, str) else render(part.format, _ANY_INSTANT) if part.format else ""
            before, slash, _ = text.partition("/") if self.ends_at_slash else (text, "", "")
            fixed += len(before)
            if slash:
                break
        return own, fixed, tuple(known)


class _Place(NamedTuple):
    """Where the reading is: before ``key[at]`` and the value of the part ``step``, or within it since ``start``.

    ``known`` is that on which the rest depends: each text as the place where it first stands in the key and its length,
    in one number.
    """

    step: int
    at: int
    start: int | None
    known: Mapping[str, int]
    read: _Read


class _Reading:
    """One key. Depth first: of the places that may follow one, the last is tried first."""

    def __init__(self, search: _Search, key: str) -> None:
        self._search = search
        self._key = key
        self._wide = len(key) + 2
        self._left = MOST_STEPS

    def values(self) -> dict[str, str] | None:
        """The values of the first reading. Raises ``MatchTooCostlyError``."""
        search = self._search
        pending = self._settled(0, 0, {}, None)
        tried = set()
        while pending:
            place = pending.pop()
            if place.step == len(search.parts):
                return self._by_name(place.read)
            self._spend(1 + len(place.known))
            state = self._state(place)
            if state not in tried:
                tried.add(state)
                pending += self._following(place)
        return None

    def _by_name(self, read: _Read) -> dict[str, str]:
        texts = {}
        while read is not None:
            written, texts[written], read = read
        return {name: texts[field.written] for field, name in self._search.names.items()}

    def _spend(self, steps: int) -> None:
        self._left -= steps
        if self._left < 0:
            raise MatchTooCostlyError(
                f"a key of {len(self._key)} characters can be divided among the template's fields in too many ways to "
                "try them all: put a '/' between the fields, or do not repeat them"
            )

    def _state(self, place: _Place) -> int | tuple[int, ...]:
        """What tells this place from others, as far as the rest depends on it."""
        step, at, start, known, _ = place
        asked = self._search.asked
        begun = 0 if start is None else start + 1 if _slot(self._search.parts[step]) in asked[step + 1] else 1
        state = (step * self._wide + at) * self._wide + begun
        return (state, *map(known.__getitem__, asked[step])) if known else state

    def _following(self, place: _Place) -> list[_Place]:
        search, key = self._search, self._key
        step, at, start, known, read = place
        part = search.parts[step]
        tail = search.tails[step]
        if isinstance(part, Field) and part.width is not None:
            return [each for end in reversed(ends(key, at, part.width)) for each in self._ended(place, at, end)]
        if start is not None:
            found = search.further.match(key, at)
            longer = [_Place(step, found.end(), start, known, read)] if found else []
            return longer + self._ended(place, start, at)
        if tail is not None:
            end = self._only_end(place, tail)
            following = [] if end is None else self._ended(place, at, end)
            if not following or end is None:
                return []
            self._spend((end - at) // _CHARACTERS)
            return following if search.value.fullmatch(key, at, end) else []
        found = search.first.match(key, at)
        longer = [_Place(step, found.end(), at, known, read)] if found else []
        alone = [text for text in reversed(search.alone) if key.startswith(text, at)]
        return longer + [each for text in alone for each in self._ended(place, at, at + len(text))]

    def _only_end(self, place: _Place, tail: _Tail) -> int | None:
        """Where the value must end for what is behind it to have just its room."""
        slash = self._key.find("/", place.at) if self._search.ends_at_slash else -1
        own, fixed, known = tail
        repeated = sum(place.known[name] % self._wide for name in known)
        room = (len(self._key) if slash < 0 else slash) - place.at - fixed - repeated
        return place.at + room // (1 + own) if room >= 0 else None

    def _ended(self, place: _Place, start: int, end: int) -> list[_Place]:
        """What follows where the value of ``place`` is ``key[start:end]``."""
        text = self._key[start:end]
        part = self._search.parts[place.step]
        known = self._kept(place.step + 1, place.known, {_slot(part): text})
        return self._settled(place.step + 1, end, known, (_written(part), text, place.read))

    def _settled(self, step: int, at: int, known: Mapping[str, int], read: _Read) -> list[_Place]:
        """The place behind all that can be read in one way, if it can be read."""
        parts, key = self._search.parts, self._key
        while step < len(parts):
            self._spend(1)
            part = parts[step]
            text = part if isinstance(part, str) else self._known(part, known)
            if text is None:
                date = self._search.dates[step]
                if date is None:
                    break
                found = date.match(key, at)
                letters = {f"%{letter}": found[letter] for letter in self._search.letters[step]} if found else {}
                if found is None or not self._agrees(known, letters):
                    return []
                text = found.group()
                known = self._kept(step + 1, known, {_slot(part): text, **letters})
            if not key.startswith(text, at):
                return []
            if isinstance(part, Field):
                read = (part.written, text, read)
            at += len(text)
            step += 1
        return [_Place(step, at, None, known, read)] if step < len(parts) or at == len(key) else []

    def _agrees(self, known: Mapping[str, int], letters: Mapping[str, str]) -> bool:
        """Whether there is an instant that has these directives, and those that were read before."""
        self._spend(len(letters))
        before = {name: self._text(code) for name, code in known.items() if name.startswith("%")}
        if any(before.get(name, text) != text for name, text in letters.items()):
            return False
        return not before or exists({name[1]: text for name, text in {**before, **letters}.items()})

    def _known(self, part: Field, known: Mapping[str, int]) -> str | None:
        """The text for ``part``, if its value was read before."""
        code = known.get(_slot(part))
        if code is None:
            return None
        text = self._text(code)
        return text if part.width is None else digits(int(text), part.width)

    def _kept(self, step: int, known: Mapping[str, int], read: Mapping[str, str]) -> Mapping[str, int]:
        """Of what was known and what was read, that on which the reading of the parts from ``step`` on depends."""
        return {name: self._code(read[name]) if name in read else known[name] for name in self._search.asked[step]}

    def _code(self, text: str) -> int:
        return self._key.find(text) * self._wide + len(text)

    def _text(self, code: int) -> str:
        at, length = divmod(code, self._wide)
        return self._key[at : at + length]


def _written(part: str | Field) -> str:
    return "" if isinstance(part, str) else part.written


def _slot(part: str | Field) -> str:
    """Under which name the value of ``part`` is known; a number is the same in any width."""
    return "" if isinstance(part, str) else part.written if part.width is None else part.name


def _letters(part: str | Field) -> set[str]:
    return letters(part.format) if isinstance(part, Field) and part.format else set()


def _date(part: str | Field) -> re.Pattern[str] | None:
    seen: set[str] = set()
    return re.compile(pattern(part.format, seen) + calendar(seen)) if isinstance(part, Field) and part.format else None


def _given(parts: Parts) -> set[str]:
    """What is known once ``parts`` are read."""
    fields = [part for part in parts if isinstance(part, Field)]
    return {_slot(field) for field in fields} | {f"%{letter}" for field in fields for letter in _letters(field)}


def _needed(parts: Parts) -> set[str]:
    """Of what may be known, that on which the reading of ``parts`` depends."""
    fields = [part for part in parts if isinstance(part, Field)]
    letters = related(set().union(*map(_letters, fields)))
    return {_slot(field) for field in fields} | {f"%{letter}" for letter in letters}
