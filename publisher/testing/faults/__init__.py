"""Faults between a client and a real server: one at a chosen request and byte, drawn from a seed, printed as a word.

- ``WireFault``: what goes wrong, and where; ``WireFault.parse("reset:answer-body+17,on=part")``, ``drawn(…)``.
- ``FaultyWire(server.endpoint, fault)``: the proxy that does it; ``url`` is what the client is given.
- ``server_events(server)``: stops, kills and restarts a server of ``keystow.testing.servers`` when a fault says so.
- ``client_events(pid)``: sends SIGINT and SIGTERM to a client's process.
- ``ClientLimit``: a full disk, or few descriptors, for this process.
- ``GoogleGaps(fake_gcs.endpoint)``: what fake-gcs-server lacks of Google's service, listed in ``GAPS``.
- ``operation(method, target)``: what a request is for, by one name for S3, Google and Azure.
"""

from .events import client_events, server_events
from .fault import ANYWHERE, EVENTS, PLACES, WireFault, drawn
from .google import GAPS, GoogleGaps
from .limits import ClientLimit
from .operations import OPERATIONS, operation
from .wire import FaultyWire, Passed

__all__ = [
    "ANYWHERE",
    "EVENTS",
    "GAPS",
    "OPERATIONS",
    "PLACES",
    "ClientLimit",
    "FaultyWire",
    "GoogleGaps",
    "Passed",
    "WireFault",
    "client_events",
    "drawn",
    "operation",
    "server_events",
]
