"""Azure Blob Storage: a custom role, and an assignment of it at the container, with a condition.

Sources: which action each request needs,
https://learn.microsoft.com/rest/api/storageservices/authorize-with-azure-active-directory#permissions-for-blob-service-operations;
conditions on paths and on the prefix of a listing,
https://learn.microsoft.com/azure/storage/blobs/storage-auth-abac-examples#blob-names-or-paths; the action for locks and
holds, https://learn.microsoft.com/azure/storage/blobs/storage-auth-abac-attributes; operators and escapes,
https://learn.microsoft.com/azure/role-based-access-control/conditions-format.
"""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from keystow.backends.endpoints import is_provider

from .asked import COMPARES, UNSEEN, Asked, Grant, Policy, Reach

_BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"
_WRITING = Grant(f"{_BLOBS}/write", "writes a blob, in one request or in blocks, and replaces one")
_TAGGING = Grant(f"{_BLOBS}/tags/write", "writes its tags along with it")
_KEEPING = Grant(
    f"{_BLOBS}/immutableStorage/runAsSuperUser/action",
    "locks it until the day that is given, or holds it until that is lifted",
)
_COMPARING = Grant(f"{_BLOBS}/read", COMPARES)
_READING = Grant(f"{_BLOBS}/read", "reads blobs and their versions")
_READING_AND_LISTING = Grant(f"{_BLOBS}/read", "reads blobs and their versions, and lists the files under a prefix")


def policy(asked: Asked) -> Policy:
    """A ``role`` to be defined in the subscription, and its ``assignment``."""
    grants = tuple(_grants(asked))
    name = f"keystow {asked.role}"
    role = {
        "Name": name,
        "IsCustom": True,
        "Description": f"What a {asked.role} of keystow's needs",
        "Actions": [],
        "DataActions": [grant.permission for grant in grants],
        "AssignableScopes": ["/subscriptions/SUBSCRIPTION"],
    }
    assignment = {
        "role": name,
        "principalId": "PRINCIPAL",
        "scope": (
            "/subscriptions/SUBSCRIPTION/resourceGroups/GROUP/providers/Microsoft.Storage"
            f"/storageAccounts/{_account(asked.reach)}/blobServices/default/containers/{asked.reach.bucket}"
        ),
        "condition": _condition(asked, grants),
        "conditionVersion": "2.0",
    }
    return Policy({"role": role, "assignment": assignment}, grants, tuple(_notes(asked)))


def lifecycle(_: Reach) -> Policy:
    """Nothing: see https://learn.microsoft.com/rest/api/storageservices/put-block#remarks."""
    note = "there is nothing to set: blocks that were never made a blob are gone after a week"
    return Policy({}, notes=(note,))


def _grants(asked: Asked) -> Iterator[Grant]:
    if asked.role == "requester":
        yield _READING_AND_LISTING if asked.lists else _READING
        return
    yield _WRITING
    yield from (_TAGGING,) * bool(asked.options.tags)
    yield from (_KEEPING,) * (asked.options.lock_mode is not None or asked.options.legal_hold)
    yield from (_COMPARING,) * asked.reads


def _condition(asked: Asked, grants: tuple[Grant, ...]) -> str:
    """What has to hold of each action, and of a listing, which is an action of reading without a path.

    Where listings have no part of their own, they are refused, as they have no path to compare.
    """
    pattern = _pattern(asked.reach)
    sort = " AND NOT SubOperationMatches{'Blob.List'}" if asked.lists else ""
    others = " AND ".join(f"!(ActionMatches{{'{grant.permission}'}}{sort})" for grant in grants)
    condition = f"(({others}) OR (@Resource[{_BLOBS}:path] StringLike '{pattern}'))"
    if not asked.lists:
        return condition
    other = f"!(ActionMatches{{'{_BLOBS}/read'}} AND SubOperationMatches{{'Blob.List'}})"
    return f"{condition} AND (({other}) OR (@Request[{_BLOBS}:prefix] StringLike '{pattern}'))"


def _pattern(reach: Reach) -> str:
    r"""The keys that are meant, for ``StringLike``; a quote, for which Azure has no escape, is left open.

    >>> print(_pattern(Reach("c", "what's*new?/", False, None, None)))
    what?s\*new\?/*
    """
    literal = re.sub(r"[*?]", r"\\\g<0>", reach.prefix).replace("'", "?")
    return literal if reach.exact else f"{literal}*"


def _account(reach: Reach) -> str:
    """The account that the endpoint names, if it is one of Azure's own."""
    if reach.endpoint is None or not is_provider("az", reach.endpoint):
        return "ACCOUNT"
    return (urlsplit(reach.endpoint).hostname or "").partition(".")[0]


def _notes(asked: Asked) -> Iterator[str]:
    account = ", ACCOUNT" if _account(asked.reach) == "ACCOUNT" else ""
    yield f"SUBSCRIPTION, GROUP{account} and PRINCIPAL (an object's id) are to be filled in"
    if "'" in asked.reach.prefix:
        yield "a quote in the key stands as ?, any character, as Azure's conditions cannot hold one"
    if asked.role == "requester":
        yield "URLs are signed with the account's key, which opens all of the account, and not by this role"
    if asked.with_abort:
        yield "with_abort=True adds nothing: blocks that were never made a blob are gone after a week"
    if asked.with_versions:
        yield "with_versions=True adds nothing: the action for reading reads versions, too"
    if not asked.reads:
        yield UNSEEN.format(f"{_BLOBS}/read")
    yield from asked.notes(_READING.permission, f"listing ({_READING.permission}, Blob.List)")
