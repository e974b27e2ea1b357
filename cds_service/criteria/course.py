"""Courses of a therapy given in cycles: records become cycles, cycles become the initial course.

The same cycle is often recorded twice (an administration and a statement). Records up to a few days
apart are one cycle, records far apart are two; between the two the count is uncertain, and both
counts are kept. Sources: "What counts as a fact", the ``prrt-exposure`` rule, details 29, 30, 39.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from itertools import combinations

import msgspec

from cds_service.criteria.view import View
from cds_service.record.model import Exposure, ProcedureDone, Strength
from cds_service.trial.rules.course import CourseRule

# Of possible cycles beside given ones so many are tried in every combination.
_MOST_POSSIBLE = 5


class Cycle(msgspec.Struct, frozen=True):
    """One cycle: every record of it, dated by the first."""

    day: date
    records: tuple[Exposure, ...]

    @property
    def shown(self) -> str:
        """The day for a reader, as far as it is recorded."""
        first = self.records[0].start
        return self.day.isoformat() if first is None else first.shown()

    def activity(self, agreement: Decimal) -> Decimal | None:
        """The activity in MBq; None where none is recorded or the records disagree."""
        found = [one.activity for one in self.records if one.activity is not None]
        if not found or self.activity_unusable(agreement):
            return None
        return found[0]

    def activity_unusable(self, agreement: Decimal) -> bool:
        """Whether an activity is recorded that cannot be used.

        Args:
            agreement: the fraction by which two activities of one cycle may differ.
        """
        if any(one.activity_problem for one in self.records):
            return True
        found = [one.activity for one in self.records if one.activity is not None]
        return bool(found) and max(found) - min(found) > agreement * max(found)


class Course(msgspec.Struct, frozen=True):
    """The initial course, and the cycles after it."""

    cycles: tuple[Cycle, ...]
    later: tuple[Cycle, ...]

    @property
    def last(self) -> date:
        """The day of the last cycle of the initial course."""
        return self.cycles[-1].day


class Courses(msgspec.Struct, frozen=True):
    """Everything recorded of the therapy.

    Args:
        low: the course with the lower count of cycles; None where no dated cycle was given.
        high: the course with the higher count.
        undated: given cycles without a date.
        periods: given records that cover a period without saying how many cycles.
        uncertain: records that do not show that a cycle was given (ordered, by words, no agent).
        enlarged: the courses there would be if any of those on days of their own were cycles,
            leaving out orders; None where there are too many to try.
    """

    low: Course | None
    high: Course | None
    undated: tuple[Exposure, ...]
    periods: tuple[Exposure, ...]
    uncertain: tuple[Exposure | ProcedureDone, ...]
    enlarged: tuple[Course, ...] | None = ()

    @property
    def variants(self) -> tuple[Course, ...]:
        """The courses to evaluate: one, or two where the count is uncertain."""
        if self.low is None or self.high is None:
            return ()
        return (self.low,) if self.low == self.high else (self.low, self.high)

    @property
    def latest_cycle(self) -> date | None:
        """The day of the latest cycle of all."""
        days = [cycle.day for course in self.variants for cycle in course.cycles + course.later]
        return max(days, default=None)


def read_courses(rule: CourseRule, view: View) -> Courses:
    """Sort a patient's records of the therapy into cycles and courses."""
    barred = frozenset(rule.not_therapy)
    records = [one for one in view.exposures(rule.therapy) if not one.concepts & barred]
    given = [one for one in records if one.strength is Strength.GIVEN]
    undated = tuple(one for one in given if one.start is None)
    periods = tuple(one for one in given if one.start is not None and _is_period(rule, one))
    single = [one for one in given if one.start is not None and not _is_period(rule, one)]
    low, high = _courses(rule, single)
    uncertain: tuple[Exposure | ProcedureDone, ...] = (
        *(one for one in records if one.strength is not Strength.GIVEN),
        *unnamed(rule, view),
    )
    beside = tuple(one for one in uncertain if not _is_known(rule, one, high))
    return Courses(low, high, undated, periods, beside, _enlarged(rule, single, beside))


def _courses(rule: CourseRule, single: Sequence[Exposure]) -> tuple[Course | None, Course | None]:
    """The course with the lower count of cycles and that with the higher."""
    low = _course(rule, _cycles(single, rule.separate_event_days - 1))
    return low, _course(rule, _cycles(single, rule.same_event_days))


def _enlarged(
    rule: CourseRule, single: Sequence[Exposure], beside: Sequence[Exposure | ProcedureDone]
) -> tuple[Course, ...] | None:
    """Every course that there may have been if what is only possible was a cycle, too."""
    extra = [one for one in map(_as_cycle, beside) if one is not None and not _is_period(rule, one)]
    if len(extra) > _MOST_POSSIBLE:
        return None
    found = [
        course
        for count in range(1, len(extra) + 1)
        for some in combinations(extra, count)
        for course in _courses(rule, [*single, *some])
        if course is not None
    ]
    return tuple(found)


def _as_cycle(one: Exposure | ProcedureDone) -> Exposure | None:
    """The cycle that a record would be; None for an order, and where there is no date."""
    if isinstance(one, Exposure):
        return one if one.given and one.start is not None else None
    if one.when is None or one.strength is Strength.ORDERED:
        return None
    return Exposure(
        one.source, one.concepts, Strength.POSSIBLE, one.when, one.end, "Procedure", given=True
    )


def unnamed(rule: CourseRule, view: View) -> list[ProcedureDone]:
    """Procedures that may have been the therapy and name no agent.

    One that names its agent, as by ``usedCode``, is a record of that agent and of nothing else.
    """
    named = frozenset(rule.named_therapy)
    return [one for one in view.procedures(rule.unnamed_therapy) if not one.concepts & named]


def _is_period(rule: CourseRule, one: Exposure) -> bool:
    if not one.period or one.start is None:
        return False
    return one.end is None or (one.end.first - one.start.first).days > rule.same_event_days


def _cycles(records: Iterable[Exposure], same_event_days: int) -> tuple[Cycle, ...]:
    """Group records: at most so many days after an event's first record is the same event."""
    groups: list[list[Exposure]] = []
    for one in sorted(records, key=_start):
        if groups and (_start(one) - _start(groups[-1][0])).days <= same_event_days:
            groups[-1].append(one)
        else:
            groups.append([one])
    return tuple(Cycle(_start(group[0]), tuple(group)) for group in groups)


def _start(one: Exposure) -> date:
    if one.start is None:
        raise ValueError("an undated record has no start")
    return one.start.first


def _course(rule: CourseRule, cycles: Sequence[Cycle]) -> Course | None:
    if not cycles:
        return None
    first = cycles[0].day
    initial = tuple(c for c in cycles if (c.day - first).days <= rule.course_days)
    return Course(initial, tuple(cycles[len(initial) :]))


def _is_known(rule: CourseRule, one: Exposure | ProcedureDone, course: Course | None) -> bool:
    """Whether a record only tells once more of a given cycle: its order, its administration."""
    if one.when is None or course is None:
        return False
    days = [cycle.day for cycle in course.cycles + course.later]
    return any(abs((one.when.first - day).days) <= rule.same_event_days for day in days)
