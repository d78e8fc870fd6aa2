"""What a dry run tells beside the key: the permissions that are needed and, if it is asked, what is missing."""

from .streams import note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from keystow.backends.findings import Finding
    from keystow.manner import IfExists
    from keystow.several import Way

_POLICY = "keystow policy DESTINATION --role publisher --if-exists skip says what to allow"


def tell_needed(way: "Way") -> None:
    """Says which permissions publishing there needs, each by the name that the cloud has for it, and why."""
    from keystow.policies import needed

    from .wording import as_options

    if way.to.spec.type == "file":
        note(f"needs leave to make files in {way.to.spec.bucket!r}")
    for grant in needed(way.to, way.manner.if_exists):
        note(as_options(f"needs {grant.permission}: {grant.why}"))


def check(way: "Way") -> None:
    """Says what can be found of them without writing, in the rows of ``keystow doctor``.

    Raises ``StoreError`` for what would make the publication fail.
    """
    from keystow.backends import StoreError
    from keystow.doctor import on_the_way_to

    from .wording import row_of

    missing = []
    for finding in on_the_way_to(way.to, way.foreseen.key):
        if finding.outcome == "failed":
            missing.append(finding)
            continue
        for line in row_of(_fitted(finding, way.manner.if_exists)).splitlines():
            note(line)
    if missing:
        first, *others = missing
        error = StoreError(f"{first.name}: {first.found}", hint=first.advice)
        for other in others:
            error.add_note(": ".join(filter(None, (other.name, other.found, other.advice))))
        raise error


def _fitted(finding: "Finding", if_exists: "IfExists") -> "Finding":
    """``finding``, with the advice for who compares what is there, and so has to read."""
    from dataclasses import replace

    asks = finding.name == "reading" and finding.outcome == "unknown" and if_exists == "skip"
    return replace(finding, advice=_POLICY) if asks else finding
