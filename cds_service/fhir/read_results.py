"""Reads Observations into results: status, time, value, unit, answer, reference ranges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache

import msgspec

from cds_service.fhir import views
from cds_service.fhir.decoding import component_name
from cds_service.fhir.elements import (
    UNSURE,
    Coder,
    Issues,
    codings_of,
    has,
    modified,
    number,
    period_end,
    references,
    relative,
    says_nothing,
    shown,
    words_of,
)
from cds_service.fhir.read_ranges import read_ranges
from cds_service.record.codes import Match
from cds_service.record.dates import When, unreadable_when
from cds_service.record.model import (
    NO_CONCEPTS,
    Coding,
    Result,
    ResultState,
    Source,
    Span,
)
from cds_service.record.units import UnitProblem

_FINAL = frozenset({"final", "amended", "corrected"})
# A status that is not known, or not there, may be any of both.
_NOT_FINAL = frozenset({"registered", "preliminary", "cancelled", "entered-in-error", "unknown"})
# The domains of the word table whose exact words are answers.
ANSWER_DOMAINS = ("response", "status", "grade", "stage", "presence", "nyha", "ecog", "ctcae_grade")
_VALUES = frozenset({
    "valueQuantity", "valueCodeableConcept", "valueString", "valueBoolean", "valueInteger",
    "valueDateTime", "valueRange", "valueRatio", "valueSampledData", "valueTime", "valuePeriod",
    "dataAbsentReason",
})  # fmt: skip
_DATES = frozenset({"effectiveDateTime", "effectiveInstant", "effectivePeriod", "effectiveTiming"})
_Valued = views.ObservationView | views.Valued


class _Kind(msgspec.Struct, frozen=True):
    """What was observed. Charts repeat few of these, so each is worked out once.

    Args:
        labels: what tells one graded finding from another: the codes, or else the words.
        silent: neither a code nor a word says what it is.
    """

    match: Match
    quantity: str | None
    name: str
    labels: tuple[str, ...]
    codes: tuple[Coding, ...]
    silent: bool


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
    category: views.CodeableConcept | None = None


class _Value(msgspec.Struct):
    """A value, read."""

    state: ResultState
    problem: str | None = None
    amount: Span | None = None
    unit: str = ""
    original: str = ""
    normalized: str = ""
    answers: frozenset[str] = NO_CONCEPTS
    words: tuple[str, ...] = ()
    when_value: When | None = None
    issue: str = "unusable-value"
    place: int | None = None


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
    kind = _kind(coder, view.code, view.method, view.category or ())
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
    kind: _Kind
    broken: frozenset[str]


def _parts(view: views.ObservationView, broken: frozenset[str], coder: Coder) -> Iterator[_Part]:
    for position, part in enumerate(view.component or ()):
        place = f"{component_name(position)}."
        names = (name.removeprefix(place) for name in broken if name.startswith(place))
        yield _Part(part, _kind(coder, part.code), frozenset(names))


def _kind(
    coder: Coder,
    code: views.CodeableConcept | None,
    method: views.CodeableConcept | None = None,
    category: Sequence[views.CodeableConcept] = (),
) -> _Kind:
    """What an Observation or a component is about."""
    return coder.kinds.once(
        ("observed", code, method, *category), lambda: _new_kind(coder, code, method, category)
    )


def _new_kind(
    coder: Coder,
    code: views.CodeableConcept | None,
    method: views.CodeableConcept | None,
    category: Sequence[views.CodeableConcept],
) -> _Kind:
    match = _recognise(coder, code, method, category)
    return _Kind(
        match,
        coder.codes.quantity_of(match.concepts),
        coder.name(match.concepts),
        _labels(code),
        codings_of(code),
        says_nothing(code),
    )


def _recognise(
    coder: Coder,
    code: views.CodeableConcept | None,
    method: views.CodeableConcept | None,
    category: Sequence[views.CodeableConcept],
) -> Match:
    """By code; an assessment also by the words of code, category and method."""
    match = coder.match(code)
    texts = words_of([code, method, *category])
    codes = [one.code for m in (method,) if m for one in m.coding or () if one.code]
    named = coder.words("assessment", [*texts, *codes])
    if named:
        return msgspec.structs.replace(match, concepts=match.concepts | named)
    return match


def _shared(
    view: views.ObservationView,
    broken: frozenset[str],
    reference: str,
    coder: Coder,
    own: frozenset[str],
    kind: _Kind,
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


def _labels(code: views.CodeableConcept | None) -> tuple[str, ...]:
    """What tells one graded finding from another: the codes, or else the words."""
    codes = tuple(f"{one.system or ''}|{one.code}" for one in codings_of(code) if one.code)
    return codes or tuple(words_of([code]))


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
    view: _Valued,
    kind: _Kind,
    broken: frozenset[str],
    shared: _Shared,
    coder: Coder,
    issues: Issues,
) -> Result:
    match, name = kind.match, kind.name
    value = _value(view, kind, broken, coder)
    known = shared.problem or _own_problem(view, match, value, broken)
    problem = None
    if known is not None:
        issues.add(known[0], shared.reference, f"{name}: {known[1]}")
        problem = known[1]
        # What may not decide is shown, and nothing more.
        value = _unusable(problem, value.original)
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
    view: _Valued, match: Match, value: _Value, broken: frozenset[str]
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


# --- Values ------------------------------------------------------------------------------------


def _value(view: _Valued, kind: _Kind, broken: frozenset[str], coder: Coder) -> _Value:
    if broken & _VALUES:
        return _unusable("its value cannot be read")
    if view.data_absent_reason is not None:
        return _Value(ResultState.EMPTY)
    match, quantity = kind.match, kind.quantity
    if view.value_quantity is not None or view.value_integer is not None:
        return _measured(view, quantity, match, coder)
    if (text := view.value_date_time) is not None:
        when = coder.when(text)
        return _Value(ResultState.USABLE, original=text, normalized=text, when_value=when)
    concepts, texts = _told(view)
    if concepts or texts:
        return _answer(concepts, texts, quantity, coder)
    if any(has(raw) for raw in _other_values(view)):
        return _unusable("a value of this kind is not read")
    return _interpreted(view, broken, coder)


def _measured(view: _Valued, quantity: str | None, match: Match, coder: Coder) -> _Value:
    """A number, with what an interpretation says of it."""
    if view.value_quantity is None:
        text = str(view.value_integer)
        return _amount(Decimal(text), views.QuantityView(), quantity, match, coder, text)
    value = _quantity(view.value_quantity, quantity, match, coder)
    if view.interpretation:
        value.answers |= coder.concepts(*view.interpretation)
    return value


def _told(view: _Valued) -> tuple[list[views.CodeableConcept], list[str]]:
    """An answer as a code, or as words."""
    if view.value_codeable_concept is not None:
        return [view.value_codeable_concept], []
    if view.value_string is not None:
        return [], [view.value_string]
    if view.value_boolean is not None:
        return [], ["positive" if view.value_boolean else "negative"]
    return [], []


def _other_values(view: _Valued) -> tuple[msgspec.Raw, ...]:
    return (
        view.value_range, view.value_ratio, view.value_sampled_data, view.value_time,
        view.value_period,
    )  # fmt: skip


def _unusable(problem: str, original: str = "", issue: str = "unusable-value") -> _Value:
    return _Value(
        ResultState.UNUSABLE, problem, original=original, normalized=original, issue=issue
    )


def _interpreted(view: _Valued, broken: frozenset[str], coder: Coder) -> _Value:
    """A result with nothing but an interpretation (positive, not detected)."""
    if "interpretation" in broken:
        return _unusable("its interpretation cannot be read")
    found = coder.answers(ANSWER_DOMAINS, *(view.interpretation or ()))
    if not found:
        return _Value(ResultState.EMPTY)
    text = ", ".join(shown(one) for one in view.interpretation or ())
    return _Value(ResultState.USABLE, original=text, normalized=text, answers=found)


def _answer(
    concepts: Sequence[views.CodeableConcept],
    texts: Sequence[str],
    quantity: str | None,
    coder: Coder,
) -> _Value:
    words = (*words_of(concepts), *texts)
    answers = coder.answers(ANSWER_DOMAINS, *concepts) | coder.exact(ANSWER_DOMAINS, texts)
    original = next((shown(one) for one in concepts), None) or (texts[0] if texts else "")
    if quantity is not None and not answers:
        return _unusable("its value is text where a number is needed", original)
    return _Value(
        ResultState.USABLE, original=original, normalized=original, answers=answers, words=words
    )


def _quantity(view: views.QuantityView, quantity: str | None, match: Match, coder: Coder) -> _Value:
    value = number(view.value)
    unit = view.unit or view.code or ""
    if value is None:
        if not has(view.value):
            return _Value(ResultState.EMPTY)
        return _unusable("its value is no number that can be used")
    original = f"{view.comparator or ''}{value:f} {unit}".strip()
    return _amount(value, view, quantity, match, coder, original)


def _amount(
    value: Decimal,
    view: views.QuantityView,
    quantity: str | None,
    match: Match,
    coder: Coder,
    original: str,
) -> _Value:
    if quantity is None:
        # No kind of measurement is known: the number stays what it is, and decides nothing.
        return _Value(
            ResultState.USABLE, original=original, normalized=original,
            answers=coder.exact(ANSWER_DOMAINS, (f"{value:f}",)) if not view.unit else NO_CONCEPTS,
        )  # fmt: skip
    read = coder.units.read(quantity, match.property, value, view.unit, view.code, view.system)
    if isinstance(read, UnitProblem):
        return _unusable(read.message, original, read.code)
    if not coder.units.plausible(quantity, read.value):
        return _unusable(f"{original} is not plausible", original, "implausible")
    span = _span(read.value, view.comparator)
    if span is None:
        return _unusable(f"the comparator {view.comparator} is not known", original)
    shown_value = f"{view.comparator or ''}{coder.units.shown(quantity, read.value)}"
    return _Value(
        ResultState.USABLE, None, span, read.unit, original, shown_value, place=read.place
    )


def _span(value: Decimal, comparator: str | None) -> Span | None:
    """A comparator is an interval: ``<10`` is anything below ten."""
    match comparator:
        case None | "":
            return Span(value, value)
        case "<":
            return Span(None, value, high_open=True)
        case "<=":
            return Span(None, value)
        case ">":
            return Span(value, None, low_open=True)
        case ">=":
            return Span(value, None)
        case _:
            return None
