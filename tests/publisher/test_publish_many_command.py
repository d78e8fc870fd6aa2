"""``keystow publish-many``: a line of JSON in, a line of JSON out, whatever else the file holds."""

import json
import signal
import subprocess
import sys

import pytest
from commands import KEYSTOW, complaint, keystow, run

from keystow import PublishedResult, publish, verify
from keystow.yaml_files import MOST_BYTES

pytestmark = pytest.mark.slow


def lines(*jobs):
    return "".join(f"{job if isinstance(job, str) else json.dumps(job)}\n" for job in jobs)


def printed(ran):
    """The outcomes by the number of their line, each of which has one."""
    found = [json.loads(line) for line in ran.out.splitlines()]
    by_line = {outcome.pop("line"): outcome for outcome in found}
    assert len(by_line) == len(found)
    return by_line


@pytest.fixture
def job(files, file_place):
    """What a line says that is right."""
    return {"source": str(files), "destination": file_place("{jobID}")}


@pytest.mark.parametrize("workers", [(), ("--processes", "2")])
def test_each_line_is_published_with_what_it_says(job, files, file_place, tmp_path, workers):
    spec = {"Type": "file", "Params": {"Bucket": str(tmp_path), "Key": "{nodeID}-{executionID}-{run}-{date}"}}
    jobs = tmp_path / "jobs.jsonl"
    jobs.write_text(
        lines(
            job | {"job_id": "a"},
            "",
            job
            | {"destination": spec, "node_id": "n", "execution_id": "e", "labels": {"run": "7"}, "at": "2024-02-03"},
            job
            | {"destination": file_place("{partitionIndex:03}-{partitionCount}"), "partition_index": 4}
            | {"partition_count": "8"},
            job,
        )
    )
    ran = keystow("publish-many", jobs, "--allow", "file", *workers, BACALHAU_JOB_ID="mine")
    assert (ran.status, ran.err) == (0, "keystow: 4 published, 0 failed\n")
    results = {line: PublishedResult.from_mapping(outcome) for line, outcome in printed(ran).items()}
    names = {1: "a", 3: "n-e-7-20240203", 4: "004-8", 5: "mine"}
    assert {line: result.key for line, result in results.items()} == {n: f"{key}.tar.gz" for n, key in names.items()}
    expected = publish(files, file_place("other")).checksum_sha256
    assert {verify(result).sha256 for result in results.values()} == {expected}


WRONG = {
    "nonsense": "no JSON object",
    "[]": "no JSON object: write one a line",
    "{}{}": "no JSON object: write one a line",
    "{source: a, destination: b}": "no JSON object",
    '{"source": "a", "source": "b"}': "'source' stands twice",
    "[" * 100_000: "64 mappings and lists",
    '{"source": "' + "a" * MOST_BYTES + '"}': "longer than the 256 KiB",
    '{"sorce": "a"}': "did you mean source?",
    '{"destination": "s3://b/k"}': "it names no source",
    '{"source": "a"}': "it names no destination",
    '{"source": "a", "destination": ["s3://b/k"]}': "it names no destination",
    '{"source": "a", "destination": "s3:/b/k"}': "write s3://bucket/key",
    '{"source": "a", "destination": "s3://b/k", "at": "soon"}': "at: 'soon' is no ISO 8601 time",
    '{"source": "a", "destination": "s3://b/k", "job_id": true}': "job_id is True: write it as text",
    '{"source": "a", "destination": "s3://b/k", "partition_index": -1}': "partition_index: '-1' is no whole number",
    '{"source": "a", "destination": "s3://b/k", "labels": ["x"]}': "write a mapping of names to texts",
    '{"source": "a", "destination": "s3://b/{jobID}"}': "give --job-id",
    '{"source": "a", "destination": "file:///b/k"}': "allow it with --allow file",
    '{"source": "a", "destination": {"Type": "file", "Params": {"Bucket": "/b", "Key": "k"}}}': "with --allow file",
    '{"source": "a", "destination": "sftp://host/b/k"}': "allow it with --allow sftp",
    '{"source": "a", "destination": "gs://b/k,opt=endpoint=https://evil.example.com"}': "evil.example.com",
}


def test_a_line_that_is_wrong_fails_alone_and_says_which(job):
    good = job | {"destination": "memory://b/k"}
    ran = keystow("publish-many", "-", "--allow", "memory", stdin=lines(good, *WRONG, good))
    assert (ran.status, ran.err) == (2, f"keystow: 2 published, {len(WRONG)} failed\n")
    outcomes = printed(ran)
    assert {outcomes.pop(line)["PublishedResult"]["Params"]["Key"] for line in (1, len(WRONG) + 2)} == {"k.tar.gz"}
    for (line, outcome), said in zip(sorted(outcomes.items()), WRONG.values(), strict=True):
        assert said in outcome["error"]["message"], line
        assert outcome["error"]["kind"] in {"invalid_destination", "missing_value"}


def test_bytes_that_are_no_text_are_a_wrong_line():
    done = subprocess.run(
        [*KEYSTOW, "publish-many", "-"], input=b"\xff\xfe\n\n\x00\n", capture_output=True, check=False
    )
    assert done.returncode == 2
    assert [json.loads(line)["line"] for line in done.stdout.splitlines()] == [1, 3]


@pytest.mark.parametrize(
    ("wrong", "status"),
    [({"source": "absent"}, 2), ({"destination": "s3://no-such-bucket/k,opt=endpoint=http://127.0.0.1:1"}, 1), ({}, 3)],
)
def test_the_exit_status_is_that_of_what_failed(job, file_place, tmp_path, wrong, status):
    other = tmp_path / "other"
    other.write_text("other")
    publish(other, file_place("there"))
    jobs = lines(job | {"destination": file_place("there")} | wrong, job | {"destination": file_place("new")})
    login = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    told = ("--allow", "file", "--if-exists", "error", "--timeout", "1s")
    ran = keystow("publish-many", "-", *told, stdin=jobs, **login)
    assert ran.status == status
    assert ran.err.endswith("keystow: 1 published, 1 failed\n")
    outcomes = printed(ran)
    assert set(outcomes[1]["error"]) == {"kind", "message"}
    assert outcomes[2].keys() == {"PublishedResult"}


def test_to_run_it_again_publishes_nothing_again(job):
    jobs = lines(*(job | {"job_id": f"{number}"} for number in range(3)))
    for _ in range(2):
        ran = keystow("publish-many", "-", "--allow", "file", "--if-exists", "error", stdin=jobs)
        assert (ran.status, ran.err) == (0, "keystow: 3 published, 0 failed\n")
    ran = keystow("publish-many", "-", "--allow", "file", "--if-exists", "skip", stdin=jobs)
    assert (ran.status, ran.err) == (0, "keystow: 3 published, 0 failed\n")  # they were compared
    assert "ChecksumSHA256" in ran.out


def test_it_takes_the_options_of_publish(job, file_place, files):
    options = ("--plain", "--include", "*.txt", "--exclude", "empty.txt", "--allow", "file")
    ran = keystow("publish-many", "-", *options, "--processes", "1", stdin=lines(job | {"job_id": "a"}))
    one = publish(files, file_place("b"), archive=False, include=["*.txt"], exclude=["empty.txt"])
    params = printed(ran)[1]["PublishedResult"]["Params"]
    assert params["ChecksumSHA256"] == f"0x{one.checksum_sha256}"
    assert params["Encoding"] == "plain"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("absent.jsonl",), "'absent.jsonl' is no file: give one with a JSON object a line"),
        (("-", "--processes", "0"), "--processes 0 publishes nothing: give 1 or more"),
        (("-", "--processes", "1", "--dask", "tcp://127.0.0.1:1"), "not allowed with"),
    ],
)
def test_a_call_that_is_wrong_is_one_line(arguments, said, job, tmp_path):
    ran = keystow("publish-many", *arguments, cwd=tmp_path, stdin=lines(job))
    assert said in complaint(ran, 2)


def test_standard_input_that_is_closed_is_no_file(tmp_path):
    ran = run("/bin/sh", "-c", '"$@" <&-', "sh", *KEYSTOW, "publish-many", "-")
    assert "standard input is closed: name the file with the publications" in complaint(ran, 2)


def test_without_the_extra_it_says_which(tmp_path):
    hide = "import sys; sys.modules['distributed'] = None; from keystow.command import main; sys.exit(main())"
    ran = run(sys.executable, "-c", hide, "publish-many", "-", "--dask", "tcp://127.0.0.1:1")
    assert "pip install 'keystow[dask]'" in complaint(ran, 1)


@pytest.mark.slow
def test_the_workers_of_a_scheduler_publish(job):
    distributed = pytest.importorskip("distributed")
    quiet = {"dashboard_address": "127.0.0.1:0", "silence_logs": 50}
    with distributed.LocalCluster(n_workers=1, threads_per_worker=2, processes=True, **quiet) as cluster:
        jobs = lines(*(job | {"job_id": f"{number}"} for number in range(5)), job | {"source": "absent", "job_id": "x"})
        ran = keystow("publish-many", "-", "--allow", "file", "--dask", cluster.scheduler_address, stdin=jobs)
    assert (ran.status, ran.err) == (2, "keystow: 5 published, 1 failed\n")
    assert printed(ran)[6]["error"]["kind"] == "no_such_source"


@pytest.mark.parametrize("workers", [(), ("--processes", "1")])
def test_ctrl_c_ends_it_and_says_how_far_it_came(job, workers):
    """While it waits for another line: what it has been given is published, and more may come."""
    with subprocess.Popen(
        [*KEYSTOW, "publish-many", "-", "--allow", "file", *workers],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        running.stdin.write(lines(*(job | {"job_id": f"{number}"} for number in range(20))))
        running.stdin.flush()
        assert "PublishedResult" in running.stdout.readline()
        running.send_signal(signal.SIGINT)
        said = running.communicate(timeout=60)[1]
    assert running.returncode == 130
    assert "Traceback" not in said
    assert "published, 0 failed\n" in said
    assert "keystow: interrupted" in said
