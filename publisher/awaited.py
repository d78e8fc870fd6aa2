"""``publish``, ``fetch``, ``verify`` and ``agree`` for callers with an event loop: each call in a thread of its own.

Strategy: who is cancelled has the call ended, and waits for that, but not for ever; what is in the store then is what a
call that was interrupted leaves.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar

from .agreement import agree
from .backends.sending.in_flight import Outcome, in_thread
from .ending import Ending, ended_by
from .fetching import fetch, verify
from .publishing import publish

_PATIENCE = 2.0
"""Seconds in which a call that is cancelled has to end; after that it is left to its thread."""

Given = ParamSpec("Given")
Answer = TypeVar("Answer")


def _awaited(call: Callable[Given, Answer]) -> Callable[Given, Coroutine[Any, Any, Answer]]:
    @wraps(call)
    async def awaited(*arguments: Given.args, **options: Given.kwargs) -> Answer:
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[Outcome[Answer]] = loop.create_future()
        ending = Ending()

        def tell(outcome: Outcome[Answer]) -> None:
            if not ended.done():
                ended.set_result(outcome)

        def told(outcome: Outcome[Answer]) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(tell, outcome)

        in_thread(partial(copy_context().run, ended_by, ending, partial(call, *arguments, **options)), told)
        try:
            return (await asyncio.shield(ended)).result()
        except asyncio.CancelledError:
            ending.begin()
            in_thread(ending.close, bool)
            await asyncio.wait({ended}, timeout=_PATIENCE)
            raise

    awaited.__doc__ = (
        f"""``{call.__name__}``, for callers with an event loop; cancelled, it ends as one that is interrupted."""
    )
    return awaited


apublish = _awaited(publish)
afetch = _awaited(fetch)
averify = _awaited(verify)
aagree = _awaited(agree)
