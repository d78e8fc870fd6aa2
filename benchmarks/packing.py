"""Scanning, packing and hashing a tree, without a store."""

from functools import partial

from benchmarks.bench import Bench, section
from benchmarks.data import content_size
from benchmarks.markdown import size
from benchmarks.section import Section
from benchmarks.workplace import Command


def tree(bench: Bench) -> list[Section]:
    """Ours against the archivers that people use."""
    count, total = content_size(bench.data.tree)
    commands = {
        "keystow": Command("python pack.py tree", "keystow"),
        "tar, igzip -2 -T 2": Command("tar c -C tree . | igzip -2 -T 2 | sha256sum"),
        "tar, pigz -p 2": Command("tar c -C tree . | pigz -p 2 | sha256sum"),
        "tar, gzip": Command("tar c -C tree . | gzip | sha256sum"),
        "tarfile w:gz": Command("python tarfile_pack.py tree", "keystow"),
    }
    contestants = {name: partial(bench.place.run_alone, command) for name, command in commands.items()}
    outcome = bench.outcome(f"scan, pack and hash {count} files, {size(total)}", contestants)
    return [section(outcome, commands, note=_sizes(bench, commands["keystow"]), charted=True)]


def incompressible(bench: Bench) -> list[Section]:
    """One file that nothing compresses: what it costs to find that out, beside not trying."""
    bench.data.large  # noqa: B018  it is made when it is asked for
    commands = {
        "keystow": Command("python pack.py large", "keystow"),
        "keystow, level 0": Command("python pack.py large 0", "keystow"),
        "keystow, level 9": Command("python pack.py large 9", "keystow"),
        "tar": Command("tar c -C large . | sha256sum"),
        "tar, igzip -2 -T 2": Command("tar c -C large . | igzip -2 -T 2 | sha256sum"),
        "tar, pigz -p 2": Command("tar c -C large . | pigz -p 2 | sha256sum"),
    }
    contestants = {name: partial(bench.place.run_alone, command) for name, command in commands.items()}
    total = size(bench.sizes.large_bytes)
    return [section(bench.outcome(f"scan, pack and hash {total} that nothing compresses", contestants), commands)]


def _sizes(bench: Bench, ours: Command) -> str:
    """How large the archive is, in units of what ``gzip -6`` makes."""
    made = int(bench.place.output(ours).split()[1])
    theirs = int(bench.place.output(Command("tar c -C tree . | gzip -6 | wc -c")))
    return f"The archive has {made} bytes; gzip -6 makes {theirs}: ratio {made / theirs:.3f}."
