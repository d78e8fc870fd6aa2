"""``keystow policy``: the least that a publisher or a requester has to be allowed, as the cloud takes it."""

from .context import take_context, typed_context
from .streams import note, warn
from .written import given_writing, take_writing

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from keystow.policies import Policy

USAGE = "(--role ROLE | --lifecycle) DESTINATION"
DESCRIPTION = (
    "Print the least policy for DESTINATION in JSON, narrowed to the keys that begin as its template does, and say on "
    "stderr why each permission is in it. What is typed of a job narrows it further."
)
EXAMPLES = {
    "what a publisher is to be allowed": (
        "keystow policy 's3://my-bucket/results/{jobID}/{date}' --role publisher --with-abort > publisher.json"
    ),
    "the bucket's rule against what unfinished uploads leave": (
        "keystow policy 's3://my-bucket/results/{jobID}' --lifecycle > lifecycle.json"
    ),
}
_ROLE = "who it is for: publisher, or requester, who fetches, verifies and hands out URLs"
_LIFECYCLE = "print the bucket's rule that removes what unfinished uploads have left, and no policy"
_IF_EXISTS = "as publish is called with; default: replace. Only skip has to read"
_NO_MANIFEST = "as publish is called with; who fetches a prefix without a manifest has to list it"
_WITH_ABORT = "let the publisher remove what an upload that fails has left"
_WITH_VERSIONS = "let the requester read the versions that results name, where the bucket keeps them"


def take_arguments(parser: "argparse.ArgumentParser") -> None:
    """Declares what the command takes."""
    parser.add_argument("destination", metavar="DESTINATION", help="such as s3://bucket/results/{jobID}")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--role", choices=("publisher", "requester"), help=_ROLE)
    what.add_argument("--lifecycle", action="store_true", help=_LIFECYCLE)
    parser.add_argument("--if-exists", choices=("replace", "error", "skip"), default="replace", help=_IF_EXISTS)
    parser.add_argument("--no-manifest", action="store_const", const=False, dest="manifest", help=_NO_MANIFEST)
    parser.add_argument("--with-abort", action="store_true", help=_WITH_ABORT)
    parser.add_argument("--with-versions", action="store_true", help=_WITH_VERSIONS)
    parser.add_argument("--output", choices=("json",), default="json", help="form of the document")
    take_context(parser.add_argument_group("the key, and what it names"), typed_alone=True)
    take_writing(parser)
    parser.set_defaults(prints=True, requests=False)


def run(options: "argparse.Namespace") -> int:
    """Prints the document, and says why it is what it is."""
    from .wording import as_options

    made = _made(options)
    for grant in made.grants:
        note(as_options(f"{grant.permission}: {grant.why}"))
    for left in made.notes:
        warn(as_options(left))
    if made.document:
        print(made.to_json())
    return 0


def _made(options: "argparse.Namespace") -> "Policy":
    from keystow.errors import SpecError
    from keystow.policies import lifecycle, policy

    context = typed_context(options)
    archive = False if options.plain else None
    writing = given_writing(options)
    if not options.lifecycle:
        return policy(
            options.destination,
            role=options.role,
            context=context,
            archive=archive,
            raw=options.raw,
            if_exists=options.if_exists,
            manifest=options.manifest,
            with_abort=options.with_abort,
            with_versions=options.with_versions,
            **writing,
        )
    about_policies = (options.with_abort, options.with_versions, options.manifest is not None, writing)
    if options.if_exists != "replace" or any(about_policies):
        raise SpecError("--lifecycle is about unfinished uploads alone: leave out what is about a policy")
    return lifecycle(options.destination, context=context, archive=archive, raw=options.raw)
