"""Reads the patient, diagnoses, procedures, imaging, reports, adverse events and consents."""

from __future__ import annotations

from cds_service.fhir import views
from cds_service.fhir.elements import (
    UNSURE,
    Coder,
    Issues,
    code_of,
    codings_of,
    has,
    modified,
    onset_at_age,
    open_end,
    period_start,
    references,
    says_nothing,
    shown,
    words_of,
)
from cds_service.fhir.read_drugs import (
    NO_EXPOSURE,
    STRENGTHS,
    procedure_times,
    procedure_unclear,
)
from cds_service.record.dates import When, unreadable_when
from cds_service.record.model import (
    NO_CONCEPTS,
    AdverseEvent,
    ConsentGiven,
    Diagnosis,
    Patient,
    ProcedureDone,
    Report,
    Scan,
    Source,
    Strength,
    Verification,
)

HISTOLOGY_URL = (
    "http://hl7.org/fhir/us/mcode/StructureDefinition/mcode-histology-morphology-behavior"
)
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
    links = [one for one in view.link or () if one.type == "replaced-by"]
    replaced = links[0].other.reference if links and links[0].other else None
    if links:
        issues.add(
            "merged-patient", reference, f"the record was merged into {replaced or 'another'}"
        )
    elif view.active is False:
        issues.add("inactive-patient", reference, "the record is not active")
    died = coder.when(view.deceased_date_time)
    if "deceasedDateTime" in broken:
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
        replaced_by=(replaced or "another record") if links else None,
        inactive=view.active is False,
        languages=tuple(
            shown(one.language) for one in view.communication or () if shown(one.language)
        ),
        doubt=doubt,
    )


# --- Diagnoses ---------------------------------------------------------------------------------

_UNCONFIRMED = frozenset({"provisional", "unconfirmed"})
_NOT_THERE = frozenset({"refuted", "entered-in-error"})
_ACTIVE = frozenset({"active", "recurrence", "relapse"})
_INACTIVE = frozenset({"inactive", "remission", "resolved"})
_ABATEMENT = ("abatement_date_time", "abatement_age", "abatement_period", "abatement_range",
              "abatement_string")  # fmt: skip


def read_diagnosis(
    view: views.ConditionView,
    broken: frozenset[str],
    reference: str,
    coder: Coder,
    issues: Issues,
    patient: Patient,
) -> Diagnosis | None:
    """Read a Condition; None where it is none, or nothing that the tables know."""
    said = {one.code for one in codings_of(view.verification_status) if one.code}
    if said & _NOT_THERE:
        return None
    morphology = _morphology(view, coder)
    if says_nothing(view.code) and (not morphology or "code" in broken):
        issues.cannot_read(reference, "Condition", "which condition it is cannot be read")
    match = coder.match(view.code)
    concepts, by_text = match.concepts, False
    if not concepts and not match.trap:
        concepts = coder.words("condition", words_of([view.code]))
        by_text = bool(concepts)
    if not concepts and not morphology:
        return None
    verification = _verification(view, broken, said)
    if match.use == "possible" and concepts and not by_text:
        verification = _weaker(verification)
    doubtful = modified(view) or bool(broken & UNSURE)
    stages = [one for one in view.stage or () if not one.modifier_extension]
    if doubtful or len(stages) < len(view.stage or ()):
        issues.add("modifier", reference, "it has a modifier or a subject that is not understood")
    return Diagnosis(
        source=coder.source(reference, view.code, coder.display(view.code, concepts)),
        concepts=concepts,
        verification=verification,
        active=_active(view),
        when=_onset(view, broken, coder, patient),
        by_text=by_text,
        morphology=morphology,
        body_site=coder.concepts(*(view.body_site or ())),
        stage=coder.answers(("stage",), *(one.summary for one in stages)),
        doubtful=doubtful,
    )


def _morphology(view: views.ConditionView, coder: Coder) -> frozenset[str]:
    return coder.concepts(
        *(one.value_codeable_concept for one in view.extension or () if one.url == HISTOLOGY_URL)
    )


def _verification(
    view: views.ConditionView, broken: frozenset[str], said: set[str]
) -> Verification:
    if "differential" in said:
        return Verification.DIFFERENTIAL
    if "confirmed" in said and not said & _UNCONFIRMED:
        return Verification.CONFIRMED
    # A status that is there but not understood is not taken for confirmed.
    told = view.verification_status is not None or "verificationStatus" in broken
    return Verification.UNCONFIRMED if told else Verification.CONFIRMED


def _weaker(verification: Verification) -> Verification:
    sure = verification is Verification.CONFIRMED
    return Verification.UNCONFIRMED if sure else verification


def _active(view: views.ConditionView) -> bool:
    status = code_of(view.clinical_status)
    if status in _ACTIVE:
        return True
    if status in _INACTIVE:
        return False
    return not any(has(getattr(view, name)) for name in _ABATEMENT)


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
    concepts = match.concepts
    if not concepts and not match.trap:
        concepts = coder.words("drug", words_of([view.code, *(view.used_code or ())]))
        strength = Strength.POSSIBLE
    elif match.use == "possible":
        strength = Strength.POSSIBLE
    if not concepts:
        return None
    start, end, period = procedure_times(view, broken, coder)
    if period and end is None and start is not None:
        end = open_end(start)
    if start is None:
        issues.add("no-date", reference, f"{shown(view.code)}: no date is recorded")
    elif start.unreadable:
        issues.add("unreadable-date", reference, f"{shown(view.code)}: its date cannot be read")
    doubtful = procedure_unclear(view, broken)
    if doubtful:
        issues.add("modifier", reference, "its status or a modifier is not understood")
    return ProcedureDone(
        source=coder.source(reference, view.code, coder.display(view.code, concepts)),
        concepts=concepts,
        strength=strength or Strength.GIVEN,
        when=start,
        end=end,
        doubtful=doubtful,
        completed=view.status not in ("in-progress", "stopped"),
    )


# --- Imaging and reports -----------------------------------------------------------------------

# Concepts that make an imaging study, report or procedure a scan of interest.
SCAN_CONCEPTS = ("pet", "pet_excluded_tracer", "brain_imaging", "tracer_dotatate")
_REPORT_FINAL = frozenset({"final", "amended", "corrected", "appended"})
_REPORT_NOT_FINAL = frozenset(
    {"registered", "partial", "preliminary", "cancelled", "entered-in-error", "unknown"}
)
_STUDY_DONE = frozenset({"available", "unknown"})
_STUDY_NOT_DONE = frozenset({"cancelled", "entered-in-error", "registered"})
_PROCEDURE_NOT_DONE = NO_EXPOSURE["Procedure"] | STRENGTHS["Procedure"].keys() - {"completed"}
_TRACERS = ("tracer_dotatate", "pet_excluded_tracer")
_Imaging = views.ProcedureView | views.ImagingStudyView | views.DiagnosticReportView


def read_scan(
    view: _Imaging, broken: frozenset[str], reference: str, coder: Coder, issues: Issues
) -> Scan | None:
    """Read imaging; a tracer told only in a conclusion counts where the study is a PET anyway."""
    if _is_undone(view):
        return None
    coded, texts = _what(view)
    concepts = coder.concepts(*coded)
    named = coder.words("tracer", [*texts, " ".join(texts)])
    concepts |= named
    conclusion = view.conclusion if isinstance(view, views.DiagnosticReportView) else None
    if conclusion and "pet" in concepts and not _only(concepts, _TRACERS, coder):
        # A conclusion also tells of earlier scans: it names a tracer only where nothing else does.
        concepts |= _only(coder.words("tracer", [conclusion]), _TRACERS, coder)
    if not concepts.intersection(SCAN_CONCEPTS):
        return None
    when = _study_time(view, broken, coder)
    if when is None:
        issues.add("no-date", reference, "the imaging has no date")
    doubtful = _is_unclear(view, broken)
    if doubtful:
        issues.add("modifier", reference, "its status or a modifier is not understood")
    code = _code(view)
    display = next(iter(texts), "") or coder.display(code, concepts)
    return Scan(
        source=coder.source(reference, code, display),
        concepts=concepts,
        tracer=_only(concepts, _TRACERS, coder),
        when=when,
        conclusion=_conclusion(view, coder),
        links=_links(view),
        doubtful=doubtful,
    )


def _only(concepts: frozenset[str], roots: tuple[str, ...], coder: Coder) -> frozenset[str]:
    wanted = NO_CONCEPTS.union(*(coder.codes.descendants(root) for root in roots))
    return concepts & wanted


def _is_undone(view: _Imaging) -> bool:
    """Whether its status says that there is nothing to read, or not yet."""
    match view:
        case views.ProcedureView():
            return view.status in _PROCEDURE_NOT_DONE
        case views.ImagingStudyView():
            return view.status in _STUDY_NOT_DONE
        case _:
            return view.status in _REPORT_NOT_FINAL


def _is_unclear(view: _Imaging, broken: frozenset[str]) -> bool:
    """Whether it may mean something else, or may not have been done at all."""
    match view:
        case views.ProcedureView():
            return procedure_unclear(view, broken)
        case views.ImagingStudyView():
            known = view.status in _STUDY_DONE
            parts = view.series or []
        case _:
            known = view.status in _REPORT_FINAL
            parts = []
    return not known or modified(view, *parts) or bool(broken & UNSURE)


def _what(view: _Imaging) -> tuple[list[views.CodeableConcept], list[str]]:
    """The codes and the words that say what kind of study it is."""
    match view:
        case views.ProcedureView():
            coded = [one for one in (view.code, *(view.used_code or ())) if one is not None]
            return coded, words_of(coded)
        case views.ImagingStudyView():
            series = view.series or ()
            modalities = [*(view.modality or ()), *(s.modality for s in series if s.modality)]
            coded = [*(view.procedure_code or ()), views.CodeableConcept(coding=modalities)]
            texts = [view.description, *(one.description for one in series)]
            return coded, [*words_of(view.procedure_code or ()), *(t for t in texts if t)]
        case _:
            coded = [one for one in (view.code, *(view.category or ())) if one is not None]
            return coded, words_of(coded)


def _code(view: _Imaging) -> views.CodeableConcept | None:
    if isinstance(view, views.ImagingStudyView):
        return next(iter(view.procedure_code or ()), None)
    return view.code


def _study_time(view: _Imaging, broken: frozenset[str], coder: Coder) -> When | None:
    match view:
        case views.ProcedureView():
            return procedure_times(view, broken, coder)[0]
        case views.ImagingStudyView():
            return unreadable_when("") if "started" in broken else coder.when(view.started)
        case _:
            return _report_time(view, broken, coder)


def _report_time(
    view: views.DiagnosticReportView, broken: frozenset[str], coder: Coder
) -> When | None:
    if broken & {"effectiveDateTime", "effectivePeriod"}:
        return unreadable_when("")
    found = coder.when(view.effective_date_time)
    if found is None and view.effective_period is not None:
        found = period_start(view.effective_period, coder)
    if found is None and "issued" in broken:
        return unreadable_when("")
    return found or coder.when(view.issued, stand_in="issued")


def _conclusion(view: _Imaging, coder: Coder) -> frozenset[str]:
    if not isinstance(view, views.DiagnosticReportView):
        return NO_CONCEPTS
    found = coder.answers(("presence",), *(view.conclusion_code or ()))
    return found | coder.exact(("presence",), [view.conclusion] if view.conclusion else [])


def _links(view: _Imaging) -> tuple[str, ...]:
    match view:
        case views.ProcedureView():
            return references(view.report)
        case views.ImagingStudyView():
            one = view.procedure_reference
            return references([one] if one else [])
        case _:
            return references([*(view.result or ()), *(view.imaging_study or ())])


def read_report(
    view: views.DiagnosticReportView,
    broken: frozenset[str],
    reference: str,
    coder: Coder,
    issues: Issues,
) -> Report | None:
    """Read a report for its conclusion: a pathology report, or one that tells a RECIST response."""
    if _is_undone(view):
        return None
    concepts = coder.concepts(view.code, *(view.category or ()))
    texts = words_of([view.code, *(view.category or ()), *(view.conclusion_code or ())])
    if view.conclusion:
        texts.append(view.conclusion)
    concepts |= coder.words("assessment", texts)
    conclusion = coder.concepts(*(view.conclusion_code or ()))
    conclusion |= coder.words("pathology", [view.conclusion] if view.conclusion else [])
    conclusion |= coder.words("pathology", words_of(view.conclusion_code or ()))
    if not concepts:
        return None
    doubtful = _is_unclear(view, broken) or bool(broken & {"conclusion", "conclusionCode"})
    if doubtful:
        issues.add("modifier", reference, "its status, conclusion or a modifier is not understood")
    return Report(
        source=coder.source(reference, view.code, coder.display(view.code, concepts)),
        concepts=concepts,
        when=_report_time(view, broken, coder),
        conclusion=conclusion,
        doubtful=doubtful,
    )


# --- Adverse events, consent -------------------------------------------------------------------

_RESOLVED = frozenset({"resolved", "resolvedWithSequelae", "recovered", "fatal"})


def read_adverse_event(
    view: views.AdverseEventView, broken: frozenset[str], reference: str, coder: Coder
) -> AdverseEvent | None:
    """Read an adverse event that happened."""
    if view.actuality == "potential":
        return None
    return AdverseEvent(
        source=coder.source(reference, view.event, shown(view.event) or reference),
        when=coder.when(view.date) or coder.when(view.recorded_date, stand_in="recordedDate"),
        severe=code_of(view.severity) == "severe",
        resolved=code_of(view.outcome) in _RESOLVED,
        doubtful=modified(view) or bool(broken & UNSURE),
    )


def read_consent(
    view: views.ConsentView, broken: frozenset[str], reference: str, coder: Coder
) -> ConsentGiven | None:
    """Read an active consent; which trial it is for stands in its words and identifiers."""
    if view.status != "active" or (view.provision and view.provision.type == "deny"):
        return None
    texts = words_of([*(view.category or ()), view.policy_rule, view.scope])
    texts.extend(one.value for one in view.identifier or () if one.value)
    texts.extend(
        str(value) for one in view.policy or () for value in one.values() if isinstance(value, str)
    )
    narrative = (view.text or {}).get("div")
    if isinstance(narrative, str):
        texts.append(narrative)
    concepts = coder.words("consent", texts)
    if not concepts:
        return None
    return ConsentGiven(
        source=Source(reference, shown(next(iter(view.category or ()), None)) or "Consent"),
        concepts=concepts,
        when=coder.when(view.date_time),
        doubtful=modified(view) or bool(broken & {*UNSURE, "provision"}),
    )
