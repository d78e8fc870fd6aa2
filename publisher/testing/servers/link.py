"""What lies between clients and a server that is far away: all their connections, in one thread, on Linux.

Strategy: the bytes stay in the kernel. ``splice`` moves them from a socket into a pipe when they are sent, and from the
pipe into the other socket when they are due; what is held here is when, and how many. The delay is the same for all, so
what was sent first is due first. When is asked after a read and a write, never before, so that no byte is early. After
each round the thread rests for a multiple of the time that the round took: what comes meanwhile is moved at once, and
the processor is left to those who are measured.

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
from collections.abc import Callable

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

    def is_full(self) -> bool:
        """Whether it takes no more; how many bytes that are depends on how they came."""
        poll = select.poll()
        poll.register(self.inlet, select.POLLOUT)
        return not poll.poll(0)

    def close(self) -> None:
        """Drop what it holds."""
        os.close(self.outlet)
        os.close(self.inlet)


class Link:
    """One direction of the distance, which all connections share. ``delay`` in seconds, ``rate`` in bytes a second."""

    def __init__(self, delay: float, rate: float | None) -> None:
        self.delay = delay
        self.rate = rate or math.inf
        self.free = 0.0
        """When it will have sent all that it took, if it sent all the time."""
        self.is_waited_for = False
        """Whether it left bytes behind, and so sends all the time until it is looked at again."""
        self.carried = 0
        """How many bytes have arrived."""
        self.lanes: dict[Lane, None] = {}
        """Those that have something to do, in the order of their turns."""

    def arrival(self, size: int) -> float:
        """When so many bytes arrive that are sent now, behind all else."""
        self.free += size / self.rate
        return max(self.free, time.monotonic()) + self.delay

    def work(self) -> None:
        """Send and deliver what can be by now."""
        now = time.monotonic()
        for lane in self.lanes:
            lane.settle(now)
        if self.free <= now:
            self._send(now)
        now = time.monotonic()
        for lane in list(self.lanes):
            lane.deliver(now)
        self.is_waited_for = any(lane.wants_to_send(now) for lane in self.lanes)

    def _send(self, now: float) -> None:
        """Give each that waits a turn, until it is booked."""
        if not self.is_waited_for:
            self.free = now
        waiting = [lane for lane in self.lanes if lane.wants_to_send(now)]
        share = self.rate * (now + _AHEAD - self.free) / max(len(waiting), 1)
        turn = min(max(share, _PACKET, min(_TURN, self.rate * _AHEAD)), _RUN)
        for lane in waiting:
            if self.free < now + _AHEAD:
                lane.send(math.ceil(turn))
                self.lanes[lane] = self.lanes.pop(lane)  # whose turn is the last now

    def due(self, now: float) -> float:
        """When there is more to do, unless a socket says so before."""
        due = [(lane, lane.due(now)) for lane in self.lanes]
        self.lanes = {lane: None for lane, when in due if when < math.inf}
        return min((when for _, when in due), default=math.inf)


class Lane:
    """One direction of one connection: what is read of ``source`` is written to ``sink`` when it has arrived."""

    back: "Lane"
    """The other direction."""

    def __init__(self, source: socket.socket, sink: socket.socket, link: Link, window: int, opens: float) -> None:
        self.source, self.sink, self.link = source, sink, link
        self.readable = self.writable = False
        """What the kernel said last: of the source, and of the sink."""
        self.sending = self.delivering = True
        self.room = 0
        """How many bytes more may be under way."""
        self.acknowledged = deque([(opens, window)])
        """When how much room there is again: all of it once the connection is made."""
        self.flight: deque[tuple[float, int]] = deque()
        """When what is under way arrives, and its size."""
        self.pipes = deque([Pipe()])

    def settle(self, now: float) -> None:
        """Take note of what the receiver has acknowledged by now."""
        while self.acknowledged and self.acknowledged[0][0] <= now:
            self.room += self.acknowledged.popleft()[1]

    def wants_to_send(self, now: float) -> bool:
        """Whether there is something to send, and room for it; the room ends where the receiver takes no more."""
        return self.readable and self.sending and self.room > 0 and not self._is_blocked(now)

    def due(self, now: float) -> float:
        """When there is more to do, unless a socket says so before."""
        when = math.inf
        if self.flight and not self._is_blocked(self.flight[0][0]):
            when = self.flight[0][0]
        if self.readable and self.sending and not self._is_blocked(now):
            if self.room:
                when = min(when, self.link.free)
            elif self.acknowledged:
                when = min(when, self.acknowledged[0][0])
        return when

    def _is_blocked(self, now: float) -> bool:
        """Whether bytes have arrived that the receiver does not take."""
        return bool(self.flight) and not self.writable and self.flight[0][0] <= now and self.flight[0][1] > 0

    def send(self, most: int) -> None:
        """Send what there is, up to so many bytes."""
        size, ending = self._read(min(most, self.room))
        if size:
            self.room -= size
            self.flight.append((self.link.arrival(size), size))
        if ending is not None:
            self.end(ending)

    def _read(self, most: int) -> tuple[int, int | None]:
        """How many bytes went into the pipes, and what came behind them."""
        size = 0
        while size < most and self.readable:
            try:
                moved = os.splice(self.source.fileno(), self.pipes[-1].inlet, most - size, flags=_HOW)
            except BlockingIOError:
                if self.pipes[-1].is_full():
                    self.pipes.append(Pipe())
                    self.pipes[-1].enlarge()
                else:
                    self.readable = False
            except OSError:
                return size, RESET
            else:
                if not moved:
                    return size, FIN
                self.pipes[-1].held += moved
                size += moved
        return size, None

    def end(self, how: int) -> None:
        """Send nothing more but the end, behind the last bytes."""
        self.sending = False
        self.flight.append((self.link.arrival(0), how))
        self.link.lanes[self] = None

    def deliver(self, now: float) -> None:
        """Write what has arrived, as far as the receiver takes it."""
        while self.flight and self.flight[0][0] <= now and not self._is_blocked(now):
            arrived, size = self.flight.popleft()
            if size <= 0:
                self._deliver_end(size)
            elif rest := size - self._write(size):
                self.flight.appendleft((arrived, rest))

    def _write(self, size: int) -> int:
        """How many bytes the receiver took, of those that have arrived together."""
        pipe = self.pipes[0]
        try:
            written = os.splice(pipe.outlet, self.sink.fileno(), min(size, pipe.held), flags=_HOW)
        except BlockingIOError:
            self.writable = False
            return 0
        except OSError:
            self.back.end(RESET)
            return size
        pipe.held -= written
        if not pipe.held and len(self.pipes) > 1:
            self.pipes.popleft().close()
        self.link.carried += written
        self.acknowledged.append((time.monotonic() + self.link.delay, written))
        return written

    def _deliver_end(self, how: int) -> None:
        if how == RESET:
            self.sink.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            self.delivering = False
            with contextlib.suppress(OSError):
                self.sink.shutdown(socket.SHUT_WR)
            if self.back.delivering:
                return
        for lane in (self, self.back):
            lane.sending = False
            lane.flight.clear()
            lane.source.close()
            for pipe in lane.pipes:
                pipe.close()


class Passage:
    """A listening socket on ``host``, behind which there is a server at a distance.

    ``address`` is the server's, ``round_trip`` in seconds, ``window`` in bytes, ``rate`` in bytes per second.
    """

    def __init__(
        self, host: str, address: tuple[str, int], *, round_trip: float, window: int | None, rate: float | None
    ) -> None:
        self._listener = socket.create_server((host, 0), backlog=socket.SOMAXCONN)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)  # of those that it accepts, too
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        """How many it has accepted."""
        self.there, self.back = Link(round_trip / 2, rate), Link(round_trip / 2, rate)
        self._server = socket.getaddrinfo(address[0], address[1], type=socket.SOCK_STREAM)[0]
        self._half, self._window = round_trip / 2, window or 1 << 62
        self._rest = min(max(round_trip / 25, _LONGEST_REST[0]), _LONGEST_REST[1])
        self._connecting: deque[tuple[float, socket.socket]] = deque()
        """When the server learns of a connection, and the client's end of it."""
        self._lanes: dict[int, Lane] = {}
        """By the file descriptor of its source."""
        self._epoll = select.epoll()

    def run(self, control: int, asked: Callable[[], object]) -> None:
        """Carry bytes until the file ``control`` ends; ``asked()`` is called for each line in it."""
        due, listener = math.inf, self._listener.fileno()
        while True:
            rested = time.monotonic()
            wait = None if due == math.inf else max(due - rested, 0)
            ready, _, _ = select.select([control, listener, self._epoll.fileno()], [], [], wait)
            began = time.monotonic()
            if control in ready:
                said = os.read(control, 1 << 10)
                if not said:
                    return
                for _ in range(said.count(b"\n")):
                    asked()
            if listener in ready:
                self._accept()
            if self._hear() or listener in ready or due <= began:
                due = self._work()
            rest = _RESTS * (time.monotonic() - began) - (began - rested)
            time.sleep(min(max(rest, 0), self._rest))

    def _hear(self) -> bool:
        """Take note of what the kernel says of the sockets; whether any of it is new."""
        is_new = False
        for descriptor, events in self._epoll.poll(0):
            lane = self._lanes[descriptor]
            if events & ~select.EPOLLOUT and not lane.readable:
                lane.readable = is_new = True
                lane.link.lanes[lane] = None
            if events & ~select.EPOLLIN and not lane.back.writable:
                lane.back.writable = is_new = True
                lane.back.link.lanes[lane.back] = None
        return is_new

    def _work(self) -> float:
        """Do what can be done now; returns when there is more."""
        now = time.monotonic()
        while self._connecting and self._connecting[0][0] <= now:
            self._connect(*self._connecting.popleft())
            self._hear()
        self.there.work()
        self.back.work()
        now = time.monotonic()
        connecting = self._connecting[0][0] if self._connecting else math.inf
        return min(connecting, self.there.due(now), self.back.due(now))

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                self._connecting.append((time.monotonic() + self._half, client))

    def _connect(self, now: float, client: socket.socket) -> None:
        """Make a connection of the two of it; what the client sends leaves when it has heard of that."""
        server = socket.socket(self._server[0], socket.SOCK_STREAM)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        there = Lane(client, server, self.there, self._window, now + self._half)
        back = Lane(server, client, self.back, self._window, now)
        there.back, back.back = back, there
        for lane in (there, back):
            lane.source.setblocking(False)
            lane.source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            lane.source.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
            self._lanes[lane.source.fileno()] = lane
        if server.connect_ex(self._server[4]) not in (0, errno.EINPROGRESS):
            back.end(RESET)
        for lane in (there, back):
            self._epoll.register(lane.source, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)
