"""A small HTTP client that costs the same for every endpoint: requests as ready bytes, keep-alive.

It checks the status of every answer and reads it to its Content-Length; nothing else.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from statistics import median, quantiles
from urllib.parse import urlsplit


@dataclass
class Load:
    """What came of a run: seconds of each answer, and of all of it."""

    seconds: list[float] = field(default_factory=list)
    wall: float = 0.0

    @property
    def per_second(self) -> float:
        """Requests a second."""
        return len(self.seconds) / self.wall

    @property
    def p50_ms(self) -> float:
        """The median time of an answer."""
        return median(self.seconds) * 1000

    @property
    def p95_ms(self) -> float:
        """The time that 95 of 100 answers keep to."""
        return quantiles(self.seconds, n=20)[-1] * 1000


def request_bytes(url: str, body: bytes) -> bytes:
    """A POST of JSON, ready to send."""
    parts = urlsplit(url)
    head = (
        f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def load(url: str, request: bytes, connections: int, seconds: float) -> Load:
    """Send a request over and over on so many connections, for so many seconds."""
    await _connection(url, request, time.perf_counter() + min(seconds, 0.3), Load())
    found = Load()
    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(_connection(url, request, started + seconds, found))
    found.wall = time.perf_counter() - started
    return found


async def _connection(url: str, request: bytes, until: float, found: Load) -> None:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1 << 20)
    try:
        while (started := time.perf_counter()) < until:
            writer.write(request)
            await _answer(reader)
            found.seconds.append(time.perf_counter() - started)
    finally:
        writer.close()
        await writer.wait_closed()


async def _answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), head[:200]
    at = head.lower().index(b"content-length:") + len(b"content-length:")
    return await reader.readexactly(int(head[at : head.index(b"\r", at)]))


async def once(url: str, request: bytes) -> bytes:
    """The body of one answer."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1 << 20)
    try:
        writer.write(request)
        return await _answer(reader)
    finally:
        writer.close()
        await writer.wait_closed()
