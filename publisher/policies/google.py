"""Google Cloud Storage: a custom role, and a conditional binding of it for the bucket.

Sources: which permission each request needs, https://cloud.google.com/storage/docs/access-control/iam-json; conditions
on names, https://cloud.google.com/storage/docs/access-control/iam#conditions; on the prefix of a listing, which has no
object's name, https://cloud.google.com/iam/docs/conditions-attribute-reference#api-attributes; the strings of the
language they are in, https://github.com/google/cel-spec/blob/master/doc/langdef.md#string-and-bytes-values.
"""

import json
from collections.abc import Iterator
from typing import Any

from .asked import COMPARES, UNSEEN, Asked, Grant, Policy, Reach

_WRITING = Grant("storage.objects.create", "writes an object, in one request or in a session")
_REPLACING = Grant("storage.objects.delete", 'replaces the object of that name (if_exists="replace")')
_LOCKING = Grant("storage.objects.setRetention", "locks it until the day that is given")
_COMPARING = Grant("storage.objects.get", COMPARES)
_READING = Grant("storage.objects.get", "reads objects and their generations, also through URLs that are signed")
_LISTING = Grant("storage.objects.list", "lists the files under a published prefix")
_PRINCIPAL = "serviceAccount:NAME@PROJECT.iam.gserviceaccount.com"


def policy(asked: Asked) -> Policy:
    """A ``role`` to be made in the project, and ``bindings`` to be added to those of the bucket."""
    grants = tuple(_grants(asked))
    role = {
        "title": f"keystow {asked.role}",
        "stage": "GA",
        "includedPermissions": [grant.permission for grant in grants],
    }
    binding: dict[str, Any] = {
        "role": f"projects/PROJECT/roles/keystow{asked.role.title()}",
        "members": [_PRINCIPAL],
    }
    if not asked.reach.is_whole_bucket:
        expression = _expression(asked.reach, lists=asked.lists)
        binding["condition"] = {"title": f"keystow {asked.role}", "expression": expression}
    return Policy({"role": role, "bindings": [binding]}, grants, tuple(_notes(asked)))


def lifecycle(_: Reach) -> Policy:
    """Nothing: an unfinished session ends by itself (https://cloud.google.com/storage/docs/resumable-uploads)."""
    note = "there is nothing to set: an upload that is not finished expires in a week, and what it sent is gone"
    return Policy({}, notes=(note,))


def _grants(asked: Asked) -> Iterator[Grant]:
    if asked.role == "requester":
        yield _READING
        yield from (_LISTING,) * asked.lists
        return
    yield _WRITING
    yield from (_REPLACING,) * (asked.if_exists == "replace")
    yield from (_LOCKING,) * (asked.options.lock_mode is not None)
    yield from (_COMPARING,) * asked.reads


def _expression(reach: Reach, *, lists: bool) -> str:
    """A condition in CEL: the object's name or, where there is none as in a listing, the prefix that is listed."""
    name = _quoted(f"projects/_/buckets/{reach.bucket}/objects/{reach.prefix}")
    on_name = f"resource.name == {name}" if reach.exact else f"resource.name.startsWith({name})"
    if not lists:
        return on_name
    listed = 'api.getAttribute("storage.googleapis.com/objectListPrefix", "")'
    return f"{on_name} || {listed}.startsWith({_quoted(reach.prefix)})"


def _quoted(text: str) -> str:
    r"""``text`` as a string of CEL's, whose escapes hold those of JSON.

    >>> print(_quoted('a"b\\c'))
    "a\"b\\c"
    """
    return json.dumps(text, ensure_ascii=False)


def _notes(asked: Asked) -> Iterator[str]:
    yield "PROJECT and NAME are to be filled in"
    if not asked.reach.is_whole_bucket:
        yield "a condition needs uniform bucket-level access"
    if asked.options.kms_key is not None:
        yield (
            f"the key {asked.options.kms_key} is used by Google's own service agent of the project: give that "
            "roles/cloudkms.cryptoKeyEncrypterDecrypter on it"
        )
    if asked.requester_pays:
        yield f"requests are paid by the project {asked.requester_pays}: they need serviceusage.services.use in it"
    if asked.with_abort:
        yield "with_abort=True adds nothing: who begins an upload may end it, and it expires in a week"
    if asked.with_versions:
        yield "with_versions=True adds nothing: storage.objects.get reads generations, too"
    if not asked.reads:
        yield UNSEEN.format("storage.objects.get")
    yield from asked.notes(_READING.permission, _LISTING.permission)
