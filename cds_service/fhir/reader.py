"""Turns a chart into a record: FHIR resources become typed facts, problems become data issues.

Nothing is guessed and nothing is dropped in silence. A resource of another patient is left out and
reported; a resource with a modifier that is not understood is kept as doubtful; one whose subject
matter cannot be read is kept as unreadable, since it may be about anything of its type.

A chart that is too large for the time there is, is read in part, and its reads say so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, tzinfo
from typing import Any, TypeVar

import msgspec

from cds_service.fhir import decoding, views
from cds_service.fhir.chart import CHART_TYPES, LARGE_CHART, Chart, Entry
from cds_service.fhir.elements import Coder, Issues, relative
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
from cds_service.record.codes import CodeBook
from cds_service.record.dates import parse_when
from cds_service.record.model import (
    COMPLETE,
    AdverseEvent,
    Complete,
    ConsentGiven,
    Diagnosis,
    Exposure,
    Partial,
    Patient,
    ProcedureDone,
    Read,
    Record,
    Report,
    Result,
    Scan,
    Unreadable,
)
from cds_service.record.units import UnitBook

T = TypeVar("T")
# Who the chart is about, and what drugs are made of: no facts by themselves.
_NO_FACTS = (views.PatientView, views.MedicationView)
_MOST_VERSION_DIGITS = 12


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


class _Item(msgspec.Struct):
    """One decoded resource of the patient."""

    decoded: decoding.Decoded
    reference: str
    full_url: str | None

    @property
    def kind(self) -> str:
        """Its resource type."""
        return self.decoded.resource_type or ""


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
        items = _decode(entries, issues)
        people = [item for item in items if _is_patient(item, chart.patient_id)]
        own = _own_references(chart, items, people)
        patient = self._patient(chart, people, issues)
        found = _Found()
        medications = Medications(items_by_reference(items, chart.bases), self._coder)
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

    def _patient(self, chart: Chart, people: Iterable[_Item], issues: Issues) -> Patient:
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
        item: _Item,
        own: frozenset[str],
        medications: Medications,
        patient: Patient,
        found: _Found,
        issues: Issues,
    ) -> None:
        view, broken, reference = item.decoded.view, item.decoded.broken, item.reference
        if view is None or isinstance(view, _NO_FACTS):
            return
        if not _belongs(view, broken, reference, own, issues):
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
    reads: dict[str, Read], undecoded: Sequence[Entry], unread: Iterable[_Item]
) -> dict[str, Read]:
    """How the reads went, with what there was no time for.

    Args:
        reads: how they went until then.
        undecoded: entries; one that does not say its type may be of any.
        unread: resources; Patients and Medications among them were looked at before all others.
    """
    rest = {item.kind for item in unread if not isinstance(item.decoded.view, _NO_FACTS)}
    cut = rest & reads.keys()
    kinds = {entry.kind or decoding.type_of(entry.raw) or "" for entry in undecoded}
    read = {*reads, "Medication"}
    cut |= read if "" in kinds else read & {_FORMER_TYPES.get(kind, kind) for kind in kinds}
    found = dict(reads)
    for kind in cut:
        found[kind] = _cut(reads.get(kind, COMPLETE))
    _medication_read(found)
    return found


def _cut(read: Read) -> Read:
    match read:
        case Complete():
            return Partial(TOO_LARGE)
        case Partial(reason):
            return Partial(f"{reason}; {TOO_LARGE}")
        case _:
            return read


def _medication_read(reads: dict[str, Read]) -> None:
    """Drugs behind references are part of every drug search: a cut read of them cuts those too."""
    state = reads.pop("Medication", None)
    if state is None or isinstance(state, Complete):
        return
    for name in [key for key in reads if key.startswith("Medication")]:
        if isinstance(reads[name], Complete):
            reads[name] = Partial(f"medications: {state.reason}")


# --- Entries -----------------------------------------------------------------------------------


def _rare_first(items: Iterable[_Item]) -> list[_Item]:
    """Types with few resources first, so that many of one type keep no other from being read."""
    kept = [*items]
    sizes = Counter(item.kind for item in kept)
    return sorted(kept, key=lambda item: sizes[item.kind])


def _decode(entries: Iterable[Entry], issues: Issues) -> list[_Item]:
    """Decode every entry; the same resource twice counts once, the newest version decides.

    In the order of their references, so that no report depends on how a chart was paged or sorted.
    """
    by_reference: dict[str, tuple[_Item, msgspec.Raw]] = {}
    loose: list[_Item] = []
    for position, entry in enumerate(entries):
        raw = entry.raw
        decoded = decoding.decode(raw)
        view = decoded.view
        if view is None:
            _not_decoded(decoded, position, issues)
            continue
        item = _Item(decoded, _reference(entry, decoded, position), entry.full_url)
        if view.id is None:
            loose.append(item)
            continue
        known = by_reference.get(item.reference)
        if known is None:
            by_reference[item.reference] = (item, raw)
        elif _is_same(known[1], raw):
            continue
        elif _is_elsewhere(known[0], item):
            loose.append(item)
        elif (kept := _newer(known[0], item)) is not None:
            by_reference[item.reference] = (kept, raw if kept is item else known[1])
        else:
            message = "two versions with no order; both are used"
            issues.add("conflicting-versions", item.reference, message)
            loose.append(item)
    items = [*(item for item, _ in by_reference.values()), *loose]
    return sorted(items, key=lambda item: item.reference)


# What other FHIR versions call a resource that is read.
_FORMER_TYPES = {"MedicationOrder": "MedicationRequest", "MedicationUsage": "MedicationStatement"}


def _not_decoded(decoded: decoding.Decoded, position: int, issues: Issues) -> None:
    where = f"entry {position + 1}"
    former = _FORMER_TYPES.get(decoded.resource_type or "")
    if former is not None:
        issues.cannot_read(where, former, f"{decoded.resource_type} is no resource of FHIR R4")
    if decoded.resource_type is None:
        # It says no type that can be read, so it may be about anything.
        issues.add("broken-resource", where, "is no FHIR resource that can be read")
        issues.unreadable.extend(
            Unreadable(where, kind, "its type cannot be read") for kind in CHART_TYPES
        )


def _reference(entry: Entry, decoded: decoding.Decoded, position: int) -> str:
    view = decoded.view
    if view is not None and view.id:
        return f"{decoded.resource_type}/{view.id}"
    return entry.full_url or f"{decoded.resource_type} (entry {position + 1})"


def _is_same(one: msgspec.Raw, other: msgspec.Raw) -> bool:
    """Whether two say the same, but for blanks and the order of elements."""
    if one == other:
        return True
    try:
        return bool(msgspec.json.decode(one) == msgspec.json.decode(other))
    except decoding.UNDECODABLE:
        return False


def _newer(one: _Item, other: _Item) -> _Item | None:
    """The newer of two versions by version number or time; None where neither says."""
    keys = [_version(item) for item in (one, other)]
    for first, second in zip(*keys, strict=True):
        if first is not None and second is not None and first != second:
            return one if first > second else other
    return None


def _version(item: _Item) -> tuple[Any, Any]:
    view = item.decoded.view
    meta = None if view is None else view.meta
    if meta is None:
        return None, None
    updated = parse_when(meta.last_updated or "", UTC)
    number = meta.version_id or ""
    plain = number.isascii() and number.isdecimal() and len(number) <= _MOST_VERSION_DIGITS
    return None if updated.zoneless else updated.instant, int(number) if plain else None


def _is_elsewhere(one: _Item, other: _Item) -> bool:
    """Whether two of one type and id are of two servers, and so two resources."""
    urls = {relative(url) for url in (one.full_url, other.full_url) if url}
    return len(urls) > 1


def _is_patient(item: _Item, patient_id: str) -> bool:
    view = item.decoded.view
    return isinstance(view, views.PatientView) and view.id == patient_id


def items_by_reference(items: Iterable[_Item], bases: Iterable[str]) -> dict[str, decoding.Decoded]:
    """Medications by every reference under which they can be named; by none that names two."""
    found: dict[str, list[decoding.Decoded]] = {}
    for item in items:
        if isinstance(item.decoded.view, views.MedicationView):
            local = [f"{base}/{item.reference}" for base in bases]
            full = [relative(item.full_url)] if item.full_url else local
            for name in {item.reference, *full}:
                found.setdefault(name, []).append(item.decoded)
    return {name: named[0] for name, named in found.items() if len(named) == 1}


# --- Whose resource ----------------------------------------------------------------------------


def _own_references(
    chart: Chart, items: Iterable[_Item], people: Iterable[_Item]
) -> frozenset[str]:
    """Every way in which a resource may name the patient asked for, of whom ``people`` are."""
    name = f"Patient/{chart.patient_id}"
    own = {name, *(f"{base}/{name}" for base in chart.bases or _told(items, people))}
    for item in people:
        url = relative(item.full_url or "")
        if url.startswith("urn:") or ("://" in url and url.endswith(f"/{name}")):
            own.add(url)
    known = {id(item) for item in people}
    others = {relative(item.full_url) for item in items if item.full_url and id(item) not in known}
    return frozenset(own - others)


def _told(items: Iterable[_Item], people: Iterable[_Item]) -> frozenset[str]:
    """The base URL that the entries' own URLs have, where nothing else tells that of the chart.

    Of two servers each may have a patient of this id, so that two bases tell nothing.
    """
    if any(item.full_url for item in people):
        return frozenset()
    urls = (
        (relative(item.full_url), f"/{item.reference}")
        for item in items
        if item.full_url and not isinstance(item.decoded.view, _NO_FACTS)
    )
    bases = {url.removesuffix(end) for url, end in urls if "://" in url and url.endswith(end)}
    return frozenset(bases) if len(bases) == 1 else frozenset()


def _belongs(
    view: Any, broken: frozenset[str], reference: str, own: frozenset[str], issues: Issues
) -> bool:
    element = "patient" if isinstance(view, views.ConsentView) else "subject"
    named = getattr(view, element)
    text = named.reference if named is not None else None
    if text is None and element in broken:
        # It may be this patient's, so it is kept, and decides nothing.
        issues.add("no-subject", reference, f"its {element} cannot be read")
        return True
    if text is None:
        issues.add("no-subject", reference, f"its {element} is missing; the resource is left out")
        return False
    if relative(text) in own or text in own:
        return True
    issues.add(
        "other-patient", reference, f"its {element} is not this patient; the resource is left out"
    )
    return False
