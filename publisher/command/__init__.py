"""The command ``keystow``. Results go to stdout and nothing else does; people are talked to on stderr.

Exit status: 0 done, 1 failed, 2 the call, template or specification is wrong (nothing was read or sent), 3 it already
exists, 4 verification failed, 130 interrupted, 143 terminated.
"""

import sys
from contextlib import nullcontext
from itertools import pairwise

from . import signals, streams
from .parsing import read_call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: "Sequence[str] | None" = None) -> int:
    """Runs the command and gives its exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    with streams.talking(as_json=_wants_json(arguments)):
        try:
            return _run(arguments)
        except KeyboardInterrupt as interrupt:  # also one that comes while a failure is told
            return signals.tell(interrupt)


def _wants_json(arguments: "Sequence[str]") -> bool:
    """Whether a call asks for JSON, also one that is wrong."""
    names = {"--output"[:length] for length in range(len("--o"), len("--output") + 1)}
    return any(f"{name}=json" in arguments or (name, "json") in pairwise(arguments) for name in names)


def _run(arguments: "Sequence[str]") -> int:
    try:
        options = read_call(arguments, closed=streams.stand_in_for_closed())
        streams.take_any_text()
        streams.hush(options.quiet)
        with signals.raised():
            with streams.repeats_told(every_try=options.debug) if options.requests else nullcontext():
                status: int = options.run(options)
            sys.stdout.flush()
    except BrokenPipeError:
        streams.discard_output()
        return 1
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # noqa: BLE001  the last line of defence: a panic of Rust's is no Exception
        from . import failures

        return failures.tell(error, debug="--debug" in arguments)
    return status
