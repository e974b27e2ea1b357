"""Reads reference ranges: a result's limits of normal, and for whom they hold."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from decimal import Decimal

import msgspec

from cds_service.fhir import views
from cds_service.fhir.elements import Coder, codings_of, in_years, number
from cds_service.record.amounts import ReferenceRange
from cds_service.record.units import UnitProblem

# A limit may be stated in mass where the value is in moles: it is converted (detail 33).
_ANY_PROPERTY = ""
# What a year has of each; small children's ranges begin and end with such ages.
_PARTS_OF_A_YEAR = {
    "mo": 12, "month": 12, "months": 12, "wk": 52, "week": 52, "weeks": 52,
    "d": 365, "day": 365, "days": 365,
}  # fmt: skip
_SEXES = {"sex_male": "male", "sex_female": "female"}


def read_ranges(
    view: views.ObservationView | views.Valued,
    quantity: str | None,
    broken: frozenset[str],
    coder: Coder,
) -> tuple[ReferenceRange, ...]:
    """The reference ranges of a result, as far as they can be read.

    Args:
        quantity: kind of measurement; None where it is none.
        broken: elements of the result that are there but cannot be read.
    """
    if quantity is None:
        return ()
    if "referenceRange" in broken:
        return (ReferenceRange(None, doubtful=True),)
    if not view.reference_range:
        return ()
    limits = _Limits(quantity, view.value_quantity, coder)
    return tuple([_known_range(one, limits) for one in view.reference_range])


def _known_range(view: views.ReferenceRangeView, limits: _Limits) -> ReferenceRange:
    """A laboratory sends the same few ranges with every result."""
    return limits.coder.kinds.once(_key(view, limits), lambda: _range(view, limits))


def _key(view: views.ReferenceRangeView, limits: _Limits) -> Hashable:
    """Everything that a range is read from."""
    age = view.age
    return (
        "range",
        limits.quantity,
        _unit(limits.value),
        _amount(view.low),
        _amount(view.high),
        view.type,
        tuple(view.applies_to or ()),
        age and (_amount(age.low), _amount(age.high)),
        bool(view.modifier_extension),
    )


def _unit(view: views.QuantityView | None) -> Hashable:
    return view and (view.unit, view.code, view.system)


def _amount(view: views.QuantityView | None) -> Hashable:
    return view and (bytes(view.value), view.unit, view.code, view.system)


class _Limits(msgspec.Struct, frozen=True):
    """How the limits of one result are read: a limit without a unit has the value's unit."""

    quantity: str
    value: views.QuantityView | None
    coder: Coder

    def read(self, view: views.QuantityView | None) -> tuple[Decimal | None, str | None]:
        """A limit in the canonical unit, or why it cannot be used."""
        if view is None:
            return None, None
        value = number(view.value)
        if value is None:
            return None, "no number"
        unit = view if view.unit or view.code else self.value or view
        read = self.coder.units.read(
            self.quantity, _ANY_PROPERTY, value, unit.unit, unit.code, unit.system
        )
        return (None, read.message) if isinstance(read, UnitProblem) else (read.value, None)


def _range(view: views.ReferenceRangeView, limits: _Limits) -> ReferenceRange:
    high, problem = limits.read(view.high)
    low, _ = limits.read(view.low)
    kinds = {one.code for one in (view.type.coding or () if view.type else ()) if one.code}
    if not kinds and view.type and view.type.text:
        kinds = {view.type.text.casefold()}
    ages = [None, None] if view.age is None else [view.age.low, view.age.high]
    return ReferenceRange(
        high=high,
        low=low,
        normal=not kinds or "normal" in kinds,
        problem=problem,
        age_low=_years(ages[0]),
        age_high=_years(ages[1]),
        in_years=all(_years(age) is not None for age in ages if age),
        sex=_sex(view.applies_to, limits.coder) if view.applies_to else None,
        doubtful=bool(view.modifier_extension),
    )


def _years(age: views.QuantityView | None) -> Decimal | None:
    """An age in years, also where it is told in months, weeks or days; else None."""
    value = None if age is None else number(age.value)
    if age is None or value is None:
        return None
    if in_years(age):
        return value
    parts = _PARTS_OF_A_YEAR.get((age.code or age.unit or "").strip().lower())
    return None if parts is None else value / parts


def _sex(found: Iterable[views.CodeableConcept], coder: Coder) -> str | None:
    """For one sex, by code or in words; senders have their own codes here: a code is a word."""
    concepts = tuple(found)
    codes = [one.code for concept in concepts for one in codings_of(concept) if one.code]
    held = coder.answers(("sex",), *concepts) | coder.exact(("sex",), codes)
    named = [sex for concept, sex in _SEXES.items() if concept in held]
    return named[0] if len(named) == 1 else None
