"""How far it is, shown while it goes on: on a terminal in its last line, elsewhere a line now and then, if asked for.

Strategy: what moves is told from any thread, and only noted; another thread looks at it and draws. It begins after a
moment, so that what is quickly done loads nothing and draws nothing. The cursor is never hidden: whatever ends keystow,
the terminal is as it was. ``rich`` draws where it is installed (extra ``progress``), and a line of text does without.
"""

import os
import sys
import threading
import time
from collections import deque
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue

from . import streams
from .wording import counted, sized

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Iterator, Sequence
    from typing import Protocol

    from rich.table import Table

    from keystow.progress import Moved, Watching

    class _Shown(Protocol):
        """Something that is drawn, again and again."""

        def draw(self) -> None: ...
        def end(self) -> None: ...


_FIRST, _AGAIN = 0.3, 0.25
_LINE_EVERY = 5.0
_WINDOW = 15.0
_OFTEN = 0.2
_PATIENCE = 2.0
_WIDE = 110
_BAR, _SHORT_BAR = 24, 10
_NAME, _TEXT = 16, 48
"""Columns of a terminal; the text takes as many as it needs, and the name does not move when that changes."""
_ERASE = "\x1b[K"
_DURATIONS = (("s", 1), ("min", 60), ("h", 3600))


@contextmanager
def shown(options: "Namespace", name: str) -> "Iterator[Watching | None]":
    """Within this, it is shown how far ``name`` is, by what is told to what this gives, if it gives anything."""
    with shown_each(options, [name]) as (told,):
        yield told


@contextmanager
def shown_each(options: "Namespace", names: "Sequence[str]") -> "Iterator[Sequence[Watching | None]]":
    """``shown``, of several that go on at the same time, each in a line of its own."""
    is_drawn = not options.quiet and _is_drawn_on()
    if not is_drawn and not options.verbose:
        yield [None] * len(names)
        return
    from keystow.backends.texts import presentable
    from keystow.progress import Watching

    now = time.monotonic()
    gauges = [Gauge(presentable(name), now) for name in names]
    begin, first, again = (_on_terminal, _FIRST, _AGAIN) if is_drawn else (_Lines, _LINE_EVERY, _LINE_EVERY)
    with _ticking(lambda: begin(gauges), first, again):
        yield [Watching(gauge.tell) for gauge in gauges]


def _is_drawn_on() -> bool:
    """Whether stderr is a terminal that knows more than lines."""
    return sys.stderr.isatty() and os.environ.get("TERM", "dumb") not in {"", "dumb", "unknown"}


class Gauge:
    """What has moved of ``name``, and how fast. ``tell`` is called from any thread, one at a time."""

    def __init__(self, name: str, now: float) -> None:
        self.name = name
        self.moved: Moved | None = None
        self._begun = now
        self._seen = deque([(now, 0)])
        self._repeats = streams.repeats()

    def tell(self, moved: "Moved") -> None:
        """So much has moved by now."""
        self.note(moved, time.monotonic())

    def note(self, moved: "Moved", now: float) -> None:
        """So much had moved at ``now``."""
        self.moved = moved
        if now - self._seen[-1][0] >= _OFTEN:
            self._seen.append((now, moved.done))

    def text(self, now: float) -> str:
        """How far it is, in words."""
        return described(self.moved, self.rate(now), streams.repeats() - self._repeats)

    def rate(self, now: float) -> float:
        """Bytes in a second: of late, or, once all has moved, from the beginning."""
        if self.moved is None:
            return 0.0
        while len(self._seen) > 1 and self._seen[1][0] < now - _WINDOW:
            self._seen.popleft()
        since, before = self._seen[0]
        if is_whole(self.moved):
            since, before = self._begun, 0
        return (self.moved.done - before) / max(now - since, 0.001)


def is_whole(moved: "Moved") -> bool:
    """Whether all has moved."""
    return moved.known and moved.done == moved.total


def described(moved: "Moved | None", rate: float, repeats: int = 0) -> str:
    """How far it is at so many bytes in a second, after so many requests that were made again.

    >>> from keystow.progress import Moved
    >>> described(Moved(25_000_000, 100_000_000, 3, 10, True), 5_000_000, 1)
    '25 % of 100.0 MB, 5.0 MB/s, 15 s left, 3 of 10 objects, 1 retry'
    """
    if moved is None:
        words = ["waiting"]
    elif not moved.known:
        words = [f"{sized(moved.done)}, {sized(rate)}/s"]
        words += [counted(moved.objects, "object")] if moved.objects else []
    else:
        percent = 100 * moved.done // moved.total if moved.total else 100
        words = [f"{percent} % of {sized(moved.total)}, {sized(rate)}/s"]
        if rate >= 1 and not is_whole(moved):
            words.append(f"{_duration((moved.total - moved.done) / rate)} left")
        if moved.of > 1:
            words.append(f"{moved.objects} of {moved.of} objects")
    if repeats:
        words.append("1 retry" if repeats == 1 else f"{repeats} retries")
    return ", ".join(words)


def _duration(seconds: float) -> str:
    unit, length = next((each for each in _DURATIONS if seconds < 100 * each[1]), _DURATIONS[-1])
    return f"{round(seconds / length)} {unit}"


@contextmanager
def _ticking(begin: "Callable[[], _Shown]", first: float, again: float) -> "Iterator[None]":
    """Within this, a thread draws what ``begin`` gives after ``first`` seconds, and then every so many.

    That thread ends it, too: who is interrupted again meanwhile would leave half a line.
    """
    over: SimpleQueue[None] = SimpleQueue()
    ended: SimpleQueue[None] = SimpleQueue()

    def run() -> None:
        drawn: _Shown | None = None
        wait = first
        try:
            while not _came(over, wait):
                with suppress(OSError), streams.alone():  # nobody may look any more
                    drawn = drawn or begin()
                    drawn.draw()
                wait = again
        finally:
            with suppress(OSError), streams.alone():
                if drawn is not None:
                    drawn.end()
            ended.put(None)

    threading.Thread(target=run, name="keystow-progress", daemon=True).start()
    try:
        yield
    finally:
        over.put(None)
        _wait(ended, time.monotonic() + _PATIENCE)


def _wait(ended: "SimpleQueue[None]", until: float) -> None:
    """Waits for the end, also who is interrupted meanwhile, however often; ``until`` then, and no longer."""
    try:
        _came(ended, max(0.0, until - time.monotonic()))
    except KeyboardInterrupt:
        _wait(ended, until)
        raise


def _came(news: "SimpleQueue[None]", seconds: float) -> bool:
    """Whether there is some within so many seconds."""
    try:
        news.get(timeout=seconds)
    except Empty:
        return False
    return True


class _Lines:
    """A line now and then, where there is no terminal."""

    def __init__(self, gauges: "Sequence[Gauge]") -> None:
        self._gauges = gauges

    def draw(self) -> None:
        for gauge in self._gauges:
            streams.note(f"{gauge.name}: {gauge.text(time.monotonic())}")

    def end(self) -> None:
        """What came of it will be said."""


def _on_terminal(gauges: "Sequence[Gauge]") -> "_Line":
    """What is drawn on a terminal; from now on, lines that are said stand above it."""
    drawn: _Line
    try:
        drawn = _Bar(gauges)
    except ImportError:
        drawn = _Line(gauges)
    streams.below(drawn)
    return drawn


class _Line:
    """The terminal's last line, or lines, written over."""

    def __init__(self, gauges: "Sequence[Gauge]") -> None:
        self._gauges = gauges
        self._above = 0

    def draw(self) -> None:
        now, room = time.monotonic(), os.get_terminal_size(sys.stderr.fileno()).columns or 80
        rows = [f"{self._row(gauge, now, room)}{_ERASE}" for gauge in self._gauges]
        _write(self._back() + "\n".join(rows))
        self._above = len(self._gauges) - 1

    def _row(self, gauge: Gauge, now: float, room: int) -> str:
        text = gauge.text(now)
        name = cropped(gauge.name, max(room - max(len(text), _TEXT) - 3, _NAME), from_left=True)
        return cropped(f"{name}  {text}", room - 1)

    def _back(self) -> str:
        """To the beginning of the first line that is drawn."""
        return f"\x1b[{self._above}A\r" if self._above else "\r"

    def above(self, line: str) -> None:
        """Says ``line``, above what is drawn."""
        _write(f"{self._back()}{_ERASE}{line}\n")
        self._above = 0
        self.draw()

    def end(self) -> None:
        streams.below(None)
        self.draw()
        _write("\n")


class _Bar(_Line):
    """The same, drawn by rich. Raises ``ImportError`` where there is none."""

    def __init__(self, gauges: "Sequence[Gauge]") -> None:
        super().__init__(gauges)
        from rich.console import Console
        from rich.live import Live

        class Screen(Console):
            def show_cursor(self, show: bool = True) -> bool:  # noqa: ARG002
                return False  # it is never hidden

        self._console = Screen(
            file=sys.stderr,
            force_terminal=True,
            force_interactive=True,
            force_jupyter=False,
            color_system=None if os.environ.get("NO_COLOR") else "auto",
            markup=False,
            highlight=False,
            emoji=False,
        )
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
            get_renderable=self._table,
        )
        self._live.start()

    def _table(self) -> "Table":
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 1))
        for _ in range(3):
            table.add_column(no_wrap=True)
        now = time.monotonic()
        texts = [gauge.text(now) for gauge in self._gauges]
        bar = _BAR if self._console.width >= _WIDE else _SHORT_BAR
        room = self._console.width - max(_TEXT, *map(len, texts)) - bar - 2
        for gauge, text in zip(self._gauges, texts, strict=True):
            moved = gauge.moved
            total = max(moved.total, 1) if moved is not None and moved.known else None
            done = 0 if moved is None else moved.done if moved.total else 1
            name = cropped(gauge.name, max(room, _NAME), from_left=True)
            table.add_row(Text(name), ProgressBar(total, done, width=bar, pulse=total is None), Text(text))
        return table

    def draw(self) -> None:
        self._live.refresh()

    def above(self, line: str) -> None:
        from rich.text import Text

        self._console.print(Text(line), soft_wrap=True)

    def end(self) -> None:
        streams.below(None)
        self._live.stop()


def _write(text: str) -> None:
    print(text, end="", file=sys.stderr, flush=True)


def cropped(text: str, room: int, *, from_left: bool = False) -> str:
    """``text`` in as many columns of a terminal as there are.

    >>> cropped("s3://bucket/results/abc", 10, from_left=True)
    '...lts/abc'
    """
    from unicodedata import east_asian_width

    widths = [2 if east_asian_width(character) in {"W", "F"} else 1 for character in text]
    if sum(widths) <= room:
        return text
    kept: list[str] = []
    left = room - 3
    pairs = list(zip(text, widths, strict=True))
    for character, width in reversed(pairs) if from_left else pairs:
        left -= width
        if left < 0:
            break
        kept.append(character)
    return f"...{''.join(reversed(kept))}" if from_left else f"{''.join(kept)}..."
