"""Has the service judge a chart: through the same two functions as its command line.

Three readings of one chart: as the record stands; with the answers of a clinician who was asked
before anything was damaged (the truth's own); and with truthful answers to whatever the service
then still asks. The last is the harshest, since a person only says what is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

import msgspec

from cds_service.criteria.attest import read_attestations
from cds_service.fhir.bundle import read_chart_file
from cds_service.record.codes import CodeBook
from cds_service.record.tables import load_tables
from cds_service.record.units import UnitBook
from cds_service.report import Report
from cds_service.screening import Screener
from cds_service.trial.load import load_trial
from cds_service.trial.site import Site
from validation.cohort_folder import Manifest, Truth, site_of

ASKED = frozenset({"unknown", "needs_confirmation"})
_CLINICIAN = "Practitioner/who-knows-the-patient"


class Verdict(msgspec.Struct, frozen=True):
    """What a report says, without its reasons: status and basis by criterion."""

    overall: str
    statuses: dict[str, str]
    bases: dict[str, str | None]


class Readings(msgspec.Struct, frozen=True):
    """What is said of one chart.

    Args:
        record: as the record stands.
        attested: with the answers that the truth holds.
        answered: with truthful answers to all that is asked of a clinician.
    """

    record: Verdict
    attested: Verdict
    answered: Verdict


class Judge:
    """The service, ready to judge charts of one cohort."""

    def __init__(self, manifest: Manifest) -> None:
        tables = load_tables()
        self.codes, self.units = CodeBook(tables), UnitBook(tables)
        self.trial = load_trial(None, self.codes)
        site = Site.model_validate(dict(site_of(manifest)))
        self.screener = Screener(self.trial, site, self.codes, self.units)
        self.criteria = tuple(one.id for one in self.trial.criteria)

    def report(self, chart: bytes, as_of: date) -> Report:
        """The report on a chart, as the record stands."""
        return self.screener.screen_chart(read_chart_file(chart, None), as_of)

    def readings(self, chart: bytes, truth: Truth) -> Readings:
        """What is said of a chart whose truth is known."""
        read = read_chart_file(chart, truth.patient)
        opened = self.screener.opened(truth.as_of)

        def judged(answers: Iterable[dict[str, Any]] = ()) -> Verdict:
            given = read_attestations(list(answers), self.trial)
            return verdict(opened.report(read, given))

        record = judged()
        return Readings(record, judged(truth.answers), judged(truthful_answers(record, truth)))


def verdict(report: Report) -> Verdict:
    """A report without its reasons."""
    return Verdict(
        report.overall,
        {one.id: one.status for one in report.criteria},
        {one.id: one.basis for one in report.criteria},
    )


def truthful_answers(asked_by: Verdict, truth: Truth) -> Sequence[dict[str, Any]]:
    """What is so, for each criterion that the service cannot settle."""
    return [
        {
            "criterion": criterion,
            "answer": "met" if truth.reality[criterion] else "not_met",
            "by": _CLINICIAN,
            "on": truth.as_of,
        }
        for criterion, status in asked_by.statuses.items()
        if status in ASKED
    ]
