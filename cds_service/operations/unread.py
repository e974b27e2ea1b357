"""Ends the connection where an answer comes before the request's body: nobody waits for that.

Else a caller without a token that sends its body a byte at a time would keep the connection for as
long as it likes, although it was answered at once.
"""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# A client that is sending as fast as it can reads its answer only if all of it is taken: a
# connection that is closed on it is reset, and the answer is lost.
REST_SECONDS: Final = 1.0
# That many requests wait for their rest at one time. Any further one is closed on at once.
MOST_WAITING: Final = 64
_TIMED_OUT: Final = 408


class UnreadBodies:
    """ASGI wrapper: takes the rest of a body for a moment, and closes if there is still more.

    Args:
        app: the application, which may answer before it has read the body.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._waiting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http" or not _has_body(scope):
            await self.app(scope, receive, send)
            return
        body = _Body(receive, held_back="expect" in Headers(scope=scope))

        async def send_closing(message: Message) -> None:
            if message["type"] == "http.response.start" and not body.whole:
                if message["status"] != _TIMED_OUT:  # that one has waited
                    await self._take_rest(body)
                if not body.whole:
                    MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        await self.app(scope, body.receive, send_closing)

    async def _take_rest(self, body: _Body) -> None:
        if body.held_back or self._waiting >= MOST_WAITING:
            return
        self._waiting += 1
        try:
            await asyncio.wait_for(body.rest(), REST_SECONDS)
        except TimeoutError:
            pass
        finally:
            self._waiting -= 1


class _Body:
    """A body on its way.

    Args:
        receive: gives the next part of it.
        held_back: whether the client sends it only once it is asked to, by reading.

    Attributes:
        whole: whether the last of it has come, or nothing more will.
        held_back: whether the client still waits to be asked.
    """

    def __init__(self, receive: Receive, *, held_back: bool) -> None:
        self._receive = receive
        self.held_back = held_back
        self.whole = False

    async def receive(self) -> Message:
        """The next part."""
        self.held_back = False
        message = await self._receive()
        if message["type"] != "http.request" or not message.get("more_body", False):
            self.whole = True
        return message

    async def rest(self) -> None:
        """Read on to the end, and keep nothing."""
        while not self.whole:
            await self.receive()


def _has_body(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    return headers.get("content-length", "0").strip("0") != "" or "transfer-encoding" in headers
