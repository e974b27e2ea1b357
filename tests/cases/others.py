"""Services of one test's own, and many hooks at once."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
from typer.testing import CliRunner

from cds_service.cli import app
from tests.cases.conftest import (
    PATIENT,
    SERVICE,
    Running,
    Tenant,
    free_port,
    serving,
    settings_for,
)
from tests.faults.fake_fhir import Canary, FakeFhir, in_thread
from tests.faults.screened import chart_of
from tests.trust.ehr import Key

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@contextmanager
def another(folder: Path, today: date, **settings: str) -> Iterator[Running]:
    """A service of one test's own, with the two hospitals."""
    canary = Canary()
    fhir = {name: FakeFhir(chart_of(PATIENT, today), canary=canary) for name in ("alpha", "beta")}
    with ExitStack() as stack:
        stack.enter_context(in_thread(canary, *fhir.values()))
        tenants = {name: Tenant(name, Key(f"{name}-key"), it.base) for name, it in fhir.items()}
        port = free_port()
        for tenant in tenants.values():
            tenant.public_url = f"http://127.0.0.1:{port}"
        environment = settings_for(folder, port, tenants) | settings
        process = stack.enter_context(serving(folder, port, environment))
        yield Running(f"http://127.0.0.1:{port}", process, folder, tenants, fhir, canary)


async def sent_at_once(
    service: Running, tenant: str, hooks: Sequence[Any], *, pace_s: float = 0, at_a_time: int = 1000
) -> list[tuple[int, float]]:
    """Status and seconds of hooks that are sent without waiting for the answers before.

    Args:
        service: where to.
        tenant: who sends them.
        hooks: what is sent.
        pace_s: one is sent each so many seconds.
        at_a_time: at most so many are without an answer.
    """
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    path = service.url + SERVICE
    places = asyncio.Semaphore(at_a_time)
    async with httpx2.AsyncClient(trust_env=False, timeout=30, limits=limits) as client:

        async def one(hook: Any, due: float) -> tuple[int, float]:
            await asyncio.sleep(max(due - time.monotonic(), 0))
            async with places:
                headers = {
                    "content-type": "application/json",
                    "authorization": service.tenants[tenant].bearer(),
                }
                body = json.dumps(hook).encode()
                sent = time.monotonic()
                answer = await client.post(path, content=body, headers=headers)
                return answer.status_code, time.monotonic() - sent

        began = time.monotonic()
        return await asyncio.gather(*(one(it, began + n * pace_s) for n, it in enumerate(hooks)))


def command(*arguments: str) -> str:
    """What a command of the service prints, run in this process; it must succeed."""
    ran = CliRunner().invoke(app, arguments)
    assert ran.exit_code == 0, ran.output
    return ran.stdout
