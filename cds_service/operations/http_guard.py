"""What uvicorn leaves open: how large the head of a request may be, how slow, and who has to go.

The front proxy has the same limits, and more (``deploy/nginx/``); these hold where it is missing or
misconfigured. A head is the request line and the headers.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final
from uuid import uuid4

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from cds_service.operations.outcome import JSON, SAFE_HEADERS, operation_outcome
from cds_service.operations.request_ids import REQUEST_ID

NOTE_UNPARSED: Final = "note_unparsed"
"""Where the state of the lifespan holds who is told of each refusal: its status and request id."""

MOST_HEAD_BYTES: Final = 32 * 1024
"""A token of 16 kB (what a hook may hold) and what proxies add."""

HEAD_SECONDS: Final = 10.0
"""In which a head must be complete, from the connection or its first byte on."""

# So many at once, since to find them all connections are looked through.
_LET_GO: Final = 16
_SAID: Final = {
    HTTPStatus.BAD_REQUEST: "no HTTP request that can be read in one way",
    HTTPStatus.REQUEST_TIMEOUT: "the head of the request was not complete in time",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "the head of the request is too large",
}


class _Refused(Exception):
    """A head that is not taken; the parser turns it into an error of its own."""


class GuardedHttp(HttpToolsProtocol):
    """HTTP/1.1 with a limit to the size and the time of each head, and one length for each body.

    Beyond uvicorn's ``limit_concurrency`` of connections, those that have waited longest for a
    request are closed. uvicorn itself would turn everybody's requests away, with a bare 503 and
    without a word to the metrics, although the connections in the way ask for nothing.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._most_connections, self.limit_concurrency = self.limit_concurrency, None
        self._waits_since = self.loop.time()
        self._head_bytes = 0
        self._in_head = True
        self._refusal = HTTPStatus.BAD_REQUEST
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expect a head."""
        super().connection_made(transport)
        self._await_head()
        if self._most_connections is not None and len(self.connections) > self._most_connections:
            self._let_others_go()

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing more."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, unless the head has grown beyond its limit."""
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > MOST_HEAD_BYTES:
            self._refusal = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            self.send_400_response("")

    def on_message_begin(self) -> None:
        """Begin to count, and to wait, anew."""
        super().on_message_begin()
        if not self._in_head:
            self._await_head()

    def on_headers_complete(self) -> None:
        """Take a head, or refuse it."""
        self._in_head = False
        self._stop_timer()
        self._check_head()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self._waits_since = self.loop.time()
        super().on_response_complete()

    @property
    def waiting(self) -> bool:
        """Whether no request of this connection is in work."""
        return self.cycle is None or self.cycle.response_complete

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  (uvicorn's words are not sent)
        """Answer what cannot be parsed, or was refused, and close.

        While an earlier request of the connection waits for its answer, or has a part of it, there
        is only the close: an answer now would be taken for that one's.
        """
        if self.transport.is_closing():
            return
        request_id = str(uuid4())
        if not self._owes_an_answer:
            date = self.server_state.default_headers
            self.transport.write(_answer(self._refusal, request_id, date))
        self.transport.close()
        if NOTE_UNPARSED in self.app_state:
            self.app_state[NOTE_UNPARSED](self._refusal, request_id)

    @property
    def _owes_an_answer(self) -> bool:
        return not self.waiting and (self.cycle.response_started or not self.cycle.more_body)

    def _let_others_go(self) -> None:
        others = (
            one
            for one in self.connections
            if isinstance(one, GuardedHttp) and one is not self and one.waiting
        )
        for other in heapq.nsmallest(_LET_GO, others, key=lambda one: one._waits_since):  # noqa: SLF001
            other.transport.close()

    def _await_head(self) -> None:
        self._in_head = True
        self._head_bytes = 0
        self._stop_timer()
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._too_slow)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _too_slow(self) -> None:
        if self._head_bytes == 0:  # opened ahead of a request that did not come: no answer is due
            self.transport.close()
        else:
            self._refusal = HTTPStatus.REQUEST_TIMEOUT
            self.send_400_response("")

    def _check_head(self) -> None:
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > MOST_HEAD_BYTES:
            self._refusal = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            raise _Refused
        # Two lengths, or a length and chunks: a proxy may have believed the other one.
        lengths = [name for name, _ in self.headers if name == b"content-length"]
        chunked = any(name == b"transfer-encoding" for name, _ in self.headers)
        if len(lengths) + chunked > 1:
            raise _Refused


def _answer(status: HTTPStatus, request_id: str, more: Iterable[tuple[bytes, bytes]]) -> bytes:
    """An error as any other of the service, as it stands on the wire."""
    body = operation_outcome(status, _SAID[status])
    headers = {
        **SAFE_HEADERS,
        "Content-Type": JSON,
        "Content-Length": str(len(body)),
        "Connection": "close",
        REQUEST_ID: request_id,
    }
    lines = [*more, *((name.encode(), value.encode()) for name, value in headers.items())]
    head = b"".join(b"%s: %s\r\n" % (name.lower(), value) for name, value in lines)
    return STATUS_LINE[status] + head + b"\r\n" + body
