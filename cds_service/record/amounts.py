"""Amounts as they are told: an interval in a canonical unit, and the limits of normal for it."""

from __future__ import annotations

from decimal import Decimal

import msgspec


class Span(msgspec.Struct, frozen=True, gc=False):
    """An amount as an interval in its canonical unit; both ends equal for a plain value.

    Args:
        low: lower end, None for none.
        high: upper end, None for none.
        low_open: the lower end itself is excluded (comparator ``>``).
        high_open: the upper end itself is excluded (comparator ``<``).
    """

    low: Decimal | None
    high: Decimal | None
    low_open: bool = False
    high_open: bool = False

    @property
    def exact(self) -> Decimal | None:
        """The value, where it is one number."""
        return self.low if self.low is not None and self.low == self.high else None

    @property
    def end(self) -> Decimal | None:
        """The value, or the one end that it has; the lower one of two."""
        return self.high if self.low is None else self.low


class ReferenceRange(msgspec.Struct, frozen=True):
    """One reference range of a result, in the result's canonical unit.

    Args:
        high: upper limit; None where the range has none.
        normal: type ``normal`` or none given (a ``treatment`` range is no limit of normal).
        problem: why the upper limit cannot be used (unit), else None.
        age_low, age_high: completed years the range is for.
        in_years: false where an age is told in a unit that is not known.
        sex: ``male`` or ``female`` where the range is for one sex.
        doubtful: it may mean something else (unknown modifier), or cannot be read.
    """

    high: Decimal | None
    low: Decimal | None = None
    normal: bool = True
    problem: str | None = None
    age_low: Decimal | None = None
    age_high: Decimal | None = None
    in_years: bool = True
    sex: str | None = None
    doubtful: bool = False
