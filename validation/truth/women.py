"""Childbearing: who it concerns, the test, pregnancy, breastfeeding."""

from __future__ import annotations

from datetime import date
from typing import Final

from validation.decisions import Decisions
from validation.truth.calendar import months_before, within_days
from validation.truth.finding import Finding, ask, met, not_applicable, not_met, unknown
from validation.truth.labs import latest

_TEST_DAYS: Final = 28
_STATUS_DAYS: Final = 300
_MENSES_MONTHS: Final = 12
_POSITIVE: Final = "Positive (qualifier value)"
_STERILISED: Final = ("Hysterectomy", "Oophorectomy", "Tubal ligation")


def _man(decisions: Decisions) -> bool:
    """Recorded as a man."""
    return decisions.sex == "M" and decisions.choice("recorded_sex") != "other"


def _sex_open(decisions: Decisions) -> bool:
    return decisions.choice("recorded_sex") == "other"


def _fertile(decisions: Decisions) -> bool:
    """Whether she really can bear children, tubal ligation aside."""
    woman = decisions.choice("woman")
    return woman in {"childbearing", "tubal_ligation"} or (
        decisions.choice("childbearing_in_truth") == "yes"
    )


def _after_menopause(decisions: Decisions) -> bool:
    """Documented with a date, or by a code that says postmenopausal."""
    menses = decisions.added.get("lastMenses")
    limit = months_before(decisions.as_of, _MENSES_MONTHS)
    old = menses is not None and date.fromisoformat(menses) < limit
    return old or decisions.event("Postmenopausal") is not None


def _agreed(decisions: Decisions) -> bool:
    if decisions.sex == "M" or not _fertile(decisions):
        return True
    tied = decisions.choice("woman") == "tubal_ligation"
    return tied or decisions.choice("contraception") == "agreed"


def contraception(decisions: Decisions) -> Finding:
    """Inclusion: highly effective contraception, for those who need it."""
    truly = _agreed(decisions)
    if _sex_open(decisions):
        return ask(truly=truly)
    if _man(decisions):
        return not_applicable()
    if any(decisions.event(name) is not None for name in _STERILISED):
        return met()
    return not_applicable() if _after_menopause(decisions) else ask(truly=truly)


def _pregnant(decisions: Decisions) -> bool:
    if decisions.sex == "M":
        return False
    tested = decisions.choice("pregnancy_test") == "positive"
    by_test = tested and decisions.choice("positive_test_in_truth") == "pregnant"
    by_record = decisions.choice("pregnancy") in {"condition", "status"}
    return _fertile(decisions) and (by_test or by_record)


def _test(decisions: Decisions, *, truly: bool) -> Finding:
    """What a test of the last 28 days says, for those whom it concerns."""
    if _sex_open(decisions):
        return ask(truly=truly)
    no_uterus_or_ovaries = any(decisions.event(name) for name in _STERILISED[:2])
    if _man(decisions) or _after_menopause(decisions) or no_uterus_or_ovaries:
        return not_applicable()
    result = latest(decisions, "Pregnancy test", days=_TEST_DAYS)
    if result is not None:
        return ask(truly=truly) if result.answer == _POSITIVE else met()
    # Menopause recorded with no date: whether a test is needed at all is for a person. The text
    # does not say what holds with no test then; this is its reading of childbearing potential.
    finding = decisions.event("Menopause finding") is not None
    return ask(truly=truly) if finding else unknown(truly=truly)


def pregnancy_test(decisions: Decisions) -> Finding:
    """Inclusion: a pregnancy test that rules pregnancy out."""
    concerned = decisions.sex == "F" and _fertile(decisions)
    tested = decisions.choice("pregnancy_test") != "none"
    return _test(decisions, truly=not concerned or (tested and not _pregnant(decisions)))


def pregnancy(decisions: Decisions) -> Finding:
    """Exclusion: pregnant."""
    truly = not _pregnant(decisions)
    if _sex_open(decisions):
        return ask(truly=truly)
    if _man(decisions):
        return not_applicable()
    status = decisions.event("Pregnancy status")
    recent = status is not None and within_days(status.day, decisions.as_of, _STATUS_DAYS)
    if decisions.event("Pregnancy") is not None or recent:
        return not_met("new_data")
    return _test(decisions, truly=truly)


def breastfeeding(decisions: Decisions) -> Finding:
    """Exclusion: breastfeeding that goes on."""
    feeding = decisions.event("Breastfeeding") is not None
    truly = not feeding or decisions.choice("lactation_in_truth") == "stops"
    if _sex_open(decisions):
        return ask(truly=truly)
    if _man(decisions):
        return not_applicable()
    return ask(truly=truly) if feeding else met()
