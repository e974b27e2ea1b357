"""One chart's reads from one FHIR server: what is sent, what is tried again, what an answer is.

An answer is the whole body, or an error whose text is a short reason: never a URL, an id, a token
or a body, since errors end in logs and on cards. The token goes only to the origin and base path it
was given for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Final

import httpx2
import msgspec
import stamina
import stamina.instrumentation

from cds_service.errors import FhirUnavailable
from cds_service.fhir.http.addresses import address_on, below
from cds_service.fhir.http.answers import (
    FHIR_TYPES,
    Failure,
    Outcome,
    broken,
    no_connection,
    not_trusted,
    refusal,
    timed_out,
    too_large,
)
from cds_service.fhir.http.breaker import Breaker
from cds_service.fhir.http.limits import Limits
from cds_service.fhir.http.token import SecretToken
from cds_service.fhir.http.transport import NotTrusted
from cds_service.fhir.scopes import NOTHING_KNOWN, Scopes

# Told the resource type ("other" for what is none), how a read went, and its seconds.
Observe = Callable[[str, Outcome, float], None]

OTHER: Final = "other"
_SILENT: Final = frozenset({"timeout", "no-connection", "broken", "http-5xx"})
_HEADERS: Final = {
    "Accept": "application/fhir+json",
    # Compressed answers are refused unread: a limit on what a decoder gives comes too late.
    "Accept-Encoding": "identity",
    # Servers answer a repeated search from a cache, which may be older than the latest result.
    "Cache-Control": "no-cache",
    "User-Agent": "cds-service",
}
# By default these would log what is retried, and count it in a registry of their own.
stamina.instrumentation.set_on_retry_hooks([])
# Once more, no sooner than the failure says; the time in all is the caller's.
_TWICE: Final = stamina.AsyncRetryingCaller(attempts=2, timeout=None)


class _Again(Exception):
    """Carries a failure that is worth another attempt to the loop that makes it."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure
        super().__init__()


class Server(msgspec.Struct, frozen=True):
    """What all clients of one server share."""

    pool: httpx2.AsyncClient
    places: asyncio.Semaphore
    breaker: Breaker
    limits: Limits
    observe: Observe


class FhirClient:
    """Reads from one FHIR server, with one token, for one chart; made by :class:`FhirClients`.

    Args:
        base_url: the server, as :func:`allowed_server` returned it.
        server: its connections and limits, which outlive the client.
        token: of the hook; None for an open server.
        scopes: what the token may read.
        types: the media types that are read.
        headers: of each read besides those that every read has.
    """

    def __init__(
        self,
        base_url: str,
        server: Server,
        token: SecretToken | None = None,
        scopes: Scopes = NOTHING_KNOWN,
        types: Collection[str] = FHIR_TYPES,
        *,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.base_url = base_url
        self.limits = server.limits
        self.scopes = scopes
        self._server = server
        self._pool = server.pool
        self._token = token
        self._types = types
        asked = {} if types is FHIR_TYPES else {"Accept": ", ".join(sorted(types))}
        self._headers = {**_HEADERS, **asked, **headers}
        self._left = server.limits.total_bytes
        self._began = False
        self._obstacle: str | None = None
        self._answers = 0
        self._silences = 0

    def __repr__(self) -> str:
        return "FhirClient()"

    def address(self, url: str) -> str | None:
        """The absolute address of a relative URL or a link, None where it is not on this server.

        On this server means: same scheme, host and port, and the base path itself or below it.
        """
        return address_on(self.base_url, url)

    async def get_json(
        self, url: str, *, deadline: float | None = None, kind: str = OTHER
    ) -> bytes:
        """Read one address: relative to the base, or a link that the server gave.

        A connection that broke and a server that is busy are tried once more, if that fits.

        Args:
            url: what to read.
            deadline: time of the event loop after which nothing more is tried. The caller cancels
                at that time; this only avoids waiting for a retry that cannot be.
            kind: the resource type that is read, for metrics.

        Raises:
            FhirUnavailable: no usable answer.
            FhirRejected: the server answered 400.
            FhirRefused: the server answered 401 or 403.
        """
        address = self.address(url)
        if address is None:
            raise FhirUnavailable("the address is not on this server")
        started = time.monotonic()
        outcome: Outcome = "cancelled"
        try:
            answer = await self._answer(address, deadline)
            outcome = answer.outcome if isinstance(answer, Failure) else "ok"
        finally:
            if outcome == "cancelled" and not _fits(0, deadline):
                outcome = "timeout"
            self._note(outcome)
            self._server.observe(kind, outcome, time.monotonic() - started)
        if isinstance(answer, Failure):
            raise answer.error
        return answer

    def finished(self) -> None:
        """Say that the chart is read, as far as it could be: the server's health is known by it."""
        if self._answers:
            self._server.breaker.answered()
        elif self._silences:
            self._server.breaker.unanswered()
        self._answers = self._silences = 0

    async def _answer(self, address: str, deadline: float | None) -> bytes | Failure:
        """The body, from the first attempt or the second."""
        if not self._began:
            # Decided once, so that a chart is read from one state of the server's health.
            self._began, self._obstacle = True, self._server.breaker.obstacle()
        if self._obstacle is not None:
            return Failure(FhirUnavailable(self._obstacle), "not-asked")
        try:
            answer = await _TWICE(_backoff, self._attempt, address, deadline)
        except _Again as last:
            answer = last.failure
        if isinstance(answer, Failure) and answer.rest_s:
            self._server.breaker.rest(answer.rest_s)
        return answer

    async def _attempt(self, address: str, deadline: float | None) -> bytes | Failure:
        """Send once; raises only what is worth sending again.

        Raises:
            _Again: the failure may pass.
        """
        answer = await self._once(address)
        if isinstance(answer, Failure) and _fits(answer.retry_in, deadline):
            raise _Again(answer)
        return answer

    async def _once(self, address: str) -> bytes | Failure:
        """Send, and return a failure instead of raising it.

        So no error of the client library is chained to ours: those hold the request, its URL and
        its token.
        """
        try:
            request = self._pool.build_request("GET", address, headers=self._headers)
            # Asked of the URL as the client library understood it, not of its text.
            if self._token is not None and below(self.base_url, str(request.url)):
                request.headers["Authorization"] = self._token.header()
            # Waiting for a connection in the pool itself costs more with each one that waits.
            async with self._server.places:
                response = await self._pool.send(request, stream=True)
                try:
                    return self._refusal(response) or await self._body(response)
                finally:
                    await response.aclose()
        except httpx2.TimeoutException:
            return timed_out()
        except NotTrusted:
            return not_trusted()
        except httpx2.ConnectError:
            return no_connection()
        except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError):
            return broken()

    def _refusal(self, response: httpx2.Response) -> Failure | None:
        headers = response.headers
        return refusal(response.status_code, headers, headers.raw, self.limits, self._types)

    async def _body(self, response: httpx2.Response) -> bytes | Failure:
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            # Counted while reading: several answers of one client may arrive side by side.
            self._left -= len(chunk)
            if len(body) > self.limits.body_bytes or self._left < 0:
                return too_large()
        return bytes(body)

    def _note(self, outcome: Outcome) -> None:
        if outcome in _SILENT:
            self._silences += 1
        elif outcome not in {"not-asked", "cancelled"}:
            self._answers += 1


def _backoff(error: Exception) -> bool | float:
    """Seconds until the next attempt; False for none."""
    return (error.failure.retry_in or 0.0) if isinstance(error, _Again) else False


def _fits(wait: float | None, deadline: float | None) -> bool:
    if wait is None:
        return False
    return deadline is None or asyncio.get_running_loop().time() + wait < deadline
