"""Every search of the trial × every fault × every criterion, through the real screening.

A failed read may take back what a complete one decides, and nothing else: it never decides anything
anew, and never leaves standing what rests on what it could not see.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

import pytest

from cds_service.fhir.http import Limits
from cds_service.fhir.queries import PATIENT_HERE, Search
from cds_service.record.reads import Complete
from tests.faults.conftest import TODAY
from tests.faults.fake_fhir import Canary, FakeFhir, GoodAnswers
from tests.faults.fault_book import GAPS, HANGING, OF_ANY_READ, REJECTED, SURVIVED
from tests.faults.screened import Screened, chart_of, excluded_chart, screen

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from cds_service.knowledge import Knowledge
    from tests.faults.fake_fhir import Fault, Request

# As in the field but for the pages, which a fault may fill.
LIMITS = Limits(pages=5)
WITHIN_S = 3.0
# For faults that last until then; long enough for everything else of a chart.
HANGING_WITHIN_S = 1.0
LONGER = (1, 3, 9)
SIDE_BY_SIDE = 6
DECIDED = {"met", "not_met", "not_applicable"}
CHARTS = {"everything-met": chart_of, "excluded-by-much": excluded_chart}


@pytest.fixture(scope="module", params=CHARTS, ids=str)
def chart_name(request: pytest.FixtureRequest) -> str:
    """Whose chart."""
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def good(chart_name: str) -> GoodAnswers:
    """The right answers about that chart."""
    return GoodAnswers(CHARTS[chart_name](chart_name, TODAY))


@pytest.fixture
async def whole(known: Knowledge, good: GoodAnswers, chart_name: str) -> Screened:
    """The screening with nothing wrong."""
    async with FakeFhir(good) as server:
        screened = await screen(known, server, chart_name, TODAY)
    assert screened.chart is not None
    assert {Complete} == set(map(type, screened.chart.reads.values()))
    return screened


def by_search(known: Knowledge) -> list[tuple[Search, Callable[[Request], bool]]]:
    """Every search of the plan, and what tells its requests."""
    return [
        (search, _asks_what(search)) for search in (*known.searches.relevance, *known.searches.rest)
    ]


def _asks_what(search: Search) -> Callable[[Request], bool]:
    by_words = "category:not" in search.template.replace("%3A", ":")

    def matches(request: Request) -> bool:
        if request.kind != search.resource_type:
            return False
        return search.resource_type != "Observation" or by_words == request.asks("category:not")

    return matches


async def in_turn(cells: Sequence[Callable[[], Awaitable[None]]], apart_s: float = 0) -> None:
    """Run cells some at a time; the first that fails ends it."""
    slots = asyncio.Semaphore(SIDE_BY_SIDE)

    async def one(cell: Callable[[], Awaitable[None]], after_s: float) -> None:
        async with slots:
            # Cells that last until their deadline shall not have it at one moment.
            await asyncio.sleep(after_s)
            await cell()

    async with asyncio.TaskGroup() as group:
        for number, cell in enumerate(cells):
            group.create_task(one(cell, apart_s * (number % SIDE_BY_SIDE)))


class Cells:
    """The cells of one fault: each search of the plan fails in turn."""

    def __init__(
        self, known: Knowledge, good: GoodAnswers, whole: Screened, canary: Canary, name: str
    ) -> None:
        self.known = known
        self.good = good
        self.whole = whole
        self.canary = canary
        self.patient = name

    async def screened(
        self, what: str | Callable[[Request], bool], fault: Fault, within_s: float
    ) -> Screened:
        """Screen while something fails; time, retries and open connections are checked."""
        async with FakeFhir(self.good, canary=self.canary) as server:
            server.fails(what, fault)
            screened = await screen(
                self.known, server, self.patient, TODAY, within_s=within_s, limits=LIMITS
            )
            screened.check_in_time(within_s)
            asked = Counter(request.target for request in server.requests)
            assert max(asked.values()) <= 2, asked.most_common(1)
            for _ in range(100):
                if not server.in_work:
                    break
                await asyncio.sleep(0.01)
            assert 0 == server.in_work, "a request outlives the answer"
        return screened

    async def gap(
        self, search: Search, matches: Callable[[Request], bool], fault: Fault, within_s: float
    ) -> None:
        """One search fails: its type is unread, and nothing is decided that was not.

        A busy machine may not read the searches beside it in so short a time: they have more, and
        one that waits for the fault would not be read in any time.
        """
        type_ = search.resource_type
        for longer in LONGER:
            screened = await self.screened(matches, fault, longer * within_s)
            assert screened.chart is not None
            assert screened.report is not None
            reads = screened.chart.reads
            assert not isinstance(reads[type_], Complete), type_
            unread = {one for one, read in reads.items() if not isinstance(read, Complete)}
            self.check_taken_back(screened)
            if {type_} == unread:
                break
        assert {type_} == unread
        assert screened.report.unread, "the answer names what could not be read"

    def check_taken_back(self, screened: Screened) -> None:
        """Whatever is decided was decided with everything read."""
        expected, found = self.whole.statuses(), screened.statuses()
        assert expected.keys() == found.keys()
        for criterion, (status, _) in found.items():
            if status in DECIDED:
                assert expected[criterion][0] == status, criterion


@pytest.fixture
def cells(
    known: Knowledge, good: GoodAnswers, whole: Screened, canary: Canary, chart_name: str
) -> Cells:
    """Everything that the cells of this chart share."""
    return Cells(known, good, whole, canary, chart_name)


@pytest.mark.parametrize("name", [*GAPS, *REJECTED])
async def test_no_fault_of_any_search_decides_anything(cells: Cells, name: str) -> None:
    """Each search of the plan in turn; the searches beside it are read as ever."""
    fault = (GAPS | REJECTED)[name]
    await in_turn(
        [
            partial(cells.gap, search, matches, fault, WITHIN_S)
            for search, matches in by_search(cells.known)
            if search.needed or name not in REJECTED
        ]
    )


@pytest.mark.parametrize("name", HANGING)
async def test_no_fault_that_lasts_delays_the_answer(cells: Cells, name: str) -> None:
    """The same, up to the deadline and not beyond."""
    await in_turn(
        [
            partial(cells.gap, search, matches, HANGING[name], HANGING_WITHIN_S)
            for search, matches in by_search(cells.known)
        ],
        apart_s=0.1,
    )


async def test_without_the_patient_there_is_no_report(cells: Cells) -> None:
    """Whatever the fault is: nothing is said about anyone."""

    async def unavailable(fault: Fault, within_s: float) -> None:
        screened = await cells.screened("Patient", fault, within_s)
        assert screened.report is None

    faults = {**OF_ANY_READ, **REJECTED}
    await in_turn(
        [
            *(partial(unavailable, fault, WITHIN_S) for fault in faults.values()),
            *(partial(unavailable, fault, HANGING_WITHIN_S) for fault in HANGING.values()),
        ]
    )


@pytest.mark.parametrize("name", SURVIVED)
async def test_what_is_merely_odd_changes_nothing(cells: Cells, name: str) -> None:
    """The same report as with nothing wrong, on the first attempt or the second."""

    async def same(what: str | Callable[[Request], bool]) -> None:
        screened = await cells.screened(what, SURVIVED[name], WITHIN_S)
        assert cells.whole.report == screened.report

    await in_turn(
        [partial(same, what) for what in ("Patient", *(m for _, m in by_search(cells.known)))]
    )


async def test_everything_at_once_decides_nothing(cells: Cells) -> None:
    """Only the Patient can be read: what is decided then follows from the Patient alone."""
    for name in ("http-500", "http-403", "reset-at-once"):
        fault = GAPS[name]
        screened = await cells.screened(lambda request: request.kind != "Patient", fault, WITHIN_S)
        assert screened.chart is not None
        assert not any(isinstance(read, Complete) for read in screened.chart.reads.values())
        decided = {one for one, (status, _) in screened.statuses().items() if status in DECIDED}
        assert decided <= {"age", "adult"} | _of_the_patient(screened)
        cells.check_taken_back(screened)


def _of_the_patient(screened: Screened) -> set[str]:
    assert screened.report is not None
    return {
        one.id
        for one in screened.report.criteria
        if all(fact.reference.startswith("Patient/") for fact in one.evidence)
    }


def test_the_excluded_chart_is_excluded_by_several_types(whole: Screened, chart_name: str) -> None:
    """Else a failed read of a type would hide nothing."""
    assert whole.report is not None
    types = {
        fact.reference.partition("/")[0]
        for one in whole.report.criteria
        if one.status == "not_met"
        for fact in one.evidence
    }
    wanted = {"Condition", "MedicationStatement", "Observation", "Procedure"}
    assert chart_name == "everything-met" or wanted <= types


def test_every_search_is_told_from_the_others(known: Knowledge) -> None:
    """A cell that failed two searches at once would prove less."""
    from tests.faults.fake_fhir import Request  # noqa: PLC0415

    searches = by_search(known)
    for search, _ in searches:
        url = f"/fhir/{search.template.replace(PATIENT_HERE, '1')}"
        request = Request("GET", url, {})
        assert [search] == [one for one, matches in searches if matches(request)]
