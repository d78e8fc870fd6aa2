"""What a store has said of large objects, before they are read: so much is known of them before the first answer."""

from collections import OrderedDict
from contextlib import suppress
from typing import NamedTuple

MOST = 4096
"""Of so many objects it is remembered; a listing is read no further ahead."""


class Version(NamedTuple):
    """One version of an object: the bytes that it has, and the tag that tells it from others (``Content.tag``)."""

    size: int
    tag: str


class Known:
    """The version that was named last of each object, until that is read, or ``MOST`` others were named.

    An object is a key, and the version's id if it is named. Any thread may ask.
    """

    def __init__(self) -> None:
        self._versions: OrderedDict[tuple[str, str | None], Version] = OrderedDict()

    def add(self, key: str, version_id: str | None, version: Version) -> None:
        """The object is of this ``version``."""
        self._versions[key, version_id] = version
        with suppress(KeyError):
            while len(self._versions) > MOST:
                self._versions.popitem(last=False)

    def take(self, key: str, version_id: str | None) -> Version | None:
        """The version that was named, if one was; it counts once, as it is soon out of date."""
        return self._versions.pop((key, version_id), None)
