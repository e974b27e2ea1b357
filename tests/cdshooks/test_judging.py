"""Judging in the time there is, where the machine has none: no thread is free to judge in."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from cds_service.cdshooks.judging import Judging
from cds_service.fhir.prefetch import read_prefetch
from cds_service.fhir.pull import read_chart
from cds_service.fhir.queries import SearchPlan, plan
from cds_service.fhir.sparing import TOO_MUCH
from cds_service.record.codes import CodeBook
from cds_service.record.reads import COMPLETE, Failed, Read
from cds_service.record.tables import load_tables
from tests.charts import TODAY, bundle, days_ago, everything, lab, order, patient, screener, trial

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cds_service.fhir.chart import Chart
    from cds_service.report import Report

Json = dict[str, Any]
UNREAD = Failed(TOO_MUCH)
LITTLE_S = 0.05
FOR_EVER = float("inf")


@pytest.fixture(scope="module")
def searches() -> SearchPlan:
    """What the service asks for."""
    return plan(trial(), CodeBook(load_tables()))


@pytest.fixture
def judging() -> Judging:
    """As the service has it."""
    return Judging(screener())


@pytest.fixture
def busy(judging: Judging) -> Iterator[None]:
    """All its threads are taken."""
    gate = threading.Event()
    for _ in range(judging._threads._max_workers):
        judging._threads.submit(gate.wait)
    yield
    gate.set()


async def sent(searches: SearchPlan, *resources: Json) -> Chart:
    """A chart as it is sent along with a hook."""
    prefetch = {"patient": msgspec.Raw(json.dumps(patient()).encode())}
    for key, kind in searches.keys.items():
        matching = [one for one in resources if one["resourceType"] == kind]
        page = bundle(*matching, type="searchset")
        prefetch[key] = msgspec.Raw(json.dumps(page).encode())
    known = read_prefetch(prefetch, searches, "anna")
    return await read_chart(None, searches, "anna", FOR_EVER, lambda _: True, known)


def many_results(number: int = 3000) -> list[Json]:
    """So many results of one test."""
    return [lab("platelets", 212, "10*9/L", days_ago(1 + n), id_=f"n{n}") for n in range(number)]


def statuses(report: Report) -> dict[str, str]:
    """By criterion."""
    return {one.id: one.status for one in report.criteria}


def gaps(reads: dict[str, Read]) -> dict[str, Read]:
    """The reads that are not complete."""
    return {kind: read for kind, read in reads.items() if read != COMPLETE}


@pytest.mark.usefixtures("busy")
async def test_many_results(judging: Judging, searches: SearchPlan) -> None:
    """Are unread; all else is judged as ever."""
    chart = await sent(searches, *everything(), *many_results())
    ordinary = screener().screen_chart(await sent(searches, *everything()), TODAY)

    judged = await judging(screener().opened(TODAY), chart, TODAY, LITTLE_S)

    assert {"Observation": UNREAD} == gaps(judged.reads)
    expected, found = statuses(ordinary), statuses(judged.report)
    assert "unknown" == found["platelets"]
    assert "met" == expected["no-alkylator"] == found["no-alkylator"]


@pytest.mark.usefixtures("busy")
async def test_many_drugs(judging: Judging, searches: SearchPlan) -> None:
    """No drug that is not there proves anything then."""
    orders = [order({"text": f"drug {n}"}, "2025-01-01", id_=f"o{n}") for n in range(1500)]
    chart = await sent(searches, *everything(), *orders)

    judged = await judging(screener().opened(TODAY), chart, TODAY, LITTLE_S)

    assert {"MedicationRequest": UNREAD} == gaps(judged.reads)
    assert "unknown" == statuses(judged.report)["no-alkylator"]


@pytest.mark.usefixtures("busy")
async def test_many_vague_dates(judging: Judging, searches: SearchPlan) -> None:
    """In an ordinary chart, too: those facts count for nothing."""
    vague = [lab("platelets", 212, "10*9/L", "2026-11", id_=f"v{n}") for n in range(20)]
    chart = await sent(searches, *everything(), *vague)

    judged = await judging(screener().opened(TODAY), chart, TODAY, LITTLE_S)

    assert {"Observation": UNREAD} == gaps(judged.reads)
    assert "unknown" == statuses(judged.report)["platelets"]


@pytest.mark.usefixtures("busy")
async def test_an_ordinary_chart_needs_no_thread(judging: Judging, searches: SearchPlan) -> None:
    """It is judged at once, however little time there is."""
    chart = await sent(searches, *everything())

    judged = await judging(screener().opened(TODAY), chart, TODAY, 0)

    assert not gaps(judged.reads)
    assert screener().screen_chart(chart, TODAY) == judged.report


async def test_with_time(searches: SearchPlan) -> None:
    """A large chart is judged as it would be without a clock, and compared as well."""
    chart = await sent(searches, *everything(), *many_results(1200))

    judged = await Judging(screener(), screener())(screener().opened(TODAY), chart, TODAY, 60)

    assert screener().screen_chart(chart, TODAY) == judged.report
    assert judged.comparison is not None
    assert judged.comparison.same


async def test_a_clock_that_has_run_out(searches: SearchPlan) -> None:
    """Of a large chart the first few resources are read, and what is rare among them."""
    ticks = iter(range(0, 10**9, 10**6))
    chart = await sent(searches, *everything(), *many_results())

    judged = await Judging(screener(), clock=lambda: next(ticks))(
        screener().opened(TODAY), chart, TODAY, 60
    )

    assert {"Observation"} == set(gaps(judged.reads))
    assert [one for one in judged.report.unread if one.startswith("Observation: too large")]
