"""The first course of PRRT: its cycles, and what is not quite a cycle."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from validation.decisions import Decisions
from validation.truth.finding import Finding, ask, met, not_met

_COURSE_DAYS: Final = 364
_SAME_EVENT_DAYS: Final = 3
_DOUBTFUL_DAYS: Final = 20
_UNDER_WAY_DAYS: Final = 16 * 7
_TARGETS: Final = (Decimal(22_200), Decimal(29_600))
_TOLERANCE: Final = Decimal("0.10")
_MILDNESS: Final = ("time", "new_data", "permanent")
# What was really given, in MBq, whether or not anybody wrote it down.
_REAL_ACTIVITY: Final = {"two_full_activity": Decimal(11_100), "five_small": Decimal(5_920)}
_USUAL_ACTIVITY: Final = Decimal(7_400)


@dataclass(frozen=True)
class Cycle:
    """One infusion, and its activity in MBq where it is recorded."""

    day: date
    activity: Decimal | None


Course = tuple[Cycle, ...]


def readings(decisions: Decisions) -> tuple[Course, ...]:
    """All cycles ever given, in each way to count them.

    Records at most 3 days after the first record of an infusion are of that infusion. 4 to 20 days
    are too many for one and too few for two: then there are two ways to count.
    """
    separate: list[Cycle] = []
    for cycle in _records(decisions):
        if separate and (cycle.day - separate[-1].day).days <= _SAME_EVENT_DAYS:
            merged = separate[-1].activity or cycle.activity
            separate[-1] = Cycle(separate[-1].day, merged)
        else:
            separate.append(cycle)
    fewer: list[Cycle] = []
    for cycle in separate:
        if not fewer or (cycle.day - fewer[-1].day).days > _DOUBTFUL_DAYS:
            fewer.append(cycle)
    ways = {tuple(separate), tuple(fewer)}
    return tuple(sorted((way for way in ways if way), key=len))


def _records(decisions: Decisions) -> list[Cycle]:
    activities = decisions.added.get("activitiesMBq", {})
    found = []
    for event in decisions.named("PRRT "):
        if event.kind in {"MedicationOrder", "Procedure"} and event.name != "PRRT ordered":
            activity = activities.get(event.name)
            found.append(Cycle(event.day, None if activity is None else Decimal(activity)))
    return found


def initial_course(cycles: Course) -> Course:
    """The cycles at most 52 weeks after the first."""
    return tuple(cycle for cycle in cycles if (cycle.day - cycles[0].day).days <= _COURSE_DAYS)


def later_cycles(cycles: Course) -> Course:
    """The cycles after the initial course."""
    return cycles[len(initial_course(cycles)) :]


def agree(findings: list[Finding], *, truly: bool) -> Finding:
    """One answer for several ways to count: the common one, or a question."""
    statuses = {finding.status for finding in findings}
    if len(statuses) > 1:
        return ask(truly=truly)
    changes = [finding.change for finding in findings if finding.change is not None]
    change = min(changes, key=_MILDNESS.index) if changes else None
    return Finding(findings[0].status, truly, change)


def prrt_exposure(decisions: Decisions) -> Finding:
    """Inclusion: 3 or 4 cycles, or 22,200 or 29,600 MBq, within 52 weeks."""
    truly = _truly(decisions)
    ways = readings(decisions)
    if ways:
        return agree([_judge(initial_course(way), decisions.as_of) for way in ways], truly=truly)
    if decisions.choice("prrt") in {"ordered", "period"}:
        return ask(truly=truly)
    return not_met("new_data", truly=truly)


def _judge(course: Course, as_of: date) -> Finding:
    if len(course) in {3, 4} or _activity_fits([cycle.activity for cycle in course]):
        return met()
    if len(course) > 4:
        return not_met("permanent")
    under_way = (as_of - course[-1].day).days < _UNDER_WAY_DAYS
    return not_met("new_data" if under_way else "permanent")


def _activity_fits(activities: list[Decimal | None]) -> bool:
    known = [activity for activity in activities if activity is not None]
    if len(known) < len(activities):
        return False
    total = sum(known, Decimal(0))
    return any(abs(total - target) <= _TOLERANCE * target for target in _TARGETS)


def _truly(decisions: Decisions) -> bool:
    told = decisions.choice("prrt_in_truth")
    ways = readings(decisions)
    if not ways:
        return told == "four_cycles"
    really = ways[-1] if told == "five_cycles" else ways[0]
    activity = _REAL_ACTIVITY.get(decisions.choice("prrt"), _USUAL_ACTIVITY)
    course = tuple(Cycle(cycle.day, activity) for cycle in initial_course(really))
    return _judge(course, decisions.as_of).status == "met"
