"""What a client may run short of: room on the disk, and file descriptors."""

import resource
import sys
from dataclasses import dataclass
from typing import Self

_RESOURCES = {"disk": resource.RLIMIT_FSIZE, "files": resource.RLIMIT_NOFILE}


@dataclass(frozen=True, slots=True)
class ClientLimit:
    """A process that may write no more than ``most`` bytes to a file (``"disk"``), or open so many (``"files"``).

    >>> ClientLimit.parse("disk+4096")
    ClientLimit(resource='disk', most=4096)
    >>> str(ClientLimit("files", 40))
    'files+40'
    """

    resource: str
    most: int

    def __post_init__(self) -> None:
        if self.resource not in _RESOURCES:
            raise ValueError(f"there is no limit {self.resource!r}: use one of {', '.join(_RESOURCES)}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """The limit that ``str`` printed so. Raises ``ValueError``."""
        name, _, most = text.partition("+")
        return cls(name, int(most))

    def __str__(self) -> str:
        return f"{self.resource}+{self.most}"

    @property
    def label(self) -> str:
        """The kind for a table's row."""
        return {"disk": "full disk", "files": "few descriptors"}[self.resource]

    def hold(self) -> None:
        """From now on this process has no more: writing fails with ``EFBIG``, opening with ``EMFILE``.

        Where it may not write, Python keeps nothing of what it compiles: it does not notice that it wrote only the
        beginning, and other processes would read that.
        """
        kind = _RESOURCES[self.resource]
        sys.dont_write_bytecode = sys.dont_write_bytecode or self.resource == "disk"
        resource.setrlimit(kind, (self.most, resource.getrlimit(kind)[1]))
