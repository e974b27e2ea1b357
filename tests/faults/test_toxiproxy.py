"""Faults of TCP between the service and a FHIR server, by a real proxy in between."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from cds_service.record.reads import Complete
from tests.faults.conftest import TODAY
from tests.faults.fake_fhir import FakeFhir, GoodAnswers
from tests.faults.screened import Screened, chart_of, excluded_chart, screen
from tests.faults.toxiproxy import NotThere, Proxy, Toxiproxy, running_toxiproxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from cds_service.knowledge import Knowledge

WITHIN_S = 1.5
DECIDED = {"met", "not_met", "not_applicable"}
CHARTS = {"everything-met": chart_of, "excluded-by-much": excluded_chart}
# Kind, attributes: what leaves data unread. Time in ms, rates in kB/s, sizes in bytes.
BREAKING: dict[str, tuple[str, dict[str, Any]]] = {
    "reset at once": ("reset_peer", {"timeout": 0}),
    "reset after a moment": ("reset_peer", {"timeout": 20}),
    "reset on the way up": ("reset_peer", {"timeout": 0, "stream": "upstream"}),
    "cut after 100 bytes": ("limit_data", {"bytes": 100}),
    "cut after 2000 bytes": ("limit_data", {"bytes": 2000}),
    "nothing comes back": ("timeout", {"timeout": 0}),
    "nothing arrives": ("timeout", {"timeout": 0, "stream": "upstream"}),
    "closed after silence": ("timeout", {"timeout": 100}),
    "late": ("latency", {"latency": 5000}),
    "a trickle": ("bandwidth", {"rate": 1}),
    "in drops": ("slicer", {"average_size": 10, "size_variation": 5, "delay": 200_000}),
}
HARMLESS: dict[str, tuple[str, dict[str, Any]]] = {
    "a little late": ("latency", {"latency": 20, "jitter": 10}),
    "closed slowly": ("slow_close", {"delay": 1000}),
    "in slices": ("slicer", {"average_size": 200, "size_variation": 100, "delay": 10}),
    "a narrow line": ("bandwidth", {"rate": 2000}),
}


@pytest.fixture(scope="session")
def toxiproxy() -> Iterator[Toxiproxy]:
    """The proxy; without it these tests are skipped, and in CI they fail."""
    try:
        with running_toxiproxy() as running:
            yield running
    except NotThere as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="module", params=CHARTS, ids=str)
def name(request: pytest.FixtureRequest) -> str:
    """Whose chart."""
    patient: str = request.param
    return patient


@pytest.fixture(scope="module")
def good(name: str) -> GoodAnswers:
    """The right answers about that chart."""
    return GoodAnswers(CHARTS[name](name, TODAY))


@asynccontextmanager
async def proxied(good: GoodAnswers, toxiproxy: Toxiproxy) -> AsyncIterator[tuple[FakeFhir, Proxy]]:
    """A FHIR server behind a proxy."""
    async with FakeFhir(good) as server:
        with toxiproxy.before(server.port) as proxy:
            server.known_as = proxy.origin
            yield server, proxy


async def whole_of(known: Knowledge, good: GoodAnswers, name: str) -> Screened:
    """The screening with nothing in between."""
    async with FakeFhir(good) as server:
        return await screen(known, server, name, TODAY, sent=patient_of(name))


def patient_of(name: str) -> dict[str, Any]:
    """The Patient as an EHR sends it, so that there is a report whatever the server does."""
    chart = CHARTS[name](name, TODAY)
    return {"patient": next(one for one in chart if one["resourceType"] == "Patient")}


@pytest.mark.parametrize("toxic", [*BREAKING, "off"])
async def test_a_broken_connection_decides_nothing(
    known: Knowledge, good: GoodAnswers, toxiproxy: Toxiproxy, name: str, toxic: str
) -> None:
    """What is decided was decided with everything read, and the answer comes in time."""
    whole = await whole_of(known, good, name)
    async with proxied(good, toxiproxy) as (server, proxy):
        if toxic == "off":
            proxy.turn_off()
        else:
            kind, attributes = BREAKING[toxic]
            proxy.poison(kind, **attributes)
        screened = await screen(
            known, server, name, TODAY, within_s=WITHIN_S, sent=patient_of(name)
        )
        # And the Patient from the server as well, which then cannot be had.
        without = await screen(known, server, name, TODAY, within_s=WITHIN_S)

    screened.check_in_time(WITHIN_S)
    without.check_in_time(WITHIN_S)
    assert screened.chart is not None
    assert screened.report is not None
    unread = {t for t, read in screened.chart.reads.items() if not isinstance(read, Complete)}
    assert unread
    assert screened.report.unread
    expected = whole.statuses()
    decided = {one: s[0] for one, s in screened.statuses().items() if s[0] in DECIDED}
    assert decided == {one: expected[one][0] for one in decided}
    assert without.report is None or without.report.unread


@pytest.mark.parametrize("toxic", HARMLESS)
async def test_a_poor_connection_changes_nothing(
    known: Knowledge, good: GoodAnswers, toxiproxy: Toxiproxy, name: str, toxic: str
) -> None:
    """The report is that of a good one."""
    whole = await whole_of(known, good, name)
    async with proxied(good, toxiproxy) as (server, proxy):
        kind, attributes = HARMLESS[toxic]
        proxy.poison(kind, **attributes)
        screened = await screen(known, server, name, TODAY, within_s=10)
    assert whole.report == screened.report
