"""Reads the value of a result: a measurement in its canonical unit, an answer, a date."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from cds_service.fhir import views
from cds_service.fhir.elements import Coder, has, number, shown, words_of
from cds_service.fhir.observed import Observed
from cds_service.record.amounts import Span
from cds_service.record.codes import Match
from cds_service.record.dates import When
from cds_service.record.model import NO_CONCEPTS, ResultState
from cds_service.record.units import UnitProblem

# The domains of the word table whose exact words are answers.
ANSWER_DOMAINS = ("response", "status", "grade", "stage", "presence", "nyha", "ecog", "ctcae_grade")
_VALUES = frozenset({
    "valueQuantity", "valueCodeableConcept", "valueString", "valueBoolean", "valueInteger",
    "valueDateTime", "valueRange", "valueRatio", "valueSampledData", "valueTime", "valuePeriod",
    "dataAbsentReason",
})  # fmt: skip
WithValue = views.ObservationView | views.Valued


class Value(msgspec.Struct):
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


def read_value(view: WithValue, kind: Observed, broken: frozenset[str], coder: Coder) -> Value:
    """The value of an Observation or a component.

    Args:
        kind: what was observed.
        broken: elements that are there but cannot be read.
    """
    if broken & _VALUES:
        return unusable("its value cannot be read")
    if view.data_absent_reason is not None:
        return Value(ResultState.EMPTY)
    match, quantity = kind.match, kind.quantity
    if view.value_quantity is not None or view.value_integer is not None:
        return _measured(view, quantity, match, coder)
    if (text := view.value_date_time) is not None:
        when = coder.when(text)
        return Value(ResultState.USABLE, original=text, normalized=text, when_value=when)
    concepts, texts = _told(view)
    if concepts or texts:
        return _answer(concepts, texts, quantity, coder)
    if any(has(raw) for raw in _other_values(view)):
        return unusable("a value of this kind is not read")
    return _interpreted(view, broken, coder)


def _measured(view: WithValue, quantity: str | None, match: Match, coder: Coder) -> Value:
    """A number, with what an interpretation says of it."""
    if view.value_quantity is None:
        text = str(view.value_integer)
        return _amount(Decimal(text), views.QuantityView(), quantity, match, coder, text)
    value = _quantity(view.value_quantity, quantity, match, coder)
    if view.interpretation:
        value.answers |= coder.concepts(*view.interpretation)
    return value


def _told(view: WithValue) -> tuple[list[views.CodeableConcept], list[str]]:
    """An answer as a code, or as words."""
    if view.value_codeable_concept is not None:
        return [view.value_codeable_concept], []
    if view.value_string is not None:
        return [], [view.value_string]
    if view.value_boolean is not None:
        return [], ["positive" if view.value_boolean else "negative"]
    return [], []


def _other_values(view: WithValue) -> tuple[msgspec.Raw, ...]:
    return (
        view.value_range, view.value_ratio, view.value_sampled_data, view.value_time,
        view.value_period,
    )  # fmt: skip


def unusable(problem: str, original: str = "", issue: str = "unusable-value") -> Value:
    """A value that may not decide, with the reason and the code of its data issue."""
    return Value(ResultState.UNUSABLE, problem, original=original, normalized=original, issue=issue)


def _interpreted(view: WithValue, broken: frozenset[str], coder: Coder) -> Value:
    """A result with nothing but an interpretation (positive, not detected)."""
    if "interpretation" in broken:
        return unusable("its interpretation cannot be read")
    found = coder.answers(ANSWER_DOMAINS, *(view.interpretation or ()))
    if not found:
        return Value(ResultState.EMPTY)
    text = ", ".join(shown(one) for one in view.interpretation or ())
    return Value(ResultState.USABLE, original=text, normalized=text, answers=found)


def _answer(
    concepts: Sequence[views.CodeableConcept],
    texts: Sequence[str],
    quantity: str | None,
    coder: Coder,
) -> Value:
    words = (*words_of(concepts), *texts)
    answers = coder.answers(ANSWER_DOMAINS, *concepts) | coder.exact(ANSWER_DOMAINS, texts)
    original = next((shown(one) for one in concepts), None) or (texts[0] if texts else "")
    if quantity is not None and not answers:
        return unusable("its value is text where a number is needed", original)
    return Value(
        ResultState.USABLE, original=original, normalized=original, answers=answers, words=words
    )


def _quantity(view: views.QuantityView, quantity: str | None, match: Match, coder: Coder) -> Value:
    value = number(view.value)
    unit = view.unit or view.code or ""
    if value is None:
        if not has(view.value):
            return Value(ResultState.EMPTY)
        return unusable("its value is no number that can be used")
    original = f"{view.comparator or ''}{value:f} {unit}".strip()
    return _amount(value, view, quantity, match, coder, original)


def _amount(
    value: Decimal,
    view: views.QuantityView,
    quantity: str | None,
    match: Match,
    coder: Coder,
    original: str,
) -> Value:
    if quantity is None:
        # No kind of measurement is known: the number stays what it is, and decides nothing.
        return Value(
            ResultState.USABLE, original=original, normalized=original,
            answers=coder.exact(ANSWER_DOMAINS, (f"{value:f}",)) if not view.unit else NO_CONCEPTS,
        )  # fmt: skip
    read = coder.units.read(quantity, match.property, value, view.unit, view.code, view.system)
    if isinstance(read, UnitProblem):
        return unusable(read.message, original, read.code)
    if not coder.units.plausible(quantity, read.value):
        return unusable(f"{original} is not plausible", original, "implausible")
    span = _span(read.value, view.comparator)
    if span is None:
        return unusable(f"the comparator {view.comparator} is not known", original)
    shown_value = f"{view.comparator or ''}{coder.units.shown(quantity, read.value)}"
    return Value(ResultState.USABLE, None, span, read.unit, original, shown_value, place=read.place)


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
