"""The options about how objects are written, and with what a store is opened for that and for reading."""

import os
from argparse import SUPPRESS, ArgumentTypeError

from . import typed

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from keystow.writing import Writing

_MOST_KEY_BYTES = 4096
_WRITING = {
    "encryption": "S3: AES256, aws:kms or aws:kms:dsse",
    "kms_key": "the key that encrypts: AWS's id or ARN, or Google's resource name",
    "encryption_context": "S3, with aws:kms: what the key's use is bound to; again for more",
    "encryption_scope": "Azure's name for a key",
    "storage_class": "such as STANDARD_IA, NEARLINE or Cool",
    "tags": "S3 and Azure: a tag; again for more",
    "metadata": "a pair of metadata; again for more",
    "content_type": "the type, in place of what the name says",
    "cache_control": "the header",
    "content_disposition": "the header",
    "lock_mode": "governance or compliance, with --retain-until",
    "retain_until": "when the lock ends, in ISO 8601",
    "legal_hold": "keep it until that is lifted",
}
"""By the names of ``keystow.publish``'s keywords: what helps."""
_PAIRS = {"encryption_context": "encryption-context", "tags": "tag", "metadata": "metadata"}
_PROFILE = "the profile in AWS's files to open the bucket with. Default: what the environment says"
_CUSTOMER_KEY = "a file with the key of yours that encrypts, 32 bytes or base64 of them; the store does not keep it"
_REQUESTER_PAYS = "true, or with Google the id of a project: who asks pays for the request"


def take_writing(parser: "argparse.ArgumentParser") -> None:
    """Declares what ``given_writing`` reads."""
    group = parser.add_argument_group("how objects are written")
    for name, text in _WRITING.items():
        option = f"--{_PAIRS.get(name, name).replace('_', '-')}"
        if name in _PAIRS:
            group.add_argument(
                option, dest=name, metavar="NAME=VALUE", type=typed.label, action="append", default=SUPPRESS, help=text
            )
        elif name == "legal_hold":
            group.add_argument(option, action="store_true", default=SUPPRESS, help=text)
        else:
            of = typed.instant if name == "retain_until" else str
            group.add_argument(
                option, metavar="TIME" if of is not str else "TEXT", type=of, default=SUPPRESS, help=text
            )


def given_writing(options: "argparse.Namespace") -> "Writing":
    """The keywords of what was typed. Raises ``SpecError`` for a name that is given twice."""
    from typing import cast

    from keystow.errors import SpecError

    found: dict[str, Any] = {name: value for name, value in vars(options).items() if name in _WRITING}
    for name in _PAIRS.keys() & found.keys():
        pairs = dict(found[name])
        if len(pairs) < len(found[name]):
            raise SpecError(f"--{_PAIRS[name]} has a name twice: give each once")
        found[name] = pairs
    return cast("Writing", found)


def take_access(group: "argparse._ActionsContainer") -> None:
    """Declares what ``given_access`` reads."""
    take_opening(group)
    group.add_argument("--customer-key", metavar="FILE", type=_key, help=_CUSTOMER_KEY)


def take_opening(group: "argparse._ActionsContainer") -> None:
    """Declares ``--profile`` and ``--requester-pays``, which say who asks."""
    group.add_argument("--profile", metavar="NAME", help=_PROFILE)
    group.add_argument("--requester-pays", metavar="true|PROJECT", type=_payer, help=_REQUESTER_PAYS)


def given_access(options: "argparse.Namespace") -> "dict[str, Any]":
    """What ``fetch``, ``verify``, ``presign`` and ``Access`` take of it."""
    return {name: getattr(options, name) for name in ("profile", "customer_key", "requester_pays")}


def _key(path: str) -> bytes | str:
    """The key in a file, whose content no message repeats."""
    from keystow.backends.options import customer_key_for

    try:
        with open(os.path.expanduser(path), "rb") as file:
            content = file.read(_MOST_KEY_BYTES)
        key: bytes | str = content if len(content) == 32 else content.decode("ascii")
        customer_key_for(key)
    except OSError as error:
        raise ArgumentTypeError(f"{path!r} cannot be read ({error.strerror}): name a file with the key") from None
    except ValueError:
        raise ArgumentTypeError(f"{path!r} holds no key: it has to be 32 bytes, or base64 of them") from None
    return key


def _payer(text: str) -> bool | str:
    from keystow.writing import payer

    return payer(text)
