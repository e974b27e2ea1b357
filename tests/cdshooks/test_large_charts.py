"""Hooks that take long, and the others beside them: the whole service, real tables and trial."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from cds_service.app import create_app
from cds_service.settings import Settings
from tests.charts import days_ago, everything, lab, patient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

Json = dict[str, Any]

SERVICE = "/cds-services/net-retreat-eligibility"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DEADLINE_S = 1.5
# What a busy machine may add.
SLACK_S = 4.0
MANY = 60_000
_OVERLOADED, _ATTEMPTS = 503, 3


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx2.AsyncClient]:
    """An EHR of a service with little time."""
    settings = Settings(
        auth="none",
        database_url=f"sqlite:///{tmp_path}/store.db",
        deadline_seconds=DEADLINE_S,
    )
    app = create_app(settings, now=lambda: NOW)
    transport = httpx2.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://service") as http,
    ):
        yield http


async def hook(client: httpx2.AsyncClient, *resources: Json, entries: str = "") -> bytes:
    """The body of a hook with a complete prefetch.

    Args:
        client: whose service says what it asks for.
        resources: the chart, without the Patient.
        entries: further entries of Observations, as JSON.
    """
    (service,) = (await client.get("/cds-services")).json()["services"]
    prefetch: Json = {"patient": patient()}
    for key, template in service["prefetch"].items():
        kind = template.partition("?")[0]
        matching = [{"resource": one} for one in resources if one["resourceType"] == kind]
        if key != "patient":
            prefetch[key] = {"resourceType": "Bundle", "type": "searchset", "entry": matching}
    prefetch["observations"]["entry"].append("THE REST")
    request = {
        "hook": "patient-view",
        "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "context": {"userId": "Practitioner/9", "patientId": "anna"},
        "prefetch": prefetch,
    }
    return json.dumps(request).replace(', "THE REST"', entries).encode()


def many_results(number: int = MANY) -> str:
    """Entries of so many results, as they stand in a Bundle behind others."""
    one = json.dumps({"resource": lab("platelets", 212, "10*9/L", "DAY", id_="ID")})
    days = [days_ago(1 + n) for n in range(3000)]
    return "".join(
        ", " + one.replace('"DAY"', f'"{days[n % 3000]}"').replace('"ID"', f'"many-{n}"')
        for n in range(number)
    )


async def sent(client: httpx2.AsyncClient, body: bytes) -> httpx2.Response:
    """The answer to a hook; where a busy machine kept the service from it, that to another."""
    for _ in range(_ATTEMPTS):
        started = time.monotonic()
        answer = await client.post(
            SERVICE, content=body, headers={"content-type": "application/json"}
        )
        assert time.monotonic() - started < DEADLINE_S + SLACK_S
        if answer.status_code != _OVERLOADED:
            break
    return answer


def report_in(answer: httpx2.Response) -> Json:
    """The report on the one card of an answer."""
    assert 200 == answer.status_code, answer.text
    (card,) = answer.json()["cards"]
    found: Json = card["extension"]["org.net-retreat.report"]
    return found


def statuses(report: Json) -> dict[str, str]:
    """By criterion."""
    return {one["id"]: one["status"] for one in report["criteria"]}


def reads(folder: Path) -> Json:
    """How the reads of the last hook went, as the audit has it."""
    with sqlite3.connect(folder / "store.db") as database:
        (record,) = database.execute(
            "select record from audit where kind = 'hook' order by seq desc limit 1"
        ).fetchone()
    found: Json = json.loads(record)["reads"]
    return found


async def test_sixty_thousand_results(client: httpx2.AsyncClient, tmp_path: Path) -> None:
    """A card in time, which says what was not read; what rests on it is unknown.

    How much that is depends on the machine. That rare types are read first: tests/fhir/test_pace.py
    """
    body = await hook(client, *everything(), entries=many_results())

    report = report_in(await sent(client, body))

    assert [one for one in report["unread"] if one.startswith("Observation: ")]
    assert not [one for one in report["unread"] if "in time" not in one]
    found = statuses(report)
    assert {"unknown"} == {found[name] for name in ("platelets", "hemoglobin", "bilirubin")}
    kept = reads(tmp_path)
    assert kept["Observation"] in {"partial", "failed"}
    assert len(report["unread"]) == sum(one != "complete" for one in kept.values())


async def test_others_are_answered_meanwhile(client: httpx2.AsyncClient) -> None:
    """Before the large one is: nobody waits for it, whether or not the trial concerns them."""
    body = await hook(client, *everything(), entries=many_results())
    ordinary, nothing = await hook(client, *everything()), await hook(client)
    expected = [report_in(await sent(client, ordinary))["overall"], []]

    large = asyncio.create_task(sent(client, body))
    await asyncio.sleep(0)
    beside = [await sent(client, ordinary), await sent(client, nothing)]

    assert not large.done()
    assert expected == [report_in(beside[0])["overall"], beside[1].json()["cards"]]
    assert report_in(await large)["unread"]


async def test_a_large_chart_for_which_there_is_time(client: httpx2.AsyncClient) -> None:
    """Is read to its end: 1,500 results decide as one does."""
    ordinary = report_in(await sent(client, await hook(client, *everything())))
    body = await hook(client, *everything(), entries=many_results(1500))

    report = report_in(await sent(client, body))

    assert [] == report["unread"]
    assert statuses(ordinary) == statuses(report)


async def test_very_many_vague_dates(client: httpx2.AsyncClient) -> None:
    """Each may be meant in many ways; others are answered before all of them are tried."""
    vague = [
        lab(test, 212, "10*9/L", days_ago(n % 28)[: 7 if n % 30 < 2 else 10], id_=f"v{test}{n}")
        for n in range(150)
        for test in ("platelets", "neutrophils", "lymphocytes")
    ]
    body = await hook(client, *everything(), *vague)
    nothing = await hook(client)

    judged = asyncio.create_task(sent(client, body))
    await asyncio.sleep(0.05)
    beside = await sent(client, nothing)
    report = report_in(await judged)

    assert [] == beside.json()["cards"]
    assert "not_relevant" != report["overall"]
