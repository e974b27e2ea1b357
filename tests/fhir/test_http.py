"""The one door to the network: what it lets out, what it lets in, and how it fails."""

from __future__ import annotations

import asyncio
import gzip
import logging
import pickle
import traceback
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
import respx

from cds_service.errors import FhirError, FhirRefused, FhirRejected, FhirUnavailable, HookError
from cds_service.fhir.http import (
    FhirClient,
    FhirClients,
    Limits,
    SecretToken,
    allowed_server,
    server_base,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

JSON = {"content-type": "application/fhir+json"}
ALLOWED = (
    "https://good.example/fhir/",
    "http://127.0.0.1:8000/fhir",
    "https://good.example:8443/R4",
)


# --- Which servers ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://good.example/fhir", "https://good.example/fhir"),
        ("https://good.example/fhir/", "https://good.example/fhir"),
        ("HTTPS://GOOD.example:443/fhir", "https://good.example/fhir"),
        ("https://good.example:8443/R4", "https://good.example:8443/R4"),
        ("http://127.0.0.1:8000/fhir", "http://127.0.0.1:8000/fhir"),
    ],
)
def test_a_listed_server_is_allowed_in_its_canonical_form(url: str, base: str) -> None:
    """Case of the origin, a default port and a last slash are no differences."""
    assert base == allowed_server(url, ALLOWED)


@pytest.mark.parametrize(
    "url",
    [
        "https://other.example/fhir",
        "http://good.example/fhir",
        "https://good.example/FHIR",
        "https://good.example/fhir/other",
        "https://good.example",
        "https://good.example:8444/R4",
        "https://good.example./fhir",
        "https://good.example.evil.example/fhir",
        "https://good.example@evil.example/fhir",
        "https://user:pw@good.example/fhir",
        "https://evil.example#@good.example/fhir",
        "https://good.example\\@evil.example/fhir",
        "https://good.example%00.evil.example/fhir",
        "https://g\u043e\u043ed.example/fhir",
        "https://good.example/fhir?x=1",
        "https://good.example/fhir#x",
        "https://good.example/fhir/..",
        "https://good.example/x/../fhir",
        "https://good.example/%66hir",
        "https://good.example/%2e%2e/fhir",
        "https://good.example/fhir//",
        " https://good.example/fhir",
        "https://good.example/fhir ",
        "https://good.example/fhir\n",
        "//good.example/fhir",
        "good.example/fhir",
        "file:///etc/passwd",
        "gopher://good.example/fhir",
        "ftp://good.example/fhir",
        "unix:/run/fhir.sock",
        "http://127.0.0.1/fhir",
        "http://localhost:8000/fhir",
        "http://[::1]:8000/fhir",
        "http://2130706433:8000/fhir",
        "http://0x7f000001:8000/fhir",
        "http://127.1:8000/fhir",
        "http://0177.0.0.1:8000/fhir",
        "http://0:8000/fhir",
        "http://[::ffff:7f00:1]:8000/fhir",
        "http://[64:ff9b::7f00:1]:8000/fhir",
        "http://[2002:7f00:1::]:8000/fhir",
        "http://169.254.169.254/latest",
        "",
    ],
)
def test_anything_else_is_refused_by_its_text(url: str) -> None:
    """No name is looked up, so no spelling of an address can get around the list."""
    assert allowed_server(url, ALLOWED) is None


def test_an_entry_that_is_no_base_url_allows_nothing() -> None:
    """Two unusable texts must not be equal to each other."""
    assert allowed_server("nonsense", ["nonsense"]) is None
    assert server_base("https://good.example/fhir?x") is None


# --- Which addresses ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("Patient/1", "https://ehr.example/fhir/Patient/1"),
        ("https://ehr.example/fhir?_getpages=a", "https://ehr.example/fhir?_getpages=a"),
        ("https://ehr.example/fhir/Observation?p=2", "https://ehr.example/fhir/Observation?p=2"),
        ("https://EHR.example:443/fhir?p=2", "https://ehr.example/fhir?p=2"),
        ("/fhir/Observation?p=2", "https://ehr.example/fhir/Observation?p=2"),
        ("?_getpages=a", "https://ehr.example/fhir/?_getpages=a"),
        ("Observation?code=a%2Fb", "https://ehr.example/fhir/Observation?code=a%2Fb"),
    ],
)
def test_an_address_on_the_server(client: FhirClient, url: str, address: str) -> None:
    """Relative, or a link below the base path, or the base itself with a query."""
    assert address == client.address(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://canary.example/fhir/Observation?p=2",
        "//canary.example/fhir",
        "http://ehr.example/fhir/Observation?p=2",
        "https://ehr.example:8443/fhir/Observation",
        "https://user@ehr.example/fhir/Observation",
        "https://ehr.example@canary.example/fhir/",
        "https://ehr.example.canary.example/fhir/",
        "https://ehr.example/other/Observation",
        "https://ehr.example/fhirother",
        "https://ehr.example/fhir/../admin",
        "https://ehr.example/fhir/%2e%2e/admin",
        "https://ehr.example/fhir/%252e%252e/admin",
        "https://ehr.example/fhir\\..\\admin",
        "https://ehr.example/fhir",
        "https://[::1",
        "/other/Observation",
        "Patient/..",
        "Patient/../Observation",
        "Patient/1%2f..",
        "Patient/1#x",
        "Patient/1 2",
        "Patient/1\r\nX-Header: y",
        "Patient/\u00e9",
        "javascript:alert(1)",
        "",
    ],
)
async def test_an_address_elsewhere_is_not_read(
    client: FhirClient, respx_fhir: respx.MockRouter, url: str
) -> None:
    """Refused before a connection: the token could not follow."""
    assert client.address(url) is None
    with pytest.raises(FhirUnavailable, match=r"^the address is not on this server$"):
        await client.get_json(url)
    assert not respx_fhir.calls


# --- What is sent -------------------------------------------------------------------------------


async def test_a_request_asks_for_fresh_uncompressed_fhir_with_the_token(
    client: FhirClient, respx_fhir: respx.MockRouter, base: str
) -> None:
    """Nothing from a cache, nothing to decompress."""
    route = respx_fhir.get(f"{base}/Patient/1").respond(200, json={"id": "1"})

    body = await client.get_json("Patient/1")

    headers = route.calls.last.request.headers
    assert b'{"id":"1"}' == body.replace(b" ", b"")
    assert "application/fhir+json" == headers["accept"]
    assert "identity" == headers["accept-encoding"]
    assert "no-cache" == headers["cache-control"]
    assert "Bearer ZZTOK-1" == headers["authorization"]


async def test_an_open_server_gets_no_authorization(
    clients: FhirClients, respx_fhir: respx.MockRouter, base: str
) -> None:
    """Another client's token does not stay in the shared connections."""
    route = respx_fhir.get(f"{base}/Patient/1").respond(200, json={})

    await clients.client(base, SecretToken("ZZTOK-1")).get_json("Patient/1")
    await clients.client(base).get_json("Patient/1")

    assert "authorization" not in route.calls.last.request.headers


async def test_cookies_are_not_kept(
    clients: FhirClients, respx_fhir: respx.MockRouter, base: str
) -> None:
    """One user's session must not travel with another's request."""
    cookie = {**JSON, "set-cookie": "session=ZZTOK-2; Path=/"}
    route = respx_fhir.get(f"{base}/Patient/1").respond(200, json={}, headers=cookie)

    await clients.client(base).get_json("Patient/1")
    await clients.client(base).get_json("Patient/1")

    assert "cookie" not in route.calls.last.request.headers


async def test_proxies_of_the_environment_are_ignored(
    clients: FhirClients, serving: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Charts go nowhere that nobody configured."""

    async def reply(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
        )

    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with serving(reply) as base:
        assert b"{}" == await clients.client(base).get_json("Patient/1")


def test_one_pool_for_each_server(clients: FhirClients) -> None:
    """A server that hangs blocks its own connections only."""
    first, again = (
        clients.client("https://a.example/fhir"),
        clients.client("https://a.example/fhir"),
    )
    other = clients.client("https://b.example/fhir")

    assert first._pool is again._pool
    assert first._pool is not other._pool


async def test_closing_the_registry_closes_every_pool(clients: FhirClients) -> None:
    """Nothing is left open at shutdown."""
    client = clients.client("https://a.example/fhir")

    await clients.aclose()

    assert client._pool.is_closed


# --- The token ----------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["", "a b", "a\r\nX: y", "a\n", "\u00e4", "a=b", "Bearer a"])
def test_a_token_that_is_none_is_refused_without_being_quoted(value: str) -> None:
    """A line break would add a header."""
    with pytest.raises(HookError) as caught:
        SecretToken(value)
    assert 400 == caught.value.status
    assert "the access token is not a bearer token" == str(caught.value)


def test_a_token_does_not_show(client: FhirClient) -> None:
    """Neither printed, nor stored, nor in what holds it."""
    token = SecretToken("ZZTOK-1")

    assert "ZZTOK" not in f"{token!r} {token} {client!r}"
    with pytest.raises(TypeError):
        pickle.dumps(token)


@pytest.mark.parametrize(
    "fault",
    [httpx2.ConnectError("no"), httpx2.ReadTimeout("slow"), httpx2.RemoteProtocolError("x")],
)
async def test_no_error_leads_to_the_token_or_the_patient(
    client: FhirClient, respx_fhir: respx.MockRouter, base: str, fault: Exception
) -> None:
    """Not in its text, not in its traceback, and not in an error behind it."""
    respx_fhir.get(f"{base}/Patient/ZZPHI-1").mock(side_effect=fault)

    with pytest.raises(FhirUnavailable) as caught:
        await client.get_json("Patient/ZZPHI-1")

    shown = "".join(traceback.format_exception(caught.value))
    assert "ZZTOK" not in shown
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


async def test_the_client_library_does_not_log(
    client: FhirClient, respx_fhir: respx.MockRouter, base: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Its loggers would write every URL, which holds the patient's id."""
    caplog.set_level(logging.DEBUG)
    respx_fhir.get(f"{base}/Patient/ZZPHI-1").respond(200, json={})

    await client.get_json("Patient/ZZPHI-1")

    assert not [record for record in caplog.records if record.name.startswith("http")]


# --- What comes back ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        (204, FhirUnavailable, ("HTTP 204", 1)),
        (206, FhirUnavailable, ("HTTP 206", 1)),
        (301, FhirUnavailable, ("redirected", 1)),
        (302, FhirUnavailable, ("redirected", 1)),
        (307, FhirUnavailable, ("redirected", 1)),
        (308, FhirUnavailable, ("redirected", 1)),
        (400, FhirRejected, ("HTTP 400", 1)),
        (401, FhirRefused, ("not permitted (HTTP 401)", 1)),
        (403, FhirRefused, ("not permitted (HTTP 403)", 1)),
        (404, FhirUnavailable, ("HTTP 404", 1)),
        (410, FhirUnavailable, ("HTTP 410", 1)),
        (429, FhirUnavailable, ("HTTP 429", 1)),
        (500, FhirUnavailable, ("HTTP 500", 2)),
        (501, FhirUnavailable, ("HTTP 501", 1)),
        (502, FhirUnavailable, ("HTTP 502", 2)),
        (503, FhirUnavailable, ("HTTP 503", 2)),
        (504, FhirUnavailable, ("HTTP 504", 2)),
    ],
)
async def test_every_other_status_is_an_error_with_a_short_reason(
    client: FhirClient,
    respx_fhir: respx.MockRouter,
    base: str,
    status: int,
    error: type[FhirError],
    expected: tuple[str, int],
) -> None:
    """Refusals are told apart; only what may pass is tried again, once; no redirect is followed."""
    canary = respx_fhir.get("https://canary.example/fhir/Patient/1").respond(200, json={})
    answer = {"location": "https://canary.example/fhir/Patient/1"}
    route = respx_fhir.get(f"{base}/Patient/1").respond(
        status, json={"id": "ZZPHI"}, headers=answer
    )

    with pytest.raises(FhirError) as caught:
        await client.get_json("Patient/1")

    assert error is type(caught.value)
    assert expected == (str(caught.value), route.call_count)
    assert not canary.called


@pytest.mark.parametrize(
    "fault",
    [
        httpx2.ConnectError("refused"),
        httpx2.ReadError("reset"),
        httpx2.RemoteProtocolError("closed early"),
    ],
)
async def test_a_broken_connection_is_tried_once_more(
    client: FhirClient, respx_fhir: respx.MockRouter, base: str, fault: Exception
) -> None:
    """The second answer counts."""
    answers = [fault, respx.MockResponse(200, json={"id": "1"})]
    route = respx_fhir.get(f"{base}/Patient/1").mock(side_effect=answers)

    assert b'"1"' in await client.get_json("Patient/1")
    assert 2 == route.call_count


async def test_a_timeout_is_not_tried_again(
    client: FhirClient, respx_fhir: respx.MockRouter, base: str
) -> None:
    """There is no time left for a second one."""
    route = respx_fhir.get(f"{base}/Patient/1").mock(side_effect=httpx2.ReadTimeout("slow"))

    with pytest.raises(FhirUnavailable, match=r"^timed out$"):
        await client.get_json("Patient/1")
    assert 1 == route.call_count


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("retry_after", "tries"),
    [
        ("0", 2),
        ("120", 1),
        ("-1", 1),
        ("abc", 1),
        ("", 1),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 1),
    ],
)
async def test_a_busy_server_is_asked_again_if_the_wait_is_short(
    client: FhirClient,
    respx_fhir: respx.MockRouter,
    base: str,
    status: int,
    retry_after: str,
    tries: int,
) -> None:
    """A long wait, a date, or nonsense: not again."""
    busy = {"retry-after": retry_after}
    route = respx_fhir.get(f"{base}/Patient/1").respond(status, headers=busy)

    with pytest.raises(FhirUnavailable, match=f"^HTTP {status}$"):
        await client.get_json("Patient/1")
    assert tries == route.call_count


async def test_no_retry_that_would_end_after_the_deadline(
    client: FhirClient,
    respx_fhir: respx.MockRouter,
    base: str,
    deadline: Callable[[float], float],
) -> None:
    """The reason stays the server's, instead of becoming a timeout."""
    route = respx_fhir.get(f"{base}/Patient/1").respond(503)

    with pytest.raises(FhirUnavailable, match=r"^HTTP 503$"):
        await client.get_json("Patient/1", deadline=deadline(0.01))
    assert 1 == route.call_count


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"content-type": "text/html; charset=utf-8"}, "not FHIR"),
        ({"content-type": "text/plain"}, "not FHIR"),
        ({"content-type": "application/fhir+xml"}, "not FHIR"),
        ({}, "not FHIR"),
        ({**JSON, "content-encoding": "gzip"}, "compressed"),
        ({**JSON, "content-encoding": "gzip, gzip, gzip"}, "compressed"),
        ({**JSON, "content-encoding": "br"}, "compressed"),
        ({**JSON, "content-length": "99999999"}, "too large"),
        ({**JSON, **{f"x-{number}": "a" for number in range(120)}}, "too many headers"),
        ({**JSON, "x-long": "a" * 40_000}, "too many headers"),
    ],
)
async def test_an_answer_that_is_not_read(
    client: FhirClient,
    respx_fhir: respx.MockRouter,
    base: str,
    headers: dict[str, str],
    reason: str,
) -> None:
    """Decided by the headers, before a byte of the body."""
    body = gzip.compress(b"{}" * 1000)
    respx_fhir.get(f"{base}/Patient/1").respond(200, stream=_stream(body), headers=headers)

    with pytest.raises(FhirUnavailable, match=f"^{reason}$"):
        await client.get_json("Patient/1")


async def _stream(body: bytes) -> AsyncIterator[bytes]:
    yield body


@pytest.mark.parametrize(
    "type_", ["application/fhir+json; charset=UTF-8", "application/json", "Application/JSON"]
)
async def test_json_by_its_usual_names_is_read(
    client: FhirClient, respx_fhir: respx.MockRouter, base: str, type_: str
) -> None:
    """Parameters and case do not matter."""
    respx_fhir.get(f"{base}/x").respond(200, content=b"{}", headers={"content-type": type_})

    assert b"{}" == await client.get_json("x")


# --- Servers that misbehave ---------------------------------------------------------------------


async def test_an_endless_body_is_cut_off(serving: Any) -> None:
    """With no length announced, what arrives is counted."""
    sent = 0

    async def reply(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n")
        while sent < 50_000_000:
            writer.write(b" " * 10_000)
            await writer.drain()
            sent += 10_000

    async with serving(reply) as base, FhirClients(Limits(body_bytes=10_000)) as clients:
        with pytest.raises(FhirUnavailable, match=r"^too large$"):
            await clients.client(base).get_json("Observation")
    assert sent < 20_000_000


async def test_all_answers_together_are_limited(respx_fhir: respx.MockRouter, base: str) -> None:
    """A chart cannot fill the memory page by page."""
    respx_fhir.get(f"{base}/x").respond(200, content=b" " * 60, headers=JSON)
    async with FhirClients(Limits(body_bytes=100, total_bytes=100)) as clients:
        client = clients.client(base)

        await client.get_json("x")
        with pytest.raises(FhirUnavailable, match=r"^too large$"):
            await client.get_json("x")
        # Another chart has its own allowance.
        assert await clients.client(base).get_json("x")


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nx: " + b"a" * 300_000,
        b"SMTP 220 hello\r\n\r\n",
        b"",
    ],
)
async def test_what_is_not_http_is_a_broken_connection(
    clients: FhirClients, serving: Any, head: bytes
) -> None:
    """A length that lies, endless headers, another protocol, or nothing at all."""

    async def reply(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        await writer.drain()

    async with serving(reply) as base:
        with pytest.raises(FhirUnavailable, match=r"^the connection broke$"):
            await clients.client(base).get_json("Patient/1")


async def test_a_server_that_is_off(clients: FhirClients, serving: Any) -> None:
    """Refused connections have their own reason."""

    async def reply(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None: ...

    async with serving(reply) as base:
        pass
    with pytest.raises(FhirUnavailable, match=r"^no connection$"):
        await clients.client(base).get_json("Patient/1")


async def test_a_silent_server_times_out(serving: Any) -> None:
    """Even with no deadline, silence ends."""
    release = asyncio.Event()

    async def reply(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        await release.wait()

    async with serving(reply) as base, FhirClients(Limits(silence_s=0.1)) as clients:
        with pytest.raises(FhirUnavailable, match=r"^timed out$"):
            await clients.client(base).get_json("Patient/1")
        release.set()
