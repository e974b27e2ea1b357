"""Ids of requests and traces: kept where they have the form of one, made anew otherwise."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import httpx2
import pytest
from starlette.responses import JSONResponse

from cds_service.operations.request_ids import RequestIds, current_request, outbound_headers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import Receive, Scope, Send

UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with what the request is known by."""
    request = current_request()
    assert request is not None
    content = {
        "id": request.request_id,
        "trace": request.trace_id,
        "outbound": outbound_headers(),
    }
    await JSONResponse(content)(scope, receive, send)


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    """An EHR."""
    transport = httpx2.ASGITransport(RequestIds(app))
    async with httpx2.AsyncClient(transport=transport, base_url="http://service") as client:
        yield client


@pytest.mark.parametrize("given", [UUID, UUID.upper(), UUID.replace("-", "")])
async def test_a_good_id_is_kept(http: httpx2.AsyncClient, given: str) -> None:
    """For the request, on its answer, and towards FHIR servers."""
    answer = await http.get("/", headers={"X-Request-ID": given})

    assert given.lower() == answer.headers["x-request-id"]
    assert given.lower() == answer.json()["id"]
    assert {"X-Request-ID": given.lower()} == answer.json()["outbound"]


@pytest.mark.parametrize(
    "given",
    [
        "",
        "4711",
        "ZZ-PATIENT-4711",
        "x" * 32,
        f"{UUID} ",
        f"{UUID}0",
        "a" * 5000,
        "0" * 31,
        "é" * 32,
    ],
)
async def test_any_other_is_replaced(http: httpx2.AsyncClient, given: str) -> None:
    """It may be a chart number, or a line of a log."""
    answer = await http.get("/", headers={"X-Request-ID": given.encode()})

    made = answer.headers["x-request-id"]
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", made)
    assert made not in given


async def test_two_ids_are_none(http: httpx2.AsyncClient) -> None:
    """Two readers could take either."""
    other = UUID.replace("0f8", "0f9")
    answer = await http.get("/", headers=[("X-Request-ID", UUID), ("X-Request-ID", other)])

    assert answer.headers["x-request-id"] not in (UUID, other)


async def test_ids_differ(http: httpx2.AsyncClient) -> None:
    """Each request has its own."""
    ids = {(await http.get("/")).headers["x-request-id"] for _ in range(20)}

    assert 20 == len(ids)


async def test_a_trace_is_passed_on(http: httpx2.AsyncClient) -> None:
    """As it came."""
    answer = await http.get("/", headers={"traceparent": TRACE})

    assert "4bf92f3577b34da6a3ce929d0e0e4736" == answer.json()["trace"]
    assert TRACE == answer.json()["outbound"]["traceparent"]


@pytest.mark.parametrize(
    "given",
    [
        "00-" + "0" * 32 + "-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-" + "0" * 16 + "-01",
        TRACE.upper(),
        "ff" + TRACE[2:],
        TRACE + "-x",
        "ZZ-PATIENT-4711",
    ],
)
async def test_no_trace(http: httpx2.AsyncClient, given: str) -> None:
    """What W3C Trace Context does not allow goes nowhere."""
    answer = await http.get("/", headers={"traceparent": given})

    assert answer.json()["trace"] is None
    assert "traceparent" not in answer.json()["outbound"]


async def test_outside_of_a_request(http: httpx2.AsyncClient) -> None:
    """There is none, also after one."""
    await http.get("/")

    assert current_request() is None
    assert {} == outbound_headers()
