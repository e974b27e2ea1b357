"""Reads the resources that name a drug into exposures: which drug, how surely, from when to when."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal

import msgspec

from cds_service.fhir import views
from cds_service.fhir.elements import (
    Coder,
    Issues,
    codings_of,
    has,
    modified,
    number,
    relative,
    words_of,
)
from cds_service.record.dates import When, unreadable_when
from cds_service.record.model import Coding, Exposure, Source, Strength
from cds_service.record.units import UnitProblem

# A Procedure with a concept below this one is an exposure as well.
DRUG = "drug"
_MOST_INGREDIENT_LEVELS = 4

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
_EARLIEST = date(1900, 1, 1)
_NO_ORDER_INTENTS = frozenset({"proposal", "plan", "option"})
_DATES = ("effectiveDateTime", "effectivePeriod", "performedDateTime", "performedPeriod")


class Drug(msgspec.Struct, frozen=True):
    """Which drug a resource names.

    Args:
        concepts: by code, or by words where ``possible``.
        possible: it is named in words only, or by a code that is not verified.
        known: the tables know it, be it as something that is no drug of interest.
        words: its words, for a reader and for its form.
    """

    concepts: frozenset[str]
    possible: bool
    known: bool
    display: str
    codes: tuple[Coding, ...]
    words: tuple[str, ...]
    doubtful: bool = False


class Medications:
    """The Medication resources that others refer to."""

    def __init__(self, by_reference: dict[str, views.Decoded], coder: Coder, issues: Issues) -> None:
        self._by_reference = by_reference
        self._coder = coder
        self._issues = issues

    def drug(self, view: views.MedicationUse, broken: frozenset[str]) -> Drug | None:
        """The drug of a resource; None where it cannot be read."""
        if "medicationCodeableConcept" in broken or "medicationReference" in broken:
            return None
        if view.medication_codeable_concept is not None:
            return self._by_concepts([view.medication_codeable_concept], (), doubtful=False)
        named = view.medication_reference
        if named is None or named.reference is None:
            return None
        found = self._find(named.reference, view.contained or ())
        return None if found is None else self._of_medication(found, view.contained or ())

    def _find(self, reference: str, contained: Iterable[msgspec.Raw]) -> views.Decoded | None:
        if reference.startswith("#"):
            for raw in contained:
                decoded = views.decode(raw)
                if isinstance(decoded.view, views.MedicationView) and decoded.view.id == reference[1:]:
                    return decoded
            return None
        return self._by_reference.get(relative(reference))

    def _of_medication(
        self, decoded: views.Decoded, contained: Iterable[msgspec.Raw]
    ) -> Drug | None:
        view = decoded.view
        if not isinstance(view, views.MedicationView) or {"code", "ingredient"} & decoded.broken:
            return None
        concepts = [view.code] if view.code is not None else []
        doubtful = modified(view, *(view.ingredient or ())) or view.status == "entered-in-error"
        whole = self._ingredients(view, (*contained, *(view.contained or ())), concepts, 0)
        if not concepts:
            return None
        drug = self._by_concepts(concepts, words_of([view.form]), doubtful=doubtful)
        # What an ingredient that cannot be found is, only a code of the whole product can tell.
        told = whole or (view.code is not None and bool(self._coder.concepts(view.code)))
        return drug if told else None

    def _ingredients(
        self,
        view: views.MedicationView,
        contained: Iterable[msgspec.Raw],
        concepts: list[views.CodeableConcept],
        level: int,
    ) -> bool:
        """Collect the ingredients' concepts; a circle of references ends at the level limit.

        Returns:
            Whether every ingredient was found.
        """
        if level >= _MOST_INGREDIENT_LEVELS:
            return False
        whole = True
        for one in view.ingredient or ():
            if one.item_codeable_concept is not None:
                concepts.append(one.item_codeable_concept)
            elif one.item_reference is not None and one.item_reference.reference:
                found = self._find(one.item_reference.reference, contained)
                inner = None if found is None else found.view
                if not isinstance(inner, views.MedicationView):
                    whole = False
                    continue
                if inner.code is not None:
                    concepts.append(inner.code)
                whole = self._ingredients(inner, contained, concepts, level + 1) and whole
        return whole

    def _by_concepts(
        self, concepts: list[views.CodeableConcept], form: Iterable[str], *, doubtful: bool
    ) -> Drug | None:
        return drug_of(concepts, form, self._coder, doubtful=doubtful)


def drug_of(
    concepts: list[views.CodeableConcept], form: Iterable[str], coder: Coder, *, doubtful: bool = False
) -> Drug | None:
    """The drug of some CodeableConcepts: by code, or else by words; None where they say nothing."""
    words = words_of(concepts)
    match = coder.match(*concepts)
    codes = tuple(code for concept in concepts for code in codings_of(concept))
    display = next(iter(words), "")
    if not words and not codes:
        return None
    sure = match.concepts - match.possible
    if match.concepts or match.trap:
        held = sure if sure else match.concepts
        possible = not sure and bool(match.concepts)
        return Drug(held, possible, True, display, codes, (*words, *form), doubtful)
    named = coder.words("drug", words)
    return Drug(named, True, bool(named), display, codes, (*words, *form), doubtful)


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
    strength = STRENGTHS[kind].get(view.status or "")
    unclear = "status" in broken or view.status is None
    if strength is None and not unclear:
        return None
    if isinstance(view, views.MedicationRequestView) and (
        view.do_not_perform or view.intent in _NO_ORDER_INTENTS
    ):
        return None
    drug = medications.drug(view, broken)
    if drug is None:
        issues.cannot_read(reference, kind, "which drug it is cannot be read")
        return None
    if not drug.known:
        return drug.display or ", ".join(code.code or "" for code in drug.codes)
    if not drug.concepts:
        return None
    unclear = unclear or _unclear(view, broken)
    return _exposure(view, broken, kind, reference, drug, strength or _GIVEN, unclear, coder, issues)


def _unclear(view: views.MedicationUse, broken: frozenset[str]) -> bool:
    doses = _doses(view)
    return modified(view, *doses) or bool(
        broken & {"modifierExtension", "implicitRules", "intent", "doNotPerform"}
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


def _exposure(
    view: views.MedicationUse,
    broken: frozenset[str],
    kind: str,
    reference: str,
    drug: Drug,
    strength: Strength,
    unclear: bool,
    coder: Coder,
    issues: Issues,
) -> Exposure:
    taken = _times(view, broken, coder)
    quantity = coder.codes.quantity_of(drug.concepts)
    doses = _doses(view)
    activity = _activity(doses, "dosage" in broken, quantity, coder)
    if activity.problem:
        issues.add("unusable-activity", reference, activity.problem)
    if taken.start is None:
        issues.add("no-date", reference, f"{drug.display}: no date is recorded")
    elif taken.start.unreadable:
        issues.add("unreadable-date", reference, f"{drug.display}: its date cannot be read")
    routes = words_of([dose.route for dose in doses])
    return Exposure(
        source=Source(reference, drug.display or coder.name(drug.concepts), drug.codes),
        concepts=drug.concepts,
        strength=Strength.POSSIBLE if drug.possible else strength,
        start=taken.start,
        end=taken.end,
        kind=kind,
        ongoing=taken.ongoing,
        period=taken.period,
        activity=activity.value,
        activity_original=activity.original,
        activity_problem=activity.problem,
        local=bool(coder.words("form", [*drug.words, *routes])),
        doubtful=unclear or drug.doubtful,
    )


class _Taken(msgspec.Struct, frozen=True):
    """From when to when."""

    start: When | None
    end: When | None = None
    ongoing: bool = False
    period: bool = False


def _times(view: views.MedicationUse, broken: frozenset[str], coder: Coder) -> _Taken:
    if broken.intersection(_DATES):
        return _Taken(unreadable_when(""))
    active = view.status in ("active", "in-progress")
    match view:
        case views.MedicationAdministrationView() | views.MedicationStatementView():
            single = isinstance(view, views.MedicationAdministrationView)
            if view.effective_period is not None:
                return _period(view.effective_period, coder, active=active)
            start = coder.when(view.effective_date_time)
            if start is None and isinstance(view, views.MedicationStatementView):
                start = coder.when(view.date_asserted, stand_in="dateAsserted")
            # One administration is over on its day; a statement says only when it began.
            return _Taken(start, start if single else None, active and not single)
        case views.MedicationRequestView():
            return _Taken(coder.when(view.authored_on, stand_in="authoredOn"), None, active)
        case views.MedicationDispenseView():
            return _Taken(coder.when(view.when_handed_over, stand_in="whenHandedOver"))
        case _:
            return _Taken(None)


def _period(period: views.Period, coder: Coder, *, active: bool) -> _Taken:
    start, end = coder.when(period.start), coder.when(period.end)
    if start is not None and end is not None and _is_before(end, start):
        # A period that ends before it starts says nothing about either day.
        unknown = unreadable_when(f"{period.start}/{period.end}")
        return _Taken(unknown, unknown, period=True)
    if start is None and end is not None:
        # Only the end is known: it began on that day or before.
        start = When(_EARLIEST, end.last, text=f"/{period.end}")
    return _Taken(start, end, active and end is None, period=True)


def _is_before(end: When, start: When) -> bool:
    if end.instant is not None and start.instant is not None:
        return end.instant < start.instant
    return not (end.unreadable or start.unreadable) and end.last < start.first


class _Activity(msgspec.Struct, frozen=True):
    """An administered amount in the canonical unit, or why it cannot be used."""

    value: Decimal | None = None
    original: str = ""
    problem: str | None = None


def _activity(
    doses: Iterable[views.Dosage], unreadable: bool, quantity: str | None, coder: Coder  # noqa: FBT001
) -> _Activity:
    if quantity is None:
        return _Activity()
    if unreadable:
        return _Activity(problem="its dose cannot be read")
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
    strength = STRENGTHS["Procedure"].get(view.status or "")
    unclear = "status" in broken or view.status is None
    if strength is None and not unclear:
        return None
    concepts = [one for one in (view.code, *(view.used_code or ())) if one is not None]
    drug = drug_of(concepts, (), coder)
    if drug is None or DRUG not in drug.concepts:
        return None
    start, end, period = procedure_times(view, broken, coder)
    if start is None:
        issues.add("no-date", reference, f"{drug.display}: no date is recorded")
    unclear = unclear or modified(view) or bool(broken & {"modifierExtension", "implicitRules"})
    return Exposure(
        source=Source(reference, drug.display or coder.name(drug.concepts), drug.codes),
        concepts=drug.concepts,
        strength=Strength.POSSIBLE if drug.possible else strength or _GIVEN,
        start=start,
        end=end,
        kind="Procedure",
        ongoing=period and end is None and view.status == "in-progress",
        period=period,
        local=bool(coder.words("form", drug.words)),
        doubtful=unclear,
    )


def procedure_times(
    view: views.ProcedureView, broken: frozenset[str], coder: Coder
) -> tuple[When | None, When | None, bool]:
    """Start and end of a Procedure, and whether they are those of a period."""
    if broken.intersection(_DATES):
        unknown = unreadable_when("")
        return unknown, unknown, False
    if view.performed_period is not None:
        taken = _period(view.performed_period, coder, active=False)
        return taken.start, taken.end, True
    if has(view.performed_string) or has(view.performed_age):
        unknown = unreadable_when("text")
        return unknown, unknown, False
    day = coder.when(view.performed_date_time)
    return day, day, False

