"""``keystow verify``: whether what is in the store is what was published."""

from . import typed
from .claimed import given_limits, given_results, given_trust, take_checksum, take_limits, take_result, take_trust
from .failures import each_of
from .loading import uncollected
from .manner import given_tree, take_choice
from .members import LIMITS, take_index, take_member, take_no_manifest, take_strict
from .output import print_json, take_output
from .progress import shown
from .streams import note
from .written import given_access, take_access

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from keystow.result import PublishedResult

USAGE = "RESULT"
DESCRIPTION = (
    "Read what was published and compare its SHA-256. With --against, read a directory instead, and say whether it "
    "would be published as this archive."
)
_AGAINST = "pack this directory again, with SOURCE_DATE_EPOCH as publish takes it, and compare the tar stream"


def take_arguments(parser: "argparse.ArgumentParser") -> None:
    """Declares what the command takes."""
    take_result(parser)
    take_member(parser)
    take_index(parser)
    take_no_manifest(parser)
    take_strict(parser)
    parser.add_argument("--against", metavar="DIR", help=_AGAINST)
    take_output(parser)
    take_choice(parser.add_argument_group("what of DIR goes along, as publish takes it"))
    trusted = parser.add_argument_group("what a result of others may be")
    take_checksum(trusted)
    take_trust(trusted)
    take_limits(trusted, *LIMITS)
    asking = parser.add_argument_group("who asks, for how long, and how much at once")
    typed.take_timeout(asking)
    typed.take_budget(asking)
    take_access(asking)


def run(options: "argparse.Namespace") -> int:
    """Verifies, and says what."""
    with uncollected():
        from keystow.fetching import verify

    from .wording import counted

    limits = given_limits(options)
    given = {"sha256": options.sha256, "limits": limits, "timeout": options.timeout}
    given |= {"members": options.member, "index": options.index}
    given |= {"concurrency": options.concurrency, "memory": options.memory}
    given |= {"manifest": options.manifest, "strict": options.strict}
    given |= given_trust(options) | given_access(options)
    if options.against is not None:
        given["against"], given["mtime"] = given_tree(options, options.against)
    elif options.patterns or options.symlinks != "inside" or options.special != "error":
        options.refuse("what goes along is said of a directory: add --against, or see --member")

    def work(result: "str | PublishedResult") -> None:
        url = options.result if isinstance(result, str) else result.url
        with shown(options, url) as told:
            verified = verify(result, progress=told, **given)
        number, thing = (verified.objects, "object") if verified.members is None else (verified.members, "member")
        what = f"{counted(number, thing)} of {counted(verified.size, 'byte')}"
        if options.against is not None:
            said = f"the directory gives what was published, of which the content was not read: {what}, tar stream"
        else:
            by_index = verified.members is not None and verified.sha256 == getattr(result, "index_sha256", None)
            said = f"verified {what},{' index' if by_index else ''}"
        note(f"{said} SHA-256 {verified.sha256}")
        if options.output == "json":
            sha256 = verified.sha256.hex
            members = {} if verified.members is None else {"members": verified.members}
            print_json(url=url, objects=verified.objects, bytes=verified.size, sha256=sha256, **members)

    return each_of(given_results(options), work)


EXAMPLES = {
    "what publish printed": "keystow verify published.yaml",
    "members that a pattern matches": "keystow verify published.yaml --member '*.json'",
    "whether a directory is what was published, without reading that": (
        "keystow verify published.yaml --against results"
    ),
    "a file by its name, against a checksum from elsewhere": (
        'keystow verify s3://my-bucket/exact/results.tar --sha256 "$(sha256sum results.tar | cut -c -64)"'
    ),
}
