"""Joins the HTTP client to a network of ours: one pool of connections made by a given backend.

The client's own transport takes no network backend. Errors of the pool become the client's own, and
nothing of the request is chained to them.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Final

import httpcore2
import httpx2

# An idle connection is let go before most servers do, who might else close it under a request.
_IDLE_S: Final = 5.0


class NotTrusted(httpx2.ConnectError):
    """The server's certificate is not to be trusted."""


class Transport(httpx2.AsyncBaseTransport):
    """Sends requests over HTTP/1.1, with no proxy.

    Args:
        network: makes the connections.
        tls: how certificates are checked.
        connections: how many may be open at a time.
    """

    def __init__(
        self, network: httpcore2.AsyncNetworkBackend, tls: ssl.SSLContext | None, connections: int
    ) -> None:
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=_IDLE_S,
            network_backend=network,
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request, and return its answer once the headers are there."""
        url = httpcore2.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        sent = httpcore2.Request(
            method=request.method,
            url=url,
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        with _as_client_errors():
            answer = await self._pool.handle_async_request(sent)
        return httpx2.Response(
            status_code=answer.status,
            headers=answer.headers,
            stream=_Body(answer),
            extensions=answer.extensions,
        )

    async def aclose(self) -> None:
        """Close every connection."""
        await self._pool.aclose()


class _Body(httpx2.AsyncByteStream):
    def __init__(self, answer: httpcore2.Response) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_client_errors():
            async for part in self._answer.aiter_stream():
                yield part

    async def aclose(self) -> None:
        await self._answer.aclose()


@contextmanager
def _as_client_errors() -> Iterator[None]:
    try:
        yield
    except httpcore2.TimeoutException:
        raise httpx2.TimeoutException("timed out") from None
    except httpcore2.ConnectError as error:
        if any(isinstance(one, ssl.SSLCertVerificationError) for one in _behind(error)):
            raise NotTrusted("not trusted") from None
        raise httpx2.ConnectError("no connection") from None
    except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.UnsupportedProtocol):
        raise httpx2.NetworkError("the connection broke") from None


def _behind(error: BaseException) -> Iterator[BaseException]:
    """The errors that led to one."""
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__ or found.__context__
