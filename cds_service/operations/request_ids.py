"""Gives every request an id, for its log lines, its audit entry and its answer.

An id that a proxy or an EHR gave is kept if it has the form of one, so that a request can be
followed across systems; a trace is passed on in the same way (W3C Trace Context).
"""

from __future__ import annotations

import re
from contextvars import ContextVar
from typing import Final
from uuid import uuid4

import msgspec
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUEST_ID: Final = "X-Request-ID"
TRACEPARENT: Final = "traceparent"

# Of 32 hexadecimal digits, as a UUID or without its dashes (nginx, W3C): nothing that a person
# thinks of, such as a chart number, has this form.
_ID: Final = re.compile(
    r"[0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE
)
# W3C Trace Context, version 00; ids of zeros only are invalid.
_TRACE: Final = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


class RequestInfo(msgspec.Struct, frozen=True):
    """What a request is known by.

    Args:
        request_id: its id.
        traceparent: the trace that it is a part of, as it came; None where it is none.
    """

    request_id: str
    traceparent: str | None = None

    @property
    def trace_id(self) -> str | None:
        """The trace's id."""
        return None if self.traceparent is None else self.traceparent[3:35]


_CURRENT: ContextVar[RequestInfo | None] = ContextVar("request", default=None)


def current_request() -> RequestInfo | None:
    """The request that this task works for; None outside of one."""
    return _CURRENT.get()


def outbound_headers() -> dict[str, str]:
    """Headers that let a FHIR server's operator find a read that was made for this request."""
    request = _CURRENT.get()
    if request is None:
        return {}
    headers = {REQUEST_ID: request.request_id}
    if request.traceparent is not None:
        headers[TRACEPARENT] = request.traceparent
    return headers


class RequestIds:
    """ASGI middleware: an id for each request, known to all that it calls, and on its answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on under its id."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = _identified(scope)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[REQUEST_ID] = request.request_id
            await send(message)

        token = _CURRENT.set(request)
        try:
            await self.app(scope, receive, send_with_id)
        finally:
            _CURRENT.reset(token)


def _identified(scope: Scope) -> RequestInfo:
    given = _given(scope, REQUEST_ID)
    trace = _given(scope, TRACEPARENT)
    return RequestInfo(
        given.lower() if given is not None and _ID.fullmatch(given) else str(uuid4()),
        trace if trace is not None and _TRACE.fullmatch(trace) else None,
    )


def _given(scope: Scope, name: str) -> str | None:
    """The one value of a header; None where there is none, or several that contradict."""
    wanted = name.lower().encode("ascii")
    values = {value for key, value in scope["headers"] if key == wanted}
    return values.pop().decode("latin-1") if len(values) == 1 else None
