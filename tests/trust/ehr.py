"""An EHR that signs tokens, a server with its keys, and a clock."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from joserfc import jwk, jws

if TYPE_CHECKING:
    from collections.abc import Mapping

ISS = "https://ehr.example/fhir"
PUBLIC = "https://cds.example"
HOOK = "/cds-services/net-retreat-eligibility"
KINDS = {"ES384": ("EC", "P-384"), "RS384": ("RSA", 2048)}


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 24, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        """The time."""
        return self.time

    def forward(self, **by: float) -> None:
        """Let time pass."""
        self.time += timedelta(**by)


class Key:
    """A key pair of an EHR."""

    def __init__(self, kid: str, algorithm: str = "ES384") -> None:
        self.kid, self.algorithm = kid, algorithm
        kind, size = KINDS[algorithm]
        made: Any = jwk.JWKRegistry.generate_key(kind, size, {"kid": kid})
        self.pair: jwk.ECKey | jwk.RSAKey = made

    @property
    def public(self) -> dict[str, Any]:
        """The public half."""
        return {**self.pair.as_dict(private=False), "kid": self.kid}

    @property
    def private(self) -> dict[str, Any]:
        """Both halves."""
        return {**self.pair.as_dict(private=True), "kid": self.kid}


def segment(value: Any) -> str:
    """A part of a token: a text as it is, anything else as JSON."""
    text = value if isinstance(value, str | bytes) else json.dumps(value)
    raw = text if isinstance(text, bytes) else text.encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def sign(key: Key, header: Any, payload: Any, *, algorithm: str | None = None) -> str:
    """A token with a true signature, whatever its header and payload say."""
    signed = f"{segment(header)}.{segment(payload)}"
    model = jws.JWSRegistry.algorithms[algorithm or key.algorithm]
    return f"{signed}.{segment(model.sign(signed.encode(), key.pair))}"


class Ehr:
    """An EHR and what it says of itself in its tokens."""

    def __init__(self, clock: Clock, key: Key, iss: str = ISS) -> None:
        self.clock, self.key, self.iss = clock, key, iss

    def header(self, **changed: Any) -> dict[str, Any]:
        """The header of a good token; None takes a member out."""
        good = {"alg": self.key.algorithm, "typ": "JWT", "kid": self.key.kid}
        return _changed(good, changed)

    def claims(self, **changed: Any) -> dict[str, Any]:
        """The payload of a good token for the hook; None takes a claim out."""
        issued = int(self.clock().timestamp())
        good = {
            "iss": self.iss,
            "aud": PUBLIC + HOOK,
            "iat": issued,
            "exp": issued + 300,
            "jti": str(uuid.uuid4()),
        }
        return _changed(good, changed)

    def token(self, *, header: Mapping[str, Any] | None = None, **claims: Any) -> str:
        """A token, good but for what is changed."""
        return sign(self.key, self.header(**header or {}), self.claims(**claims))

    def bearer(self, *, header: Mapping[str, Any] | None = None, **claims: Any) -> str:
        """The same as an ``Authorization`` header."""
        return f"Bearer {self.token(header=header, **claims)}"


def _changed(good: dict[str, Any], changed: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in (good | changed).items() if value is not None}


class Memory:
    """Remembers tokens as the store does, for tests of something else; tells what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, datetime]] = []

    async def first_use(self, issuer: str, token_id: str, expires: datetime) -> bool:
        """Whether a token was not used before."""
        used = (issuer, token_id) in {one[:2] for one in self.asked}
        self.asked.append((issuer, token_id, expires))
        return not used


class KeyServer:
    """A server of an EHR's keys, over real HTTP, which can be made to misbehave.

    Args:
        keys: that it gives.
    """

    def __init__(self, *keys: dict[str, Any]) -> None:
        self.body: bytes = b""
        self.give(*keys)
        self.status = 200
        self.content_type = "application/jwk-set+json"
        self.delay_s = 0.0
        self.requests: list[str] = []
        self.asked_for: set[str] = set()
        self.authorizations = 0
        self.url = ""

    def give(self, *keys: Any) -> None:
        """Give these keys from now on."""
        self.body = json.dumps({"keys": keys}).encode()

    async def serve(self, ready: asyncio.Future[None]) -> None:
        """Serve until cancelled."""
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/keys"
        ready.set_result(None)
        async with server:
            await asyncio.Event().wait()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            self.requests.append(request.partition("\r\n")[0])
            self.asked_for |= set(re.findall(r"(?im)^accept: (.*?)\r$", request))
            self.authorizations += "authorization:" in request.lower()
            await asyncio.sleep(self.delay_s)
            writer.write(
                f"HTTP/1.1 {self.status} X\r\ncontent-type: {self.content_type}\r\n"
                f"location: {self.url}/elsewhere\r\n"
                f"content-length: {len(self.body)}\r\nconnection: close\r\n\r\n".encode()
            )
            writer.write(self.body)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the other side has left, or the test is over
        finally:
            writer.close()
