"""How far it is, on a terminal and where there is none; stdout has the result and nothing else."""

import os
import re
import signal
import subprocess
import sys
import threading
import time

import pytest
import yaml
from commands import TESTS, keystow
from terminal import interrupt, on_terminal, screen, waiting

from keystow import PublishedResult
from keystow.command import progress
from keystow.command.progress import Gauge, cropped, described
from keystow.progress import Moved

pytestmark = pytest.mark.slow

FRAME = re.compile(r"(\d+) % of 31\.5 MB, \d+\.\d [kM]?B/s|(\d+) % of 31\.5 MB, 0 B/s")
HIDDEN = {"with rich": "", "without rich": "rich"}
drawn = pytest.mark.parametrize("hidden", HIDDEN.values(), ids=HIDDEN)


def go_on(go, frame=FRAME):
    """Lets the command go on once something was drawn."""

    def when(written, _):
        if not frame.search(written):
            return False
        go.touch()
        return True

    return when


def result(out):
    """The published result on stdout, and what was loaded of rich."""
    *printed, loaded = out.splitlines(keepends=True)
    (found,) = yaml.safe_load_all("".join(printed))
    return PublishedResult.from_mapping(found), loaded.split()


@drawn
@pytest.mark.parametrize("columns", [40, 79, 120, 300])
def test_one_line_is_written_over(file_place, noise, tmp_path, hidden, columns):
    go = tmp_path / "go"
    command = waiting(0.6, go, "publish", noise, file_place("k"), hidden=hidden)
    shown = on_terminal(*command, when=go_on(go, re.compile("% of")), columns=columns)
    assert shown.status == 0
    published, loaded = result(shown.out)
    assert published.key == "k.tar.gz"
    assert bool(loaded) == (not hidden)
    line, told = shown.screen
    assert told == f"keystow: published 1 file of 31457280 bytes to {file_place('k')}.tar.gz"
    assert len(line) <= columns
    if columns > 40:
        assert "100 % of 31.5 MB, " in line
        percents = [int(found[1] or found[2]) for found in FRAME.finditer(shown.written)]
        assert percents == sorted(percents)
        assert percents[0] <= 61
    assert "\x1b[?25" not in shown.written, "the cursor is hidden"


@drawn
def test_each_of_several_destinations_has_a_line_of_its_own(tmp_path, noise, hidden):
    go = tmp_path / "go"
    there = [f"file://{tmp_path}/{name}/k" for name in ("first", "second", "third")]
    command = waiting(0.6, go, "publish", noise, *there, "--output", "key", hidden=hidden)
    shown = on_terminal(*command, when=go_on(go))
    assert shown.status == 0
    *lines, first, second, third = shown.screen
    assert [re.search(r"/(\w+)/k\.tar\.gz +.*100 % of 31\.5 MB, ", line)[1] for line in lines] == [
        "first",
        "second",
        "third",
    ]
    assert [line.split()[-1] for line in (first, second, third)] == [f"{url}.tar.gz" for url in there]


@drawn
def test_no_color_is_heeded(file_place, noise, tmp_path, hidden):
    """https://no-color.org"""
    go = tmp_path / "go"
    command = waiting(0.6, go, "publish", noise, file_place("k"), hidden=hidden)
    assert not re.search(r"\x1b\[[0-9;]*m", on_terminal(*command, when=go_on(go), NO_COLOR="1").written)
    if not hidden:
        go.unlink()
        assert re.search(r"\x1b\[[0-9;]*m", on_terminal(*command, when=go_on(go), NO_COLOR="").written)


@pytest.mark.parametrize("term", ["dumb", "", "unknown"])
def test_a_terminal_that_knows_only_lines_gets_lines(file_place, noise, tmp_path, term):
    """After 5 s one of how far it is, with ``--verbose``."""
    go = tmp_path / "go"
    go.touch()
    command = waiting(0.6, go, "publish", noise, file_place("k"))
    shown = on_terminal(*command, TERM=term)
    assert shown.status == 0
    assert result(shown.out)[1] == []
    assert shown.written == f"keystow: published 1 file of 31457280 bytes to {file_place('k')}.tar.gz\r\n"


@pytest.mark.slow
@pytest.mark.parametrize("terminal", [True, False])
def test_a_line_now_and_then_where_there_is_no_terminal(file_place, noise, tmp_path, terminal):
    go = tmp_path / "go"
    command = waiting(0.6, go, "publish", noise, file_place("k"), "-v")
    if terminal:
        shown = on_terminal(*command, when=go_on(go), TERM="dumb")
        written, out = shown.written.replace("\r\n", "\n"), shown.out
    else:
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": TESTS},
        ) as process:
            first = process.stderr.readline()
            go.touch()
            out, rest = process.communicate()
        written = first + rest
    assert result(out)[1] == []
    first, *between, last = written.splitlines()
    url = f"{file_place('k')}.tar.gz"
    assert re.fullmatch(rf"keystow: {re.escape(url)}: \d\d % of 31\.5 MB, .*/s(, \d+ \w+ left)?", first)
    assert last == f"keystow: published 1 file of 31457280 bytes to {url}"
    assert all(line.startswith(f"keystow: {url}: ") for line in between)
    assert written.replace("\n", "").isprintable()


def test_nothing_is_shown_where_nobody_looks(file_place, noise):
    ran = keystow("publish", noise, file_place("k"))
    assert ran.err == f"keystow: published 1 file of 31457280 bytes to {file_place('k')}.tar.gz\n"


def test_what_is_quickly_done_draws_nothing(file_place, small):
    """And loads nothing to draw with; what is quick depends on the machine, and is not measured here."""
    code = (
        "import sys; from keystow.command import main, progress; progress._FIRST = 60; status = main(); "
        "print(*[name for name in sys.modules if name.startswith('rich')]); sys.exit(status)"
    )
    shown = on_terminal(sys.executable, "-c", code, "publish", small, file_place("k"))
    assert shown.status == 0
    assert result(shown.out)[1] == []
    assert shown.written == f"keystow: published 5 files of 10255 bytes to {file_place('k')}.tar.gz\r\n"


@drawn
def test_an_interrupt_leaves_the_terminal_whole(file_place, noise, tmp_path, hidden):
    command = waiting(0.6, tmp_path / "never", "publish", noise, file_place("k"), hidden=hidden)

    def when(written, process):
        return bool(FRAME.search(written)) and interrupt(written, process)

    shown = on_terminal(*command, when=when)
    assert shown.status == 130
    line, told = shown.screen
    assert FRAME.search(line)
    assert "100 %" not in line
    assert told == "keystow: interrupted; nothing half-written was left"
    assert shown.written.endswith("\r\n")
    assert "\x1b[?25" not in shown.written


def test_who_is_interrupted_again_leaves_the_terminal_whole_too():
    """Several times, while the last line is drawn, as by SIGTERM after Ctrl-C."""
    begun, ended = threading.Event(), threading.Event()

    class Slow:
        def draw(self):
            begun.set()

        def end(self):
            for _ in range(3):
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.1)
            ended.set()

    def interrupted():
        with progress._ticking(Slow, 0, 0.01):
            assert begun.wait(60)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        interrupted()
    assert isinstance(caught.value.__context__, KeyboardInterrupt)
    assert ended.is_set()


@drawn
def test_a_failure_leaves_the_terminal_whole(file_place, noise, tmp_path, hidden):
    go = tmp_path / "go"

    def when(written, _):
        if not FRAME.search(written):
            return False
        os.truncate(noise / "data", 1000)
        go.touch()
        return True

    shown = on_terminal(*waiting(0.6, go, "publish", noise, file_place("k"), hidden=hidden), when=when)
    assert shown.status == 1
    line, told = shown.screen
    assert FRAME.search(line)
    assert "changed while it was packed" in told


@pytest.mark.server
@drawn
def test_what_is_said_meanwhile_stands_above(seaweed, s3_place, proxy, noise, tmp_path, hidden):
    """And retries are counted."""
    go = tmp_path / "go"
    first = re.compile(r"partNumber=1(?!\d)")
    proxy.answer(lambda method, path: bool(go.exists() and "partNumber=" in path and not first.search(path)), 503)
    destination = s3_place("k").replace(seaweed.endpoint, proxy.url)
    shown = on_terminal(*waiting(0.7, go, "publish", noise, destination, hidden=hidden), when=go_on(go), columns=200)
    assert shown.status == 0, shown
    retry, line, told = shown.screen
    assert re.fullmatch(r"keystow: retrying in 0\.\d s: .*503.*\(2 of 4\)", retry)
    assert "100 % of 31.5 MB" in line
    assert line.endswith(", 1 retry")
    assert told.startswith("keystow: published 1 file of 31457280 bytes to s3://")


@drawn
def test_standard_input_has_no_end_that_is_known(file_place, tmp_path, hidden):
    reading, writing = os.pipe()
    os.write(writing, b"12345")

    def when(written, _):
        if "waiting" not in written:
            return False
        os.write(writing, b"67890")
        os.close(writing)
        return True

    hide = f"sys.modules.update(dict.fromkeys({hidden.split()}, None))"
    code = f"import sys; {hide}; from keystow.command import main; sys.exit(main())"
    with open(reading, "rb") as stdin:
        shown = on_terminal(
            sys.executable, "-c", code, "publish", "-", file_place("k"), "--raw", when=when, stdin=stdin
        )
    assert shown.status == 0
    line, told = shown.screen
    assert "100 % of 10 B, " in line
    assert told.startswith("keystow: published standard input of 10 bytes")


@pytest.mark.parametrize("option", ["-q", "--quiet"])
def test_quiet_says_nothing_but_errors_and_results(file_place, small, tmp_path, option):
    (tmp_path / "small" / ".env").write_text("SECRET=1")
    ran = keystow("publish", small, file_place("k"), option, "--exclude", "score.txt")
    assert (ran.status, ran.err) == (0, "")
    (tmp_path / "result.yaml").write_text(ran.out)
    assert keystow("verify", tmp_path / "result.yaml", option) == (0, "", "")
    assert keystow("get", tmp_path / "result.yaml", tmp_path / "back", option) == (0, "", "")
    failed = keystow("get", tmp_path / "result.yaml", tmp_path / "back", option)
    assert failed.status == 3
    assert "is not an empty directory" in failed.err
    assert keystow("get", "absent", tmp_path / "other", option).err.startswith("keystow: ")
    assert keystow("publish", small, "s3://b/k/", "--dry-run", option).err == ""


@pytest.mark.parametrize("command", ["publish", "publish-many", "get", "verify", "url", "key"])
def test_short_options_everywhere(command):
    help_text = keystow(command, "--help", COLUMNS="200").out
    assert "-q, --quiet" in help_text
    assert "-v, --verbose" in help_text
    assert keystow(command, "-V").out == keystow("--version").out == keystow("-V").out
    ran = keystow(command, "-q", "-v")
    assert ran.status == 2
    assert "not allowed with" in ran.err


def test_get_and_verify_are_shown_too(file_place, noise, tmp_path):
    """From a store that goes on once something was drawn."""
    ran = keystow("publish", noise, file_place("k"), "--result", tmp_path / "r.yaml")
    assert ran.status == 0
    go = tmp_path / "go"
    code = (
        "import os, sys, time; from keystow.backends.file import FileStore; read = FileStore.read\n"
        "go = sys.argv.pop(1)\n"
        "def slowly(*a, **k):\n"
        "    for chunk in read(*a, **k):\n"
        "        yield chunk\n"
        "        while not os.path.exists(go):\n"
        "            time.sleep(0.01)\n"
        "FileStore.read = slowly\n"
        "from keystow.command import main; sys.exit(main())"
    )
    for command, name in (
        (["verify", tmp_path / "r.yaml"], f"{file_place('k')}.tar.gz"),
        (
            ["get", tmp_path / "r.yaml", tmp_path / "back"],
            str(tmp_path / "back"),
        ),
    ):
        go.unlink(missing_ok=True)
        when = go_on(go, re.compile("waiting|% of"))
        shown = on_terminal(sys.executable, "-c", code, go, *command, when=when, columns=300)
        assert (shown.status, shown.out) == (0, "")
        line, told = shown.screen
        assert line.startswith(name)
        assert "100 % of 31.5 MB" in line
        assert told.startswith(("keystow: verified", "keystow: fetched"))


# ---------------------------------------------------------------------------------------------------
# The words


@pytest.mark.parametrize(
    ("moved", "rate", "repeats", "words"),
    [
        (None, 0, 0, "waiting"),
        (Moved(0, 0, 0, 1, True), 0, 0, "100 % of 0 B, 0 B/s"),
        (Moved(0, 1000, 0, 1, True), 0, 0, "0 % of 1.0 kB, 0 B/s"),
        (Moved(999, 1000, 0, 1, True), 0.5, 0, "99 % of 1.0 kB, 0 B/s"),
        (Moved(1, 1000, 0, 3, True), 1, 2, "0 % of 1.0 kB, 1 B/s, 17 min left, 0 of 3 objects, 2 retries"),
        (Moved(10**9, 10**12, 7, 9, True), 10**6, 0, "0 % of 1.0 TB, 1.0 MB/s, 278 h left, 7 of 9 objects"),
        (Moved(5000, 5000, 2, 2, True), 2500, 0, "100 % of 5.0 kB, 2.5 kB/s, 2 of 2 objects"),
        (Moved(5000, 9000, 2, 7, False), 2500, 0, "5.0 kB, 2.5 kB/s, 2 objects"),
        (Moved(5000, 9000, 0, 0, False), 999_999, 1, "5.0 kB, 1.0 MB/s, 1 retry"),
    ],
)
def test_how_far_it_is_in_words(moved, rate, repeats, words):
    assert described(moved, rate, repeats) == words


def test_the_rate_is_that_of_late_and_in_the_end_that_of_all():
    gauge = Gauge("k", 100.0)
    for second in range(1, 31):
        gauge.note(Moved(second * (10 if second <= 15 else 1000), 10**6, 0, 1, True), 100.0 + second)
    assert gauge.rate(130.0) == pytest.approx(2000, rel=0.1)
    assert gauge.rate(145.0) < 1000
    gauge.note(Moved(10**6, 10**6, 1, 1, True), 150.0)
    assert gauge.rate(150.0) == 20_000


def test_a_name_keeps_its_end_and_a_line_its_width():
    assert cropped("short", 5) == "short"
    assert cropped("longer", 5) == "lo..."
    assert cropped("s3://bucket/文件文件", 10, from_left=True) == "...件文件"


def test_a_screen_shows_what_was_written_last():
    assert screen("one\r\ntwo\rT\x1b[K\r\n\x1b[1A\x1b[2Kthree") == ["one", "three"]
    with pytest.raises(ValueError, match=r"\?25l"):
        screen("\x1b[?25l")
