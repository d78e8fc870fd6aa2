"""The command ``keystow``. Results go to stdout and nothing else does; people are talked to on stderr.

Exit status: 0 done, 1 failed, 2 the call, template or specification is wrong (nothing was read or sent), 3 it already
exists, 4 verification failed, 130 interrupted, 143 terminated.
"""

import argparse
import os
import re
import signal
import sys
from collections.abc import Sequence
from contextlib import contextmanager, suppress
from datetime import UTC
from functools import partial

from . import typed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, NoReturn

    from .archive import Limits
    from .keys import Context
    from .publishing import Plan
    from .result import PublishedResult

_MOST_SECONDS = 1 << 63  # as many as keystow.archive restores
_LOCATED = "[A-Za-z][A-Za-z0-9+.-]*://"


class _Terminated(KeyboardInterrupt):
    """SIGTERM came: to be cleaned up after like Ctrl-C."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and gives its exit status."""
    debug = "--debug" in (sys.argv if arguments is None else arguments)
    try:
        options = _options(arguments)
        reconfigure = getattr(sys.stdout, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(encoding="utf-8", errors="surrogateescape")  # a key may hold what no locale can write
        with _sigterm_raised():
            status: int = options.run(options)
            sys.stdout.flush()
    except KeyboardInterrupt as interrupt:
        what, status = ("terminated", 143) if isinstance(interrupt, _Terminated) else ("interrupted", 130)
        notes = getattr(interrupt, "__notes__", ())
        for line in (what, *notes) if notes else (f"{what}; nothing half-written was left",):
            _say(line)
        return status
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # noqa: BLE001  the last line of defence: a panic of Rust's is no Exception
        if debug:
            _trace(error)
        status = _status(error)
        if status:
            _complain(error)
        else:
            status = 1
            _say(f"failed in a way that keystow does not know ({type(error).__name__}: {error}): {_REPORT}")
    return status


_MOST_TRACED = 30_000
_REPORT = "run it again with --debug, and report what it prints"


def _trace(error: BaseException) -> None:
    """Where ``error`` comes from, as Python prints it."""
    import traceback

    from .backends.texts import masked

    whole = "".join(traceback.format_exception(error))
    for line in masked(whole[-_MOST_TRACED:]).splitlines():
        _say(line)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The call, taken apart; one that cannot be carried out ends here, with exit status 2."""
    closed = _stand_in_for_closed_streams()
    arguments = sys.argv[1:] if arguments is None else arguments
    options, unknown = _parser(arguments[0] if arguments else None).parse_known_args(arguments)
    if options.run is _publish and not any(argument.startswith("-") for argument in unknown):
        options.destination += unknown  # argparse takes no more positionals once an option stood between them
    elif unknown:
        options.refuse(f"unrecognized arguments: {' '.join(unknown)}")
    if "stdout" in closed and options.run in {_publish, _url, _key}:
        options.refuse("standard output is closed, and the result goes there: give it a file or a pipe")
    if "stdin" in closed and getattr(options, "result", None) == "-":
        options.refuse("standard input is closed: name the file with the published result")
    return options


def _stand_in_for_closed_streams() -> set[str]:
    """Opens the null device in the place of each standard stream that was closed, and gives the names of those."""
    closed = set()
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8", errors="surrogateescape"))  # noqa: SIM115
            closed.add(name)
    return closed


@contextmanager
def _sigterm_raised() -> "Iterator[None]":
    """SIGTERM raises, where Python lets it: in the main thread."""

    def terminate(*_: object) -> None:
        raise _Terminated

    try:
        before = signal.signal(signal.SIGTERM, terminate)
    except ValueError:
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)


def _status(error: BaseException) -> int:
    """The exit status for an error that is somebody's to mend; 0 for a defect of ours."""
    from .archive import ArchiveError, DestinationExistsError, SourceNotFoundError
    from .backends import AlreadyExistsError, StoreError
    from .errors import VerificationError

    if isinstance(error, AlreadyExistsError | DestinationExistsError):
        return 3
    if isinstance(error, VerificationError):
        return 4
    if isinstance(error, SourceNotFoundError):
        return 2
    if isinstance(error, StoreError | ArchiveError | OSError | ImportError):
        return 1
    return 2 if isinstance(error, ValueError) else 0


def _complain(error: BaseException) -> None:
    from .backends import AlreadyExistsError
    from .wording import as_options

    message = str(error)
    if isinstance(error, AlreadyExistsError):
        message += ": publish under another key, or with --if-exists replace or skip"
    elif isinstance(error, OSError) and error.filename is not None:
        message = f"{error.filename!r}: {error.strerror}"
    for line in (message, *getattr(error, "__notes__", ())):
        _say(as_options(line))


def _say(text: str) -> None:
    from .backends.texts import presentable

    with suppress(OSError):  # there is nobody else to tell, and the result is still to be printed
        print(f"keystow: {presentable(text)}", file=sys.stderr, flush=True)


def _publish(options: argparse.Namespace) -> int:
    from .publishing import carry_out, plan, scanned
    from .surroundings import trust
    from .wording import counted

    context = _context(options)
    archive = False if options.plain else None
    trusted = trust(options.allow, options.allow_endpoint)
    plans = [plan(destination, context, archive=archive, trust=trusted) for destination in _destinations(options)]
    _check_form(options.output, plans)
    mtime = _source_date_epoch()
    for planned in plans:
        _note(planned)
    status = printed = 0
    for planned in plans:
        try:
            tree = scanned(options.source, planned, options.symlinks, options.special)
            for name in tree.skipped:
                _say(f"left out: {name}")
            place = planned.result().url
            what = f"{counted(len(tree.files), 'file')} of {counted(tree.size, 'byte')}"
            if options.dry_run:
                _say(f"dry run: {what} would be published to {place}")
                _print_result(planned.result(), options.output, printed)
                printed += 1
                continue
            progress = _Progress() if sys.stderr.isatty() else None
            result = carry_out(planned, tree, if_exists=options.if_exists, mtime=mtime, progress=progress)
        except Exception as error:
            failed = _status(error)
            if not failed or len(plans) == 1:
                raise
            _complain(error)
            status = status or failed
            continue
        if result.checksum_sha256 is None:
            left = (
                "already there, and left as it is" if planned.archive else "some files were there, and left as they are"
            )
            _say(f"{left}: {place}")
        else:
            _say(f"published {what} to {place}")
            if planned.spec.type == "memory":
                _say("note: memory:// is this process's own, and is gone now: file:///directory stays")
        _print_result(result, options.output, printed)
        printed += 1
    return status


def _note(planned: "Plan") -> None:
    """Says what may not be what was meant."""
    if planned.archive and planned.key.endswith("/.tar.gz"):
        _say(f"note: the key ends with '/', so the archive is named '.tar.gz': {planned.key}")
    if planned.archive and planned.key.endswith(".tgz.tar.gz"):
        _say(f"note: an archive's key ends with .tar.gz, which is added to .tgz: {planned.key}")


def _check_form(form: str, plans: "Sequence[Plan]") -> None:
    """Raises ``ResultError`` if a result cannot be printed in ``form``, before anything is read or sent."""
    if form == "bacalhau-input":
        for planned in plans:
            planned.result().to_input_source(_target(0))


def _destinations(options: argparse.Namespace) -> "Sequence[str | dict[str, object]]":
    from .errors import SpecError

    if bool(options.destination) is bool(options.spec):
        raise SpecError("give a DESTINATION, such as s3://bucket/results/{jobID}, or --spec FILE: one of them")
    if not options.spec:
        return list(options.destination)
    from .yaml_files import load_mapping_file

    return [dict(load_mapping_file(options.spec, SpecError, "is no file: give the YAML file of a publisher or a job"))]


def _source_date_epoch() -> int | None:
    """https://reproducible-builds.org/specs/source-date-epoch: whole seconds since 1970."""
    text = os.environ.get("SOURCE_DATE_EPOCH")
    if text is None:
        return None
    if not re.fullmatch("[0-9]{1,19}", text) or int(text) >= _MOST_SECONDS:
        raise ValueError(f"SOURCE_DATE_EPOCH is {text!r}: set it to whole seconds since 1970, or unset it")
    return int(text)


class _Progress:
    """A line on stderr that is written over as the source is read."""

    def __init__(self) -> None:
        self._shown = -1

    def __call__(self, done: int, total: int) -> None:
        percent = 100 * done // max(total, 1)
        if percent != self._shown:
            self._shown = percent
            end = "\r" if percent < 100 else "\n"
            print(f"keystow: {percent:3} % of {total} bytes", end=end, file=sys.stderr, flush=True)


def _print_result(result: "PublishedResult", form: str, printed: int) -> None:
    """Prints ``result``, of which there are ``printed`` before it on stdout."""
    wrapped = {"PublishedResult": result.to_mapping()}
    if form == "bacalhau-input":
        from .yaml_files import dump_mapping

        source = result.to_input_source(_target(printed))
        written = dump_mapping({"InputSources": [source]})
        print(written.partition("\n")[2] if printed else written, end="")  # one list, however many results
    elif form == "key":
        from .backends.texts import escaped

        print(escaped(result.key) if sys.stdout.isatty() else result.key)
    elif form == "json":
        import json

        print(json.dumps(wrapped))
    else:
        from .yaml_files import dump_mapping

        print("---\n" * bool(printed) + dump_mapping(wrapped), end="")


def _target(printed: int) -> str:
    """Where a Bacalhau job finds its input: at its own default, and each further one beside it."""
    return f"/inputs-{printed + 1}" if printed else "/inputs"


def _get(options: argparse.Namespace) -> int:
    from .fetching import fetch
    from .wording import counted

    fetched = fetch(_result(options.result), options.directory, limits=_limits(options), **_trust(options))
    for name in fetched.cleared:
        _say(f"removed what an earlier run, which was killed, had left: {name}")
    if not fetched.verified:
        _say("not verified: a URL, or a result without ChecksumSHA256, holds nothing to compare with")
    what = f"{counted(fetched.members, 'member')} of {counted(fetched.bytes, 'byte')}"
    origin = f" from {fetched.address}" if fetched.address else ""
    _say(f"fetched {what}{origin} into {fetched.directory}")
    return 0


def _verify(options: argparse.Namespace) -> int:
    from .fetching import verify
    from .wording import counted

    verified = verify(_result(options.result), limits=_limits(options), **_trust(options))
    what = f"{counted(verified.objects, 'object')} of {counted(verified.size, 'byte')}"
    _say(f"verified {what}, SHA-256 {verified.sha256}")
    return 0


def _url(options: argparse.Namespace) -> int:
    from .fetching import presign

    result = _result(options.result)
    print(presign(result, expires=options.expires, pin_version=options.pin_version, **_trust(options)))
    return 0


def _limits(options: argparse.Namespace) -> "Limits":
    from .archive import Limits

    given = vars(options)
    return Limits(**{name: given[f"max_{name}"] for name in _LIMITS if f"max_{name}" in given})


def _trust(options: argparse.Namespace) -> "dict[str, Any]":
    return {"allow": options.allow, "allow_endpoints": options.allow_endpoint}


def _result(argument: str) -> "str | PublishedResult":
    if argument != "-":
        return argument
    from .errors import ResultError
    from .result import PublishedResult
    from .yaml_files import MOST_BYTES, load_mapping

    text = sys.stdin.buffer.read(MOST_BYTES + 1)
    return PublishedResult.from_mapping(load_mapping(text, "standard input", ResultError))


def _key(options: argparse.Namespace) -> int:
    from .keys import object_key

    if re.match(_LOCATED, options.template):
        from .publishing import plan

        print(plan(options.template, _context(options), archive=False if options.plain else None).key)
        return 0
    if not options.template:
        raise ValueError("the template is empty: write one, such as results/{jobID}")
    print(object_key(options.template, _context(options), archive=not options.plain))
    return 0


def _context(options: argparse.Namespace) -> "Context":
    from .keys import Context
    from .surroundings import job_context, with_instant

    job = job_context()
    zone = options.timezone or UTC
    at = options.at
    if at is not None:
        try:
            at = at.replace(tzinfo=zone) if at.tzinfo is None else at.astimezone(options.timezone or at.tzinfo)
        except OverflowError:
            raise ValueError(f"--at {at.isoformat()} is outside of the years 1 to 9999 in {zone}") from None
    labels = dict(options.label)
    if len(labels) < len(options.label):
        raise ValueError("a --label is given twice: give each NAME once")
    context = Context(
        job_id=options.job_id if options.job_id is not None else job.job_id,
        execution_id=options.execution_id if options.execution_id is not None else job.execution_id,
        node_id=options.node_id if options.node_id is not None else job.node_id,
        at=at,
        partition_index=options.partition_index if options.partition_index is not None else job.partition_index,
        partition_count=options.partition_count if options.partition_count is not None else job.partition_count,
        labels=labels,
    )
    return with_instant(context, zone)


def _parser(command: str | None) -> argparse.ArgumentParser:
    """The parser of ``command`` alone, or, where there is no such command, that of all; to set one up takes a while."""
    unmeasured = partial(argparse.HelpFormatter, width=80)  # to ask the terminal for its width takes a while, too
    parser = _Parser(prog="keystow", description=_KEYSTOW, formatter_class=unmeasured)
    parser.add_argument("--version", action=_Version)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", prog="keystow")
    for name, (add_arguments, run, summary, description) in _COMMANDS.items():
        if name == command or command not in _COMMANDS:
            one = commands.add_parser(name, help=summary, description=description, formatter_class=unmeasured)
            add_arguments(one)
            one.add_argument("--debug", action="store_true", help="on a failure, say where it came from")
            one.set_defaults(run=run, refuse=one.error)
    return parser


def _take_source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE", help="the directory or file to publish")
    parser.add_argument("destination", metavar="DESTINATION", nargs="*", help=_DESTINATION)
    parser.add_argument("--spec", metavar="FILE", help="a YAML file that holds a Publisher, instead of DESTINATION")
    _take_context(parser)
    parser.add_argument("--if-exists", choices=("replace", "error", "skip"), default="replace", help=_IF_EXISTS)
    parser.add_argument("--symlinks", choices=("inside", "follow", "skip", "error"), default="inside", help=_SYMLINKS)
    parser.add_argument("--special", choices=("error", "skip"), default="error", help=_SPECIAL)
    parser.add_argument("--dry-run", action="store_true", help="say what would be published; open no store")
    parser.add_argument("--output", choices=_FORMS, default="yaml", help=_OUTPUT)
    _take_trust(parser)


def _take_directory(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("result", metavar="RESULT|URL", help="a file with a published result, - for stdin, or a URL")
    parser.add_argument("directory", metavar="DIRECTORY", help="a new or empty directory")
    _take_trust(parser)
    _take_limits(parser, names=[*_LIMITS])


def _take_result(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("result", metavar="RESULT", help="a file with a published result, or - for stdin")
    _take_trust(parser)


def _take_verified(parser: argparse.ArgumentParser) -> None:
    _take_result(parser)
    _take_limits(parser, names=["members", "bytes"])


def _take_trust(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--allow", metavar="TYPE", action="append", default=[], help=_ALLOW)
    parser.add_argument("--allow-endpoint", metavar="URL", action="append", help=_ALLOW_ENDPOINT)


def _take_limits(parser: argparse.ArgumentParser, *, names: "Sequence[str]") -> None:
    for name in names:
        of, what = _LIMITS[name]
        parser.add_argument(f"--max-{name}", metavar="N|none", type=of, default=argparse.SUPPRESS, help=what)


def _take_expiry(parser: argparse.ArgumentParser) -> None:
    _take_result(parser)
    parser.add_argument("--expires", type=typed.duration, required=True, metavar="1h", help="90s, 30m, 12h, 7d at most")
    parser.add_argument(
        "--pin-version",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="name the published version (needs s3:GetObjectVersion)",
    )


def _take_template(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("template", metavar="TEMPLATE", help="such as results/{jobID}/{date}, or a DESTINATION")
    _take_context(parser)


_LIMITS = {
    "members": (typed.limit, "the most files, directories and links to take"),
    "bytes": (typed.size, "the most bytes of content to take, such as 20GB"),
    "ratio": (typed.limit, "how many times its compressed size an archive may take on the disk"),
    "depth": (typed.limit, "how many directories deep a name may lie"),
    "names": (typed.size, "the most bytes of names to take, which are held in memory"),
}
_DESTINATION = "s3://bucket/results/{jobID}, file:///directory/{jobID}; may end in ,opt=endpoint=URL,opt=region=NAME"
_IF_EXISTS = "what becomes of an object that is there: replace (default), error (exit status 3), or skip"
_SYMLINKS = "keep those that stay inside (default), follow, skip them all, or take any as an error"
_SPECIAL = "what becomes of sockets, FIFOs and devices: error (default), or skip them"
_ALLOW = "a type of store that a result or job may name, beside s3, gs, az and what a checksum proves; again for more"
_ALLOW_ENDPOINT = "a server that a result or job may name; then no other is called. Default: KEYSTOW_ALLOW_ENDPOINTS"
_FORMS = ("yaml", "json", "key", "bacalhau-input")
_OUTPUT = "form of the result; bacalhau-input: as InputSources of a Bacalhau job, at /inputs"
_PARTITION = "for {{partition{0}}}, or {{partition{0}:04}}; default: BACALHAU_PARTITION_{1}"
_KEYSTOW = "Publish a directory of results under a name you can predict."
_PUBLISH = "Publish SOURCE as one .tar.gz, or with --plain as files under a prefix, and print the published result."
_GET = "Fetch what was published, and verify it."
_VERIFY = "Read what was published and compare its SHA-256."
_URL = "Print a pre-signed URL of a published archive."
_KEY = "Print a key as publish would use it."
_COMMANDS = {
    "publish": (_take_source, _publish, "publish a directory", _PUBLISH),
    "get": (_take_directory, _get, "fetch what was published, and verify it", _GET),
    "verify": (_take_verified, _verify, "read what was published and compare its SHA-256", _VERIFY),
    "url": (_take_expiry, _url, "print a pre-signed URL of a published archive", _URL),
    "key": (_take_template, _key, "print a key as publish would use it", _KEY),
}


def _take_context(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--plain", action="store_true", help="publish files under a prefix, not an archive")
    parser.add_argument("--job-id", metavar="ID", help="for {jobID}; default: BACALHAU_JOB_ID")
    parser.add_argument("--execution-id", metavar="ID", help="for {executionID}; default: BACALHAU_EXECUTION_ID")
    parser.add_argument("--node-id", metavar="ID", help="for {nodeID}; default: BACALHAU_NODE_ID, if set")
    parser.add_argument("--partition-index", metavar="N", type=typed.number, help=_PARTITION.format("Index", "INDEX"))
    parser.add_argument("--partition-count", metavar="N", type=typed.number, help=_PARTITION.format("Count", "COUNT"))
    parser.add_argument(
        "--label", metavar="NAME=VALUE", type=typed.label, action="append", default=[], help="for {NAME}"
    )
    parser.add_argument(
        "--at", metavar="ISO-TIME", type=typed.instant, help="the instant of {date}, {time}; default: now"
    )
    parser.add_argument("--timezone", metavar="ZONE", type=typed.zone, help="the zone of --at and now; default: UTC")


class _Parser(argparse.ArgumentParser):
    def format_help(self) -> str:
        self.formatter_class = argparse.HelpFormatter  # as wide as the terminal
        return super().format_help()

    def error(self, message: str) -> "NoReturn":
        _say(f"{message} (see {self.prog} --help)")
        raise SystemExit(2)


class _Version(argparse.Action):
    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="print the version")

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"keystow {version('keystow')}")
        parser.exit()
