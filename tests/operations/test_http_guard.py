"""The limits of a request's head, on real sockets."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from starlette.responses import PlainTextResponse
from uvicorn import Config
from uvicorn.server import ServerState

from cds_service.operations import http_guard
from cds_service.operations.http_guard import MOST_HEAD_BYTES, GuardedHttp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import Receive, Scope, Send

HEAD = b"POST / HTTP/1.1\r\nHost: service\r\n"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the length of the body."""
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    await PlainTextResponse(f"{size} bytes")(scope, receive, send)


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """A server's port."""
    config = Config(app, http=GuardedHttp, ws="none", log_config=None)
    config.load()
    state = ServerState()
    server = await asyncio.get_running_loop().create_server(
        lambda: GuardedHttp(config=config, server_state=state, app_state={}), "127.0.0.1", 0
    )
    async with server:
        yield server.sockets[0].getsockname()[1]


async def answer(port: int, *parts: bytes) -> bytes:
    """What the server says until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def send() -> None:
        # A server that has said its word closes; the rest is for nobody.
        with suppress(ConnectionError):
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0.01)

    sending = asyncio.create_task(send())
    said = b""
    try:
        async with asyncio.timeout(5):
            while chunk := await reader.read(65536):
                said += chunk
    except ConnectionError:
        pass
    finally:
        sending.cancel()
        writer.close()
    return said


async def test_a_good_request(port: int) -> None:
    """In as many pieces as it comes."""
    said = await answer(port, HEAD, b"Content-Length: 3\r\nConnection:", b" close\r\n\r\na", b"bc")

    assert said.startswith(b"HTTP/1.1 200 ")
    assert said.endswith(b"3 bytes")


async def test_a_body_larger_than_a_head_may_be(port: int) -> None:
    """Is no head."""
    size = 10 * MOST_HEAD_BYTES
    head = HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % size
    said = await answer(port, head + b"x" * size)

    assert said.endswith(b"%d bytes" % size)


async def test_two_requests_on_one_connection(port: int) -> None:
    """Each has its own limit: together their heads may be larger."""
    filler = b"X-Filler: " + b"x" * (MOST_HEAD_BYTES * 2 // 3) + b"\r\n"
    first = HEAD + filler + b"Content-Length: 0\r\n\r\n"
    second = HEAD + filler + b"Content-Length: 0\r\nConnection: close\r\n\r\n"
    said = await answer(port, first, second)

    assert 2 == said.count(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "parts",
    [
        [HEAD + b"X-Large: " + b"x" * MOST_HEAD_BYTES + b"\r\n\r\n"],
        [HEAD + b"X-Endless: ", *[b"x" * 8192] * 8],
        [b"GET /" + b"x" * MOST_HEAD_BYTES + b" HTTP/1.1\r\n\r\n"],
        [HEAD + b"".join(b"X-%d: y\r\n" % number for number in range(4000)) + b"\r\n"],
    ],
    ids=["one header", "a header without end", "the path", "many headers"],
)
async def test_too_large(port: int, parts: list[bytes]) -> None:
    """431, and the connection is closed."""
    said = await answer(port, *parts)

    assert said.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    "lengths",
    [
        b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
        b"Content-Length: 3\r\nContent-Length: 3\r\n",
        b"Content-Length: 3\r\nContent-Length: 4\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Content-Length: +3\r\n",
        b"Content-Length: 3, 3\r\n",
    ],
)
async def test_two_lengths(port: int, lengths: bytes) -> None:
    """400: two readers could see two different requests."""
    said = await answer(port, HEAD + lengths + b"\r\n", b"0\r\n\r\nGET /other HTTP/1.1\r\n\r\n")

    assert said.startswith(b"HTTP/1.1 400 ")
    assert 1 == said.count(b"HTTP/1.1 ")


async def test_too_slow(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """408 to a head that is not complete in time, however steadily it comes."""
    monkeypatch.setattr(http_guard, "HEAD_SECONDS", 0.3)

    said = await answer(port, HEAD, *[b"X-%d: y\r\n" % number for number in range(60)])

    assert said.startswith(b"HTTP/1.1 408 ")


async def test_nothing_at_all(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closed without an answer: nothing was asked."""
    monkeypatch.setattr(http_guard, "HEAD_SECONDS", 0.1)

    assert b"" == await answer(port)


async def test_a_slow_answer_is_no_slow_head(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the head is there, the time for it is over."""
    monkeypatch.setattr(http_guard, "HEAD_SECONDS", 0.2)

    head = HEAD + b"Content-Length: 60\r\nConnection: close\r\n\r\n"
    said = await answer(port, head, *[b"x"] * 60)

    assert said.endswith(b"60 bytes")
