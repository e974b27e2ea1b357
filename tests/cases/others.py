"""Services of one test's own, and many hooks at once."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
from typer.testing import CliRunner

from cds_service.cli import app
from tests.cases.conftest import (
    SERVICE,
    Answered,
    Running,
    free_port,
    hospitals,
    serving,
    settings_for,
)
from tests.cases.invariants import watched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


@contextmanager
def another(folder: Path, today: date, **how: Any) -> Iterator[Running]:
    """A service of one test's own; at the end its invariants are checked, as of any other."""
    with hospitals(folder, today, **how) as found, watched(found):
        yield found


def store_url(service: Running) -> str:
    """The address of its store."""
    return f"sqlite:///{service.folder}/store.db"


def settings_again(service: Running) -> dict[str, str]:
    """Those of another process on the same files, for callers who know the service as before."""
    settings = settings_for(service.folder, 0, service.tenants)
    return settings | {"CDS_PUBLIC_URL": service.tenants["alpha"].public_url}


@contextmanager
def started_again(service: Running) -> Iterator[Running]:
    """Another process on the same files."""
    port = free_port()
    with serving(service.folder, port, settings_again(service)) as process:
        yield replace(service, url=f"http://127.0.0.1:{port}", process=process)


async def sent_at_once(
    service: Running,
    tenant: str,
    hooks: Sequence[Any],
    *,
    pace_s: float = 0,
    at_a_time: int = 1000,
    bearer: Callable[[], str] | None = None,
) -> list[tuple[int, float]]:
    """Status and seconds of hooks that are sent without waiting for the answers before.

    Args:
        service: where to.
        tenant: who sends them.
        hooks: what is sent.
        pace_s: one is sent each so many seconds.
        at_a_time: at most so many are without an answer.
        bearer: makes the token of each; a good one unless given.
    """
    bearer = bearer or service.tenants[tenant].bearer
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    path = service.url + SERVICE
    places = asyncio.Semaphore(at_a_time)
    async with httpx2.AsyncClient(trust_env=False, timeout=30, limits=limits) as client:

        async def one(hook: Any, due: float) -> tuple[int, float]:
            await asyncio.sleep(max(due - time.monotonic(), 0))
            async with places:
                headers = {
                    "content-type": "application/json",
                    "authorization": bearer(),
                }
                body = json.dumps(hook).encode()
                sent = time.monotonic()
                answer = await client.post(path, content=body, headers=headers)
                ended = time.monotonic()
                # Its time is that of this loop as well, with all that it has to do at once.
                service.answers.append(Answered(SERVICE, body, answer, sent, ended, timed=False))
                return answer.status_code, ended - sent

        began = time.monotonic()
        return await asyncio.gather(*(one(it, began + n * pace_s) for n, it in enumerate(hooks)))


def command(*arguments: str) -> str:
    """What a command of the service prints, run in this process; it must succeed."""
    ran = CliRunner().invoke(app, arguments)
    assert ran.exit_code == 0, ran.output
    return ran.stdout
