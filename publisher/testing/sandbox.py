"""A bucket of its own for one test, and what it takes to reach it."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from keystow.backends import Store, open_store

if TYPE_CHECKING:
    from .servers import Distance


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

    @contextlib.contextmanager
    def at_distance(self, distance: "Distance") -> Iterator["Sandbox"]:
        """The same bucket through a ``Relay``: far away as long as the ``with`` block lasts.

        So long ``os.environ`` holds its ``environment``, as default clients take the endpoint of Google's and Azure's
        servers from there. Raises ``ValueError`` where there is no endpoint: memory and a directory are never far.

        >>> from keystow.testing.servers import Distance
        >>> with Sandbox("s3", "s3://bucket", "http://127.0.0.1:8333").at_distance(Distance(0.1)) as far:
        ...     far.url, far.endpoint == "http://127.0.0.1:8333"
        ('s3://bucket', False)
        """
        if self.endpoint is None:
            raise ValueError(f"{self.url} is at no distance: it has no endpoint to which bytes would have to travel")
        from .servers import Relay

        here = "{0.scheme}://{0.netloc}".format(urlsplit(self.endpoint))
        with Relay(here, distance) as relay:
            environment = {name: value.replace(here, relay.url) for name, value in self.environment.items()}
            with _environment(environment):
                yield replace(self, endpoint=self.endpoint.replace(here, relay.url), environment=environment)


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Has the variables in ``os.environ``, and afterwards what was there before."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
