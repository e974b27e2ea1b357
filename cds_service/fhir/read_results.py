"""Reads Observations into results: status, time, sampling, and what keeps a value from deciding."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache

import msgspec

from cds_service.fhir import views
from cds_service.fhir.decoding import component_name
from cds_service.fhir.elements import (
    UNSURE,
    Coder,
    Issues,
    has,
    modified,
    period_end,
    references,
    relative,
)
from cds_service.fhir.observed import Observed, observed
from cds_service.fhir.read_ranges import read_ranges
from cds_service.fhir.read_values import Value, WithValue, read_value, unusable
from cds_service.record.codes import Match
from cds_service.record.dates import When, unreadable_when
from cds_service.record.model import NO_CONCEPTS, Result, ResultState, Source

_FINAL = frozenset({"final", "amended", "corrected"})
# A status that is not known, or not there, may be any of both.
_NOT_FINAL = frozenset({"registered", "preliminary", "cancelled", "entered-in-error", "unknown"})
_DATES = frozenset({"effectiveDateTime", "effectiveInstant", "effectivePeriod", "effectiveTiming"})


class _Shared(msgspec.Struct, frozen=True):
    """What the components of an Observation share with it."""

    reference: str
    when: When | None
    problem: tuple[str, str] | None
    sampled: tuple[str, ...]
    part_of: tuple[str, ...]
    labels: tuple[str, ...]
    body_site: frozenset[str]
    method: frozenset[str]


def read_results(
    view: views.ObservationView,
    broken: frozenset[str],
    reference: str,
    coder: Coder,
    issues: Issues,
    own: frozenset[str],
) -> list[Result]:
    """Read an Observation and its components; those that the tables do not know give nothing.

    Args:
        broken: elements that are there but cannot be read.
        own: references that name the patient.
    """
    if view.status in _NOT_FINAL:
        return []
    kind = observed(coder, view.code, view.method, view.category or ())
    parts = tuple(_parts(view, broken, coder)) if view.component else ()
    if "component" in broken or kind.silent or (parts and any(one.kind.silent for one in parts)):
        issues.cannot_read(
            reference, "Observation", "what was observed is missing or cannot be read"
        )
    known = parts and [part for part in parts if part.kind.match.concepts]
    if not kind.match.concepts and not known:
        return []
    shared = _shared(view, broken, reference, coder, own, kind)
    found = [_result(view, kind, broken, shared, coder, issues)] if kind.match.concepts else []
    found += [_result(part.view, part.kind, part.broken, shared, coder, issues) for part in known]
    return found


class _Part(msgspec.Struct, frozen=True):
    """A component, with the names of its own broken elements."""

    view: views.Valued
    kind: Observed
    broken: frozenset[str]


def _parts(view: views.ObservationView, broken: frozenset[str], coder: Coder) -> Iterator[_Part]:
    for position, part in enumerate(view.component or ()):
        place = f"{component_name(position)}."
        names = (name.removeprefix(place) for name in broken if name.startswith(place))
        yield _Part(part, observed(coder, part.code), frozenset(names))


def _shared(
    view: views.ObservationView,
    broken: frozenset[str],
    reference: str,
    coder: Coder,
    own: frozenset[str],
    kind: Observed,
) -> _Shared:
    moment = coder.when(view.effective_date_time or view.effective_instant)
    linked = view.part_of or view.derived_from
    return _Shared(
        reference=reference,
        when=_when(view, broken, coder),
        problem=_problem(view, broken, own),
        sampled=_sampled(view, moment, reference),
        part_of=references([*(view.part_of or ()), *(view.derived_from or ())]) if linked else (),
        labels=kind.labels,
        body_site=coder.concepts(view.body_site) if view.body_site else NO_CONCEPTS,
        method=coder.concepts(view.method) if view.method else NO_CONCEPTS,
    )


def _sampled(view: views.ObservationView, moment: When | None, reference: str) -> tuple[str, ...]:
    """What tells the sampling: its time, its period, its specimen."""
    sampled = []
    if moment is not None and not moment.unreadable:
        sampled.append(_time_text(moment.instant or moment.text))
    if view.effective_period is not None:
        sampled.append(f"period {view.effective_period.start}/{view.effective_period.end}")
    specimen = relative(view.specimen.reference or "") if view.specimen else ""
    if specimen:
        place = reference if specimen.startswith("#") else ""
        sampled.append(f"specimen {place}{specimen}")
    return tuple(sampled)


# The results of one panel share their time.
@lru_cache(maxsize=4096)
def _time_text(moment: datetime | str) -> str:
    return f"time {moment}"


def _problem(
    view: views.ObservationView, broken: frozenset[str], own: frozenset[str]
) -> tuple[str, str] | None:
    """Why no value of this Observation may decide, with the code of the data issue."""
    if view.status not in _FINAL:
        return "no-status", "its status is missing or cannot be read"
    if modified(view) or broken & UNSURE:
        return "modifier", "it has a modifier or a subject that is not understood"
    if broken & {"bodySite", "method"}:
        return "unusable-value", "what it was measured on, or how, cannot be read"
    focus = view.focus
    if "focus" in broken or (focus and not all(_is_own(one.reference, own) for one in focus)):
        return "other-focus", "its focus is someone or something else"
    return None


def _is_own(named: str | None, own: frozenset[str]) -> bool:
    return named is not None and relative(named) in own


def _when(view: views.ObservationView, broken: frozenset[str], coder: Coder) -> When | None:
    if broken & _DATES:
        return unreadable_when("")
    if view.effective_period is not None:
        found = period_end(view.effective_period, coder)
        if found is not None:
            return found
    if has(view.effective_timing):
        return unreadable_when("timing")
    found = coder.when(view.effective_date_time) or coder.when(view.effective_instant)
    if found is None:
        found = (
            unreadable_when("")
            if "issued" in broken
            else coder.when(view.issued, stand_in="issued")
        )
    return found


def _result(
    view: WithValue,
    kind: Observed,
    broken: frozenset[str],
    shared: _Shared,
    coder: Coder,
    issues: Issues,
) -> Result:
    match, name = kind.match, kind.name
    value = read_value(view, kind, broken, coder)
    known = shared.problem or _own_problem(view, match, value, broken)
    problem = None
    if known is not None:
        issues.add(known[0], shared.reference, f"{name}: {known[1]}")
        problem = known[1]
        # What may not decide is shown, and nothing more.
        value = unusable(problem, value.original)
    ranges = read_ranges(view, kind.quantity, broken, coder)
    if ranges and any(one.doubtful for one in ranges):
        issues.add("modifier", shared.reference, f"{name}: a reference range is not understood")
    issues.about_date(shared.when, shared.reference, name)
    # A struct with this many fields takes five times as long to make with all of them by name.
    return Result(
        Source(shared.reference, name, kind.codes, _notes(shared.when)),
        match.concepts,
        shared.when,
        value.state,
        problem,
        value.amount,
        value.unit,
        value.original,
        value.normalized,
        value.answers,
        value.words,
        sampled=shared.sampled,
        labels=(*shared.labels, *kind.labels) if isinstance(view, views.Valued) else shared.labels,
        ranges=ranges,
        body_site=shared.body_site,
        method=shared.method,
        part_of=shared.part_of,
        when_value=value.when_value,
        place=value.place,
    )


def _own_problem(
    view: WithValue, match: Match, value: Value, broken: frozenset[str]
) -> tuple[str, str] | None:
    """Why this value may not decide, with the code of the data issue."""
    if "modifierExtension" in broken or (
        isinstance(view, views.Valued) and view.modifier_extension
    ):
        return "modifier", "it has a modifier that is not understood"
    if value.state is ResultState.EMPTY:
        return None
    if match.use == "possible":
        return "unverified-code", "its code is not verified in the tables"
    return None if value.problem is None else (value.issue, value.problem)


def _notes(when: When | None) -> tuple[str, ...]:
    return ("time without a zone, read in the site's zone",) if when and when.zoneless else ()
