"""Blood counts, liver, kidney, performance status: the latest value against its limit."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Final

from validation.decisions import Decisions, Event
from validation.truth.calendar import completed_years, within_days
from validation.truth.finding import Finding, ask, met, not_met, unknown

_DAYS: Final = 28
_WEIGHT_DAYS: Final = 90
_HEMOGLOBIN: Final = Decimal("8.0")  # g/dL
_NEUTROPHILS: Final = Decimal("1.0")  # 10*9/L
_PLATELETS: Final = Decimal(80)  # 10*9/L
_BILIRUBIN_MULTIPLE: Final = Decimal("1.5")
# The upper limits of normal of the simulated laboratory, mg/dL.
BILIRUBIN_LIMIT: Final = Decimal("1.2")
_CLEARANCE: Final = 50  # mL/min


def latest(decisions: Decisions, *names: str, days: int | None = None) -> Event | None:
    """The latest result of that name; of the last days only, where a number is given."""
    results = [
        event
        for event in decisions.named(*names, kind="Observation")
        if days is None or within_days(event.day, decisions.as_of, days)
    ]
    return results[-1] if results else None


def number(event: Event) -> Decimal:
    """The number that was drawn for a result."""
    if event.value is None:
        raise ValueError(f"{event.name} has no number")
    return event.value


def hemoglobin(decisions: Decisions) -> Finding:
    """Inclusion: haemoglobin of at least 80 g/L."""
    return _at_least(decisions, "Hemoglobin ", _HEMOGLOBIN)


def platelets(decisions: Decisions) -> Finding:
    """Inclusion: platelets of at least 80."""
    return _at_least(decisions, "Platelets ", _PLATELETS)


def neutrophils(decisions: Decisions) -> Finding:
    """Inclusion: neutrophils of at least 1.0, counted, or from leukocytes and their share."""
    newest = neutrophil_count(decisions, None)
    truly = newest is not None and newest >= _NEUTROPHILS
    recent = neutrophil_count(decisions, _DAYS)
    if recent is None:
        return unknown(truly=truly)
    return met() if recent >= _NEUTROPHILS else not_met("new_data")


def neutrophil_count(decisions: Decisions, days: int | None) -> Decimal | None:
    """The latest count, in 10*9/L: a direct one first."""
    share = latest(decisions, "Neutrophil share", days=days)
    leukocytes = latest(decisions, "Leukocytes ", days=days)
    counted = latest(decisions, "Neutrophils ", days=days)
    derived = None
    if share is not None and leukocytes is not None and share.day == leukocytes.day:
        derived = number(leukocytes) * number(share) / 100
    if counted is None:
        return derived
    # An old count says less than a new share of new leukocytes; this matters to the truth only, as
    # nobody has both within 28 days.
    newer = derived is not None and share is not None and share.day > counted.day
    return derived if newer else number(counted)


def _at_least(decisions: Decisions, name: str, limit: Decimal) -> Finding:
    newest = latest(decisions, name)
    truly = newest is not None and number(newest) >= limit
    recent = latest(decisions, name, days=_DAYS)
    if recent is None:
        return unknown(truly=truly)
    return met() if number(recent) >= limit else not_met("new_data")


def bilirubin(decisions: Decisions) -> Finding:
    """Inclusion: total bilirubin below 1.5 times the upper limit of normal."""
    totals = [e for e in decisions.named("Bilirubin ") if e.name != "Bilirubin direct"]
    gilbert = decisions.choice("gilbert") == "yes"
    limit = _BILIRUBIN_MULTIPLE * BILIRUBIN_LIMIT
    # The public text has lost the number for Gilbert's. Every value of a patient with it is taken
    # to be within the protocol's: the generator draws none above 3 times normal.
    truly = gilbert or number(totals[-1]) < limit
    recent = [e for e in totals if within_days(e.day, decisions.as_of, _DAYS)]
    if not recent or decisions.choice("upper_limits") == "missing":
        return unknown(truly=truly)
    if number(recent[-1]) < limit:
        return met()
    return ask(truly=truly) if gilbert else not_met("new_data")


def creatinine_clearance(decisions: Decisions) -> Finding:
    """Inclusion: clearance above 50 mL/min, measured, or by Cockcroft and Gault."""
    truly = _clearance_in_truth(decisions) > _CLEARANCE
    recorded = latest(decisions, "Clearance ", days=_DAYS)
    if recorded is not None:
        return met() if number(recorded) > _CLEARANCE else not_met("new_data")
    creatinine = latest(decisions, "Creatinine ", days=_DAYS)
    weight = latest(decisions, "Weight ", days=_WEIGHT_DAYS)
    known = (
        decisions.choice("birth_date") == "known" and decisions.choice("recorded_sex") != "other"
    )
    if creatinine is None or weight is None or not known:
        return unknown(truly=truly)
    computed = _cockcroft_gault(decisions, number(creatinine), number(weight))
    return met() if computed > _CLEARANCE else not_met("new_data")


def _clearance_in_truth(decisions: Decisions) -> Fraction:
    recorded = latest(decisions, "Clearance ")
    if recorded is not None:
        return Fraction(number(recorded))
    creatinine, weight = latest(decisions, "Creatinine "), latest(decisions, "Weight ")
    if creatinine is None or weight is None:
        raise ValueError(f"{decisions.patient} was never followed up")
    return _cockcroft_gault(decisions, number(creatinine), number(weight))


def _cockcroft_gault(decisions: Decisions, mg_per_dl: Decimal, kg: Decimal) -> Fraction:
    """The clearance in mL/min, exactly."""
    age = completed_years(decisions.born, decisions.as_of)
    clearance = Fraction(140 - age) * Fraction(kg) / (72 * Fraction(mg_per_dl))
    return clearance * Fraction(85, 100) if decisions.sex == "F" else clearance


def ecog(decisions: Decisions) -> Finding:
    """Inclusion: ECOG of at most 2, or what Karnofsky says of it."""
    told = decisions.choice("performance_in_truth") == "ecog_2_or_better"
    score = latest(decisions, "ECOG ")
    if score is not None:
        return met() if number(score) <= 2 else not_met("new_data")
    karnofsky = latest(decisions, "Karnofsky ")
    if karnofsky is None:
        return unknown(truly=told)
    if number(karnofsky) >= 60:
        return met()
    return not_met("new_data") if number(karnofsky) <= 40 else ask(truly=told)
