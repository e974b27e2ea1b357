"""Leaving without losing a hook: first unready, still answering; then no new ones; then the end."""

from __future__ import annotations

import time
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cds_service.errors import CdsServiceError

READY: Final = "/health/ready"
_BODY: Final = b'{"status":"unready","reason":"draining"}'


class Drain:
    """Whether the process has been told to end, and when."""

    def __init__(self) -> None:
        self._begun: float | None = None

    def begin(self) -> None:
        """Be unready from now on. May be called from a signal handler."""
        if self._begun is None:
            self._begun = time.monotonic()

    @property
    def begun(self) -> bool:
        """Whether it has been told to end."""
        return self._begun is not None

    def lasted(self, seconds: float) -> bool:
        """Whether it was told to end so many seconds ago."""
        return self._begun is not None and time.monotonic() - self._begun >= seconds


class DrainGate:
    """ASGI wrapper: unready while the process drains, and every connection ends with its answer.

    Args:
        app: the application; it goes on answering hooks.
        drain: whether the process drains.

    Attributes:
        failure: why the application could not start; the server itself would only say that.
    """

    def __init__(self, app: ASGIApp, drain: Drain) -> None:
        self.app = app
        self.drain = drain
        self.failure: CdsServiceError | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] == "lifespan":
            try:
                await self.app(scope, receive, send)
            except CdsServiceError as failure:
                self.failure = failure
                raise
        elif scope["type"] != "http" or not self.drain.begun:
            await self.app(scope, receive, send)
        elif scope["path"] == READY:
            headers = {"Cache-Control": "no-store", "Connection": "close"}
            response = Response(_BODY, 503, headers, media_type="application/json")
            await response(scope, receive, send)
        else:
            await self.app(scope, receive, _closing(send))


def _closing(send: Send) -> Send:
    """Ask a proxy or an EHR that keeps its connection to open another one, to another process."""

    async def send_closing(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)["Connection"] = "close"
        await send(message)

    return send_closing
