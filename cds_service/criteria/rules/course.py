"""Rules on a course of therapy: how much of it, and nothing after it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

import msgspec

from cds_service.criteria.course import Course, Courses, read_courses
from cds_service.criteria.finding import Context, Finding, dated, named, shown_date
from cds_service.criteria.rules.drugs import certain_days, given, note_growth, possible_days
from cds_service.criteria.view import View
from cds_service.record.dates import When
from cds_service.record.model import Diagnosis, Exposure, ProcedureDone, Strength
from cds_service.trial.rules.course import CourseExposureRule, InterveningRule

# --- How much ----------------------------------------------------------------------------------

_MILDEST_FIRST = ("cycles", "activity", "under_way", "too_few", "too_many", "activity_unusable")


def course_exposure(rule: CourseExposureRule, context: Context) -> Finding:
    """Cycles of the initial course, or their cumulative activity."""
    view = context.view
    courses = read_courses(rule.course, view)
    found = [_count(rule, course, context) for course in courses.variants]
    if courses.undated:
        facts = courses.undated
        return Finding("undated", facts, {"count": str(len(facts))})
    if not found:
        return _nothing_given(courses)
    stretching = _periods_beyond(courses)
    if stretching:
        return Finding("period_only", stretching, {"period": dated(stretching)})
    finding = _agreed(found, courses)
    if courses.uncertain and not _enough_anyway(rule, finding, courses, context):
        values = {"count": finding.values.get("count", ""), "what": dated(courses.uncertain)}
        return Finding("beside", (*finding.facts, *courses.uncertain), values)
    return finding


def _enough_anyway(
    rule: CourseExposureRule, finding: Finding, courses: Courses, context: Context
) -> bool:
    """Whether given cycles are enough, whatever else may have been one.

    An order is none. But a record in words of a treatment on another day may well be a cycle more.
    """
    if courses.enlarged is None:
        return False
    found = [finding, *(_count(rule, course, context) for course in courses.enlarged)]
    return {_kind(one.outcome) for one in found} == {"enough"}


def _nothing_given(courses: Courses) -> Finding:
    if courses.periods:
        return Finding("period_only", courses.periods, {"period": dated(courses.periods)})
    if courses.uncertain:
        return Finding("ordered_only", courses.uncertain, {"what": dated(courses.uncertain)})
    return Finding("none")


def _periods_beyond(courses: Courses) -> tuple[Exposure, ...]:
    """Statements for a period that some single cycle lies outside of, or that hold none."""
    days = [c.day for course in courses.variants for c in course.cycles + course.later]
    return tuple(
        one
        for one in courses.periods
        if one.start is not None
        and not all(
            one.start.first <= day and (one.end is None or day <= one.end.first) for day in days
        )
    )


def _agreed(found: Sequence[Finding], courses: Courses) -> Finding:
    """The finding of both counts, if they agree; the milder one of two refusals."""
    if len(found) == 1:
        return found[0]
    kinds = {_kind(one.outcome) for one in found}
    if len(kinds) == 1:
        return min(found, key=lambda one: _MILDEST_FIRST.index(one.outcome))
    low, high = (len(course.cycles) for course in courses.variants)
    facts = tuple(dict.fromkeys(fact for one in found for fact in one.facts))
    return Finding("count_uncertain", facts, {"low": str(low), "high": str(high)})


def _kind(outcome: str) -> str:
    if outcome in ("cycles", "activity"):
        return "enough"
    return "open" if outcome == "activity_unusable" else "not enough"


def _count(rule: CourseExposureRule, course: Course, context: Context) -> Finding:
    count = len(course.cycles)
    facts = tuple(record for cycle in course.cycles for record in cycle.records)
    values = {
        "count": str(count),
        "first": course.cycles[0].shown,
        "last": course.cycles[-1].shown,
    }
    if count in rule.cycles:
        return Finding("cycles", facts, values)
    agreement = rule.course.activity_agreement
    activities = [cycle.activity(agreement) for cycle in course.cycles]
    known = [one for one in activities if one is not None]
    unusable = [cycle for cycle in course.cycles if cycle.activity_unusable(agreement)]
    values["total"] = f"{sum(known, Decimal(0)):f}"
    if len(known) == count and (target := _target(rule, sum(known, Decimal(0)), context)):
        return Finding("activity", facts, values | {"target": f"{target:f}"})
    # One cycle alone can never reach a target, whatever its activity.
    if unusable and count > 1 and len(known) + len(unusable) == count:
        return Finding("activity_unusable", facts, values)
    return Finding(_refusal(rule, course, context.view), facts, values)


def _target(rule: CourseExposureRule, total: Decimal, context: Context) -> Decimal | None:
    tolerance = context.site.activity_tolerance
    fraction = rule.tolerance if tolerance is None else tolerance
    for target in rule.total_activities:
        if abs(total - target) <= fraction * target:
            return target
    return None


def _refusal(rule: CourseExposureRule, course: Course, view: View) -> str:
    if len(course.cycles) > max(rule.cycles):
        return "too_many"
    recent = view.clock.within_days(course.last, rule.under_way_days - 1)
    return "under_way" if recent else "too_few"


# --- Nothing after it --------------------------------------------------------------------------


class _After(msgspec.Struct):
    """Therapies sorted by what they mean for one course."""

    given: list[Exposure | ProcedureDone] = []
    limited: list[Exposure] = []
    undated: list[Exposure | ProcedureDone] = []
    review: list[Exposure | ProcedureDone | Diagnosis] = []
    undated_review: list[ProcedureDone | Diagnosis] = []
    ordered: list[Exposure | ProcedureDone] = []
    overlapping: list[Exposure | ProcedureDone] = []


def no_intervening_therapy(rule: InterveningRule, context: Context) -> Finding:
    """No antitumour therapy that started after the day of the last cycle."""
    courses = read_courses(rule.course, context.view)
    if not courses.variants:
        return Finding("no_course", tuple(courses.undated))
    found = [_after(rule, course, context) for course in courses.variants]
    if {one.outcome for one in found} == {"none"}:
        # What only may have been a cycle can have made another one the last of the course.
        if courses.enlarged is None:
            return Finding("course_uncertain", courses.uncertain)
        found += [_after(rule, course, context) for course in courses.enlarged]
    if len({one.outcome for one in found}) > 1:
        facts = tuple(dict.fromkeys(fact for one in found for fact in one.facts))
        return Finding("course_uncertain", facts)
    return found[0]


def _after(rule: InterveningRule, course: Course, context: Context) -> Finding:
    after = _After()
    _sort_drugs(rule, course, context.view, after)
    _sort_procedures(rule, course, context.view, after)
    for one in context.view.diagnoses(rule.review_diagnoses, dated=True):
        if one.when is None:
            after.undated_review.append(one)
        elif one.when.first > course.last:
            after.review.append(one)
    if after.given:
        return _found("given", after.given, stands=_stands(rule, course, after.given))
    limited = _limited(rule, course, after.limited, context)
    if limited is not None and limited.outcome == "given":
        return limited
    if after.undated:
        return _found("undated", after.undated)
    if limited is not None:
        return limited
    # From what surely came after the course down to what may be no therapy at all.
    for outcome, facts in (
        ("review", after.review),
        ("undated", after.undated_review),
        ("overlapping", after.overlapping),
        ("ordered", after.ordered),
    ):
        if facts:
            return _found(outcome, facts)
    return Finding("none", values={"last": course.cycles[-1].shown})


def _stands(
    rule: InterveningRule, course: Course, found: Sequence[Exposure | ProcedureDone]
) -> bool:
    """Whether it is after the course whatever else is recorded: no cycle of it can be later."""
    first = course.cycles[0].day
    return any(
        one.when is not None
        and not one.doubtful
        and _days(first, one.when) > rule.course.course_days
        for one in found
    )


def _found(
    outcome: str,
    facts: Sequence[Exposure | ProcedureDone | Diagnosis],
    *,
    stands: bool = False,
) -> Finding:
    values = {"what": named(facts), "date": ", ".join(shown_date(one.when) for one in facts)}
    return Finding(outcome, tuple(facts), values, stands=stands)


def _sort_drugs(rule: InterveningRule, course: Course, view: View, after: _After) -> None:
    own = {record for cycle in course.cycles for record in cycle.records}
    wanted = (*rule.antitumor, *rule.limited_drug, *rule.limited_other_product, *rule.review_drugs)
    for one in view.exposures(wanted):
        if one not in own and not _is_course_record(rule, course, one):
            _sort_drug(rule, course.last, one, after)


def _is_course_record(rule: InterveningRule, course: Course, one: Exposure) -> bool:
    """Whether it only tells of the initial course again: an order for a cycle, a period of it."""
    if not one.concepts.intersection(rule.course.therapy) or one.start is None:
        return False
    slack = rule.course.same_event_days
    if one.period:
        # One that has no end, or ends later, may have gone on after the last cycle.
        starts_within = one.start.first <= course.last
        return starts_within and one.end is not None and _days(course.last, one.end) <= slack
    return one.start.first <= course.last or any(
        abs(_days(cycle.day, one.start)) <= slack for cycle in course.cycles
    )


def _days(day: date, when: When) -> int:
    return (when.first - day).days


def _sort_drug(rule: InterveningRule, last: date, one: Exposure, after: _After) -> None:
    limited = one.concepts.intersection(rule.limited_drug)
    other_product = one.concepts.intersection(rule.limited_other_product)
    review = one.local or other_product or not one.concepts.intersection(rule.antitumor)
    if one.strength is not Strength.GIVEN:
        if one.start is None or one.start.first > last:
            after.ordered.append(one)
    elif one.start is None:
        (after.review if review and not limited else after.undated).append(one)
    elif one.start.first > last:
        if limited and not other_product:
            after.limited.append(one)
        else:
            (after.review if review else after.given).append(one)
    elif one.end is None or one.end.first > last:
        # An unknown end may lie after the last cycle as well.
        after.overlapping.append(one)


def _limited(
    rule: InterveningRule, course: Course, exposures: Sequence[Exposure], context: Context
) -> Finding | None:
    """A drug that another sentence allows for a limited time: a longer time is a therapy."""
    if not exposures:
        return None
    every = [
        one
        for one in given(context.view.exposures(rule.limited_drug))
        if not one.concepts.intersection(rule.limited_other_product)
    ]
    clock = context.view.clock
    sure, at_most = certain_days(every, clock), possible_days(every, clock)
    note_growth(every, (sure, at_most), rule.limited_days, clock)
    if sure > rule.limited_days:
        return _found("given", exposures, stands=_stands(rule, course, exposures))
    finding = _found("limited", exposures)
    finding.values["days"] = str(at_most)
    return finding


def _sort_procedures(rule: InterveningRule, course: Course, view: View, after: _After) -> None:
    decisive = frozenset(rule.procedures)
    for one in view.procedures((*rule.procedures, *rule.review_procedures)):
        if one.when is None:
            _sort_undated(rule, one, after)
        elif _is_told(rule, course, one):
            continue
        elif one.when.first > course.last:
            _sort_procedure(decisive, one, after)
        elif one.strength is Strength.GIVEN and _ends_after(one, course.last):
            after.overlapping.append(one)


def _ends_after(one: ProcedureDone, day: date) -> bool:
    return one.end is not None and one.end.first > day


def _sort_undated(rule: InterveningRule, one: ProcedureDone, after: _After) -> None:
    """What was done on a day that nobody knows, but for one more telling of the course itself."""
    if one.strength is not Strength.GIVEN:
        after.ordered.append(one)
    elif one.concepts.intersection(rule.procedures):
        after.undated.append(one)
    elif not one.concepts.intersection(rule.course.unnamed_therapy):
        after.undated_review.append(one)


def _is_told(rule: InterveningRule, course: Course, one: ProcedureDone) -> bool:
    """Whether a radionuclide therapy is told by its agent, or is the last cycle once more."""
    if one.when is None or not one.concepts.intersection(rule.course.unnamed_therapy):
        return False
    again = (one.when.first - course.last).days <= rule.course.same_event_days
    return again or bool(one.concepts.intersection(rule.course.named_therapy))


def _sort_procedure(decisive: frozenset[str], one: ProcedureDone, after: _After) -> None:
    if one.strength is not Strength.GIVEN:
        after.ordered.append(one)
    elif one.concepts & decisive:
        after.given.append(one)
    else:
        after.review.append(one)
