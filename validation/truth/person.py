"""The person: age, what only a person can say, other diseases, operations, steroids."""

from __future__ import annotations

from typing import Final

from validation.decisions import Decisions, Event
from validation.truth.calendar import completed_years, months_before, within_days
from validation.truth.finding import Finding, ask, met, not_applicable, not_met, unknown
from validation.truth.labs import latest, number

_ADULT: Final = 18
_LOAD_MONTHS: Final = 6
_UNDETECTABLE: Final = 200  # copies/mL, as "<20"
_SURGERY_DAYS: Final = 42
_STEROID_DAYS: Final = 27
_MAJOR: Final = (
    "Surgery recent",
    "Surgery day 42",
    "Surgery day 43",
    "Bowel resection long ago",
    "Resection",
    "Hysterectomy",
    "Oophorectomy",
)
_ANOTHER: Final = ("Surgery of another kind", "Tubal ligation")
_STEROID_GIVEN: Final = ("Dexamethasone day ", "Prednisone")
_ACTIVE_ORAL_PROBLEMS: Final = ("dysphagia", "short_bowel", "gastroparesis")


def age(decisions: Decisions) -> Finding:
    """Inclusion: 18 years or older."""
    adult = completed_years(decisions.born, decisions.as_of) >= _ADULT
    if decisions.choice("birth_date") == "withheld":
        return unknown(truly=adult)
    return met() if adult else not_met("time")


def unresectable(decisions: Decisions) -> Finding:
    """Title of the trial: unresectable."""
    return ask(truly=decisions.choice("unresectable") == "yes")


def quality_of_life(decisions: Decisions) -> Finding:
    """Inclusion: willing to complete the questionnaires, or unable to."""
    return ask(truly=decisions.choice("questionnaires") != "unwilling")


def somatostatin_analogue(_: Decisions) -> Finding:
    """Inclusion: always met; analogues are allowed."""
    return met()


def consent(decisions: Decisions) -> Finding:
    """Inclusion: signed consent."""
    if decisions.choice("consent") == "recorded":
        return met()
    return ask(truly=decisions.choice("consent") == "on_paper")


def follow_up(decisions: Decisions) -> Finding:
    """Inclusion: accessible for treatment, assessment and follow-up."""
    return ask(truly=decisions.choice("follow_up") == "yes")


def adverse_event_return(decisions: Decisions) -> Finding:
    """Inclusion: agrees to return for adverse events."""
    return ask(truly=decisions.choice("returns") == "yes")


def everolimus_access(decisions: Decisions) -> Finding:
    """Inclusion: access to everolimus. With no site file nothing says so."""
    return ask(truly=decisions.choice("everolimus_access") == "yes")


def uncontrolled_condition(decisions: Decisions) -> Finding:
    """Exclusion: any other significant uncontrolled condition."""
    return ask(truly=decisions.choice("uncontrolled") == "none")


def hiv(decisions: Decisions) -> Finding:
    """Inclusion: HIV is no bar if treated and undetectable within 6 months."""
    if decisions.event("HIV infection") is None:
        return not_applicable()
    truly = decisions.choice("hiv") in {"controlled", "load_stale", "no_load"}
    load = latest(decisions, "Viral load ")
    if load is None or load.day < months_before(decisions.as_of, _LOAD_MONTHS):
        return unknown(truly=truly)
    if number(load) > _UNDETECTABLE:
        return not_met("new_data")
    treated = decisions.event("Antiretrovirals") is not None
    return met() if treated else unknown(truly=truly)


def other_malignancy(decisions: Decisions) -> Finding:
    """Inclusion: another malignancy only if it does not interfere."""
    # A family history is not the patient's disease.
    if decisions.choice("other_cancer") in {"none", "family_history"}:
        return met()
    return ask(truly=decisions.choice("other_cancer_in_truth") == "does_not_interfere")


def recent_surgery(decisions: Decisions) -> Finding:
    """Exclusion: major surgery within 6 weeks."""
    if any(_operated(event, decisions) for event in decisions.named(*_MAJOR, kind="Procedure")):
        return not_met("time")
    if any(_operated(event, decisions) for event in decisions.named(*_ANOTHER, kind="Procedure")):
        return ask(truly=decisions.choice("surgery_in_truth") == "minor")
    return met()


def _operated(event: Event, decisions: Decisions) -> bool:
    return within_days(event.last_day, decisions.as_of, _SURGERY_DAYS)


def brain_metastases(decisions: Decisions) -> Finding:
    """Exclusion: brain metastases, unless treated, stable, and off steroids for 4 weeks."""
    if decisions.event("Brain metastases") is None:
        return met()
    if decisions.event("Dexamethasone continuing") is not None:
        return not_met("new_data")
    given = decisions.named(*_STEROID_GIVEN, kind="MedicationOrder")
    if any(within_days(event.day, decisions.as_of, _STEROID_DAYS) for event in given):
        return not_met("time")
    return ask(truly=decisions.choice("brain_in_truth") == "stable")


def heart_failure(decisions: Decisions) -> Finding:
    """Exclusion: uncontrolled congestive heart failure, by NYHA class."""
    if decisions.event("NYHA 3") is not None:
        return not_met("new_data")
    if decisions.event("Heart failure") is None:
        return met()
    # Of class II, or resolved: controlled. With no class, the generator knows.
    unclassed = decisions.choice("heart") == "failure_no_class"
    controlled = decisions.choice("heart_in_truth") == "controlled"
    return ask(truly=not unclassed or controlled)


def oral_intake(decisions: Decisions) -> Finding:
    """Exclusion: cannot swallow, or does not absorb."""
    if decisions.choice("oral") not in _ACTIVE_ORAL_PROBLEMS:
        return met()
    return ask(truly=decisions.choice("oral_in_truth") == "sufficient")
