"""Rules on childbearing: contraception, pregnancy test, pregnancy, breastfeeding.

No age is assumed to end childbearing potential. Sources: the four rules, details 27, 28 and 37.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import msgspec

from cds_service.criteria.finding import Context, Finding, dated, named, shown_date
from cds_service.criteria.latest import latest, newest
from cds_service.record.model import Diagnosis, ProcedureDone, Result, ResultState, Strength
from cds_service.trial.rules import (
    BreastfeedingRule,
    Childbearing,
    ContraceptionRule,
    PregnancyRule,
    PregnancyTestRule,
)

_Fact = Diagnosis | ProcedureDone | Result


class _Potential(msgspec.Struct, frozen=True):
    """What the record says about childbearing potential.

    Args:
        ended: uterus or both ovaries removed.
        surgery: contraceptive surgery, the former included.
        postmenopausal: recorded as such, or the last menses long enough ago.
        unproven: menopause recorded without its date.
    """

    ended: tuple[_Fact, ...]
    surgery: tuple[_Fact, ...]
    postmenopausal: tuple[_Fact, ...]
    unproven: tuple[_Fact, ...]


def _sex_finding(context: Context) -> Finding | None:
    sex = context.view.sex()
    if sex == "male":
        return Finding("male")
    return Finding("sex_unknown") if sex is None else None


def _potential(rule: Childbearing, context: Context) -> _Potential:
    ended = _recorded(rule.ended, context)
    surgery = (*ended, *_recorded(rule.contraceptive_surgery, context))
    view = context.view
    recorded = [one for one in view.diagnoses(rule.postmenopausal) if one.confirmed]
    menses = _last_menses(rule, context)
    if menses is not None:
        # A known last menses says more than a code: within the months, she is not postmenopausal.
        past: tuple[_Fact, ...] = () if _is_recent(rule, menses, context) else (menses,)
    else:
        past = tuple(recorded)
    unproven = (*view.diagnoses(rule.menopause_unproven), *recorded)
    return _Potential(ended, surgery, past, tuple(unproven))


def _recorded(concepts: Sequence[str], context: Context) -> tuple[_Fact, ...]:
    """Done as a procedure, or recorded as a state after it."""
    done = [
        one
        for one in context.view.procedures(concepts, dated=False)
        if one.strength is Strength.GIVEN
    ]
    states = [one for one in context.view.diagnoses(concepts) if one.confirmed]
    return (*done, *states)


def _last_menses(rule: Childbearing, context: Context) -> Result | None:
    found = [
        one
        for one in context.view.results(rule.last_menses, dated=False)
        if one.when_value is not None and not one.when_value.unreadable
    ]
    return max(found, key=_menses_day, default=None)


def _menses_day(one: Result) -> date:
    # The latest day that the value can mean: a vague date must not end childbearing potential.
    return one.when_value.last if one.when_value is not None else date.min


def _is_recent(rule: Childbearing, menses: Result, context: Context) -> bool:
    value = menses.when_value
    clock = context.view.clock
    return value is None or clock.within_months(min(value.last, clock.today), rule.menses_months)


def contraception(rule: ContraceptionRule, context: Context) -> Finding:
    """Contraception, for whom it applies."""
    if (by_sex := _sex_finding(context)) is not None:
        return by_sex
    potential = _potential(rule.childbearing, context)
    if potential.surgery:
        return _with("surgery", potential.surgery)
    if potential.postmenopausal:
        return _with("postmenopausal", potential.postmenopausal)
    if potential.unproven:
        return _with("menopause_unproven", potential.unproven)
    return Finding("ask")


def _with(outcome: str, facts: Sequence[_Fact]) -> Finding:
    return Finding(outcome, tuple(facts), {"what": named(facts)})


def pregnancy_test(rule: PregnancyTestRule, context: Context) -> Finding:
    """A recent pregnancy test, for whom it applies."""
    if (by_sex := _sex_finding(context)) is not None:
        return by_sex
    return _test(rule.childbearing, context)


def _test(rule: Childbearing, context: Context) -> Finding:
    potential = _potential(rule, context)
    if potential.ended:
        return _with("childbearing_ended", potential.ended)
    if potential.postmenopausal:
        return _with("postmenopausal", potential.postmenopausal)
    clock = context.view.clock
    recent = [
        one
        for one in context.view.results(rule.test)
        if one.when is not None and clock.within_days(one.when.first, rule.test_within_days)
    ]
    deciding = latest(recent)
    if deciding is None:
        return _with("menopause_unproven", potential.unproven) if potential.unproven else Finding("none")
    facts = deciding.results
    values = {"date": shown_date(facts[0].when), "value": facts[0].original}
    if deciding.unusable is not None:
        return Finding("unusable", facts, values)
    said = {_test_says(rule, one) for one in facts}
    return Finding(said.pop() if len(said) == 1 else "disagree", facts, values)


def _test_says(rule: Childbearing, one: Result) -> str:
    positive = one.answers.intersection(rule.positive)
    negative = one.answers.intersection(rule.negative)
    if positive and negative:
        return "disagree"
    if positive:
        return "positive"
    if negative:
        return "negative"
    return "number_only" if one.amount is not None else "unusable"


def pregnancy(rule: PregnancyRule, context: Context) -> Finding:
    """An active pregnancy, or a recent positive status; else as the pregnancy test."""
    active = [one for one in context.view.diagnoses(rule.pregnancy) if one.active]
    confirmed = [one for one in active if one.confirmed]
    status = _status(rule, context)
    if confirmed or status:
        facts: tuple[_Fact, ...] = (*confirmed, *status)
        return Finding("pregnant", facts, {"what": named(facts), "date": shown_date(facts[0].when)})
    if (by_sex := _sex_finding(context)) is not None:
        return by_sex
    if active:
        return _with("unconfirmed", active)
    return _test(rule.childbearing, context)


def _status(rule: PregnancyRule, context: Context) -> tuple[Result, ...]:
    """The latest status of the window, where it says pregnant."""
    clock = context.view.clock
    recent = [
        one
        for one in context.view.results(rule.status)
        if one.when is not None
        and one.state is ResultState.USABLE
        and clock.within_days(one.when.first, rule.status_within_days)
    ]
    return tuple(one for one in newest(recent) if one.answers.intersection(rule.pregnant))


def breastfeeding(rule: BreastfeedingRule, context: Context) -> Finding:
    """Lactation recorded as active."""
    if (by_sex := _sex_finding(context)) is not None:
        return by_sex
    view = context.view
    active = [one for one in view.diagnoses(rule.lactation) if one.active]
    status = [
        one
        for one in newest(view.results(rule.status))
        if one.answers.intersection(rule.lactation) or one.state is ResultState.UNUSABLE
    ]
    facts: tuple[_Fact, ...] = (*active, *status)
    return Finding("active", facts, {"what": dated(facts)}) if facts else Finding("none")
