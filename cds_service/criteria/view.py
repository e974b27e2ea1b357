"""A record as one rule sees it on one day.

A rule asks for facts by concept. The view leaves out what is dated after the day, cuts vague dates
off at it, and notes what the rule depended on: which reads, which facts with a vague date or a
doubt. So every rule can be written as if dates were exact and reads complete; what happens when
they are not is decided in one place (:mod:`cds_service.criteria.settle`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Generic, TypeVar

import msgspec

from cds_service.criteria.clock import Clock
from cds_service.record.dates import LAST_DAY, When, add_months
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
from cds_service.record.reads import Complete

DRUG_READS = (
    "MedicationAdministration",
    "MedicationStatement",
    "MedicationRequest",
    "MedicationDispense",
    "Procedure",
)

Fact = Result | Exposure | Diagnosis | ProcedureDone | Scan | Report | AdverseEvent | ConsentGiven
F = TypeVar(
    "F", Result, Exposure, Diagnosis, ProcedureDone, Scan, Report, AdverseEvent, ConsentGiven
)


class _ByConcept(Generic[F]):
    """Facts of one kind by each concept they carry."""

    __slots__ = ("_found", "all", "by")

    def __init__(self, facts: Sequence[F], concepts: Iterable[frozenset[str]]) -> None:
        self.all: tuple[F, ...] = tuple(facts)
        self.by: dict[str, list[int]] = defaultdict(list)
        for position, names in enumerate(concepts):
            for name in names:
                self.by[name].append(position)
        self._found: dict[tuple[str, ...], tuple[F, ...]] = {}

    def having(self, wanted: Iterable[str]) -> tuple[F, ...]:
        """The facts with any of the concepts, in the record's order."""
        # Rules ask the same again, for each day and each case.
        key = tuple(wanted)
        found = self._found.get(key)
        if found is None:
            positions = {position for name in key for position in self.by.get(name, ())}
            found = self._found[key] = tuple(self.all[position] for position in sorted(positions))
        return found


class RecordIndex:
    """A record with its facts by concept; built once and shared by every rule and day."""

    def __init__(self, record: Record) -> None:
        record = _in_parts(record)
        self.record = record
        self.results = _ByConcept(record.results, (f.concepts for f in record.results))
        self.exposures = _ByConcept(record.exposures, (f.concepts for f in record.exposures))
        self.diagnoses = _ByConcept(
            record.diagnoses, (f.concepts | f.morphology for f in record.diagnoses)
        )
        self.procedures = _ByConcept(record.procedures, (f.concepts for f in record.procedures))
        self.scans = _ByConcept(record.scans, (f.concepts | f.tracer for f in record.scans))
        self.reports = _ByConcept(
            record.reports, (f.concepts | f.conclusion for f in record.reports)
        )
        self.abating = any(one.abated is not None for one in record.diagnoses)
        self.consents = _ByConcept(record.consents, (f.concepts for f in record.consents))
        self.complete = frozenset(
            name for name, state in record.reads.items() if isinstance(state, Complete)
        )
        facts = tuple(_facts(record))
        self.facts = len(facts)
        # By identity: the few facts whose date is vague or which may not count at all.
        self.loose = frozenset(id(fact) for fact in facts if is_loose(fact))


def _in_parts(record: Record) -> Record:
    """The record with what is sure and what is only possible of one resource as two facts."""
    diagnoses = tuple(part for one in record.diagnoses for part in one.parts())
    procedures = tuple(part for one in record.procedures for part in one.parts())
    if (len(diagnoses), len(procedures)) == (len(record.diagnoses), len(record.procedures)):
        return record
    return msgspec.structs.replace(record, diagnoses=diagnoses, procedures=procedures)


def _facts(record: Record) -> Iterator[Fact]:
    yield from record.results
    yield from record.exposures
    yield from record.diagnoses
    yield from record.procedures
    yield from record.scans
    yield from record.reports
    yield from record.adverse_events
    yield from record.consents


def is_loose(fact: Fact) -> bool:
    """Whether a fact has a vague date, or may not count at all."""
    dates = (fact.when, getattr(fact, "end", None), getattr(fact, "abated", None))
    vague = any(day is not None and not day.exact for day in dates)
    return vague or getattr(fact, "doubtful", False)


class Settled(msgspec.Struct, frozen=True):
    """How one vague or doubtful fact is settled in one of the cases that are tried.

    Args:
        moving: on a day that is tried only because it lies next to the end of a window, which is
            another one on every day.
    """

    start: date | None = None
    end: date | None = None
    absent: bool = False
    moving: bool = False


Settlement = Mapping[int, Settled]


class View:
    """What one rule sees.

    Args:
        index: the record.
        clock: the day.
        settled: for facts (by identity) with vague dates or doubts, the case being tried.
        birth: the birth date being tried, where it is vague.
    """

    def __init__(
        self,
        index: RecordIndex,
        clock: Clock,
        settled: Settlement | None = None,
        birth: date | None = None,
    ) -> None:
        self.clock = clock
        self.reads: set[str] = set()
        self.loose: dict[int, Fact] = {}
        self.exact_days: set[date] = set()
        self.vague_birth = False
        self._index = index
        self._settled = settled or {}
        self._birth = birth

    # --- The patient ---------------------------------------------------------------------------

    @property
    def patient(self) -> Patient:
        """Who the record is about."""
        return self._index.record.patient

    def birth(self) -> date | None:
        """The birth date; None where not recorded, not readable, or a day to come."""
        known = self.patient.birth
        if known is None or known.unreadable:
            return None
        day = known.first
        if not known.exact:
            self.vague_birth = True
            day = self._birth or day
        return day if self.clock.has_come(day) else None

    def birth_days(self, birth: date) -> tuple[date, date]:
        """The first and the last day up to today that the recorded birth date can mean.

        Args:
            birth: the one that :meth:`birth` gave.
        """
        known = self.patient.birth
        return (birth, birth) if known is None else possible_days(known, self.clock.today)

    def sex(self) -> str | None:
        """``male`` or ``female``; None for anything else."""
        sex = self.patient.sex
        return sex if sex in ("male", "female") else None

    # --- Facts ---------------------------------------------------------------------------------

    # ``dated=False``: the rule does not read the day, so a vague one needs no trying out.

    def results(
        self, concepts: Iterable[str], *, dated: bool = True, after: date | None = None
    ) -> list[Result]:
        """Observations of any of the concepts up to today, in the record's order.

        Args:
            after: those surely dated on this day or before are of no interest.
        """
        found: Sequence[Result] = self._index.results.having(concepts)
        if after is not None:
            found = [one for one in found if one.when is None or one.when.last > after]
        return self._seen(found, ("Observation",), dated)

    def exposures(self, concepts: Iterable[str], *, dated: bool = True) -> list[Exposure]:
        """Records of any of the drugs that started up to today."""
        return self._seen(self._index.exposures.having(concepts), DRUG_READS, dated)

    def diagnoses(self, concepts: Iterable[str], *, dated: bool = False) -> list[Diagnosis]:
        """Conditions of any of the concepts, by code, words or morphology, up to today."""
        found = self._index.diagnoses.having(concepts)
        if not self._index.abating:
            return self._seen(found, ("Condition",), dated)
        seen = self._seen([one for one in found if self._may_be(one)], ("Condition",), dated)
        return [self._as_it_stands(one) for one in seen]

    def procedures(self, concepts: Iterable[str], *, dated: bool = True) -> list[ProcedureDone]:
        """Procedures of any of the concepts that started up to today."""
        return self._seen(self._index.procedures.having(concepts), ("Procedure",), dated)

    def scans(self, concepts: Iterable[str]) -> list[Scan]:
        """Imaging of any of the concepts, by code or tracer, up to today."""
        reads = ("ImagingStudy", "DiagnosticReport", "Procedure")
        return self._seen(self._index.scans.having(concepts), reads)

    def reports(self, concepts: Iterable[str]) -> list[Report]:
        """Diagnostic reports of a kind, or with a conclusion, up to today."""
        return self._seen(self._index.reports.having(concepts), ("DiagnosticReport",))

    def adverse_events(self) -> list[AdverseEvent]:
        """Adverse events up to today."""
        return self._seen(self._index.record.adverse_events, ("AdverseEvent",))

    def consents(self, concepts: Iterable[str]) -> list[ConsentGiven]:
        """Active consents up to today."""
        return self._seen(self._index.consents.having(concepts), ("Consent",), dated=False)

    def _may_be(self, one: Diagnosis) -> bool:
        """Whether what a diagnosis may be until some day is in doubt today."""
        day = one.abated
        if day is None or day.exact:
            return True
        if not self.clock.has_come(day.first):
            return False
        # One that cannot be read is in doubt on every day.
        return day.last >= LAST_DAY or not self.clock.has_come(day.last)

    def _as_it_stands(self, one: Diagnosis) -> Diagnosis:
        day = one.abated
        if not one.active or day is None or not day.exact or not self.clock.has_come(day.first):
            return one
        return msgspec.structs.replace(one, active=False)

    # --- What a case makes of a fact -----------------------------------------------------------

    def _seen(self, facts: Sequence[F], reads: Sequence[str], dated: bool = True) -> list[F]:  # noqa: FBT001, FBT002
        self.reads.update(reads)
        if not facts:
            return []
        loose = self._index.loose
        seen = []
        for fact in facts:
            if id(fact) in loose:
                found = self._settle(fact, dated)
                if found is not None:
                    seen.append(found)
            elif (when := fact.when) is None:
                seen.append(fact)
            else:
                self.exact_days.add(when.first)
                if self.clock.has_come(when.first):
                    seen.append(fact)
        return seen

    def _settle(self, fact: F, dated: bool) -> F | None:  # noqa: FBT001
        when = fact.when
        end = getattr(fact, "end", None)
        vague = not (when is None or when.exact) or not (end is None or end.exact)
        loose = vague and dated
        if loose or getattr(fact, "doubtful", False):
            self.loose[id(fact)] = fact
            case = self._settled.get(id(fact))
            if case is not None and case.absent:
                return None
            if loose:
                fact = _with_dates(fact, when, end, case, self.clock.today)
                when = fact.when
        if when is None or when.unreadable:
            return fact
        if not vague:
            self.exact_days.add(when.first)
        return fact if self.clock.has_come(when.first) else None


def possible_days(when: When, today: date) -> tuple[date, date]:
    """The first and last day a vague date can mean, cut off at today.

    An unreadable date reaches back a lifetime, no further: days before that cannot matter.
    """
    first = add_months(today, -12 * 120) if when.unreadable else when.first
    if first > today:
        return first, when.last
    return first, min(when.last, today)


def _with_dates(
    fact: F, when: When | None, end: When | None, case: Settled | None, today: date
) -> F:
    changes: dict[str, When] = {}
    if when is not None and not when.exact:
        day = (
            case.start
            if case is not None and case.start is not None
            else possible_days(when, today)[1]
        )
        changes["start" if isinstance(fact, Exposure) else "when"] = when.on(day)
    if end is not None and not end.exact:
        # The end of a period may lie ahead; only its first day must have come.
        day = (
            case.end if case is not None and case.end is not None else possible_days(end, today)[1]
        )
        changes["end"] = end.on(day)
    return msgspec.structs.replace(fact, **changes) if changes else fact
