"""Mappings as YAML and as JSON text, from whoever wrote them.

Strategy: results and jobs are made of mappings, lists and text, so nothing else is read: YAML is taken as events, and
what could make a small file large (aliases), a number slow, or a tag an object never comes to be. A scalar is text as
it is written, and what is not written (``~``, ``null``) is ``None``. Size and depth are bounded.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from .backends.errors import raise_alone
from .backends.texts import escaped
from .errors import ResultError

if TYPE_CHECKING:
    import yaml

MOST_BYTES = 256 << 10
"""What is longer is not read."""
_DEEPEST = 64
_JSON_SPACE = " \t\r\n"
_NOTHING = {"", "~", "null", "Null", "NULL"}
_TEXT = {None, "!", "tag:yaml.org,2002:str"}


class _RefusedError(Exception):
    """The text holds what no result and no job does."""


class _SeveralError(Exception):
    """The text holds more than one mapping, or one that holds a key more than once."""


def load_mapping_file(path: str, error: type[ValueError], absent: str) -> Mapping[str, object]:
    """The mapping in the file at ``path``. Raises ``error``: ``absent`` says what a path without a file is not."""
    return _only(load_mappings_file(path, error, absent), path, error)


def load_mappings_file(path: str, error: type[ValueError], absent: str) -> list[Mapping[str, object]]:
    """The mappings in the file at ``path``, one or more. Raises as ``load_mapping_file`` does."""
    try:
        with open(path, "rb") as file:
            text = file.read(MOST_BYTES + 1)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise_alone(error(f"{path!r} {absent}"))
    except ValueError as problem:
        raise_alone(error(f"{path!r} {absent} ({problem})"))
    return load_mappings(text, path, error)


def load_mapping(text: bytes, name: str, error: type[ValueError]) -> Mapping[str, object]:
    """The mapping that ``text`` holds. Raises ``error`` for what is neither YAML nor JSON, no mapping, or several."""
    return _only(load_mappings(text, name, error), name, error)


def load_mappings(text: bytes, name: str, error: type[ValueError]) -> list[Mapping[str, object]]:
    """The mappings that ``text`` holds, one or more: YAML documents, or JSON one after another. Raises ``error``."""
    if len(text) > MOST_BYTES:
        raise error(f"{name!r} is longer than the {MOST_BYTES >> 10} KiB that are read: give the result or job alone")
    try:
        documents = [found for found in _loaded(text) if found is not None]
    except _SeveralError as problem:
        raise _several(name, str(problem), error) from None
    except _RefusedError as problem:
        raise error(f"{name!r} is no YAML that is read here: {problem}") from None
    except ValueError as problem:
        raise error(f"{name!r} is no YAML: {_what(problem)}") from None
    if not documents:
        raise error(f"{name!r} is empty: it must hold a mapping with Type and Params")
    mappings: list[Mapping[str, object]] = [document for document in documents if isinstance(document, dict)]
    if len(mappings) < len(documents):
        raise error(f"{name!r} holds no mapping with Type and Params")
    return mappings


def load_json_object(text: bytes, error: type[ValueError]) -> Mapping[str, object]:
    """The one object that ``text`` holds, in JSON, with numbers as text. Raises ``error`` for anything else."""
    if len(text) > MOST_BYTES:
        raise error(f"it is longer than the {MOST_BYTES >> 10} KiB that are read")
    try:
        found = _json_documents(text)
        _check_depth(found)
    except RecursionError:
        raise error(str(_too_deep(""))) from None
    except (_SeveralError, _RefusedError, ValueError) as problem:
        raise error(f"it is no JSON object: {_what(problem)}") from None
    if len(found) != 1 or not isinstance(found[0], dict):
        raise error("it is no JSON object: write one a line")
    return found[0]


def _only(mappings: list[Mapping[str, object]], name: str, error: type[ValueError]) -> Mapping[str, object]:
    if len(mappings) > 1:
        raise _several(name, f"{len(mappings)} documents", error)
    return mappings[0]


def _several(name: str, how: str, error: type[ValueError]) -> ValueError:
    what = "results" if issubclass(error, ResultError) else "destinations"
    return error(f"{name!r} holds several {what} ({how}): give each in a file of its own")


def dump_mapping(mapping: Mapping[str, object]) -> str:
    """``mapping`` as YAML, in its own order."""
    import yaml

    plain = dict(mapping)
    text = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)
    # PyYAML writes line breaks of Unicode and what turns the direction of writing as they are; some it cannot read.
    sound = yaml.safe_load(text) == plain and escaped(text) == text.replace("\n", "\\n")
    return text if sound else yaml.safe_dump(plain, sort_keys=False)


def _loaded(text: bytes) -> list[object]:
    """JSON as JSON: PyYAML leaves the surrogate pairs in it as they are."""
    try:
        loaded = _json_documents(text)
    except RecursionError:
        raise _too_deep("") from None
    except ValueError:
        return _yaml_documents(text)
    for each in loaded:
        _check_depth(each)
    return loaded


def _json_documents(text: bytes) -> list[object]:
    """The JSON texts that stand one after another. Raises ``ValueError`` for what is none."""
    rest = text.decode(json.detect_encoding(text)).strip(_JSON_SPACE)
    decoder = json.JSONDecoder(object_pairs_hook=_unrepeated, parse_int=str, parse_float=str)
    loaded = []
    while rest:
        found, end = decoder.raw_decode(rest)
        loaded.append(found)
        rest = rest[end:].lstrip(_JSON_SPACE)
    if len(loaded) > 1 and not all(isinstance(each, dict) for each in loaded):
        raise ValueError("something else")
    return loaded


def _yaml_documents(text: bytes) -> list[object]:
    """The documents of a YAML stream: dicts, lists, text, ``None`` for what is not written. Raises ``ValueError``."""
    import yaml

    try:
        return list(_made_of(yaml.parse(text, yaml.SafeLoader)))
    except yaml.MarkedYAMLError as problem:
        raise ValueError(f"{problem.problem}{_at(problem.problem_mark)}") from None
    except yaml.YAMLError as problem:
        raise ValueError(str(problem).replace(' in "<byte string>"', "")) from None


def _made_of(events: "Iterable[yaml.Event]") -> Iterator[object]:
    import yaml

    above: list[_Open] = []
    for event in events:
        if isinstance(event, yaml.NodeEvent):
            _check_node(event)
        if isinstance(event, yaml.CollectionStartEvent):
            if len(above) == _DEEPEST:
                raise _too_deep(_place(event))
            above.append(_Mapping() if isinstance(event, yaml.MappingStartEvent) else _Sequence())
            continue
        if isinstance(event, yaml.ScalarEvent):
            value: object = None if event.implicit[0] and event.value in _NOTHING else event.value
        elif isinstance(event, yaml.CollectionEndEvent):
            value = above.pop().made
        else:
            continue
        if above:
            above[-1].take(value, event)
        else:
            yield value


class _Sequence:
    def __init__(self) -> None:
        self.made: list[object] = []

    def take(self, value: object, event: "yaml.Event") -> None:  # noqa: ARG002  a mapping needs it
        self.made.append(value)


class _Mapping:
    def __init__(self) -> None:
        self.made: dict[str, object] = {}
        self._key: str | None = None

    def take(self, value: object, event: "yaml.Event") -> None:
        if self._key is not None:
            self.made[self._key], self._key = value, None
            return
        if not hasattr(event, "value"):  # as a scalar's event alone has it
            raise _RefusedError(f"a name must be text{_place(event)}")
        if event.value in self.made:
            raise _SeveralError(f"{event.value!r} stands twice")
        self._key = event.value


_Open = _Sequence | _Mapping


def _check_node(event: "yaml.NodeEvent") -> None:
    if event.anchor is not None:
        raise _RefusedError(f"it holds an anchor or an alias{_place(event)}: write the value out")
    tag = getattr(event, "tag", None)
    if tag not in _TEXT:
        raise _RefusedError(f"it holds the tag {tag!r}{_place(event)}: leave it out")


def _check_depth(loaded: object) -> None:
    level = [loaded]
    for _ in range(_DEEPEST + 1):
        nested = [value.values() if isinstance(value, dict) else value for value in level if isinstance(value, _NESTED)]
        level = [value for values in nested for value in values]
    if level:
        raise _too_deep("")


_NESTED = (dict, list)


def _too_deep(place: str) -> _RefusedError:
    return _RefusedError(f"more than {_DEEPEST} mappings and lists stand one within the other{place}")


def _unrepeated(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in pairs:
        if name in found:
            raise _SeveralError(f"{name!r} stands twice")
        found[name] = value
    return found


def _place(event: "yaml.Event") -> str:
    return _at(event.start_mark)


def _at(mark: "yaml.Mark | yaml._yaml.Mark | None") -> str:
    return f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""


def _what(problem: Exception) -> str:
    return " ".join(str(problem).split())
