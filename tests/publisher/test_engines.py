"""The bytes that are published are the same whichever engine carries them, and however many threads pack them."""

import itertools

import pytest

from keystow import Context, PublisherSpec, SpecError, fetch, publish, publishing, verify
from keystow.archive.manifest import NAME
from keystow.testing.servers import SeaweedFS

pytestmark = pytest.mark.server

ENGINES = ("fsspec", "obstore")


def destination(seaweed: SeaweedFS, bucket: str, key: str, engine: str) -> PublisherSpec:
    return PublisherSpec("s3", bucket, key, seaweed.endpoint, engine=engine)


def test_archives(real_tree, seaweed, bucket, login, monkeypatch):
    """Of more than one part, so that obstore streams it."""
    login(seaweed)
    told, held = set(), set()
    for engine, threads in itertools.product(ENGINES, (1, 2, 5)):
        monkeypatch.setattr(publishing, "processors", lambda threads=threads: threads)
        result = publish(
            real_tree, destination(seaweed, bucket, f"same/{engine}/{threads}", engine), Context(), mtime=0
        )
        body = seaweed.client().get_object(Bucket=bucket, Key=result.key)["Body"].read()
        told.add(result.checksum_sha256)
        held.add(body)
        assert len(body) > 8 << 20
    assert (len(told), len(held)) == (1, 1)


@pytest.mark.parametrize("if_exists", ["replace", "error"])
def test_prefixes(tmp_path, seaweed, bucket, login, if_exists):
    login(seaweed)
    (tmp_path / "large").write_bytes(bytes(range(256)) * 70_000)
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir" / "empty").write_bytes(b"")
    (tmp_path / "dir" / "ä b%41+c").write_bytes(b"odd")
    results = [
        publish(
            tmp_path,
            destination(seaweed, bucket, f"{if_exists}/{engine}/", engine),
            Context(),
            archive=False,
            if_exists=if_exists,
        )
        for engine in ENGINES
    ]
    assert len({result.checksum_sha256 for result in results}) == 1
    listed = [
        {found["Key"].removeprefix(result.key): (found["Size"], found["ETag"]) for found in page["Contents"]}
        for result in results
        for page in [seaweed.client().list_objects_v2(Bucket=bucket, Prefix=result.key)]
    ]
    assert listed[0] == listed[1]
    assert set(listed[0]) == {"large", "dir/empty", "dir/ä b%41+c", NAME}


@pytest.mark.parametrize("archive", [True, False], ids=["archive", "plain"])
@pytest.mark.parametrize(("writer", "reader"), [ENGINES, ENGINES[::-1]])
def test_one_engine_reads_what_the_other_wrote(tmp_path, seaweed, bucket, login, monkeypatch, archive, writer, reader):
    login(seaweed)
    source = tmp_path / "source"
    source.mkdir()
    (source / "a").write_bytes(bytes(20 << 20))
    (source / "b").write_bytes(b"b")
    result = publish(
        source, destination(seaweed, bucket, f"across/{writer}/{archive}/", writer), Context(), archive=archive
    )
    monkeypatch.setenv("KEYSTOW_ENGINE", reader)
    assert verify(result).sha256 == result.checksum_sha256
    assert fetch(result, tmp_path / "back").verified


def test_the_engine_is_a_parameter():
    spec = PublisherSpec.parse("s3://b/k,opt=engine=Obstore")
    assert spec.engine == "obstore"
    assert spec.to_mapping()["Params"]["Engine"] == "obstore"
    assert PublisherSpec.from_mapping(spec.to_mapping()) == spec
    with pytest.raises(SpecError, match="there is no engine 'curl': use one of auto, fsspec, obstore"):
        PublisherSpec.parse("s3://b/k,opt=engine=curl")
    with pytest.raises(SpecError, match="a memory destination takes no engine"):
        PublisherSpec.parse("memory://b/k,opt=engine=obstore")


def test_a_wrong_variable_is_found_before_anything_is_read(tmp_path, monkeypatch):
    monkeypatch.setenv("KEYSTOW_ENGINE", "curl")
    with pytest.raises(SpecError, match=r"'curl' \(from KEYSTOW_ENGINE\)"):
        publish(tmp_path / "absent", "s3://b/k", Context())
