"""RESULTS.md: the aims first, then the machine, every table, and where the time goes where an aim was not met."""

from collections.abc import Iterator, Sequence

from benchmarks.machine import facts
from benchmarks.markdown import table
from benchmarks.section import Section

_HOW = """\
Each contestant is a whole process, or a pipeline, from start to exit. All work on the same data and talk to the same
SeaweedFS on loopback, in interleaved rounds, each run with a bucket or a directory of its own; the medians are
compared. Where something is said to be away, a relay that holds back what passes stands before the server. What was
published or fetched is compared with the source once for each contestant, outside of the time. CPU seconds are
medians too: own are those of the contestant's processes, server those of SeaweedFS meanwhile, idle what was left of
all cores.

"keystow" is the installed command with the engine that it chooses, "engine fsspec" the same command with
`KEYSTOW_ENGINE=fsspec`; `keystow get` also verifies the published SHA-256, for which the others' commands have no
place. The environment has `AWS_REQUEST_CHECKSUM_CALCULATION=when_required`, so that peers compute no
checksum that keystow does not send to such a store. s5cmd is its own program, without the Python script that its
package puts before it.
"""
_MEASURED = """\
Measured are the medians, and in brackets the least and the greatest of the rounds; of several others the fastest
counts.
"""


def written(sections: Sequence[Section], command: str) -> str:
    """The whole report. ``command`` is what makes it again."""
    return "\n".join(part.strip("\n") + "\n" for part in _parts(sections, command))


def heading(section: Section) -> str:
    """The section's title as a heading."""
    return f"## {section.title[0].upper()}{section.title[1:]}"


def aims(sections: Sequence[Section]) -> str:
    """Every aim beside what was measured, as a table."""
    head = ["job", "ours", "against", "aim", "measured", "met?"]
    rows = [
        [verdict.job, verdict.ours, verdict.against, verdict.aim, verdict.measured, "yes" if verdict.met else "**no**"]
        for section in sections
        for verdict in section.verdicts
    ]
    return table(head, rows)


def _parts(sections: Sequence[Section], command: str) -> Iterator[str]:
    yield "# Results of the benchmarks"
    yield f"`make bench` writes this file and the charts; these are by `{command}`."
    yield "![Times in units of keystow's](results.svg)"
    yield "## Aims"
    yield aims(sections)
    yield _MEASURED
    yield "## How it was measured"
    yield _HOW
    yield table(["machine", ""], facts())
    for section in sections:
        yield heading(section)
        yield section.body
    yield "## Aims not met"
    yield from _unmet(sections)


def _unmet(sections: Sequence[Section]) -> Iterator[str]:
    """The aims that were missed, and where the time goes."""
    missed = {section.title: [v for v in section.verdicts if not v.met] for section in sections}
    if not any(missed.values()):
        yield "None."
    for section in sections:
        if missed[section.title]:
            yield f"#{heading(section)}"
            yield "\n".join(
                f"- {v.ours} against {v.against}: {v.aim}; measured {v.measured}" for v in missed[section.title]
            )
            yield section.explanation
