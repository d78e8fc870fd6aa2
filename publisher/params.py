"""The shape that specifications and results share: a type and named parameters, perhaps within a wrapper."""

import difflib
from collections.abc import Collection, Mapping
from typing import NamedTuple

_HEAD = ("Type", "Params")


class Params(NamedTuple):
    """A type in lower case, and its parameters under their names as the specification writes them."""

    type: str
    values: dict[str, str]


def read_params(
    mapping: object, *, wrapper: str, names: Collection[str], required: Collection[str], error: type[ValueError]
) -> Params:
    """The parameters in ``mapping``, with or without ``wrapper``; names are read without regard to case.

    Raises ``error`` for a name that is not in ``names``, with the nearest, for one that is missing or not text.
    """
    body = folded(mapping, (wrapper, *_HEAD), wrapper, error)
    if wrapper in body:
        body = folded(body[wrapper], _HEAD, wrapper, error)
    kind = body.get("Type")
    if not isinstance(kind, str) or not kind:
        raise error(f"{wrapper} needs a Type, such as Type: s3")
    values = folded(body.get("Params") or {}, names, f"{wrapper}.Params", error)
    for name, value in values.items():
        if not isinstance(value, str):
            raise error(f"{wrapper}.Params.{name} is {value!r}: write it as text, in quotes")
        if not value:
            raise error(f"{wrapper}.Params.{name} is empty: give a value, or leave it out")
    for name in required:
        if name not in values:
            raise error(f"{wrapper}.Params needs {name}")
    return Params(kind.lower(), {name: str(value) for name, value in values.items()})


def named(mapping: Mapping[str, object], name: str) -> object:
    """The value under ``name``, in whatever case, or ``None``."""
    return next((value for key, value in mapping.items() if str(key).casefold() == name.casefold()), None)


def nearest(name: str, known: Collection[str]) -> str:
    """What to tell somebody who wrote ``name`` where only ``known`` names are possible."""
    near = near_to(name, known)
    return f"did you mean {near}?" if near else "known are " + ", ".join(known)


def near_to(name: str, known: Collection[str]) -> str | None:
    """The one of ``known`` that may have been meant by ``name``."""
    candidates = {candidate.casefold(): candidate for candidate in known}
    near = difflib.get_close_matches(name.casefold(), candidates, n=1)
    return candidates[near[0]] if near else None


def folded(mapping: object, known: Collection[str], what: str, error: type[ValueError]) -> dict[str, object]:
    """What ``mapping`` holds, under the ``known`` names, without what is ``None``. Raises ``error`` for another name.

    ``what`` is what the mapping is called there.
    """
    if not isinstance(mapping, Mapping):
        raise error(f"{what} is {mapping!r}: it must be a mapping")
    names = {name.casefold(): name for name in known}
    out: dict[str, object] = {}
    for name, value in mapping.items():
        if not isinstance(name, str) or name.casefold() not in names:
            raise error(f"{what} has an unknown name {name!r}: {nearest(str(name), known)}")
        if names[name.casefold()] in out:
            raise error(f"{what} has {names[name.casefold()]} twice")
        if value is not None:
            out[names[name.casefold()]] = value
    return out
