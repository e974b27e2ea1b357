"""The facts of one patient's record, as the criteria read them.

Every fact is immutable, carries the resource it came from, and keeps its original value and text
beside the normalised ones. What could not be read is here too: as a doubtful fact, an unusable
result, or in the terms of :mod:`cds_service.record.reads`: unread is not empty.
"""

from __future__ import annotations

import enum
from decimal import Decimal

import msgspec

from cds_service.record.amounts import ReferenceRange, Span
from cds_service.record.dates import When
from cds_service.record.reads import DataIssue, Read, Unreadable

NO_CONCEPTS: frozenset[str] = frozenset()


class Coding(msgspec.Struct, frozen=True, gc=False):
    """One code as recorded."""

    system: str | None
    code: str | None
    display: str | None = None


class Source(msgspec.Struct, frozen=True):
    """The resource a fact came from.

    Args:
        reference: relative reference, ``Observation/1``.
        display: what the resource is about, in the record's own words or ours.
        codes: the raw codes.
        notes: remarks for the reader of the evidence (a stand-in date, a failed strict check).
    """

    reference: str
    display: str
    codes: tuple[Coding, ...] = ()
    notes: tuple[str, ...] = ()


class ResultState(enum.Enum):
    """Whether a result's value may decide."""

    USABLE = "usable"
    EMPTY = "empty"
    UNUSABLE = "unusable"


class Result(msgspec.Struct, frozen=True):
    """One Observation, or one component of an Observation.

    Args:
        concepts: what was observed, by code (ancestors included).
        when: clinical time; for a period its end. None where the resource has no date at all.
        state: an *empty* result lets an older one decide, an *unusable* one does not.
        problem: why it is unusable: the code and message of the data issue.
        amount: normalised value in ``unit``, for a quantity.
        original: the value as recorded, ``9.1 g/dL``.
        normalized: the value in ``unit``, exact, ``91 g/L``.
        place: exponent of the last digit of it that was measured, where it has finer ones.
        shown: the value for a reader, where that is not ``normalized``.
        answers: concepts of the coded or worded answer.
        words: the answer's own words.
        sampled: the recorded effective and the specimen: results that share one have one
            sampling time.
        labels: the codes, or else the words, that say what was observed.
        when_value: a value that is itself a date (last menses).
    """

    source: Source
    concepts: frozenset[str]
    when: When | None
    state: ResultState = ResultState.USABLE
    problem: str | None = None
    amount: Span | None = None
    unit: str = ""
    original: str = ""
    normalized: str = ""
    answers: frozenset[str] = NO_CONCEPTS
    words: tuple[str, ...] = ()
    sampled: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    ranges: tuple[ReferenceRange, ...] = ()
    body_site: frozenset[str] = NO_CONCEPTS
    method: frozenset[str] = NO_CONCEPTS
    part_of: tuple[str, ...] = ()
    when_value: When | None = None
    doubtful: bool = False
    place: int | None = None
    shown: str = ""

    @property
    def text(self) -> str:
        """The value for a reader; empty where there is none that can be read."""
        return self.shown or self.normalized or self.original


class Strength(enum.Enum):
    """How surely a drug or procedure reached the patient."""

    GIVEN = "given"
    ORDERED = "ordered"
    POSSIBLE = "possible"


class Exposure(msgspec.Struct, frozen=True):
    """One record of a drug, or of a therapy recorded as a procedure.

    Args:
        concepts: the drug, by code, or by words when ``strength`` is POSSIBLE.
        start: first day; None where no date was recorded.
        end: last day; None where unknown (see ``ongoing``).
        ongoing: the record says it is still being taken.
        period: it covers a period rather than one administration.
        kind: resource type.
        activity: administered activity in MBq where recorded and usable.
        activity_problem: why a recorded activity cannot be used.
        count: number of cycles, where the record says one.
        local: an implant or topical form.
        doubtful: it may not count at all (unknown modifier, unreadable status).
        given: the record says that the patient got it; which drug it was may be in doubt
            all the same (``strength`` is then POSSIBLE).
    """

    source: Source
    concepts: frozenset[str]
    strength: Strength
    start: When | None
    end: When | None
    kind: str
    given: bool
    ongoing: bool = False
    period: bool = False
    activity: Decimal | None = None
    activity_original: str = ""
    activity_problem: str | None = None
    local: bool = False
    doubtful: bool = False

    @property
    def when(self) -> When | None:
        """The start: the day of a cycle."""
        return self.start


class Verification(enum.Enum):
    """How sure a diagnosis is."""

    CONFIRMED = "confirmed"
    UNCONFIRMED = "unconfirmed"
    DIFFERENTIAL = "differential"

    def without_proof(self) -> Verification:
        """How sure it is where the code itself is not."""
        return Verification.UNCONFIRMED if self is Verification.CONFIRMED else self


class Diagnosis(msgspec.Struct, frozen=True):
    """One Condition that is neither refuted nor entered in error.

    Args:
        concepts: the disease by code, or by words when ``by_text``.
        when: onset, or what stood in for it.
        active: clinically active (none recorded counts as active unless abated), but for what
            ``abated`` says.
        morphology: concepts of the histology extension.
        body_site: concepts of the body site.
        stage: concepts of ``Condition.stage.summary``.
        doubtful: it may not count at all (unknown modifier, unreadable status).
        possible: what only an unverified or ambiguous code beside the others stands for.
        abated: the day from which it is not active; None where that is not told by a date.
    """

    source: Source
    concepts: frozenset[str]
    verification: Verification
    active: bool
    when: When | None
    by_text: bool = False
    morphology: frozenset[str] = NO_CONCEPTS
    body_site: frozenset[str] = NO_CONCEPTS
    stage: frozenset[str] = NO_CONCEPTS
    doubtful: bool = False
    possible: frozenset[str] = NO_CONCEPTS
    abated: When | None = None

    @property
    def confirmed(self) -> bool:
        """Whether it may decide a criterion."""
        return self.verification is Verification.CONFIRMED and not self.by_text

    def parts(self) -> tuple[Diagnosis, ...]:
        """What its sure codes say and what the others may say; of each, how long it is active."""
        if not self.possible:
            return _by_abatement(self)
        sure = msgspec.structs.replace(self, possible=NO_CONCEPTS)
        unsure = Diagnosis(
            source=self.source,
            concepts=self.possible,
            verification=self.verification.without_proof(),
            active=self.active,
            when=self.when,
            doubtful=self.doubtful,
            abated=self.abated,
        )
        return (*_by_abatement(sure), *_by_abatement(unsure))


def _by_abatement(one: Diagnosis) -> tuple[Diagnosis, ...]:
    """It until the first day on which it may have abated, and what it may be until the last."""
    day = one.abated
    if day is None or day.exact:
        return (one,)
    sure = msgspec.structs.replace(one, abated=day.on(day.first))
    return sure, msgspec.structs.replace(one, doubtful=True)


class ProcedureDone(msgspec.Struct, frozen=True):
    """One Procedure.

    Args:
        concepts: what was done, by code, category or used code.
        strength: given, ordered (in preparation), or possible (words only, unverified code).
        when: start of the procedure.
        end: its end, or its only day; a period's end decides for surgery.
        completed: false where it was begun and is not, or was not, carried through.
        possible: what only an unverified or ambiguous code beside the others stands for.
    """

    source: Source
    concepts: frozenset[str]
    strength: Strength
    when: When | None
    end: When | None
    doubtful: bool = False
    completed: bool = True
    possible: frozenset[str] = NO_CONCEPTS

    def parts(self) -> tuple[ProcedureDone, ...]:
        """What its sure codes say and, apart from that, what the others may say."""
        if not self.possible:
            return (self,)
        sure = msgspec.structs.replace(self, possible=NO_CONCEPTS)
        return sure, msgspec.structs.replace(
            sure, concepts=self.possible, strength=Strength.POSSIBLE
        )


class Scan(msgspec.Struct, frozen=True):
    """An imaging study, imaging report or imaging procedure.

    Args:
        concepts: modality, procedure and tracer, by code.
        tracer: concepts of the tracer, by code or by words.
        when: start of the study.
        conclusion: concepts of a coded or exactly worded conclusion (positive, negative).
        links: references to the resources it belongs together with.
    """

    source: Source
    concepts: frozenset[str]
    tracer: frozenset[str]
    when: When | None
    conclusion: frozenset[str] = NO_CONCEPTS
    links: tuple[str, ...] = ()
    doubtful: bool = False


class Report(msgspec.Struct, frozen=True):
    """A DiagnosticReport that is no scan, or a scan's report read for its words.

    Args:
        concepts: what kind of report it is.
        conclusion: concepts of the coded conclusion, and of the words of the conclusion.
    """

    source: Source
    concepts: frozenset[str]
    when: When | None
    conclusion: frozenset[str] = NO_CONCEPTS
    doubtful: bool = False


class AdverseEvent(msgspec.Struct, frozen=True):
    """An adverse event; ``severe`` and ``resolved`` as recorded."""

    source: Source
    when: When | None
    severe: bool
    resolved: bool
    doubtful: bool = False


class ConsentGiven(msgspec.Struct, frozen=True):
    """An active Consent; ``concepts`` says which trial it is for."""

    source: Source
    concepts: frozenset[str]
    when: When | None
    doubtful: bool = False


class Patient(msgspec.Struct, frozen=True):
    """Who the record is about.

    Args:
        reference: ``Patient/1``.
        birth: birth date as an interval; None where not recorded.
        sex: administrative gender as recorded; None where not recorded.
        deceased: recorded as dead.
        died: the day of death, where recorded.
        replaced_by: reference of the surviving record of a merge.
        inactive: ``active`` is false.
        languages: languages recorded for communication.
        doubt: why this resource cannot be trusted (unknown modifier), else None.
    """

    reference: str
    birth: When | None
    sex: str | None
    deceased: bool = False
    died: When | None = None
    replaced_by: str | None = None
    inactive: bool = False
    languages: tuple[str, ...] = ()
    doubt: str | None = None


class Record(msgspec.Struct, frozen=True):
    """Everything known about one patient, and what could not be known.

    Args:
        reads: how the search of each FHIR resource type went; one that is missing was not made.
        unmapped_drugs: drug names with no known code and no match, each once.
    """

    patient: Patient
    results: tuple[Result, ...] = ()
    exposures: tuple[Exposure, ...] = ()
    diagnoses: tuple[Diagnosis, ...] = ()
    procedures: tuple[ProcedureDone, ...] = ()
    scans: tuple[Scan, ...] = ()
    reports: tuple[Report, ...] = ()
    adverse_events: tuple[AdverseEvent, ...] = ()
    consents: tuple[ConsentGiven, ...] = ()
    reads: dict[str, Read] = {}
    unreadable: tuple[Unreadable, ...] = ()
    issues: tuple[DataIssue, ...] = ()
    unmapped_drugs: tuple[str, ...] = ()
