"""Processes that are forked off a test."""

import os
import signal

SECONDS = 60


def forked(work):
    """Has a child do ``work``; gives a function that waits for what it says."""
    read, write = os.pipe()
    if not (child := os.fork()):
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(SECONDS)
            os.write(write, str(work()).encode())
        except BaseException as error:  # noqa: BLE001  it is told to the parent
            os.write(write, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(0)
    os.close(write)

    def said():
        with open(read, "rb") as pipe:
            text = pipe.read().decode()
        status = os.waitpid(child, 0)[1]
        return text if status == 0 else f"ended by signal {os.WTERMSIG(status)}"

    return said
