"""Who carries a request to S3, which is decided here and nowhere else.

There are two carriers: signed requests (``signed.py``), and fsspec's client (``client.py``), which knows all of AWS's
kinds of endpoints, takes proxies, and follows AWS to a bucket's region. Where both do the same, the first is taken: it
loads in a tenth of the time, and what hangs can be cut from any thread.

obstore carries nothing here, for what was measured (SeaweedFS, 2 cores, processor time without the server's): reading
200 MiB takes both 0.17 s; 1,500 objects of 10 kB take it 0.30 s and signed requests 0.46 s, but as its calls end for
no signal and no other thread, each needs a thread of its own to be waited for, and that makes 0.59 s. Nor does it send
a Content-MD5, tell what the server verified, keep all keys, or stay where it was sent.
"""

import re
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, cast

from keystow.backends.endpoints import is_aws
from keystow.backends.errors import UnsupportedError
from keystow.backends.sending.forks import tell_in_children
from keystow.backends.sending.lines import Line

from .failures import proxy_variable
from .place import Options, Place, address, place
from .requests import Answer, Request
from .settings import check_addressing, check_bucket, guard

if TYPE_CHECKING:
    from .client import Client
    from .signed import Signed

_REGIONS = re.compile(r"(?:af|ap|ca|eu|il|me|mx|sa|us)-(?!iso)")
"""Those in the domain ``amazonaws.com``."""
_NAMES = re.compile(r"[A-Za-z0-9._-]{1,255}")
_BUCKETS = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


class Carrier(Protocol):
    """Carries one request at a time, once, from any thread."""

    def send(self, request: Request, line: Line) -> Answer:
        """The answer, whatever it says. Raises ``StoreUnavailableError`` if there is none that makes sense."""

    def ready(self, count: int) -> None:
        """Is told that ``count`` requests come soon, all at once."""

    def close(self) -> None:
        """Closes the connections."""


class Case(NamedTuple):
    """What decides: the engine that was asked for, the bucket, the place where it is, and its URL there."""

    engine: str
    bucket: str
    where: Place
    url: str


class Row(NamedTuple):
    """``carrier`` carries ``only`` these operations, or all if none are named, in the cases that this ``applies`` to.

    ``is_binding`` says that it is so even if something else is asked for.
    """

    carrier: Literal["client", "signed"]
    why: str
    applies: Callable[[Case], bool] = bool
    only: frozenset[str] = frozenset()
    is_binding: bool = False


def _is_in_odd_region(case: Case) -> bool:
    return case.where.endpoint is None and not _REGIONS.match(case.where.region)


def _is_odd_bucket(case: Case) -> bool:
    on_aws = is_aws(case.where.endpoint) and (case.bucket.endswith(".mrap") or not _BUCKETS.fullmatch(case.bucket))
    return on_aws or not _NAMES.fullmatch(case.bucket)


_TABLE = (
    Row("client", "botocore signs URLs for all kinds of endpoints, and asks nobody", only=frozenset({"presign"})),
    Row("client", "it is asked for", lambda case: case.engine == "fsspec"),
    Row("client", "{0.where.special} endpoints", lambda case: bool(case.where.special), is_binding=True),
    Row("client", "directory buckets", lambda case: case.bucket.endswith("--x-s3"), is_binding=True),
    Row("client", "the region {0.where.region}", _is_in_odd_region, is_binding=True),
    Row("client", "the bucket {0.bucket}", _is_odd_bucket, is_binding=True),
    Row("client", "signed requests take no proxy", lambda case: proxy_variable(case.url) is not None),
    Row("client", "it looks for the bucket's region", lambda case: case.where.assumed and is_aws(case.where.endpoint)),
    Row("signed", "it loads in a tenth of the time, and can be cut from any thread"),
)
"""Who carries what, and why: of the rows that apply, the first counts."""


class Usual(NamedTuple):
    """Who carries all requests of which nothing else is said, and why."""

    carrier: Literal["client", "signed"]
    why: str


class Carriers:
    """The carriers to one bucket, each made when it is first needed; ``usual`` is the one that most requests take.

    Raises ``UnsupportedError`` if another ``engine`` than fsspec's client is asked for where there is no other.
    """

    def __init__(self, bucket: str, engine: str, options: Options) -> None:
        check_bucket(bucket)
        check_addressing(options.addressing)
        guard()
        self._bucket, self._options = bucket, options
        self.forked()
        tell_in_children(self)
        self._made: dict[str, Client | Signed] = {}
        self._chosen: dict[str, Carrier] = {}
        if engine == "fsspec":
            # botocore finds the place for the client, and is not asked twice.
            self._rows: tuple[Row, ...] = _TABLE[:2]
            where = None
        else:
            where = place(options)
            self._case = Case(engine, bucket, where, address(bucket, where, options.addressing))
            self._rows = tuple(row for row in _TABLE if row.applies(self._case))
        usual = next(row for row in self._rows if not row.only)
        why = usual.why if where is None else usual.why.format(self._case)
        if usual.is_binding and engine != "auto":
            raise UnsupportedError(f"s3://{bucket}: {engine} cannot do {why}: use engine=fsspec")
        self.usual = Usual(usual.carrier, why)
        found = self.client() if where is None or usual.carrier == "client" else where
        self.endpoint, self.region = found.endpoint, found.region

    def forked(self) -> None:
        """This process was forked, and a thread that was making a carrier is not here."""
        self._lock = threading.Lock()

    def carrier_of(self, operation: str) -> Carrier:
        """The one that carries ``operation``."""
        carrier = self._chosen.get(operation)
        if carrier is None:
            name = next(row.carrier for row in self._rows if not row.only or operation in row.only)
            carrier = self._chosen[operation] = self.client() if name == "client" else self._signed()
        return carrier

    def client(self) -> "Client":
        """The connection of fsspec's client."""
        with self._lock:
            if "client" not in self._made:
                from .client import Client

                self._made["client"] = Client(self._bucket, self._options)
            return cast("Client", self._made["client"])

    def _signed(self) -> "Signed":
        with self._lock:
            if "signed" not in self._made:
                from .signed import Signed

                self._made["signed"] = Signed(self._bucket, self._case.url, self._case.where)
            return cast("Signed", self._made["signed"])

    def close(self) -> None:
        """Closes what was made."""
        for carrier in self._made.values():
            carrier.close()
