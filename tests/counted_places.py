"""Places on each kind of store that the project runs, where what is asked is counted.

A module that has ``moto``, ``place``, ``source`` and ``keystow`` as its own has them as fixtures.
"""

import contextlib
import json
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from archive_strategies import OLD, lay
from commands import Ran

from keystow.command import main
from keystow.result import WRAPPER
from keystow.testing import Sandbox
from keystow.testing.faults import GoogleGaps
from keystow.testing.servers import FaultProxy, Moto
from keystow.testing.servers.proxy import ProxyHandler

NODES = {f"tables/{number:03}.csv": b"%d\n" % number for number in range(30)}
NODES |= {"a.txt": b"1\n", "large.bin": os.urandom(9 << 20), "score.txt": b"42\n"}


@pytest.fixture
def source(tmp_path):
    """30 small files, one of three ranges, and two more, of which one is far from the end of an archive."""
    return Path(lay(tmp_path / "source", NODES))


def change(source):
    """Gives ``score.txt`` another content, of the same size and time."""
    (source / "score.txt").write_bytes(b"43\n")
    os.utime(source / "score.txt", (OLD, OLD))


@pytest.fixture
def moto():
    """A bucket of moto's that keeps versions."""
    with Moto() as server:
        yield Sandbox("s3", f"s3://{server.make_bucket(versioned=True)}", server.endpoint, server.environment())


@pytest.fixture(params=["keystow_file", "keystow_s3", "moto", "keystow_gcs", "keystow_azure"])
def place(request, monkeypatch):
    """A bucket, and the proxy in front of its server; in front of a directory is none."""
    found = request.getfixturevalue(request.param)
    if found.endpoint is None:
        yield Place(found, None)
        return
    here = "{0.scheme}://{0.netloc}".format(urlsplit(found.endpoint))
    with contextlib.ExitStack() as stack:
        gaps = stack.enter_context(GoogleGaps(here)).url if request.param == "keystow_gcs" else here
        proxy = stack.enter_context(Metered(gaps))
        environment = {name: value.replace(here, proxy.url) for name, value in found.environment.items()}
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        endpoint = found.endpoint.replace(here, proxy.url)
        through = replace(found, endpoint=endpoint, environment=environment)
        yield Place(through, proxy, keeps_versions=request.param == "moto")


class Place:
    """Somewhere to publish to, where what is asked is counted."""

    def __init__(self, sandbox, proxy, *, keeps_versions=False):
        self.sandbox, self._proxy = sandbox, proxy
        self.keeps_versions = keeps_versions

    def __call__(self, key):
        return self.sandbox.destination(key)

    @property
    def look(self):
        """The method by which it is asked what it knows of an object."""
        return "GET" if self.sandbox.name == "gcs" else "HEAD"

    @contextlib.contextmanager
    def opened(self):
        """The store itself."""
        with contextlib.closing(self.sandbox.open()) as store:
            yield store

    @contextlib.contextmanager
    def asks(self, *methods, perhaps=0, most=None):
        """Within this, only these methods are asked, so often and no more; the last of them ``perhaps`` again.

        ``most`` are the bytes that all answers may have.
        """
        before = (len(self._proxy.requests), len(self._proxy.sent)) if self._proxy else (0, 0)
        yield
        if self._proxy:
            asked = Counter(each.method for each in self._proxy.requests[before[0] :] if "/token" not in each.path)
            more = asked - Counter(methods)
            assert not Counter(methods) - asked, asked
            assert more.keys() <= set(methods[-1:]), asked
            assert more.total() <= perhaps, asked
            sent = self._proxy.sent[before[1] :]
            assert most is None or sum(sent) <= most, sent


class Metered(FaultProxy):
    """Keeps how long each piece of an answer is that it passes on."""

    def __init__(self, upstream):
        self.sent = []
        super().__init__(upstream)
        self.RequestHandlerClass = _Metered


class _Metered(ProxyHandler):
    def _relay(self, response):
        read = response.read

        def metered(most):
            piece = read(most)
            self.server.sent.append(len(piece))
            return piece

        response.read = metered
        try:
            super()._relay(response)
        finally:
            del response.read  # or they hold each other, and the connection stays open


def written(result, path):
    """The file with a result."""
    path.write_text(json.dumps({WRAPPER: result.to_mapping()}))
    return path


@pytest.fixture
def keystow(capfd):
    """Runs the command in this process, whose environment leads to the place."""

    def called(*arguments):
        capfd.readouterr()
        status = main([os.fspath(argument) for argument in arguments])
        return Ran(status, *capfd.readouterr())

    return called
