"""Makes tests/data/0.1 and its like, which are read for ever: see tests/data/README.md.

``python tests/golden_results.py DIRECTORY``, once, by the Python of an environment that has the version in question.
"""

import base64
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from archive_strategies import Link, Program, lay

TIME = 1_600_000_000
LOG = "log.txt"
NODES = {
    LOG: b"".join(b"%03d of the lines that are there again and again\n" % (number % 500) for number in range(46_000)),
    "empty": b"",
    "empty directory": None,
    "model/run.sh": Program(b"#!/bin/sh\necho run\n"),
    "model/latest": Link("weights.bin"),
    "model/weights.bin": bytes(range(256)) * 40,
    "n" * 120: b"a name that takes a pax header\n",
    "Übersicht/文件.json": b"{}\n",
}
"""What was published."""
FILES = {name: node for name, node in NODES.items() if isinstance(node, bytes)}
FEW = {name: node for name, node in NODES.items() if name != LOG}
"""What was published where nothing shrinks."""
BUCKET = "/srv/keystow"
"""What the results name: nothing lies there any more."""
LEVELS = (0, 2, 3, 6)


def main(directory: Path) -> None:
    """Publishes, and keeps the objects and the results."""
    if Path(BUCKET).exists():
        sys.exit(f"{BUCKET} is there")
    tree = Path(lay(directory.parent / "tree", NODES, mtime=TIME))
    directory.mkdir()
    try:
        for level in LEVELS:
            _publish(directory, tree, f"level-{level}", "--level", level, *(["--exclude", LOG] if level == 0 else []))
        _publish(directory, tree, "plain/", "--plain", "--symlinks", "skip", "--exclude", LOG)
        _publish(directory, tree / "model/weights.bin", "raw.bin", "--raw")
        shutil.copytree(BUCKET, directory / "objects")
        _publish_to_s3(directory, tree)
        _write_checksums(directory)
    finally:
        shutil.rmtree(BUCKET, ignore_errors=True)
        shutil.rmtree(tree)


def _publish(directory: Path, source: Path, key: str, *options: object) -> None:
    for form in ("yaml", "json"):
        name = key.rstrip("/").partition(".")[0]
        (directory / f"{name}.{form}").write_bytes(_keystow(source, f"file://{BUCKET}/{key}", form, *options))


def _publish_to_s3(directory: Path, tree: Path) -> None:
    from keystow.testing.servers import Moto

    with Moto() as moto:
        bucket = moto.make_bucket("results", versioned=True)
        to = f"s3://{bucket}/level-2,opt=endpoint={moto.endpoint},opt=region=us-east-1"
        for form, name in {"yaml": "s3.yaml", "bacalhau-input": "input-source.yaml"}.items():
            (directory / name).write_bytes(_keystow(tree, to, form, environment=moto.environment()))


def _write_checksums(directory: Path) -> None:
    """A result in the three ways in which people write a checksum."""
    result = (directory / "level-2.yaml").read_text("utf-8")
    written = re.search("0x([0-9a-f]{64})", result)
    assert written is not None
    coded = base64.b64encode(bytes.fromhex(written[1])).decode()
    results = [result.replace(written[0], form) for form in (written[1], f"0X{written[1].upper()}", coded)]
    (directory / "checksums.yaml").write_text("---\n".join(results), "utf-8")


def _keystow(source: Path, to: str, form: str, *options: object, environment: dict[str, str] | None = None) -> bytes:
    command = [sys.executable, "-m", "keystow", "publish", source, to, "--output", form, *options]
    return subprocess.run(
        list(map(str, command)), stdout=subprocess.PIPE, env={**os.environ, **(environment or {})}, check=True
    ).stdout


if __name__ == "__main__":
    main(Path(sys.argv[1]))
