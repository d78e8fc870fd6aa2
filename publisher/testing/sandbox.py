"""A bucket of its own for one test, and what it takes to reach it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from keystow.backends import Store, open_store


@dataclass(frozen=True)
class Sandbox:
    """An empty bucket of one kind of store.

    ``environment`` holds the variables with which default clients reach it; the plugin's fixtures have set them.
    """

    name: str
    url: str
    endpoint: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    def destination(self, key: str) -> str:
        """The destination of ``key`` for ``publish`` and the command.

        >>> Sandbox("s3", "s3://bucket", "http://127.0.0.1:8333").destination("results/{jobID}")
        's3://bucket/results/{jobID},opt=endpoint=http://127.0.0.1:8333'
        """
        return f"{self.url}/{key}" + (f",opt=endpoint={self.endpoint}" if self.endpoint else "")

    def open(self) -> Store:
        """The store itself; close it when you are done."""
        options: dict[str, Any] = {"endpoint": self.endpoint} if self.endpoint else {}
        return open_store(self.url, **options)
