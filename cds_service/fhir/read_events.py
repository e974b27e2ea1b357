"""Reads the patient, diagnoses, procedures, adverse events and consents."""

from __future__ import annotations

from cds_service.fhir import views
from cds_service.fhir.elements import (
    UNSURE,
    Coder,
    Issues,
    any_day,
    code_of,
    codes_of,
    has,
    modified,
    onset_at_age,
    open_end,
    period_start,
    says_nothing,
    shown,
    words_of,
)
from cds_service.fhir.read_drugs import (
    NO_EXPOSURE,
    NOT_UNDERSTOOD,
    STRENGTHS,
    procedure_times,
    procedure_unclear,
)
from cds_service.record.codes import Match
from cds_service.record.dates import When, unreadable_when
from cds_service.record.model import (
    NO_CONCEPTS,
    AdverseEvent,
    ConsentGiven,
    Diagnosis,
    Patient,
    ProcedureDone,
    Source,
    Strength,
    Verification,
)

HISTOLOGY_URL = (
    "http://hl7.org/fhir/us/mcode/StructureDefinition/mcode-histology-morphology-behavior"
)
UNUSABLE = "it has a modifier or a subject that is not understood"
# Whether this is the living, current record of the patient hangs on these.
_STANDING = frozenset({"active", "link", "deceasedBoolean"})

# --- Patient -----------------------------------------------------------------------------------


def read_patient(
    view: views.PatientView, broken: frozenset[str], coder: Coder, issues: Issues
) -> Patient:
    """Read the patient; what cannot be read is not known."""
    reference = f"Patient/{view.id}"
    doubt = None
    if modified(view) or broken & UNSURE:
        doubt = "the Patient has a modifier that is not understood"
        issues.add("modifier", reference, doubt)
    elif broken & _STANDING:
        doubt = "whether the Patient is living and current cannot be read"
    for name in sorted(broken):
        issues.add("broken-element", reference, f"cannot be read: {name}")
    replaced = _survivor(view)
    if replaced is not None:
        issues.add("merged-patient", reference, f"the record was merged into {replaced}")
    elif view.active is False:
        issues.add("inactive-patient", reference, "the record is not active")
    died = coder.when(view.deceased_date_time)
    # A time that is masked or not known is still the time of a death.
    if "deceasedDateTime" in broken or (died is None and has(view.deceased_without_time)):
        died = unreadable_when("")
    birth = coder.when(view.birth_date)
    if birth is not None and birth.unreadable:
        issues.add("unreadable-date", reference, "the birth date cannot be read")
    return Patient(
        reference=reference,
        birth=None if doubt else birth,
        sex=None if doubt else view.gender,
        deceased=bool(view.deceased_boolean),
        died=died,
        replaced_by=replaced,
        inactive=view.active is False,
        languages=tuple(
            shown(one.language) for one in view.communication or () if shown(one.language)
        ),
        doubt=doubt,
    )


def _survivor(view: views.PatientView) -> str | None:
    """The record that this one was merged into; None where it was not."""
    links = [one for one in view.link or () if one.type == "replaced-by"]
    if not links:
        return None
    return (links[0].other and links[0].other.reference) or "another record"


# --- Diagnoses ---------------------------------------------------------------------------------

_UNCONFIRMED = frozenset({"provisional", "unconfirmed"})
_NOT_THERE = frozenset({"refuted", "entered-in-error"})
_ACTIVE = frozenset({"active", "recurrence", "relapse"})
_INACTIVE = frozenset({"inactive", "remission", "resolved"})
_ABATEMENT_DATES = frozenset({"abatementDateTime", "abatementPeriod", "abatementAge"})


def read_diagnosis(
    view: views.ConditionView,
    broken: frozenset[str],
    reference: str,
    coder: Coder,
    issues: Issues,
    patient: Patient,
) -> Diagnosis | None:
    """Read a Condition; None where it is none, or nothing that the tables know."""
    said = codes_of(view.verification_status)
    if said & _NOT_THERE:
        return None
    morphology = _morphology(view, coder)
    if says_nothing(view.code) and (not morphology or "code" in broken):
        issues.cannot_read(reference, "Condition", "which condition it is cannot be read")
    match, concepts, by_text = coder.kinds.once(
        ("condition", view.code), lambda: _disease(view.code, coder)
    )
    if not concepts and not morphology:
        return None
    verification = _verification(view, broken, said)
    only_possible = match.use == "possible"
    if only_possible and match.concepts:
        verification = verification.without_proof()
    doubtful = modified(view) or bool(broken & UNSURE)
    stages = [one for one in view.stage or () if not one.modifier_extension]
    if doubtful or len(stages) < len(view.stage or ()):
        issues.add("modifier", reference, UNUSABLE)
    onset, abated = _onset(view, broken, coder, patient), _abated(view, broken, coder, patient)
    display = coder.display(view.code, concepts)
    for when in (onset, abated):
        issues.unless_readable(when, reference, display)
    return Diagnosis(
        source=coder.source(reference, view.code, display),
        concepts=concepts if only_possible else concepts - match.possible,
        verification=verification,
        active=_active(view, abated),
        when=onset,
        by_text=by_text and bool(concepts),
        morphology=morphology,
        body_site=_sure(coder, *(view.body_site or ())),
        stage=coder.answers(("stage",), *(one.summary for one in stages)),
        doubtful=doubtful,
        possible=NO_CONCEPTS if only_possible else match.possible,
        abated=abated,
    )


def _disease(
    code: views.CodeableConcept | None, coder: Coder
) -> tuple[Match, frozenset[str], bool]:
    """What a code stands for, all that it may be, and whether only its words say so."""
    match = coder.match(code)
    by_text = not match.concepts and not match.trap
    words = words_of([code]) if by_text else []
    return match, match.concepts | coder.words("condition", words), by_text


def _morphology(view: views.ConditionView, coder: Coder) -> frozenset[str]:
    if not view.extension:
        return NO_CONCEPTS
    return _sure(
        coder,
        *(one.value_codeable_concept for one in view.extension if one.url == HISTOLOGY_URL),
    )


def _sure(coder: Coder, *concepts: views.CodeableConcept | None) -> frozenset[str]:
    """What codes stand for, but for those that are not verified or are ambiguous."""
    match = coder.match(*concepts)
    return match.concepts - match.possible


def _verification(
    view: views.ConditionView, broken: frozenset[str], said: frozenset[str]
) -> Verification:
    if "differential" in said:
        return Verification.DIFFERENTIAL
    if "confirmed" in said and not said & _UNCONFIRMED:
        return Verification.CONFIRMED
    # A status that is there but not understood is not taken for confirmed.
    told = view.verification_status is not None or "verificationStatus" in broken
    return Verification.UNCONFIRMED if told else Verification.CONFIRMED


def _active(view: views.ConditionView, abated: When | None) -> bool:
    status = code_of(view.clinical_status)
    if status in _ACTIVE:
        return True
    if status in _INACTIVE:
        return False
    if abated is not None:
        return True
    # Told in words, or by an age of which no day can be made: it is over.
    told = (view.abatement_age, view.abatement_period)
    without_date = (view.abatement_range, view.abatement_string)
    return all(one is None for one in told) and not any(has(one) for one in without_date)


def _abated(
    view: views.ConditionView, broken: frozenset[str], coder: Coder, patient: Patient
) -> When | None:
    """The day on which it abated; None where a clinical status decides, or no date is told."""
    if code_of(view.clinical_status) in _ACTIVE | _INACTIVE:
        return None
    if broken & _ABATEMENT_DATES:
        return unreadable_when("")
    if view.abatement_date_time is not None:
        return coder.until(view.abatement_date_time)
    if view.abatement_period is not None:
        return any_day(view.abatement_period, coder)
    if view.abatement_age is not None:
        return onset_at_age(view.abatement_age, patient.birth)
    return None


def _onset(
    view: views.ConditionView, broken: frozenset[str], coder: Coder, patient: Patient
) -> When | None:
    if broken & {"onsetDateTime", "onsetPeriod", "onsetAge"}:
        return unreadable_when("")
    found = coder.when(view.onset_date_time)
    if found is None and view.onset_period is not None:
        found = period_start(view.onset_period, coder)
    if found is None and view.onset_age is not None:
        found = onset_at_age(view.onset_age, patient.birth)
    return found or coder.when(view.recorded_date, stand_in="recordedDate")


# --- Procedures --------------------------------------------------------------------------------


def read_procedure(
    view: views.ProcedureView,
    broken: frozenset[str],
    reference: str,
    coder: Coder,
    issues: Issues,
) -> ProcedureDone | None:
    """Read a Procedure by code, category and used code."""
    if view.status in NO_EXPOSURE["Procedure"]:
        return None
    said = (view.code, view.category, *(view.used_code or ()))
    if broken & {"code", "usedCode"} or all(says_nothing(one) for one in said):
        issues.cannot_read(reference, "Procedure", "which procedure it is cannot be read")
    strength = STRENGTHS["Procedure"].get(view.status or "")
    match = coder.match(view.code, view.category, *(view.used_code or ()))
    concepts, possible = match.concepts, match.possible
    if not concepts and not match.trap:
        texts = words_of([view.code, *(view.used_code or ())])
        concepts = coder.words("drug", texts) | coder.words("procedure", texts)
        strength = Strength.POSSIBLE
    elif match.use == "possible":
        strength, possible = Strength.POSSIBLE, NO_CONCEPTS
    if not concepts:
        return None
    start, end, period = procedure_times(view, broken, coder)
    if period and end is None and start is not None:
        end = open_end(start)
    display = coder.display(view.code, concepts)
    issues.about_date(start, reference, display)
    issues.unless_readable(end, reference, display)
    doubtful = procedure_unclear(view, broken)
    if doubtful:
        issues.add("modifier", reference, NOT_UNDERSTOOD)
    return ProcedureDone(
        source=coder.source(reference, view.code, display),
        concepts=concepts - possible,
        strength=strength or Strength.GIVEN,
        when=start,
        end=end,
        doubtful=doubtful,
        completed=view.status not in ("in-progress", "stopped"),
        possible=possible,
    )


# --- Adverse events, consent -------------------------------------------------------------------

_RESOLVED = frozenset({"resolved", "resolvedWithSequelae", "recovered", "fatal"})


def read_adverse_event(
    view: views.AdverseEventView,
    broken: frozenset[str],
    reference: str,
    coder: Coder,
    issues: Issues,
) -> AdverseEvent | None:
    """Read an adverse event that happened; one that may mean something else says so."""
    if view.actuality == "potential":
        return None
    display = shown(view.event) or reference
    when = coder.when(view.date) or coder.when(view.recorded_date, stand_in="recordedDate")
    issues.unless_readable(when, reference, display)
    doubtful = modified(view) or bool(broken & UNSURE)
    if doubtful:
        issues.add("modifier", reference, UNUSABLE)
        display = f"{display} (unusable: {UNUSABLE})"
    return AdverseEvent(
        source=coder.source(reference, view.event, display),
        when=when,
        severe=code_of(view.severity) == "severe",
        resolved=code_of(view.outcome) in _RESOLVED,
        doubtful=doubtful,
    )


def read_consent(
    view: views.ConsentView,
    broken: frozenset[str],
    reference: str,
    coder: Coder,
    issues: Issues,
) -> ConsentGiven | None:
    """Read an active consent; which trial it is for stands in its words and identifiers."""
    concepts = _trials(view, coder)
    if view.status != "active" or not concepts:
        return None
    if view.provision and view.provision.type == "deny":
        return None
    display = coder.display(next(iter(view.category or ()), None), concepts) or "Consent"
    when = unreadable_when("") if "dateTime" in broken else coder.when(view.date_time)
    issues.unless_readable(when, reference, display)
    doubtful = modified(view) or bool(broken & {*UNSURE, "provision"})
    if doubtful:
        issues.add("modifier", reference, "it has a modifier or provision that is not understood")
    return ConsentGiven(Source(reference, display), concepts, when, doubtful)


def _trials(view: views.ConsentView, coder: Coder) -> frozenset[str]:
    """The trials that a consent names."""
    texts = words_of([*(view.category or ()), view.policy_rule, view.scope])
    texts.extend(one.value for one in view.identifier or () if one.value)
    texts.extend(
        str(value) for one in view.policy or () for value in one.values() if isinstance(value, str)
    )
    narrative = (view.text or {}).get("div")
    if isinstance(narrative, str):
        texts.append(narrative)
    return coder.words("consent", texts)
