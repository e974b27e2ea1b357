"""How a value is shown: with the digits that were measured, and never across a limit.

Decisions never see these numbers: what is compared is exact.
"""

from __future__ import annotations

import decimal
from collections.abc import Iterable
from decimal import Decimal
from typing import Final

import msgspec

from cds_service.criteria.finding import Wording
from cds_service.record.amounts import Span
from cds_service.record.model import Result

# What a chart may hold has fewer digits, so that nothing is rounded but by a place.
EXACT: Final = decimal.Context(prec=100, rounding=decimal.ROUND_HALF_UP, traps=[])
# Programs write 1.0 as 1, so a single digit does not say that there was only one.
FEWEST_DIGITS: Final = 2


def as_shown(one: Result, limits: Iterable[Decimal | None], words: Wording) -> Result:
    """A result with its text for a reader, where converting made digits that nobody measured.

    Args:
        limits: what the result is compared with, in its unit.
    """
    if one.place is None or one.amount is None:
        return one
    quantity = words.quantity_of(one.concepts)
    text = text_of(one.amount, quantity, one.place, limits, words)
    return msgspec.structs.replace(one, shown=text)


def text_of(
    amount: Span,
    quantity: str | None,
    place: int,
    limits: Iterable[Decimal | None],
    words: Wording,
) -> str:
    """An amount with its unit for a reader, without digits finer than a place.

    Empty where it has no end or is of no kind of measurement.
    """
    end = amount.end
    if end is None or quantity is None:
        return ""
    return f"{comparator(amount)}{words.shown(quantity, rounded(end, place, limits))}"


def rounded(value: Decimal, place: int, limits: Iterable[Decimal | None]) -> Decimal:
    """A value without digits finer than a place, or with those that tell it from a limit.

    What fails by a hair would else be shown as the limit itself.
    """
    known = [limit for limit in limits if limit is not None]
    finest = value.as_tuple().exponent
    for exponent in range(place, finest if isinstance(finest, int) else place, -1):
        short = value.quantize(Decimal((0, (1,), exponent)), context=EXACT)
        if all(short.compare(limit) == value.compare(limit) for limit in known):
            return short
    return value


def last_digit(value: Decimal, count: int = FEWEST_DIGITS) -> int:
    """The place of the last of so many digits of a value."""
    return value.adjusted() - max(count, FEWEST_DIGITS) + 1


def times_normal(one: Result, normal: Decimal | None, limits: Iterable[Decimal]) -> str:
    """How many times its upper limit of normal a result is; empty where that is not known.

    Args:
        limits: the multiples of normal that it is compared with.
    """
    end = None if one.amount is None else one.amount.end
    if one.amount is None or end is None or not normal:
        return ""
    times = EXACT.divide(end, normal)
    short = rounded(times, last_digit(times), limits).normalize(EXACT)
    return f"{comparator(one.amount)}{short:f}"


def comparator(amount: Span) -> str:
    """The comparator of an amount that is an interval with one end."""
    if amount.exact is not None:
        return ""
    if amount.low is not None:
        return ">" if amount.low_open else ">="
    return "<" if amount.high_open else "<="
