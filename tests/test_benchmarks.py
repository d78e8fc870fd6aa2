"""The benchmarks can produce their numbers; what the numbers are is not asserted."""

import contextlib
import http.client
import itertools
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from keystow.testing.servers.proxy import Loopback, QuietHandler

ROOT = Path(__file__).parent.parent
SVG = "{http://www.w3.org/2000/svg}"
HEAD = "| contestant | min | median | ratio to ours |"
JOBS = (
    "as an archive to s3",
    "files of 10 kb under a prefix of s3",
    "one file of",
    "unpack an archive of",
    "from under a prefix of s3",
    "read a file of 10 kb of an archive of",
    "list an archive of",
    "fetch a tenth of an archive of",
    "pack and hash",
    "that nothing compresses",
    "small results to memory, one thread",
    "small results to a directory, one thread",
    "small results to s3, one thread",
    "small results to s3, 16 threads",
    "small results to s3, engine fsspec, 16 threads",
    "small results to s3 by workers",
    "expand one key",
    "match one key",
    "expand 2500 keys",
    "match 2500 keys",
    "start",
)
DISTANT = 8
"""The jobs that are raced at several distances."""


@pytest.mark.parametrize(
    ("value", "told"),
    [(1.234, "1.23 s"), (0.9996, "1 s"), (0.9994, "999 ms"), (0.0009996, "1 ms"), (1e-6, "1 µs"), (5e-9, "5 ns")],
)
def test_a_time_has_three_digits_in_the_unit_that_suits_them(benchmarks, value, told):
    from benchmarks.markdown import seconds

    assert seconds(value) == told


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.timeout(900)
def test_the_short_form_gives_every_number(tmp_path, benchmarks):
    from benchmarks.__main__ import BENCHMARKS

    names = [name for name in BENCHMARKS if not name.startswith("distance")]
    report = ran(tmp_path, names)
    sections = report.split("\n## ")
    raced = [section for section in sections if HEAD in section]
    assert len(raced) == len(JOBS)
    for job, section in zip(JOBS, raced, strict=True):
        assert job in section.partition("\n")[0].lower()
    assert "Archives, and archives as one stream" in titles(report)
    assert titles(report)[-3:] == ["Peak memory", "Growth with the number of files", "Aims not met"]
    assert "gzip -6" in report

    texts = texts_of(tmp_path / "results.svg")
    assert {"keystow", "keystow, engine fsspec", "s5cmd cp", "rclone copy", "tarfile, boto3", "Jinja"} <= set(texts)
    bars = ET.parse(tmp_path / "results.svg").iter(f"{SVG}rect")
    assert len(list(bars)) >= texts.count("1.00")
    assert not (tmp_path / "distance.svg").exists()


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.timeout(900)
def test_the_short_form_gives_every_number_from_afar(tmp_path, benchmarks):
    from benchmarks.__main__ import BENCHMARKS

    report = ran(tmp_path, [name for name in BENCHMARKS if name.startswith("distance")])
    assert titles(report)[3:] == [
        "S3 50 ms away",
        "One plain file of 1.28 MB 50 ms away",
        "Small files 50 ms away",
        "A link of 12.5 MB a second",
        "A server that lets 64 requests through, 50 ms away",
        "Time by the round trip",
        "Peak memory of one plain file 50 ms away",
        "Clouds 50 ms away",
        "Aims not met",
    ]
    texts = texts_of(tmp_path / "distance.svg")
    assert texts.count("keystow") == texts.count("150") == DISTANT
    assert sum(text.startswith(("fetch", "publish")) for text in texts) == DISTANT


BEFORE = """#!/bin/sh
case "$*" in
"get race-"*.before.yaml" out" | *s3://race-*/before/*) exec {keystow} "$@" ;;
esac
echo "a result that a later version wrote: $*" >&2
exit 2
"""


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.timeout(900)
def test_a_checkout_from_before_fetches_what_it_has_published_itself(tmp_path, benchmarks, monkeypatch):
    command = tmp_path / "before" / ".venv" / "bin" / "keystow"
    command.parent.mkdir(parents=True)
    command.write_text(BEFORE.format(keystow=Path(sys.executable).with_name("keystow")))
    command.chmod(0o755)
    monkeypatch.setenv("BEFORE", os.path.relpath(tmp_path / "before", ROOT))
    report = ran(tmp_path, ["fetch-files", "fetch-stream"], prefix="`BEFORE=CHECKOUT ")
    assert "keystow, before: `keystow get $BUCKET.before.yaml out`" in report
    assert "| job | keystow | keystow, before | fastest peer |" in report


def ran(directory, names, prefix="`"):
    """The report of a short run, in which nothing of this machine is named."""
    short = ["--rounds=1", "--warm-up=0", "--scale=400", f"--output={directory}"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *short, "--only", *names],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = (directory / "RESULTS.md").read_text("utf-8")
    assert f"{prefix}python -m benchmarks --rounds 1 --warm-up 0 --scale 400 --only {' '.join(names)}`" in report
    for private in (str(ROOT), str(directory), sys.prefix):
        assert private not in report
    return report


def titles(report):
    return [section.partition("\n")[0] for section in report.split("\n## ")]


def texts_of(chart):
    return [text.text for text in ET.parse(chart).iter(f"{SVG}text")]


@pytest.fixture
def benchmarks(monkeypatch):
    """The benchmarks are no part of the package, and are found from the root alone."""
    monkeypatch.syspath_prepend(ROOT)


def test_an_aim_is_judged_by_the_medians_of_the_fastest(benchmarks):
    from benchmarks.race import Aim, Outcome, Run

    runs = {"keystow": [Run(1), Run(3), Run(2)], "slow": [Run(9)] * 3, "quick": [Run(4), Run(5), Run(4)]}
    outcome = Outcome("a job", runs, [Aim(("slow", "quick"), 2), Aim(("quick",), 2.5), Aim(("quick",), 1 / 4)])
    enough, missed, allowed = outcome.verdicts()
    assert (enough.against, enough.aim) == ("the best of 2: quick", "2 times as fast")
    assert enough.measured == "2.00 times (1.67 to 4.00)"
    assert (enough.met, missed.met, allowed.met) == (True, False, True)
    assert (allowed.aim, allowed.measured) == ("at most 4 times as long", "0.50 times (0.25 to 0.60)")


def test_how_much_longer_ours_takes_is_told_however_much_it_is(benchmarks):
    from benchmarks.race import Aim, Outcome, Run

    outcome = Outcome("a job", {"keystow": [Run(3)] * 2, "quick": [Run(0.001)] * 2}, [Aim(("quick",), 1 / 4)])
    (missed,) = outcome.verdicts()
    assert (missed.measured, missed.met) == ("3000.00 times (3000.00 to 3000.00)", False)


def test_every_contestant_runs_once_in_a_round_and_the_first_round_does_not_count(benchmarks):
    from benchmarks.race import Race, Run

    ran = []

    def contestant(name):
        def run():
            ran.append(name)
            return Run(len(ran))

        return run

    outcome = Race("a job", {name: contestant(name) for name in "ab"}).run(rounds=2, warm_up=1)
    assert "".join(ran) == "abbaab"
    assert {name: [run.wall for run in runs] for name, runs in outcome.runs.items()} == {"a": [4, 5], "b": [3, 6]}


def test_growth_leaves_out_what_it_costs_to_start(benchmarks):
    from benchmarks.growth import exponent_of

    assert exponent_of({0: 2.0, 10: 1.9, 100: 3.0, 1000: 12.0}) == pytest.approx(1)
    assert exponent_of({0: 2.0, 10: 3.0, 100: 102.0}) == pytest.approx(2)


def test_as_many_requests_are_let_through_as_were_said_and_the_others_are_to_slow_down(benchmarks):
    from benchmarks.slowdown import LIMIT, SlowDown

    with Held() as server:
        proxy = SlowDown(server.url)
        try:
            with ThreadPoolExecutor(LIMIT + 2) as pool:
                answers = [pool.submit(ask, proxy.url, b"x" * 100_000) for _ in range(LIMIT + 2)]
                refused = [answer.result() for answer in itertools.islice(as_completed(answers), 2)]
                server.release.set()
                passed = [answer.result() for answer in answers]
            assert all(status == 503 and b"<Code>SlowDown</Code>" in body for status, body in refused)
            assert sorted(status for status, _ in passed) == [200] * LIMIT + [503] * 2
            assert {body for status, body in passed if status == 200} == {b"100000"}
            assert (proxy.counted(), proxy.counted()) == ((LIMIT, 2), (0, 0))
        finally:
            proxy.stop()


class Held(Loopback):
    """A server that answers with the length of what it was sent, once it may."""

    def __init__(self):
        self.release = threading.Event()
        super().__init__(HeldHandler)


class HeldHandler(QuietHandler):
    def do_PUT(self):  # noqa: N802  the name is BaseHTTPRequestHandler's
        length = int(self.headers["Content-Length"])
        self.rfile.read(length)
        self.server.release.wait(60)
        self.reply(200, str(length).encode())


def ask(url, body):
    connection = http.client.HTTPConnection(url.removeprefix("http://"))
    with contextlib.closing(connection):
        connection.request("PUT", "/", body)
        answer = connection.getresponse()
        return answer.status, answer.read()
