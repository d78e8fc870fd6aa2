"""The oracle can fail: each promise is seen to be broken by a store, or a client, that lies."""

import hashlib
from typing import Any

import pytest

from keystow.testing.faults import ClientLimit, WireFault

from .case import LANES, PUBLISHES, READS, Case, drawn_case
from .lane import Lane
from .oracle import Outcome, Seen, Standing, judge

KEY, OURS, OLD = "p/small.tar.gz", {"p/small.tar.gz": "ours"}, {"p/small.tar.gz": "old"}
PREFIX = {"p/a": "1", "p/b": "2"}
OLDER = {"p/a": "0", "p/b": "2"}
TREE = {"a": "1", "b": "2"}


def judged(mode, outcome, before=(), after=(), ours=OURS, *, seed=0, **seen):
    case = Case(seed, "s3", "fsspec", mode, WireFault("cut", "head"))
    return judge(case, Seen(dict(before), dict(after), ours, "sum", outcome, **{"tree": TREE} | seen))


DONE = Outcome("done", sha256="sum")
HONEST: list[tuple[str, Outcome, Any, Any]] = [
    ("publish-small-replace-free", DONE, {}, OURS),
    ("publish-small-replace-taken", DONE, OLD, OURS),
    ("publish-small-error-free", DONE, {}, OURS),
    ("publish-small-error-taken", Outcome("exists"), OLD, OLD),
    ("publish-small-skip-taken", Outcome("done"), OLD, OLD),
    ("publish-small-skip-taken", Outcome("exists"), OLD, OLD),
    ("publish-small-skip-taken", DONE, OURS, OURS),
    ("publish-small-skip-taken", Outcome("done"), OURS, OURS),
    ("publish-small-skip-free", DONE, {}, OURS),
    ("publish-small-replace-taken", Outcome("failed"), OLD, OLD),
    ("publish-small-replace-free", Outcome("failed"), {}, {}),
    ("publish-small-replace-free", Outcome("unknown"), {}, OURS),
    ("publish-small-replace-free", Outcome("unknown"), {}, {}),
    ("publish-small-replace-free", Outcome("interrupted"), {}, OURS),
]
LIES: list[tuple[str, str, Outcome, Any, Any]] = [
    ("untrue success", "publish-small-replace-free", DONE, {}, {}),
    ("untrue success", "publish-small-replace-taken", DONE, OLD, OLD),
    ("untrue success", "publish-small-replace-free", Outcome("done", sha256="other"), {}, OURS),
    ("untrue success", "publish-small-skip-free", Outcome("done"), {}, OURS),
    ("untrue success", "publish-small-error-taken", DONE, OLD, OURS),
    ("torn", "publish-small-replace-free", DONE, {}, {KEY: "half"}),
    ("torn", "publish-small-replace-taken", Outcome("failed"), OLD, {KEY: "half"}),
    ("torn", "publish-small-replace-free", Outcome("hung"), {}, {KEY: "half"}),
    ("stray", "publish-small-replace-free", DONE, {}, OURS | {"p/other": "x"}),
    ("gone", "publish-small-replace-taken", Outcome("failed"), OLD, {}),
    ("overwritten", "publish-small-error-taken", Outcome("failed"), OLD, OURS),
    ("overwritten", "publish-small-skip-taken", Outcome("unknown"), OLD, OURS),
    ("untrue failure", "publish-small-replace-free", Outcome("failed"), {}, OURS),
    ("ours called foreign", "publish-small-error-free", Outcome("exists"), {}, OURS),
    ("ours called foreign", "publish-small-skip-taken", Outcome("exists"), OURS, OURS),
    ("untrue success", "publish-small-skip-taken", DONE, OLD, OLD),
    ("hung", "publish-small-replace-free", Outcome("hung", seconds=60), {}, {}),
    ("raw", "publish-small-replace-free", Outcome("raw", told="KeyError: 'ETag'"), {}, {}),
]


@pytest.mark.parametrize(("mode", "outcome", "before", "after"), HONEST)
def test_what_is_true_is_not_held_against_it(mode, outcome, before, after):
    assert judged(mode, outcome, before, after) == []


@pytest.mark.parametrize(("what", "mode", "outcome", "before", "after"), LIES)
def test_a_lie_about_a_publish_is_seen(what, mode, outcome, before, after):
    assert any(broken.startswith(what) for broken in judged(mode, outcome, before, after))


def test_lies_about_a_prefix_are_seen():
    publish = "publish-prefix-replace-free"
    half = {"p/a": "1"}
    assert judged(publish, DONE, {}, PREFIX, PREFIX, manifest=Standing("ours")) == []
    assert judged(publish, Outcome("failed", arrived=1), {}, half, PREFIX) == []
    [missing] = judged(publish, DONE, {}, half, PREFIX)[:1]
    assert missing.startswith("untrue success: p/b")
    [note] = judged(publish, Outcome("failed", arrived=2), {}, half, PREFIX)
    assert note.startswith("untrue note: 2")


@pytest.mark.parametrize(
    ("what", "outcome", "after", "manifest"),
    [
        ("", Outcome("interrupted"), PREFIX, Standing("ours")),
        ("", Outcome("interrupted"), PREFIX, Standing()),
        ("", Outcome("failed"), PREFIX, Standing()),
        ("torn", Outcome("failed"), PREFIX, Standing("other")),
        ("untrue success", DONE, PREFIX, Standing()),
        ("untrue failure", Outcome("failed"), PREFIX, Standing("ours")),
        ("untrue manifest", Outcome("interrupted"), {"p/a": "1"}, Standing("ours", 1)),
    ],
)
def test_lies_about_a_manifest_are_seen(what, outcome, after, manifest):
    broken = judged("publish-prefix-replace-free", outcome, {}, after, PREFIX, manifest=manifest)
    assert [words.partition(":")[0] for words in broken] == [what] * bool(what)


@pytest.mark.parametrize(
    ("what", "mode", "seed", "outcome", "manifest"),
    [
        ("", "replace", 0, DONE, Standing("ours")),
        ("", "replace", 0, Outcome("failed"), Standing("older")),
        ("", "replace", 0, Outcome("failed"), Standing("older", 1)),
        ("untrue manifest", "replace", 1, Outcome("failed"), Standing("older", 1)),
        ("untrue success", "replace", 0, DONE, Standing("older")),
        ("gone", "replace", 0, Outcome("failed"), Standing()),
        ("", "error", 0, Outcome("exists"), Standing("older")),
        ("untrue manifest", "error", 0, Outcome("exists"), Standing("older", 1)),
        ("untrue manifest", "skip", 0, Outcome("failed"), Standing("older", 1)),
    ],
)
def test_lies_about_an_older_manifest_are_seen(what, mode, seed, outcome, manifest):
    after = PREFIX if outcome == DONE else OLDER
    broken = judged(f"publish-prefix-{mode}-published", outcome, OLDER, after, PREFIX, seed=seed, manifest=manifest)
    assert [words.partition(":")[0] for words in broken] == [what] * bool(what)


@pytest.mark.parametrize(
    ("what", "mode", "outcome", "seen"),
    [
        ("", "get-prefix", DONE, {"target": TREE}),
        ("", "get-prefix", Outcome("failed"), {}),
        ("", "get-prefix", Outcome("interrupted"), {"target": TREE}),
        ("untrue success", "get-prefix", DONE, {"target": {"a": "1"}}),
        ("untrue success", "get-prefix", DONE, {}),
        ("untrue success", "get-small", Outcome("done", sha256="other"), {"target": TREE}),
        ("untrue success", "verify-prefix", Outcome("done", sha256="other"), {}),
        ("", "get-url", Outcome("done", sha256="other"), {"target": TREE}),
        ("untrue success", "get-url", DONE, {"target": {"a": "1"}}),
        ("left", "get-prefix", Outcome("failed"), {"target": {"a": "1"}}),
        ("left", "get-prefix", Outcome("interrupted"), {"target": {"a": "1"}}),
        ("left", "get-prefix", Outcome("failed"), {"left": (".target.partial",)}),
        ("", "list", Outcome("done", names=("p/a", "p/b")), {}),
        ("untrue success", "list", Outcome("done", names=("p/a",)), {}),
        ("late", "get-prefix", Outcome("interrupted"), {"since_signal": 9.0}),
        ("", "get-prefix", Outcome("interrupted"), {"since_signal": 1.0}),
    ],
)
def test_a_lie_about_a_read_is_seen(what, mode, outcome, seen):
    broken = judged(mode, outcome, PREFIX, PREFIX, PREFIX, **seen)
    assert [words.partition(":")[0] for words in broken] == [what] * bool(what)


@pytest.fixture(scope="module", params=["gs", "az", "s3"])
def lane(request, tmp_path_factory):
    with Lane(request.param, "fsspec", tmp_path_factory.mktemp(request.param)) as running:
        yield running


@pytest.mark.server
def test_the_oracle_asks_the_server_itself(lane):
    """The client is one that lies: what it says is held against what the server has."""
    case = Case(0, lane.store, "fsspec", "publish-small-error-taken", WireFault("cut", "head"))

    def told(*said, **puts):
        def player(lane, job, pid):
            for name, body in puts.items():
                lane.holdings.put(job.key if name == "key" else f"{job.key}-{name}", body)
            return Outcome(*said)

        return [broken.partition(":")[0] for broken in lane.run(case, player).broken]

    assert told("exists") == []
    assert told("exists", key=b"half") == ["torn"]
    assert told("exists", other=b"x") == ["stray"]
    assert "untrue success" in told("done")


@pytest.mark.server
def test_the_oracle_reads_what_it_wrote(lane):
    for name in ("under/a b+c", "under/é"):
        lane.holdings.put(name, name.encode())
    assert lane.holdings.under("under/") == {
        name: hashlib.sha256(name.encode()).hexdigest() for name in ("under/a b+c", "under/é")
    }


@pytest.mark.parametrize(("store", "engine"), LANES)
def test_a_case_is_its_line_and_comes_from_its_seed(store, engine):
    for seed in range(300):
        case = drawn_case(seed, store, engine)
        assert Case.parse(str(case)) == case == drawn_case(seed, store, engine)
    drawn = [drawn_case(seed, store, engine) for seed in range(3000)]
    assert {case.mode for case in drawn} >= {*PUBLISHES, *READS} - {"get-url"}
    assert any(isinstance(case.fault, ClientLimit) for case in drawn)


@pytest.mark.parametrize("line", ["", "seed=1", "seed=1 store=s3 engine=none mode=list fault=cut:head",
                                  "seed=1 store=s3 engine=fsspec mode=lists fault=cut:head"])  # fmt: skip
def test_what_is_no_case_is_refused(line):
    with pytest.raises(ValueError, match=r"a case is|no mode"):
        Case.parse(line)
