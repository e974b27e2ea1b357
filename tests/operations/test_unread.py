"""Answers that come before the request's body: the connection does not outlive them for long."""

from __future__ import annotations

import asyncio
import http.client
import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from joserfc.jwk import ECKey
from ruamel.yaml import YAML
from starlette.responses import PlainTextResponse
from uvicorn import Config
from uvicorn.server import ServerState

from cds_service.operations.http_guard import GuardedHttp
from cds_service.operations.unread import MOST_WAITING, REST_SECONDS, UnreadBodies
from cds_service.serving import _OTHER_CONNECTIONS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from starlette.types import Receive, Scope, Send

START_S = 60
HOOK = "/cds-services/net-retreat-eligibility"
BUSY_S = 3.0


def head(request: str, length: int = 500_000) -> bytes:
    """The head of a request whose body is so long."""
    return (
        f"{request} HTTP/1.1\r\nHost: service\r\nContent-Type: application/json\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a service that asks for tokens, and has room for one hook at a time."""
    folder = tmp_path_factory.mktemp("service")
    key = ECKey.generate_key("P-384", {"kid": "k", "alg": "ES384", "use": "sig"})
    record = {"iss": "https://ehr.example", "name": "ehr", "keys": [key.as_dict(private=False)]}
    with (folder / "issuers.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe").dump([record], file)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
    inherited = {name: value for name, value in os.environ.items() if name[:4] != "CDS_"}
    with subprocess.Popen(
        [sys.executable, "-m", "cds_service.cli", "serve", f"--port={number}"],
        cwd=folder,
        env=inherited | {"CDS_JWT_ISSUERS": "issuers.yaml", "CDS_MAX_CONCURRENT_HOOKS": "1"},
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            until = time.monotonic() + START_S
            while not _is_up(number):
                assert process.poll() is None
                assert time.monotonic() < until
                time.sleep(0.1)
            yield number
        finally:
            process.terminate()
            process.wait(timeout=20)


def _is_up(port: int) -> bool:
    with suppress(httpx2.TransportError):
        return httpx2.get(f"http://127.0.0.1:{port}/health/live", timeout=5).status_code == 200
    return False


def dripped(port: int, start: bytes) -> tuple[bytes, float]:
    """What a client is told that sends a byte every 0.2 s, and after how long it is let go."""
    told, began = b"", time.monotonic()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.settimeout(0.2)
        connection.sendall(start + b"{")
        while time.monotonic() - began < 15:
            try:
                part = connection.recv(65536)
                if not part:
                    return told, time.monotonic() - began
                told += part
            except TimeoutError:
                with suppress(ConnectionError):
                    connection.sendall(b" ")
            except ConnectionError:
                return told, time.monotonic() - began
    pytest.fail(f"still open after {told[:200]!r}")


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (f"POST {HOOK}", 401),
        (f"POST {HOOK}/feedback", 401),
        ("POST /cds-services/other", 404),
        ("POST /nowhere", 404),
        ("PUT /cds-services", 405),
        ("GET /cds-services", 200),
        ("GET /health/ready", 200),
    ],
)
def test_a_slow_body_that_nobody_reads(port: int, request_line: str, status: int) -> None:
    """Answered with all that an answer has, and closed."""
    told, took = dripped(port, head(request_line))

    headers = told.lower().partition(b"\r\n\r\n")[0]
    assert told.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"\r\nconnection: close" in headers
    assert b"\r\ncache-control: no-store" in headers
    assert b"\r\nx-request-id: " in headers
    assert took < REST_SECONDS + BUSY_S


def test_a_fast_body_that_nobody_reads(port: int) -> None:
    """The client gets to read its answer, and may go on with the same connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for size in (2, 5_000_000, 2):
        connection.request("POST", HOOK, b"x" * size, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        assert 401 == answer.status
        assert answer.headers["Connection"] is None
    connection.close()


@pytest.mark.parametrize(
    "start",
    [b"", b"GET /cds-services HTTP/1.1\r\nHost: ", head(f"POST {HOOK}") + b"{"],
    ids=["nothing", "half a head", "a body without a token"],
)
def test_many_slow_clients(port: int, start: bytes) -> None:
    """Whatever they leave unfinished, others are answered, by the service itself."""
    with ExitStack() as connections:
        for _ in range(1 + _OTHER_CONNECTIONS + 50):
            one = connections.enter_context(socket.create_connection(("127.0.0.1", port)))
            with suppress(ConnectionError):
                one.sendall(start)
        answers = [
            httpx2.get(f"http://127.0.0.1:{port}{path}", timeout=10)
            for path in ("/health/ready", "/cds-services", "/metrics") * 3
        ]
        refused = httpx2.post(f"http://127.0.0.1:{port}{HOOK}", json={}, timeout=10)

    assert [200] * 9 == [answer.status_code for answer in answers]
    assert 401 == refused.status_code
    assert "OperationOutcome" == refused.json()["resourceType"]


# --- Within this process --------------------------------------------------------------------------


async def early(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers without a look at the body, with the status that the path names."""
    await PlainTextResponse("early", int(scope["path"][1:]))(scope, receive, send)


@pytest.fixture
async def early_port() -> AsyncIterator[int]:
    """The port of a server that answers early."""
    config = Config(UnreadBodies(early), http=GuardedHttp, ws="none", log_config=None)
    config.load()
    state = ServerState()
    server = await asyncio.get_running_loop().create_server(
        lambda: GuardedHttp(config=config, server_state=state, app_state={}), "127.0.0.1", 0
    )
    async with server:
        yield server.sockets[0].getsockname()[1]


async def told(port: int, sent: bytes) -> tuple[bytes, float]:
    """What a client is told until it is let go, and after how long."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began = time.monotonic()
    writer.write(sent)
    try:
        said = await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()
    return said, time.monotonic() - began


async def test_a_body_that_has_already_been_waited_for(early_port: int) -> None:
    """No second wait after 408."""
    said, took = await told(early_port, head("POST /408"))

    assert said.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in said
    assert took < REST_SECONDS / 2


async def test_a_client_that_waits_to_be_asked(early_port: int) -> None:
    """Is not asked for a body that nobody wants."""
    asking = head("POST /401").replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
    said, took = await told(early_port, asking)

    assert said.startswith(b"HTTP/1.1 401 ")
    assert b"connection: close" in said
    assert took < REST_SECONDS / 2


async def test_chunks_without_end(early_port: int) -> None:
    """Have no length, and are a body all the same."""
    start = b"POST /401 HTTP/1.1\r\nHost: service\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"
    said, took = await told(early_port, start)

    assert b"connection: close" in said
    assert took < REST_SECONDS + BUSY_S


async def test_only_so_many_are_waited_for(early_port: int) -> None:
    """The rest is closed at once."""
    answers: list[Any] = await asyncio.gather(
        *(told(early_port, head("POST /401")) for _ in range(MOST_WAITING + 20))
    )

    assert all(b"connection: close" in said for said, _ in answers)
    assert MOST_WAITING == sum(took > REST_SECONDS * 0.8 for _, took in answers)


async def test_a_request_without_a_body(early_port: int) -> None:
    """Keeps its connection."""
    request = b"GET /200 HTTP/1.1\r\nHost: service\r\n\r\n"
    last = b"POST /200 HTTP/1.1\r\nHost: service\r\nContent-Length: 00\r\nConnection: close\r\n\r\n"
    said, _ = await told(early_port, request * 2 + last)

    assert 3 == said.count(b"HTTP/1.1 200 ")
    assert 1 == said.count(b"connection: close")
