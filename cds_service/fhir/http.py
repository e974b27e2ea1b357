"""The one door to the network: reading JSON from an allow-listed FHIR server, and nothing else.

It knows addresses, headers, limits and failures; it does not know what a Bundle says. An answer is
the whole body, or an error whose text is a short reason: never a URL, an id, a token or a body,
since errors end in logs and on cards.

The token goes only to the origin and base path it was given for; redirects, proxies of the
environment, cookies and compressed answers are refused. Sources: CDS Hooks 2.0, "FHIR resource
access"; SMART App Launch 2.0, "security considerations".
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
from collections.abc import Iterable
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final, NoReturn, Self
from urllib.parse import urljoin, urlsplit

import httpx2
import msgspec

from cds_service.errors import FhirRefused, FhirRejected, FhirUnavailable, HookError

_BASE: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::(?P<port>\d{1,5}))?"
    r"(?P<path>(?:/[a-z0-9._~!$&'()*+,;=:@-]+)*)/?",
    re.IGNORECASE | re.ASCII,
)
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}
_PRINTABLE: Final = re.compile(r"[!-\[\]-~]+", re.ASCII)
_ORIGIN: Final = re.compile(r"[a-z]+://[^/?#]*", re.IGNORECASE)
# An encoded dot, slash, backslash, NUL or percent sign may become another path on the other side.
_DISGUISED: Final = re.compile(r"%(?:2e|2f|5c|00|25)", re.IGNORECASE)
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_JSON_TYPES: Final = frozenset(
    {"application/fhir+json", "application/json", "application/json+fhir"}
)
_RETRIED: Final = frozenset({500, 502, 503, 504})
_BUSY: Final = frozenset({429, 503})
_HEADERS: Final = {
    "Accept": "application/fhir+json",
    # Compressed answers are refused unread: a limit on what a decoder gives comes too late.
    "Accept-Encoding": "identity",
    # Servers answer a repeated search from a cache, which may be older than the latest result.
    "Cache-Control": "no-cache",
    "User-Agent": "cds-service",
}


def _silence(names: Iterable[str]) -> None:
    for name in names:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


# These log every URL at INFO, and a FHIR URL holds the patient's id.
_silence(("httpx", "httpcore", "httpx2", "httpcore2"))


class SecretToken:
    """A bearer token that shows itself to the HTTP client only.

    Raises:
        HookError: it is not what RFC 6750 calls a bearer token (a line break could add a header).
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        if not _TOKEN.fullmatch(value):
            raise HookError("the access token is not a bearer token")
        self._value = value

    def __repr__(self) -> str:
        return "SecretToken(***)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a token is never stored")

    def header(self) -> str:
        """The value of the ``Authorization`` header."""
        return f"Bearer {self._value}"


class Limits(msgspec.Struct, frozen=True):
    """What one server may cost.

    Args:
        body_bytes: of one answer.
        total_bytes: of all answers to one client, which lives as long as one hook.
        header_bytes, header_count: of one answer.
        connect_s, silence_s: until a connection stands; between two bytes.
        retry_after_s: the longest wait that a busy server may ask for.
        connections: open at a time to one server.
        searches: running side by side for one chart.
        pages, entries: of one search.
    """

    body_bytes: int = 16 * 1024 * 1024
    total_bytes: int = 48 * 1024 * 1024
    header_bytes: int = 32 * 1024
    header_count: int = 100
    connect_s: float = 3
    silence_s: float = 10
    retry_after_s: int = 2
    connections: int = 32
    searches: int = 8
    pages: int = 50
    entries: int = 10_000


def server_base(url: str) -> str | None:
    """The canonical form of a FHIR base URL: lower-case origin, no default port, no last slash.

    None for what is no plain ``http(s)://host[:port]/path``: user information, query, fragment,
    percent signs, backslashes, dot segments and anything outside ASCII are refused, not repaired.
    """
    found = _BASE.fullmatch(url)
    if found is None or not _PRINTABLE.fullmatch(url) or _has_dot_segment(found["path"]):
        return None
    scheme, port = found["scheme"].lower(), found["port"]
    origin = f"{scheme}://{found['host'].lower()}"
    if port is not None and port != _DEFAULT_PORTS[scheme]:
        origin += f":{port}"
    return origin + found["path"]


def allowed_server(url: str, allow_list: Iterable[str]) -> str | None:
    """The canonical base URL, if the list has exactly that origin and base path; else None.

    Decided on the text alone, before any name is looked up. Plain http is allowed only where an
    entry of the list itself is http.
    """
    base = server_base(url)
    return base if base is not None and base in map(server_base, allow_list) else None


def _with_plain_origin(url: str) -> str:
    """The URL with its origin, if it has one, written as the base URL writes it."""
    found = _ORIGIN.match(url)
    if found is None:
        return url
    return f"{server_base(found[0]) or found[0]}{url[found.end() :]}"


def _leads_elsewhere(url: str) -> bool:
    """Whether the path would change where it is resolved or decoded."""
    path = urlsplit(url).path
    return _has_dot_segment(path) or _DISGUISED.search(path) is not None


def _has_dot_segment(path: str) -> bool:
    return any(segment in {".", ".."} for segment in path.split("/"))


class _Failure(msgspec.Struct):
    """Why an attempt gave nothing, and how long to wait before another one; None for never."""

    error: FhirUnavailable | FhirRefused
    retry_in: float | None = None


class FhirClient:
    """Reads from one FHIR server, with one token, for one chart.

    Args:
        base_url: the server, as :func:`allowed_server` returned it.
        token: of the hook; None for an open server.
        limits: what the server may cost.
        pool: the connections, which outlive the client.
    """

    def __init__(
        self, base_url: str, token: SecretToken | None, limits: Limits, pool: httpx2.AsyncClient
    ) -> None:
        self.base_url = base_url
        self.limits = limits
        self._token = token
        self._pool = pool
        self._left = limits.total_bytes

    def __repr__(self) -> str:
        return "FhirClient()"

    def address(self, url: str) -> str | None:
        """The absolute address of a relative URL or a link, None where it is not on this server.

        On this server means: same scheme, host and port, and the base path itself or below it.
        """
        if not _PRINTABLE.fullmatch(url) or "#" in url:
            return None
        try:
            if _leads_elsewhere(url):
                return None
            full = urljoin(f"{self.base_url}/", _with_plain_origin(url))
        except ValueError:
            return None
        # Compared as text, so that whatever a parser might make of it, it starts as the base does.
        rest = full.removeprefix(self.base_url)
        return full if len(rest) < len(full) and rest[:1] in {"/", "?"} else None

    async def get_json(self, url: str, *, deadline: float | None = None) -> bytes:
        """Read one address: relative to the base, or a link that the server gave.

        A connection that broke and a server that is busy are tried once more, if that fits.

        Args:
            url: what to read.
            deadline: time of the event loop after which nothing more is tried. The caller cancels
                at that time; this only avoids waiting for a retry that cannot be.

        Raises:
            FhirUnavailable: no usable answer.
            FhirRejected: the server answered 400.
            FhirRefused: the server answered 401 or 403.
        """
        address = self.address(url)
        if address is None:
            raise FhirUnavailable("the address is not on this server")
        answer = await self._attempt(address)
        if isinstance(answer, _Failure) and _fits(answer.retry_in, deadline):
            await asyncio.sleep(answer.retry_in or 0)
            answer = await self._attempt(address)
        if isinstance(answer, _Failure):
            raise answer.error
        return answer

    async def _attempt(self, address: str) -> bytes | _Failure:
        """Send once, and return a failure instead of raising it.

        So no error of the client library is chained to ours: those hold the request, its URL and
        its token.
        """
        try:
            request = self._pool.build_request("GET", address, headers=_HEADERS)
            if self._token is not None and self._is_ours(request.url):
                request.headers["Authorization"] = self._token.header()
            response = await self._pool.send(request, stream=True)
            try:
                return _refusal(response, self.limits) or await self._body(response)
            finally:
                await response.aclose()
        except httpx2.TimeoutException:
            return _Failure(FhirUnavailable("timed out"))
        except httpx2.ConnectError:
            return _Failure(FhirUnavailable("no connection"), _jitter())
        except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError):
            return _Failure(FhirUnavailable("the connection broke"), _jitter())

    def _is_ours(self, url: httpx2.URL) -> bool:
        """Whether the URL as the client library understood it is still on the server."""
        return str(url).startswith((f"{self.base_url}/", f"{self.base_url}?"))

    async def _body(self, response: httpx2.Response) -> bytes | _Failure:
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            # Counted while reading: several answers of one client may arrive side by side.
            self._left -= len(chunk)
            if len(body) > self.limits.body_bytes or self._left < 0:
                return _Failure(FhirUnavailable("too large"))
        return bytes(body)


class FhirClients:
    """The connections of this process, one pool for each server, so that none waits for another.

    Args:
        limits: what each server may cost.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._pools: dict[str, httpx2.AsyncClient] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def client(self, base_url: str, token: SecretToken | None = None) -> FhirClient:
        """A client for one chart, on a base URL as :func:`allowed_server` returned it."""
        if base_url not in self._pools:
            self._pools[base_url] = _pool(self.limits)
        return FhirClient(base_url, token, self.limits, self._pools[base_url])

    async def aclose(self) -> None:
        """Close every connection."""
        pools = list(self._pools.values())
        self._pools.clear()
        for pool in pools:
            await pool.aclose()


def _pool(limits: Limits) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        trust_env=False,
        follow_redirects=False,
        # A jar that takes nothing: one user's cookie must not travel with another's request.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        timeout=httpx2.Timeout(limits.silence_s, connect=limits.connect_s),
        limits=httpx2.Limits(max_connections=limits.connections),
    )


def _refusal(response: httpx2.Response, limits: Limits) -> _Failure | None:
    """Why this answer is not read, by its status and headers."""
    status, headers = response.status_code, response.headers
    size = sum(len(name) + len(value) for name, value in headers.raw)
    if len(headers.raw) > limits.header_count or size > limits.header_bytes:
        return _Failure(FhirUnavailable("too many headers"))
    if status != 200:
        return _bad_status(status, headers.get("retry-after"), limits)
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        return _Failure(FhirUnavailable("compressed"))
    if headers.get("content-type", "").split(";")[0].strip().lower() not in _JSON_TYPES:
        return _Failure(FhirUnavailable("not FHIR"))
    length = headers.get("content-length", "")
    if length.isdigit() and int(length[:18]) > limits.body_bytes:
        return _Failure(FhirUnavailable("too large"))
    return None


def _bad_status(status: int, retry_after: str | None, limits: Limits) -> _Failure:
    if status in {401, 403}:
        return _Failure(FhirRefused(f"not permitted (HTTP {status})"))
    if status == 400:
        return _Failure(FhirRejected("HTTP 400"))
    if 300 <= status < 400:
        return _Failure(FhirUnavailable("redirected"))
    error = FhirUnavailable(f"HTTP {status}")
    if status in _BUSY and retry_after is not None:
        return _Failure(error, _wait(retry_after, limits))
    return _Failure(error, _jitter() if status in _RETRIED else None)


def _wait(retry_after: str, limits: Limits) -> float | None:
    """The wait a busy server asks for in seconds; None if it is long, a date, or no number."""
    if not re.fullmatch(r"\d{1,4}", retry_after) or int(retry_after) > limits.retry_after_s:
        return None
    return int(retry_after) + _jitter()


def _jitter() -> float:
    """A short wait, different for each caller, so that they do not return all at once."""
    return random.uniform(0.05, 0.15)  # noqa: S311 - spreads load, guards nothing


def _fits(wait: float | None, deadline: float | None) -> bool:
    if wait is None:
        return False
    return deadline is None or asyncio.get_running_loop().time() + wait < deadline
