"""Sends requests that are signed, over so many connections: raw.py PLAN CONNECTIONS. What is fetched is dropped.

PLAN is a file of JSON with a list of requests. Each has a ``method``, a ``url``, and the bytes from ``start`` to before
``stop``: those of ``file``, which it sends, or of what it fetches.
"""

import json
import mmap
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import TypedDict
from urllib.parse import urlsplit

_ROOM = 1 << 20


class Request(TypedDict):
    """One of them."""

    method: str
    url: str
    start: int
    stop: int
    file: str


def carry(host: str, requests: Iterable[Request]) -> None:
    """Sends one request after the other over one connection; each has to be answered as it should be."""
    connection, room = HTTPConnection(host), memoryview(bytearray(_ROOM))
    for request in requests:
        start, stop = request["start"], request["stop"]
        _, _, path, query, _ = urlsplit(request["url"])
        if request["method"] == "PUT":
            with (
                open(request["file"], "rb") as file,
                mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
                memoryview(content) as whole,
                whole[start:stop] as body,
            ):
                connection.request("PUT", f"{path}?{query}", body, {"Content-Length": str(stop - start)})
        else:
            connection.request("GET", f"{path}?{query}", headers={"Range": f"bytes={start}-{stop - 1}"})
        answer, read = connection.getresponse(), 0
        while piece := answer.readinto(room):
            read += piece
        if answer.status not in {200, 206} or (request["method"] == "GET" and read != stop - start):
            raise SystemExit(
                f"{request['method']} was answered {answer.status} and {read} bytes: {bytes(room[:500])!r}"
            )


plan, connections = sys.argv[1:]
with open(plan, encoding="utf-8") as written:
    wanted = json.load(written)
waiting = iter(wanted)
with ThreadPoolExecutor(int(connections)) as pool:
    for carried in [pool.submit(carry, urlsplit(wanted[0]["url"]).netloc, waiting) for _ in range(int(connections))]:
        carried.result()
