"""A FHIR server that can go wrong in any way that is asked for, and a canary that must stay silent.

Real sockets on 127.0.0.1. What is not told to go wrong is answered by the demo's own FHIR server
over the given resources, so that the rest of a chart is as it should be. A fault is a coroutine
that is given an :class:`Exchange` and writes what it likes to the socket; the usual ones are in
:mod:`tests.faults.fault_book`.

In a test of the event loop::

    async with Canary() as canary, FakeFhir(resources, canary=canary) as server:
        server.fails("Condition", status(500))

and beside a service in a process of its own, in a thread: ``with in_thread(server): ...``.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl, urlsplit

import httpx2

from cds_service.demo.fhir_server import fhir_app

if TYPE_CHECKING:
    import ssl

HOST = "127.0.0.1"
PATH = "/fhir"
JSON = "application/fhir+json"
_ORIGIN = "http://fake.invalid"
_LONGEST_HEAD = 64 * 1024


@dataclass(frozen=True)
class Request:
    """One request as it came.

    Args:
        method, target: of the request line.
        headers: by lower-case name.
    """

    method: str
    target: str
    headers: dict[str, str]

    @property
    def kind(self) -> str:
        """The resource type that it is about."""
        return urlsplit(self.target).path.removeprefix(f"{PATH}/").partition("/")[0]

    @property
    def query(self) -> list[tuple[str, str]]:
        """The parameters of the search."""
        return parse_qsl(urlsplit(self.target).query, keep_blank_values=True)

    def asks(self, name: str) -> bool:
        """Whether the search has a parameter of this name, modifier included."""
        return any(key == name for key, _ in self.query)


@dataclass
class Exchange:
    """A request and the socket on which to answer it."""

    server: FakeFhir
    request: Request
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Write bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def answer(
        self,
        status: int,
        body: bytes = b"",
        headers: Iterable[tuple[str, str]] = (),
        *,
        content_type: str | None = JSON,
    ) -> None:
        """A whole answer with its length; the connection stays open."""
        lines = list(headers)
        lines += [("Content-Type", content_type)] if content_type else []
        lines += [("Content-Length", str(len(body)))]
        await self.send(head(status, lines) + body)

    async def answer_open(self, body: bytes, headers: Iterable[tuple[str, str]] = ()) -> None:
        """An answer without a length, whose end is the end of the connection."""
        lines = [("Content-Type", JSON), ("Connection", "close"), *headers]
        await self.send(head(200, lines) + body)
        self.writer.close()

    async def good(self) -> bytes:
        """The body of the answer that there should be."""
        return (await self.server.good(self.request))[1]

    async def client_gone(self) -> None:
        """Wait until the client gives up."""
        while await self.reader.read(4096):
            pass

    def reset(self) -> None:
        """End the connection with RST instead of FIN."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Fault = Callable[[Exchange], Awaitable[None]]
Matches = Callable[[Request], bool]


def head(status: int, headers: Iterable[tuple[str, str]]) -> bytes:
    """Status line and headers."""
    lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


class Canary:
    """A server that nobody may call. It counts connections, and answers like a FHIR server.

    Args:
        port: to listen on; 0 for any.
    """

    def __init__(self, port: int = 0) -> None:
        self._port = port
        self.connections = 0
        self.heard: list[bytes] = []
        self._server: asyncio.Server | None = None

    @property
    def origin(self) -> str:
        """Its address."""
        return f"http://{self.netloc}"

    @property
    def netloc(self) -> str:
        """Its host and port."""
        return f"{HOST}:{_port(self._server)}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._sing, HOST, self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _sing(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(OSError):
            self.heard.append(await reader.read(4096))
            empty = b'{"resourceType":"Bundle","type":"searchset","link":[]}'
            lines = [("Content-Type", JSON), ("Content-Length", str(len(empty)))]
            writer.write(head(200, lines) + empty)
            await writer.drain()
        writer.close()


@dataclass
class GoodAnswers:
    """The right answers to requests, worked out once by the demo's FHIR server."""

    resources: Iterable[dict[str, Any]]
    _known: dict[str, tuple[int, bytes]] = field(default_factory=dict)

    async def to(self, target: str, base: str) -> tuple[int, bytes]:
        """Status and body, with the links on the base that the server has."""
        if target not in self._known:
            app = fhir_app(self.resources)
            transport = httpx2.ASGITransport(app=app, root_path=PATH)
            async with httpx2.AsyncClient(transport=transport, base_url=_ORIGIN) as client:
                response = await client.get(target)
            self._known[target] = response.status_code, response.content
        status, body = self._known[target]
        return status, body.replace(f"{_ORIGIN}{PATH}".encode(), base.encode())


class FakeFhir:
    """The server.

    Args:
        resources: what it holds; or answers that several servers share.
        canary: where it may try to lead a client.
        tls: to speak TLS.
        host: the address to listen on.
        port: to listen on; 0 for any.

    ``known_as`` is the origin by which clients know it, where a proxy stands in front.
    """

    def __init__(
        self,
        resources: Iterable[dict[str, Any]] | GoodAnswers = (),
        *,
        canary: Canary | None = None,
        tls: ssl.SSLContext | None = None,
        host: str = HOST,
        port: int = 0,
    ) -> None:
        self.canary = canary
        self.host = host
        self.known_as: str | None = None
        self.requests: list[Request] = []
        self.connections = 0
        self.in_work = 0
        self._answers = (
            resources if isinstance(resources, GoodAnswers) else GoodAnswers(tuple(resources))
        )
        self._faults: list[tuple[Matches, Fault]] = []
        self._tls = tls
        self._port = port
        self._server: asyncio.Server | None = None
        self._exchanges: set[asyncio.Task[None]] = set()

    @property
    def origin(self) -> str:
        """Its address without a path."""
        return self.known_as or f"{'https' if self._tls else 'http'}://{self.host}:{self.port}"

    @property
    def base(self) -> str:
        """Its FHIR base URL."""
        return f"{self.origin}{PATH}"

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return _port(self._server)

    def fails(self, what: str | Matches, fault: Fault) -> None:
        """Let requests go wrong from now on: those of a resource type, or those that match."""
        matches = what if callable(what) else lambda request: request.kind == what
        self._faults.insert(0, (matches, fault))

    def recovers(self) -> None:
        """Let nothing go wrong any more."""
        self._faults.clear()

    async def good(self, request: Request) -> tuple[int, bytes]:
        """The right answer to a request."""
        return await self._answers.to(request.target, self.base)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._serve, self.host, self._port, ssl=self._tls, limit=_LONGEST_HEAD
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._exchanges:
            task.cancel()
        await asyncio.gather(*self._exchanges, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._exchanges.add(task)
        task.add_done_callback(self._exchanges.discard)
        self.connections += 1
        try:
            while not writer.is_closing() and (request := await _read_request(reader)):
                await self._answer(Exchange(self, request, reader, writer))
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _answer(self, exchange: Exchange) -> None:
        self.requests.append(exchange.request)
        self.in_work += 1
        try:
            for matches, fault in self._faults:
                if matches(exchange.request):
                    await fault(exchange)
                    return
            status, body = await self.good(exchange.request)
            await exchange.answer(status, body)
        finally:
            self.in_work -= 1


async def _read_request(reader: asyncio.StreamReader) -> Request | None:
    raw = await reader.readuntil(b"\r\n\r\n")
    first, *lines = raw.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    named = (line.partition(":") for line in lines if line)
    return Request(method, target, {name.lower(): value.strip() for name, _, value in named})


def _port(server: asyncio.Server | None) -> int:
    assert server is not None, "the server is not running"
    port: int = server.sockets[0].getsockname()[1]
    return port


@contextmanager
def in_thread(*servers: FakeFhir | Canary) -> Iterator[None]:
    """Run servers in a thread of their own, for tests of a service in another process."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def run(work: Awaitable[object]) -> None:
        async def step() -> None:
            await work

        asyncio.run_coroutine_threadsafe(step(), loop).result(10)

    started: list[FakeFhir | Canary] = []
    try:
        for server in servers:
            run(server.__aenter__())
            started.append(server)
        yield
    finally:
        for server in reversed(started):
            run(server.__aexit__())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
