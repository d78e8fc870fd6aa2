"""What lies between clients and a server that is far away: all their connections, in one thread, on Linux.

Strategy: the bytes stay in the kernel. ``splice`` moves them from a socket into a pipe when they are sent, and from the
pipe into the other socket when they are due; what is held here is when, and how many. The delay is the same for all, so
what was sent first is due first, and a round looks at nothing but what is due and who sends. When is asked after a read
and a write, never before, so that no byte is early. After each round the thread rests for a multiple of the time that
the round took: what comes meanwhile is moved at once, and the processor is left to those who are measured.

Not modelled: packets that are lost, and the slow start of TCP. A connection has its whole window from its beginning.
"""

import contextlib
import errno
import fcntl
import math
import os
import select
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Iterator

_RESTS, _LONGEST_REST = 9, (0.0002, 0.002)
"""How many times as long as a round a rest is; how many seconds at most, of a short and of a long round trip."""
_AHEAD = 0.003
"""For how many seconds a link with a rate is booked at a time: what comes meanwhile waits where it was sent."""
_RUN, _TURN, _PACKET = 1 << 20, 1 << 17, 1500
"""How many bytes a turn has: at most, at most where others wait, and at least."""
_PIPE = 1 << 20
"""The size of a large pipe: what any user may ask for (``/proc/sys/fs/pipe-max-size``)."""
_BUFFER = 1 << 20
"""The buffers of a socket, which count for no window: smaller than the kernel would let them become."""
_FILES = 6
"""How many a connection has: two sockets, and two pipes of two ends."""
_AGAIN = 0.01
"""The seconds after which files are asked for again of a machine that had none."""
_NO_FILES = {errno.EMFILE, errno.ENFILE}
_HOW = os.SPLICE_F_NONBLOCK | os.SPLICE_F_MOVE
FIN, RESET = 0, -1
"""In place of a size: the sender sends no more, and the connection is no more."""


class Pipe:
    """Bytes that the kernel holds, in their order."""

    def __init__(self) -> None:
        self.outlet, self.inlet = os.pipe()
        self.held = 0

    def enlarge(self) -> None:
        """Make it a large one, unless this user has too many of them."""
        with contextlib.suppress(OSError):
            fcntl.fcntl(self.inlet, fcntl.F_SETPIPE_SZ, _PIPE)

    def close(self) -> None:
        """Drop what it holds."""
        os.close(self.outlet)
        os.close(self.inlet)


class Files:
    """How many files may still be opened: each has been counted before it is."""

    def __init__(self, most: int) -> None:
        self._left = most

    def has_room(self) -> bool:
        """Whether one connection more has its files."""
        return self._left >= _FILES

    def take(self) -> None:
        """A connection is made."""
        self._left -= _FILES

    def end(self) -> None:
        """A connection is no more."""
        self._left += _FILES

    def take_pipe(self) -> bool:
        """Whether a connection may have one pipe more, as there is room left for another connection behind it."""
        if self._left < _FILES + 2:
            return False
        self._left -= 2
        return True

    def end_pipe(self) -> None:
        """It is no more."""
        self._left += 2


class Link:
    """One direction of the distance, which all connections share. ``delay`` in seconds, ``rate`` in bytes a second."""

    def __init__(self, delay: float, rate: float | None, files: Files) -> None:
        self.delay = delay
        self.files = files
        self.rate = rate or math.inf
        self.free = 0.0
        """When it will have sent all that it took, if it sent all the time."""
        self.is_waited_for = False
        """Whether it left bytes behind, and so sends all the time until it is looked at again."""
        self.carried = 0
        """How many bytes have arrived."""
        self.waiting: dict[Lane, None] = {}
        """Those that have something to send, in the order of their turns."""
        self.opening: deque[tuple[float, Lane, int]] = deque()
        """When which connection is made, and its window."""
        self.flight: deque[tuple[float, Lane, int]] = deque()
        """When what is under way arrives, and its size."""
        self.acknowledged: deque[tuple[float, Lane, int]] = deque()
        """When which sender learns of how many bytes that they were received."""
        self.arriving: dict[Lane, None] = {}
        """Those that have something to deliver, to a receiver that takes it."""

    def arrival(self, size: int) -> float:
        """When so many bytes arrive that are sent now, behind all else."""
        self.free += size / self.rate
        return max(self.free, time.monotonic()) + self.delay

    def work(self) -> None:
        """Send and deliver what can be by now."""
        now = time.monotonic()
        for line in (self.opening, self.acknowledged):
            for lane, size in _until(now, line):
                lane.room += size
        if self.free <= now:
            self._send(now)
        for lane, size in _until(time.monotonic(), self.flight):
            lane.arrive(size)
        for lane in self.arriving:
            lane.deliver()
        self.arriving.clear()

    def _send(self, now: float) -> None:
        """Give each that waits a turn, until it is booked."""
        if not self.is_waited_for:
            self.free = now
        able = [lane for lane in self.waiting if lane.may_send()]
        share = self.rate * (now + _AHEAD - self.free) / max(len(able), 1)
        turn = min(max(share, _PACKET, min(_TURN, self.rate * _AHEAD)), _RUN)
        for lane in able:
            if self.free < now + _AHEAD:
                del self.waiting[lane]
                if lane.send(math.ceil(turn)):
                    self.waiting[lane] = None  # whose turn is the last now

    def due(self) -> float:
        """When there is more to do, unless a socket says so before."""
        self.is_waited_for = any(lane.may_send() for lane in self.waiting)
        due = [line[0][0] for line in (self.opening, self.flight) if line]
        if self.is_waited_for:
            due.append(self.free)
        elif self.waiting and self.acknowledged:
            due.append(self.acknowledged[0][0])
        return min(due, default=math.inf)


class Lane:
    """One direction of one connection: what is read of ``source`` is written to ``sink`` when it has arrived."""

    back: "Lane"
    """The other direction."""

    def __init__(self, source: socket.socket, sink: socket.socket, link: Link, pipe: Pipe) -> None:
        self.source, self.sink, self.link = source, sink, link
        self.writable = False
        """What the kernel said last of the sink."""
        self.sending = self.delivering = True
        self.room = 0
        """How many bytes more may be under way."""
        self.arrived = 0
        """How many bytes are there that the receiver has not taken."""
        self.ending: int | None = None
        """The end that has arrived behind them."""
        self.pipes = deque([pipe])
        self._unread = select.poll()
        self._unread.register(source, select.POLLIN)

    def may_send(self) -> bool:
        """Whether there is room for what it has to send; the room ends where the receiver takes no more."""
        return self.room > 0 and not self.arrived

    def send(self, most: int) -> bool:
        """Send what there is, up to so many bytes; whether there is more."""
        size, most = 0, min(most, self.room)
        ending, more = None, True
        while size < most and more:
            pipe = self.pipes[-1]
            try:
                moved = os.splice(self.source.fileno(), pipe.inlet, most - size, None, None, _HOW)
            except BlockingIOError:
                more = self._has_more()
                if more and pipe.held and not self._add_pipe():
                    break
            except OSError:
                ending, more = RESET, False
            else:
                if not moved:
                    ending, more = FIN, False
                pipe.held += moved
                size += moved
                more = more and (size == most or self._has_more())
        if size:
            self.room -= size
            self.link.flight.append((self.link.arrival(size), self, size))
        if ending is not None:
            self.end(ending)
        return more

    def _add_pipe(self) -> bool:
        """Have another, behind one that is full; how many bytes that are depends on how they came. Whether there is."""
        if not self.link.files.take_pipe():
            return False
        try:
            self.pipes.append(Pipe())
        except OSError:  # this machine has no files
            self.link.files.end_pipe()
            return False
        self.pipes[-1].enlarge()
        return True

    def _has_more(self) -> bool:
        """Whether there is something to be read, be it the end; what comes later, the kernel will say."""
        return bool(self._unread.poll(0))

    def end(self, how: int) -> None:
        """Send nothing more but the end, behind the last bytes."""
        self.sending = False
        self.link.waiting.pop(self, None)
        self.link.flight.append((self.link.arrival(0), self, how))

    def arrive(self, size: int) -> None:
        """Have so many bytes to deliver, or an end, unless the connection is no more."""
        if self.pipes:
            if size > 0:
                self.arrived += size
            else:
                self.ending = size
            self.link.arriving[self] = None

    def deliver(self) -> None:
        """Write what has arrived, as far as the receiver takes it."""
        while self.arrived and self.writable:
            pipe = self.pipes[0]
            try:
                written = os.splice(pipe.outlet, self.sink.fileno(), min(self.arrived, pipe.held), None, None, _HOW)
            except BlockingIOError:
                self.writable = False
                return
            except OSError:
                self.back.end(RESET)
                self.arrived = 0
                break
            pipe.held -= written
            if not pipe.held and len(self.pipes) > 1:
                self.drop_pipe()
            self.arrived -= written
            self.link.carried += written
            self.link.acknowledged.append((time.monotonic() + self.link.delay, self, written))
        if self.ending is not None and not self.arrived:
            self._deliver_end(self.ending)

    def _deliver_end(self, how: int) -> None:
        self.ending = None
        if how == RESET:
            self.sink.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            self.delivering = False
            with contextlib.suppress(OSError):
                self.sink.shutdown(socket.SHUT_WR)
            if self.back.delivering:
                return
        for lane in (self, self.back):
            lane.link.waiting.pop(lane, None)
            lane.sending = False
            lane.arrived, lane.ending = 0, None
            lane.source.close()
            while len(lane.pipes) > 1:
                lane.drop_pipe()
            lane.pipes.pop().close()
        self.link.files.end()

    def drop_pipe(self) -> None:
        """Have the first of several no more."""
        self.pipes.popleft().close()
        self.link.files.end_pipe()


def _until(now: float, line: deque[tuple[float, Lane, int]]) -> Iterator[tuple[Lane, int]]:
    """Those of the line whose time has come."""
    while line and line[0][0] <= now:
        yield line.popleft()[1:]


class Passage:
    """A listening socket on ``host``, behind which there is a server at a distance.

    ``address`` is the server's, ``round_trip`` in seconds, ``window`` in bytes, ``rate`` in bytes per second, ``files``
    how many this process may have open. Connections that would be too many wait until others have ended.
    """

    def __init__(
        self,
        host: str,
        address: tuple[str, int],
        *,
        round_trip: float,
        window: int | None,
        rate: float | None,
        files: int,
    ) -> None:
        self._listener = socket.create_server((host, 0), backlog=socket.SOMAXCONN)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)  # of those that it accepts, too
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._accepted = 0
        self._server = socket.getaddrinfo(address[0], address[1], type=socket.SOCK_STREAM)[0]
        self._half, self._window = round_trip / 2, window or 1 << 62
        self._rest = min(max(round_trip / 25, _LONGEST_REST[0]), _LONGEST_REST[1])
        self._connecting: deque[tuple[float, socket.socket]] = deque()
        """When the server learns of a connection, and the client's end of it."""
        self._lanes: dict[int, Lane] = {}
        """By the file descriptor of its source."""
        self._epoll = select.epoll()
        self._files = Files(max(files - len(os.listdir("/proc/self/fd")), _FILES))
        self.there, self.back = (Link(round_trip / 2, rate, self._files) for _ in range(2))

    def run(self, control: int, asked: Callable[[bytes], object]) -> None:
        """Carry bytes until the file ``control`` ends; ``asked`` is called with each line in it."""
        due, said, epoll, listener = math.inf, b"", self._epoll.fileno(), self._listener.fileno()
        while True:
            rested = time.monotonic()
            wait = None if due == math.inf else max(due - rested, 0)
            files = [control, epoll, listener] if self._files.has_room() else [control, epoll]
            ready, _, _ = select.select(files, [], [], wait)
            began = time.monotonic()
            if control in ready:
                more = os.read(control, 1 << 10)
                if not more:
                    return
                *lines, said = (said + more).split(b"\n")
                for line in lines:
                    asked(line)
            if listener in ready:
                self._accept()
            if self._hear() or listener in ready or due <= began:
                due = self._work()
            rest = _RESTS * (time.monotonic() - began) - (began - rested)
            time.sleep(min(max(rest, 0), self._rest))

    def counts(self) -> tuple[int, int, int]:
        """How many connections it has accepted, and how many bytes have arrived at the server, and from it."""
        return self._accepted, self.there.carried, self.back.carried

    def _hear(self) -> bool:
        """Take note of what the kernel says of the sockets; whether any of it is new."""
        is_new = False
        for descriptor, events in self._epoll.poll(0):
            lane = self._lanes[descriptor]
            if events & ~select.EPOLLOUT and lane.sending and lane not in lane.link.waiting:
                lane.link.waiting[lane] = None
                is_new = True
            if events & ~select.EPOLLIN and not lane.back.writable:
                lane.back.writable = is_new = True
                lane.back.link.arriving[lane.back] = None
        return is_new

    def _work(self) -> float:
        """Do what can be done now; returns when there is more."""
        now = time.monotonic()
        while self._connecting and self._connecting[0][0] <= now:
            began, client = self._connecting.popleft()
            if not self._connect(began, client):
                self._connecting.appendleft((now + _AGAIN, client))
                break
            self._hear()
        self.there.work()
        self.back.work()
        connecting = self._connecting[0][0] if self._connecting else math.inf
        return min(connecting, self.there.due(), self.back.due())

    def _accept(self) -> None:
        while self._files.has_room():
            try:
                client, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno not in _NO_FILES:
                    raise
                return
            self._files.take()
            self._accepted += 1
            self._connecting.append((time.monotonic() + self._half, client))

    def _made(self) -> tuple[socket.socket, Pipe, Pipe] | None:
        """What a connection has besides its client, if this machine has the files for it now."""
        with contextlib.ExitStack() as made:
            try:
                server = made.enter_context(socket.socket(self._server[0], socket.SOCK_STREAM))
                there, back = (made.enter_context(contextlib.closing(Pipe())) for _ in range(2))
            except OSError as error:
                if error.errno not in _NO_FILES:
                    raise
                return None
            made.pop_all()
            return server, there, back

    def _connect(self, now: float, client: socket.socket) -> bool:
        """Make a connection of the two of it; what the client sends leaves when it has heard of that. Whether it is."""
        if (made := self._made()) is None:
            return False
        server, *pipes = made
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        there, back = Lane(client, server, self.there, pipes[0]), Lane(server, client, self.back, pipes[1])
        there.back, back.back = back, there
        self.there.opening.append((now + self._half, there, self._window))
        self.back.opening.append((now, back, self._window))
        for lane in (there, back):
            lane.source.setblocking(False)
            lane.source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            lane.source.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
            self._lanes[lane.source.fileno()] = lane
        if server.connect_ex(self._server[4]) not in (0, errno.EINPROGRESS):
            back.end(RESET)
        for lane in (there, back):
            self._epoll.register(lane.source, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)
        return True
