"""The service inside the test's own process, where its clock can be told what time it is."""

from __future__ import annotations

import io
from contextlib import asynccontextmanager, redirect_stderr
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING, Any

import httpx2
from pydantic import SecretStr

from cds_service.app import create_app
from cds_service.settings import Settings
from tests.cases.conftest import PATIENT, SERVICE, Answered, hooks_in
from tests.cases.invariants import check_answer, check_audit, check_store, check_text
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
    """A client of such a service; at the end the invariants are checked that it can break.

    It shares its process with the test, so that what a process does is not looked at.

    Args:
        folder: for its files.
        now: its clock.
        zone: the site's time zone.
        settings: others of the service.
    """
    (folder / "site.yaml").write_text(f"timezone: {zone}\n", encoding="utf-8")
    log = io.StringIO()
    with redirect_stderr(log):  # the logger keeps what it finds there
        app = create_app(
            Settings(
                site_file=folder / "site.yaml",
                database_url=SecretStr(f"sqlite:///{folder}/store.db"),
                **({"auth": "none"} | settings),
            ),
            now=now,
        )
    answers: list[Answered] = []

    async def note(response: httpx2.Response) -> None:
        await response.aread()
        if response.request.method == "POST":
            body = await response.request.aread()
            answers.append(Answered(response.url.path, body, response, 0, 0, timed=False))

    transport = httpx2.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(
            transport=transport, base_url="http://127.0.0.1:8000", event_hooks={"response": [note]}
        ) as client,
    ):
        yield client
        metrics = (await client.get("/metrics")).text
    for answer in answers:
        check_answer(answer, 0)
    check_audit(answers, hooks_in(folder / "store.db"))
    check_store(folder / "store.db")
    check_text(metrics, "metrics")
    check_text(log.getvalue(), "log")
    assert ("hook" in log.getvalue()) == any(one.is_hook for one in answers)


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
