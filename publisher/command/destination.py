"""The arguments that say where to publish, or what was published: a template in a store."""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeVar

    Made = TypeVar("Made")

_USUAL = "KEYSTOW_DESTINATION"
_DESTINATION = (
    "s3://bucket/results/{jobID}, file:///directory/{jobID}; may end in ,opt=endpoint=URL,opt=region=NAME. "
    f"Default: {_USUAL}"
)


def take_destination(
    parser: "argparse.ArgumentParser", nargs: str, metavar: str = "DESTINATION", also: str = ""
) -> None:
    """Declares DESTINATION, so many of them, and ``--spec``."""
    parser.add_argument("destination", metavar=metavar, nargs=nargs, help=_DESTINATION + also)
    parser.add_argument("--spec", metavar="FILE", help="a YAML file that holds a Publisher, instead of DESTINATION")


def given_destinations(
    typed: "Sequence[str]", spec: str | None, made: "Callable[[str | Mapping[str, object]], Made]"
) -> "list[Made]":
    """What is ``made`` of each destination: of those that were typed, of the file's, or of the usual one.

    Raises ``SpecError``.
    """
    from keystow.errors import SpecError

    if typed and spec is not None:
        raise SpecError("give a DESTINATION, such as s3://bucket/results/{jobID}, or --spec FILE: one of them")
    if typed:
        return list(map(made, typed))
    if spec is not None:
        from keystow.yaml_files import load_mapping_file

        absent = "is no file: give the YAML file of a publisher or a job"
        return [made(dict(load_mapping_file(spec, SpecError, absent)))]
    usual = os.environ.get(_USUAL)
    if not usual:
        raise SpecError(f"give a DESTINATION, such as s3://bucket/results/{{jobID}}, or --spec FILE, or set {_USUAL}")
    try:
        return [made(usual)]
    except SpecError as error:
        raise SpecError(f"{_USUAL}: {error}") from None
