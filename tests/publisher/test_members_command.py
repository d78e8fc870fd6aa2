"""Members of an archive by the command: ls, cat, get --member and verify --member."""

import json
import os
import subprocess

import indexed
import pytest
from commands import KEYSTOW, complaint, keystow
from sample_tree import FILES, PLOT, TREE, tree_of

from keystow import Checksum, PublishedResult, open_store
from keystow.archive import Entry

pytestmark = pytest.mark.slow


@pytest.fixture(params=["with an index", "without"])
def result(request, tmp_path):
    """The file with a result, whose archive may have no index."""
    return written(tmp_path, TREE, has_index=request.param == "with an index")


def written(tmp_path, tree, *, has_index=True):
    data, index = indexed.data_and_index(tree)
    (tmp_path / "store").mkdir(exist_ok=True)
    made = data + b"".join(index.pieces) if has_index else data
    sha256 = open_store(f"file://{tmp_path}/store").write("k.tar.gz", [made]).sha256
    proof = {"checksum_sha256": sha256, "index_sha256": Checksum(index.sha256) if has_index else None}
    result = PublishedResult("file", f"{tmp_path}/store", "k.tar.gz", **proof)
    (tmp_path / "result.json").write_text(json.dumps({"PublishedResult": result.to_mapping()}))
    return tmp_path / "result.json"


UNBUFFERED = {"PYTHONUNBUFFERED": "1"}
NAMES = [entry.name for entry in TREE.entries]


def test_members_are_listed(result):
    ran = keystow("ls", result)
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.splitlines() == NAMES
    assert keystow("ls", "-", stdin=result.read_text()).out == ran.out
    assert keystow("ls", result, "--long", "*.png", "/soft").out.splitlines() == [
        f"-rw-r--r-- {len(PLOT):>12} 2023-11-14T22:13:20Z a/plots/large.png",
        "-rw-r--r--            5 2023-11-14T22:13:20Z a/plots/small.png",
        "lrwxrwxrwx            0 1970-01-01T00:00:00Z soft -> a/first.csv",
    ]
    told = keystow("ls", result, "score.txt", "--output", "json").out
    size = {"size": 2, "mtime": 1_700_000_000}
    assert json.loads(told) == {"name": "score.txt", "kind": "file", **size, "executable": False, "target": ""}
    assert "'*.jpg'" in complaint(keystow("ls", result, "*.jpg"), 1)


def test_an_archive_by_its_name_is_one_and_a_template_is_a_destination(result, tmp_path):
    ran = keystow("ls", f"file://{tmp_path}/store/k.tar.gz", "*.txt")
    assert ran.out == "score.txt\n"
    assert "not verified" in ran.err
    assert keystow("ls", f"file://{tmp_path}/store/k.tar.gz", "*.txt", "-q").err == ""
    for destination in ("{jobID}", "{jobID}.tar.gz", "k"):
        (line,) = keystow("ls", f"file://{tmp_path}/store/{destination}").out.splitlines()
        assert line.endswith("store/k.tar.gz")
    assert "--since" in complaint(keystow("ls", result, "--since", "7d"), 2)
    assert "--long" in complaint(keystow("ls", f"file://{tmp_path}/store/{{jobID}}", "--long"), 2)
    assert "GLOB" in complaint(keystow("ls", f"file://{tmp_path}/store/{{jobID}}", "*.txt"), 2)


def test_nothing_is_known_of_an_archive_by_its_name(result, tmp_path):
    name = f"file://{tmp_path}/store/k.tar.gz"
    ran = keystow("cat", name, "score.txt")
    assert (ran.status, ran.out) == (0, "42")
    assert "not verified" in ran.err
    assert (
        json.loads(
            keystow("get", name, tmp_path / "out", "--member", "hard", "--member", "*.png", "--output=json").out
        )["verified"]
        is False
    )
    assert "IndexSHA256" in complaint(keystow("verify", name, "--member", "*.png"), 2)
    assert keystow("cat", name, "score.txt", "--sha256", "0" * 64).status == 4


def test_what_no_text_can_hold_is_listed(tmp_path):
    names = ["a\nb", "\udcff", "\x1b[31m"]
    result = written(tmp_path, tree_of(dict.fromkeys(names, b"x")))
    assert sorted(keystow("ls", result).out) == sorted("".join(f"{name}\n" for name in names))
    assert {json.loads(line)["name"] for line in keystow("ls", result, "--output=json").out.splitlines()} == set(names)
    assert keystow("cat", result, "\udcff").out == "x"


def test_times_that_no_calendar_has_are_shown(tmp_path):
    result = written(tmp_path, tree_of({}, Entry("late", "directory", mtime=1 << 50)))
    assert keystow("ls", result, "--long").out.split() == ["drwxr-xr-x", "0", str(1 << 50), "late"]


def printed(*arguments):
    return subprocess.run([*KEYSTOW, "cat", *arguments], capture_output=True, check=False)


def test_a_file_is_printed(result):
    for name, content in FILES.items():
        ran = printed(result, name)
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, content, b"")
    assert printed(result, "hard").stdout == b"small"


@pytest.mark.parametrize(("name", "said"), [("a", "is a directory"), ("soft", "'a/first.csv'"), ("no", "no member")])
def test_what_is_no_file_is_not_printed(result, name, said):
    assert said in complaint(keystow("cat", result, name), 1)


def test_whoever_reads_no_further_is_no_error(result):
    with subprocess.Popen([*KEYSTOW, "cat", result, "a/plots/large.png"], stdout=-1, stderr=-1) as process:
        assert process.stdout.read(10) == PLOT[:10]
        process.stdout.close()
        assert process.stderr.read() == b""


@pytest.mark.parametrize("command", [("ls",), ("cat",)])
def test_nothing_goes_on_once_nobody_reads(result, tmp_path, command):
    text = json.loads(result.read_text())
    lost = json.loads(result.read_text())
    lost["PublishedResult"]["Params"]["Key"] = "lost.tar.gz"
    both = tmp_path / "both.yaml"
    both.write_text("".join(f"---\n{json.dumps(each)}\n" for each in (text, lost)))
    given = [both, "score.txt"]
    told, end = os.pipe()
    os.close(told)
    ran = subprocess.run([*KEYSTOW, *command, *given], stdout=end, stderr=-1, check=False, env=os.environ | UNBUFFERED)
    os.close(end)
    assert (ran.returncode, ran.stderr) == (1, b"")


def test_limits_bound_what_is_listed_and_printed(result, tmp_path):
    assert "--max-members" in complaint(keystow("ls", result, "--max-members", "3"), 1)
    assert keystow("ls", result, "--max-members", "none", "--max-bytes", "20MB", "--max-ratio", "9").status == 0
    assert "--max-bytes" in complaint(keystow("cat", result, "a/plots/large.png", "--max-bytes", "1000"), 1)
    assert "--max-ratio" in complaint(keystow("ls", f"file://{tmp_path}/store/{{jobID}}", "--max-ratio", "9"), 2)


def test_what_is_not_what_was_published_is_not_printed(result, tmp_path):
    path = tmp_path / "store/k.tar.gz"
    content = bytearray(path.read_bytes())
    content[1000] ^= 1  # in the first block
    path.write_bytes(content)
    for arguments in (("cat", result, "a/first.csv"), ("verify", result, "--member", "*.csv")):
        complaint(keystow(*arguments), 4)
    complaint(keystow("get", result, tmp_path / "out", "--member", "*.csv"), 4)
    assert not (tmp_path / "out").exists()


def test_members_are_fetched(result, tmp_path):
    ran = keystow("get", result, tmp_path / "out", "--member", "*.csv", "--member", "/score.txt", "--output", "json")
    assert ran.status == 0
    found = json.loads(ran.out)
    assert (found["members"], found["bytes"], found["verified"]) == (3, 10, True)
    assert sorted(os.listdir(tmp_path / "out")) == ["a", "score.txt"]
    complaint(keystow("get", result, tmp_path / "none", "--member", "*.csv", "--member", "*.jpg"), 1)
    assert not (tmp_path / "none").exists()


def test_members_are_verified(result):
    ran = keystow("verify", result, "--member", "*.png", "--output", "json")
    found = json.loads(ran.out)
    index = json.loads(result.read_text())["PublishedResult"]["Params"].get("IndexSHA256")
    assert ("index SHA-256" in ran.err) is (index is not None)
    assert (found["objects"], found["members"], found["bytes"]) == (1, 2, len(PLOT) + 5)
    assert "2 members" in keystow("verify", result, "--member", "*.png").err


def test_all_of_it_by_a_url(result, liar, tmp_path):
    from lying import Lie

    made = (tmp_path / "store/k.tar.gz").read_bytes()

    def answer(asked):
        first, _, last = asked.headers.get("range", "bytes=0-").removeprefix("bytes=").partition("-")
        start = int(first) if first else max(0, len(made) - int(last))
        stop = min(len(made), int(last) + 1) if first and last else len(made)
        return Lie(206, {"ETag": '"1"', "Content-Range": f"bytes {start}-{stop - 1}/{len(made)}"}, made[start:stop])

    url = f"{liar(answer).url}/k.tar.gz?X-Amz-Signature=secret"
    ran = keystow("cat", url, "score.txt")
    assert (ran.status, ran.out) == (0, "42")
    assert "not verified" in ran.err
    assert keystow("ls", url).out.splitlines() == NAMES
    assert keystow("get", url, tmp_path / "out", "--member", "*.csv").status == 0
    assert os.listdir(tmp_path / "out/a") == ["first.csv"]
    assert "secret" not in keystow("cat", url, "no").err
