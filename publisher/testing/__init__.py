"""What keystow tests itself with, for the tests of others.

- ``StoreConformance``: the contract of a store as a test class. Subclass it and give it a fixture ``store``.
- ``StoreMachine``: a hypothesis state machine that plays any store against a dict.
- ``FaultyStore``: a store that fails on order.
- ``faults``: a proxy that fails at a chosen request and byte, and what stops servers and signals clients.
- ``strategies``: hypothesis strategies for keys, templates, contexts, trees and chunkings.
- ``Sandbox`` and the pytest plugin: the marker ``keystow_stores`` runs a test on every store, the fixtures
  ``keystow_memory``, ``keystow_file``, ``keystow_s3``, ``keystow_gcs`` and ``keystow_azure`` hand out one.

pytest and hypothesis come with the extra ``testing``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import strategies
    from .conformance import StoreConformance, needs
    from .faulty import Fault, FaultyStore
    from .machine import StoreMachine
    from .sandbox import Sandbox

_HOMES = {
    "Fault": "faulty",
    "FaultyStore": "faulty",
    "Sandbox": "sandbox",
    "StoreConformance": "conformance",
    "StoreMachine": "machine",
    "needs": "conformance",
}

__all__ = ["Fault", "FaultyStore", "Sandbox", "StoreConformance", "StoreMachine", "needs", "strategies"]


def __getattr__(name: str) -> Any:
    if name == "strategies":
        return _imported("strategies")
    if name in _HOMES:
        return getattr(_imported(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _imported(module: str) -> Any:
    try:
        return import_module(f"{__name__}.{module}")
    except ModuleNotFoundError as error:
        if error.name in {"pytest", "hypothesis"}:
            raise ImportError("keystow.testing needs the extra testing: pip install 'keystow[testing]'") from error
        raise


def __dir__() -> list[str]:
    return __all__
