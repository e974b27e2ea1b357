"""Rules on the person: age, answers of people, site settings, consent, performance status."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from cds_service.criteria.finding import Context, Finding, shown_date
from cds_service.criteria.latest import Latest, against, day_of, latest
from cds_service.criteria.rules.laboratory import shown_values
from cds_service.record.amounts import Span
from cds_service.record.dates import birthday, completed_years
from cds_service.record.model import Result
from cds_service.trial.rules.person import (
    AgeRule,
    AttestationRule,
    ConsentRule,
    PerformanceRule,
    SiteSettingRule,
)


def age(rule: AgeRule, context: Context) -> Finding:
    """Completed years on the day of enrolment."""
    view = context.view
    birth = view.birth()
    if birth is None:
        return Finding("no_birth_date")
    first, last = view.birth_days(birth)
    ages = (completed_years(day, view.clock.today) for day in (last, first))
    birthdays = (birthday(day, rule.minimum_years).isoformat() for day in (first, last))
    values = {
        "age": "–".join(dict.fromkeys(map(str, ages))),
        "birthday": " to ".join(dict.fromkeys(birthdays)),
    }
    if view.clock.has_birthday(birth, rule.minimum_years):
        return Finding("old_enough", values=values)
    return Finding("too_young", values=values)


def attestation(rule: AttestationRule, context: Context) -> Finding:  # noqa: ARG001
    """A person has to answer."""
    return Finding("ask", values={"languages": ", ".join(context.view.patient.languages)})


def site_setting(rule: SiteSettingRule, context: Context) -> Finding:
    """The site's configuration answers."""
    answer = context.site.settings.get(rule.setting)
    if answer is None:
        return Finding("not_configured")
    return Finding("yes" if answer else "no")


def consent(rule: ConsentRule, context: Context) -> Finding:
    """An active consent to this trial."""
    found = context.view.consents(rule.consent)
    if found:
        return Finding("signed", tuple(found), {"date": shown_date(found[0].when)})
    return Finding("ask")


def performance_status(rule: PerformanceRule, context: Context) -> Finding:
    """The latest score of the scale, or else of the one that stands in for it."""
    deciding = latest(context.view.results(rule.scale))
    if deciding is None:
        return _other_scale(rule, context)
    facts = deciding.results
    values = {"value": _scores(rule, facts), "date": day_of(facts)}
    if deciding.unusable is not None:
        return Finding("unusable", facts, values)
    found = {_against(rule, one) for one in facts}
    if len(found) > 1:
        return Finding("disagree", facts, values)
    return Finding(found.pop(), facts, values, phrases=_notes(rule, context, deciding))


def _against(rule: PerformanceRule, one: Result) -> str:
    amount = one.amount
    if amount is None and (score := _score(rule, one)) is not None:
        amount = Span(Decimal(score), Decimal(score))
    # The scale has whole grades only.
    if amount is None or (amount.exact is not None and amount.exact % 1):
        return "unusable"
    return against(amount, "<=", rule.maximum)


def _score(rule: PerformanceRule, one: Result) -> int | None:
    """The score that a coded or worded answer stands for."""
    found = [score for score, answer in enumerate(rule.answers) if answer in one.answers]
    return found[-1] if found else None


def _scores(rule: PerformanceRule, facts: Sequence[Result]) -> str:
    scores = ((one, _score(rule, one) if one.amount is None else None) for one in facts)
    return ", ".join(dict.fromkeys(one.text if s is None else str(s) for one, s in scores))


def _other_scale(rule: PerformanceRule, context: Context) -> Finding:
    deciding = latest(context.view.results(rule.other_scale))
    if deciding is None:
        return Finding("none")
    facts = deciding.results
    values = {"value": shown_values(facts), "date": day_of(facts)}
    if any(one.amount is None for one in facts):
        return Finding("unusable", facts, values)
    found = {_converted(rule, one.amount) for one in facts if one.amount is not None}
    if len(found) > 1:
        return Finding("disagree", facts, values)
    return Finding(found.pop(), facts, values, phrases=_notes(rule, context, deciding))


def _converted(rule: PerformanceRule, amount: Span) -> str:
    if against(amount, ">=", rule.other_met_from) == "met":
        return "converted_met"
    if against(amount, "<=", rule.other_not_met_to) == "met":
        return "converted_not_met"
    above = against(amount, ">", rule.other_not_met_to) == "met"
    below = against(amount, "<", rule.other_met_from) == "met"
    return "converted_unclear" if above and below else "converted_straddles"


def _notes(
    rule: PerformanceRule, context: Context, deciding: Latest
) -> tuple[tuple[str, dict[str, str]], ...]:
    """What is to be said about the date of the score that decides."""
    when = deciding.results[0].when
    if when is None:
        return ()
    notes = []
    if deciding.passed_over:
        notes.append("advisory_older")
    if context.view.clock.days_since(when.first) > rule.advisory_days:
        notes.append("advisory_old")
    return tuple((note, {"date": when.shown()}) for note in notes)
