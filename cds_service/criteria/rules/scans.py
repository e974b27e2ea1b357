"""Rules on the scan with the trial's tracers, and on what it showed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

import msgspec

from cds_service.criteria.finding import Context, Finding, named, shown_date
from cds_service.criteria.latest import newest
from cds_service.criteria.view import Fact
from cds_service.record.model import Result, ResultState, Scan, Span
from cds_service.trial.rules import ScanRule, UptakeRule


class _Scans(msgspec.Struct, frozen=True):
    """The deciding scans, and the newest one whose tracer is not known."""

    deciding: tuple[Scan, ...]
    nameless: tuple[Scan, ...]


def _read(rule: ScanRule, context: Context) -> _Scans:
    """Scans with a known, wanted tracer decide; one with another tracer never counts."""
    seen = [one for one in context.view.scans((*rule.scan, *rule.tracer)) if one.when is not None]
    wanted = [one for one in seen if one.tracer.intersection(rule.tracer)]
    nameless = [
        one for one in seen if not one.tracer.intersection((*rule.tracer, *rule.other_tracer))
    ]
    return _Scans(newest(wanted), newest(nameless))


def scan(rule: ScanRule, context: Context) -> Finding:
    """The latest scan with one of the tracers, within the months."""
    found = _read(rule, context)
    facts = found.deciding or found.nameless
    if not facts:
        return Finding("none")
    values = {"scan": named(facts), "date": shown_date(facts[0].when)}
    if not found.deciding:
        return Finding("no_tracer", facts, values)
    clock = context.view.clock
    day = _day(facts)
    phrases: list[tuple[str, dict[str, str]]] = []
    if found.nameless and _day(found.nameless) > day:
        phrases.append(("advisory_newer", {"date": shown_date(found.nameless[0].when)}))
    if not clock.within_months(day, rule.within_months):
        return Finding("outdated", facts, values, phrases=tuple(phrases))
    if not clock.within_months(day, rule.recommended_months):
        phrases.append(("advisory_old", {"date": values["date"]}))
    return Finding("recent", facts, values, phrases=tuple(phrases))


def _day(facts: Sequence[Scan]) -> date:
    when = facts[0].when
    if when is None:
        raise ValueError("an undated scan cannot decide")
    return when.first


def uptake(rule: UptakeRule, context: Context) -> Finding:
    """Lesion maximum against the mean of normal liver, or the scan's coded conclusion."""
    deciding = _read(rule.scan, context).deciding
    if not deciding:
        return Finding("open")
    on = shown_date(deciding[0].when)
    measured = _belonging(rule, context, deciding)
    lesion = [one for one in measured if _is_lesion(rule, one)]
    organ = [one for one in measured if _is_organ(rule, one)]
    facts: tuple[Fact, ...] = (*deciding, *lesion, *organ)
    if broken := [one for one in (*lesion, *organ) if one.state is ResultState.UNUSABLE]:
        return Finding("unusable", facts, {"what": named(broken)})
    by_values = _by_values(lesion, organ)
    by_conclusion = _by_conclusion(rule, deciding)
    if by_values == "disagree" or (by_values and by_conclusion and by_values != by_conclusion):
        return Finding("disagree", facts, {"date": on})
    if by_values:
        values = {
            "lesion": ", ".join(one.normalized for one in lesion),
            "organ": ", ".join(one.normalized for one in organ),
            "date": on,
        }
        return Finding(f"{by_values}_values", facts, values)
    if by_conclusion == "disagree":
        return Finding("disagree", facts, {"date": on})
    if by_conclusion:
        return Finding(f"{by_conclusion}_conclusion", deciding, {"date": on})
    return Finding("open", deciding)


def _belonging(rule: UptakeRule, context: Context, scans: Sequence[Scan]) -> list[Result]:
    """SUV results of the scan: by reference, or else of the same day."""
    found = [one for one in context.view.results(rule.uptake) if one.state is not ResultState.EMPTY]
    references = {one.source.reference for one in scans}
    links = {link for one in scans for link in one.links}
    linked = [
        one
        for one in found
        if references.intersection(one.part_of) or one.source.reference in links
    ]
    day = _day(scans)
    same_day = [one for one in found if one.when is not None and one.when.first == day]
    if not linked:
        return same_day
    # One that names no scan belongs to that of its day; one that names another scan does not.
    return [*linked, *(one for one in same_day if one not in linked and not one.part_of)]


def _is_lesion(rule: UptakeRule, one: Result) -> bool:
    return bool(one.method.intersection(rule.maximum)) and not one.body_site.intersection(
        rule.organ
    )


def _is_organ(rule: UptakeRule, one: Result) -> bool:
    return bool(one.method.intersection(rule.mean) and one.body_site.intersection(rule.organ))


def _by_values(lesion: Sequence[Result], organ: Sequence[Result]) -> str:
    lesions = [one.amount for one in lesion if one.amount is not None]
    organs = [one.amount for one in organ if one.amount is not None]
    if not lesions or not organs:
        return ""
    said = {_brightest(lesions, mean) for mean in organs}
    return said.pop() if len(said) == 1 else "disagree"


def _brightest(lesions: Sequence[Span], mean: Span) -> str:
    """Strictly greater than the mean, for any lesion."""
    if any(_above(one, mean) for one in lesions):
        return "positive"
    return "negative" if all(_not_above(one, mean) for one in lesions) else "disagree"


def _above(one: Span, mean: Span) -> bool:
    if one.low is None or mean.high is None:
        return False
    return one.low > mean.high or (one.low == mean.high and (one.low_open or mean.high_open))


def _not_above(one: Span, mean: Span) -> bool:
    high: Decimal | None = one.high
    return high is not None and mean.low is not None and high <= mean.low


def _by_conclusion(rule: UptakeRule, scans: Sequence[Scan]) -> str:
    said = set()
    for one in scans:
        if one.conclusion.intersection(rule.positive):
            said.add("positive")
        if one.conclusion.intersection(rule.negative):
            said.add("negative")
    if len(said) > 1:
        return "disagree"
    return said.pop() if said else ""
