"""The one door to the network: reading JSON from an allow-listed FHIR server, and nothing else.

It knows addresses, headers, limits and failures; it does not know what a Bundle says. Redirects,
proxies of the environment, cookies and compressed answers are refused, and no certificate goes
unchecked. Sources: CDS Hooks 2.0, "FHIR resource access"; SMART App Launch 2.0, "security
considerations".
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Iterable, Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self

import httpx2
import msgspec

from cds_service.errors import ConfigError, FhirUnavailable
from cds_service.fhir.http.addresses import allowed_server, origin_of, server_base
from cds_service.fhir.http.answers import KEY_TYPES, Outcome
from cds_service.fhir.http.breaker import Breaker, BreakerState
from cds_service.fhir.http.client import FhirClient, Observe, Server
from cds_service.fhir.http.dialing import CheckedNetwork
from cds_service.fhir.http.limits import Limits
from cds_service.fhir.http.token import SecretToken
from cds_service.fhir.http.transport import Transport
from cds_service.fhir.scopes import NOTHING_KNOWN, Scopes

__all__ = [
    "BreakerState",
    "FhirClient",
    "FhirClients",
    "Limits",
    "SecretToken",
    "allowed_server",
    "server_base",
]

_DOCUMENT_BYTES: Final = 1024 * 1024
_DOCUMENT: Final = "document "
_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


def _silence(names: Iterable[str]) -> None:
    for name in names:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


# These log every URL at INFO, and a FHIR URL holds the patient's id.
_silence(("httpx", "httpcore", "httpx2", "httpcore2"))


class FhirClients:
    """The connections of this process, one pool for each server, so that none waits for another.

    Args:
        limits: what each server may cost.
        ca_file: certificates (PEM) to trust besides those of the system.
        observe: is told of every address that was read: the resource type, how it went, seconds.

    Raises:
        ConfigError: the file holds no certificates.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        ca_file: Path | None = None,
        observe: Observe | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self._observe = observe or _ignore
        self._network = CheckedNetwork()
        # Made now where a file of the operator may be wrong; else with the first https server.
        self._tls = None if ca_file is None else _tls(ca_file)
        self._servers: dict[str, Server] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def client(
        self,
        base_url: str,
        token: SecretToken | None = None,
        scopes: Scopes = NOTHING_KNOWN,
        headers: Mapping[str, str] = _NO_HEADERS,
    ) -> FhirClient:
        """A client for one chart, on a base URL as :func:`allowed_server` returned it.

        Args:
            base_url: the server.
            token: what the EHR lent; None for an open server.
            scopes: what the token may read, as far as that is known.
            headers: of each read besides those that every read has.
        """
        server = self._server(base_url, self.limits)
        return FhirClient(base_url, server, token, scopes, headers=headers)

    def breakers(self) -> dict[str, BreakerState]:
        """The state of each FHIR server's breaker, by its base URL, as far as any was asked."""
        return {
            name: server.breaker.state
            for name, server in self._servers.items()
            if not name.startswith(_DOCUMENT)
        }

    async def document(self, url: str) -> bytes:
        """Read a JSON document at an address of the configuration, such as an issuer's keys.

        Without a token, once or twice, and within the time and limits of any other read.

        Raises:
            FhirUnavailable: no usable answer; also where the URL is not plain.
            FhirRefused: the server answered 401 or 403.
        """
        origin = origin_of(url)
        if origin is None:
            raise FhirUnavailable("the address is no plain URL")
        limits = msgspec.structs.replace(self.limits, body_bytes=_DOCUMENT_BYTES)
        server = self._server(origin, limits, f"{_DOCUMENT}{origin}")
        deadline = asyncio.get_running_loop().time() + limits.silence_s
        try:
            async with asyncio.timeout_at(deadline):
                return await FhirClient(origin, server, types=KEY_TYPES).get_json(
                    url, deadline=deadline
                )
        except TimeoutError:
            raise FhirUnavailable("timed out") from None

    async def aclose(self) -> None:
        """Close every connection."""
        servers = list(self._servers.values())
        self._servers.clear()
        for server in servers:
            await server.pool.aclose()

    def _server(self, base_url: str, limits: Limits, name: str | None = None) -> Server:
        key = name or base_url
        if key not in self._servers:
            if self._tls is None and base_url.startswith("https:"):
                self._tls = _tls(None)
            transport = Transport(self._network, self._tls, limits.connections)
            breaker = Breaker(limits.failures, limits.pause_s)
            self._servers[key] = Server(
                pool=_pool(transport, limits),
                places=asyncio.Semaphore(limits.connections),
                breaker=breaker,
                limits=limits,
                observe=self._observe,
            )
        return self._servers[key]


def _pool(transport: Transport, limits: Limits) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        transport=transport,
        trust_env=False,
        follow_redirects=False,
        # A jar that takes nothing: one user's cookie must not travel with another's request.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        timeout=httpx2.Timeout(limits.silence_s, connect=limits.connect_s),
    )


def _tls(ca_file: Path | None) -> ssl.SSLContext:
    """How certificates are checked: always, by the system's authorities and the operator's.

    Raises:
        ConfigError: the operator's file holds no certificates.
    """
    context = httpx2.create_ssl_context(trust_env=False)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=ca_file)
        except OSError as error:  # also what TLS itself raises
            reason = "no certificates in it" if isinstance(error, ssl.SSLError) else error.strerror
            raise ConfigError(f"{ca_file}: cannot be used ({reason})") from error
    return context


def _ignore(_kind: str, _outcome: Outcome, _seconds: float) -> None:
    """Nobody watches."""
