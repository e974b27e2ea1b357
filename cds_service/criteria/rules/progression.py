"""The rule on progression after a course of therapy.

Sources: the ``progression`` rule, details 15 and 42 of the eligibility rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

import msgspec

from cds_service.criteria.course import Course, read_courses
from cds_service.criteria.finding import Context, Finding, dated, shown_date
from cds_service.record.dates import add_months
from cds_service.record.model import Result, ResultState
from cds_service.trial.rules.course import ProgressionRule


class _Assessment(msgspec.Struct, frozen=True):
    """One response assessment: ``progressive``, ``controlled``, ``skipped`` or ``unreadable``."""

    day: date
    says: str
    fact: Result

    @property
    def shown(self) -> str:
        """The day for a reader, as far as it is recorded."""
        return shown_date(self.fact.when)


class _Assessments(msgspec.Struct, frozen=True):
    """Assessments after the last cycle, in date order.

    Args:
        skipped: those that could not be evaluated (NE).
        unusable: those that may not be used at all.
    """

    formal: tuple[_Assessment, ...]
    general: tuple[_Assessment, ...]
    skipped: tuple[_Assessment, ...]
    unusable: tuple[Result, ...]


def progression(rule: ProgressionRule, context: Context) -> Finding:
    """Progression after the course, against the first scan after it."""
    courses = read_courses(rule.course, context.view)
    if not courses.variants:
        return Finding("no_course")
    found = [_for_course(rule, course, context) for course in courses.variants]
    if len({_kind(one.outcome) for one in found}) > 1:
        facts = tuple(dict.fromkeys(fact for one in found for fact in one.facts))
        return Finding("course_uncertain", facts)
    return found[0]


def _kind(outcome: str) -> str:
    """Outcomes that mean the same whichever record is the last cycle."""
    return {
        "too_soon_after_course": "too_soon",
        "no_assessment": "unusable",
    }.get(outcome, outcome)


def _for_course(rule: ProgressionRule, course: Course, context: Context) -> Finding:
    seen = _assessments(rule, course.last, context)
    if seen.unusable:
        return Finding("unusable", seen.unusable, {"what": dated(seen.unusable)})
    if seen.formal:
        finding = _formal(rule, course.last, seen)
    elif reports := _reports(rule, course.last, context):
        return reports
    else:
        finding = _general_only(seen)
    if seen.skipped:
        finding.phrases = (
            *finding.phrases,
            ("advisory_not_evaluable", {"date": _days(seen.skipped)}),
        )
    return finding


# --- Reading -----------------------------------------------------------------------------------


def _assessments(rule: ProgressionRule, last: date, context: Context) -> _Assessments:
    # Other criteria, where they are named, are none of RECIST, whatever the code.
    other = frozenset(rule.other_criteria)
    formal_facts = [
        one for one in context.view.results(rule.assessment) if not one.concepts & other
    ]
    general_facts = [
        one
        for one in context.view.results((*rule.general, *rule.other_criteria))
        if one.concepts & other or not one.concepts.intersection(rule.assessment)
    ]
    formal = _after(last, formal_facts, rule.progressive, rule.controlled, rule)
    general = _after(last, general_facts, rule.general_worse, rule.general_controlled, rule)
    unusable = tuple(one.fact for one in formal if one.fact.state is ResultState.UNUSABLE)
    return _Assessments(
        tuple(one for one in formal if one.says != "skipped"),
        tuple(one for one in general if one.says not in ("skipped", "unreadable")),
        tuple(one for one in (*formal, *general) if one.says == "skipped"),
        unusable,
    )


def _after(
    last: date,
    facts: Iterable[Result],
    worse: Sequence[str],
    controlled: Sequence[str],
    rule: ProgressionRule,
) -> list[_Assessment]:
    found = [
        _Assessment(one.when.first, _says(one, worse, controlled, rule.not_evaluable), one)
        for one in facts
        if one.when is not None and one.when.first > last
    ]
    return sorted(found, key=lambda one: one.day)


def _says(
    one: Result, worse: Sequence[str], controlled: Sequence[str], skipped: Sequence[str]
) -> str:
    if one.state is ResultState.EMPTY or one.answers.intersection(skipped):
        return "skipped"
    if one.answers.intersection(worse) and not one.answers.intersection(controlled):
        return "progressive"
    if one.answers.intersection(controlled) and not one.answers.intersection(worse):
        return "controlled"
    return "unreadable"


# --- Deciding ----------------------------------------------------------------------------------


def _formal(rule: ProgressionRule, last: date, seen: _Assessments) -> Finding:
    formal = seen.formal
    facts = tuple(one.fact for one in formal)
    unreadable = [one for one in formal if one.says == "unreadable"]
    first = next((one for one in formal if one.says == "progressive"), None)
    if first is None:
        if unreadable:
            return Finding("unreadable", facts, {"date": _days(unreadable)})
        return Finding("not_progressed", facts, {"latest": formal[-1].shown})
    if same_day := _same_day(formal, first.day):
        return Finding("same_day", facts, {"date": same_day.isoformat()})
    values = {"progression": first.shown, "last": last.isoformat()}
    better = [one for one in formal if one.day > first.day and one.says == "controlled"]
    if better:
        return Finding("better_afterwards", facts, values | {"better": _days(better)})
    if early := [one for one in unreadable if one.day <= first.day]:
        return Finding("unreadable", facts, {"date": _days(early)})
    return _against_reference(rule, last, first, seen, values)


def _against_reference(
    rule: ProgressionRule,
    last: date,
    first: _Assessment,
    seen: _Assessments,
    values: dict[str, str],
) -> Finding:
    before = [one for one in seen.formal if one.day < first.day]
    facts = tuple(one.fact for one in (*before, first))
    if not before:
        # A general status serves only as a reference that is otherwise missing.
        before = [one for one in seen.general if one.day < first.day][:1]
        if before and before[0].says == "progressive":
            return Finding("general_worse", (before[0].fact, *facts), {"date": _days(before)})
        facts = (*(one.fact for one in before), first.fact)
    soonest = add_months(first.day, -rule.minimum_months)
    if not before:
        outcome = "no_reference" if soonest >= last else "too_soon_after_course"
        return Finding(outcome, facts, values)
    reference = before[0].day
    values = values | {"reference": before[0].shown}
    return Finding("progressed" if soonest >= reference else "too_soon", facts, values)


def _general_only(seen: _Assessments) -> Finding:
    facts = tuple(one.fact for one in seen.general)
    worse = [one for one in seen.general if one.says == "progressive"]
    if worse:
        return Finding("general_worse", facts, {"date": _days(worse)})
    if seen.general:
        return Finding("not_progressed", facts, {"latest": seen.general[-1].shown})
    return Finding("no_assessment", tuple(one.fact for one in seen.skipped))


def _same_day(formal: Sequence[_Assessment], until: date) -> date | None:
    """The first day, up to the first progression, on which assessments disagree about it."""
    said: dict[date, set[str]] = {}
    for one in formal:
        if one.day <= until:
            said.setdefault(one.day, set()).add(one.says)
    return next((day for day, both in said.items() if {"progressive", "controlled"} <= both), None)


def _reports(rule: ProgressionRule, last: date, context: Context) -> Finding | None:
    found = [
        one
        for one in context.view.reports(rule.assessment)
        if one.when is not None and one.when.first > last
    ]
    if not found:
        return None
    return Finding("report_only", tuple(found), {"date": dated(found)})


def _days(found: Sequence[_Assessment]) -> str:
    return ", ".join(dict.fromkeys(one.shown for one in found))
