"""An HTTP proxy that answers 503 SlowDown, as S3 does, when too much is under way: slowdown.py HOST PORT LIMIT.

A request is under way from when its head is read until its answer is written. It prints its port, and then, for each
line on stdin, how many requests it let through and how many it refused since the line before; it ends with stdin.
"""

import asyncio
import contextlib
import re
import sys
from asyncio import StreamReader, StreamWriter

_PIECE = 1 << 16
_LENGTH = re.compile(rb"^content-length: *(\d+)", re.IGNORECASE | re.MULTILINE)
_CHUNKED = re.compile(rb"^transfer-encoding: *chunked", re.IGNORECASE | re.MULTILINE)
_EXPECT = re.compile(rb"^expect: *100-continue\r\n", re.IGNORECASE | re.MULTILINE)
_SLOW_DOWN = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n'
    b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message><RequestId>0</RequestId></Error>"
)
_REFUSAL = (
    b"HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nx-amz-request-id: 0\r\n"
    b"Content-Length: %d\r\nConnection: %s\r\n\r\n"
)


class Proxy:
    """Passes on at most ``limit`` requests at a time."""

    def __init__(self, host: str, port: int, limit: int) -> None:
        self.upstream = (host, port)
        self.limit = limit
        self.under_way = self.passed = self.refused = 0

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        """One connection of a client's, with one of its own to the server."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            to_server: StreamWriter | None = None
            try:
                while head := await _head(reader):
                    if self.under_way >= self.limit:
                        self.refused += 1
                        if not await _refuse(head, reader, writer):
                            break
                        continue
                    self.passed += 1
                    self.under_way += 1
                    try:
                        if to_server is None:
                            from_server, to_server = await asyncio.open_connection(*self.upstream)
                        await _pass_on(head, reader, writer, from_server, to_server)
                    finally:
                        self.under_way -= 1
            finally:
                writer.close()
                if to_server is not None:
                    to_server.close()


async def _head(reader: StreamReader) -> bytes:
    """A message's first lines; nothing where the other side has hung up instead."""
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as ended:
        if ended.partial:
            raise
        return b""


async def _refuse(head: bytes, reader: StreamReader, writer: StreamWriter) -> bool:
    """Answers in the server's place; whether the connection can be used again."""
    kept = not _EXPECT.search(head)
    if kept:
        await _copy_body(head, reader, None)
    writer.write(_REFUSAL % (len(_SLOW_DOWN), b"keep-alive" if kept else b"close") + _SLOW_DOWN)
    await writer.drain()
    return kept


async def _pass_on(
    head: bytes, reader: StreamReader, writer: StreamWriter, from_server: StreamReader, to_server: StreamWriter
) -> None:
    if _EXPECT.search(head):
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        head = _EXPECT.sub(b"", head)
    to_server.write(head)
    await _copy_body(head, reader, to_server)
    answer = await from_server.readuntil(b"\r\n\r\n")
    writer.write(answer)
    if not head.startswith(b"HEAD ") and answer.split(b" ", 2)[1] not in {b"204", b"304"}:
        await _copy_body(answer, from_server, writer)
    await writer.drain()


async def _copy_body(head: bytes, reader: StreamReader, writer: StreamWriter | None) -> None:
    """What follows a head, to ``writer`` if there is one."""
    if _CHUNKED.search(head):
        ended = False
        while not ended:
            line = await reader.readuntil(b"\r\n")
            _write(writer, line)
            size = int(line.split(b";")[0], 16)
            await _copy(size + 2, reader, writer)
            ended = size == 0
    elif length := _LENGTH.search(head):
        await _copy(int(length[1]), reader, writer)


async def _copy(size: int, reader: StreamReader, writer: StreamWriter | None) -> None:
    while size:
        piece = await reader.read(min(size, _PIECE))
        if not piece:
            raise asyncio.IncompleteReadError(piece, size)
        size -= len(piece)
        _write(writer, piece)
        if writer is not None:
            await writer.drain()


def _write(writer: StreamWriter | None, piece: bytes) -> None:
    if writer is not None:
        writer.write(piece)


async def main(host: str, port: str, limit: str) -> None:
    """Serves on a free port of loopback until stdin ends."""
    proxy = Proxy(host, int(port), int(limit))
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    asked = StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(asked), sys.stdin)
    while await asked.readline():
        print(proxy.passed, proxy.refused, flush=True)
        proxy.passed = proxy.refused = 0


asyncio.run(main(*sys.argv[1:]))
