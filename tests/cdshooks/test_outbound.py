"""What a FHIR server is told of the request that its reads are made for."""

from __future__ import annotations

import asyncio
import re
import uuid
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from cds_service.app import create_app
from cds_service.settings import Settings
from tests.faults.fake_fhir import Canary, FakeFhir
from tests.faults.fault_book import status
from tests.faults.screened import chart_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.faults.fake_fhir import Exchange

SERVICE = "/cds-services/net-retreat-eligibility"
PATIENT = "everything-met"
DAY = date(2026, 11, 23)
ID = "0f8fad5b-d9cb-469f-a165-70867728950e"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
MADE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MARKER = "ZZ-PATIENT-4711"
# What every read has; the two that are tested here come besides.
ALWAYS = {"host", "accept", "accept-encoding", "cache-control", "user-agent", "connection"}


@pytest.fixture
async def canary() -> AsyncIterator[Canary]:
    """A server that nobody may call."""
    async with Canary() as listener:
        yield listener
        assert 0 == listener.connections, listener.heard


@pytest.fixture
async def fhir(canary: Canary) -> AsyncIterator[FakeFhir]:
    """The one server that is listed."""
    async with FakeFhir(chart_of(PATIENT, DAY), canary=canary) as server:
        yield server


@pytest.fixture
async def client(fhir: FakeFhir, tmp_path: Path) -> AsyncIterator[httpx2.AsyncClient]:
    """An EHR."""
    settings = Settings(
        auth="none",
        database_url=f"sqlite:///{tmp_path}/store.db",
        hash_key_file=tmp_path / "hash.key",
        fhir_servers=(fhir.base,),
    )
    app = create_app(settings, now=lambda: datetime(2026, 11, 23, 12, tzinfo=UTC))
    transport = httpx2.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://service") as http,
    ):
        yield http


async def ask(client: httpx2.AsyncClient, server: str, **headers: str) -> httpx2.Response:
    """Call the hook, with nothing sent along; names of headers with underscores."""
    hook: dict[str, Any] = {
        "hook": "patient-view",
        "hookInstance": str(uuid.uuid4()),
        "fhirServer": server,
        "context": {"userId": "Practitioner/9", "patientId": PATIENT},
    }
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.post(SERVICE, json=hook, headers=named)


async def test_every_read_names_its_request(client: httpx2.AsyncClient, fhir: FakeFhir) -> None:
    """The Patient, each search, each next page, and what is tried a second time."""
    failed: list[str] = []

    async def once(exchange: Exchange) -> None:
        failed.append(exchange.request.target)
        await status(503, ("Retry-After", "0"))(exchange)

    fhir.fails(lambda it: it.kind == "Condition" and it.target not in failed, once)

    answer = await ask(client, fhir.base, x_request_id=ID.upper(), traceparent=TRACE)

    assert ID == answer.headers["x-request-id"]
    assert {"Patient", "Condition", "Observation", "Procedure"} < {it.kind for it in fhir.requests}
    assert failed
    assert {(ID, TRACE)} == {
        (it.headers["x-request-id"], it.headers["traceparent"]) for it in fhir.requests
    }
    assert ALWAYS | {"x-request-id", "traceparent"} == {
        name for it in fhir.requests for name in it.headers
    }


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"x_request_id": MARKER, "traceparent": MARKER},
        {"x_request_id": f"{ID}; {MARKER}", "traceparent": f"{TRACE}-{MARKER}"},
        {"x_request_id": "4711", "traceparent": TRACE.upper()},
        {"tracestate": MARKER, "baggage": MARKER, "x_correlation_id": MARKER},
    ],
    ids=["none", "words", "more", "a number", "others"],
)
async def test_nothing_else_of_the_caller_goes_on(
    client: httpx2.AsyncClient, fhir: FakeFhir, given: dict[str, str]
) -> None:
    """What has not the form of an id is replaced by one of ours, and there is no trace."""
    answer = await ask(client, fhir.base, **given)

    made = answer.headers["x-request-id"]
    assert MADE.fullmatch(made)
    assert {made} == {it.headers["x-request-id"] for it in fhir.requests}
    for request in fhir.requests:
        assert ALWAYS | {"x-request-id"} == set(request.headers)
        assert MARKER not in str(request)


async def test_hooks_side_by_side(client: httpx2.AsyncClient, fhir: FakeFhir) -> None:
    """Each has its own, and nothing of the other's."""
    ids = [str(uuid.uuid4()) for _ in range(4)]

    await asyncio.gather(*(ask(client, fhir.base, x_request_id=one) for one in ids))

    sent = [it.headers["x-request-id"] for it in fhir.requests]
    assert set(ids) == set(sent)
    assert 1 == len({sent.count(one) for one in ids})


async def test_nobody_else_is_told(
    client: httpx2.AsyncClient, fhir: FakeFhir, canary: Canary
) -> None:
    """Neither a server that is not listed, nor one that the listed server refers to."""
    elsewhere = f"{canary.origin}/fhir"
    assert 412 == (await ask(client, elsewhere, x_request_id=ID, traceparent=TRACE)).status_code

    fhir.fails("Condition", status(307, ("Location", f"{elsewhere}/Condition")))
    await ask(client, fhir.base, x_request_id=ID, traceparent=TRACE)

    assert {ID} == {it.headers["x-request-id"] for it in fhir.requests}
