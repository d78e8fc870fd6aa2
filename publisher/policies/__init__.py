"""The least that who publishes to a destination, and who fetches from it, has to be allowed there.

Strategy: a destination and a role become data (``asked.py``); each cloud has one module of pure functions, which turns
that into the document that the cloud takes. Nothing is asked of a store.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple, Unpack

from keystow.errors import SpecError
from keystow.keys import Context, check_key, object_key
from keystow.keys.context import ARGUMENTS
from keystow.keys.template import template_of_any_labels
from keystow.manner import IfExists, Manner
from keystow.publishing import Destination, spec_of
from keystow.spec import PublisherSpec
from keystow.writing import Writing

from . import aws, azure, google
from .asked import ROLES, Asked, Grant, Policy, Reach, Role

__all__ = ["Grant", "Policy", "lifecycle", "needed", "policy"]


class _Cloud(NamedTuple):
    policy: Callable[[Asked], Policy]
    lifecycle: Callable[[Reach], Policy]


_CLOUDS = {
    "s3": _Cloud(aws.policy, aws.lifecycle),
    "gs": _Cloud(google.policy, google.lifecycle),
    "az": _Cloud(azure.policy, azure.lifecycle),
}


def policy(
    destination: str | Mapping[str, object] | PublisherSpec,
    *,
    role: Role,
    context: Context | None = None,
    archive: bool | None = None,
    raw: bool = False,
    if_exists: IfExists = "replace",
    manifest: bool | None = None,
    with_abort: bool = False,
    with_versions: bool = False,
    **writing: Unpack[Writing],
) -> Policy:
    """The least policy with which ``role`` can do its work there, for the keys that the template can give.

    The ``"publisher"`` publishes as ``publish`` would with ``archive``, ``raw``, ``if_exists``, ``manifest`` and
    ``writing``; ``with_abort`` lets it remove what an upload that fails has left. The ``"requester"`` fetches, verifies
    and signs URLs; ``with_versions`` lets it read the versions that results name. It may list what lies under a prefix
    only where there is to be no manifest, which tells that otherwise. Their keys begin with the template's text
    before its first field. What ``context`` knows is filled in, which makes that longer, and the one key of a template
    without fields is all that is reached; the environment has no say.

    The document is for S3 an IAM policy, for Google Cloud Storage a ``role`` and ``bindings``, for Azure a ``role`` and
    an ``assignment``. Raises ``SpecError`` for a destination or options that are wrong, and for other stores, which
    have no policies; ``KeyRuleError`` and ``TemplateError``.

    >>> policy("s3://bucket/results/{jobID}", role="publisher").document["Statement"][0]["Resource"]
    'arn:aws:s3:::bucket/results/*'
    """
    manner = Manner(if_exists, manifest=manifest)
    _check(role, if_exists, with_abort=with_abort, with_versions=with_versions)
    to = Destination(_said(destination), archive=archive, raw=raw, writing=writing)
    cloud, found = _cloud(to), _reached(to, context or Context())
    asked = _asked(to, found.reach, role, to.fitted(manner), with_abort=with_abort, with_versions=with_versions)
    return _noted(cloud.policy(asked), found)


def needed(to: Destination, if_exists: IfExists = "replace") -> tuple[Grant, ...]:
    """What who publishes there has to be allowed; nothing where the store's kind has no policies.

    >>> [grant.permission for grant in needed(Destination("gs://bucket/results/{jobID}"))]
    ['storage.objects.create', 'storage.objects.delete']
    """
    cloud = _CLOUDS.get(to.spec.type)
    reach = Reach(to.spec.bucket, "", False, to.spec.endpoint, to.spec.region)
    manner = to.fitted(Manner(if_exists))
    return () if cloud is None else cloud.policy(_asked(to, reach, "publisher", manner)).grants


def lifecycle(
    destination: str | Mapping[str, object] | PublisherSpec,
    *,
    context: Context | None = None,
    archive: bool | None = None,
    raw: bool = False,
) -> Policy:
    """The rule by which a bucket forgets the parts of uploads that were not finished within a week.

    Its document is S3's lifecycle configuration; it is empty for Google and Azure, which forget them by themselves.
    The keys are those of ``policy``, which raises the same.

    >>> lifecycle("s3://bucket/results/{jobID}").document["Rules"][0]["Filter"]
    {'Prefix': 'results/'}
    """
    to = Destination(_said(destination), archive=archive, raw=raw)
    cloud, found = _cloud(to), _reached(to, context or Context())
    return _noted(cloud.lifecycle(found.reach), found)


def _asked(
    to: Destination,
    reach: Reach,
    role: Role,
    manner: Manner,
    *,
    with_abort: bool = False,
    with_versions: bool = False,
) -> Asked:
    return Asked(
        reach=reach,
        role=role,
        if_exists=manner.if_exists,
        is_plain=to.encoding == "plain",
        has_manifest=bool(manner.manifest),
        options=to.spec.options,
        requester_pays=to.spec.requester_pays,
        with_abort=with_abort,
        with_versions=with_versions,
    )


def _said(destination: str | Mapping[str, object] | PublisherSpec) -> PublisherSpec:
    """What the destination says, whoever wrote it: no store is asked, and nothing is written."""
    return replace(spec_of(destination), claimed=False)


def _check(role: str, if_exists: str, *, with_abort: bool, with_versions: bool) -> None:
    """Raises ``SpecError`` for a role that there is not, and for what is said of the other one."""
    if role not in ROLES:
        raise SpecError(f"there is no role {role!r}: use {' or '.join(ROLES)}")
    publishers = {"with_abort=True": with_abort, f'if_exists="{if_exists}"': if_exists != "replace"}
    others = {"with_versions=True": with_versions} if role == "publisher" else publishers
    for option, is_given in others.items():
        if is_given:
            raise SpecError(f"{option} is not for the {role}: leave it out")


def _cloud(to: Destination) -> _Cloud:
    cloud = _CLOUDS.get(to.spec.type)
    if cloud is None:
        raise SpecError(f"a {to.spec.type} destination has no policies: S3, Google Cloud Storage and Azure have")
    return cloud


class _Reached(NamedTuple):
    reach: Reach
    labels: tuple[str, ...]
    """The fields that no option of a label named."""


def _reached(to: Destination, context: Context) -> _Reached:
    """The keys that the destination can give, as far as ``context`` knows them."""
    spec = to.spec
    template = template_of_any_labels(spec.key, context.labels)
    labels = tuple(name for name in template.fields if name not in ARGUMENTS and name not in context.labels)
    bound = template.bind(**{name: value for name in template.fields if (value := _known(context, name)) is not None})
    is_exact = not bound.fields
    prefix = bound.literal_prefix
    if is_exact:
        prefix = object_key(bound, context, archive=to.encoding == "gzip", raw=to.encoding == "raw", rules=spec.rules)
    elif prefix:
        check_key(prefix, spec.rules, names=())
    is_exact = is_exact and to.encoding != "plain"
    return _Reached(Reach(spec.bucket, prefix, is_exact, spec.endpoint, spec.region), labels)


def _known(context: Context, name: str) -> str | datetime | int | None:
    argument = ARGUMENTS.get(name)
    value: str | datetime | int | None = context.labels.get(name) if argument is None else getattr(context, argument)
    return value


def _noted(made: Policy, found: _Reached) -> Policy:
    """``made``, with what is to be said of the keys."""
    notes = [f"{{{name}}} is taken for a label" for name in found.labels]
    if found.reach.is_whole_bucket and made.grants:
        notes.append("the key begins with a field, so that all of the bucket is meant: begin it with a fixed text")
    return replace(made, notes=(*notes, *made.notes))
