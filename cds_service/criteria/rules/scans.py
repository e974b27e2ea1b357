"""Rules on the scan with the trial's tracers, and on what it showed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

import msgspec

from cds_service.criteria.finding import Context, Finding, named, shown_date
from cds_service.criteria.latest import newest
from cds_service.criteria.view import Fact
from cds_service.record.amounts import Span
from cds_service.record.model import Result, ResultState, Scan
from cds_service.trial.rules.disease import ScanRule, UptakeRule

_SCAN_TYPES = frozenset({"DiagnosticReport", "ImagingStudy", "Procedure"})


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
    if by_values == "straddles":
        return Finding("straddles", facts, _compared(lesion, organ, on))
    by_conclusion = _by_conclusion(rule, deciding)
    if by_values == "disagree" or (by_values and by_conclusion and by_values != by_conclusion):
        return Finding("disagree", facts, {"date": on})
    if by_values:
        return Finding(f"{by_values}_values", facts, _compared(lesion, organ, on))
    if by_conclusion == "disagree":
        return Finding("disagree", facts, {"date": on})
    if by_conclusion:
        return Finding(f"{by_conclusion}_conclusion", deciding, {"date": on})
    return Finding("open", deciding)


def _compared(lesion: Sequence[Result], organ: Sequence[Result], on: str) -> dict[str, str]:
    return {
        "lesion": ", ".join(one.normalized for one in lesion),
        "organ": ", ".join(one.normalized for one in organ),
        "date": on,
    }


def _belonging(rule: UptakeRule, context: Context, scans: Sequence[Scan]) -> list[Result]:
    """SUV results of the scan: by reference, or else of the same day."""
    found = [one for one in context.view.results(rule.uptake) if one.state is not ResultState.EMPTY]
    own, others = _told_apart(rule.scan, context, scans)
    references = {one.source.reference for one in own}
    links = {link for one in own for link in one.links}
    of_others = {link for one in others for link in one.links}
    day = _day(scans)

    def belongs(one: Result) -> bool:
        reference = one.source.reference
        if references.intersection(one.part_of) or reference in links:
            return True
        # One that is linked to another scan is not of this one, whatever its day.
        if reference in of_others or any(_names_scan(link) for link in one.part_of):
            return False
        return one.when is not None and one.when.first == day

    return [one for one in found if belongs(one)]


def _told_apart(
    rule: ScanRule, context: Context, scans: Sequence[Scan]
) -> tuple[list[Scan], list[Scan]]:
    """All that is recorded of the deciding scans, and every other scan."""
    every = context.view.scans((*rule.scan, *rule.tracer, *rule.other_tracer))
    references = {one.source.reference for one in scans}
    links = {link for one in scans for link in one.links}
    day = _day(scans)
    foreign = [one for one in every if one.tracer.intersection(rule.other_tracer)]
    alone = not any(one.when is not None and one.when.first == day for one in foreign)

    def is_own(one: Scan) -> bool:
        reference = one.source.reference
        if reference in references:
            return True
        if one.tracer:
            return False
        if reference in links or references.intersection(one.links):
            return True
        # The study or the report of a scan often leaves the tracer to the procedure.
        return alone and one.when is not None and one.when.first == day

    own = [one for one in every if is_own(one)]
    return own, [one for one in every if one not in own]


def _names_scan(link: str) -> bool:
    return link.partition("/")[0] in _SCAN_TYPES


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
    if "straddles" in said:
        return "straddles"
    return said.pop() if len(said) == 1 else "disagree"


def _brightest(lesions: Sequence[Span], mean: Span) -> str:
    """Strictly greater than the mean, for any lesion."""
    if any(_above(one, mean) for one in lesions):
        return "positive"
    return "negative" if all(_not_above(one, mean) for one in lesions) else "straddles"


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
