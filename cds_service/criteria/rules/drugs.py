"""Rules on drugs: how long, never, and for information."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta

from cds_service.criteria.clock import Clock
from cds_service.criteria.finding import Context, Finding, dated, named, shown_date
from cds_service.criteria.latest import newest
from cds_service.record.model import Exposure, Strength
from cds_service.trial.rules import ExposureDaysRule, InformationRule, NoExposureRule

_DAY = timedelta(days=1)


def given(exposures: Iterable[Exposure]) -> list[Exposure]:
    """The exposures that surely reached the patient."""
    return [one for one in exposures if one.strength is Strength.GIVEN]


def not_given(exposures: Iterable[Exposure]) -> list[Exposure]:
    """The exposures that are only ordered or only named in words."""
    return [one for one in exposures if one.strength is not Strength.GIVEN]


def exposure_days(rule: ExposureDaysRule, context: Context) -> Finding:
    """The union of the days on the drug, both ends included."""
    found = context.view.exposures(rule.drug)
    product = frozenset(rule.other_product)
    undated = _without_start(rule, context)
    counted = [one for one in given(found) if one.source.reference not in undated]
    own = [one for one in counted if not one.concepts & product]
    other = [one for one in given(found) if one.concepts & product]
    unsure = not_given(found)
    clock = context.view.clock
    sure, at_most = certain_days(own, clock), possible_days(own, clock)
    _note_days(clock, len(sure), len(at_most), rule.maximum_days)
    values = {"days": str(len(sure)), "what": named((*other, *unsure))}
    if len(sure) > rule.maximum_days:
        return Finding("beyond", tuple(own), values, stands=True)
    if other:
        return Finding("other_product", tuple(other), values)
    if undated:
        facts = [one for one in given(found) if one.source.reference in undated]
        return Finding("undated", tuple(facts))
    if len(at_most) > rule.maximum_days:
        values["start"] = ", ".join(shown_date(one.start) for one in own if _end_unknown(one))
        return Finding("end_unknown", tuple(own), values)
    if unsure:
        return Finding("beside" if own else "ordered_only", (*own, *unsure), values)
    if own:
        return Finding("within", tuple(own), values | {"days": str(len(at_most))})
    return Finding("none")


def _without_start(rule: ExposureDaysRule, context: Context) -> frozenset[str]:
    """References of what was given with no start recorded; its end alone makes no days."""
    product = frozenset(rule.other_product)
    return frozenset(
        one.source.reference
        for one in given(context.view.exposures(rule.drug, dated=False))
        if not one.concepts & product and (one.start is None or one.start.open)
    )


def _end_unknown(one: Exposure) -> bool:
    return one.end is None and not one.ongoing


def certain_days(exposures: Iterable[Exposure], clock: Clock) -> set[date]:
    """Days up to today on which the drug was surely taken."""
    days: set[date] = set()
    for one in exposures:
        if one.start is None:
            continue
        if one.end is not None:
            days.update(_between(one.start.first, min(one.end.first, clock.today)))
        elif one.ongoing:
            days.update(_between(one.start.first, clock.today))
        else:
            days.add(one.start.first)
    return days


def possible_days(exposures: Iterable[Exposure], clock: Clock) -> set[date]:
    """Days up to today on which the drug may have been taken, unknown ends reaching today."""
    days: set[date] = set()
    for one in exposures:
        if one.start is not None:
            end = clock.today if one.end is None else min(one.end.first, clock.today)
            days.update(_between(one.start.first, end))
    return days


def _between(first: date, last: date) -> list[date]:
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def _note_days(clock: Clock, sure: int, at_most: int, limit: int) -> None:
    """A count of days that still grows reaches the limit at the earliest after the days left."""
    for count in (sure, at_most):
        if 0 < count <= limit:
            clock.note(clock.today + _DAY * (limit + 1 - count))


def no_exposure(rule: NoExposureRule, context: Context) -> Finding:
    """No exposure at any time."""
    found = context.view.exposures((*rule.drug, *rule.local_forms), dated=False)
    local_concepts = frozenset(rule.local_forms)
    local = [one for one in found if one.local or one.concepts & local_concepts]
    systemic = [one for one in found if one not in local]
    if sure := given(systemic):
        values = {"what": named(sure), "date": _dates(sure)}
        return Finding("given", tuple(sure), values, stands=not any(o.doubtful for o in sure))
    if local:
        return Finding("local", tuple(local), {"what": dated(local)})
    if ordered := [one for one in systemic if one.strength is Strength.ORDERED]:
        return Finding("ordered_only", tuple(ordered), {"what": dated(ordered)})
    if systemic:
        return Finding("by_text", tuple(systemic), {"what": dated(systemic)})
    return Finding("none")


def _dates(exposures: Sequence[Exposure]) -> str:
    return ", ".join(dict.fromkeys(shown_date(one.start) for one in exposures))


def information(rule: InformationRule, context: Context) -> Finding:
    """What is in use, for the reader."""
    used = context.view.exposures(rule.drug)
    syndrome = [one for one in context.view.diagnoses(rule.syndrome) if one.active]
    newest_use = newest(used) or tuple(used)
    values = {"what": named(newest_use), "syndrome": named(syndrome)}
    if newest_use:
        values["date"] = shown_date(newest_use[0].end or newest_use[0].start)
    key = "in_use" if used else "not_in_use"
    if syndrome:
        key += "_with_syndrome"
    return Finding(key, (*newest_use, *syndrome), values, always=True)
