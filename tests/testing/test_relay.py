"""A relay changes nothing of the bytes but when they come. Nothing is asserted to be quick, only not to be quicker."""

import contextlib
import os
import random
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from keystow import open_store
from keystow.backends.sending.parts import part_size
from keystow.testing.servers import LOOPBACK, Distance, Relay

FAR = Distance(round_trip=0.1)


@contextlib.contextmanager
def listening(distance):
    """A listening socket, and a relay that makes it far."""
    with socket.create_server((LOOPBACK, 0)) as listener, Relay(endpoint_of(listener), distance) as relay:
        yield listener, relay


def endpoint_of(listener):
    return f"http://{LOOPBACK}:{listener.getsockname()[1]}"


def connect(relay):
    """A client's socket."""
    address = urlsplit(relay.url)
    client = socket.create_connection((address.hostname, address.port), timeout=60)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def accept(listener):
    """The server's socket."""
    server, _ = listener.accept()
    server.settimeout(60)
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return server


@contextlib.contextmanager
def connected(distance):
    """When the client began to connect, its socket, and the server's."""
    with listening(distance) as (listener, relay):
        began = time.monotonic()
        with connect(relay) as client, accept(listener) as server:
            yield began, client, server


def abort(end):
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.close()


def in_background(function, *arguments):
    thread = threading.Thread(target=function, args=arguments)
    thread.start()
    return thread


def send_all(end, pieces):
    for piece in pieces:
        end.sendall(piece)
    end.shutdown(socket.SHUT_WR)


def arrivals(end):
    """When how much had come, until the other side sends no more."""
    seen = 0
    while piece := end.recv(1 << 20):
        seen += len(piece)
        yield time.monotonic(), seen


def all_of(end):
    return b"".join(iter(lambda: end.recv(1 << 20), b""))


# -- the bytes


@pytest.fixture(
    scope="module",
    params=[
        Distance(0, None),
        Distance(0.004, 20_000),
        Distance(0.004, None, 20e6),
        Distance(0.05),
    ],
    ids=["here", "narrow", "slow", "far"],
)
def passage(request):
    with listening(request.param) as running:
        yield running


SIZES = st.lists(st.integers(1, 100_000) | st.integers(1, 10), max_size=6)


@settings(max_examples=15)
@given(there=SIZES, back=SIZES)
@example(there=[1] * 2_000, back=[7] * 1_000)
@example(there=[3_000_000], back=[1_000_000] * 2)
@example(there=[], back=[])
def test_the_bytes_are_the_same_both_ways_at_once(passage, there, back):
    listener, relay = passage
    content = random.Random(0).randbytes(sum(there) + sum(back))
    pieces = [content[start : start + size] for start, size in starts(there + back)]
    with connect(relay) as client, accept(listener) as server:
        threads = [
            in_background(send_all, client, pieces[: len(there)]),
            in_background(send_all, server, pieces[len(there) :]),
        ]
        answer = []
        threads.append(in_background(lambda: answer.append(all_of(client))))
        request = all_of(server)
        for thread in threads:
            thread.join()
    assert request == content[: sum(there)]
    assert answer == [content[sum(there) :]]


def starts(sizes):
    at = 0
    for size in sizes:
        yield at, size
        at += size


def test_what_was_carried_is_counted():
    with listening(Distance(0.01)) as (listener, relay):
        assert (relay.connections, relay.carried) == (0, (0, 0))
        with connect(relay) as client, accept(listener) as server:
            client.sendall(b"question")
            assert server.recv(100) == b"question"
            server.sendall(b"answered at length")
            assert client.recv(100) == b"answered at length"
            assert (relay.connections, relay.carried) == (1, (8, 18))
        connect(relay).close()
        accept(listener).close()
    assert (relay.connections, relay.carried) == (2, (8, 18))


def test_a_count_that_was_interrupted_is_not_taken_for_the_next(monkeypatch):
    with listening(Distance(0)) as (listener, relay), connect(relay) as client, accept(listener) as server:
        with monkeypatch.context() as patch:
            patch.setattr(relay, "_next_line", interrupted)
            with pytest.raises(KeyboardInterrupt):
                _ = relay.carried
        client.sendall(b"question")
        assert server.recv(100) == b"question"
        assert relay.carried == (8, 0)


def interrupted(process):
    """When the answer is there, which is left unread."""
    assert select.select([process.stdout], [], [], 60)[0]
    raise KeyboardInterrupt


# -- the time


def test_a_new_connection_takes_a_round_trip_before_the_one_of_its_answer():
    with connected(FAR) as (began, client, server):
        client.sendall(b"question")
        assert server.recv(100) == b"question"
        assert time.monotonic() - began >= 1.5 * FAR.round_trip
        server.sendall(b"answer")
        assert client.recv(100) == b"answer"
        assert time.monotonic() - began >= 2 * FAR.round_trip


def test_on_a_kept_connection_each_answer_takes_one():
    with connected(FAR) as (_, client, server):
        for _ in range(3):
            asked = time.monotonic()
            client.sendall(b"question")
            assert server.recv(100) == b"question"
            answered = time.monotonic()
            assert answered - asked >= FAR.round_trip / 2
            server.sendall(b"answer")
            assert client.recv(100) == b"answer"
            assert time.monotonic() - answered >= FAR.round_trip / 2


def test_a_server_that_speaks_first_is_heard_after_a_round_trip():
    with connected(FAR) as (began, client, server):
        assert time.monotonic() - began >= FAR.round_trip / 2
        server.sendall(b"welcome")
        assert client.recv(100) == b"welcome"
        assert time.monotonic() - began >= FAR.round_trip


@pytest.mark.parametrize("upwards", [True, False], ids=["to-the-server", "from-it"])
def test_no_more_than_the_window_is_under_way(upwards):
    """The first window arrives, then what its acknowledgement made room for, a round trip later."""
    distance = Distance(0.2, window=50_000)
    with connected(distance) as (began, client, server):
        sender, receiver, first = (client, server, 1.5) if upwards else (server, client, 1)
        pouring = in_background(send_all, sender, [bytes(4 * distance.window)])
        for when, seen in arrivals(receiver):
            windows = max((when - began) / distance.round_trip - first + 1, 0)
            assert seen <= int(windows) * distance.window
        assert seen == 4 * distance.window
        pouring.join()


@pytest.mark.parametrize("upwards", [True, False], ids=["to-the-server", "from-it"])
def test_all_connections_share_the_rate_by_turns(upwards):
    rate, size = 1.5e6, 600_000
    with listening(Distance(0.02, window=None, rate=rate)) as (listener, relay), contextlib.ExitStack() as ends:
        pairs = []
        for _ in range(2):
            client = ends.enter_context(connect(relay))
            pairs.append((client, ends.enter_context(accept(listener))))
            client.sendall(b"!")
            assert pairs[-1][1].recv(1) == b"!"
        (one, one_receives), (other, other_receives) = (pair if upwards else pair[::-1] for pair in pairs)
        began = time.monotonic()
        pouring = [in_background(send_all, end, [bytes(size)]) for end in (one, other)]
        for thread in pouring:
            thread.join()
        lead = time.monotonic() - began
        seen = read_both(one_receives, other_receives, size)
        assert time.monotonic() - began >= 2 * size / rate
        assert seen >= size - lead * rate - size / 2  # by one after the other it were none


def read_both(one, other, size):
    """How much the slower of two had received when the other one had all of it; both are read to the end."""
    left, seen = {one: size, other: size}, 0
    while waiting := [end for end in left if left[end]]:
        for end in select.select(waiting, [], [], 60)[0]:
            left[end] -= len(end.recv(1 << 20))
        if len(waiting) == 2 and not all(left.values()):
            seen = size - max(left.values())
    return seen


# -- the end


def test_one_side_may_stop_sending_and_hear_the_other_to_the_end():
    with connected(FAR) as (_, client, server):
        sent = time.monotonic()
        send_all(client, [b"question"])
        assert all_of(server) == b"question"
        assert time.monotonic() - sent >= FAR.round_trip / 2
        send_all(server, [b"answer", bytes(100_000)])
        assert all_of(client) == b"answer" + bytes(100_000)


@pytest.mark.parametrize("upwards", [True, False], ids=["to-the-server", "from-it"])
def test_a_reset_is_passed_on_behind_the_bytes(upwards):
    with connected(FAR) as (_, client, server):
        one, other = (client, server) if upwards else (server, client)
        client.sendall(b"!")
        assert server.recv(1) == b"!"
        one.sendall(b"the last")
        assert other.recv(100) == b"the last"
        cut = time.monotonic()
        abort(one)
        with pytest.raises(ConnectionResetError):
            other.recv(100)
        assert time.monotonic() - cut >= FAR.round_trip / 2


def test_who_sends_to_one_that_has_gone_is_told_a_round_trip_later():
    with connected(FAR) as (_, client, server):
        client.sendall(b"question")
        assert server.recv(100) == b"question"
        client.close()
        assert server.recv(1) == b""
        sent = time.monotonic()
        server.sendall(b"answer")
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            send_until_told(server)
        assert time.monotonic() - sent >= FAR.round_trip


def send_until_told(end):
    """To nobody: after a minute it has not been told."""
    for _ in range(6_000):
        end.sendall(b"more")
        time.sleep(0.01)


def test_a_server_that_is_not_there_resets_the_connection_a_round_trip_later():
    with listening(FAR) as (listener, relay):
        listener.close()
        began = time.monotonic()
        with connect(relay) as client, pytest.raises(ConnectionResetError):
            client.recv(1)
        assert time.monotonic() - began >= FAR.round_trip


def test_a_connection_that_has_ended_leaves_nothing_open():
    with listening(Distance(0.01)) as (listener, relay):
        files = f"/proc/{relay._process.pid}/fd"
        before = len(os.listdir(files))
        for ending in (socket.socket.close, abort):
            for _ in range(5):
                with connect(relay) as client, accept(listener) as server:
                    client.sendall(b"question")
                    assert server.recv(100) == b"question"
                    ending(client)
        deadline = time.monotonic() + 60
        while len(os.listdir(files)) > before:
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.mark.parametrize("window", [1 << 20, None])
def test_a_receiver_that_does_not_read_stops_the_sender(window):
    """Only the kernel's buffers and the window fill; and what is read at last is what was sent."""
    with connected(Distance(0.02, window)) as (_, client, server):
        content, sent = random.Random(0).randbytes(64 << 20), 0
        client.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            while sent < len(content):
                sent += client.send(content[sent : sent + (1 << 20)])
        assert sent < len(content)
        client.shutdown(socket.SHUT_WR)
        assert all_of(server) == content[:sent]


def test_when_the_relay_is_closed_its_connections_end_and_its_counts_stay():
    with socket.create_server((LOOPBACK, 0)) as listener:
        relay = Relay(endpoint_of(listener), Distance(0))
        with pytest.raises(RuntimeError, match="not started"):
            _ = relay.url
        relay.start()
        with pytest.raises(RuntimeError, match="already running"):
            relay.start()
        with connect(relay) as client, accept(listener) as server:
            client.sendall(b"question")
            assert server.recv(100) == b"question"
            relay.close()
            for end in (client, server):
                with contextlib.suppress(ConnectionResetError):
                    assert end.recv(1) == b""
        with pytest.raises(ConnectionRefusedError):
            connect(relay)
        relay.close()
        assert (relay.connections, relay.carried) == (1, (8, 0))


STARTS_ONE_AND_WAITS = """
import sys
from keystow.testing.servers import Relay
relay = Relay("http://127.0.0.1:9")
relay.start()
print(relay.url, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_it_ends_with_the_process_that_started_it(ending):
    program = [sys.executable, "-c", STARTS_ONE_AND_WAITS]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as tests:
        port = urlsplit(tests.stdout.readline().strip()).port
        tests.send_signal(ending)
        assert tests.wait() == -ending
    deadline = time.monotonic() + 60
    while listens(port):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0


def test_a_relay_that_was_killed_is_told_from_one_that_counts():
    with listening(Distance(0)) as (_, relay):
        relay._process.kill()
        with pytest.raises(RuntimeError, match="ended with -9"):
            _ = relay.carried


# -- the command, and what is refused

COMMAND = [sys.executable, "-m", "keystow.testing.servers.relay"]


def test_the_command_prints_its_url_and_ends_with_its_input():
    with socket.create_server((LOOPBACK, 0)) as listener:
        endpoint = f"https://localhost:{listener.getsockname()[1]}"
        limits = ["--round-trip=0.001", "--window=0", "--rate=1e9"]
        with subprocess.Popen(
            [*COMMAND, endpoint, *limits], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        ) as command:
            url = urlsplit(command.stdout.readline().strip())
            assert (url.scheme, url.hostname, url.path) == ("https", LOOPBACK, "")
            with socket.create_connection((url.hostname, url.port)) as client, accept(listener) as server:
                client.sendall(b"question")
                assert server.recv(100) == b"question"
            command.stdin.write("\n")
            assert command.stdout.readline() == "1 8 0\n"
            command.stdin.close()
            assert command.wait(60) == 0


@contextlib.contextmanager
def with_files(most, listener, *limits):
    """The command, which may have so many files open, and the address for its clients."""
    program = ["sh", "-c", f'ulimit -n {most} && exec "$@"', "sh", *COMMAND, endpoint_of(listener), *limits]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as command:
        url = urlsplit(command.stdout.readline().strip())
        with command.stdin:
            yield command, (url.hostname, url.port)


def test_connections_for_which_there_are_no_files_wait_until_others_end():
    with contextlib.ExitStack() as ends:
        listener = ends.enter_context(socket.create_server((LOOPBACK, 0)))
        command, address = ends.enter_context(with_files(40, listener, "--round-trip=0"))
        clients = [ends.enter_context(socket.create_connection(address, 60)) for _ in range(12)]
        for number, client in enumerate(clients):
            client.sendall(b"number %02d" % number)
            with accept(listener) as server:
                assert server.recv(100) == b"number %02d" % number
            client.close()
        command.stdin.write("asked\n")
        assert command.stdout.readline() == "asked 12 108 0\n"


def test_bytes_for_which_there_is_no_pipe_wait_until_others_have_arrived():
    content = random.Random(0).randbytes(3 << 20)
    with contextlib.ExitStack() as ends:
        listener = ends.enter_context(socket.create_server((LOOPBACK, 0)))
        _, address = ends.enter_context(with_files(12, listener))
        client = ends.enter_context(socket.create_connection(address))
        server = ends.enter_context(accept(listener))
        pouring = in_background(send_all, client, [content])
        assert all_of(server) == content
        pouring.join()


def trickle(end, pieces):
    """By itself, each piece takes the room of a page in a pipe."""
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for piece in pieces:
        end.sendall(piece)
        time.sleep(0.0002)
    end.shutdown(socket.SHUT_WR)


@pytest.mark.slow
def test_what_is_under_way_leaves_the_files_that_connections_need():
    with contextlib.ExitStack() as ends:
        listener = ends.enter_context(socket.create_server((LOOPBACK, 0)))
        command, address = ends.enter_context(with_files(24, listener, "--round-trip=1", "--window=0"))
        clients = [ends.enter_context(socket.create_connection(address, 60)) for _ in range(2)]
        trickling = [in_background(trickle, client, [bytes(100)] * 3_000) for client in clients]
        time.sleep(0.8)  # now a way's worth of it is under way
        last = ends.enter_context(socket.create_connection(address, 60))
        send_all(last, [b"question"])
        listener.settimeout(60)
        arrived = []
        for _ in range(3):
            with accept(listener) as server:
                arrived.append(len(all_of(server)))
        assert arrived == [300_000, 300_000, 8]
        for thread in trickling:
            thread.join()
        command.stdin.write("asked\n")
        assert command.stdout.readline() == "asked 3 600008 0\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["http://127.0.0.1:9", "--window=-1"], "carries nothing"),
        (["http://127.0.0.1:9", "--round-trip=-1"], "a round trip of -1.0 s"),
        (["127.0.0.1:9"], "'127.0.0.1:9' is no endpoint"),
    ],
)
def test_the_command_says_what_it_does_not_take(arguments, said):
    done = subprocess.run([*COMMAND, *arguments], input="", capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.parametrize(
    ("field", "value"),
    [("round_trip", -0.1), ("round_trip", float("nan")), ("window", 0), ("rate", 0), ("rate", float("inf"))],
)
def test_what_is_no_distance(field, value):
    with pytest.raises(ValueError, match=field.replace("_", " ")):
        Distance(**{field: value})


@pytest.mark.parametrize(
    "endpoint", ["127.0.0.1:8333", "ftp://127.0.0.1", "http://", "http://[::1", "http://a:99999", ""]
)
def test_what_is_no_endpoint(endpoint):
    with pytest.raises(ValueError, match="is no endpoint"):
        Relay(endpoint)


def test_without_linux_there_is_none(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(RuntimeError, match="needs Linux"):
        Relay("http://127.0.0.1:9").start()


def test_a_start_that_fails_leaves_nothing_behind(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    relay = Relay("http://127.0.0.1:9")
    with pytest.raises(RuntimeError, match="ended with 1"):
        relay.start()
    assert (relay.connections, relay.carried) == (0, (0, 0))


# -- stores

LARGE = random.Random(0).randbytes(2 * part_size(1) + 1)
"""What every store takes in parts."""


@pytest.mark.server
@pytest.mark.keystow_stores("s3", "gcs", "azure")
def test_a_store_at_a_distance(keystow_store):
    before = dict(os.environ)
    with keystow_store.at_distance(FAR) as far:
        assert (far.name, far.url) == (keystow_store.name, keystow_store.url)
        assert keystow_store.endpoint not in {far.endpoint, *far.environment.values()}
        assert far.environment.items() <= os.environ.items()
        with contextlib.closing(far.open()) as store:
            began = time.monotonic()
            store.write("small", [b"data"])
            assert time.monotonic() - began >= 2 * FAR.round_trip
            store.write("large", [LARGE])
            assert b"".join(store.read("large")) == LARGE
    assert dict(os.environ) == before
    with contextlib.closing(keystow_store.open()) as store:
        assert b"".join(store.read("small")) == b"data"
        assert b"".join(store.read("large")) == LARGE


@pytest.mark.server
@pytest.mark.keystow_stores("gcs", "azure")
def test_clients_that_take_the_endpoint_from_the_environment_are_far_too(keystow_store):
    with keystow_store.at_distance(FAR) as far, contextlib.closing(open_store(far.url)) as store:
        began = time.monotonic()
        store.write("key", [b"data"])
        assert time.monotonic() - began >= 2 * FAR.round_trip


def test_memory_and_a_directory_are_at_no_distance(keystow_memory, keystow_file):
    for sandbox in (keystow_memory, keystow_file):
        with pytest.raises(ValueError, match="has no endpoint"), sandbox.at_distance(FAR):
            pass
