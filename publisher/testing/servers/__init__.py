"""Real servers on loopback, for tests of what your code does with a store.

- ``SeaweedFS(directory)``: S3 with versions, signatures, and policies that are enforced; ``user(policy)`` makes a user.
- ``Moto()``: a second opinion on S3, in this process.
- ``FakeGCS(directory)``: Google Cloud Storage.
- ``Azurite(directory)``: Azure Blob Storage.
- ``FaultProxy(endpoint)``: goes in front of any of them, and loses answers, drops, hangs or answers itself on order.
- ``Relay(endpoint, Distance(round_trip=0.05))``: puts any of them at a distance.
- ``Server``: one process with its ports, log and directory, to subclass for a server of your own.

Each is a context manager, listens on 127.0.0.1 only, and keeps what it writes in the directory handed in.
``installed()`` says whether a server can be started here; a start that fails raises, and says why.
``make_bucket()`` gives a bucket, and ``environment()`` the variables with which default clients get in.

Nothing here knows pytest, and no server's packages are imported before it is started.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .azurite import Azurite
    from .fake_gcs import FakeGCS
    from .moto import Moto
    from .process import LOOPBACK, Server, free_ports
    from .proxy import Exchange, FaultProxy
    from .relay import Distance, Relay
    from .s3 import Credentials, S3Server
    from .seaweedfs import COMPUTE_NODE_POLICY, REQUESTER_POLICY, SeaweedFS

_HOMES = {
    "COMPUTE_NODE_POLICY": "seaweedfs",
    "LOOPBACK": "process",
    "REQUESTER_POLICY": "seaweedfs",
    "Azurite": "azurite",
    "Credentials": "s3",
    "Distance": "relay",
    "Exchange": "proxy",
    "FakeGCS": "fake_gcs",
    "FaultProxy": "proxy",
    "Moto": "moto",
    "Relay": "relay",
    "S3Server": "s3",
    "SeaweedFS": "seaweedfs",
    "Server": "process",
    "free_ports": "process",
}

__all__ = [
    "COMPUTE_NODE_POLICY",
    "LOOPBACK",
    "REQUESTER_POLICY",
    "Azurite",
    "Credentials",
    "Distance",
    "Exchange",
    "FakeGCS",
    "FaultProxy",
    "Moto",
    "Relay",
    "S3Server",
    "SeaweedFS",
    "Server",
    "free_ports",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
