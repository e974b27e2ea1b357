"""Turns a chart into a record: FHIR resources become typed facts, problems become data issues.

Nothing is guessed and nothing is dropped in silence. A resource of another patient is left out and
reported; a resource with a modifier that is not understood is kept as doubtful; one whose subject
matter cannot be read is kept as unreadable, since it may be about anything of its type.

A chart that is too large for the time there is, is read in part, and its reads say so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import tzinfo
from typing import Any, TypeVar

import msgspec

from cds_service.fhir import decoding, views
from cds_service.fhir.chart import LARGE_CHART, Chart, Entry
from cds_service.fhir.elements import Coder, Issues
from cds_service.fhir.entries import (
    FORMER_TYPES,
    NO_FACTS,
    Item,
    decode_entries,
    medications_by_reference,
)
from cds_service.fhir.medications import Medications
from cds_service.fhir.pace import TOO_LARGE, InTime, Paced, always
from cds_service.fhir.read_drugs import read_exposure, read_procedure_exposure
from cds_service.fhir.read_events import (
    read_adverse_event,
    read_consent,
    read_diagnosis,
    read_patient,
    read_procedure,
)
from cds_service.fhir.read_imaging import read_report, read_scan
from cds_service.fhir.read_results import read_results
from cds_service.fhir.subject import belongs, is_patient, own_references
from cds_service.record.codes import CodeBook
from cds_service.record.model import (
    AdverseEvent,
    ConsentGiven,
    Diagnosis,
    Exposure,
    Patient,
    ProcedureDone,
    Record,
    Report,
    Result,
    Scan,
)
from cds_service.record.reads import COMPLETE, Complete, Partial, Read, worsened
from cds_service.record.units import UnitBook

T = TypeVar("T")
_Fact = Result | Exposure | Diagnosis | ProcedureDone | Scan | Report | AdverseEvent | ConsentGiven


class _Found:
    """Facts as they are collected, by kind, and the names of drugs that the tables do not know."""

    def __init__(self) -> None:
        self._facts: dict[type, list[Any]] = {}
        self.unmapped: list[str] = []

    def add(self, fact: _Fact | str | None) -> None:
        """Take in what reading a resource gave: a fact, the name of a drug, or nothing."""
        if isinstance(fact, str):
            self.unmapped.append(fact)
        elif fact is not None:
            self._facts.setdefault(type(fact), []).append(fact)

    def of(self, kind: type[T]) -> tuple[T, ...]:
        """The facts of one kind, in the order found."""
        return tuple(self._facts.get(kind, ()))


class Reader:
    """Reads charts by one set of tables, in one time zone.

    Args:
        codes: the code tables.
        units: the unit tables.
        zone: the site's time zone.
    """

    def __init__(self, codes: CodeBook, units: UnitBook, zone: tzinfo) -> None:
        self._codes = codes
        self._coder = Coder(codes, units, zone)

    def read(self, chart: Chart, in_time: InTime = always) -> Record:
        """Read a chart into a record.

        Args:
            chart: the chart.
            in_time: whether there is time for more; of a large chart, what is not read then is
                unread. Any other is read to its end.

        Returns:
            The record; a chart without a readable Patient gives a patient of whom nothing is known.
        """
        large = len(chart.entries) > LARGE_CHART
        issues = Issues(list(chart.issues))
        entries = Paced(chart.entries, in_time if large else always)
        items = decode_entries(entries, issues)
        people = [item for item in items if is_patient(item, chart.patient_id)]
        own = own_references(chart, items, people)
        patient = self._patient(chart, people, issues)
        found = _Found()
        medications = Medications(medications_by_reference(items, chart.bases), self._coder)
        paced = Paced(_rare_first(items) if large else items, in_time if large else always)
        for item in paced:
            self._item(item, own, medications, patient, found, issues)
        reads = _as_read(chart.reads, entries.rest, paced.rest)
        return Record(
            patient=patient,
            results=found.of(Result),
            exposures=found.of(Exposure),
            diagnoses=found.of(Diagnosis),
            procedures=found.of(ProcedureDone),
            scans=found.of(Scan),
            reports=found.of(Report),
            adverse_events=found.of(AdverseEvent),
            consents=found.of(ConsentGiven),
            reads=reads,
            unreadable=tuple(issues.unreadable),
            issues=tuple(issues.found),
            unmapped_drugs=tuple(dict.fromkeys(found.unmapped)),
        )

    def _patient(self, chart: Chart, people: Iterable[Item], issues: Issues) -> Patient:
        found = [
            read_patient(item.decoded.view, item.decoded.broken, self._coder, issues)
            for item in people
            if isinstance(item.decoded.view, views.PatientView)
        ]
        if not found:
            return Patient(f"Patient/{chart.patient_id}", None, None)
        if len(found) > 1:
            # Two versions with no order: what one of them says may be out of date.
            doubt = "two versions of the Patient disagree"
            return msgspec.structs.replace(found[0], birth=None, sex=None, doubt=doubt)
        return found[0]

    def _item(
        self,
        item: Item,
        own: frozenset[str],
        medications: Medications,
        patient: Patient,
        found: _Found,
        issues: Issues,
    ) -> None:
        view, broken, reference = item.decoded.view, item.decoded.broken, item.reference
        if view is None or isinstance(view, NO_FACTS):
            return
        if not belongs(view, broken, reference, own, issues):
            return
        if broken:
            names = ", ".join(sorted(broken))
            issues.add("broken-element", reference, f"cannot be read: {names}")
        coder = self._coder
        if isinstance(view, views.ObservationView):
            for result in read_results(view, broken, reference, coder, issues, own):
                found.add(result)
        elif isinstance(view, views.MedicationUse):
            found.add(read_exposure(view, broken, reference, medications, coder, issues))
        else:
            for fact in _events(view, broken, reference, coder, issues, patient):
                found.add(fact)


def _events(
    view: views.View,
    broken: frozenset[str],
    reference: str,
    coder: Coder,
    issues: Issues,
    patient: Patient,
) -> Iterator[_Fact | None]:
    match view:
        case views.ConditionView():
            yield read_diagnosis(view, broken, reference, coder, issues, patient)
        case views.ProcedureView():
            yield read_procedure(view, broken, reference, coder, issues)
            yield read_scan(view, broken, reference, coder, issues)
            yield read_procedure_exposure(view, broken, reference, coder, issues)
        case views.ImagingStudyView():
            yield read_scan(view, broken, reference, coder, issues)
        case views.DiagnosticReportView():
            yield read_scan(view, broken, reference, coder, issues)
            yield read_report(view, broken, reference, coder, issues)
        case views.AdverseEventView():
            yield read_adverse_event(view, broken, reference, coder, issues)
        case views.ConsentView():
            yield read_consent(view, broken, reference, coder, issues)


def _as_read(
    reads: dict[str, Read], undecoded: Sequence[Entry], unread: Iterable[Item]
) -> dict[str, Read]:
    """How the reads went, with what there was no time for.

    Args:
        reads: how they went until then.
        undecoded: entries; one that does not say its type may be of any.
        unread: resources; Patients and Medications among them were looked at before all others.
    """
    rest = {item.kind for item in unread if not isinstance(item.decoded.view, NO_FACTS)}
    cut = rest & reads.keys()
    kinds = {entry.kind or decoding.type_of(entry.raw) or "" for entry in undecoded}
    read = {*reads, "Medication"}
    cut |= read if "" in kinds else read & {FORMER_TYPES.get(kind, kind) for kind in kinds}
    found = dict(reads)
    for kind in cut:
        found[kind] = worsened(reads.get(kind, COMPLETE), Partial(TOO_LARGE))
    _medication_read(found)
    return found


def _medication_read(reads: dict[str, Read]) -> None:
    """Drugs behind references are part of every drug search: a cut read of them cuts those too."""
    state = reads.pop("Medication", None)
    if state is None or isinstance(state, Complete):
        return
    for name in [key for key in reads if key.startswith("Medication")]:
        if isinstance(reads[name], Complete):
            reads[name] = Partial(f"medications: {state.reason}")


def _rare_first(items: Iterable[Item]) -> list[Item]:
    """Types with few resources first, so that many of one type keep no other from being read."""
    kept = [*items]
    sizes = Counter(item.kind for item in kept)
    return sorted(kept, key=lambda item: sizes[item.kind])
