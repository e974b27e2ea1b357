"""Processes that are killed while they write: what they acknowledged is in the store."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from tests.cases.conftest import (
    FEEDBACK,
    PATIENT,
    SERVICE,
    Answered,
    Running,
    free_port,
    hospitals,
    surroundings,
    wait_until_ready,
)
from tests.cases.invariants import Baseline, check_invariants
from tests.cases.others import command, settings_again, started_again, store_url
from tests.cases.sent import Json, chart, prefetch
from tests.cases.test_feedback import item

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

ROOT = Path(__file__).parents[2]
ROUNDS, SIDE_BY_SIDE, WRITERS = 6, 4, 3
LONGEST_LIFE_S = 0.4


@pytest.mark.case("LOD-05")
def test_killed_while_they_write(tmp_path: Path, today: date) -> None:
    """24 processes, four at a time on one store: what was acknowledged is there, nothing by half.

    Each is killed while hooks and feedback of several users are on their way, or while it opens the
    store; the next ones start on what it left. Many more kills, of the store alone, are in
    tests/store/test_crash.py.
    """
    chance = random.Random(20261124)  # noqa: S311  (no secret)
    acknowledged: list[str] = []
    with hospitals(tmp_path, today) as service:
        baseline = Baseline.of(service)
        # What each of them left in log, files and store is looked at with the last one.
        service.watched()
        service.process.kill()
        with _forking(service) as forking, ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            for _ in range(ROUNDS):
                lives = [chance.uniform(0, LONGEST_LIFE_S) for _ in range(SIDE_BY_SIDE)]
                early = [chance.uniform(0, 2 * LONGEST_LIFE_S), *[None] * (SIDE_BY_SIDE - 1)]
                for cards in pool.map(partial(_life, service, forking), lives, early):
                    acknowledged += cards
                assert "head: " in command("audit", "verify", "--database", store_url(service))
        with started_again(service) as after:
            again = after.post(after.hook(prefetch=prefetch(chart()))).response.status_code
            _check_nothing_by_half(after, acknowledged)
            after.watched()
            check_invariants(after, baseline)

    assert 200 == again
    assert ROUNDS * (SIDE_BY_SIDE - 1) <= len(acknowledged)


@contextmanager
def _forking(service: Running) -> Iterator[subprocess.Popen[bytes]]:
    """A program that forks services; at the end all of them were killed."""
    inherited = surroundings(service.folder)
    inherited["PYTHONPATH"] += f"{os.pathsep}{ROOT}"
    with (
        (service.folder / "service.log").open("ab") as log,
        subprocess.Popen(
            [sys.executable, "-m", "tests.cases.forking"],
            cwd=service.folder,
            env=inherited | settings_again(service),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
        ) as forking,
    ):
        yield forking
        assert forking.stdin is not None
        forking.stdin.close()
        assert 0 == forking.wait(20)


FORK = threading.Lock()


def _life(
    service: Running, forking: subprocess.Popen[bytes], life_s: float, early_s: float | None
) -> list[str]:
    """The cards whose feedback was acknowledged by a process that was killed in its work.

    Args:
        service: whose files it works on.
        forking: starts it.
        life_s: how long it lives after it has acknowledged something.
        early_s: how long it lives from its birth on, for one that need not get so far.
    """
    assert forking.stdin is not None
    assert forking.stdout is not None
    port = free_port()
    with FORK:
        forking.stdin.write(f"{port}\n".encode())
        forking.stdin.flush()
        process = int(forking.stdout.readline())
    if early_s is not None:
        time.sleep(early_s)
        os.kill(process, signal.SIGKILL)
        return []
    wait_until_ready(port, forking, service.folder / "service.log")
    one = replace(service, url=f"http://127.0.0.1:{port}")
    acknowledged = asyncio.run(_until_killed(one, process, life_s))
    assert acknowledged, "each lived long enough to acknowledge something"
    return acknowledged


async def _until_killed(service: Running, process: int, life_s: float) -> list[str]:
    acknowledged: list[str] = []
    first = asyncio.Event()
    async with httpx2.AsyncClient(base_url=service.url, trust_env=False, timeout=20) as client:
        writing = [
            asyncio.create_task(_write(service, client, first, acknowledged))
            for _ in range(WRITERS)
        ]
        await asyncio.wait_for(first.wait(), 20)
        await asyncio.sleep(life_s)
        os.kill(process, signal.SIGKILL)
        await asyncio.gather(*writing)
    return acknowledged


async def _write(
    service: Running, client: httpx2.AsyncClient, first: asyncio.Event, acknowledged: list[str]
) -> None:
    """Two hooks and one call of feedback on both cards, again and again."""
    sent = {"prefetch": prefetch(chart()), "fhirServer": None, "fhirAuthorization": None}
    while True:
        cards = []
        for _ in range(2):
            context = {"userId": f"Practitioner/ZZPHI-{uuid.uuid4()}", "patientId": PATIENT}
            answer = await _sent(service, client, SERVICE, service.hook(context=context, **sent))
            if answer is None:
                return
            cards += [answer.card["uuid"]] if answer.card else []
        items = [item(one, overrideReason={"userComment": f"ZZPHI on {one}"}) for one in cards]
        answer = await _sent(service, client, FEEDBACK, {"feedback": items})
        if answer is None:
            return
        if answer.response.status_code == 200:
            acknowledged += cards
            first.set()


async def _sent(
    service: Running, client: httpx2.AsyncClient, path: str, body: Json
) -> Answered | None:
    """The answer; None where the process was killed before it came."""
    content = json.dumps(body).encode()
    bearer = service.tenants["alpha"].bearer(path)
    headers = {"content-type": "application/json", "authorization": bearer}
    began = time.monotonic()
    try:
        response = await client.post(path, content=content, headers=headers)
    except httpx2.TransportError:
        if path == SERVICE:
            service.lost.append(body["hookInstance"])
        return None
    answer = Answered(path, content, response, began, time.monotonic(), timed=False)
    service.answers.append(answer)
    return answer


def _check_nothing_by_half(service: Running, acknowledged: list[str]) -> None:
    """A hook's record and its card; a feedback's record, its row, its comment, and the outcome."""
    with closing(sqlite3.connect(service.folder / "store.db")) as store:

        def query(sql: str) -> list[tuple[Any, ...]]:
            return store.execute(sql).fetchall()

        audit = {
            seq: (kind, json.loads(record))
            for seq, kind, record in query("select seq, kind, record from audit")
        }
        hooks = {
            one["card"]: seq for seq, (kind, one) in audit.items() if kind == "hook" and one["card"]
        }
        judged = {one["card"]: seq for seq, (kind, one) in audit.items() if kind == "feedback"}
        assert [*range(1, len(audit) + 1)] == sorted(audit)
        assert hooks == dict(query("select card, seq from cards"))
        assert {*acknowledged} <= judged.keys()
        assert judged == dict(query("select card, seq from feedback"))
        assert {*judged.values()} == {seq for (seq,) in query("select seq from comments")}
        outcomes = query("select card from cards where outcome is not null")
        assert judged.keys() == {card for (card,) in outcomes}
