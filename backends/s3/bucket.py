"""One bucket: where every request is carried, and its answer understood."""

from collections.abc import Callable
from typing import Any, TypeVar

from keystow.backends.endpoints import is_aws
from keystow.backends.errors import StoreError
from keystow.backends.sending.in_flight import parts_pace
from keystow.backends.sending.limits import Bounds
from keystow.backends.sending.lines import Line, Lines
from keystow.backends.sending.repeating import retried

from .answers import UNDERSTOOD, is_error, strange
from .carriers import Carriers
from .checks import AWS, OTHERS, Verification
from .options import PLAIN, Terms
from .refusals import refused
from .requests import Answer, Request

Result = TypeVar("Result")


class Bucket:
    """One bucket, open; ``terms`` go with its requests.

    ``lines`` are the operations that are under way, and the ``pace`` is that of an upload's parts.
    """

    def __init__(self, name: str, carriers: Carriers, bounds: Bounds, terms: Terms = PLAIN) -> None:
        self.name, self.bounds, self._terms = name, bounds, terms
        self.endpoint, self.region = carriers.endpoint, carriers.region
        self.lines = Lines(bounds.still)
        self.pace = parts_pace(bounds.budget)
        self.verification = Verification(f"s3://{name}", AWS if is_aws(self.endpoint) else OTHERS)
        self._carriers = carriers

    def where(self, key: str) -> str:
        """The object's URL, for what is told of it."""
        return f"s3://{self.name}/{key}"

    def once(self, request: Request, line: Line, understood: Callable[[Answer], Any] | None = None) -> Any:
        """What a single try gives, understood as ``UNDERSTOOD`` says, or by ``understood``."""
        line.begins()
        answer = self._carriers.carrier_of(request.operation).send(self._terms.on(request), line)
        if answer.status >= 300 or is_error(answer.body):
            raise self.refusal(answer, request)
        try:
            return (understood or UNDERSTOOD[request.operation])(answer)
        except (ValueError, TypeError, OverflowError):
            if answer.content is not None:
                answer.content.close()
            raise strange(self.where(request.key), self.endpoint) from None

    def asked(
        self,
        request: Request,
        understood: Callable[[Answer], Any] | None = None,
        *,
        seconds: float | None = None,
        patience: float | None = None,
    ) -> Any:
        """The same, tried again while the store is unavailable: for all that only reads, or may be done twice."""
        with self.lines.line(seconds) as line:
            patience = self.bounds.patience if patience is None else patience
            return retried(lambda: self.once(request, line, understood), patience=patience)

    def refusal(self, answer: Answer, request: Request) -> StoreError:
        """The error for an answer that refuses what was asked."""
        return refused(answer, request.operation, self.name, request.key, self.endpoint)

    def ready(self, operation: str, count: int) -> None:
        """Says to who carries ``operation`` that ``count`` of it come soon, all at once."""
        self._carriers.carrier_of(operation).ready(count)

    def sign(self, operation: str, params: dict[str, Any], seconds: int, method: str) -> str:
        """A signed URL for one request."""
        return self._carriers.client().sign(operation, params | self._terms.params(operation), seconds, method)

    def close(self) -> None:
        """Ends what is under way, and closes the connections."""
        self.lines.cut()
        self._carriers.close()
