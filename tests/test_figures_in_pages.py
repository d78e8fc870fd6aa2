"""The figures that pages tell of the benchmarks are those that were measured last, but for a fifth."""

import re

import pytest
from pages import PAGES, ROOT

RESULTS = (ROOT / "benchmarks" / "RESULTS.md").read_text("utf-8")
ARCHIVE = "Publish 6103 files, 162 MB, as an archive to S3"
FILES = "Publish 2000 files of 10 kB under a prefix of S3"
FETCHED = "Fetch 2000 files of 10 kB from under a prefix of S3"
LARGE = "Publish one file of 512 MB under a prefix of S3"
UNPACKED = "Fetch and unpack an archive of 6103 files, 162 MB, from S3"
READ = "Read a file of 10 kB of an archive of 100000 files of 10 kB, 50 ms away"
TOLD = [
    ("README.md", r"in units of keystow's \| ([\d.]+) \|", ARCHIVE, "tar cz, aws s3 cp"),
    ("README.md", r"([\d.]+) with `igzip`", ARCHIVE, "tar, igzip, s5cmd pipe"),
    ("README.md", r"([\d.]+) with `pigz`", ARCHIVE, "tar, pigz, s5cmd pipe"),
    ("docs/comparison.md", r"10 kB: ([\d.]+) of keystow's time to send", FILES, "s5cmd cp"),
    ("docs/comparison.md", r"([\d.]+) to fetch", FETCHED, "s5cmd cp"),
    ("docs/comparison.md", r"rclone fetches them in ([\d.]+) \|", FETCHED, "rclone copy"),
    ("docs/comparison.md", r"512 MB: ([\d.]+),", LARGE, "s5cmd cp"),
    ("docs/comparison.md", r"512 MB: [\d.]+, and ([\d.]+) of", LARGE, "aws s3 cp --recursive"),
    (
        "docs/comparison.md",
        r"\| ([\d.]+) of keystow's time, without any of its checks",
        ARCHIVE,
        "tar, igzip, s5cmd pipe",
    ),
    ("docs/comparison.md", r"is ([\d.]+) times as fast as `tar cz", ARCHIVE, "tar cz, aws s3 cp"),
    ("docs/comparison.md", r"and ([\d.]+) times as fast as with `pigz`", ARCHIVE, "tar, pigz, s5cmd pipe"),
    ("docs/comparison.md", r"50 ms away it takes\s+([\d.]+) times as long", READ, "s5cmd, igzip, tar --occurrence"),
    ("docs/comparison.md", r"unpacks an archive\s+([\d.]+) times as fast", UNPACKED, "s5cmd cat, tar xz"),
]


@pytest.mark.parametrize(("page", "words", "section", "contestant"), TOLD)
def test_what_is_told_is_what_was_measured(page, words, section, contestant):
    """If this fails after `make bench`, write the new figure into the page; and what follows from it, if it turned."""
    (told,) = re.findall(words, PAGES[page])
    (table,) = re.findall(rf"^## {re.escape(section)}\n(.*?)^## ", RESULTS, re.DOTALL | re.MULTILINE)
    (ratio,) = re.findall(rf"^\| {re.escape(contestant)} \|[^|]*\|[^|]*\| ([\d.]+) \|", table, re.MULTILINE)
    assert float(told) == pytest.approx(float(ratio), rel=0.2)
