"""What a store has said of large objects, before they are read: so much is known of them before the first answer."""

from collections import OrderedDict
from contextlib import suppress
from typing import Literal, NamedTuple

MOST = 4096
"""Of so many objects it is remembered; a listing is read no further ahead."""
MOST_WRONG = 3
"""After so many in a row that were wrong, a store does not name what its objects are: nothing is remembered of it."""

Proof = Literal["right", "wrong", "no ranges"]
"""What came of a version that was named; or the server gave all where a range was asked for, so nothing is to gain."""


class Version(NamedTuple):
    """One version of an object: the bytes that it has, and the tag that tells it from others (``Content.tag``).

    Without a tag, it is of whichever version has that size.
    """

    size: int
    tag: str | None


class Known:
    """The version that was named last of each object, until that is read, or ``MOST`` others were named.

    An object is a key, and the version's id if it is named. Any thread may ask.
    None is named any more where ``MOST_WRONG`` in a row were wrong, or the server heeds no ranges.
    """

    def __init__(self) -> None:
        self._versions: OrderedDict[tuple[str, str | None], Version] = OrderedDict()
        self._wrong = 0

    def add(self, key: str, version_id: str | None, version: Version) -> None:
        """The object is of this ``version``; one without a tag says nothing new of an object of which one is known."""
        if self._wrong >= MOST_WRONG:
            return
        if version.tag is None and (key, version_id) in self._versions:
            return
        self._versions[key, version_id] = version
        with suppress(KeyError):
            while len(self._versions) > MOST:
                self._versions.popitem(last=False)

    def take(self, key: str, version_id: str | None) -> Version | None:
        """The version that was named, if one was; it counts once, as it is soon out of date."""
        version = self._versions.pop((key, version_id), None)
        return version if self._wrong < MOST_WRONG else None

    def drop(self, key: str) -> None:
        """There may be another version by now."""
        self._versions.pop((key, None), None)

    def proved(self, proof: Proof) -> None:
        """What came of a version that was named, or what is so of all."""
        if self._wrong < MOST_WRONG:
            self._wrong = {"right": 0, "wrong": self._wrong + 1, "no ranges": MOST_WRONG}[proof]
