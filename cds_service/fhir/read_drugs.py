"""Reads the resources that name a drug: which drug, how surely, from when to when."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from cds_service.fhir import views
from cds_service.fhir.elements import (
    UNSURE,
    Coder,
    Issues,
    has,
    modified,
    number,
    period_start,
    words_of,
)
from cds_service.fhir.medications import Drug, Medications, drug_of
from cds_service.record.dates import When, unreadable_when
from cds_service.record.model import Exposure, Source, Strength
from cds_service.record.units import UnitProblem

# A Procedure with a concept below this one is an exposure as well.
DRUG = "drug"
NOT_UNDERSTOOD = "its status or a modifier is not understood"

_GIVEN, _ORDERED = Strength.GIVEN, Strength.ORDERED
_ORDERS = dict.fromkeys(("active", "completed", "stopped", "on-hold"), _ORDERED)
STRENGTHS: dict[str, dict[str, Strength]] = {
    "MedicationAdministration": {
        "completed": _GIVEN, "in-progress": _GIVEN, "stopped": _GIVEN,
        "on-hold": _ORDERED, "unknown": _ORDERED,
    },
    "MedicationStatement": {
        "active": _GIVEN, "completed": _GIVEN, "stopped": _GIVEN, "on-hold": _GIVEN,
        "intended": _ORDERED, "unknown": _ORDERED,
    },
    "MedicationRequest": _ORDERS,
    "MedicationDispense": {"completed": _ORDERED},
    "Procedure": {
        "completed": _GIVEN, "in-progress": _GIVEN, "stopped": _GIVEN, "preparation": _ORDERED,
    },
}  # fmt: skip
# Any other status is none of FHIR R4, or cannot be read: it may stand for either.
NO_EXPOSURE: dict[str, frozenset[str]] = {
    "MedicationAdministration": frozenset({"not-done", "entered-in-error"}),
    "MedicationStatement": frozenset({"not-taken", "entered-in-error"}),
    "MedicationRequest": frozenset({"cancelled", "draft", "unknown", "entered-in-error"}),
    "MedicationDispense": frozenset(
        {"preparation", "in-progress", "cancelled", "on-hold", "stopped", "declined", "unknown",
         "entered-in-error"}
    ),
    "Procedure": frozenset({"not-done", "on-hold", "unknown", "entered-in-error"}),
}  # fmt: skip
_NO_ORDER_INTENTS = frozenset({"proposal", "plan", "option"})
_DATES = ("performedDateTime", "performedPeriod")


def read_exposure(
    view: views.MedicationUse,
    broken: frozenset[str],
    reference: str,
    medications: Medications,
    coder: Coder,
    issues: Issues,
) -> Exposure | str | None:
    """Read a medication resource.

    Returns:
        The exposure; the drug's name where the tables do not know it; None for no exposure.
    """
    kind = type(view).__name__.removesuffix("View")
    if view.status in NO_EXPOSURE[kind]:
        return None
    if isinstance(view, views.MedicationRequestView) and (
        view.do_not_perform or view.intent in _NO_ORDER_INTENTS
    ):
        return None
    drug = medications.drug(view, broken)
    if drug is None:
        sought = medications.not_found(view, broken)
        if sought:
            reason = "the drug that it refers to could not be found"
            issues.cannot_read(reference, kind, reason, sought)
        else:
            issues.cannot_read(reference, kind, "which drug it is cannot be read")
        return None
    if not drug.known:
        return drug.display or ", ".join(code.code or "" for code in drug.codes)
    if not drug.concepts:
        return None
    return _exposure(_Use(view, broken, reference, kind), drug, coder, issues)


class _Use(msgspec.Struct, frozen=True):
    """A medication resource that may be an exposure."""

    view: views.MedicationUse
    broken: frozenset[str]
    reference: str
    kind: str


def _unclear(view: views.MedicationUse, broken: frozenset[str]) -> bool:
    doses = _doses(view)
    # Words of other FHIR versions for "not taken", and for taken.
    foreign = (view.taken, view.was_not_taken, view.was_not_given, view.not_given)
    return (
        modified(view, *doses)
        or bool(broken & {*UNSURE, "intent", "doNotPerform"})
        or any(has(one) for one in foreign)
    )


def _doses(view: views.MedicationUse) -> list[views.Dosage]:
    match view:
        case views.MedicationAdministrationView():
            return [view.dosage] if view.dosage else []
        case views.MedicationStatementView():
            return view.dosage or []
        case views.MedicationRequestView() | views.MedicationDispenseView():
            return view.dosage_instruction or []
        case _:
            return []


def _exposure(use: _Use, drug: Drug, coder: Coder, issues: Issues) -> Exposure:
    taken = _times(use.view, use.broken, coder)
    doses = _doses(use.view)
    quantity = coder.codes.quantity_of(drug.concepts)
    activity = (
        _Activity(problem="its dose cannot be read")
        if "dosage" in use.broken and quantity is not None
        else _activity(doses, quantity, coder)
    )
    if activity.problem:
        issues.add("unusable-activity", use.reference, activity.problem)
    display = drug.display or coder.name(drug.concepts)
    issues.about_date(taken.start, use.reference, display)
    issues.unless_readable(taken.end, use.reference, display)
    strength = STRENGTHS[use.kind].get(use.view.status or "")
    doubtful = strength is None or _unclear(use.view, use.broken)
    if doubtful:
        issues.add("modifier", use.reference, NOT_UNDERSTOOD)
    if drug.doubtful:
        issues.add("modifier", use.reference, f"the Medication that it names: {NOT_UNDERSTOOD}")
    routes = words_of([dose.route for dose in doses])
    return Exposure(
        source=Source(use.reference, display, drug.codes),
        concepts=drug.concepts | _by_route(drug, doses, coder),
        strength=Strength.POSSIBLE if drug.possible else strength or _GIVEN,
        start=taken.start,
        end=taken.end,
        kind=use.kind,
        given=(strength or _GIVEN) is _GIVEN,
        ongoing=taken.ongoing,
        period=taken.period,
        activity=activity.value,
        activity_original=activity.original,
        activity_problem=activity.problem,
        local=bool(coder.words("form", [*drug.words, *routes])),
        doubtful=doubtful or drug.doubtful,
    )


def _by_route(drug: Drug, doses: Iterable[views.Dosage], coder: Coder) -> frozenset[str]:
    """What the drug and its route are together, by the names of both."""
    routes = [dose.route for dose in doses]
    names = (coder.name(drug.concepts), coder.name(coder.concepts(*routes)))
    return coder.words("route", [" ".join([*names, *drug.words, *words_of(routes)])])


class _Taken(msgspec.Struct, frozen=True):
    """From when to when."""

    start: When | None
    end: When | None = None
    ongoing: bool = False
    period: bool = False


def _times(view: views.MedicationUse, broken: frozenset[str], coder: Coder) -> _Taken:
    active = view.status in ("active", "in-progress")
    match view:
        case views.MedicationAdministrationView() | views.MedicationStatementView():
            return _effective(view, broken, coder, active=active)
        case views.MedicationRequestView():
            start = _stand_in("authoredOn", view.authored_on, broken, coder)
            return _Taken(start, None, active)
        case views.MedicationDispenseView():
            return _Taken(_stand_in("whenHandedOver", view.when_handed_over, broken, coder))
        case _:
            return _Taken(None)


def _effective(
    view: views.MedicationAdministrationView | views.MedicationStatementView,
    broken: frozenset[str],
    coder: Coder,
    *,
    active: bool,
) -> _Taken:
    unknown = unreadable_when("")
    if "effectivePeriod" in broken:
        return _Taken(unknown, unknown, period=True)
    if view.effective_period is not None:
        return _period(view.effective_period, coder, active=active)
    start = unknown if "effectiveDateTime" in broken else coder.when(view.effective_date_time)
    if isinstance(view, views.MedicationAdministrationView):
        # One administration is over on its day; a statement says only when it began.
        return _Taken(start, start)
    start = start or _stand_in("dateAsserted", view.date_asserted, broken, coder)
    return _Taken(start, None, active)


def _stand_in(name: str, text: str | None, broken: frozenset[str], coder: Coder) -> When | None:
    return unreadable_when("") if name in broken else coder.when(text, stand_in=name)


def _period(period: views.Period, coder: Coder, *, active: bool, done: bool = True) -> _Taken:
    # What was completed lasted as long as it says; what goes on may have an end that is none.
    read_end = coder.when if done and not active else coder.until
    start, end = coder.when(period.start), read_end(period.end)
    if start is not None and end is not None and _is_before(end, start):
        # A period that ends before it starts says nothing about either day.
        unknown = unreadable_when(f"{period.start}/{period.end}")
        return _Taken(unknown, unknown, period=True)
    return _Taken(period_start(period, coder), end, active and end is None, period=True)


def _is_before(end: When, start: When) -> bool:
    if end.instant is not None and start.instant is not None:
        return end.instant < start.instant
    return not (end.unreadable or start.unreadable) and end.last < start.first


class _Activity(msgspec.Struct, frozen=True):
    """An administered amount in the canonical unit, or why it cannot be used."""

    value: Decimal | None = None
    original: str = ""
    problem: str | None = None


def _activity(doses: Iterable[views.Dosage], quantity: str | None, coder: Coder) -> _Activity:
    if quantity is None:
        return _Activity()
    for dose in doses:
        rates = dose.dose_and_rate or ()
        for amount in (dose.dose, *(rate.dose_quantity for rate in rates)):
            if amount is not None and (has(amount.value)):
                return _one_activity(amount, quantity, coder)
    return _Activity()


def _one_activity(amount: views.QuantityView, quantity: str, coder: Coder) -> _Activity:
    value = number(amount.value)
    if value is None:
        return _Activity(problem="its dose is no number that can be used")
    original = f"{amount.comparator or ''}{value:f} {amount.unit or amount.code or ''}".strip()
    if amount.comparator:
        return _Activity(None, original, f"its dose {original} is not one value")
    read = coder.units.read(quantity, "", value, amount.unit, amount.code, amount.system)
    if isinstance(read, UnitProblem):
        return _Activity(None, original, f"its dose {original}: {read.message}")
    if not coder.units.plausible(quantity, read.value):
        return _Activity(None, original, f"its dose {original} is not plausible")
    return _Activity(read.value, original)


# --- Therapy recorded as a procedure -----------------------------------------------------------


def read_procedure_exposure(
    view: views.ProcedureView,
    broken: frozenset[str],
    reference: str,
    coder: Coder,
    issues: Issues,
) -> Exposure | None:
    """A Procedure that names a drug, by code or used code, or in words only."""
    if view.status in NO_EXPOSURE["Procedure"]:
        return None
    concepts = [one for one in (view.code, *(view.used_code or ())) if one is not None]
    drug = drug_of(concepts, (), coder)
    if drug is None or DRUG not in drug.concepts:
        return None
    start, end, period = procedure_times(view, broken, coder)
    display = drug.display or coder.name(drug.concepts)
    issues.about_date(start, reference, display)
    issues.unless_readable(end, reference, display)
    strength = STRENGTHS["Procedure"].get(view.status or "")
    doubtful = procedure_unclear(view, broken)
    if doubtful:
        issues.add("modifier", reference, NOT_UNDERSTOOD)
    return Exposure(
        source=Source(reference, display, drug.codes),
        concepts=drug.concepts,
        strength=Strength.POSSIBLE if drug.possible else strength or _GIVEN,
        start=start,
        end=end,
        kind="Procedure",
        given=(strength or _GIVEN) is _GIVEN,
        ongoing=period and end is None and view.status == "in-progress",
        period=period,
        local=bool(coder.words("form", drug.words)),
        doubtful=doubtful,
    )


def procedure_unclear(view: views.ProcedureView, broken: frozenset[str]) -> bool:
    """Whether a Procedure that was not clearly left undone may still not have been done."""
    return (
        (view.status or "") not in STRENGTHS["Procedure"]
        or modified(view)
        or bool(broken & UNSURE)
        or has(view.not_performed)
        or has(view.not_done)
    )


def procedure_times(
    view: views.ProcedureView, broken: frozenset[str], coder: Coder
) -> tuple[When | None, When | None, bool]:
    """Start and end of a Procedure, and whether they are those of a period."""
    if broken.intersection(_DATES):
        unknown = unreadable_when("")
        return unknown, unknown, False
    if view.performed_period is not None:
        taken = _period(view.performed_period, coder, active=False, done=False)
        return taken.start, taken.end, True
    told = (view.performed_string, view.performed_age, view.performed_range)
    foreign = (view.occurrence_date_time, view.occurrence_period)
    if any(has(one) for one in (*told, *foreign)):
        unknown = unreadable_when("text")
        return unknown, unknown, False
    day = coder.when(view.performed_date_time)
    return day, day, False
