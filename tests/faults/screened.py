"""Screens the patient of a fake FHIR server as a hook would, and holds what happened."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from cds_service.demo import patients
from cds_service.errors import PatientUnavailable
from cds_service.fhir.http import FhirClients, Limits, SecretToken
from cds_service.fhir.prefetch import read_prefetch
from cds_service.fhir.pull import read_chart

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from cds_service.fhir.chart import Chart
    from cds_service.knowledge import Knowledge
    from cds_service.report import Report
    from tests.faults.fake_fhir import FakeFhir

MARGIN_S = 0.25
# By the clock on the wall, beyond the deadline: loose, for a machine that does other work as well.
ANY_MARGIN_S = 1.5
_EXCLUDING = (
    "temozolomide-past",
    "brain-metastases",
    "surgery-recent",
    "platelets-low",
    "embolisation-after-prrt",
)


@dataclass(frozen=True)
class Screened:
    """What a screening gave.

    Args:
        report, chart: None where the Patient could not be had.
        seconds: how long it took.
        late_s: the work done after the deadline, in seconds of this process's own CPU time: what
            else the machine has to do is no fault of a screening.
    """

    report: Report | None
    chart: Chart | None
    seconds: float
    late_s: float

    def check_in_time(self, within_s: float) -> None:
        """Whether the answer came with the deadline."""
        assert self.late_s < MARGIN_S
        assert self.seconds < within_s + ANY_MARGIN_S

    def statuses(self) -> dict[str, tuple[str, str | None]]:
        """Status and basis by criterion."""
        assert self.report is not None
        return {one.id: (one.status, one.basis) for one in self.report.criteria}


async def screen(
    known: Knowledge,
    server: FakeFhir,
    patient_id: str,
    day: date,
    *,
    within_s: float = 5,
    limits: Limits | None = None,
    sent: dict[str, Any] | None = None,
) -> Screened:
    """Screen a patient by pulling everything that was not sent, with a token."""
    loop = asyncio.get_running_loop()
    opened = known.screener.opened(day)
    raw = {key: msgspec.Raw(json.dumps(value).encode()) for key, value in (sent or {}).items()}
    prefetched = read_prefetch(raw, known.searches, patient_id)
    began = time.monotonic()
    deadline = loop.time() + within_s
    at_deadline: list[float] = []
    watch = loop.call_at(deadline, lambda: at_deadline.append(time.process_time()))

    def screened(report: Report | None, chart: Chart | None) -> Screened:
        watch.cancel()
        late_s = time.process_time() - at_deadline[0] if at_deadline else 0.0
        return Screened(report, chart, time.monotonic() - began, late_s)

    async with FhirClients(limits) as clients:
        client = clients.client(server.base, SecretToken("ZZTOK-lent"))
        try:
            chart = await read_chart(
                client, known.searches, patient_id, deadline, opened.relevant, prefetched
            )
        except PatientUnavailable:
            return screened(None, None)
        return screened(opened.report(chart), chart)


def chart_of(name: str, day: date) -> Sequence[dict[str, Any]]:
    """The resources of a demo patient, who has the same id."""
    return next(one for one in patients.load_demo_patients(day) if one.name == name).resources


def excluded_chart(name: str, day: date) -> Sequence[dict[str, Any]]:
    """A chart that violates criteria by data of several types, put together from demo patients."""
    folder = patients.fixtures_directory() / "patients"
    files = [json.loads((folder / f"{one}.json").read_text("utf-8")) for one in _EXCLUDING]
    together: dict[str, Any] = files[0] | {
        part: [resource for file in files for resource in file.get(part, ())]
        for part in ("add", "replace", "remove")
    }
    # The name stands in the ids, as in any demo chart.
    base = (folder / f"{patients.BASE_NAME}.json").read_text("utf-8")
    return patients._load_patient(name, json.dumps(together), base, day)[1].resources
