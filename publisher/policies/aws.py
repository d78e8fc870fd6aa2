"""S3: a policy of IAM's, which most of S3's relatives read too.

Sources: which action each request needs, https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html (and
GetObject, ListObjectsV2, AbortMultipartUpload there); uploads in parts and KMS,
https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html#mpuAndPermissions; keys by their aliases,
https://docs.aws.amazon.com/kms/latest/developerguide/alias-authorization.html; what is escaped,
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html#policy-vars-specialchars.
"""

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from keystow.backends.endpoints import is_aws, region_of

from .asked import COMPARES, UNSEEN, WEEK, Asked, Grant, Policy, Reach

_SPECIAL = re.compile(r"[*?]|\$(?=[{$*?])")
"""What IAM does not take as it is: a dollar only where it could begin a variable."""

_PARTITIONS = {
    "cn-": "aws-cn",
    "us-gov-": "aws-us-gov",
    "eusc-": "aws-eusc",
    "us-iso-": "aws-iso",
    "us-isob-": "aws-iso-b",
    "eu-isoe-": "aws-iso-e",
    "us-isof-": "aws-iso-f",
}
"""By how the names of their regions begin, as botocore's ``partitions.json`` has them; all others are in ``aws``."""

_ALWAYS: Mapping[str, Any] = MappingProxyType({})

_PUBLISHING = {
    "": Grant("s3:PutObject", "writes an object, in one request or in parts"),
    "tags": Grant("s3:PutObjectTagging", "writes its tags along with it"),
    "lock_mode": Grant("s3:PutObjectRetention", "locks it until the day that is given"),
    "legal_hold": Grant("s3:PutObjectLegalHold", "holds it until that is lifted"),
}
"""By the option that needs it; the empty name stands for writing at all."""
_COMPARING = Grant("s3:GetObject", COMPARES)
_ABORTING = Grant(
    "s3:AbortMultipartUpload",
    "removes the parts of an upload that fails half-way, which stay, and cost, if nobody does",
)
_READING = Grant("s3:GetObject", "reads objects, and signs URLs from which others read them")
_READING_VERSIONS = Grant("s3:GetObjectVersion", "reads the very version that a result names")
_LISTING = Grant("s3:ListBucket", "lists the files under a published prefix")
_ENCRYPTING = Grant("kms:GenerateDataKey", "has S3 encrypt an object")
_JOINING = Grant("kms:Decrypt", "has S3 put the parts of an upload together, and decrypt what is read")
_DECRYPTING = Grant("kms:Decrypt", "has S3 decrypt what is read")


def policy(asked: Asked) -> Policy:
    """The policy for an IAM user, group or role."""
    reach = asked.reach
    bucket = f"arn:{_partition(reach)}:s3:::{reach.bucket}"
    pattern = _escaped(reach.prefix) + "*" * (not reach.exact)
    objects, key = tuple(_on_objects(asked)), tuple(_on_key(asked))
    statements = [_statement("Objects", objects, f"{bucket}/{pattern}")]
    if asked.lists:
        condition = _ALWAYS if reach.is_whole_bucket else {"StringLike": {"s3:prefix": pattern}}
        statements.append(_statement("Listing", (_LISTING,), bucket, condition))
    if key:
        statements.append(_statement("Key", key, *_key(asked.options.kms_key or "", reach)))
    grants = (*objects, *(_LISTING,) * asked.lists, *key)
    return Policy({"Version": "2012-10-17", "Statement": statements}, grants, tuple(_notes(asked)))


def lifecycle(reach: Reach) -> Policy:
    """The lifecycle configuration that has the bucket forget uploads which were not finished within a week.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpu-abort-incomplete-mpu-lifecycle-config.html
    """
    rule = {
        "ID": "keystow-unfinished-uploads",
        "Status": "Enabled",
        "Filter": {"Prefix": reach.prefix},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": WEEK},
    }
    note = "this is the bucket's whole configuration, and takes the place of what it has: add the rule to that"
    return Policy({"Rules": [rule]}, notes=(note,))


def _on_objects(asked: Asked) -> Iterator[Grant]:
    if asked.role == "requester":
        yield _READING
        yield from (_READING_VERSIONS,) * asked.with_versions
        return
    given = ("", *asked.options.named())
    yield from (grant for name, grant in _PUBLISHING.items() if name in given)
    yield from (_COMPARING,) * asked.reads
    yield from (_ABORTING,) * asked.with_abort


def _on_key(asked: Asked) -> Iterator[Grant]:
    """What a key of one's own in KMS needs; AWS's own key for S3 (``aws/s3``) needs nothing."""
    if asked.options.kms_key is None:
        return
    yield from (_DECRYPTING,) if asked.role == "requester" else (_ENCRYPTING, _JOINING)


def _statement(
    name: str, grants: tuple[Grant, ...], resource: str, condition: Mapping[str, Any] = _ALWAYS
) -> dict[str, Any]:
    statement: dict[str, Any] = {
        "Sid": name,
        "Effect": "Allow",
        "Action": [grant.permission for grant in grants],
        "Resource": resource,
    }
    return statement | ({"Condition": {**condition}} if condition else {})


def _key(named: str, reach: Reach) -> tuple[str, dict[str, Any]]:
    """The key's ARN, and that it is used through S3 alone. An alias is no resource, but a condition on keys."""
    arn, _, name = named.rpartition(":")
    arn = arn or f"arn:{_partition(reach)}:kms:{reach.region or region_of(reach.endpoint) or '*'}:*"
    condition: dict[str, Any] = {"StringLike": {"kms:ViaService": "s3.*"}}
    if name.startswith("alias/"):
        condition["ForAnyValue:StringEquals"] = {"kms:ResourceAliases": _escaped(name)}
        return f"{arn}:key/*", condition
    return f"{arn}:key/{_escaped(name.removeprefix('key/'))}", condition


def _notes(asked: Asked) -> Iterator[str]:
    if _escaped(asked.reach.prefix) != asked.reach.prefix and not is_aws(asked.reach.endpoint):
        yield (
            "the key holds characters that IAM writes as ${*}, ${?} or ${$}, which not every relative of S3 "
            "understands, so that other keys than these may be reached: try it, or choose another key"
        )
    if asked.role == "requester":
        if not asked.with_versions:
            yield (
                "s3:GetObjectVersion is left out: where the bucket keeps versions, the current object is read, and "
                "URLs need pin_version=False (with_versions=True adds it)"
            )
        yield from asked.notes(_READING.permission, _LISTING.permission)
        return
    if not asked.with_abort:
        yield (
            "s3:AbortMultipartUpload is left out: the parts of an upload that fails stay until a rule of the bucket "
            "removes them (with_abort=True adds it; lifecycle() is the rule)"
        )
    if not asked.reads:
        yield UNSEEN.format("s3:GetObject")
    yield from asked.notes(_READING.permission, _LISTING.permission)


def _partition(reach: Reach) -> str:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html."""
    region = reach.region or region_of(reach.endpoint) or ""
    return next((partition for start, partition in _PARTITIONS.items() if region.startswith(start)), "aws")


def _escaped(text: str) -> str:
    """``text`` as IAM reads it literally, in a resource or in the value of a condition.

    >>> _escaped("50$/{a}*?${b}")
    '50$/{a}${*}${?}${$}{b}'
    """
    return _SPECIAL.sub(lambda found: f"${{{found.group()}}}", text)
