"""Rules on drugs: how long, never, and for information."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta

from cds_service.criteria.clock import Clock
from cds_service.criteria.finding import Context, Finding, dated, named, shown_date
from cds_service.criteria.latest import newest
from cds_service.record.model import Exposure, Strength
from cds_service.trial.rules.drugs import ExposureDaysRule, InformationRule, NoExposureRule

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
    note_growth(own, (sure, at_most), rule.maximum_days, clock)
    values = {"days": str(sure), "what": named((*other, *unsure))}
    if sure > rule.maximum_days:
        return Finding("beyond", tuple(own), values, stands=True)
    if unreadable := _without_readable_date(rule, context):
        return Finding("unreadable", unreadable, {"what": named(unreadable)})
    if other:
        return Finding("other_product", tuple(other), values)
    if undated:
        facts = [one for one in given(found) if one.source.reference in undated]
        return Finding("undated", tuple(facts))
    if at_most > rule.maximum_days:
        values["start"] = ", ".join(shown_date(one.start) for one in own if _end_unknown(one))
        return Finding("end_unknown", tuple(own), values)
    if unsure:
        return Finding("beside" if own else "ordered_only", (*own, *unsure), values)
    if own:
        return Finding("within", tuple(own), values | {"days": str(at_most)})
    return Finding("none")


def _without_start(rule: ExposureDaysRule, context: Context) -> frozenset[str]:
    """References of what was given with no start recorded; its end alone makes no days."""
    product = frozenset(rule.other_product)
    return frozenset(
        one.source.reference
        for one in given(context.view.exposures(rule.drug, dated=False))
        if not one.concepts & product and (one.start is None or one.start.open)
    )


def _without_readable_date(rule: ExposureDaysRule, context: Context) -> tuple[Exposure, ...]:
    """What was given on days that are recorded and cannot be read, or in doubt (detail 5)."""
    return tuple(
        one
        for one in given(context.view.exposures(rule.drug, dated=False))
        if one.doubtful
        or any(when is not None and when.unreadable for when in (one.start, one.end))
    )


def _end_unknown(one: Exposure) -> bool:
    return one.end is None and not one.ongoing


def certain_days(exposures: Iterable[Exposure], clock: Clock) -> int:
    """On how many days up to today the drug was surely taken."""
    spans = []
    for one in exposures:
        if one.start is None:
            continue
        if one.end is not None:
            spans.append((one.start.first, min(one.end.first, clock.today)))
        else:
            spans.append((one.start.first, clock.today if one.ongoing else one.start.first))
    return _days_in(spans)


def possible_days(exposures: Iterable[Exposure], clock: Clock) -> int:
    """On how many days up to today the drug may have been taken, unknown ends reaching today."""
    return _days_in(
        (one.start.first, clock.today if one.end is None else min(one.end.first, clock.today))
        for one in exposures
        if one.start is not None
    )


def _days_in(spans: Iterable[tuple[date, date]]) -> int:
    """How many days lie in any of the spans, both ends of each included."""
    days = 0
    reached = date.min
    for first, last in sorted(spans):
        if last > reached or (days == 0 and last == reached):
            start = max(first, reached + _DAY) if days else first
            days += max((last - start).days + 1, 0)
            reached = max(reached, last)
    return days


def note_growth(
    exposures: Iterable[Exposure], counts: Iterable[int], limit: int, clock: Clock
) -> None:
    """A count of days that still grows passes the limit at the earliest after the days left."""
    if not any(one.end is None or one.end.first >= clock.today for one in exposures):
        return
    for count in counts:
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
    told = context.view.diagnoses(rule.review_diagnoses) if rule.review_diagnoses else []
    if told:
        return Finding("told", tuple(told), {"what": dated(told)})
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
