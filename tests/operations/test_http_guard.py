"""The limits of a request's head, on real sockets."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from starlette.responses import PlainTextResponse
from uvicorn import Config
from uvicorn.server import ServerState

from cds_service.cdshooks.notes import UNPARSED_REASONS
from cds_service.operations import http_guard
from cds_service.operations.http_guard import MOST_HEAD_BYTES, NOTE_UNPARSED, GuardedHttp
from cds_service.operations.labels import UNPARSED

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
def noted() -> list[tuple[int, str]]:
    """Status and request id of each refusal that was noted."""
    return []


@pytest.fixture
async def port(noted: list[tuple[int, str]]) -> AsyncIterator[int]:
    """A server's port."""
    config = Config(app, http=GuardedHttp, ws="none", log_config=None)
    config.load()
    state = ServerState()
    told = {NOTE_UNPARSED: lambda status, request_id: noted.append((int(status), request_id))}
    server = await asyncio.get_running_loop().create_server(
        lambda: GuardedHttp(config=config, server_state=state, app_state=told), "127.0.0.1", 0
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


def refused(said: bytes, status: int, code: str) -> str:
    """Check that all that was said is one error of the service's form; gives its request id."""
    head, _, body = said.partition(b"\r\n\r\n")
    first, *lines = head.decode("ascii").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert f"HTTP/1.1 {status} " == first[:13]
    assert "application/json" == headers["content-type"]
    assert str(len(body)) == headers["content-length"]
    assert ("no-store", "close") == (headers["cache-control"], headers["connection"])
    assert ("nosniff", "no-referrer") == (
        headers["x-content-type-options"],
        headers["referrer-policy"],
    )
    outcome = json.loads(body)
    (issue,) = outcome["issue"]
    assert "OperationOutcome" == outcome["resourceType"]
    assert ("error", code) == (issue["severity"], issue["code"])
    assert b"ZZ" not in said
    return headers["x-request-id"]


async def test_a_good_request(port: int, noted: list[tuple[int, str]]) -> None:
    """In as many pieces as it comes."""
    said = await answer(port, HEAD, b"Content-Length: 3\r\nConnection:", b" close\r\n\r\na", b"bc")

    assert said.startswith(b"HTTP/1.1 200 ")
    assert said.endswith(b"3 bytes")
    assert [] == noted


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
async def test_too_large(port: int, parts: list[bytes], noted: list[tuple[int, str]]) -> None:
    """431, and the connection is closed."""
    said = await answer(port, *parts)

    request_id = refused(said, 431, "too-long")
    assert [(431, request_id)] == noted


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
async def test_two_lengths(port: int, lengths: bytes, noted: list[tuple[int, str]]) -> None:
    """400: two readers could see two different requests."""
    said = await answer(port, HEAD + lengths + b"\r\n", b"0\r\n\r\nGET /other HTTP/1.1\r\n\r\n")

    request_id = refused(said, 400, "invalid")
    assert 1 == said.count(b"HTTP/1.1 ")
    assert [(400, request_id)] == noted


@pytest.mark.parametrize(
    "parts",
    [
        [b"\x16\x03\x01ZZ\r\n\r\n"],
        [b"GET /ZZ HTTP/9\r\n\r\n"],
        [HEAD + b"X-ZZ\r\n\r\n"],
        [HEAD + b"X-Request-ID: 0f8fad5b-d9cb-469f-a165-70867728950e\r\nX ZZ: 1\r\n\r\n"],
        [HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"ZZ\r\n"],
    ],
    ids=["TLS", "version", "no colon", "blank in a name", "a chunk without a length"],
)
async def test_no_http(port: int, parts: list[bytes], noted: list[tuple[int, str]]) -> None:
    """400 under an id of ours, and nothing of what came."""
    said = await answer(port, *parts)

    request_id = refused(said, 400, "invalid")
    assert request_id not in b"".join(parts).decode("latin-1")
    assert [(400, request_id)] == noted


async def test_no_answer_within_another(port: int, noted: list[tuple[int, str]]) -> None:
    """Nonsense behind a request that is in work closes the connection: it is owed an answer."""
    whole = HEAD + b"Content-Length: 2\r\n\r\nab"
    said = await answer(port, whole + b"ZZ\r\n\r\n")

    assert b"HTTP/1.1 400 " not in said
    assert [400] == [status for status, _ in noted]


async def test_too_slow(
    port: int, monkeypatch: pytest.MonkeyPatch, noted: list[tuple[int, str]]
) -> None:
    """408 to a head that is not complete in time, however steadily it comes."""
    monkeypatch.setattr(http_guard, "HEAD_SECONDS", 0.3)

    said = await answer(port, HEAD, *[b"X-%d: y\r\n" % number for number in range(60)])

    request_id = refused(said, 408, "timeout")
    assert [(408, request_id)] == noted


async def test_nothing_at_all(
    port: int, monkeypatch: pytest.MonkeyPatch, noted: list[tuple[int, str]]
) -> None:
    """Closed without an answer: nothing was asked."""
    monkeypatch.setattr(http_guard, "HEAD_SECONDS", 0.1)

    assert b"" == await answer(port)
    assert [] == noted


async def test_a_slow_answer_is_no_slow_head(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the head is there, the time for it is over."""
    monkeypatch.setattr(http_guard, "HEAD_SECONDS", 0.2)

    head = HEAD + b"Content-Length: 60\r\nConnection: close\r\n\r\n"
    said = await answer(port, head, *[b"x"] * 60)

    assert said.endswith(b"60 bytes")


def test_every_refusal_can_be_told() -> None:
    """Each status has its words in the answer, its word in the log, and its label."""
    statuses = {int(status) for status in http_guard._SAID}

    assert statuses == set(UNPARSED_REASONS)
    assert {str(status) for status in statuses} | {"other"} == set(UNPARSED)
