"""One source to several destinations at once: packed once, the same everywhere, each on its own."""

import io
import itertools
import json
import random
import signal
import subprocess
import sys
import threading
import time

import pytest
import yaml
from archive_strategies import lay, seen
from commands import complaint, keystow

from keystow import Context, PartlyPublishedError, SpecError, fetch, publish, publish_each, several
from keystow.archive import SourceChangedError
from keystow.backends import AccessDeniedError, AlreadyExistsError, StoreError
from keystow.testing.servers import FaultProxy

pytestmark = pytest.mark.slow

SECONDS = 60
_numbers = itertools.count()


def memory(key="k"):
    return f"memory://several-{next(_numbers)}/{key}"


@pytest.fixture
def nowhere(tmp_path):
    """A destination at which nothing can be made: its directory is a file."""
    (tmp_path / "a file").write_text("x")
    return f"file://{tmp_path}/a file/below/k"


@pytest.fixture
def packings(monkeypatch):
    """One item for each time that an archive is packed."""
    counted, packed = [], several.packed_for

    def counting(tree, manner):
        counted.append(tree)
        return packed(tree, manner)

    monkeypatch.setattr(several, "packed_for", counting)
    return counted


def test_three_clouds_at_once(keystow_s3, keystow_gcs, keystow_azure, small, tmp_path, packings):
    """And a directory, each with a template of its own."""
    destinations = [
        keystow_s3.destination("several/{jobID}"),
        keystow_gcs.destination("{jobID}/of-google"),
        keystow_azure.destination("{executionID}"),
        f"file://{tmp_path}/published/{{jobID}}/{{executionID}}",
    ]
    context = Context(job_id="j", execution_id="e")
    alone = [publish(small, destination, context) for destination in destinations]
    found = publish_each(small, destinations, context)
    assert [each.destination for each in found] == destinations
    assert [each.result.type for each in found] == ["s3", "gs", "az", "file"]
    assert {each.result.checksum_sha256 for each in found} == {each.checksum_sha256 for each in alone}
    assert len(packings) == 1
    for number, each in enumerate(found):
        fetch(each.result, tmp_path / f"back-{number}")
        assert seen(tmp_path / f"back-{number}") == seen(small)


def test_archives_prefixes_and_a_context_of_each_job(files, tmp_path, packings):
    there = tmp_path / "there"
    plain = {"Type": "file", "Params": {"Bucket": str(there), "Key": "p", "Encoding": "plain"}}
    found = publish_each(files, [memory("{jobID}"), plain], Context(job_id="7"), allow=["file"])
    assert found[0].result.key == "7.tar.gz"
    assert found[1].result.checksum_sha256 == publish(files, memory(), archive=False).checksum_sha256
    assert len(packings) == 1


def test_a_stream_is_read_once():
    content = random.Random(1).randbytes(5 << 20)
    first, second = publish_each(io.BytesIO(content), [memory(), memory()], raw=True)
    assert first.result.checksum_sha256 == second.result.checksum_sha256
    assert first.result.checksum_sha256 == publish(io.BytesIO(content), memory(), raw=True).checksum_sha256


def test_it_is_what_each_would_have_been_alone(small):
    (found,) = publish_each(small, [memory()])
    assert found.result.checksum_sha256 == publish(small, memory()).checksum_sha256


def test_one_that_fails_neither_stops_nor_changes_the_others(small, nowhere, tmp_path):
    with pytest.raises(PartlyPublishedError, match=r"published to 2 of 3 destinations, and required were 3: .*a file"):
        publish_each(small, [memory(), nowhere, f"file://{tmp_path}/there/k"])
    found = publish_each(small, [memory(), nowhere, f"file://{tmp_path}/there/k"], require="any")
    assert [each.error is None for each in found] == [True, False, True]
    assert isinstance(found[1].error, StoreError)
    fetch(found[2].result, tmp_path / "back")
    assert seen(tmp_path / "back") == seen(small)


@pytest.mark.parametrize(("require", "is_enough"), [("any", True), (1, True), (2, True), (3, False), ("all", False)])
def test_how_many_are_required(small, nowhere, require, is_enough):
    destinations = [memory(), nowhere, memory()]
    if is_enough:
        assert len(publish_each(small, destinations, require=require)) == 3
        return
    with pytest.raises(PartlyPublishedError) as failed:
        publish_each(small, destinations, require=require)
    assert [each.result is None for each in failed.value.deliveries] == [False, True, False]


@pytest.mark.parametrize("require", ["most", 0, 3, -1, True, 1.0])
def test_what_is_no_requirement(small, require):
    with pytest.raises(SpecError, match="use all, any, or a number from 1 to 2"):
        publish_each(small, [memory(), memory()], require=require)


def test_what_is_wrong_with_the_call_is_told_before_anything_is_sent(small, tmp_path):
    with pytest.raises(SpecError, match="no destinations"):
        publish_each(small, [])
    with pytest.raises(SpecError, match="give a list, or use publish"):
        publish_each(small, memory())
    there = tmp_path / "there"
    with pytest.raises(ValueError, match="nope"):
        publish_each(small, [f"file://{there}/k", "nope://b/k"])
    with pytest.raises(SpecError, match="lies inside the source"):
        publish_each(small, [f"file://{there}/k", f"file://{small}/k"])
    assert not there.exists()


def test_a_source_that_changes_is_published_nowhere(tmp_path):
    source = tmp_path / "source"
    lay(source, {"a": bytes(100), "b": random.Random(1).randbytes(40 << 20)})
    read = several.packed_for

    def changing(tree, manner):
        pieces = read(tree, manner)
        yield next(pieces)
        (source / "b").write_bytes(b"another")
        yield from pieces

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(several, "packed_for", changing)
        with pytest.raises(PartlyPublishedError) as failed:
            publish_each(source, [f"file://{tmp_path}/1/k", f"file://{tmp_path}/2/k"])
    assert [type(each.error) for each in failed.value.deliveries] == [SourceChangedError] * 2
    assert [path for path in tmp_path.glob("[12]/**/*") if path.is_file()] == []


def test_what_stands_there_is_its_own_matter(small):
    taken, free = memory(), memory()
    publish(small, taken, mtime=1)
    found = publish_each(small, [taken, free], if_exists="error", require="any")
    assert isinstance(found[0].error, AlreadyExistsError)
    assert found[1].result is not None


@pytest.mark.server
def test_a_store_that_refuses_half_way_holds_nobody_up(seaweed, bucket, login, noise, tmp_path):
    login(seaweed)
    with FaultProxy(seaweed.endpoint) as proxy:
        proxy.answer(lambda method, path: method == "PUT" and "partNumber=2" in path, 403, nth=None)
        there = [f"file://{tmp_path}/there/k", f"s3://{bucket}/refuses,opt=endpoint={proxy.url}"]
        found = publish_each(noise, there, require="any")
    assert found[0].error is None
    assert isinstance(found[1].error, AccessDeniedError)
    fetch(found[0].result, tmp_path / "back")
    assert seen(tmp_path / "back") == seen(noise)


# -- the command


def test_the_command_prints_a_result_for_each_in_their_order(small, nowhere, tmp_path):
    there = [f"file://{tmp_path}/{name}/k" for name in "ab"]
    ran = keystow("publish", small, there[0], nowhere, there[1])
    assert ran.status == 1
    found = [each["PublishedResult"]["Params"] for each in yaml.safe_load_all(ran.out)]
    assert [each["Bucket"] for each in found] == [f"{tmp_path}/a", f"{tmp_path}/b"]
    assert len({each["ChecksumSHA256"] for each in found}) == 1
    assert "a file" in ran.err
    for require, status in (("any", 0), ("2", 0), ("3", 1), ("all", 1)):
        assert keystow("publish", small, there[0], nowhere, there[1], "--require", require).status == status
    for wrong in ("most", "4", "0", "-1"):
        assert keystow("publish", small, *there, nowhere, "--require", wrong).status == 2
    said = complaint(keystow("publish", small, *there, "--require", "4"), 2)
    assert said == "--require 4 is no choice: use all, any, or a number from 1 to 2"


def test_the_command_takes_standard_input_to_several(tmp_path):
    there = [f"file://{tmp_path}/{name}" for name in "ab"]
    ran = keystow("publish", "-", *there, "--raw", stdin="42")
    assert ran.status == 0
    assert [(tmp_path / name).read_text() for name in "ab"] == ["42", "42"]


TELLS = """
import sys
from keystow import several
from keystow.command import main

told, *arguments = sys.argv[1:]
sent_each = several.sent_each

def telling(*given):
    for ended in sent_each(*given):
        yield ended
        open(told, "w").close()

several.sent_each = telling
sys.exit(main(arguments))
"""
"""The command, which makes a file once it knows what came of one of its destinations."""


@pytest.mark.server
def test_an_interrupt_ends_them_all_and_prints_what_was_done(seaweed, bucket, login, small, tmp_path):
    login(seaweed)
    with FaultProxy(seaweed.endpoint) as proxy:
        asked = threading.Event()
        proxy.hang(lambda method, path: method == "PUT" and not asked.set(), nth=None)
        there = [f"s3://{bucket}/hangs,opt=endpoint={proxy.url}", f"file://{tmp_path}/there/k"]
        told = tmp_path / "told"
        command = [sys.executable, "-c", TELLS, str(told), "publish", str(small), *there, "--output", "json"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
            assert asked.wait(SECONDS)
            until = time.monotonic() + SECONDS
            while not told.exists() and time.monotonic() < until:
                time.sleep(0.05)
            running.send_signal(signal.SIGINT)
            out, err = running.communicate(timeout=SECONDS)
    assert running.returncode == 130, err
    assert "interrupted" in err
    assert [json.loads(line)["PublishedResult"]["Type"] for line in out.splitlines()] == ["file"]
