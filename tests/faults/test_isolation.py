"""One hospital's FHIR server hangs; another hospital's hooks are answered as ever."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from statistics import median
from typing import TYPE_CHECKING

import pytest

from cds_service.cdshooks.bulkhead import Bulkhead, Shed
from cds_service.errors import PatientUnavailable
from cds_service.fhir.http import FhirClients, Limits
from cds_service.fhir.pull import read_chart
from tests.faults.conftest import TODAY
from tests.faults.fake_fhir import FakeFhir, GoodAnswers
from tests.faults.fault_book import hang
from tests.faults.screened import ANY_MARGIN_S, MARGIN_S, chart_of

if TYPE_CHECKING:
    from cds_service.knowledge import Knowledge

NAME = "everything-met"
HANGING_HOOKS = 200
DEADLINE_S = 6.0
SAMPLES = 20
# A hook that waited for the other hospital's would take what is left of the deadline. The rest is
# for a machine that does other work as well.
LONGEST_S = DEADLINE_S / 3


class Service:
    """What a hook goes through, from the bulkhead to the report."""

    def __init__(
        self, known: Knowledge, clients: FhirClients, deadline_s: float = DEADLINE_S
    ) -> None:
        self.known = known
        self.clients = clients
        self.deadline_s = deadline_s
        self.bulkhead = Bulkhead(total=128, per_caller=64, per_minute=12_000)
        self.results: Counter[str] = Counter()

    async def hook(self, caller: str, server: FakeFhir) -> float:
        """Answer one hook; gives its seconds."""
        began = time.monotonic()
        try:
            async with self.bulkhead.entered(caller):
                opened = self.known.screener.opened(TODAY)
                deadline = asyncio.get_running_loop().time() + self.deadline_s
                client = self.clients.client(server.base)
                chart = await read_chart(
                    client, self.known.searches, NAME, deadline, opened.relevant
                )
                opened.report(chart)
                self.results[f"{caller}: report"] += 1
        except Shed as shed:
            self.results[f"{caller}: {shed.status}"] += 1
        except PatientUnavailable as reason:
            self.results[f"{caller}: {reason}"] += 1
        return time.monotonic() - began

    async def hooks(self, caller: str, server: FakeFhir) -> list[float]:
        """The seconds of hooks one after the other."""
        return [await self.hook(caller, server) for _ in range(SAMPLES)]


@pytest.fixture(scope="module")
def good() -> GoodAnswers:
    """The right answers about one chart."""
    return GoodAnswers(chart_of(NAME, TODAY))


async def test_a_server_that_hangs_slows_nobody_else(known: Knowledge, good: GoodAnswers) -> None:
    """200 hooks of one hospital at a time: its share hangs, the rest is turned away at once.

    After its deadline that server is tried by one hook at a time: the others end at once.
    """
    async with FakeFhir(good) as a, FakeFhir(good) as b, FhirClients() as clients:
        service = Service(known, clients)
        a.fails(lambda _: True, hang)
        alone = await service.hooks("b", b)

        at_deadline: list[float] = []
        note = lambda: at_deadline.append(time.process_time())  # noqa: E731
        asyncio.get_running_loop().call_later(DEADLINE_S, note)
        hanging = [asyncio.create_task(service.hook("a", a)) for _ in range(HANGING_HOOKS)]
        await asyncio.sleep(0.5)  # the cost of so many hooks at once is not what this is about
        beside = await service.hooks("b", b)
        still_hanging = service.bulkhead.in_work
        took = await asyncio.gather(*hanging)
        late_s = time.process_time() - at_deadline[0]
        afterwards = await asyncio.gather(*(service.hook("a", a) for _ in range(4)))
        again = await service.hooks("b", b)

    for when, seconds in (("alone", alone), ("beside", beside), ("afterwards", again)):
        print(f"{when}: median {median(seconds):.3f} s, longest {max(seconds):.3f} s")  # noqa: T201
    assert 64 == still_hanging, "the samples of b were taken while a hung"
    assert median(beside) < 2 * median(alone) + 0.1
    assert max(beside) < LONGEST_S
    assert max(again) < LONGEST_S
    # 64 hooks end at one moment, each with a report of what was read: no dearer than a hook with a
    # whole chart, measured here too, as a machine that traces its tests is slower.
    assert late_s < 64 * median(alone) + MARGIN_S
    assert max(took) < DEADLINE_S + 64 * median(alone) + ANY_MARGIN_S
    # One tries, and the others end at once.
    assert sorted(afterwards)[2] < MARGIN_S
    silent = "not asked: the server did not answer lately"
    assert {
        "a: 503": 136,
        "a: Patient: timed out": 64 + 1,
        f"a: Patient: {silent}": 3,
        "b: report": 3 * SAMPLES,
    } == service.results


async def test_a_server_that_comes_back_is_asked_again(known: Knowledge, good: GoodAnswers) -> None:
    """By one hook first, and by all once that one was answered."""
    limits = Limits(failures=3, pause_s=0.3)
    async with FakeFhir(good) as a, FhirClients(limits) as clients:
        service = Service(known, clients, deadline_s=1)
        a.fails(lambda _: True, hang)
        await asyncio.gather(*(service.hook("a", a) for _ in range(3)))
        a.recovers()
        await asyncio.sleep(0.35)
        await asyncio.gather(*(service.hook("a", a) for _ in range(4)))
        one = service.results["a: report"]
        await asyncio.gather(*(service.hook("a", a) for _ in range(4)))
    assert 1 == one
    assert 5 == service.results["a: report"]
