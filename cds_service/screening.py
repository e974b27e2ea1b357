"""The spine: a chart becomes a record, a record becomes a report. Every door goes through here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, tzinfo
from decimal import Decimal
from typing import Literal

import msgspec

from cds_service.criteria.attest import Attestation, not_yet_given
from cds_service.criteria.clock import Clock
from cds_service.criteria.evaluate import Evaluator
from cds_service.criteria.finding import SiteFacts
from cds_service.criteria.relevance import SetAside, set_aside
from cds_service.fhir.chart import LARGE_CHART, Chart
from cds_service.fhir.pace import InTime, always
from cds_service.fhir.reader import Reader
from cds_service.fhir.sparing import takes_long, without_much
from cds_service.record.codes import CodeBook
from cds_service.record.model import Record
from cds_service.record.reads import Read
from cds_service.record.units import UnitBook
from cds_service.report import Report, Version
from cds_service.trial.schema import Trial
from cds_service.trial.site import Site

NotConcerned = SetAside | Literal["not-concerned"]
"""Why a trial does not concern a patient, for the audit."""


class _Words:
    """How concepts and amounts are shown, from both books."""

    def __init__(self, codes: CodeBook, units: UnitBook) -> None:
        self._codes = codes
        self._units = units

    def label(self, concept: str) -> str:
        return self._codes.label(concept)

    def shown(self, quantity: str, value: Decimal) -> str:
        return self._units.shown(quantity, value)

    def quantity_of(self, concepts: frozenset[str]) -> str | None:
        return self._codes.quantity_of(concepts)


class Screener:
    """Screens charts for one trial at one site.

    Args:
        trial: the trial.
        site: the site's configuration.
        codes: code tables.
        units: unit tables.

    Raises:
        InputError: the site configures a limit in a unit that it cannot have.
    """

    def __init__(self, trial: Trial, site: Site, codes: CodeBook, units: UnitBook) -> None:
        self.trial = trial
        self.zone: tzinfo = site.zone
        self._reader = Reader(codes, units, site.zone)
        facts = SiteFacts(
            normal_limits=site.normal_limits(units, codes),
            exception_multiple=site.gilbert_bilirubin_uln_multiple,
            activity_tolerance=site.prrt_activity_tolerance,
            settings={"everolimus_access": site.everolimus_access},
        )
        self._evaluator = Evaluator(
            trial,
            facts,
            _Words(codes, units),
            Version(codes.version, codes.digest),
            trial.common.default_time_zone if site.timezone is None else None,
        )

    def screen_chart(
        self, chart: Chart, as_of: date, attestations: Sequence[Attestation] = ()
    ) -> Report:
        """Screen one chart.

        Args:
            as_of: the assumed day of enrolment, in the site's zone.
        """
        return self.opened(as_of).report(chart, attestations)

    def opened(self, as_of: date, in_time: InTime = always) -> OpenChart:
        """One patient's chart while it is being read.

        Args:
            as_of: the assumed day of enrolment, in the site's zone.
            in_time: whether there is time to read more of a large chart.
        """
        return OpenChart(self._reader, self._evaluator, as_of, in_time)


class OpenChart:
    """One patient's chart while it is being read: first whether it is relevant, then the report.

    The record of the first look is kept, so that a chart that needs no second one is read once.
    """

    def __init__(
        self, reader: Reader, evaluator: Evaluator, as_of: date, in_time: InTime = always
    ) -> None:
        self._reader = reader
        self._evaluator = evaluator
        self._as_of = as_of
        self._in_time = in_time
        self._known: tuple[Chart, Record] | None = None

    def relevant(self, chart: Chart) -> bool:
        """Whether a chart, as far as it was read, may concern the trial."""
        answer = self._evaluator.relevance(self._record(chart), self._as_of)
        return answer != "not_relevant"

    def report(self, chart: Chart, attestations: Sequence[Attestation] = ()) -> Report:
        """The report on a chart that was read as far as it could be."""
        record = self._record(chart)
        if issues := not_yet_given(attestations, self._as_of):
            record = msgspec.structs.replace(record, issues=(*record.issues, *issues))
        return self._evaluator.evaluate(record, self._as_of, attestations)

    def report_by(self, other: Screener, chart: Chart) -> Report:
        """The report of another trial, or another version of it, on the same chart.

        Args:
            other: a screener with the same code and unit tables.
        """
        return other._evaluator.evaluate(self._record(chart), self._as_of, ())  # noqa: SLF001

    def why_not(self, chart: Chart, report: Report) -> NotConcerned | None:
        """Why the trial does not concern the patient of a report; None where it may."""
        if report.overall != "not_relevant":
            return None
        return set_aside(self._record(chart).patient, Clock(self._as_of)) or "not-concerned"

    def takes_long(self, chart: Chart) -> bool:
        """Whether others should not have to wait for the report on a chart."""
        if len(chart.entries) > LARGE_CHART:
            return True
        return takes_long(self._record(chart)) and self.relevant(chart)

    def is_read(self, chart: Chart) -> bool:
        """Whether the record of a chart is there; another thread may be making it."""
        known = self._known
        return known is not None and known[0] is chart

    def without_much(self, chart: Chart) -> OpenChart:
        """The same without what takes long to judge."""
        less = OpenChart(self._reader, self._evaluator, self._as_of)
        less._known = (chart, without_much(self._record(chart)))
        return less

    def reads(self, chart: Chart) -> dict[str, Read]:
        """How the reads of a chart went, with what there was no time to look at."""
        return self._record(chart).reads

    def _record(self, chart: Chart) -> Record:
        if self._known is None or self._known[0] is not chart:
            self._known = (chart, self._reader.read(chart, self._in_time))
        return self._known[1]
