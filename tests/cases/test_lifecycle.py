"""The end of a process, a store that fails, clocks, limits, and requests of two lengths."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cases.conftest import SERVICE, Running, metric
from tests.cases.inside import in_process, report_of, status_in
from tests.cases.others import another
from tests.cases.sent import CELLS, chart, lab, prefetch
from tests.cases.test_feedback import locked
from tests.faults.fault_book import hang

if TYPE_CHECKING:
    from tests.faults.fake_fhir import Exchange


@pytest.mark.case("LOD-04")
def test_sigterm_with_hooks_in_work(tmp_path: Path, today: date) -> None:
    """Unready at once, all answered, all in the audit, exit code 0."""

    async def slowly(exchange: Exchange) -> None:
        body = await exchange.good()
        await asyncio.sleep(2)
        await exchange.answer(200, body)

    with another(tmp_path, today, CDS_DEADLINE_SECONDS="8") as service:
        beta = service.fhir["beta"]
        beta.fails("Consent", slowly)
        with ThreadPoolExecutor(20) as pool:
            asked = [pool.submit(service.post, service.hook("beta"), "beta") for _ in range(20)]
            give_up = time.monotonic() + 7
            while sum(it.kind == "Consent" for it in beta.requests) < 20:
                assert time.monotonic() < give_up
                time.sleep(0.02)
            service.process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            during = service.get("/health/ready")
            answers = [one.result() for one in asked]
        code = service.process.wait(20)
        audited = {record["hookInstance"] for record in service.audited()}

    assert 503 == during.status_code
    assert "draining" == during.json()["reason"]
    assert [200] * 20 == [answer.response.status_code for answer in answers]
    assert audited == {answer.instance for answer in answers}
    assert 0 == code


@pytest.mark.case("LOD-06")
def test_an_audit_that_cannot_be_written(service: Running) -> None:
    """No statement without its row: 503, unready, and a metric that an alarm can watch.

    The answer waits for the store's own patience of two seconds, which is more than the deadline
    of this service, so that its time is not compared with that.
    """
    before = len(service.audited())
    answered = metric(service, "cds_http_requests_total", 'status="503"')
    failed = metric(service, "cds_store_failures_total", "")

    with locked(service):
        refused = service.post(service.hook())
        refused.timed = False
        ready = service.get("/health/ready")

    assert 503 == refused.response.status_code
    assert "cards" not in refused.response.text
    assert refused.response.headers["retry-after"].isdecimal()
    assert (503, "store") == (ready.status_code, ready.json()["reason"])
    assert metric(service, "cds_http_requests_total", 'status="503"') > answered
    assert metric(service, "cds_store_failures_total", "") > failed
    assert before == len(service.audited())
    give_up = time.monotonic() + 10
    while service.get("/health/ready").status_code != 200:
        assert time.monotonic() < give_up
        time.sleep(0.2)


@pytest.mark.case("LOD-06")
def test_an_audit_that_fails_after_the_read_did(service: Running) -> None:
    """A Patient that cannot be had, and then an audit that cannot be written: still 503."""
    alpha = service.fhir["alpha"]
    alpha.fails("Patient", hang)
    before = len(alpha.requests)

    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(service.post, service.hook())
        give_up = time.monotonic() + 5
        while len(alpha.requests) == before:  # by then the use of the token was kept
            assert time.monotonic() < give_up
            time.sleep(0.01)
        with locked(service):
            refused = asked.result()
    refused.timed = False

    assert 503 == refused.response.status_code
    assert refused.response.headers["retry-after"].isdecimal()


# --- Clocks, limits, and requests of two lengths --------------------------------------------------


@pytest.mark.case("LOD-10")
@pytest.mark.parametrize(
    ("zone", "now"),
    [
        ("UTC", "2026-11-24T23:30:00+00:00"),
        ("America/Toronto", "2026-11-01T04:30:00+00:00"),
        ("America/Toronto", "2026-11-01T05:30:00+00:00"),
        ("America/Toronto", "2026-03-08T06:30:00+00:00"),
        ("UTC", "2028-02-29T12:00:00+00:00"),
        ("UTC", "2028-03-28T12:00:00+00:00"),
    ],
    ids=["before-midnight", "dst-ends", "dst-ends-again", "dst-begins", "leap", "after-leap"],
)
async def test_clocks_that_jump(tmp_path: Path, zone: str, now: str) -> None:
    """The window is counted in days of the site, whatever hour it is and wherever it jumps to."""
    from zoneinfo import ZoneInfo  # noqa: PLC0415

    clock = [datetime.fromisoformat(now)]
    async with in_process(tmp_path, lambda: clock[0], zone=zone) as client:
        for jump in (0, 1, -1):
            clock[0] = datetime.fromisoformat(now) + timedelta(hours=jump)
            day = clock[0].astimezone(ZoneInfo(zone)).date()
            for days, expected in ((28, "met"), (29, "unknown"), (-1, "unknown")):
                on = (day - timedelta(days=days)).isoformat()
                resources = chart(lab("neutrophils", 2.9, CELLS, on=on), without="anc")
                report = await report_of(client, prefetch(resources))
                assert report["asOf"] == day.isoformat()
                assert expected == status_in(report, "neutrophils"), (jump, days)


@pytest.mark.case("LOD-10")
def test_a_clock_that_is_an_hour_off(service: Running) -> None:
    """An EHR's tokens are refused, and counted under a word that tells why."""
    hour = int(timedelta(hours=1).total_seconds())
    now = int(datetime.now(UTC).timestamp())
    name = "cds_unauthenticated_total"
    for shift, reason in ((hour, "not-yet-valid"), (-hour, "expired")):
        before = metric(service, name, f'"{reason}"')
        bearer = service.tenants["alpha"].bearer(iat=now + shift, exp=now + shift + 300)

        answer = service.post(service.hook(), headers={"authorization": bearer})

        assert 401 == answer.response.status_code
        assert before + 1 == metric(service, name, f'"{reason}"')


@pytest.mark.case("LOD-11")
def test_more_hooks_than_one_may_send(tmp_path: Path, today: date) -> None:
    """429 with a time to try again, for the one who sends too many, and for nobody else."""
    with another(tmp_path, today, CDS_MAX_HOOKS_PER_MINUTE="6") as service:
        sent = {"prefetch": prefetch(chart()), "fhirServer": None, "fhirAuthorization": None}
        answers = [service.post(service.hook("beta", **sent), "beta") for _ in range(12)]
        other = service.post(service.hook(**sent))

    found = [answer.response.status_code for answer in answers]
    assert [200] * 6 == found[:6]
    assert 429 in found[6:]
    assert {200, 429} >= set(found)  # one more may be due by the time
    for answer in answers:
        if answer.response.status_code == 429:
            assert 1 <= int(answer.response.headers["retry-after"]) <= 10
    assert 200 == other.response.status_code


@pytest.mark.case("LOD-14")
@pytest.mark.parametrize(
    "head",
    [
        "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n{}",
        "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        f"X-ZZPHI: {'x' * 100_000}\r\nContent-Length: 2\r\n\r\n{{}}",
    ],
    ids=["both", "both-turned", "two-lengths", "long-line"],
)
def test_requests_that_two_servers_read_in_two_ways(service: Running, head: str) -> None:
    """Refused, and the connection is closed."""
    port = int(service.url.rpartition(":")[2])
    start = (
        f"POST {SERVICE} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Authorization: {service.tenants['alpha'].bearer()}\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        try:
            connection.sendall(f"{start}{head}".encode())
            received = b""
            while chunk := connection.recv(65536):
                received += chunk
        except ConnectionError:
            pass

    assert received.split(b" ")[1] in {b"400", b"431"}
    assert 1 == received.count(b"HTTP/1.1 ")
    assert b"ZZPHI" not in received
