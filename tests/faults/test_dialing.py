"""Where a name may lead, and that it is looked up once."""

from __future__ import annotations

import asyncio
import socket
import traceback
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import httpcore2
import pytest

from cds_service.errors import FhirUnavailable
from cds_service.fhir.http import FhirClients, Limits
from cds_service.fhir.http.dialing import CheckedNetwork, is_fixed, is_forbidden
from tests.faults.fake_fhir import FakeFhir

if TYPE_CHECKING:
    from cds_service.fhir.http.dialing import Address
    from tests.faults.fake_fhir import Canary


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.1.2.3",
        "0.0.0.0",  # noqa: S104 (an address that is refused)
        "0.1.2.3",
        "169.254.169.254",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "::ffff:0:127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::7f00:1",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
        # Teredo holds the client's address inverted: this one is 127.0.0.1.
        "2001:0:4136:e378:8000:63bf:80ff:fffe",
    ],
)
def test_a_name_may_not_lead_here(address: str) -> None:
    """To this machine or its link, however that is written."""
    assert is_forbidden(ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "192.0.2.1",
        "fd00::1",
        "2001:db8::1",
        "64:ff9b::a01:203",
        "::ffff:10.1.2.3",
        "2002:a01:203::",
    ],
)
def test_a_name_may_lead_into_a_hospital(address: str) -> None:
    """Private ranges are where its servers are."""
    assert not is_forbidden(ip_address(address))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "10.0.0.1"])
def test_the_operators_own_address(host: str) -> None:
    """Listed as such, it is meant."""
    assert is_fixed(host)


@pytest.mark.parametrize(
    "host", ["ehr.example", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0", "localhost."]
)
def test_everything_else_is_a_name(host: str) -> None:
    """Also what only the system's resolver takes for an address."""
    assert not is_fixed(host)


def answers(*rounds: list[str]) -> tuple[Any, list[str]]:
    """A name server that gives one answer after the other, and what it was asked."""
    asked: list[str] = []

    async def resolve(host: str, _port: int) -> list[Address]:
        asked.append(host)
        given = rounds[min(len(asked), len(rounds)) - 1]
        return [ip_address(address) for address in given]

    return resolve, asked


@pytest.fixture
def dialled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hosts that connections were opened to, below the check."""
    seen: list[str] = []
    connect = httpcore2.AnyIOBackend.connect_tcp

    async def noting(self: Any, host: str, *args: Any, **kwargs: Any) -> Any:
        seen.append(host)
        return await connect(self, host, *args, **kwargs)

    monkeypatch.setattr(httpcore2.AnyIOBackend, "connect_tcp", noting)
    return seen


@pytest.mark.parametrize("answer", [["127.0.0.1"], ["10.9.9.9", "127.0.0.1"], ["::1"], []])
async def test_a_name_that_leads_here_is_not_called(
    canary: Canary, dialled: list[str], answer: list[str]
) -> None:
    """Not even at another of its addresses; nothing at this port hears of it."""
    resolve, _ = answers(answer)
    port = int(canary.netloc.rpartition(":")[2])

    with pytest.raises(httpcore2.ConnectError, match=r"^the name leads to no usable address$"):
        await CheckedNetwork(resolve).connect_tcp("ehr.example", port, timeout=2)
    assert not dialled


async def test_a_name_is_looked_up_once_for_a_connection(canary: Canary) -> None:
    """An answer that changes in between changes nothing: the address that was checked is used.

    The address is of a network for documentation, where nobody answers: what counts is that the
    second answer of the name server is never asked for, and the canary on loopback never called.
    """
    resolve, asked = answers(["192.0.2.1"], ["127.0.0.1"])
    port = int(canary.netloc.rpartition(":")[2])

    with pytest.raises((httpcore2.ConnectError, httpcore2.ConnectTimeout)):
        await CheckedNetwork(resolve).connect_tcp("ehr.example", port, timeout=0.3)
    assert ["ehr.example"] == asked


async def test_a_name_that_changes_its_mind_is_not_followed(
    monkeypatch: pytest.MonkeyPatch, dialled: list[str]
) -> None:
    """From the client down to the system's own resolver, each connection checks its own look-up."""
    asked = 0

    async def getaddrinfo(*_: Any, **__: Any) -> Any:
        nonlocal asked
        asked += 1
        address = "192.0.2.1" if asked == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    async with FhirClients(Limits(connect_s=0.3)) as clients:
        client = clients.client("http://ehr.example/fhir")
        for _ in range(2):
            with pytest.raises(FhirUnavailable):
                await client.get_json("Patient/1")

    assert asked >= 2
    assert ["192.0.2.1"] == dialled


async def test_a_name_with_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Is no connection, as a server that is off."""

    async def getaddrinfo(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    async with FhirClients() as clients:
        with pytest.raises(FhirUnavailable, match=r"^no connection$"):
            await clients.client("https://ehr.example/fhir").get_json("Patient/1")


async def test_a_name_server_that_is_slow_is_in_the_connection_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not beside it."""

    async def getaddrinfo(*_: Any, **__: Any) -> Any:
        await asyncio.sleep(30)

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    began = asyncio.get_running_loop().time()
    async with FhirClients(Limits(connect_s=0.2)) as clients:
        with pytest.raises(FhirUnavailable, match=r"^timed out$"):
            await clients.client("http://ehr.example/fhir").get_json("Patient/1")
    assert asyncio.get_running_loop().time() - began < 2


async def test_the_next_address_is_tried() -> None:
    """Where the first of several does not answer."""
    refusing = socket.socket()
    refusing.bind(("127.0.0.2", 0))
    port = refusing.getsockname()[1]
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.3", port)
    resolve, asked = answers(["127.0.0.2", "127.0.0.3"])
    async with server:
        # By the one name for which these are allowed.
        stream = await CheckedNetwork(resolve).connect_tcp("localhost", port, timeout=2)
        assert ("127.0.0.3", port) == stream.get_extra_info("server_addr")
        await stream.aclose()
    refusing.close()
    assert ["localhost"] == asked


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_listed_address_of_this_machine_works(host: str) -> None:
    """For a demo, and for an EHR on the same machine."""
    async with FakeFhir() as server, FhirClients() as clients:
        server.fails("Patient", _found)
        base = f"http://{host}:{server.port}/fhir"
        assert b"{}" == await clients.client(base).get_json("Patient/1")
        assert {f"{host}:{server.port}"} == {one.headers["host"] for one in server.requests}


async def test_a_listed_ipv6_address_works() -> None:
    """With its brackets in the URL and without them in the connection."""
    seen: list[bytes] = []

    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n"
        writer.write(head + b"{}")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(reply, "::1", 0)
    async with server, FhirClients() as clients:
        base = f"http://[::1]:{server.sockets[0].getsockname()[1]}/fhir"
        assert b"{}" == await clients.client(base).get_json("Patient/1")


async def _found(exchange: Any) -> None:
    await exchange.answer(200, b"{}")


async def test_the_fault_of_a_name_reaches_no_text(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the name nor its addresses are in an error or a log."""

    async def getaddrinfo(*_: Any, **__: Any) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 443))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    async with FhirClients() as clients:
        with pytest.raises(FhirUnavailable) as caught:
            await clients.client("http://zzname.example/fhir").get_json("Patient/1")

    shown = "".join(traceback.format_exception(caught.value)) + caplog.text
    assert "no connection" == str(caught.value)
    assert "the name leads" not in shown
    assert "127.0.0.1" not in shown
