"""A server that does not answer is left alone for a while, and no other suffers for it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from cds_service.errors import FhirUnavailable, PatientUnavailable
from cds_service.fhir.http import FhirClients, Limits
from cds_service.fhir.http.breaker import RESTING, SILENT, Breaker
from cds_service.fhir.pull import read_chart
from tests.faults.conftest import TODAY
from tests.faults.fake_fhir import FakeFhir, GoodAnswers
from tests.faults.fault_book import closed_at_once, hang, status
from tests.faults.screened import chart_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from cds_service.fhir.chart import Chart
    from cds_service.knowledge import Knowledge

NAME = "everything-met"


class Clock:
    """A clock that stands still until it is moved."""

    now = 1000.0

    def __call__(self) -> float:
        """The time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The clock."""
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    """Spares a server after three failures; a trial has five seconds."""
    return Breaker(failures=3, trial_s=5, clock=clock)


def fail(breaker: Breaker, times: int) -> None:
    """Let several charts get no answer."""
    for _ in range(times):
        breaker.unanswered()


def test_fewer_failures_change_nothing(breaker: Breaker) -> None:
    """A server may have a bad moment."""
    fail(breaker, 2)
    assert breaker.obstacle() is None


def test_an_answer_in_between_begins_the_count_anew(breaker: Breaker) -> None:
    """Only failures in a row count."""
    fail(breaker, 2)
    breaker.answered()
    fail(breaker, 2)
    assert breaker.obstacle() is None


def test_after_enough_failures_one_chart_tries(breaker: Breaker, clock: Clock) -> None:
    """At once, and the others go without; until the one knows, or did not end in its time."""
    fail(breaker, 3)
    assert [None, SILENT, SILENT] == [breaker.obstacle() for _ in range(3)]
    clock.now += 4.9
    assert SILENT == breaker.obstacle()
    clock.now += 0.1
    assert [None, SILENT] == [breaker.obstacle() for _ in range(2)]


def test_a_success_opens_it_for_all(breaker: Breaker) -> None:
    """At once."""
    fail(breaker, 3)
    assert breaker.obstacle() is None
    breaker.answered()
    assert [None, None] == [breaker.obstacle() for _ in range(2)]


def test_another_failure_is_another_trial(breaker: Breaker) -> None:
    """Still one at a time."""
    fail(breaker, 3)
    assert breaker.obstacle() is None
    breaker.unanswered()
    assert [None, SILENT] == [breaker.obstacle() for _ in range(2)]


def test_a_server_that_asks_for_rest_gets_it(breaker: Breaker, clock: Clock) -> None:
    """The longest wait counts; till then one chart at a time, though it answers."""
    breaker.rest(10)
    breaker.rest(2)
    assert [None, RESTING] == [breaker.obstacle() for _ in range(2)]
    breaker.answered()
    assert [None, RESTING] == [breaker.obstacle() for _ in range(2)]
    clock.now += 10
    assert [None, None] == [breaker.obstacle() for _ in range(2)]


def test_its_state(breaker: Breaker, clock: Clock) -> None:
    """Also where only time has passed."""
    assert "closed" == breaker.state
    fail(breaker, 3)
    assert "open" == breaker.state
    assert breaker.obstacle() is None
    assert "half-open" == breaker.state
    clock.now += 5
    assert "open" == breaker.state
    breaker.answered()
    assert "closed" == breaker.state
    breaker.rest(10)
    assert "open" == breaker.state
    clock.now += 10
    assert "closed" == breaker.state


# --- In the client ------------------------------------------------------------------------------

Pull = "Callable[[FhirClients, FakeFhir], Awaitable[Chart]]"


@pytest.fixture
def pull(known: Knowledge) -> Callable[[FhirClients, FakeFhir], Awaitable[Chart]]:
    """Reads the chart of a server."""

    async def run(clients: FhirClients, server: FakeFhir) -> Chart:
        opened = known.screener.opened(TODAY)
        deadline = asyncio.get_running_loop().time() + 5
        client = clients.client(server.base)
        return await read_chart(client, known.searches, NAME, deadline, opened.relevant)

    return run


@pytest.fixture(scope="module")
def good() -> GoodAnswers:
    """The right answers about one chart."""
    return GoodAnswers(chart_of(NAME, TODAY))


async def refused(pull: Callable[..., Awaitable[Chart]], *args: object) -> str:
    """Why the Patient could not be had."""
    with pytest.raises(PatientUnavailable) as caught:
        await pull(*args)
    return str(caught.value)


async def test_a_server_that_fails_every_chart_is_asked_for_one_at_a_time(
    pull: Callable[..., Awaitable[Chart]], good: GoodAnswers
) -> None:
    """Another server is read all the while; and when it is well, the next chart is read."""
    limits = Limits(failures=2)
    async with FakeFhir(good) as broken, FakeFhir(good) as sound, FhirClients(limits) as clients:
        broken.fails(lambda _: True, closed_at_once)
        assert ["Patient: the connection broke"] * 2 == [
            await refused(pull, clients, broken) for _ in range(2)
        ]
        reasons = await asyncio.gather(*(refused(pull, clients, broken) for _ in range(3)))
        assert ["Patient: the connection broke", *[f"Patient: {SILENT}"] * 2] == sorted(
            reasons, reverse=True
        )
        await pull(clients, sound)
        assert {broken.base: "open", sound.base: "closed"} == clients.breakers()

        broken.recovers()
        chart = await pull(clients, broken)
        assert "closed" == clients.breakers()[broken.base]
        assert {"Complete"} == {type(read).__name__ for read in chart.reads.values()}
        await asyncio.gather(*(pull(clients, broken) for _ in range(3)))


async def test_one_type_that_fails_is_no_failure_of_the_server(
    pull: Callable[..., Awaitable[Chart]], good: GoodAnswers
) -> None:
    """However often."""
    async with FakeFhir(good) as server, FhirClients(Limits(failures=1)) as clients:
        server.fails("Condition", closed_at_once)
        for _ in range(3):
            chart = await pull(clients, server)
            assert "the connection broke" == chart.reads["Condition"].reason  # type: ignore[union-attr]


async def test_refusals_are_answers(
    pull: Callable[..., Awaitable[Chart]], good: GoodAnswers
) -> None:
    """A server that says no is well; each hook brings another token."""
    async with FakeFhir(good) as server, FhirClients(Limits(failures=1)) as clients:
        server.fails(lambda _: True, status(401))
        for _ in range(3):
            assert "not permitted" in await refused(pull, clients, server)


@pytest.mark.parametrize("retry_after", [None, "120", "abc"])
async def test_a_busy_server_is_spared_and_still_read(
    pull: Callable[..., Awaitable[Chart]], good: GoodAnswers, retry_after: str | None
) -> None:
    """The reads beside the one that met it go on; then one chart at a time is read."""
    headers = [] if retry_after is None else [("Retry-After", retry_after)]
    async with FakeFhir(good) as server, FhirClients() as clients:
        server.fails("Condition", status(429, *headers))
        chart = await pull(clients, server)
        gaps = [type_ for type_, read in chart.reads.items() if hasattr(read, "reason")]
        assert ["Condition"] == gaps

        server.recovers()
        first = asyncio.create_task(pull(clients, server))
        await asyncio.sleep(0)
        assert f"Patient: {RESTING}" == await refused(pull, clients, server)
        reads = (await first).reads
        assert {"Complete"} == {type(read).__name__ for read in reads.values()}
        await pull(clients, server)


async def test_a_single_read_decides_nothing_about_the_server(good: GoodAnswers) -> None:
    """Only charts are counted."""
    async with FakeFhir(good) as server, FhirClients(Limits(failures=1)) as clients:
        server.fails("Patient", closed_at_once)
        client = clients.client(server.base)
        for _ in range(3):
            with pytest.raises(FhirUnavailable, match=r"^the connection broke$"):
                await client.get_json("Patient/1")


async def test_a_server_that_hangs_is_known_by_its_deadline(
    known: Knowledge, good: GoodAnswers
) -> None:
    """Being cut off is no answer."""
    opened = known.screener.opened(TODAY)
    async with FakeFhir(good) as server, FhirClients(Limits(failures=1)) as clients:
        server.fails(lambda _: True, hang)
        reasons = []
        for _ in range(2):
            deadline = asyncio.get_running_loop().time() + 0.2
            with pytest.raises(PatientUnavailable) as caught:
                await read_chart(
                    clients.client(server.base), known.searches, NAME, deadline, opened.relevant
                )
            reasons.append(str(caught.value))
        breaker = clients.client(server.base)._server.breaker
        assert [None, SILENT] == [breaker.obstacle() for _ in range(2)]
    assert ["Patient: timed out"] * 2 == reasons
