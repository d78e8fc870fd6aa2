"""How something is published, beside where: the choices of the caller, checked once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from .archive import Selection, selection
from .archive.gzip import LEVEL, check_level
from .archive.scan import Special, Symlinks, check_choices
from .backends import ObjectOptions
from .errors import SpecError

IfExists = Literal["replace", "error", "skip"]


@dataclass(frozen=True, slots=True)
class Manner:
    """What becomes of what is found, in the source and in the store; ``publish`` says what each is."""

    if_exists: IfExists = "replace"
    symlinks: Symlinks = "inside"
    special: Special = "error"
    mtime: int | None = None
    level: int | None = None
    selection: Selection | None = None
    manifest: bool | None = None
    options: ObjectOptions | None = None

    def __post_init__(self) -> None:
        if self.if_exists not in {"replace", "error", "skip"}:
            raise SpecError(f"if_exists={self.if_exists!r} is no choice: use replace, error or skip")
        try:
            check_level(LEVEL if self.level is None else self.level)
            check_choices(self.symlinks, self.special)
        except ValueError as error:
            raise SpecError(str(error)) from None

    @property
    def about_directories(self) -> list[str]:
        """What was chosen of that which only directories and archives have, in words."""
        choices = {
            f"level={self.level}": self.level is not None,
            f'symlinks="{self.symlinks}"': self.symlinks != "inside",
            f'special="{self.special}"': self.special != "error",
            "a choice by patterns": self.selection is not None,
        }
        return [words for words, is_made in choices.items() if is_made]


def selected(include: Sequence[str], exclude: Sequence[str]) -> Selection | None:
    """``selection(include, exclude)``. Raises ``SpecError`` for a pattern that is none."""
    try:
        return selection(
            (include,) if isinstance(include, str) else include, (exclude,) if isinstance(exclude, str) else exclude
        )
    except ValueError as error:
        raise SpecError(str(error)) from None
