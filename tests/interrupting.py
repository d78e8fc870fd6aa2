"""Ctrl-C before a chosen step of some work, so that a test can try all of them."""

import concurrent.futures._base
import concurrent.futures.thread
import gc
import sys
import threading

SECONDS = 60
_PYTHONS = {module.__file__ for module in (threading, concurrent.futures.thread, concurrent.futures._base)}


def interrupted(work, at, modules):
    """Whether Ctrl-C came before step ``at`` of ``work``: a line of ``modules``, or the return from a call of Python's.

    Python's own lines are no steps, as before the one that ends a ``with`` no signal is looked at, but a tracer is; nor
    is the start of a thread, of which Python may make another error.
    """
    ours = {module.__file__ for module in modules}
    steps = 0
    outcome = []

    def trace(frame, event, _):
        nonlocal steps
        if frame.f_code.co_filename not in ours | _PYTHONS or _is_start(frame):
            return None
        if event == ("line" if frame.f_code.co_filename in ours else "return"):
            steps += 1
            if steps == at:
                raise KeyboardInterrupt
        return trace

    def run():
        gc.disable()  # what others have left is not to be cleared in the middle of this, and to be interrupted for it
        sys.settrace(trace)
        try:
            outcome.append(work())
        except KeyboardInterrupt:
            outcome.append(None)
        finally:
            sys.settrace(None)
            gc.enable()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(SECONDS)
    assert outcome, f"it waits for ever after an interrupt before step {at}"
    return steps >= at


def _is_start(frame):
    while frame and frame.f_code is not threading.Thread.start.__code__:
        frame = frame.f_back
    return frame is not None
