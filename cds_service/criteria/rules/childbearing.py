"""Rules on childbearing: contraception, pregnancy test, pregnancy, breastfeeding.

No age is assumed to end childbearing potential. Sources: the four rules, details 27, 28 and 37.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Literal

import msgspec

from cds_service.criteria.finding import Context, Finding, dated, named, shown_date, types_of
from cds_service.criteria.latest import latest
from cds_service.record.model import Diagnosis, ProcedureDone, Result, ResultState, Strength
from cds_service.trial.rules.childbearing import (
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
        unproven: menopause recorded without its date, or a state that is not confirmed.
        unclear: a last menses that cannot be used, or whose vague date can be on either side.
    """

    ended: tuple[_Fact, ...]
    surgery: tuple[_Fact, ...]
    postmenopausal: tuple[_Fact, ...]
    unproven: tuple[_Fact, ...]
    unclear: tuple[_Fact, ...] = ()


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
    states = (*rule.postmenopausal, *rule.ended, *rule.menopause_unproven)
    unproven = tuple(one for one in view.diagnoses(states) if one not in ended)
    menses = _last_menses(rule, context)
    if menses is None:
        return _Potential(ended, surgery, tuple(recorded), unproven)
    # A known last menses says more than a code: within the months, she is not postmenopausal.
    match _how_long_ago(rule, menses, context):
        case "long":
            return _Potential(ended, surgery, (menses,), unproven)
        case "unclear":
            return _Potential(ended, surgery, (), unproven, (menses,))
        case _:
            return _Potential(ended, surgery, (), unproven)


def _recorded(concepts: Sequence[str], context: Context) -> tuple[_Fact, ...]:
    """Done as a procedure, or recorded as a state after it."""
    done = [
        one
        for one in context.view.procedures(concepts, dated=False)
        if one.strength is Strength.GIVEN and one.completed
    ]
    states = [one for one in context.view.diagnoses(concepts) if one.confirmed]
    return (*done, *states)


def _last_menses(rule: Childbearing, context: Context) -> Result | None:
    """The record of the last menses that decides: the newest one that has a value."""
    found = context.view.results(rule.last_menses)
    undated = [one for one in found if one.when is None and one.state is not ResultState.EMPTY]
    deciding = latest(found)
    candidates = (*(deciding.results if deciding else ()), *undated)
    unusable = [one for one in candidates if one.state is ResultState.UNUSABLE]
    # The latest day that any can mean: a vague date must not end childbearing potential.
    return max(unusable or candidates, key=_menses_day, default=None)


def _menses_day(one: Result) -> date:
    return date.max if one.when_value is None else one.when_value.last


def _how_long_ago(
    rule: Childbearing, menses: Result, context: Context
) -> Literal["long", "recent", "unclear"]:
    """Whether the last menses was longer ago than the months, on every day that it can mean."""
    value = menses.when_value
    if menses.state is ResultState.UNUSABLE or value is None or value.unreadable:
        return "unclear"
    clock = context.view.clock
    ends = {min(value.first, clock.today), min(value.last, clock.today)}
    within = {clock.within_months(day, rule.menses_months) for day in ends}
    if len(within) > 1:
        return "unclear"
    return "recent" if within.pop() else "long"


def contraception(rule: ContraceptionRule, context: Context) -> Finding:
    """Contraception, for whom it applies."""
    if (by_sex := _sex_finding(context)) is not None:
        return by_sex
    potential = _potential(rule.childbearing, context)
    if potential.surgery:
        return _with("surgery", potential.surgery, proofs=types_of(potential.surgery))
    if potential.postmenopausal:
        return _with("postmenopausal", potential.postmenopausal)
    if potential.unclear:
        return _with("menses_unclear", potential.unclear)
    if potential.unproven:
        return _with("menopause_unproven", potential.unproven)
    return Finding("ask")


def _with(outcome: str, facts: Sequence[_Fact], *, proofs: frozenset[str] = frozenset()) -> Finding:
    what = ", ".join(dict.fromkeys(map(_named, facts)))
    return Finding(outcome, tuple(facts), {"what": what}, proofs=proofs)


def _named(fact: _Fact) -> str:
    """What it is and, where its value is a day, that day."""
    day = fact.when_value if isinstance(fact, Result) else None
    return fact.source.display if day is None else f"{fact.source.display} {day.shown()}"


def pregnancy_test(rule: PregnancyTestRule, context: Context) -> Finding:
    """A recent pregnancy test, for whom it applies."""
    if (by_sex := _sex_finding(context)) is not None:
        return by_sex
    return _test(rule.childbearing, context)


def _test(rule: Childbearing, context: Context) -> Finding:
    potential = _potential(rule, context)
    if potential.ended:
        return _with("childbearing_ended", potential.ended, proofs=types_of(potential.ended))
    if potential.postmenopausal:
        return _with("postmenopausal", potential.postmenopausal)
    clock = context.view.clock
    recent = [
        one
        for one in context.view.results(rule.test)
        if one.when is not None and clock.within_days(one.when.first, rule.test_within_days)
    ]
    deciding = latest(recent)
    if deciding is None and potential.unproven and not potential.unclear:
        return _with("menopause_unproven", potential.unproven)
    if deciding is None:
        return Finding("none")
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
    if confirmed:
        return _pregnant(confirmed, stands=True)
    by_status = _status(rule, context)
    if by_status is not None and by_status.outcome == "pregnant":
        return by_status
    if (by_sex := _sex_finding(context)) is not None:
        return by_sex
    if by_status is not None:
        return by_status
    if active:
        return _with("unconfirmed", active)
    return _test(rule.childbearing, context)


def _pregnant(facts: Sequence[Diagnosis | Result], *, stands: bool = False) -> Finding:
    values = {"what": named(facts), "date": shown_date(facts[0].when)}
    return Finding("pregnant", tuple(facts), values, stands=stands)


def _status(rule: PregnancyRule, context: Context) -> Finding | None:
    """What the latest status of the window settles; None where it does not say pregnant."""
    clock = context.view.clock
    deciding = latest(
        one
        for one in context.view.results(rule.status)
        if one.when is not None and clock.within_days(one.when.first, rule.status_within_days)
    )
    if deciding is None:
        return None
    facts = deciding.results
    values = {"date": shown_date(facts[0].when), "value": facts[0].original}
    if deciding.unusable is not None:
        return Finding("unusable", facts, values)
    said = {bool(one.answers.intersection(rule.pregnant)) for one in facts}
    if len(said) > 1:
        return Finding("disagree", facts, values)
    return _pregnant(facts) if said.pop() else None


def breastfeeding(rule: BreastfeedingRule, context: Context) -> Finding:
    """Lactation recorded as active."""
    if (by_sex := _sex_finding(context)) is not None:
        return by_sex
    view = context.view
    active = [one for one in view.diagnoses(rule.lactation) if one.active]
    recorded = view.results(rule.status)
    deciding = latest(recorded)
    undated = [one for one in recorded if one.when is None]
    status = [
        one
        for one in (*(deciding.results if deciding else ()), *undated)
        if one.answers.intersection(rule.lactation) or one.state is ResultState.UNUSABLE
    ]
    facts: tuple[_Fact, ...] = (*active, *status)
    return Finding("active", facts, {"what": dated(facts)}) if facts else Finding("none")
