"""Reads imaging and reports: which scan, with which tracer, when, and what it was taken to show."""

from __future__ import annotations

from collections.abc import Sequence

from cds_service.fhir import views
from cds_service.fhir.elements import (
    UNSURE,
    Coder,
    Issues,
    modified,
    period_start,
    references,
    words_of,
)
from cds_service.fhir.read_drugs import (
    NO_EXPOSURE,
    STRENGTHS,
    procedure_times,
    procedure_unclear,
)
from cds_service.record.codes import Match
from cds_service.record.dates import When, unreadable_when
from cds_service.record.model import NO_CONCEPTS, Report, Scan

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
    match, sure = _recognise(view, coder)
    conclusion = view.conclusion if isinstance(view, views.DiagnosticReportView) else None
    if conclusion and "pet" in sure and not _only(sure, _TRACERS, coder):
        # A conclusion also tells of earlier scans: it names a tracer only where nothing else does.
        sure |= _only(coder.words("tracer", [conclusion]), _TRACERS, coder)
    concepts = sure | match.possible
    if not concepts.intersection(SCAN_CONCEPTS):
        return None
    when = _study_time(view, broken, coder)
    if when is None:
        issues.add("no-date", reference, "the imaging has no date")
    doubtful = _is_unclear(view, broken)
    if doubtful:
        issues.add("modifier", reference, "its status or a modifier is not understood")
    code = _code(view)
    display = next(iter(_texts(view)), "") or coder.display(code, concepts)
    return Scan(
        source=coder.source(reference, code, display),
        concepts=concepts,
        tracer=_only(sure, _TRACERS, coder),
        when=when,
        conclusion=_conclusion(view, coder),
        links=_links(view),
        doubtful=doubtful,
    )


def _recognise(view: _Imaging, coder: Coder) -> tuple[Match, frozenset[str]]:
    """What some imaging is, and which of that is sure."""
    coded = _coded(view)
    if isinstance(view, views.ImagingStudyView):
        # Its words are free text, and those do not recur.
        return _named(coded, _texts(view), coder)
    return coder.kinds.once(("imaging", *coded), lambda: _named(coded, words_of(coded), coder))


def _named(
    coded: Sequence[views.CodeableConcept], texts: Sequence[str], coder: Coder
) -> tuple[Match, frozenset[str]]:
    match = coder.match(*coded)
    # A code that is not verified may make it a scan, and names no tracer.
    sure = match.concepts - match.possible | coder.words("tracer", [*texts, " ".join(texts)])
    return match, sure


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


def _coded(view: _Imaging) -> list[views.CodeableConcept]:
    """The codes that say what kind of study it is."""
    match view:
        case views.ProcedureView():
            return [one for one in (view.code, *(view.used_code or ())) if one is not None]
        case views.ImagingStudyView():
            series = (one.modality for one in view.series or () if one.modality)
            modalities = views.CodeableConcept((*(view.modality or ()), *series))
            return [*(view.procedure_code or ()), modalities]
        case _:
            return [one for one in (view.code, *(view.category or ())) if one is not None]


def _texts(view: _Imaging) -> list[str]:
    """The words that say so; of a study those of its descriptions, too."""
    if not isinstance(view, views.ImagingStudyView):
        return words_of(_coded(view))
    described = [view.description, *(one.description for one in view.series or ())]
    return [*words_of(view.procedure_code or ()), *(text for text in described if text)]


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
    coded = (view.code, *(view.category or ()))
    concluded = tuple(view.conclusion_code or ())
    concepts, conclusion = coder.kinds.once(
        ("report", *coded, None, *concluded), lambda: _reported(coded, concluded, coder)
    )
    if view.conclusion:
        concepts |= coder.words("assessment", [view.conclusion])
        conclusion |= coder.words("pathology", [view.conclusion])
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


def _reported(
    coded: Sequence[views.CodeableConcept | None],
    concluded: Sequence[views.CodeableConcept],
    coder: Coder,
) -> tuple[frozenset[str], frozenset[str]]:
    """What kind of report it is and what it concludes, as far as codes and their words say."""
    concepts = coder.concepts(*coded) | coder.words("assessment", words_of([*coded, *concluded]))
    conclusion = coder.concepts(*concluded) | coder.words("pathology", words_of(concluded))
    return concepts, conclusion
