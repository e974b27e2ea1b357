"""The service inside the test's own process, where its clock can be told what time it is."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING, Any

import httpx2
from pydantic import SecretStr

from cds_service.app import create_app
from cds_service.settings import Settings
from tests.cases.conftest import PATIENT, SERVICE
from tests.cases.sent import DAY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

Json = dict[str, Any]


def at_noon() -> datetime:
    """The day of the clock, at an hour when it is the same day in all of America."""
    return datetime.combine(DAY, time(20), UTC)


@asynccontextmanager
async def in_process(
    folder: Path, now: Callable[[], datetime] = at_noon, *, zone: str = "UTC", **settings: Any
) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of such a service.

    Args:
        folder: for its files.
        now: its clock.
        zone: the site's time zone.
        settings: others of the service.
    """
    (folder / "site.yaml").write_text(f"timezone: {zone}\n", encoding="utf-8")
    app = create_app(
        Settings(
            auth="none",
            site_file=folder / "site.yaml",
            database_url=SecretStr(f"sqlite:///{folder}/store.db"),
            **settings,
        ),
        now=now,
    )
    transport = httpx2.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client,
    ):
        yield client


async def card_of(client: httpx2.AsyncClient, prefetch: Json) -> Json:
    """The card for a prefetch."""
    hook = {
        "hook": "patient-view",
        "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "context": {"userId": "Practitioner/ZZPHI-user", "patientId": PATIENT},
        "prefetch": prefetch,
    }
    answer = await client.post(SERVICE, json=hook)
    (card,) = answer.raise_for_status().json()["cards"]
    found: Json = card
    return found


async def report_of(client: httpx2.AsyncClient, prefetch: Json) -> Json:
    """The report on the card for a prefetch."""
    report: Json = (await card_of(client, prefetch))["extension"]["org.net-retreat.report"]
    return report


def status_in(report: Json, criterion: str) -> str:
    """A criterion's status in a report."""
    (one,) = [one for one in report["criteria"] if one["id"] == criterion]
    found: str = one["status"]
    return found
