"""Progression after PRRT, by RECIST, and no sooner than 12 months after the first scan."""

from __future__ import annotations

from datetime import date
from typing import Final

from validation.decisions import Decisions, Event
from validation.truth.calendar import months_before
from validation.truth.finding import Finding, ask, met, not_met, unknown
from validation.truth.prrt import agree, initial_course, readings

_MONTHS: Final = 12
_CONTROLLED: Final = {"Stable disease", "Partial response", "Complete response"}
_PROGRESSION: Final = "Progressive disease"
_NOT_EVALUABLE: Final = "NE"
_WORSENED: Final = "Patient's condition worsened (finding)"
# The least time after the last cycle in which the generator lets a late progression come about
# that nobody recorded: two months to the scan, and 12 from there.
_DAYS_FOR_A_LATE_ONE: Final = 440


def progression(decisions: Decisions) -> Finding:
    """Inclusion: progression after PRRT, with the disease controlled for 12 months."""
    ways = readings(decisions)
    if not ways:
        assessed = [event for event in _assessments(decisions, date.min) if _is_recist(event)]
        return unknown(truly=_judge(assessed, date.min).status == "met")
    ends = [initial_course(way)[-1].day for way in ways]
    findings = [_judge(_assessments(decisions, end), end) for end in ends]
    finding = agree(findings, truly=False)
    return Finding(finding.status, _truly(decisions, finding.status, ends[0]), finding.change)


def _assessments(decisions: Decisions, after: date) -> list[Event]:
    named = decisions.named("Reference ", "Response ", "Progression ", kind="Observation")
    return [event for event in named if event.day > after and event.answer != _NOT_EVALUABLE]


def _is_recist(event: Event) -> bool:
    return event.answer in _CONTROLLED or event.answer == _PROGRESSION


def _judge(assessments: list[Event], last_cycle: date) -> Finding:
    if not assessments:
        return unknown(truly=False)
    recist = [event for event in assessments if _is_recist(event)]
    if not recist:
        # A general "worsened" is no RECIST progression, and never excludes.
        worsened = any(event.answer == _WORSENED for event in assessments)
        return ask(truly=False) if worsened else not_met("new_data")
    return _judge_recist(recist, last_cycle)


def _judge_recist(recist: list[Event], last_cycle: date) -> Finding:
    first = next((event for event in recist if event.answer == _PROGRESSION), None)
    if first is None:
        return not_met("new_data")
    if any(event.answer in _CONTROLLED and event.day > first.day for event in recist):
        return ask(truly=False)
    reference = recist[0]
    a_year_before = months_before(first.day, _MONTHS)
    if reference is first:
        return not_met("permanent") if a_year_before < last_cycle else ask(truly=False)
    return met() if a_year_before >= reference.day else not_met("permanent")


def _truly(decisions: Decisions, status: str, last_cycle: date) -> bool:
    if status in {"met", "not_met"}:
        return status == "met"
    late = decisions.choice("progression_in_truth") == "late"
    return late and (decisions.as_of - last_cycle).days >= _DAYS_FOR_A_LATE_ONE
