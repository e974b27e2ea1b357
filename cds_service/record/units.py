"""Measured values in one unit a kind of measurement: exact, by table, never by guess.

Factors come once from pint's Decimal registry; after that a conversion is one Decimal product, so
that a value that sits on a limit stays on it. Knows no unit, factor or limit itself: they are in
``mappings/``. It never looks at the size of a number to find its unit.
"""

from __future__ import annotations

import decimal
import tokenize
from collections.abc import Mapping
from decimal import Decimal
from typing import Final, Literal

import msgspec
import pint

from cds_service.record import table_rows, tables

Problem = Literal["no-unit", "unknown-unit", "wrong-dimension", "unit-disagreement"]

# Recorded values have a few digits and factors have under thirty; nothing is rounded at sixty.
_EXACT: Final = decimal.Context(prec=60, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN, traps=[])
# pint derives a factor in 28 digits, so that its last ones are noise (a minute is no power of ten).
# The true factors of the table have far fewer than twenty.
_FACTOR: Final = decimal.Context(prec=20)
_PLAIN_EXPONENT: Final = 20


_MOST_FACTORS: Final = 10_000
# Characters of a unit, a code or a system; longer ones are nobody's, and are not remembered.
_LONGEST: Final = 100
_UnitKey = tuple[str, str, str | None, str | None, str | None]


class Converted(msgspec.Struct, frozen=True):
    """A value in the canonical unit of its kind of measurement, and that unit as shown.

    Args:
        place: exponent of the last digit that was measured, where converting made finer ones.
    """

    value: Decimal
    unit: str
    place: int | None = None


class UnitProblem(msgspec.Struct, frozen=True):
    """Why a value cannot be used: the code of the data issue, and one sentence about it."""

    code: Problem
    message: str


class _Quantity(msgspec.Struct, frozen=True):
    """One kind of measurement, prepared.

    Args:
        factors: canonical units in one of each UCUM unit that fits.
        spellings: UCUM unit by exact spelling, this measurement's own spellings first.
        folded: UCUM unit by case-folded spelling, where that is unambiguous.
    """

    row: table_rows.Quantity
    factors: Mapping[str, Decimal]
    spellings: Mapping[str, str]
    folded: Mapping[str, str]

    def unit(self, text: str) -> str | None:
        """Return the UCUM unit that a spelling means here, None where the tables do not know."""
        found = self.spellings.get(text)
        return self.folded.get(text.casefold()) if found is None else found


class UnitBook:
    """The unit tables, ready for use.

    Args:
        book: the tables, as :func:`cds_service.record.tables.load_tables` gives them.

    Raises:
        MappingError: an expression that pint does not know, or a unit whose dimension in the table
            is not its dimension for pint.
    """

    def __init__(self, book: tables.Tables) -> None:
        self._ucum = frozenset(_ucum_names(book))
        self._properties = book.properties
        self._dimensions = {unit.ucum: unit.dimension for unit in book.units}
        self._quantities = _prepare(book)
        self._shown_units = {name: one.row.shown_unit for name, one in self._quantities.items()}
        self._factors: dict[_UnitKey, Decimal | UnitProblem] = {}

    def read(
        self,
        quantity: str,
        property: str,  # noqa: A002  the field's own word, as in the tables
        value: Decimal,
        unit: str | None,
        code: str | None,
        system: str | None,
    ) -> Converted | UnitProblem:
        """Convert a recorded value to the canonical unit of its kind of measurement.

        Args:
            quantity: kind of measurement, a name of ``quantities.csv``.
            property: kind of property of the code it was recorded under; empty for unknown.
            value: the number as recorded.
            unit: ``Quantity.unit``.
            code: ``Quantity.code``; decides where the system is UCUM.
            system: ``Quantity.system``.

        Raises:
            KeyError: no such kind of measurement.
        """
        key = (quantity, property, unit, code, system)
        factor = self._factors.get(key)
        if factor is None:
            factor = self._factor(self._quantities[quantity], property, unit, code, system)
            # A laboratory writes its few units again and again; senders of others cannot fill it.
            short = all(len(part or "") <= _LONGEST for part in (unit, code, system))
            if short and len(self._factors) < _MOST_FACTORS:
                self._factors[key] = factor
        if isinstance(factor, UnitProblem):
            return factor
        converted = _EXACT.multiply(value, factor)
        return Converted(converted, self._shown_units[quantity], _place(value, factor, converted))

    def _factor(
        self,
        known: _Quantity,
        property_: str,
        unit: str | None,
        code: str | None,
        system: str | None,
    ) -> Decimal | UnitProblem:
        """Canonical units in one of the recorded unit, or why it cannot be used."""
        found = self._unit(known, _text(unit), _text(code), _text(system))
        if isinstance(found, UnitProblem):
            return found
        factor = known.factors.get(found)
        allowed = self._properties.get(property_)
        if factor is None or (allowed is not None and self._dimensions[found] not in allowed):
            message = f"the unit {found} cannot be that of this {known.row.label} result"
            return UnitProblem("wrong-dimension", message)
        return factor

    @property
    def quantities(self) -> frozenset[str]:
        """The kinds of measurement that the tables have."""
        return frozenset(self._quantities)

    def plausible(self, quantity: str, value: Decimal) -> bool:
        """Tell whether a canonical value lies in the plausible range, ends included."""
        row = self._quantities[quantity].row
        return (row.low is None or value >= row.low) and (row.high is None or value <= row.high)

    def unit_of(self, quantity: str) -> str:
        """Return the canonical unit as shown."""
        return self._shown_units[quantity]

    def shown(self, quantity: str, value: Decimal) -> str:
        """Return a canonical value with its unit for people: no exponent, no trailing zeros."""
        return f"{_digits(value)} {self._shown_units[quantity]}".rstrip()

    def _unit(self, known: _Quantity, unit: str, code: str, system: str) -> str | UnitProblem:
        """Find the UCUM unit: by the code where the system is UCUM, else by the spelling."""
        coded = code if system in self._ucum else ""
        # A code without a system is what the sender wrote, so it is read like any other spelling.
        written = unit or (code if not system else "")
        decides = coded or written
        found = known.unit(decides)
        if found is None and not decides:
            return UnitProblem("no-unit", f"the {known.row.label} result has no unit")
        if found is None:
            message = f"the unit {decides[:40]!r} is not known for {known.row.label}"
            return UnitProblem("unknown-unit", message)
        beside = known.unit(written) if coded and written else None
        if beside is not None and not self._agree(known, found, beside):
            message = f"the unit {written!r} and its code {coded!r} disagree"
            return UnitProblem("unit-disagreement", message)
        return found

    def _agree(self, known: _Quantity, one: str, other: str) -> bool:
        same = self._dimensions[one] == self._dimensions[other]
        return same and known.factors.get(one) == known.factors.get(other)


def _text(value: str | None) -> str:
    return value.strip() if value else ""


def _place(recorded: Decimal, factor: Decimal, converted: Decimal) -> int | None:
    """The place of the last digit that was measured; None where the value has no finer ones."""
    if factor == 1 or not converted:
        return None
    last, finest = recorded.as_tuple().exponent, converted.as_tuple().exponent
    if not isinstance(last, int) or not isinstance(finest, int):
        return None
    # A tenth of mg/dL is 1.71 umol/L: whole umol/L were measured, tenths were not. Two digits and
    # whole units always stay, since many programs write 8.0 as 8.
    place = min(last + factor.adjusted(), converted.adjusted() - 1, 0)
    if finest >= place:
        return None
    kept = converted.quantize(Decimal((0, (1,), place)), context=_EXACT)
    return None if kept == converted else place


def _digits(value: Decimal) -> str:
    exponent = value.adjusted()
    if not value.is_finite() or abs(exponent) > _PLAIN_EXPONENT:
        return str(value)
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _ucum_names(book: tables.Tables) -> tuple[str, ...]:
    """Return the names of the one code system whose codes are units."""
    return tuple(name for row in book.systems if row.units for name in (row.system, *row.aliases))


# --- Preparing, once ---------------------------------------------------------------------------


def _prepare(book: tables.Tables) -> dict[str, _Quantity]:
    registry = pint.UnitRegistry[Decimal](non_int_type=Decimal)
    sizes = {unit.ucum: _size(registry, unit) for unit in book.units}
    return {row.quantity: _quantity(book, row, sizes) for row in book.quantities}


def _size(registry: pint.UnitRegistry[Decimal], unit: table_rows.Unit) -> tuple[Decimal, str]:
    """Return a unit's size in base units, and what those are."""
    try:
        with decimal.localcontext(_EXACT):
            base = registry.Quantity(registry.parse_expression(unit.expression)).to_base_units()
        return Decimal(str(base.magnitude)), str(base.units)
    except (pint.PintError, tokenize.TokenError, ValueError, TypeError, AttributeError):
        unit.place.refuse(f"pint cannot read {unit.expression!r}")


def _quantity(
    book: tables.Tables, row: table_rows.Quantity, sizes: Mapping[str, tuple[Decimal, str]]
) -> _Quantity:
    units = {unit.ucum: unit for unit in book.units}
    factors = _factors(units, sizes, row.unit, Decimal(1))
    if row.bridge_unit and row.bridge_factor is not None:
        factors |= _factors(units, sizes, row.bridge_unit, row.bridge_factor)
    own = {s.spelling: s.ucum for s in book.spellings if s.quantity == row.quantity}
    return _Quantity(
        row=row,
        factors=factors,
        spellings={name: name for name in units} | own,
        folded=_folded([*own.items(), *((name, name) for name in factors)], factors),
    )


def _factors(
    units: Mapping[str, table_rows.Unit],
    sizes: Mapping[str, tuple[Decimal, str]],
    canonical: str,
    times: Decimal,
) -> dict[str, Decimal]:
    """Return the factor to the canonical unit for every unit of its dimension."""
    size, base = sizes[canonical]
    factors = {}
    for name, unit in units.items():
        if unit.dimension != units[canonical].dimension:
            continue
        if sizes[name][1] != base:
            unit.place.refuse(f"{name} is no {unit.dimension}: {canonical} has another dimension")
        factors[name] = _EXACT.multiply(_FACTOR.divide(sizes[name][0], size), times)
    return factors


def _folded(pairs: list[tuple[str, str]], factors: Mapping[str, Decimal]) -> dict[str, str]:
    """Return spellings without case, but for those whose case tells units apart (mBq, MBq)."""
    meanings: dict[str, set[str]] = {}
    for spelling, ucum in pairs:
        meanings.setdefault(spelling.casefold(), set()).add(ucum)
    return {
        spelling: min(found)
        for spelling, found in meanings.items()
        if len({factors.get(ucum) for ucum in found}) == 1
    }
